/**
 * npm run bench:workers [-- --rounds N --seconds N --json]
 *
 * Connections a second of one engine, and of two on two threads, with clients that cost little (native/load.c).
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs, promisify } from 'node:util';
import { lineOf } from '../../src/cli/fail.js';
import { inlineMore } from '../../src/cli/inlining.js';
import { environmentLack, insideNamespace, must, reenter, which } from '../../src/lab/namespace.js';
import { formatTable } from '../../src/view/table.js';
import { Workers } from '../../src/workers/workers.js';
import { median } from '../measure.js';
import { compile } from './contenders.js';
import { ANSWER } from './ports.js';
import type { EngineData } from './worker.js';

const HOST = '10.64.0.2';
const FIRST = '10.64.1.1';
const SOURCES = 60;
const FLOWS = 256;
/** Seconds that are not counted: until the code is compiled, once for each thread. */
const WARM = 6;

interface Contender {
  readonly title: string;
  /** Everything on one processor, clients too. */
  readonly single?: boolean;
  readonly workers: number;
  readonly steerInKernel: boolean;
}

const contenders: readonly Contender[] = [
  { title: 'one, on one processor with its clients', workers: 1, steerInKernel: false, single: true },
  { title: 'one', workers: 1, steerInKernel: false },
  { title: 'two, the kernel steers', workers: 2, steerInKernel: true },
  { title: 'two, the first hands over', workers: 2, steerInKernel: false },
];

/** Figures of one run; times are of processors, in us for each connection. */
interface Run {
  /** Connections a second; flows that did not end in a second. */
  readonly rate: number;
  readonly lost: number;
  /** The workers' own threads together, and what of it they spent in the kernel. */
  readonly workers: number;
  readonly kernel: number;
  /** The process's other threads: V8's, which compile and collect garbage, and the main one. */
  readonly helpers: number;
  /** The clients' program. */
  readonly client: number;
  /** All that ran on the machine. */
  readonly machine: number;
  /** Share of the time that each worker's own thread ran. */
  readonly busy: readonly number[];
}

const run = promisify(execFile);

interface ThreadTime {
  /** Seconds, and those of them in the kernel. */
  readonly all: number;
  readonly kernel: number;
}

/** Of each thread of this process; USER_HZ is 100. */
function threadTimes(): Map<string, ThreadTime> {
  const of = (id: string): ThreadTime => {
    const file = (name: string): string => readFileSync(`/proc/self/task/${id}/${name}`, 'latin1');
    const stat = file('stat').replace(/^.*\)/s, '').split(' ');
    return { all: Number(file('schedstat').split(' ')[0]) / 1e9, kernel: Number(stat[13]) / 100 };
  };
  return new Map(readdirSync('/proc/self/task').map((id) => [id, of(id)]));
}

function spent(before: Map<string, ThreadTime>, after: Map<string, ThreadTime>): Map<string, ThreadTime> {
  const zero = { all: 0, kernel: 0 };
  const since = ([id, { all, kernel }]: [string, ThreadTime]): [string, ThreadTime] => {
    const then = before.get(id) ?? zero;
    return [id, { all: all - then.all, kernel: kernel - then.kernel }];
  };
  return new Map([...after].map(since));
}

