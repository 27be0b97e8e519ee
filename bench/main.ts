/**
 * npm run bench [-- PART... --policy NAME --records N --runs N --loss P --rtt MS --seconds N --flows N --json --compare COMMIT]
 *
 * Each figure comes from processes of its own, `runs` of them; printed are medians.
 */
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { policies } from '../src/timewait/policies/registry.js';
import { UsageError, lineOf } from '../src/cli/fail.js';
import { formatTable } from '../src/view/table.js';
import { environmentLack, insideNamespace, reenter } from '../src/lab/namespace.js';
import { BULK_CONTENDERS, measureBulk, type BulkOptions, type BulkRun } from './bulk.js';
import { inChild } from './child.js';
import { contenders } from './contenders.js';
import { compare } from './compare.js';
import { BATCH, median } from './measure.js';
import type { PortsRun } from './ports.js';
import { right, shows, spread, whole } from './show.js';
import type { TableRun } from './table.js';
import type { VerdictRun } from './verdict.js';

const PARTS = [
  'table',
  'verdict',
  'ports',
  'look-up',
  'pause',
  'micro',
  'engine',
  'idle',
  'flood',
  'bulk',
] as const;
/** Records, connections and seconds of the parts that have a size of their own. */
const PAUSE_RECORDS = 10_000_000;
const IDLE_CONNECTIONS = 100_000;
const FLOOD_SECONDS = 10;
const MOST_RECORDS = 8_000_000;

interface Settings {
  readonly parts: readonly string[];
  /** Policies to measure. */
  readonly names: readonly string[];
  readonly records: number;
  readonly runs: number;
  readonly bulk: BulkOptions;
  readonly json: boolean;
  /** A commit to compare with. */
  readonly base: string | undefined;
}

function settings(args: string[]): Settings {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        records: { type: 'string', default: '1000000' },
        runs: { type: 'string', default: '5' },
        policy: { type: 'string', multiple: true, default: [] },
        loss: { type: 'string', default: '0.01' },
        rtt: { type: 'string', default: '100' },
        seconds: { type: 'string', default: '60' },
        flows: { type: 'string', default: '4' },
        json: { type: 'boolean', default: false },
        compare: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(lineOf(error));
  }
  const { positionals, values } = parsed;
  const unknown = positionals.find((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown !== undefined) throw new UsageError(`unknown part '${unknown}'; there are ${PARTS.join(', ')}`);
  const records = Number(values.records);
  if (!Number.isInteger(records) || records < BATCH || records > MOST_RECORDS || records % BATCH !== 0) {
    throw new UsageError(
      `--records takes a multiple of ${BATCH} from ${BATCH} to ${MOST_RECORDS}, got '${values.records}'`,
    );
  }
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > 100)
    throw new UsageError(`--runs takes an integer from 1 to 100, got '${values.runs}'`);
  const bulk = {
    loss: numberOf('loss', values.loss, 0, 0.5),
    rtt: numberOf('rtt', values.rtt, 0, 10_000),
    seconds: numberOf('seconds', values.seconds, 1, 3600),
    flows: Math.round(numberOf('flows', values.flows, 1, 64)),
  };
  const known = policies.map((policy) => policy.name);
  const stranger = values.policy.find((name) => !known.includes(name));
  if (stranger !== undefined)
    throw new UsageError(`unknown policy '${stranger}'; there are ${known.join(', ')}`);
  return {
    parts: positionals.length > 0 ? positionals : PARTS.filter((part) => part !== 'bulk'),
    names: values.policy.length > 0 ? values.policy : known,
    records,
    runs,
    bulk,
    json: values.json,
    base: values.compare,
  };
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text === '' || !(value >= least && value <= most))
    throw new UsageError(`--${name} takes a number from ${least} to ${most}, got '${text}'`);
  return value;
}

