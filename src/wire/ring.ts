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
export class PacketRing {
  readonly slots: number;
  readonly slotSize: number;
  readonly bytes: Uint8Array;
  /** Packet length per slot, bytes. */
  readonly lengths: Int32Array;
  /** Reason id per slot (see reasons.ts), 0 when the packet took the plain path. */
  readonly reasons: Int32Array;
  head = 0;
  count = 0;

  constructor(slots: number, slotSize: number) {
    if (slots < 1 || (slots & (slots - 1)) !== 0)
      throw new RangeError(`slots must be a power of two, got ${slots}`);
    this.slots = slots;
    this.slotSize = slotSize;
    this.bytes = new Uint8Array(slots * slotSize);
    this.lengths = new Int32Array(slots);
    this.reasons = new Int32Array(slots);
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
  push(length: number, reason: number): void {
    const slot = (this.head + this.count) & (this.slots - 1);
    this.lengths[slot] = length;
    this.reasons[slot] = reason;
    this.count++;
  }

  /** Forgets the n oldest packets. */
  drop(n: number): void {
    this.head = (this.head + n) & (this.slots - 1);
    this.count -= n;
  }

  clear(): void {
    this.head = 0;
    this.count = 0;
  }
}