async function measure(load: string, contender: Contender, seconds: number): Promise<Run> {
  const data: EngineData = { addresses: [`${HOST}/16`] };
  const workers = await Workers.start({
    ...contender,
    program: new URL('./worker.js', import.meta.url),
    data,
    device: 'twb%d',
    // No address on the kernel's side: it is to have nothing to do with these packets.
    prepare: (device) => void must('ip', 'link', 'set', device, 'txqueuelen', '10000', 'up'),
  });
  inlineMore();
  try {
    const own = (await workers.ask('thread')) as string[];
    const args = [workers.name, HOST, ANSWER, FIRST, SOURCES, seconds, WARM, FLOWS].map(String);
    const clients = spawn(load, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    // Two lines: at the beginning of what is measured and at its end.
    const lines = createInterface(clients.stdout);
    await once(lines, 'line');
    const before = threadTimes();
    const [said] = (await once(lines, 'line')) as [string];
    const threads = spent(before, threadTimes());
    const { done, ...rest } = JSON.parse(said) as Pick<Run, 'rate' | 'lost' | 'client' | 'machine'> & {
      done: number;
    };
    const sum = (times: ThreadTime[], what: keyof ThreadTime): number =>
      (times.reduce((all, each) => all + each[what], 0) * 1e6) / done;
    const mine = own.map((id) => threads.get(id)!);
    const workersTime = sum(mine, 'all');
    return {
      ...rest,
      workers: workersTime,
      kernel: sum(mine, 'kernel'),
      helpers: sum([...threads.values()], 'all') - workersTime,
      busy: mine.map(({ all }) => all / seconds),
    };
  } finally {
    await workers.close();
  }
}

/** Each figure comes from a process of its own. */
async function inProcess(load: string, index: number, seconds: string): Promise<Run> {
  const prefix = contenders[index]!.single === true ? ['taskset', '-c', '0'] : [];
  const command = [...prefix, process.execPath, process.argv[1]!, '--seconds', seconds];
  const [program, ...args] = [...command, '--load', load, '--contender', String(index)];
  return JSON.parse((await run(program!, args)).stdout) as Run;
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      json: { type: 'boolean', default: false },
      // Of the processes that measure.
      load: { type: 'string' },
      contender: { type: 'string' },
    },
  });
  if (values.load !== undefined) {
    const measured = await measure(
      values.load,
      contenders[Number(values.contender)]!,
      Number(values.seconds),
    );
    process.stdout.write(JSON.stringify(measured));
    return 0;
  }
  if (!insideNamespace()) {
    const lack = environmentLack();
    if (lack !== null) throw new Error(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  const folder = mkdtempSync(join(tmpdir(), 'timewait-bench-'));
  try {
    const load = compile(folder, 'load');
    if (load === null) throw new Error(`native/load.c does not compile (gcc: ${which('gcc') ?? 'none'})`);
    const results = contenders.map(() => [] as Run[]);
    for (let round = 1; round <= Number(values.rounds); round++)
      for (const [i, { title }] of contenders.entries()) {
        process.stderr.write(`bench: round ${round} of ${values.rounds}: ${title}\n`);
        results[i]!.push(await inProcess(load, i, values.seconds));
      }
    process.stdout.write(values.json ? `${JSON.stringify(results)}\n` : `${printed(results)}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return 0;
}

function printed(results: readonly Run[][]): string {
  const one = median(results[1]!.map(({ rate }) => rate));
  const times = ['workers', 'kernel', 'helpers', 'client', 'machine'] as const;
  const columns = [
    '',
    'connections/s',
    'of one',
    ...times.map((what) => `${what} us`),
    'threads busy',
    'lost',
  ];
  return formatTable(
    columns.map((title, i) => ({ title, right: i > 0 })),
    contenders.map(({ title, workers }, i) => {
      const runs = results[i]!;
      const rates = runs.map(({ rate }) => rate);
      const busy = Array.from({ length: workers }, (_, w) => median(runs.map((each) => each.busy[w]!)));
      return [
        title,
        `${median(rates).toFixed(0)} (${Math.min(...rates).toFixed(0)}..${Math.max(...rates).toFixed(0)})`,
        (median(rates) / one).toFixed(2),
        ...times.map((what) => median(runs.map((each) => each[what])).toFixed(1)),
        busy.map((share) => `${(100 * share).toFixed(0)} %`).join(' '),
        String(runs.reduce((sum, { lost }) => sum + lost, 0)),
      ];
    }),
  );
}

main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`bench: ${lineOf(error)}\n`);
    process.exit(1);
  },
);
