/**
 * Memory for tables that grow and shrink by millions of bytes while packets wait: shared buffers.
 * V8 does not count their bytes, so that growth sets off no collection of garbage, each of which
 * would stop the thread (docs/performance.md, "Pauses").
 *
 * What comes back goes to the kernel at once where the host has a `discard`, and the addresses
 * are kept for the next block of that size. Without one V8 has to collect it, and must be told:
 * an ordinary buffer, never touched and garbage at once, is counted, and V8 collects.
 *
 * Bound: addresses of as many blocks as were out at once; of memory, where they do not begin at
 * a page, the two pages at their ends.
 */

/** Makes all words 0 and gives their memory back, save what shares a page with something else. */
export type Discard = (block: Int32Array) => void;

/** Smaller ones, in words, are V8's like any other. */
const SMALLEST = 1 << 14;

/** Bytes that may have come back before V8 is told. */
export const UNTOLD = 1 << 27;

/** TypeScript's ES2022 does not know the option, every Node that is supported does. */
const Resizable = ArrayBuffer as new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer;

/** Exported so that no compiler finds it is of no use. */
export let told: ArrayBuffer | null = null;

export class Blocks {
  /** Kept blocks by their words. */
  private readonly kept = new Map<number, Int32Array[]>();
  private untold = 0;
  /** Bytes of the blocks that are out and that V8 does not count. */
  uncounted = 0;

  constructor(private readonly discard?: Discard) {}

  /** A block of so many words, all 0. */
  take(words: number): Int32Array {
    if (words < SMALLEST) return new Int32Array(words);
    this.uncounted += 4 * words;
    return this.kept.get(words)?.pop() ?? new Int32Array(new SharedArrayBuffer(4 * words));
  }

  /** Nobody reads or writes the block any more. `blank`: nobody ever wrote, so it has no memory. */
  give(block: Int32Array, blank = false): void {
    if (block.length < SMALLEST) return;
    this.uncounted -= block.byteLength;
    if (this.discard === undefined) this.tell(blank ? 0 : block.byteLength);
    else {
      if (!blank) this.discard(block);
      const kept = this.kept.get(block.length);
      if (kept === undefined) this.kept.set(block.length, [block]);
      else kept.push(block);
    }
  }

  private tell(bytes: number): void {
    this.untold += bytes;
    if (this.untold < UNTOLD) return;
    try {
      // Resizable, it comes from the kernel; another may come from what was freed, and all of it would be cleared.
      told = new Resizable(this.untold, { maxByteLength: this.untold });
    } catch {
      // No addresses are left for it (ulimit -v): V8 collects when it has to.
    }
    told = null;
    this.untold = 0;
  }
}
