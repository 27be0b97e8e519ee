/**
 * The send queue as the writes that filled it left it: a list of buffers, each a run of bytes that is
 * sent by itself (Linux: the sk_buffs of the write and retransmission queues). Kept where the dialect
 * counts and pushes by buffers, and where a record must not be joined with what follows it.
 *
 *     | end, mark | end, mark | ...      a buffer begins where the one before ends
 *
 * Memory: 8 bytes a buffer, at most 4096 buffers; beyond that a write joins the last one.
 */
import { after, before } from '../seqnum.js';

/** The last byte carries PSH. */
export const PUSH = 1;
/** Nothing is joined behind: the last byte ends a record (MSG_EOR). */
export const RECORD = 2;
/** The last byte carried PSH as the end of a burst of several segments, not of a write: again only when the whole burst is resent. */
export const BURST = 4;

const MOST = 4096;
const SMALLEST = 8;

export class Writes {
  private cells = new Int32Array(2 * SMALLEST);
  private head = 0;
  private tail = 0;

  /** `start` is where the first buffer begins: SND.UNA, or the first byte behind our SYN. */
  constructor(private start: number) {}

  get count(): number {
    return (this.tail - this.head) >> 1;
  }

  get end(): number {
    return this.tail === this.head ? this.start : this.cells[this.tail - 2]!;
  }

  /** Where the last buffer begins. */
  get lastStart(): number {
    return this.count < 2 ? this.start : this.cells[this.tail - 4]!;
  }

  get lastMark(): number {
    return this.tail === this.head ? 0 : this.cells[this.tail - 1]!;
  }

  /** An empty buffer behind the others. */
  open(): void {
    if (this.count >= MOST) {
      this.cells[this.tail - 1]! &= ~RECORD;
      return;
    }
    this.room();
    this.cells[this.tail] = this.end;
    this.cells[this.tail + 1] = 0;
    this.tail += 2;
  }

  /** The last buffer takes `bytes` more. */
  extend(bytes: number): void {
    this.cells[this.tail - 2] = (this.cells[this.tail - 2]! + bytes) | 0;
  }

  mark(bits: number): void {
    if (this.tail > this.head) this.cells[this.tail - 1]! |= bits;
  }

  unmark(bits: number): void {
    if (this.tail > this.head) this.cells[this.tail - 1]! &= ~bits;
  }

  /** Everything below `una` was acknowledged. */
  acknowledge(una: number): void {
    while (this.head < this.tail && !after(this.cells[this.head]!, una)) {
      this.start = this.cells[this.head]!;
      this.head += 2;
    }
    if (after(una, this.start)) this.start = una;
    if (this.head === this.tail) {
      this.head = 0;
      this.tail = 0;
    }
  }

  /** Where the buffer that holds `seq` ends; `seq` itself when there is none. */
  endOf(seq: number): number {
    const at = this.find(seq);
    return at < 0 ? seq : this.cells[at]!;
  }

  /** A buffer ends at `end`, and its last byte is marked so. */
  markedAt(end: number, bits: number): boolean {
    const at = this.find((end - 1) | 0);
    return at >= 0 && this.cells[at] === end && (this.cells[at + 1]! & bits) !== 0;
  }

  /** `seq` lies in the last buffer. */
  isLast(seq: number): boolean {
    return !before(seq, this.lastStart);
  }

  /** Cuts a buffer at `seq`, so that what is below leaves by itself, with these marks. */
  cut(seq: number, bits: number): void {
    const at = this.find((seq - 1) | 0);
    if (at < 0) return;
    if (this.cells[at] === seq || this.count >= MOST) {
      this.cells[at + 1]! |= bits;
      return;
    }
    const fromTail = this.tail - at;
    this.room();
    const here = this.tail - fromTail;
    this.cells.copyWithin(here + 2, here, this.tail);
    this.tail += 2;
    this.cells[here] = seq;
    this.cells[here + 1] = bits;
  }

  /**
   * Where a segment of up to `length` bytes from `seq` on ends when it is resent: at the end of its
   * buffer, further when whole buffers fit behind it that no record keeps apart (Linux tcp_retrans_try_collapse).
   */
  resendEnd(seq: number, length: number): number {
    const limit = (seq + length) | 0;
    let at = this.find(seq);
    if (at < 0 || after(this.cells[at]!, limit)) return limit;
    let end = this.cells[at]!;
    while ((this.cells[at + 1]! & RECORD) === 0 && (at += 2) < this.tail && !after(this.cells[at]!, limit))
      end = this.cells[at]!;
    return end;
  }

  /** Index of the cell of the buffer that holds `seq`, -1: none does. */
  private find(seq: number): number {
    if (before(seq, this.start) || !before(seq, this.end)) return -1;
    let low = this.head;
    let high = this.tail - 2;
    while (low < high) {
      const middle = low + (((high - low) >> 2) << 1);
      if (after(this.cells[middle]!, seq)) high = middle;
      else low = middle + 2;
    }
    return low;
  }

  /** For one buffer more. */
  private room(): void {
    if (this.tail + 2 <= this.cells.length) return;
    const used = this.tail - this.head;
    const cells = used * 2 <= this.cells.length ? this.cells : new Int32Array(2 * this.cells.length);
    if (cells === this.cells) cells.copyWithin(0, this.head, this.tail);
    else cells.set(this.cells.subarray(this.head, this.tail));
    this.cells = cells;
    this.tail = used;
    this.head = 0;
  }
}
