/**
 * Memory for tables that grow by millions of bytes while packets wait: shared buffers. V8 does not count
 * their bytes, so that growth sets off no collection of garbage, each of which would stop the thread
 * (docs/performance.md, "Pauses"). Of what was let go V8 must learn, lest it leave the memory where it
 * is: an ordinary buffer, never touched and garbage at once, is counted, and V8 collects.
 */

/** Bytes that may have been let go before V8 is told, by all tables of the thread. */
export const UNTOLD = 1 << 27;

/** TypeScript's ES2022 does not know the option, every Node that is supported does. */
const Resizable = ArrayBuffer as new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer;

let untold = 0;
/** Exported so that no compiler finds it is of no use. */
export let told: ArrayBuffer | null = null;

/** Words of such memory, all 0. */
export function uncounted(words: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * words));
}

/** So many bytes of it are nobody's any more. */
export function letGo(bytes: number): void {
  untold += bytes;
  if (untold < UNTOLD) return;
  try {
    // Resizable, it comes from the kernel; another may come from what was freed, and all of it would be cleared.
    told = new Resizable(untold, { maxByteLength: untold });
  } catch {
    // No addresses are left for it (ulimit -v): V8 collects when it has to.
  }
  told = null;
  untold = 0;
}
