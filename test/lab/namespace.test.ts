/** Private namespaces: they end with their command, and signals reach what runs in them. */
import t from 'tap';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentLack } from '../../src/lab/namespace.js';
import { lack, main } from '../kernel/cli.js';

const skip = lack();

/** `timewait run` of a shell script. The script says its pid as this test sees it; its output can be waited for. */
class Run {
  readonly process: ChildProcess;
  output = '';
  status: number | null = null;
  private readonly ended: Promise<unknown>;

  constructor(script: string) {
    this.process = spawn(process.execPath, [main, 'run', '--http', '80', '--', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.ended = once(this.process, 'close').then(([code]) => (this.status = code as number | null));
  }

  async says(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.process.exitCode !== null) throw new Error(`ended without saying ${text}: ${this.output}`);
      await sleep(10);
    }
  }

  async end(): Promise<number | null> {
    await this.ended;
    return this.status;
  }
}

/** All processes below one, itself excluded. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // Gone since the list was read.
    }
  }
  const below = (of: number): number[] =>
    [...parents].filter(([, parent]) => parent === of).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/** Dead children that nobody has waited for yet count as gone. */
function alive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

const netOf = (pid: number | 'self'): string => readlinkSync(`/proc/${pid}/ns/net`);

t.test('killed with SIGKILL it leaves no process, no namespace and no device', { skip }, async (t) => {
  const before = readdirSync('/sys/class/net');
  const run = new Run('sleep 600 & echo ready; sleep 600');
  await run.says('ready');
  const below = descendants(run.process.pid!);
  t.ok(below.length >= 4, `unshare, the command line inside, the shell and what it started: ${below.length}`);
  const inside = new Set(below.map((pid) => netOf(pid)).filter((name) => name !== netOf('self')));
  t.equal(inside.size, 1, 'they share one network that is not ours');
  t.same(readdirSync('/sys/class/net'), before, 'whose device is not seen outside');
  run.process.kill('SIGKILL');
  await run.end();
  for (let left = below.filter(alive); left.length > 0; left = left.filter(alive)) await sleep(10);
  const still = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/ns/net`))
    .filter((name) => {
      try {
        return inside.has(netOf(Number(name)));
      } catch {
        return false;
      }
    });
  t.same(still, [], 'nobody is left in that network');
  t.same(readdirSync('/sys/class/net'), before);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} reaches the command, whose status is passed on`, { skip }, async (t) => {
    const run = new Run(
      `trap 'echo caught; exit 5' ${signal.slice(3)}; echo ready; while :; do sleep 0.1; done`,
    );
    await run.says('ready');
    run.process.kill(signal);
    t.equal(await run.end(), 5);
    t.match(run.output, /caught/);
    t.match(run.output, /exit status 5/, 'the summary is still printed');
  });
}

t.test('a command that a signal ended gives 128 + its number', { skip }, async (t) => {
  const run = new Run('kill -9 $$');
  t.equal(await run.end(), 137);
});

t.test('SIGTERM ends the demo', { skip }, async (t) => {
  const demo = spawn(process.execPath, [main, 'demo'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(demo.stdout, 'data');
  const below = descendants(demo.pid!);
  demo.kill('SIGTERM');
  const [status] = (await once(demo, 'close')) as [number | null];
  t.equal(status, 143);
  for (let left = below.filter(alive); left.length > 0; left = left.filter(alive)) await sleep(10);
});

t.test('namespaces within namespaces', { skip }, async (t) => {
  // The inner one has a tw0 of its own: were it not in a namespace of its own, the name would be taken.
  const inner = `"${process.execPath}" "${main}" run --http 80 -- curl -sf http://10.77.0.2/`;
  const run = new Run(inner);
  t.equal(await run.end(), 0, run.output);
  t.match(run.output, /timewait: a TCP stack in user space/);
});

t.test('what the system lacks is said in one line with its cure', async (t) => {
  const path = process.env['PATH'];
  t.teardown(() => (process.env['PATH'] = path));
  const found = environmentLack();
  if (found === null) return t.pass('nothing is lacking here');
  t.notMatch(found.reason, /\n/);
  t.notMatch(found.cure, /\n/);
  t.ok(found.cure.length > 0);
});
