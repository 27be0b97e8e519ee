/**
 * One received TCP segment: a flyweight, reloaded for every packet and never
 * retained. Behaviour reads these fields; nobody outside wire/ indexes bytes.
 *
 * Addresses are four int32 words, most significant first; an IPv4 address is held
 * IPv4-mapped (0, 0, 0x0000ffff, address), so one code path serves both versions.
 */
import { fold, halves, pseudoHeader, sum } from './checksum.js';
import { LOAD_BAD_CHECKSUM, LOAD_BAD_LENGTH, LOAD_BAD_OPTION, LOAD_OK, LOAD_TRUNCATED } from './codes.js';
import { IpHeader } from './ip.js';

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/** 'TW': the experiment id of the option that gives TIME-WAIT to the active opener. Its value is one octet, 1. */
export const HOLDER_EXID = 0x5457;
export const EXPERIMENTAL = 253;
/** RFC 5482 3: 15 bits of seconds, or of minutes when the highest bit is set. */
export const USER_TIMEOUT = 28;
/** Fast Open (RFC 7413 2): the option, and the form it had as an experiment (RFC 6994, ExID F989). */
export const FAST_OPEN = 34;
export const FAST_OPEN_EXPERIMENT = 254;
export const FAST_OPEN_EXID = 0xf989;
/** Bytes of a cookie (R7413-1). */
export const COOKIE_MIN = 4;
export const COOKIE_MAX = 16;

export * from './codes.js';

const TCP = 6;
export const NOP_NOP_TIMESTAMP = 0x0101080a;

export class Segment {
  /** The packet's memory; the payload is bytes[payloadOffset .. payloadOffset + payloadLength). */
  bytes: Uint8Array = new Uint8Array(0);
  payloadOffset = 0;
  payloadLength = 0;
  /** Text of each of the segments that a device merged into this one, the last one's may be shorter; 0: it is one. */
  mergedSize = 0;
  /** The options are bytes[optionsOffset .. payloadOffset). */
  optionsOffset = 0;

  version = 4;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** TTL or hop limit, DSCP+ECN byte. */
  ttl = 0;
  tos = 0;

  srcPort = 0;
  dstPort = 0;
  /** SEG.SEQ, SEG.ACK: int32 serial numbers. */
  seq = 0;
  ack = 0;
  flags = 0;
  /** The 16-bit window field, unscaled, 0..65535. */
  wnd = 0;
  /** The 16-bit urgent pointer. */
  urgent = 0;

  /** MSS option, -1 when absent. */
  mss = -1;
  /** Window scale shift as received (may exceed 14), -1 when absent. */
  windowScale = -1;
  sackPermitted = false;
  /** The active opener is to hold TIME-WAIT: our experimental option on a SYN (RFC 6994, ExID HOLDER_EXID). */
  holder = false;
  /** User timeout of RFC 5482, s; 0 when absent (0 itself says nothing). */
  userTimeout = 0;
  hasTimestamp = false;
  tsVal = 0;
  tsEcr = 0;
  /** SACK blocks: left edge of block i at sack[2i], right edge at sack[2i + 1]; at most 4. */
  sackCount = 0;
  readonly sack = new Int32Array(8);
  /** Fast Open on a SYN: bytes of the cookie at `cookieOffset`, 0 asks for one, -1 when absent. */
  cookieLength = -1;
  cookieOffset = 0;
  /** It came in the experimental form. */
  cookieExperiment = false;

  get hasSyn(): boolean {
    return (this.flags & SYN) !== 0;
  }

  get hasFin(): boolean {
    return (this.flags & FIN) !== 0;
  }

  get hasRst(): boolean {
    return (this.flags & RST) !== 0;
  }

  get hasAck(): boolean {
    return (this.flags & ACK) !== 0;
  }

  /** SEG.LEN: payload plus one for SYN and one for FIN. */
  get length(): number {
    return this.payloadLength + ((this.flags >> 1) & 1) + (this.flags & 1);
  }

  /** Text of one segment as its sender cut it. */
  get textSize(): number {
    return this.mergedSize > 0 ? this.mergedSize : this.payloadLength;
  }

  /** Segments that arrived as this one. */
  get count(): number {
    return this.mergedSize > 0 ? Math.ceil(this.payloadLength / this.mergedSize) : 1;
  }

  /** SEG.SEQ + SEG.LEN. */
  get end(): number {
    return (this.seq + this.length) | 0;
  }

  /**
   * Reads the TCP segment of a loaded packet; a LOAD_ code. Whatever the bytes are, it
   * reads nothing outside the packet and never throws. Every field is set anew: with
   * LOAD_TRUNCATED those of the TCP header are 0; with any other code the fixed header is
   * as received; with LOAD_BAD_OPTION the options before the bad one are valid too.
   */
  load(ip: IpHeader, verifyChecksum: boolean, mergedSize = 0): number {
    const at = ip.payloadOffset;
    const length = ip.payloadLength;
    this.clear(ip);
    if (length < 20) return LOAD_TRUNCATED;
    const { view } = ip;
    const fourth = view.getInt32(at + 12);
    const header = (fourth >>> 28) << 2;
    this.loadFixed(view, at, fourth);
    // R9293-2
    if (header < 20 || header > length) return LOAD_BAD_LENGTH;
    this.optionsOffset = at + 20;
    this.payloadOffset = at + header;
    this.payloadLength = length - header;
    if (this.payloadLength > mergedSize) this.mergedSize = mergedSize;
    // MUST-3
    if (verifyChecksum && !this.verify()) return LOAD_BAD_CHECKSUM;
    return header === 20 ? LOAD_OK : this.loadOptions(ip.bytes, at + 20, at + header);
  }

