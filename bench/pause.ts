/**
 * The longest pause of the event loop while many records come and go: turns of 64 insertions
 * or expiries, as many as a batch of packets may bring, each followed by the event loop. A
 * pause is what lies between the beginnings of two turns, so collections of garbage count,
 * and so does whatever else the machine does. So beside it stands the processor time that
 * the process took meanwhile, helper threads included: what the pause would be at most on
 * a machine of its own; and the same turns with the records left out.
 */
import { Table } from './contenders.js';
import { LIFETIME, START, blank, fill } from './population.js';

const TURN = 64;

export interface Pauses {
  /** ms by the clock. */
  readonly longest: number;
  /** ms of processor time. */
  readonly processor: number;
  /** Turns of more than 1 ms of it, and what 99.99 % of the turns stay below. */
  readonly over: number;
  readonly p9999: number;
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
  const number = Math.ceil(count / TURN);
  const times = new Float64Array(number);
  const begun = used();
  let longest = 0;
  let last = performance.now();
  let lastUsed = begun;
  for (let turn = 0; turn < number; turn++) {
    work(turn * TURN);
    await new Promise(setImmediate);
    const now = performance.now();
    const nowUsed = used();
    longest = Math.max(longest, now - last);
    times[turn] = nowUsed - lastUsed;
    last = now;
    lastUsed = nowUsed;
  }
  times.sort();
  return {
    longest,
    processor: times[number - 1]!,
    over: times.reduce((over, ms) => over + (ms > 1 ? 1 : 0), 0),
    p9999: times[Math.floor(0.9999 * (number - 1))]!,
    mean: ((lastUsed - begun) * 1e6) / count,
  };
}

/** Processor time of the process, ms. */
function used(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
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