/** Runs that belong together, one process after another; contenders take turns, so that a slow minute hits all. */
async function inTurns<T>(
  names: readonly string[],
  runs: number,
  job: (name: string) => Promise<T>,
): Promise<Record<string, T[]>> {
  const results: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const name of names) {
      process.stderr.write(`bench: run ${run + 1} of ${runs}: ${name}\n`);
      results[name]!.push(await job(name));
    }
  }
  return results;
}

function showTable(results: Record<string, TableRun[]>): string {
  const pick = (name: string, read: (run: TableRun) => number): number => median(results[name]!.map(read));
  const operations = ['insert', 'hit', 'miss', 'expire'] as const;
  const rows = operations.flatMap((operation) =>
    Object.keys(results).map((name) => {
      const value = (read: 'mean' | 'p50' | 'p99' | 'longest'): number =>
        pick(name, (run) => run[operation][read]);
      const ratio = value('mean') / pick('table', (run) => run[operation].mean);
      return [
        operation,
        name,
        spread(results[name]!.map((run) => run[operation].mean)),
        whole(value('p50')),
        whole(value('p99')),
        (value('longest') / 1000).toFixed(1),
        ratio.toFixed(1),
      ];
    }),
  );
  const sizes = Object.keys(results).map((name) => [
    name,
    ...(['v4', 'v6', 'bytes'] as const).map((kind) => pick(name, (run) => run[kind]).toFixed(1)),
    (pick(name, (run) => run.bytes) / pick('table', (run) => run.bytes)).toFixed(1),
    spread(results[name]!.map((run) => run.steadyHit)),
  ]);
  return [
    formatTable(
      [
        { title: 'operation' },
        { title: 'held in' },
        ...right('ns/op', 'p50', 'p99', 'longest batch ms', 'times table'),
      ],
      rows,
    ),
    formatTable(
      [
        { title: 'held in' },
        ...right('bytes/record, IPv4', 'IPv6', 'both', 'times table', 'look-up by benny ns'),
      ],
      sizes,
    ),
  ].join('\n\n');
}

export interface VerdictRuns {
  readonly alone: Record<string, VerdictRun[]>;
  readonly together: Record<string, VerdictRun>[];
}

/** In every run: each policy in its own process, then the process of all. */
async function measureVerdicts(
  names: readonly string[],
  records: number,
  runs: number,
): Promise<VerdictRuns> {
  const together: Record<string, VerdictRun>[] = [];
  const last = names[names.length - 1];
  const alone = await inTurns(names, runs, async (name) => {
    const run = await inChild({ part: 'alone', name, records });
    if (name === last) together.push(await inChild({ part: 'together', records }));
    return run;
  });
  return { alone, together };
}

function showVerdicts({ alone, together }: VerdictRuns): string {
  const rows = Object.entries(alone).map(([name, runs]) => {
    const mixed = together.map((run) => run[name]!);
    // Against the look-up of the same process: whatever else the machine did slowed both.
    const path = (list: readonly VerdictRun[]): number =>
      median(list.map((run) => 1 + run.hot / run.hotLookUp));
    return [
      name,
      spread(runs.map((run) => run.lookUp)),
      spread(runs.map((run) => run.cold)),
      spread(runs.map((run) => run.hot)),
      spread(mixed.map((run) => run.hot)),
      (path(mixed) / path(runs)).toFixed(2),
      Math.max(...runs.map((run) => run.bytes), ...mixed.map((run) => run.bytes)).toFixed(2),
    ];
  });
  return formatTable(
    [
      { title: 'policy' },
      ...right('look-up ns', '+ verdict', '+ cached', '+ cached, after all', 'after all / alone', 'bytes'),
    ],
    rows,
  );
}

function showPorts(runs: readonly PortsRun[][]): string {
  const rows = runs[0]!.map(({ occupancy }, i) => [
    `${occupancy * 100} %`,
    spread(runs.map((run) => run[i]!.same)),
    spread(runs.map((run) => run[i]!.other)),
  ]);
  return formatTable(
    right('ports with a record', 'connects/s, same destination', 'connects/s, another destination'),
    rows,
  );
}

