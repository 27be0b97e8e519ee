/**
 * npm run bench -- PART... --compare COMMIT: the working tree and a commit, a run of each in
 * turns. The commit is built in a folder of its own below the temporary one, with the
 * dependencies of this tree.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatTable } from '../src/view/table.js';
import { UsageError } from '../src/cli/fail.js';
import { median } from './measure.js';
import { right } from './show.js';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');

function call(command: string, args: readonly string[], cwd: string): string {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status === 0) return done.stdout;
  throw new UsageError(`${command} ${args[0]}: ${(done.stderr || done.stdout).trim().split('\n')[0]}`);
}

/** Every number of a result, by its path; runs of a list are gathered under one. */
function figures(value: unknown, path: string, into: Map<string, number[]>): void {
  if (typeof value === 'number') {
    const list = into.get(path);
    if (list === undefined) into.set(path, [value]);
    else list.push(value);
  } else if (Array.isArray(value)) for (const one of value) figures(one, path, into);
  else if (typeof value === 'object' && value !== null)
    for (const [key, one] of Object.entries(value)) figures(one, path === '' ? key : `${path} ${key}`, into);
}

/** A table of medians, of both and their ratio. */
export function compare(base: string, args: readonly string[], runs: number): Promise<string> {
  const own = args.filter(
    (arg, i) => !/^--(compare|runs|json)/.test(arg) && !/^--(compare|runs)$/.test(args[i - 1] ?? ''),
  );
  const folder = mkdtempSync(join(tmpdir(), 'timewait-bench-'));
  const there = join(folder, 'base');
  const measured = { here: new Map<string, number[]>(), base: new Map<string, number[]>() };
  try {
    call('git', ['worktree', 'add', '--detach', there, base], ROOT);
    symlinkSync(join(ROOT, 'node_modules'), join(there, 'node_modules'));
    call(process.execPath, ['native/prepare.mjs'], there);
    for (let run = 0; run < runs; run++) {
      for (const side of ['here', 'base'] as const) {
        process.stderr.write(`bench: run ${run + 1} of ${runs}: ${side === 'here' ? 'this tree' : base}\n`);
        const cwd = side === 'here' ? ROOT : there;
        const text = call(process.execPath, ['dist/bench/main.js', ...own, '--runs', '1', '--json'], cwd);
        const results = JSON.parse(text) as Record<string, unknown>;
        for (const key of ['machine', 'records', 'runs']) Reflect.deleteProperty(results, key);
        figures(results, '', measured[side]);
      }
    }
  } finally {
    spawnSync('git', ['worktree', 'remove', '--force', there], { cwd: ROOT });
    rmSync(folder, { recursive: true, force: true });
  }
  const shared = [...measured.here.keys()].filter((path) => measured.base.has(path));
  const rows = shared.map((path) => {
    const [here, before] = [median(measured.here.get(path)!), median(measured.base.get(path)!)];
    return [path, before.toFixed(2), here.toFixed(2), before === 0 ? '' : (here / before).toFixed(2)];
  });
  return Promise.resolve(formatTable([{ title: 'figure' }, ...right(base, 'this tree', 'ratio')], rows));
}
