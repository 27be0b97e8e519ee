/**
 * Packets from one worker to another: a ring of bytes in shared memory with one writer and one reader.
 *
 *     head                 tail
 *      v                    v
 *   [ length offload packet | length offload packet |         ]   each aligned to 4 bytes, none across the end
 *
 * The writer owns `tail`, the reader `head`; a packet is there once the writer has moved `tail` behind it.
 * A full lane refuses, it never grows.
 *
 * Memory: as many bytes as it was made with, of which the system provides those that have been used.
 */
import type { PacketRing } from '../wire/ring.js';

/** Words of what processors fetch at once: what one thread writes is not in the same line as what another does. */
export const LINE = 16;
const HEAD = 0;
const TAIL = LINE;
const CONTROL_BYTES = 4 * 2 * LINE;
const HEADER_BYTES = 8;
/** In place of a length: the rest up to the end is empty. */
const SKIP = -1;

export class Lane {
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly size: number;

  /** What both ends are made of. `size`: a power of two, more than twice the largest packet. */
  static memory(size: number): SharedArrayBuffer {
    return new SharedArrayBuffer(CONTROL_BYTES + size);
  }

  constructor(memory: SharedArrayBuffer) {
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.words = new Int32Array(memory, CONTROL_BYTES);
    this.bytes = new Uint8Array(memory, CONTROL_BYTES);
    this.size = this.bytes.length;
  }

  /** False: there is no room for it. */
  put(from: Uint8Array, offset: number, length: number, offload: number): boolean {
    let tail = this.control[TAIL]!;
    const used = (tail - Atomics.load(this.control, HEAD)) & (this.size - 1);
    const wanted = HEADER_BYTES + ((length + 3) & ~3);
    const rest = this.size - tail;
    const skipped = rest < wanted ? rest : 0;
    // One word stays free, or full would look like empty.
    if (used + skipped + wanted > this.size - 4) return false;
    if (skipped > 0) {
      this.words[tail >> 2] = SKIP;
      tail = 0;
    }
    this.words[tail >> 2] = length;
    this.words[(tail >> 2) + 1] = offload;
    this.bytes.set(from.subarray(offset, offset + length), tail + HEADER_BYTES);
    Atomics.store(this.control, TAIL, (tail + wanted) & (this.size - 1));
    return true;
  }

  /** Moves packets into the free slots of the ring, `most` at most, from the oldest on; returns how many. */
  take(ring: PacketRing, most: number): number {
    const tail = Atomics.load(this.control, TAIL);
    let head = this.control[HEAD]!;
    let taken = 0;
    while (head !== tail && taken < most && ring.free > 0) {
      const length = this.words[head >> 2]!;
      if (length === SKIP) {
        head = 0;
        continue;
      }
      const at = head + HEADER_BYTES;
      ring.bytes.set(this.bytes.subarray(at, at + length), ring.tailOffset());
      ring.push(length, 0, this.words[(head >> 2) + 1]!);
      head = (at + ((length + 3) & ~3)) & (this.size - 1);
      taken++;
    }
    Atomics.store(this.control, HEAD, head);
    return taken;
  }
}
