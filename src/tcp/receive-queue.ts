/**
 * Bytes received in order and not yet read: a list of blocks that are written once and handed out as
 * views, so the user's bytes are copied exactly once, from the packet ring. Blocks start small and
 * grow with the stream (64 bytes, 2 KiB .. 64 KiB).
 *
 * `read` gives the memory away with the view. Who is done with the bytes at once takes `peek` and
 * `consume` instead: their blocks are used again, and while a batch of packets is at hand (loans.ts)
 * text of an empty queue is not copied at all, but shown where it is.
 *
 * Memory: what is queued, at most one partly filled block more; bounded by the
 * receive window.
 */
import { noChunks } from './chunks.js';
import { noLoans } from './loans.js';

/** An answer of a few bytes: an array that V8 keeps beside its object (send-queue.ts). */
const FEW = 64;
const SMALLEST_BLOCK = 2048;
const LARGEST_BLOCK = 65536;

export class ReceiveQueue {
  /** Where blocks come from. */
  chunks = noChunks;
  loans = noLoans;
  private readonly blocks: Uint8Array[] = [];
  /** First unread byte of blocks[0]; first free byte of the last block. */
  private start = 0;
  private end = 0;
  /** Somebody has a view on blocks[0]. */
  private lent = false;
  /** First and last piece of `loans`, -1 none: then they are all that is queued. */
  private piece = -1;
  private lastPiece = -1;
  length = 0;

  /** Text of the packet at hand. */
  take(source: Uint8Array, offset: number, count: number): void {
    const { loans } = this;
    const borrows = this.piece >= 0;
    const piece = borrows || this.length === 0 ? loans.add(source, offset, count) : -1;
    if (piece < 0) {
      this.append(source, offset, count);
      return;
    }
    if (borrows) loans.next[this.lastPiece] = piece;
    else {
      this.piece = piece;
      loans.borrowedBy(this);
    }
    this.lastPiece = piece;
    this.length += count;
  }

  /** The packets go: what lies in them is copied. */
  keep(): void {
    const { loans } = this;
    let { piece } = this;
    if (piece < 0) return;
    this.piece = -1;
    this.length = 0;
    for (; piece >= 0; piece = loans.next[piece]!)
      this.append(loans.bytes, loans.offset[piece]!, loans.length[piece]!);
  }

  append(source: Uint8Array, offset: number, count: number): void {
    this.keep();
    let left = count;
    let from = offset;
    while (left > 0) {
      const block = this.tail(left);
      const n = Math.min(left, block.length - this.end);
      if (n <= 32) for (let i = 0; i < n; i++) block[this.end + i] = source[from + i]!;
      else block.set(this.loans.view(source, from, n), this.end);
      this.end += n;
      from += n;
      left -= n;
    }
    this.length += count;
  }

  /** Up to `max` bytes as a view of a block that is never written there again; null when empty. */
  read(max: number): Uint8Array | null {
    this.keep();
    const view = this.peek(max);
    if (view === null) return null;
    this.lent = true;
    this.consume(view.length);
    return view;
  }

  /** The same bytes as a view that is valid until they are consumed. */
  peek(max: number): Uint8Array | null {
    if (this.length === 0 || max <= 0) return null;
    if (this.piece >= 0) {
      const { loans, piece } = this;
      return loans.view(loans.bytes, loans.offset[piece]!, Math.min(max, loans.length[piece]!));
    }
    return this.blocks[0]!.subarray(this.start, Math.min(this.start + max, this.stop));
  }

  /** Forgets the first `count` bytes. */
  consume(count: number): void {
    for (let left = count; left > 0;) {
      const most = this.piece >= 0 ? this.loans.length[this.piece]! : this.stop - this.start;
      const n = Math.min(left, most);
      if (this.piece >= 0) this.consumeBorrowed(n);
      else this.consumeBlock(n);
      left -= n;
    }
  }

  private consumeBorrowed(count: number): void {
    const { loans, piece } = this;
    this.length -= count;
    loans.offset[piece]! += count;
    loans.length[piece]! -= count;
    if (loans.length[piece] === 0) this.piece = loans.next[piece]!;
  }

  private consumeBlock(count: number): void {
    const block = this.blocks[0]!;
    const last = this.blocks.length === 1;
    const { stop } = this;
    this.start += count;
    this.length -= count;
    if (this.start < stop || (last && this.lent && stop < block.length)) return;
    this.start = 0;
    if (last) this.end = 0;
    // A small block that nobody saw is filled again from its start.
    if (last && !this.lent && block.length < LARGEST_BLOCK) return;
    this.blocks.shift();
    if (!this.lent) this.chunks.give(block);
    this.lent = false;
  }

  /** Where the text in blocks[0] ends. */
  private get stop(): number {
    return this.blocks.length === 1 ? this.end : this.blocks[0]!.length;
  }

  /** The octet `offset` places behind the next one, -1 where there is none. */
  at(offset: number): number {
    if (offset < 0 || offset >= this.length) return -1;
    this.keep();
    let place = offset + this.start;
    for (const block of this.blocks) {
      if (place < block.length) return block[place]!;
      place -= block.length;
    }
    return -1;
  }

  clear(): void {
    for (let i = this.lent ? 1 : 0; i < this.blocks.length; i++) this.chunks.give(this.blocks[i]!);
    if (this.blocks.length > 0) this.blocks.length = 0;
    this.start = 0;
    this.end = 0;
    this.lent = false;
    this.piece = -1;
    this.length = 0;
  }

  private tail(wanted: number): Uint8Array {
    const last = this.blocks[this.blocks.length - 1];
    if (last !== undefined && this.end < last.length) return last;
    const size = last === undefined && wanted <= FEW ? FEW : this.larger(last, wanted);
    const block = this.chunks.take(size);
    this.blocks.push(block);
    this.end = 0;
    return block;
  }

  private larger(last: Uint8Array | undefined, wanted: number): number {
    const grown = last === undefined ? 0 : last.length * 2;
    return Math.min(LARGEST_BLOCK, Math.max(SMALLEST_BLOCK, grown, wanted));
  }
}
