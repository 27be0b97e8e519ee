/**
 * Bytes received in order and not yet read: a list of blocks that are written once
 * and handed out as views, so the user's bytes are copied exactly once, from the
 * packet ring. Blocks start small and grow with the stream (64 bytes, 2 KiB .. 64 KiB).
 *
 * Memory: what is queued, at most one partly filled block more; bounded by the
 * receive window.
 */
/** An answer of a few bytes: an array that V8 keeps beside its object (send-queue.ts). */
const FEW = 64;
const SMALLEST_BLOCK = 2048;
const LARGEST_BLOCK = 65536;

export class ReceiveQueue {
  private readonly blocks: Uint8Array[] = [];
  /** First unread byte of blocks[0]; first free byte of the last block. */
  private start = 0;
  private end = 0;
  length = 0;

  append(source: Uint8Array, offset: number, count: number): void {
    let left = count;
    let from = offset;
    while (left > 0) {
      const block = this.tail(left);
      const n = Math.min(left, block.length - this.end);
      if (n <= 32) for (let i = 0; i < n; i++) block[this.end + i] = source[from + i]!;
      else block.set(source.subarray(from, from + n), this.end);
      this.end += n;
      from += n;
      left -= n;
    }
    this.length += count;
  }

  /** Up to `max` bytes as a view of a block that is never written there again; null when empty. */
  read(max: number): Uint8Array | null {
    if (this.length === 0 || max <= 0) return null;
    const block = this.blocks[0]!;
    const last = this.blocks.length === 1;
    const stop = last ? this.end : block.length;
    const n = Math.min(max, stop - this.start);
    const view = block.subarray(this.start, this.start + n);
    this.start += n;
    this.length -= n;
    if (this.start === stop && (!last || stop === block.length)) {
      this.blocks.shift();
      this.start = 0;
      if (last) this.end = 0;
    }
    return view;
  }

  /** The octet `offset` places behind the next one, -1 where there is none. */
  at(offset: number): number {
    if (offset < 0 || offset >= this.length) return -1;
    let place = offset + this.start;
    for (const block of this.blocks) {
      if (place < block.length) return block[place]!;
      place -= block.length;
    }
    return -1;
  }

  clear(): void {
    this.blocks.length = 0;
    this.start = 0;
    this.end = 0;
    this.length = 0;
  }

  private tail(wanted: number): Uint8Array {
    const last = this.blocks[this.blocks.length - 1];
    if (last !== undefined && this.end < last.length) return last;
    const size = last === undefined && wanted <= FEW ? FEW : this.larger(last, wanted);
    const block = new Uint8Array(size);
    this.blocks.push(block);
    this.end = 0;
    return block;
  }

  private larger(last: Uint8Array | undefined, wanted: number): number {
    const grown = last === undefined ? 0 : last.length * 2;
    return Math.min(LARGEST_BLOCK, Math.max(SMALLEST_BLOCK, grown, wanted));
  }
}
