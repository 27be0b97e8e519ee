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
 * Memory: LANE_BYTES, of which the system provides what has been used.
 */
import type { PacketRing } from '../wire/ring.js';

/** Room for eight of the largest packets; a power of two. */
export const LANE_BYTES = 1 << 19;

const HEAD = 0;
const TAIL = 1;
const CONTROL_BYTES = 64;
const HEADER_BYTES = 8;
/** In place of a length: the rest up to the end is empty. */
const SKIP = -1;

export class Lane {
  private readonly control: Int32Array;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  /** What both ends are made of. */
  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(CONTROL_BYTES + LANE_BYTES);
  }

  constructor(memory: SharedArrayBuffer) {
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.words = new Int32Array(memory, CONTROL_BYTES);
    this.bytes = new Uint8Array(memory, CONTROL_BYTES);
  }

  /** False: there is no room for it. */
  put(from: Uint8Array, offset: number, length: number, offload: number): boolean {
    let tail = this.control[TAIL]!;
    const used = (tail - Atomics.load(this.control, HEAD)) & (LANE_BYTES - 1);
    const size = HEADER_BYTES + ((length + 3) & ~3);
    const rest = LANE_BYTES - tail;
    const skipped = rest < size ? rest : 0;
    // One word stays free, or full would look like empty.
    if (used + skipped + size > LANE_BYTES - 4) return false;
    if (skipped > 0) {
      this.words[tail >> 2] = SKIP;
      tail = 0;
    }
    this.words[tail >> 2] = length;
    this.words[(tail >> 2) + 1] = offload;
    this.bytes.set(from.subarray(offset, offset + length), tail + HEADER_BYTES);
    Atomics.store(this.control, TAIL, (tail + size) & (LANE_BYTES - 1));
    return true;
  }

  /** Moves packets into the free slots of the ring, from the oldest on; returns how many. */
  take(ring: PacketRing): number {
    const tail = Atomics.load(this.control, TAIL);
    let head = this.control[HEAD]!;
    let taken = 0;
    while (head !== tail && ring.free > 0) {
      const length = this.words[head >> 2]!;
      if (length === SKIP) {
        head = 0;
        continue;
      }
      const at = head + HEADER_BYTES;
      ring.bytes.set(this.bytes.subarray(at, at + length), ring.tailOffset());
      ring.push(length, 0, this.words[(head >> 2) + 1]!);
      head = (at + ((length + 3) & ~3)) & (LANE_BYTES - 1);
      taken++;
    }
    Atomics.store(this.control, HEAD, head);
    return taken;
  }
}