  private loadFixed(view: DataView, at: number, fourth: number): void {
    const ports = view.getInt32(at);
    this.srcPort = ports >>> 16;
    this.dstPort = ports & 0xffff;
    this.seq = view.getInt32(at + 4);
    this.ack = view.getInt32(at + 8);
    this.flags = (fourth >> 16) & 0xff;
    this.wnd = fourth & 0xffff;
    this.urgent = view.getInt32(at + 16) & 0xffff;
  }

  /**
   * Reads a packet as most are once a connection is open: an IP header without options or extensions, no fragment, no
   * SYN, no TCP options but timestamps in the usual place. False when it is any other one or its IP header is broken:
   * only `IpHeader.load` and `load` say what it is then. The TCP checksum is left to `verify`.
   */
  loadPlain(bytes: Uint8Array, offset: number, length: number, mergedSize: number): boolean {
    if (length < 40) return false;
    if (bytes !== this.viewed) {
      this.viewed = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const { view } = this;
    const first = view.getInt32(offset);
    const v6 = first >>> 28 === 6;
    if (v6 && length < 60) return false;
    const at = offset + (v6 ? 40 : 20);
    const fourth = view.getInt32(at + 12);
    const header = (fourth >>> 28) << 2;
    if (((fourth >> 16) & SYN) !== 0 || (header !== 20 && header !== 32)) return false;
    const total = v6 ? 40 + (view.getInt32(offset + 4) >>> 16) : first & 0xffff;
    const payloadLength = offset + total - at - header;
    if (payloadLength < 0 || total > length) return false;
    const stamped = header === 32;
    if (stamped && view.getInt32(at + 20) !== NOP_NOP_TIMESTAMP) return false;
    if (!(v6 ? this.plainV6(view, offset, first) : this.plainV4(view, offset, first))) return false;
    this.bytes = bytes;
    this.loadFixed(view, at, fourth);
    this.forgetOptions();
    this.hasTimestamp = stamped;
    this.tsVal = stamped ? view.getInt32(at + 24) : 0;
    this.tsEcr = stamped ? view.getInt32(at + 28) : 0;
    this.optionsOffset = at + 20;
    this.payloadOffset = at + header;
    this.payloadLength = payloadLength;
    this.mergedSize = payloadLength > mergedSize ? mergedSize : 0;
    return true;
  }

  private plainV4(view: DataView, at: number, first: number): boolean {
    const second = view.getInt32(at + 4);
    const third = view.getInt32(at + 8);
    if (first >>> 24 !== 0x45 || (second & 0x3fff) !== 0 || ((third >> 16) & 0xff) !== TCP) return false;
    this.tos = (first >>> 16) & 0xff;
    this.version = 4;
    this.ttl = third >>> 24;
    this.src0 = 0;
    this.src1 = 0;
    this.src2 = 0xffff;
    this.src3 = view.getInt32(at + 12);
    this.dst0 = 0;
    this.dst1 = 0;
    this.dst2 = 0xffff;
    this.dst3 = view.getInt32(at + 16);
    return fold(halves(first) + halves(second) + halves(third) + halves(this.src3) + halves(this.dst3)) === 0;
  }

  private plainV6(view: DataView, at: number, first: number): boolean {
    const second = view.getInt32(at + 4);
    if (((second >> 8) & 0xff) !== TCP) return false;
    this.tos = (first >>> 20) & 0xff;
    this.version = 6;
    this.ttl = second & 0xff;
    this.src0 = view.getInt32(at + 8);
    this.src1 = view.getInt32(at + 12);
    this.src2 = view.getInt32(at + 16);
    this.src3 = view.getInt32(at + 20);
    this.dst0 = view.getInt32(at + 24);
    this.dst1 = view.getInt32(at + 28);
    this.dst2 = view.getInt32(at + 32);
    this.dst3 = view.getInt32(at + 36);
    return true;
  }

  /** MUST-3: the TCP checksum of a segment whose header was read. */
  verify(): boolean {
    const at = this.optionsOffset - 20;
    const length = this.payloadOffset + this.payloadLength - at;
    return fold(sum(this.bytes, at, length, this.pseudo(length))) === 0;
  }

  /** A packet from its first byte on, checksums verified: for tests and tools. A LOAD_ code of the IP header or the segment. */
  loadPacket(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
    const ip = new IpHeader();
    const loaded = ip.load(bytes, offset, length);
    if (loaded === LOAD_OK) return this.load(ip, true);
    this.clear(ip);
    return loaded;
  }

  /** What the IP header says, and nothing else. */
  private clear(ip: IpHeader): void {
    this.bytes = ip.bytes;
    this.version = ip.version;
    this.src0 = ip.src0;
    this.src1 = ip.src1;
    this.src2 = ip.src2;
    this.src3 = ip.src3;
    this.dst0 = ip.dst0;
    this.dst1 = ip.dst1;
    this.dst2 = ip.dst2;
    this.dst3 = ip.dst3;
    this.ttl = ip.ttl;
    this.tos = ip.tos;
    this.payloadOffset = ip.payloadOffset;
    this.payloadLength = 0;
    this.mergedSize = 0;
    this.optionsOffset = ip.payloadOffset;
    this.srcPort = 0;
    this.dstPort = 0;
    this.seq = 0;
    this.ack = 0;
    this.flags = 0;
    this.wnd = 0;
    this.urgent = 0;
    this.hasTimestamp = false;
    this.tsVal = 0;
    this.tsEcr = 0;
    this.forgetOptions();
  }

  /** All but timestamps. */
  private forgetOptions(): void {
    this.mss = -1;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.holder = false;
    this.userTimeout = 0;
    this.sackCount = 0;
    this.cookieLength = -1;
    this.cookieExperiment = false;
  }

  /** Where packets were last, and a view of it: one ring in practice. */
  private viewed: Uint8Array = new Uint8Array(0);
  private view = new DataView(this.viewed.buffer);

  private pseudo(length: number): number {
    return pseudoHeader(
      this.version,
      this.src0,
      this.src1,
      this.src2,
      this.src3,
      this.dst0,
      this.dst1,
      this.dst2,
      this.dst3,
      6,
      length,
    );
  }

  /** MUST-4 .. MUST-7, MUST-64, MUST-68: any alignment, unknown kinds skipped by their length. */
  private loadOptions(b: Uint8Array, start: number, end: number): number {
    const syn = (this.flags & SYN) !== 0;
    let at = start;
    while (at < end) {
      const kind = b[at]!;
      if (kind === 0) return LOAD_OK;
      if (kind === 1) {
        at++;
        continue;
      }
      if (at + 1 >= end) return LOAD_BAD_OPTION;
      const length = b[at + 1]!;
      if (length < 2 || at + length > end) return LOAD_BAD_OPTION;
      switch (kind) {
        case 2:
          if (length !== 4) return LOAD_BAD_OPTION;
          if (syn) this.mss = (b[at + 2]! << 8) | b[at + 3]!;
          break;
        case 3:
          if (length !== 3) return LOAD_BAD_OPTION;
          // R7323-6
          if (syn) this.windowScale = b[at + 2]!;
          break;
        case 4:
          if (length !== 2) return LOAD_BAD_OPTION;
          if (syn) this.sackPermitted = true;
          break;
        case 5:
          if (length < 10 || (length - 2) % 8 !== 0) return LOAD_BAD_OPTION;
          this.loadSack(b, at + 2, (length - 2) >> 3);
          break;
        case 8:
          if (length !== 10) return LOAD_BAD_OPTION;
          this.hasTimestamp = true;
          this.tsVal = (b[at + 2]! << 24) | (b[at + 3]! << 16) | (b[at + 4]! << 8) | b[at + 5]!;
          this.tsEcr = (b[at + 6]! << 24) | (b[at + 7]! << 16) | (b[at + 8]! << 8) | b[at + 9]!;
          break;
        case FAST_OPEN:
          if (syn) this.loadCookie(at + 2, length - 2, false);
          break;
        case FAST_OPEN_EXPERIMENT:
          if (syn && length >= 4 && ((b[at + 2]! << 8) | b[at + 3]!) === FAST_OPEN_EXID)
            this.loadCookie(at + 4, length - 4, true);
          break;
        case USER_TIMEOUT:
          // RFC 5482 3: of another length it says nothing
          if (length === 4) {
            const value = ((b[at + 2]! & 0x7f) << 8) | b[at + 3]!;
            this.userTimeout = (b[at + 2]! & 0x80) === 0 ? value : 60 * value;
          }
          break;
        case EXPERIMENTAL:
          if (syn && length === 5 && ((b[at + 2]! << 8) | b[at + 3]!) === HOLDER_EXID)
            this.holder = b[at + 4] === 1;
          break;
      }
      at += length;
    }
    return LOAD_OK;
  }

  /** R7413-1: an odd length is as if the option were absent; of several the last counts, as on Linux. */
  private loadCookie(at: number, length: number, experiment: boolean): void {
    if ((length & 1) !== 0) return;
    const valid = length === 0 || (length >= COOKIE_MIN && length <= COOKIE_MAX);
    this.cookieLength = valid ? length : -1;
    this.cookieOffset = at;
    this.cookieExperiment = experiment;
  }

  private loadSack(b: Uint8Array, at: number, blocks: number): void {
    this.sackCount = blocks < 4 ? blocks : 4;
    for (let i = 0; i < 2 * this.sackCount; i++) {
      const p = at + 4 * i;
      this.sack[i] = (b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!;
    }
  }
}
