/**
 * SipHash (Aumasson and Bernstein) over 32-bit words: the keyed hash behind the flow
 * table, initial sequence numbers, ports and timestamp offsets. 64-bit lanes are
 * pairs of int32, nothing is allocated per call.
 */
export class SipHash {
  private readonly k0l: number;
  private readonly k0h: number;
  private readonly k1l: number;
  private readonly k1h: number;
  /** The 64-bit result of the last call. */
  lo = 0;
  hi = 0;

  private v0l = 0;
  private v0h = 0;
  private v1l = 0;
  private v1h = 0;
  private v2l = 0;
  private v2h = 0;
  private v3l = 0;
  private v3h = 0;

  /** `key`: 16 bytes, little-endian as in the reference. */
  constructor(
    key: Uint8Array,
    private readonly compressions: 1 | 2 = 2,
    private readonly finalizations: 3 | 4 = 4,
  ) {
    if (key.length < 16) throw new RangeError(`a SipHash key has 16 bytes, got ${key.length}`);
    const view = new DataView(key.buffer, key.byteOffset, 16);
    this.k0l = view.getInt32(0, true);
    this.k0h = view.getInt32(4, true);
    this.k1l = view.getInt32(8, true);
    this.k1h = view.getInt32(12, true);
  }

  /**
   * Hash of a four-tuple and one word more; int32, all 64 bits in `lo` and `hi`. The
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
    this.start();
    const v6 = l0 !== 0 || l1 !== 0 || l2 !== 0xffff;
    if (v6) {
      this.block(l0, l1);
      this.block(l2, r0);
      this.block(r1, r2);
    }
    this.block(l3, r3);
    this.block((localPort << 16) | remotePort, extra);
    this.finish(0, (v6 ? 40 : 16) << 24);
    return this.lo ^ this.hi;
  }

  /** SipHash of bytes, as the reference defines it. */
  hashBytes(bytes: Uint8Array): void {
    this.start();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const whole = bytes.length & ~7;
    for (let i = 0; i < whole; i += 8) this.block(view.getInt32(i, true), view.getInt32(i + 4, true));
    const tail = new Uint8Array(8);
    tail.set(bytes.subarray(whole));
    tail[7] = bytes.length;
    const last = new DataView(tail.buffer);
    this.finish(last.getInt32(0, true), last.getInt32(4, true));
  }

  /** SipHash of eight bytes, given as two little-endian words; the result is in `lo` and `hi`. */
  hashWords(lo: number, hi: number): void {
    this.start();
    this.block(lo, hi);
    this.finish(0, 8 << 24);
  }

  private start(): void {
    this.v0l = this.k0l ^ 0x70736575;
    this.v0h = this.k0h ^ 0x736f6d65;
    this.v1l = this.k1l ^ 0x6e646f6d;
    this.v1h = this.k1h ^ 0x646f7261;
    this.v2l = this.k0l ^ 0x6e657261;
    this.v2h = this.k0h ^ 0x6c796765;
    this.v3l = this.k1l ^ 0x79746573;
    this.v3h = this.k1h ^ 0x74656462;
  }

  private block(lo: number, hi: number): void {
    this.v3l ^= lo;
    this.v3h ^= hi;
    for (let i = 0; i < this.compressions; i++) this.round();
    this.v0l ^= lo;
    this.v0h ^= hi;
  }

  private finish(lo: number, hi: number): void {
    this.block(lo, hi);
    this.v2l ^= 0xff;
    for (let i = 0; i < this.finalizations; i++) this.round();
    this.lo = this.v0l ^ this.v1l ^ this.v2l ^ this.v3l;
    this.hi = this.v0h ^ this.v1h ^ this.v2h ^ this.v3h;
  }

  private round(): void {
    let { v0l, v0h, v1l, v1h, v2l, v2h, v3l, v3h } = this;
    let sum = (v0l >>> 0) + (v1l >>> 0);
    v0h = (v0h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
    v0l = sum | 0;
    let t = v1l;
    v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
    v1h = ((v1h << 13) | (t >>> 19)) ^ v0h;
    t = v0l;
    v0l = v0h;
    v0h = t;
    sum = (v2l >>> 0) + (v3l >>> 0);
    v2h = (v2h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
    v2l = sum | 0;
    t = v3l;
    v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
    v3h = ((v3h << 16) | (t >>> 16)) ^ v2h;
    sum = (v0l >>> 0) + (v3l >>> 0);
    v0h = (v0h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
    v0l = sum | 0;
    t = v3l;
    v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
    v3h = ((v3h << 21) | (t >>> 11)) ^ v0h;
    sum = (v2l >>> 0) + (v1l >>> 0);
    v2h = (v2h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
    v2l = sum | 0;
    t = v1l;
    v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
    v1h = ((v1h << 17) | (t >>> 15)) ^ v2h;
    t = v2l;
    v2l = v2h;
    v2h = t;
    this.v0l = v0l;
    this.v0h = v0h;
    this.v1l = v1l;
    this.v1h = v1h;
    this.v2l = v2l;
    this.v2h = v2h;
    this.v3l = v3l;
    this.v3h = v3h;
  }
}
