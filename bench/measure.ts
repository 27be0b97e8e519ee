/** Clocks, percentiles and heap sizes of the benchmarks. Processes run with --expose-gc. */
import { GCProfiler } from 'node:v8';
import { add, configure, suite } from 'benny';

/** Operations per timed batch. */
export const BATCH = 1000;

export interface Spread {
  /** ns per operation over the whole. */
  readonly mean: number;
  /** ns per operation of the batch at this percentile. */
  readonly p50: number;
  readonly p99: number;
  /** The longest batch, whole, in microseconds: what a packet behind it waits for. */
  readonly longest: number;
}

/** Runs `batch(i)` for i = 0 .. batches-1, each doing BATCH operations, and times each of them. */
export function timeBatches(batches: number, batch: (index: number) => void): Spread {
  const times = new Float64Array(batches);
  let last = performance.now();
  const start = last;
  for (let i = 0; i < batches; i++) {
    batch(i);
    const now = performance.now();
    times[i] = now - last;
    last = now;
  }
  const perOperation = 1e6 / BATCH;
  const mean = ((last - start) / batches) * perOperation;
  times.sort();
  const at = (share: number): number => times[Math.min(batches - 1, Math.floor(share * batches))]!;
  return {
    mean,
    p50: at(0.5) * perOperation,
    p99: at(0.99) * perOperation,
    longest: times[batches - 1]! * 1000,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Collects garbage until there is no more to collect. */
export function collect(): void {
  const gc = (globalThis as { gc?: () => void }).gc;
  if (gc === undefined) throw new Error('this process needs node --expose-gc');
  for (let i = 0; i < 3; i++) gc();
}

/** Bytes on the heap and outside it (typed arrays) after a collection. */
export function bytesInUse(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * Bytes that one operation allocates on the heap, over `operations` of them: what the heap
 * has grown by, and what collections took from it meanwhile. Growth alone would show nothing
 * of short-lived objects, as the young generation begins small and is swept often.
 */
export function allocated(operations: number, run: (operations: number) => void): number {
  // Before: the loop gets compiled, its feedback complete.
  for (let i = 0; i < 5; i++) run(operations / 10);
  collect();
  const profiler = new GCProfiler();
  const before = process.memoryUsage().heapUsed;
  profiler.start();
  run(operations);
  const growth = process.memoryUsage().heapUsed - before;
  const taken = profiler
    .stop()
    .statistics.map(
      ({ beforeGC, afterGC }) => beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
    )
    .reduce((sum, bytes) => sum + bytes, 0);
  return (growth + taken) / operations;
}

/** ns per operation of each case by benny: a case is a function that does `operations` operations. */
export async function nsPerOperation(
  cases: Readonly<Record<string, () => void>>,
  operations: number,
  seconds: number,
): Promise<Record<string, number>> {
  const summary = await suite(
    'cases',
    configure({ cases: { maxTime: seconds, minSamples: 5 } }),
    ...Object.entries(cases).map(([name, run]) => add(name, () => run)),
  );
  return Object.fromEntries(
    summary.results.map(({ name, details }) => [name, (details.median / operations) * 1e9]),
  );
}
