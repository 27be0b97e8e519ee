/**
 * Packets on their way through a slow wire: a bounded set of copies, each with the
 * moment it is due, handed out in the order of those moments (equal ones in the
 * order they came).
 */
import type { PacketRing } from '../wire/ring.js';
import { TimerWheel } from '../time/wheel.js';

export class DelayQueue {
  /** One packet's memory per id, made when first needed and kept. */
  private readonly packets: Uint8Array[] = [];
  private readonly lengths: Int32Array;
  /** Ids free for use: a stack. */
  private readonly free: Int32Array;
  private freeCount: number;
  private readonly wheel: TimerWheel;

  /** `limit`: packets; `size`: bytes of the largest packet; `now`: int32 ms. */
  constructor(
    readonly limit: number,
    private readonly size: number,
    now: number,
  ) {
    this.lengths = new Int32Array(limit);
    this.free = new Int32Array(limit);
    for (let i = 0; i < limit; i++) this.free[i] = limit - 1 - i;
    this.freeCount = limit;
    this.wheel = new TimerWheel(now, Math.min(limit, 64));
  }

  get count(): number {
    return this.limit - this.freeCount;
  }

  /** Copies a packet in, due `delay` ms from `now` (0: at once). False: the queue is full or the packet too large. */
  push(bytes: Uint8Array, offset: number, length: number, now: number, delay: number): boolean {
    if (this.freeCount === 0 || length > this.size) return false;
    const id = this.free[--this.freeCount]!;
    let memory = this.packets[id];
    if (memory === undefined) this.packets[id] = memory = new Uint8Array(this.size);
    memory.set(bytes.subarray(offset, offset + length));
    this.lengths[id] = length;
    this.wheel.sync(now);
    this.wheel.arm(id, (now + delay) | 0);
    return true;
  }

  /** Moves packets that are due into the free slots of the ring; returns how many. Larger ones than a slot are lost. */
  drain(ring: PacketRing, now: number): number {
    let moved = 0;
    while (ring.free > 0) {
      const id = this.wheel.expire(now);
      if (id < 0) break;
      const length = this.lengths[id]!;
      this.free[this.freeCount++] = id;
      if (length > ring.slotSize) continue;
      ring.bytes.set(this.packets[id]!.subarray(0, length), ring.tailOffset());
      ring.push(length, 0);
      moved++;
    }
    return moved;
  }

  /** ms until a packet may be due, 0 when one is, -1 when the queue is empty. */
  nextDeadline(now: number): number {
    return this.wheel.nextDeadline(now);
  }
}
