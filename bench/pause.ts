/**
 * The longest pause of the event loop while many records come and go: turns of 64 insertions
 * or expiries, as many as a batch of packets may bring, each followed by the event loop. A
 * pause is what lies between the beginnings of two turns, so that collections of garbage count:
 * by the clock, with whatever else the machine does meanwhile, and by the thread's own processor
 * time. Beside it stand the longest collection by the clock, and the same turns with the records left out.
 */
import { GCProfiler } from 'node:v8';
import { Table } from './contenders.js';
import { loadC } from './in-c.js';
import { LIFETIME, START, blank, fill } from './population.js';

const TURN = 64;

export interface Pauses {
  /** ms of the thread's processor time between the beginnings of two turns, at most, and turns of more than 1 ms of it. */
  readonly longestOwn: number;
  readonly overOwn: number;
  /** ms by the clock between the beginnings of two turns, at most. */
  readonly longest: number;
  /** Turns of more than 1 ms, and what 99.99 % of the turns stay below. */
  readonly over: number;
  readonly p9999: number;
  /** ms for which the longest collection of garbage stopped the thread, and how many were longer than 1 ms. */
  readonly collection: number;
  readonly collectionsOver: number;
  /** ns of processor time per operation. */
  readonly mean: number;
}

export interface PauseRun {
  readonly insert: Pauses;
  readonly expire: Pauses;
  /** The same number of turns that only make the entries. */
  readonly nothing: Pauses;
  /** Bytes a record when all are in. */
  readonly bytes: number;
  /** Bytes of the table and the index when all are gone. */
  readonly bytesAfter: number;
}

async function turns(count: number, work: (from: number) => void): Promise<Pauses> {
  const { now: threadTime } = loadC('thread-clock') as { now(): number };
  const number = Math.ceil(count / TURN);
  const times = new Float64Array(number);
  const own = new Float64Array(number);
  // What the start and these lists have left is not to be collected in one of the turns.
  gc!();
  const profiler = new GCProfiler();
  profiler.start();
  const begun = process.cpuUsage();
  // Callbacks and no promises: what the loop itself allocates would be collected too.
  await new Promise<void>((done) => {
    let turn = 0;
    let last = performance.now();
    let lastOwn = threadTime();
    const step = (): void => {
      const now = performance.now();
      const nowOwn = threadTime();
      if (turn > 0) {
        times[turn - 1] = now - last;
        own[turn - 1] = nowOwn - lastOwn;
      }
      last = now;
      lastOwn = nowOwn;
      if (turn === number) return done();
      work(turn++ * TURN);
      setImmediate(step);
    };
    setImmediate(step);
  });
  const { user, system } = process.cpuUsage(begun);
  // Their cost is in microseconds.
  const collections = profiler.stop().statistics.map(({ cost }) => cost / 1000);
  times.sort();
  return {
    longestOwn: own.reduce((most, ms) => Math.max(most, ms)),
    overOwn: longerThan1ms(own),
    longest: times[number - 1]!,
    over: longerThan1ms(times),
    p9999: times[Math.floor(0.9999 * (number - 1))]!,
    collection: Math.max(0, ...collections),
    collectionsOver: longerThan1ms(collections),
    mean: ((user + system) * 1000) / count,
  };
}

function longerThan1ms(times: Iterable<number>): number {
  let over = 0;
  for (const ms of times) if (ms > 1) over++;
  return over;
}

/** In the child. */
export async function measurePauses(count: number): Promise<PauseRun> {
  const entry = blank();
  const make = (n: number): void => fill(entry, 2 * n, 2 * count);
  const eachOf = (from: number, operation: (n: number) => void): void => {
    for (let n = from; n < Math.min(from + TURN, count); n++) operation(n);
  };
  const warm = new Table(new Uint8Array(16).fill(9), START | 0);
  for (let n = 0; n < 20_000; n++) {
    make(n);
    warm.insert(entry, (entry.enteredAt + LIFETIME) | 0);
  }
  while (warm.expire((START + 3 * LIFETIME) | 0));
  const nothing = await turns(count, (from) => eachOf(from, make));
  const table = new Table(new Uint8Array(16).fill(7), START | 0);
  const insert = await turns(count, (from) =>
    eachOf(from, (n) => {
      make(n);
      table.insert(entry, (entry.enteredAt + LIFETIME) | 0);
    }),
  );
  const bytes = table.memoryBytes / count;
  let gone = 0;
  const expire = await turns(count, (from) => {
    const now = (START + LIFETIME + Math.ceil(((from + TURN) * LIFETIME) / count)) | 0;
    for (let n = 0; n < TURN && table.expire(now); n++) gone++;
  });
  if (gone !== count) throw new Error(`${gone} of ${count} expired`);
  return { insert, expire, nothing, bytes, bytesAfter: table.memoryBytes };
}
