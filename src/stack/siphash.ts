/**
 * SipHash (Aumasson and Bernstein): the keyed hash behind the flow table, initial sequence
 * numbers, ports and timestamp offsets. Key and message are laid into the memory of the
 * WebAssembly module, nothing is allocated per call: 37 ns for an IPv4 tuple with 1 and 3
 * rounds, where pairs of int32 in JavaScript take 92 (measured, bench/micro.ts).
 */
import { memory, sipHash } from '../wire/assembly.wat.js';

const view = new DataView(memory.buffer);
/** Where the message begins, and how much of it there may be with its last block (wire/assembly.wat). */
const MESSAGE = 16;
const LONGEST = 1000;

export class SipHash {
  private readonly k0l: number;
  private readonly k0h: number;
  private readonly k1l: number;
  private readonly k1h: number;
  /** The 64-bit result of the last call. */
  lo = 0;
  hi = 0;

  /** `key`: 16 bytes, little-endian as in the reference. */
  constructor(
    key: Uint8Array,
    private readonly compressions: 1 | 2 = 2,
    private readonly finalizations: 3 | 4 = 4,
  ) {
    if (key.length < 16) throw new RangeError(`a SipHash key has 16 bytes, got ${key.length}`);
    const words = new DataView(key.buffer, key.byteOffset, 16);
    this.k0l = words.getInt32(0, true);
    this.k0h = words.getInt32(4, true);
    this.k1l = words.getInt32(8, true);
    this.k1h = words.getInt32(12, true);
  }

  /**
   * Hash of a four-tuple and one word more: int32, all 64 bits in `lo` and `hi`. The
   * message is 16 bytes for IPv4 (local, remote, ports, extra), 40 for IPv6.
   */
  hashTuple(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
    extra: number,
  ): number {
    if (l0 === 0 && l1 === 0 && l2 === 0xffff) {
      view.setInt32(MESSAGE, l3, true);
      view.setInt32(MESSAGE + 4, r3, true);
      view.setInt32(MESSAGE + 8, (localPort << 16) | remotePort, true);
      view.setInt32(MESSAGE + 12, extra, true);
      return this.digest(16, 0, 16 << 24);
    }
    view.setInt32(MESSAGE, l0, true);
    view.setInt32(MESSAGE + 4, l1, true);
    view.setInt32(MESSAGE + 8, l2, true);
    view.setInt32(MESSAGE + 12, r0, true);
    view.setInt32(MESSAGE + 16, r1, true);
    view.setInt32(MESSAGE + 20, r2, true);
    view.setInt32(MESSAGE + 24, l3, true);
    view.setInt32(MESSAGE + 28, r3, true);
    view.setInt32(MESSAGE + 32, (localPort << 16) | remotePort, true);
    view.setInt32(MESSAGE + 36, extra, true);
    return this.digest(40, 0, 40 << 24);
  }

  /** SipHash of up to 1000 bytes, as the reference defines it. */
  hashBytes(bytes: Uint8Array): void {
    if (bytes.length > LONGEST) throw new RangeError(`at most ${LONGEST} bytes, got ${bytes.length}`);
    const whole = bytes.length & ~7;
    for (let i = 0; i < whole; i++) view.setUint8(MESSAGE + i, bytes[i]!);
    const tail = new DataView(new ArrayBuffer(8));
    for (let i = whole; i < bytes.length; i++) tail.setUint8(i - whole, bytes[i]!);
    tail.setUint8(7, bytes.length);
    this.digest(whole, tail.getInt32(0, true), tail.getInt32(4, true));
  }

  /** SipHash of eight bytes, given as two little-endian words; the result is in `lo` and `hi`. */
  hashWords(lo: number, hi: number): void {
    view.setInt32(MESSAGE, lo, true);
    view.setInt32(MESSAGE + 4, hi, true);
    this.digest(8, 0, 8 << 24);
  }

  /** The `length` bytes that lie in the message, a multiple of eight, then the last block. */
  private digest(length: number, lastLo: number, lastHi: number): number {
    view.setInt32(0, this.k0l, true);
    view.setInt32(4, this.k0h, true);
    view.setInt32(8, this.k1l, true);
    view.setInt32(12, this.k1h, true);
    view.setInt32(MESSAGE + length, lastLo, true);
    view.setInt32(MESSAGE + length + 4, lastHi, true);
    const mixed = sipHash(this.compressions, this.finalizations, MESSAGE + length + 8);
    this.lo = view.getInt32(0, true);
    this.hi = view.getInt32(4, true);
    return mixed;
  }
}
