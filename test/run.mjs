/**
 * Runs the compiled tests: each file of dist/test/ that ends in .test.js is one
 * process, a few at a time; its TAP is read, failures are printed in full, and the
 * last line counts test points: `N passed, N failed, N skipped`.
 *
 *   node test/run.mjs [PART...]     only files whose path contains one of the parts
 *
 * TEST_JOBS: processes at a time; default the number of processors, at most 4.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from 'tap-parser';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TESTS = join(ROOT, 'dist/test');
/** Seconds for one file. Tap ends the file itself after TAP_TIMEOUT; GRACE later it is killed. */
const TIMEOUT = 240;
const GRACE = 10;

/** Every process group that runs, so that nothing survives the runner. */
const running = new Set();

function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Gone already.
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    for (const child of running) killGroup(child, 'SIGKILL');
    process.exit(1);
  });
}

/** What there is of the texts, one below the other, moved in. */
function indent(texts) {
  const present = texts
    .filter((text) => typeof text === 'string' && text.trim() !== '')
    .map((text) => text.trimEnd());
  return present.join('\n').replace(/^/gm, '      ');
}

/** The words of a failed test point: its full name, and its diagnosis as YAML would show it. */
function describe(point) {
  const { source, stack, at, diff, found, wanted, compare, ...rest } = point.diag ?? {};
  const place = at?.fileName ? `${at.fileName}:${at.lineNumber}` : '';
  const values = diff === undefined ? { found, wanted, compare } : {};
  const details = Object.entries({ place, ...values, ...rest }).filter(
    ([, value]) => value !== undefined && value !== '',
  );
  const lines = details.map(
    ([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return indent([point.fullname || point.name, ...lines, diff, source, stack]);
}

/** Runs one file. Resolves to { passed, failed, skipped, reasons, failures, ms }; never rejects. */
function runFile(file) {
  return new Promise((done) => {
    const started = performance.now();
    const result = { passed: 0, failed: 0, skipped: 0, reasons: new Set(), failures: [], ms: 0 };
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TAP: '1', TAP_TIMEOUT: String(TIMEOUT), TAP_BAIL: '0' },
    });
    running.add(child);
    const timer = setTimeout(() => killGroup(child, 'SIGKILL'), (TIMEOUT + GRACE) * 1000);
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors = (errors + text).slice(-8000);
    });
    const parser = new Parser();
    let summary = null;
    // The leaves, whatever subtest they are in.
    parser.on('result', (point) => count(result, point));
    parser.on('complete', (results) => {
      summary = results;
    });
    child.stdout.pipe(parser);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      // What a test left running goes with it.
      killGroup(child, 'SIGKILL');
      running.delete(child);
      judge(result, summary, code, signal, errors);
      result.ms = performance.now() - started;
      done(result);
    });
  });
}

/** One test point. */
function count(result, point) {
  if (point.skip || point.todo) {
    result.skipped++;
    const reason = [point.skip, point.todo].find((text) => typeof text === 'string' && text !== '');
    result.reasons.add(reason ?? point.name ?? 'no reason given');
  } else if (point.ok) {
    result.passed++;
  } else {
    result.failed++;
    result.failures.push(describe(point));
  }
}

/** What is wrong although no test point failed: the file as a whole. */
function judge(result, summary, code, signal, errors) {
  // `1..0 # SKIP reason`: the whole file is one skipped point.
  // A file that prints nothing reads as skipped too, under the parser's own reason.
  const { skipAll, skipReason } = summary?.plan ?? {};
  if (skipAll && skipReason !== 'no tests found' && result.passed + result.failed + result.skipped === 0) {
    result.skipped = 1;
    result.reasons.add(skipReason || 'no reason given');
  }
  if (result.failed > 0) return;
  const problems = (summary?.failures ?? []).map((point) => point.tapError ?? point.name);
  if (signal !== null) problems.push(`killed by ${signal}`);
  else if (code !== 0) problems.push(`exit status ${code}`);
  else if (summary?.ok !== true) problems.push('the TAP is not complete');
  else if (result.passed + result.skipped === 0) problems.push('no test point');
  if (problems.length === 0) return;
  result.failed = 1;
  result.failures.push(indent([...problems, errors]));
}

function testFiles(parts) {
  if (!existsSync(TESTS)) return [];
  return readdirSync(TESTS, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
    .sort()
    .map((name) => join(TESTS, name));
}

async function main() {
  const files = testFiles(process.argv.slice(2));
  const total = { passed: 0, failed: 0, skipped: 0 };
  const queue = [...files];
  const jobs = Number(process.env.TEST_JOBS) || Math.min(availableParallelism(), 4);
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file);
      for (const key of Object.keys(total)) total[key] += result[key];
      const name = relative(TESTS, file).replace(/\.js$/, '');
      const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : '';
      console.log(
        `${result.failed > 0 ? 'FAIL' : 'ok  '} ${name}: ${result.passed} passed${skipped} (${Math.round(result.ms)} ms)`,
      );
      for (const reason of result.reasons) console.log(`      skipped: ${reason}`);
      for (const failure of result.failures) console.log(`${failure}\n`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  if (files.length === 0) {
    console.log('no test files found');
    total.failed = 1;
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

await main();
