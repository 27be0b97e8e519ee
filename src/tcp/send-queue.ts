/**
 * Bytes accepted from the user and not yet acknowledged: a list of pieces, each a run of bytes in
 * memory of our own, into which they were copied, or in the user's, who lent it. Position 0 is the
 * oldest unacknowledged byte.
 *
 * A large packet's text goes from here to the device, where that can gather (ring.ts). Before memory
 * is used again, or the user has his back, packets that still wait in the ring take what they need.
 *
 * Memory: what is queued, and at both ends what a block of at most 64 KiB has besides; the caller
 * bounds it by refusing bytes above the connection's send limit. What is left when all was
 * acknowledged is less than a block of 64 KiB.
 */
import type { PacketRing } from '../wire/ring.js';
import { PARTS } from '../wire/ring.js';
import { noChunks } from './chunks.js';

/** V8 keeps an array of up to 64 bytes beside its object; a larger one costs an allocation of its own, ten times as much (measured). */
const FEW = 64;
const SMALLEST_BLOCK = 4096;
const LARGEST_BLOCK = 65_536;
/** Shorter text is copied: into the ring, and where it was to be lent. */
const WORTH_A_PIECE = 4096;

class Piece {
  next: Piece | null = null;
  /** [start, end) of `bytes` are queued. */
  start = 0;
  end = 0;

  constructor(
    public bytes: Uint8Array,
    public own: boolean,
  ) {}

  get length(): number {
    return this.end - this.start;
  }
}

export class SendQueue {
  /** Where memory comes from. */
  chunks = noChunks;
  /** The ring whose packets may refer to it. */
  tx: PacketRing | null = null;
  private head: Piece | null = null;
  private tail: Piece | null = null;
  /** A piece that was looked at last, and its position: most looks are at what follows. */
  private seen: Piece | null = null;
  private seenAt = 0;
  /** A piece without bytes, to be used again. */
  private spare: Piece | null = null;
  length = 0;

  /** Copies `count` bytes of `source` behind the queued ones. */
  append(source: Uint8Array, offset: number, count: number): void {
    let from = offset;
    for (let left = count; left > 0;) {
      const { tail } = this;
      const piece = tail !== null && tail.own && tail.end < tail.bytes.length ? tail : this.open(left);
      const n = Math.min(left, piece.bytes.length - piece.end);
      copy(source, from, n, piece.bytes, piece.end);
      piece.end += n;
      from += n;
      left -= n;
    }
    this.length += count;
  }

  /** The same without a copy, where it is worth it: these bytes of `source` do not change until they are released. */
  lend(source: Uint8Array, offset: number, count: number): void {
    const { tail } = this;
    const joins = tail !== null && !tail.own && tail.bytes === source && tail.end === offset;
    if (!joins && count < WORTH_A_PIECE) {
      this.append(source, offset, count);
      return;
    }
    if (joins) tail.end += count;
    else this.push(source, false, offset, offset + count);
    this.length += count;
  }

  /** The text of a packet, `count` bytes from position `from`: into the last slot of the ring, at `offset` of its memory, or a reference to it. */
  emit(from: number, count: number, tx: PacketRing, offset: number): void {
    if (!tx.gathers || count < WORTH_A_PIECE || !this.refer(from, count, tx))
      this.copyTo(from, count, tx.bytes, offset);
  }

  /** False: it lies in more pieces than a packet may refer to. */
  private refer(from: number, count: number, tx: PacketRing): boolean {
    const first = this.find(from);
    const within = from - this.seenAt;
    let parts = 1;
    for (let piece = first, at = piece.length - within; at < count; parts++) {
      piece = piece.next!;
      at += piece.length;
    }
    if (parts > PARTS) return false;
    let piece = first;
    let start = piece.start + within;
    for (let left = count; left > 0;) {
      const n = Math.min(left, piece.end - start);
      tx.refer(piece.bytes, start, n);
      left -= n;
      if (left === 0) break;
      piece = piece.next!;
      start = piece.start;
    }
    return true;
  }

  /** Copies `count` bytes from position `from` to `target` at `offset`. */
  copyTo(from: number, count: number, target: Uint8Array, offset: number): void {
    if (count === 0) return;
    let piece = this.find(from);
    let start = piece.start + from - this.seenAt;
    let at = offset;
    for (let left = count; left > 0;) {
      const n = Math.min(left, piece.end - start);
      copy(piece.bytes, start, n, target, at);
      at += n;
      left -= n;
      if (left === 0) break;
      piece = piece.next!;
      start = piece.start;
    }
  }

