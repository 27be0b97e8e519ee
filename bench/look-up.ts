/**
 * The look-up beside the same in C (native/hash-table.c): the same records, key, hash and
 * batches of tuples, in one process, in turns.
 */
import { Table } from './contenders.js';
import { loadC } from './in-c.js';
import { BATCH, median } from './measure.js';
import { LIFETIME, START, blank, fill, shuffled } from './population.js';

interface CTable {
  create(key: Uint8Array, capacity: number): void;
  fill(tuples: Int32Array, n: number): void;
  look(tuples: Int32Array, n: number): number;
}

/** One process: ns per look-up of each, medians of the stretches, and the median of the stretches' ratios. */
export interface LookUpRun {
  readonly v4: Pairing;
  readonly mixed: Pairing;
}
export interface Pairing {
  readonly table: number;
  readonly inC: number;
  readonly ratio: number;
}

/** Tuples of a stretch, words of a tuple. */
const STRETCH = 20 * BATCH;
const WORDS = 10;
const ROUNDS = 60;

/** The tuples of the connections that `order` names, from `from` on. */
function tuples(order: Int32Array, from: number, count: number, step: number, total: number): Int32Array {
  const words = new Int32Array(WORDS * count);
  const e = blank();
  for (let i = 0; i < count; i++) {
    fill(e, step * order[(from + i) % order.length]!, step * total);
    const { local0, local1, local2, local3, remote0, remote1, remote2, remote3 } = e;
    words.set([local0, local1, local2, local3, remote0, remote1, remote2, remote3], WORDS * i);
    words[WORDS * i + 8] = e.localPort;
    words[WORDS * i + 9] = e.remotePort;
  }
  return words;
}

/** In the child. `step` 2: IPv4 only. */
function measure(inC: CTable, count: number, step: number): Pairing {
  const key = new Uint8Array(16).fill(7);
  const table = new Table(key, START | 0);
  const straight = Int32Array.from({ length: count }, (_, n) => n);
  const entry = blank();
  inC.create(key, count);
  for (let n = 0; n < count; n++) {
    fill(entry, step * n, step * count);
    table.insert(entry, (entry.enteredAt + LIFETIME) | 0);
  }
  inC.fill(tuples(straight, 0, count, step, count), count);
  const order = shuffled(count);
  const ours: number[] = [];
  const theirs: number[] = [];
  let found = 0;
  for (let round = -10; round < ROUNDS; round++) {
    const words = tuples(order, (round + 10) * 2 * STRETCH, STRETCH, step, count);
    // Each on a stretch that it has not just seen, the first one in turns
    const others = tuples(order, (round + 10) * 2 * STRETCH + STRETCH, STRETCH, step, count);
    const run = (c: boolean): number => {
      const start = performance.now();
      found += c ? inC.look(others, STRETCH) : table.lookTuples(words, STRETCH);
      return ((performance.now() - start) * 1e6) / STRETCH;
    };
    const first = run((round & 1) === 0);
    const second = run((round & 1) !== 0);
    if (round < 0) continue;
    theirs.push((round & 1) === 0 ? first : second);
    ours.push((round & 1) === 0 ? second : first);
  }
  if (found !== 2 * STRETCH * (ROUNDS + 10)) throw new Error(`${found} found`);
  return {
    table: median(ours),
    inC: median(theirs),
    ratio: median(ours.map((ns, i) => ns / theirs[i]!)),
  };
}

export function measureLookUp(count: number): LookUpRun {
  const inC = loadC('hash-table') as CTable;
  return { v4: measure(inC, count, 2), mixed: measure(inC, count, 1) };
}
