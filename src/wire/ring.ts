/**
 * A packet ring: the memory that packets live in between a link and the engine.
 *
 *     head                tail = head + count
 *      v                   v
 *   [ p ][ p ][ p ][ p ][   ][   ][   ]      slots of `slotSize` bytes each,
 *                                            the number of slots a power of two
 *
 * Producers write at `tailOffset()` and `push(length)`; consumers read packet i
 * (0 = oldest) at `offsetOf(i)` and `drop(n)`. The addon reads and writes the same
 * memory: `bytes`, `lengths`, one crossing per batch. Nothing is allocated after
 * construction; a full ring refuses, it never grows.
 */
import { giveMemory, takeMemory } from './checksum.js';

/**
 * An entry of `PacketRing.offloads` with this bit: the transport checksum is not to be judged by
 * its field. On the way in somebody vouches for the packet; on the way out the field holds the sum
 * of the pseudo-header and the device finishes it.
 */
export const CHECKSUM_OFFLOADED = 1 << 16;
/** The other bits: bytes of text in each segment that the device makes, or made this one of; 0: it is one. */
export const SEGMENT_SIZE = 0xffff;

/** Pieces of text elsewhere that one packet may refer to. */
export const PARTS = 4;
/**
 * Words of `PacketRing.spans` for a slot: how many pieces, then offset and length of each. An offset is
 * written as its complement when the piece lies in the same array as the one before it in the ring: a
 * device need not ask for that array again.
 */
export const SPAN = 1 + 2 * PARTS;

/** A slot for any packet. No power of two, so that the headers in all slots do not meet in the same lines of a cache. */
export const LARGEST_SLOT = 65_536 + 192;

export class PacketRing {
  /** Slots in use: all, unless `use` said less. */
  slots: number;
  readonly slotSize: number;
  readonly bytes: Uint8Array;
  /** Packet length per slot, bytes. */
  readonly lengths: Int32Array;
  /** Reason id per slot (see reasons.ts), 0 when the packet took the plain path. */
  readonly reasons: Int32Array;
  /** What a device does for, or did to, the packet in each slot: 0 nothing. Only links that say so set or heed it. */
  readonly offloads: Int32Array;
  /**
   * Packets may end in text that lies elsewhere, for a device that gathers it: such a slot holds the
   * headers only, `spans` and `texts` say where the rest is. It must stay as it is until the packet
   * was dropped, or `own` was called.
   */
  readonly gathers: boolean;
  readonly spans: Int32Array;
  /** PARTS a slot. */
  readonly texts: (Uint8Array | null)[] = [];
  /** Packets that have such text. */
  referring = 0;
  /** The array that was referred to last. */
  private lastText: Uint8Array | null = null;
  head = 0;
  count = 0;

  /** `summed`: its packets' checksums are to be computed, so it lies where that needs no copy, as far as there is room (checksum.ts). */
  constructor(slots: number, slotSize: number, gathers = false, summed = false) {
    if (slots < 1 || (slots & (slots - 1)) !== 0)
      throw new RangeError(`slots must be a power of two, got ${slots}`);
    this.slots = slots;
    this.slotSize = slotSize;
    this.bytes = summed ? takeMemory(slots * slotSize) : new Uint8Array(slots * slotSize);
    this.lengths = new Int32Array(slots);
    this.reasons = new Int32Array(slots);
    this.offloads = new Int32Array(slots);
    this.gathers = gathers;
    this.spans = new Int32Array(gathers ? slots * SPAN : 0);
    if (gathers) for (let i = 0; i < slots * PARTS; i++) this.texts.push(null);
  }

  /** Slot index of packet i, counted from the oldest. */
  slotOf(i: number): number {
    return (this.head + i) & (this.slots - 1);
  }

  /** Byte offset of packet i, counted from the oldest. */
  offsetOf(i: number): number {
    return ((this.head + i) & (this.slots - 1)) * this.slotSize;
  }

  lengthOf(i: number): number {
    return this.lengths[(this.head + i) & (this.slots - 1)]!;
  }

  get free(): number {
    return this.slots - this.count;
  }

  /** Byte offset of the next free slot; only valid while `free > 0`. */
  tailOffset(): number {
    return ((this.head + this.count) & (this.slots - 1)) * this.slotSize;
  }

  /** Takes the packet just written at `tailOffset()` into the ring. */
  push(length: number, reason: number, offload = 0): void {
    const slot = (this.head + this.count) & (this.slots - 1);
    this.lengths[slot] = length;
    this.reasons[slot] = reason;
    this.offloads[slot] = offload;
    this.count++;
  }

  /** Packet i takes the place of packet j, both counted from the oldest. */
  move(i: number, j: number): void {
    if (i === j) return;
    const from = this.slotOf(i);
    const to = this.slotOf(j);
    const length = this.lengths[from]!;
    const at = from * this.slotSize;
    this.bytes.copyWithin(to * this.slotSize, at, at + length);
    this.lengths[to] = length;
    this.reasons[to] = this.reasons[from]!;
    this.offloads[to] = this.offloads[from]!;
  }

  /** From here on `slots` of the slots are in use, a power of two and no more than were made. The ring is empty. */
  use(slots: number): void {
    this.slots = slots;
    this.head = 0;
  }

  /** The next packet goes on with this text. At most PARTS times a packet, before `push`. */
  refer(text: Uint8Array, offset: number, length: number): void {
    const slot = (this.head + this.count) & (this.slots - 1);
    const parts = this.spans[slot * SPAN]!++;
    if (parts === 0) this.referring++;
    this.texts[slot * PARTS + parts] = text;
    this.spans[slot * SPAN + 1 + 2 * parts] = text === this.lastText ? ~offset : offset;
    this.lastText = text;
    this.spans[slot * SPAN + 2 + 2 * parts] = length;
  }

  /** Text that lies elsewhere is copied into its packets: it may change. */
  own(): void {
    for (let i = 0; this.referring > 0; i++) {
      const slot = this.slotOf(i);
      const at = slot * SPAN;
      let end = slot * this.slotSize + this.lengths[slot]!;
      for (let part = this.spans[at]! - 1; part >= 0; part--) {
        const written = this.spans[at + 1 + 2 * part]!;
        const offset = written < 0 ? ~written : written;
        const length = this.spans[at + 2 + 2 * part]!;
        end -= length;
        this.bytes.set(this.texts[slot * PARTS + part]!.subarray(offset, offset + length), end);
      }
      this.forget(slot);
    }
  }

  private forget(slot: number): void {
    const parts = this.spans[slot * SPAN]!;
    if (parts === 0) return;
    this.spans[slot * SPAN] = 0;
    for (let part = 0; part < parts; part++) this.texts[slot * PARTS + part] = null;
    if (--this.referring === 0) this.lastText = null;
  }

  /** Forgets the n oldest packets. */
  drop(n: number): void {
    for (let i = 0; i < n && this.referring > 0; i++) this.forget(this.slotOf(i));
    this.count -= n;
    // An empty ring begins at its first slots again: they are the ones in the cache.
    this.head = this.count === 0 ? 0 : (this.head + n) & (this.slots - 1);
  }

  clear(): void {
    this.drop(this.count);
  }

  /** A ring made with `summed` is not used any more. */
  release(): void {
    giveMemory(this.bytes);
  }
}
