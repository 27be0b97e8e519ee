/** The differential against the running kernel: the linux profile holds, a planted fault does not go unseen. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseDeviations } from '../../src/conform/diff/deviations.js';
import { lack, timewait } from './cli.js';
import { withFault } from './faulty.js';

interface Report {
  readonly played: number;
  readonly seconds: number;
  readonly unexamined: number;
  readonly findings: readonly {
    signature: string;
    events: number;
    deviation: string | null;
    case: string;
    script: string;
  }[];
}

void t.test('a few hundred random conversations with the kernel', { skip: lack() }, async (t) => {
  const ran = await timewait(['diff', '--seeds', '400', '--seed', '7', '--json']);
  const report = JSON.parse(ran.stdout) as Report;
  t.equal(report.played, 400);
  const unexplained = report.findings.filter(({ deviation }) => deviation === null);
  t.same(
    unexplained.map((finding) => `${finding.signature} | ${finding.case}`),
    [],
  );
  t.equal(ran.status, 0, ran.stderr);
});

void t.test(
  'another profile is told from the kernel, each difference a script',
  { skip: lack() },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const args = ['diff', '--seeds', '500', '--profile', 'rfc9293', '--json', '--out', folder];
    const ran = await timewait(args);
    t.equal(ran.status, 1);
    const report = JSON.parse(ran.stdout) as Report;
    const found = report.findings.filter(({ deviation }) => deviation === null);
    t.ok(
      found.some(({ signature }) => /in TIME-WAIT .* to < S seq/.test(signature)),
      'SYNs in TIME-WAIT are judged otherwise',
    );
    for (const { events, signature } of found) t.ok(events <= 8, `${events} events: ${signature}`);
    t.equal(readdirSync(folder).filter((name) => name.endsWith('.pkt')).length, report.findings.length);
    const script = readdirSync(folder).find((name) => name.startsWith('difference-'))!;
    const kernel = await timewait(['pkt', 'run', '--target', 'kernel', join(folder, script)]);
    t.equal(kernel.status, 0, `${script} passes on the kernel: ${kernel.stdout}${kernel.stderr}`);
  },
);

void t.test('no deviation is stale: the example of each shows it', { skip: lack() }, async (t) => {
  for (const { id, pattern, example } of parseDeviations(readFileSync('test/deviations.json', 'utf8'))) {
    const ran = await timewait(['diff', '--json', '--case', example]);
    const { signature } = JSON.parse(ran.stdout) as { signature: string | null };
    t.match(signature, pattern, `${id}: ${example}`);
  }
});

/** One comparison each, and what shows it. */
const FAULTS: readonly (readonly [module: string, correct: string, wrong: string, shows: RegExp])[] = [
  ['tcp/acceptable.js', 'if (seq === tcb.rcvNxt)', 'if (seq !== tcb.rcvNxt)', /to < (R|SR)\.? seq/],
  [
    'timewait/policies/linux-rules.js',
    'if (after(seq, rcvNxt) || newer)',
    'if (before(seq, rcvNxt) || newer)',
    /in TIME-WAIT .* to < S seq/,
  ],
  [
    'tcp/input.js',
    'ctx.counters.bump(Mib.TcpExtTCPSYNChallenge)',
    'ctx.counters.add(Mib.TcpExtTCPSYNChallenge, 0)',
    /^counter .*TcpExtTCPSYNChallenge/,
  ],
  ['tcp/window.js', 'last <= free - mss', 'last >= free - mss', /^window /],
];

for (const [module, correct, wrong, shows] of FAULTS) {
  void t.test(`a planted fault is found and shrunk: ${wrong} in ${module}`, { skip: lack() }, async (t) => {
    const faulty = withFault(module, correct, wrong);
    t.teardown(() => faulty.remove());
    const args = ['diff', '--seeds', '500', '--seed', '3', '--json', '--out', faulty.folder];
    const ran = await timewait(args, faulty.main);
    t.equal(ran.status, 1, ran.stderr);
    const report = JSON.parse(ran.stdout) as Report;
    const found = report.findings.filter(
      ({ deviation, signature }) => deviation === null && shows.test(signature),
    );
    t.ok(found.length > 0, 'the fault shows');
    for (const { events, signature } of found) t.ok(events <= 8, `${events} events: ${signature}`);
    // The script shows it: the kernel passes, the faulty stack fails, the sound one passes. It says nothing of windows and counters
    const { script, signature } = found[0]!;
    if (/^(window|counter) /.test(signature)) return;
    const judged = await timewait(['pkt', 'run', '--target', 'kernel', script]);
    t.equal(judged.status, 0, `${script} on the kernel: ${judged.stdout}${judged.stderr}`);
    const wronged = await timewait(['pkt', 'run', '--profile', 'linux', script], faulty.main);
    t.equal(wronged.status, 1, `${script} on the faulty stack`);
    const sound = await timewait(['pkt', 'run', '--profile', 'linux', script]);
    t.equal(sound.status, 0, `${script} on the stack: ${sound.stdout}`);
  });
}
