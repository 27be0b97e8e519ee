/**
 * SipHash (Aumasson and Bernstein): the keyed hash behind the flow table, initial sequence
 * numbers, ports and timestamp offsets. Key and message are laid into the memory of the
 * WebAssembly module, nothing is allocated per call. `TupleHash` hands a tuple's words over one by
 * one, which takes half the time (bench/README.md).
 */
import { memory, sipHash, sipHash16, sipHash40 } from '../wire/assembly.wat.js';

const view = new DataView(memory.buffer);
/** Where the message begins, and how much of it there may be with its last block (wire/assembly.wat). */
const MESSAGE = 16;
const LONGEST = 1000;

export class SipHash {
  private readonly k0: number;
  private readonly k1: number;
  private readonly k2: number;
  private readonly k3: number;
  /** The 64-bit result of the last call. */
  lo = 0;
  hi = 0;

  /** `key`: 16 bytes, little-endian as in the reference. */
  constructor(
    key: Uint8Array,
    private readonly compressions: 1 | 2 = 2,
    private readonly finalizations: 3 | 4 = 4,
  ) {
    [this.k0, this.k1, this.k2, this.k3] = wordsOf(key);
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
    view.setInt32(0, this.k0, true);
    view.setInt32(4, this.k1, true);
    view.setInt32(8, this.k2, true);
    view.setInt32(12, this.k3, true);
    view.setInt32(MESSAGE + length, lastLo, true);
    view.setInt32(MESSAGE + length + 4, lastHi, true);
    const mixed = sipHash(this.compressions, this.finalizations, MESSAGE + length + 8);
    this.lo = view.getInt32(0, true);
    this.hi = view.getInt32(4, true);
    return mixed;
  }
}

/** SipHash-1-3 of four-tuples, the messages of `SipHash.hashTuple` with no word more. */
export class TupleHash {
  private readonly k0: number;
  private readonly k1: number;
  private readonly k2: number;
  private readonly k3: number;

  constructor(key: Uint8Array) {
    [this.k0, this.k1, this.k2, this.k3] = wordsOf(key);
  }

  /** Both halves of the result, one xor the other: int32. */
  of(
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
  ): number {
    const { k0, k1, k2, k3 } = this;
    const ports = (localPort << 16) | remotePort;
    if (l0 === 0 && l1 === 0 && l2 === 0xffff) return sipHash16(k0, k1, k2, k3, l3, r3, ports);
    return sipHash40(k0, k1, k2, k3, l0, l1, l2, r0, r1, r2, l3, r3, ports);
  }
}

/** The four words of a key. */
function wordsOf(key: Uint8Array): [number, number, number, number] {
  if (key.length < 16) throw new RangeError(`a SipHash key has 16 bytes, got ${key.length}`);
  const words = new DataView(key.buffer, key.byteOffset, 16);
  return [
    words.getInt32(0, true),
    words.getInt32(4, true),
    words.getInt32(8, true),
    words.getInt32(12, true),
  ];
}
