/**
 * Bytes accepted from the user and not yet acknowledged: a ring that grows on
 * demand by doubling. Position 0 is the oldest unacknowledged byte.
 *
 * Memory: the smallest power of two that held the most bytes ever queued (64, or 4096
 * and more); the caller bounds it by refusing bytes above the connection's send limit. An empty
 * queue above 64 KiB gives its memory back (chunks.ts).
 */
import { noChunks } from './chunks.js';

/** V8 keeps an array of up to 64 bytes beside its object; a larger one costs an allocation of its own, ten times as much (measured). */
const FEW = 64;
const SMALLEST = 4096;
const KEPT = 65536;

export class SendQueue {
  /** Where memory comes from. */
  chunks = noChunks;
  /** Size of the ring that was given back last: what this stream takes. */
  private usual = 0;
  private bytes: Uint8Array | null = null;
  private head = 0;
  length = 0;

  /** Copies `source` behind the queued bytes. */
  append(source: Uint8Array): void {
    const needed = this.length + source.length;
    const ring = this.bytes !== null && this.bytes.length >= needed ? this.bytes : this.grow(needed);
    const start = (this.head + this.length) & (ring.length - 1);
    const first = Math.min(source.length, ring.length - start);
    if (first === source.length) ring.set(source, start);
    else {
      ring.set(source.subarray(0, first), start);
      ring.set(source.subarray(first), 0);
    }
    this.length = needed;
  }

  /** Copies `count` bytes from position `from` to `target` at `offset`. */
  copyTo(from: number, count: number, target: Uint8Array, offset: number): void {
    const ring = this.bytes!;
    const start = (this.head + from) & (ring.length - 1);
    // A few bytes need no view made for them: up to about 32 a loop takes no longer (measured).
    if (count <= 32) {
      const mask = ring.length - 1;
      for (let i = 0; i < count; i++) target[offset + i] = ring[(start + i) & mask]!;
      return;
    }
    const first = Math.min(count, ring.length - start);
    target.set(ring.subarray(start, start + first), offset);
    if (first < count) target.set(ring.subarray(0, count - first), offset + first);
  }

  /** Forgets the `count` oldest bytes: they were acknowledged. */
  release(count: number): void {
    this.length -= count;
    if (this.length > 0) {
      this.head = (this.head + count) & (this.bytes!.length - 1);
      return;
    }
    this.head = 0;
    if (this.bytes !== null && this.bytes.length > KEPT) this.giveBack();
  }

  private giveBack(): void {
    if (this.bytes === null) return;
    this.usual = this.bytes.length;
    this.chunks.give(this.bytes);
    this.bytes = null;
  }

  clear(): void {
    this.giveBack();
    this.head = 0;
    this.length = 0;
  }

  private grow(needed: number): Uint8Array {
    let size = needed <= FEW ? FEW : Math.max(SMALLEST, this.bytes === null ? 0 : this.bytes.length);
    while (size < needed) size *= 2;
    if (this.bytes === null && this.usual > size && this.chunks.has(this.usual)) size = this.usual;
    const larger = this.chunks.take(size);
    if (this.length > 0) this.copyTo(0, this.length, larger, 0);
    if (this.bytes !== null) this.chunks.give(this.bytes);
    this.bytes = larger;
    this.head = 0;
    return larger;
  }
}
