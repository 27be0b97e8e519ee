/**
 * Data that arrived ahead of RCV.NXT (RFC 9293 SHLD-31).
 *
 * Bytes lie in pages of 16 KiB at their sequence number; ranges say which bytes
 * are there. A byte that arrived first stays: overlapping copies never overwrite.
 *
 * Memory: at most `maxRanges` disjoint ranges, and pages only for the bytes between
 * RCV.NXT and the right edge of the window, allocated when touched and dropped when
 * RCV.NXT passes; a segment that would need one range more is refused (the peer
 * sends it again).
 */
import { after, before, max, min } from '../seqnum.js';
import type { ReceiveQueue } from './receive-queue.js';

const PAGE_BITS = 14;
const PAGE = 1 << PAGE_BITS;

export const STORED = 0;
/** Nothing new in it: all bytes were there before. */
export const KNOWN = 1;
export const FULL = 2;

export class Reassembly {
  private readonly pages = new Map<number, Uint8Array>();
  /** Ranges [left, right) in sequence order: left at 2i, right at 2i + 1. */
  private edges: number[] = [];
  /** Bytes waiting. */
  length = 0;
  /** For each range, which of all changes was its last. */
  private changes: number[] = [];
  private changed = 0;
  /** The first bytes of what was stored last that were there before: [overlapLeft, overlapRight) (RFC 2883). */
  overlaps = false;
  overlapLeft = 0;
  overlapRight = 0;
  /** Ranges that lay whole in what was stored last. */
  swallowed = 0;

  get ranges(): number {
    return this.edges.length >> 1;
  }

  left(i: number): number {
    return this.edges[2 * i]!;
  }

  right(i: number): number {
    return this.edges[2 * i + 1]!;
  }

  /** Stores `count` bytes that start at sequence number `seq`. */
  store(seq: number, source: Uint8Array, offset: number, count: number, maxRanges: number): number {
    const edges = this.edges;
    const end = (seq + count) | 0;
    // First range whose right edge is at or after seq: everything before it stays untouched.
    let i = 0;
    while (i < edges.length && before(edges[i + 1]!, seq)) i += 2;
    // Ranges i .. j-2 touch or overlap [seq, end).
    let j = i;
    while (j < edges.length && !after(edges[j]!, end)) j += 2;
    this.overlaps = false;
    this.swallowed = 0;
    if (i === j && this.ranges >= maxRanges) return FULL;
    let at = seq;
    let added = 0;
    for (let k = i; k < j; k += 2) {
      const left = edges[k]!;
      if (!before(left, seq) && !after(edges[k + 1]!, end)) this.swallowed++;
      if (before(at, left)) {
        const gap = (left - at) | 0;
        this.write(at, source, offset + ((at - seq) | 0), gap);
        added += gap;
      }
      if (!before(at, edges[k + 1]!)) continue;
      if (!this.overlaps) this.noteOverlap(max(at, left), min(edges[k + 1]!, end));
      at = edges[k + 1]!;
    }
    if (before(at, end)) {
      const rest = (end - at) | 0;
      this.write(at, source, offset + ((at - seq) | 0), rest);
      added += rest;
    }
    const left = j > i && before(edges[i]!, seq) ? edges[i]! : seq;
    const right = j > i && after(edges[j - 1]!, end) ? edges[j - 1]! : end;
    edges.splice(i, j - i, left, right);
    this.changes.splice(i >> 1, (j - i) >> 1, ++this.changed);
    this.length += added;
    return added > 0 ? STORED : KNOWN;
  }

  private noteOverlap(left: number, right: number): void {
    this.overlaps = before(left, right);
    this.overlapLeft = left;
    this.overlapRight = right;
  }

  /** Moves what now follows on `rcvNxt` into the queue; returns the new RCV.NXT. */
  drain(rcvNxt: number, queue: ReceiveQueue): number {
    const edges = this.edges;
    let at = rcvNxt;
    let used = 0;
    while (used < edges.length && !after(edges[used]!, at)) {
      const left = edges[used]!;
      const right = edges[used + 1]!;
      this.length -= (right - left) | 0;
      while (before(at, right)) {
        const within = at & (PAGE - 1);
        const n = Math.min(PAGE - within, (right - at) | 0);
        queue.append(this.pages.get(at >>> PAGE_BITS)!, within, n);
        at = (at + n) | 0;
      }
      used += 2;
    }
    if (used > 0) {
      edges.splice(0, used);
      this.changes.splice(0, used >> 1);
      this.dropPages();
    }
    return at;
  }

  /**
   * Fills SACK blocks: the range that changed last first (R2018-6), then the one that changed
   * before it, and so on (R2018-8). Block `first` is the first; returns how many there are then.
   */
  sackBlocks(out: Int32Array, first: number, most: number): number {
    let count = first;
    for (let later = Infinity; count < most; count++) {
      let next = -1;
      for (let i = 0; i < this.ranges; i++) {
        const change = this.changes[i]!;
        if (change < later && (next < 0 || change > this.changes[next]!)) next = i;
      }
      if (next < 0) break;
      out[2 * count] = this.left(next);
      out[2 * count + 1] = this.right(next);
      later = this.changes[next]!;
    }
    return count;
  }

  /** One range holds all of [from, to). */
  covers(from: number, to: number): boolean {
    for (let i = 0; i < this.ranges; i++) {
      if (!after(this.left(i), from) && !before(this.right(i), to)) return true;
    }
    return false;
  }

  /** Forgets what lies at `end` and beyond. */
  truncate(end: number): void {
    const { edges } = this;
    while (edges.length > 0 && after(edges.at(-1)!, end)) {
      const last = edges.length - 1;
      const from = before(edges[last - 1]!, end) ? end : edges[last - 1]!;
      this.length -= (edges[last]! - from) | 0;
      if (from !== end) edges.length -= 2;
      else edges[last] = end;
    }
  }

  clear(): void {
    this.pages.clear();
    this.edges = [];
    this.length = 0;
    this.changes = [];
  }

  private write(seq: number, source: Uint8Array, offset: number, count: number): void {
    let at = seq;
    let from = offset;
    let left = count;
    while (left > 0) {
      const key = at >>> PAGE_BITS;
      let page = this.pages.get(key);
      if (page === undefined) this.pages.set(key, (page = new Uint8Array(PAGE)));
      const within = at & (PAGE - 1);
      const n = Math.min(PAGE - within, left);
      page.set(source.subarray(from, from + n), within);
      at = (at + n) | 0;
      from += n;
      left -= n;
    }
  }

  /** Pages that no range touches any more are dropped. */
  private dropPages(): void {
    if (this.edges.length === 0) {
      this.pages.clear();
      return;
    }
    // All ranges lie above RCV.NXT, so a page is dead when it ends at or before the first range.
    const first = this.edges[0]! >>> PAGE_BITS;
    const pageMask = 0xffffffff >>> PAGE_BITS;
    for (const key of this.pages.keys()) {
      if (((first - key) & pageMask) !== 0 && ((first - key) & pageMask) <= pageMask >>> 1)
        this.pages.delete(key);
    }
  }
}
