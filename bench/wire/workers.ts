/**
 * npm run bench:workers [-- --rounds N --seconds N --json]
 *
 * Connections a second of one engine, and of two on two threads, with clients that cost little (native/load.c).
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { lineOf } from '../../src/cli/fail.js';
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
const WARM = 1;

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

interface Run {
  /** Connections a second; flows that did not end in a second. */
  readonly rate: number;
  readonly lost: number;
  /** Processor time of one connection, us: the server's threads, the clients' program, the whole machine. */
  readonly server: number;
  readonly client: number;
  readonly machine: number;
}

const run = promisify(execFile);

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
  try {
    const args = [workers.name, HOST, ANSWER, FIRST, SOURCES, seconds, WARM, FLOWS].map(String);
    const before = process.cpuUsage();
    const { stdout } = await run(load, args);
    const { user, system } = process.cpuUsage(before);
    const accepted = (await workers.counters())['TcpPassiveOpens']!;
    return { ...(JSON.parse(stdout) as Omit<Run, 'server'>), server: (user + system) / accepted };
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
  const of = (runs: readonly Run[], what: keyof Run): number => median(runs.map((each) => each[what]));
  const one = of(results[1]!, 'rate');
  const columns = ['workers', 'connections/s', 'of one', 'server us', 'clients us', 'machine us', 'lost'];
  return formatTable(
    columns.map((title, i) => ({ title, right: i > 0 })),
    contenders.map(({ title }, i) => {
      const runs = results[i]!;
      const rates = runs.map(({ rate }) => rate);
      return [
        title,
        `${of(runs, 'rate').toFixed(0)} (${Math.min(...rates).toFixed(0)}..${Math.max(...rates).toFixed(0)})`,
        (of(runs, 'rate') / one).toFixed(2),
        ...(['server', 'client', 'machine'] as const).map((what) => of(runs, what).toFixed(1)),
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