async function bulkRounds(options: BulkOptions, runs: number): Promise<Record<string, BulkRun>[]> {
  const rounds: Record<string, BulkRun>[] = [];
  for (let round = 0; round < runs; round++) {
    process.stderr.write(`bench: run ${round + 1} of ${runs}: bulk\n`);
    rounds.push(await measureBulk(options, round));
  }
  return rounds;
}

function showBulk(
  { loss, rtt, seconds, flows }: BulkOptions,
  rounds: readonly Record<string, BulkRun>[],
): string {
  const [reference] = BULK_CONTENDERS;
  const rows = BULK_CONTENDERS.map((name) => {
    const of = (key: keyof BulkRun, digits = 0): string =>
      spread(
        rounds.map((round) => round[name]![key]),
        digits,
      );
    const speed = (whose: string): number => median(rounds.map((round) => round[whose]!.goodput));
    const ratio = (speed(name) / speed(reference!)).toFixed(2);
    return [
      name,
      of('goodput', 3),
      ratio,
      of('retransmitted'),
      of('timeouts'),
      of('probes'),
      of('lost'),
      of('overflowed'),
    ];
  });
  const titles = right('Mbit/s each', 'ratio', 'resent', 'RTOs', 'tail probes', 'lost', 'overflowed');
  return `${rtt} ms there and back, ${100 * loss} % lost each way, ${flows} connections, ${seconds} s, Linux ${release()}\n${formatTable([{ title: 'CUBIC' }, ...titles], rows)}`;
}

async function main(): Promise<void> {
  const { parts, names, records, runs, bulk, json, base } = settings(process.argv.slice(2));
  if (base !== undefined) {
    console.log(await compare(base, process.argv.slice(2), runs));
    return;
  }
  if (parts.includes('bulk') && !insideNamespace()) {
    const lack = environmentLack();
    if (lack !== null) throw new Error(`bulk: ${lack.reason}; ${lack.cure}`);
    process.exitCode = await reenter(process.argv.slice(2));
    return;
  }
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? '', date: new Date().toISOString() };
  const results: Record<string, unknown> = { machine, records, runs };
  const texts: string[] = [
    `${machine.cpu}, Node ${machine.node}, ${machine.date}, ${whole(records)} records`,
  ];
  if (parts.includes('table')) {
    const table = await inTurns(Object.keys(contenders), runs, (name) =>
      inChild({ part: 'table', name, records }),
    );
    results['table'] = table;
    texts.push(showTable(table));
  }
  if (parts.includes('verdict')) {
    const verdict = await measureVerdicts(names, records, runs);
    results['verdict'] = verdict;
    texts.push(showVerdicts(verdict));
  }
  if (parts.includes('ports')) {
    const { ports } = await inTurns(['ports'], runs, () => inChild({ part: 'ports' }));
    results['ports'] = ports;
    texts.push(showPorts(ports!));
  }
  if (parts.includes('bulk')) {
    const rounds = await bulkRounds(bulk, runs);
    results['bulk'] = rounds;
    texts.push(showBulk(bulk, rounds));
  }
  const others = {
    'look-up': { part: 'look-up', records },
    pause: { part: 'pause', records: PAUSE_RECORDS },
    micro: { part: 'micro' },
    engine: { part: 'engine' },
    idle: { part: 'idle', connections: IDLE_CONNECTIONS },
    flood: { part: 'flood', seconds: FLOOD_SECONDS },
  } as const;
  for (const [part, job] of Object.entries(others)) {
    if (!parts.includes(part)) continue;
    const done = await inTurns([part], runs, () => inChild(job));
    results[part] = done[part];
    texts.push(shows[part as keyof typeof shows](done[part] as never));
  }
  console.log(json ? JSON.stringify(results, null, 2) : texts.join('\n\n'));
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${lineOf(error)}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