  /** Forgets the `count` oldest bytes: they were acknowledged. */
  release(count: number): void {
    this.disown();
    this.length -= count;
    this.seenAt = Math.max(0, this.seenAt - count);
    let left = count;
    for (let piece = this.head; piece !== null && left >= piece.length; piece = this.head) {
      left -= piece.length;
      // The last block is filled again, from its start.
      if (piece === this.tail && piece.own && piece.bytes.length < LARGEST_BLOCK) {
        piece.start = 0;
        piece.end = 0;
        return;
      }
      this.shift(piece);
    }
    if (this.head !== null) this.head.start += left;
  }

  /** What was lent and is still here is copied: the user has his memory back. */
  own(): void {
    this.disown();
    this.seen = null;
    for (let piece = this.head; piece !== null; piece = piece.next) {
      if (piece.own) continue;
      const { bytes, start } = piece;
      let rest = piece.length;
      for (let from = start; ; piece = this.after(piece)) {
        const n = Math.min(rest, LARGEST_BLOCK);
        piece.bytes = this.chunks.take(blockFor(n));
        piece.own = true;
        copy(bytes, from, n, piece.bytes, 0);
        piece.start = 0;
        piece.end = n;
        from += n;
        rest -= n;
        if (rest === 0) break;
      }
    }
  }

  clear(): void {
    this.disown();
    while (this.head !== null) this.shift(this.head);
    this.spare = null;
    this.length = 0;
  }

  /** Packets in the ring refer to nothing of ours any more. */
  private disown(): void {
    if (this.tx !== null && this.tx.referring > 0) this.tx.own();
  }

  private shift(piece: Piece): void {
    if (this.seen === piece) this.seen = null;
    this.head = piece.next;
    if (this.head === null) this.tail = null;
    if (piece.own) this.chunks.give(piece.bytes);
    piece.bytes = nothing;
    piece.next = null;
    this.spare = piece;
  }

  /** The piece in which position `from` lies; its own position is `seenAt` then. */
  private find(from: number): Piece {
    let piece = this.seen;
    if (piece === null || from < this.seenAt) {
      piece = this.head!;
      this.seenAt = 0;
    }
    for (let past = this.seenAt + piece.length; from >= past; past += piece.length) {
      this.seenAt = past;
      piece = piece.next!;
    }
    this.seen = piece;
    return piece;
  }

  private open(wanted: number): Piece {
    const { tail } = this;
    const grown = tail !== null && tail.own ? 2 * tail.bytes.length : 0;
    const size = tail === null && wanted <= FEW ? FEW : Math.max(grown, blockFor(wanted));
    return this.push(this.chunks.take(Math.min(size, LARGEST_BLOCK)), true, 0, 0);
  }

  /** A new piece behind this one. */
  private after(before: Piece): Piece {
    const piece = new Piece(nothing, true);
    piece.next = before.next;
    before.next = piece;
    if (this.tail === before) this.tail = piece;
    return piece;
  }

  private push(bytes: Uint8Array, own: boolean, start: number, end: number): Piece {
    const { spare, tail } = this;
    const piece = spare ?? new Piece(bytes, own);
    this.spare = null;
    piece.bytes = bytes;
    piece.own = own;
    piece.start = start;
    piece.end = end;
    if (tail === null) this.head = piece;
    else tail.next = piece;
    this.tail = piece;
    return piece;
  }
}

const nothing = new Uint8Array(0);

/** Size of a block for so many bytes, or for the first of them. */
function blockFor(wanted: number): number {
  let size = SMALLEST_BLOCK;
  while (size < wanted && size < LARGEST_BLOCK) size *= 2;
  return size;
}

function copy(source: Uint8Array, from: number, count: number, target: Uint8Array, at: number): void {
  // A few bytes need no view made for them: up to about 32 a loop takes no longer (measured).
  if (count <= 32) for (let i = 0; i < count; i++) target[at + i] = source[from + i]!;
  else if (count === source.length) target.set(source, at);
  else target.set(source.subarray(from, from + count), at);
}
