/** Results as tables: medians over the runs, in brackets the lowest and the highest. */
import { formatTable, type Column } from '../src/view/table.js';
import type { EngineRun, IdleRun } from './engine.js';
import type { FloodRun } from './flood.js';
import type { LookUpRun } from './look-up.js';
import { median } from './measure.js';
import type { MicroRun } from './micro.js';
import type { PauseRun } from './pause.js';

export const right = (...titles: string[]): Column[] => titles.map((title) => ({ title, right: true }));
export const whole = (value: number): string => Math.round(value).toLocaleString('en');

/** Median and the range of the runs: `512 (498..640)`. */
export function spread(values: readonly number[], digits = 0): string {
  const text = (value: number): string => (digits === 0 ? whole(value) : value.toFixed(digits));
  const middle = text(median(values));
  return values.length === 1
    ? middle
    : `${middle} (${text(Math.min(...values))}..${text(Math.max(...values))})`;
}

/** One line per figure. */
function lines<T>(runs: readonly T[], rows: readonly [string, (run: T) => number, number?][]): string {
  return formatTable(
    [{ title: 'what' }, ...right('measured')],
    rows.map(([what, read, digits]) => [what, spread(runs.map(read), digits ?? 0)]),
  );
}

function showLookUp(runs: readonly LookUpRun[]): string {
  const row = (name: string, pick: (run: LookUpRun) => LookUpRun['v4']): string[] => [
    name,
    spread(runs.map((run) => pick(run).table)),
    spread(runs.map((run) => pick(run).inC)),
    spread(
      runs.map((run) => pick(run).ratio),
      2,
    ),
  ];
  return formatTable(
    [{ title: 'look-up' }, ...right('table ns', 'in C ns', 'times C')],
    [row('IPv4', (run) => run.v4), row('IPv4 and IPv6', (run) => run.mixed)],
  );
}

function showPause(runs: readonly PauseRun[]): string {
  const rows = (['nothing', 'insert', 'expire'] as const).map((what) => {
    const of = (read: (pauses: PauseRun['insert']) => number, digits = 0): string =>
      spread(
        runs.map((run) => read(run[what])),
        digits,
      );
    return [
      what,
      of(({ longestOwn }) => longestOwn, 2),
      of(({ overOwn }) => overOwn),
      of(({ longest }) => longest, 2),
      of(({ over }) => over),
      of(({ p9999 }) => p9999, 2),
      of(({ collection }) => collection, 2),
      of(({ collectionsOver }) => collectionsOver),
      of(({ mean }) => mean),
    ];
  });
  const columns = [
    'longest ms, own',
    'over 1 ms',
    'longest ms, clock',
    'over 1 ms',
    '99.99 % below ms',
    'longest collection ms',
    'over 1 ms',
    'ns/op',
  ];
  return [
    formatTable([{ title: 'turns of 64' }, ...right(...columns)], rows),
    lines(runs, [
      ['bytes a record, all in', (run) => run.bytes, 1],
      ['bytes, all gone', (run) => run.bytesAfter],
    ]),
  ].join('\n\n');
}

function showMicro(runs: readonly MicroRun[]): string {
  return lines(
    runs,
    Object.keys(runs[0]!)
      .map((name) => [name, (run: MicroRun): number => run[name]!, 1] as const)
      .map((row) => [...row]),
  );
}

const showEngine = (runs: readonly EngineRun[]): string =>
  lines(runs, [
    ['ns a data segment: in, text read, ACK out, one by one', (run) => run.segments.each],
    ['the same, its checksum vouched for', (run) => run.segments.eachVouched],
    ['the same in batches of 16, one ACK each', (run) => run.segments.batch],
    ['in batches of 16, vouched for', (run) => run.segments.batchVouched],
    ['in batches of 16, an ACK for every second (tcp_ack_batch 0)', (run) => run.segments.everySecond],
    ['one by one, of 64 connections by turns', (run) => run.segments.byTurns],
    ['one by one, text copied into the receive queue', (run) => run.segments.kept],
    ['one by one, through the general path', (run) => run.segments.unpredicted],
    ['the sum of its bytes and its look-up alone', (run) => run.least],
    ['through both engines, in fours: written, read, ACK taken', (run) => run.bothEngines],
    ['bytes allocated by a segment', (run) => run.segmentBytes, 1],
    ['bytes allocated by a segment whose text is copied', (run) => run.keptBytes, 1],
    ['connection from SYN to TIME-WAIT, both ends: ns', (run) => run.connection],
  ]);

const showIdle = (runs: readonly IdleRun[]): string =>
  lines(runs, [
    ['bytes a connection, both ends', (run) => run.bytes],
    ['advance with nothing due, 1000 connections: ns', (run) => run.advanceFew],
    ['advance with nothing due, all connections: ns', (run) => run.advance],
  ]);

const showFlood = (runs: readonly FloodRun[]): string =>
  lines(runs, [
    ['requests/s of 100 clients, calm', (run) => run.calm],
    ['requests/s of 100 clients, flooded', (run) => run.flooded],
    ['flooded / calm', (run) => run.flooded / run.calm, 2],
    ['SYNs/s offered', (run) => run.offered],
    ['packets/s that found the queue full', (run) => run.lost],
    ['SYN cookies/s', (run) => run.answered],
    ['bytes of memory that stayed', (run) => run.growth],
    ['a SYN answered with a cookie: ns', (run) => run.cookie],
    ['a SYN beyond tcp_syn_cookie_rate: ns', (run) => run.drop],
  ]);

export const shows = {
  'look-up': showLookUp,
  pause: showPause,
  micro: showMicro,
  engine: showEngine,
  idle: showIdle,
  flood: showFlood,
} as const;
