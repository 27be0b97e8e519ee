/** A million records: put in, looked up in random order, expired; each contender in a process of its own. */
import { contenders } from './contenders.js';
import { BATCH, bytesInUse, nsPerOperation, timeBatches, type Spread } from './measure.js';
import { Segment } from '../src/wire/segment.js';
import { LIFETIME, START, aim, blank, fill, shuffled } from './population.js';

/** One contender, measured once. */
export interface TableRun {
  /** Bytes per record, everything included. */
  readonly bytes: number;
  /** The same where all are IPv4, where all are IPv6. */
  readonly v4: number;
  readonly v6: number;
  readonly insert: Spread;
  readonly hit: Spread;
  readonly miss: Spread;
  readonly expire: Spread;
  /** ns per look-up by benny, in the steady state. */
  readonly steadyHit: number;
}

/** Bytes a record where all are IPv4 (`odd` 0) or IPv6 (1). */
function bytesOf(make: (typeof contenders)[string], count: number, odd: 0 | 1): number {
  const entry = blank();
  const before = bytesInUse();
  const held = make(new Uint8Array(16).fill(7), START | 0);
  for (let n = 0; n < count; n++) {
    fill(entry, 2 * n + odd, 2 * count);
    held.insert(entry, (entry.enteredAt + LIFETIME) | 0);
  }
  return (bytesInUse() + (held.uncounted ?? 0) - before) / count;
}

/** In the child: everything about one contender. `count` is a multiple of BATCH. */
export async function measureTable(name: string, count: number): Promise<TableRun> {
  const make = contenders[name];
  if (make === undefined) throw new Error(`no contender '${name}'`);
  const batches = count / BATCH;
  const order = shuffled(count);
  const segment = new Segment();
  const entry = blank();
  const before = bytesInUse();
  const held = make(new Uint8Array(16).fill(7), START | 0);
  const insert = timeBatches(batches, (batch) => {
    for (let n = batch * BATCH, end = n + BATCH; n < end; n++) {
      fill(entry, n, count);
      held.insert(entry, (entry.enteredAt + LIFETIME) | 0);
    }
  });
  const bytes = (bytesInUse() + (held.uncounted ?? 0) - before) / count;
  let found = 0;
  const look = (batch: number, from: number): void => {
    for (let i = batch * BATCH, end = i + BATCH; i < end; i++) {
      aim(segment, from + order[i]!);
      if (held.lookUp(segment) !== -1) found++;
    }
  };
  const hit = timeBatches(batches, (batch) => look(batch, 0));
  const hits = found;
  const miss = timeBatches(batches, (batch) => look(batch, count));
  if (hits < count - 1 || found !== hits)
    throw new Error(`${name}: ${hits} of ${count} found, then ${found}`);
  let next = 0;
  const steady = await nsPerOperation({ hit: () => look(next++ % batches, 0) }, BATCH, 1);
  // Time passes in steps in which about a batch expires, in the order of entry.
  let gone = 0;
  const expire = timeBatches(batches, (batch) => {
    const now = (START + LIFETIME + Math.floor(((batch + 1) * BATCH * LIFETIME) / count)) | 0;
    while (held.expire(now)) gone++;
  });
  if (gone !== count || held.size !== 0) throw new Error(`${name}: ${gone} of ${count} expired`);
  // What is compiled for it is no record's
  bytesOf(make, count / 10, 0);
  bytesOf(make, count / 10, 1);
  return {
    bytes,
    v4: bytesOf(make, count, 0),
    v6: bytesOf(make, count, 1),
    insert,
    hit,
    miss,
    expire,
    steadyHit: steady['hit']!,
  };
}
