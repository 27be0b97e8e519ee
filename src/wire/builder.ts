import { fold, halves, pseudoHeader, sum } from './checksum.js';
import {
  ACK,
  COOKIE_MAX,
  EXPERIMENTAL,
  FAST_OPEN,
  FAST_OPEN_EXID,
  FAST_OPEN_EXPERIMENT,
  HOLDER_EXID,
  NOP_NOP_TIMESTAMP,
  SYN,
  USER_TIMEOUT,
} from './segment.js';

/** Both ends of a connection, as its TCB has them. */
export interface Ends {
  readonly version: number;
  readonly local0: number;
  readonly local1: number;
  readonly local2: number;
  readonly local3: number;
  readonly remote0: number;
  readonly remote1: number;
  readonly remote2: number;
  readonly remote3: number;
  readonly localPort: number;
  readonly remotePort: number;
  readonly tos: number;
}

/**
 * One outgoing TCP segment: fields are set, then written straight into a transmit
 * ring slot. A flyweight: nothing is allocated per packet.
 *
 *   const header = builder.writeHeaders(bytes, offset);   // IP + TCP header length
 *   ...copy `n` payload bytes to offset + header...
 *   const length = builder.finish(bytes, offset, header, n);
 */
export class SegmentBuilder {
  version = 4;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  ttl = 64;
  tos = 0;
  /** IPv4 Identification (with DF, RFC 6864 lets it be anything). */
  ident = 0;
  /** IPv4 DF. */
  dontFragment = true;

  srcPort = 0;
  dstPort = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** The 16-bit field as it goes on the wire. */
  wnd = 0;
  urgent = 0;

  /** The device finishes TCP checksums: the field gets the pseudo-header's sum (ring.ts CHECKSUM_OFFLOADED). */
  offload = false;

  /** How FreeBSD lays options out (tcp_addoptions): the window scale before SACK and timestamps, padding at the end. */
  scaleFirst = false;

  /** -1: option absent. */
  mss = -1;
  windowScale = -1;
  sackPermitted = false;
  /** The active opener is to hold TIME-WAIT (Segment.holder). */
  holder = false;
  /** s, 0: option absent. Above 32767 in minutes. */
  userTimeout = 0;
  hasTimestamp = false;
  tsVal = 0;
  tsEcr = 0;
  /** As in Segment; how many fit is the caller's to know: 4 alone, 3 beside the timestamps (40 bytes of options in all). */
  sackCount = 0;
  readonly sack = new Int32Array(8);
  /** Fast Open, as in Segment: bytes of `cookie`, 0 asks for one, -1 no option. */
  cookieLength = -1;
  cookieExperiment = false;
  readonly cookie = new Uint8Array(COOKIE_MAX);

  /** What was written last, and a view of it: one ring in practice. */
  private viewed: Uint8Array = new Uint8Array(0);
  private view = new DataView(this.viewed.buffer);

  /** Forgets all options. */
  reset(): void {
    this.mss = -1;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.holder = false;
    this.userTimeout = 0;
    this.hasTimestamp = false;
    this.tsVal = 0;
    this.tsEcr = 0;
    this.sackCount = 0;
    this.cookieLength = -1;
    this.cookieExperiment = false;
    this.urgent = 0;
    this.ident = 0;
    this.dontFragment = true;
  }

  /** IP and TCP header with the options now set, bytes: before writing, for MSS arithmetic. */
  headerLength(): number {
    return (this.version === 4 ? 40 : 60) + this.optionLength();
  }

  /** MUST-65: the MSS option goes out on a SYN only. */
  private carriesMss(): boolean {
    return this.mss >= 0 && (this.flags & SYN) !== 0;
  }

  private optionLength(): number {
    let n = this.hasTimestamp ? 12 : 0;
    if (this.carriesMss()) n += 4;
    if (this.sackPermitted) n += this.hasTimestamp ? 0 : 4;
    if (this.windowScale >= 0) n += 4;
    if (this.holder) n += 8;
    if (this.userTimeout > 0) n += 4;
    if (this.sackCount > 0) n += 4 + 8 * this.sackCount;
    if (this.cookieLength >= 0) n += (this.cookieLength + (this.cookieExperiment ? 7 : 5)) & ~3;
    return n;
  }

  /** Writes IP and TCP headers at `offset`; returns their length together. The payload follows there. */
  writeHeaders(b: Uint8Array, offset: number): number {
    const ip = this.version === 4 ? this.writeV4(b, offset) : this.writeV6(b, offset);
    const at = offset + ip;
    const tcp = 20 + this.optionLength();
    b[at] = this.srcPort >> 8;
    b[at + 1] = this.srcPort;
    b[at + 2] = this.dstPort >> 8;
    b[at + 3] = this.dstPort;
    put32(b, at + 4, this.seq);
    put32(b, at + 8, this.ack);
    // R9293-1: reserved bits zero
    b[at + 12] = tcp << 2;
    b[at + 13] = this.flags;
    b[at + 14] = this.wnd >> 8;
    b[at + 15] = this.wnd;
    b[at + 16] = 0;
    b[at + 17] = 0;
    b[at + 18] = this.urgent >> 8;
    b[at + 19] = this.urgent;
    if (tcp > 20) this.writeOptions(b, at + 20);
    return ip + tcp;
  }

  private writeV4(b: Uint8Array, at: number): number {
    b[at] = 0x45;
    b[at + 1] = this.tos;
    b[at + 4] = this.ident >> 8;
    b[at + 5] = this.ident;
    // R7323-52: don't fragment
    b[at + 6] = this.dontFragment ? 0x40 : 0;
    b[at + 7] = 0;
    b[at + 8] = this.ttl;
    b[at + 9] = 6;
    put32(b, at + 12, this.src3);
    put32(b, at + 16, this.dst3);
    return 20;
  }

  private writeV6(b: Uint8Array, at: number): number {
    b[at] = 0x60 | (this.tos >> 4);
    b[at + 1] = (this.tos << 4) & 0xf0;
    b[at + 2] = 0;
    b[at + 3] = 0;
    b[at + 6] = 6;
    b[at + 7] = this.ttl;
    put32(b, at + 8, this.src0);
    put32(b, at + 12, this.src1);
    put32(b, at + 16, this.src2);
    put32(b, at + 20, this.src3);
    put32(b, at + 24, this.dst0);
    put32(b, at + 28, this.dst1);
    put32(b, at + 32, this.dst2);
    put32(b, at + 36, this.dst3);
    return 40;
  }

  /** The customary layout: mss, sackOK beside TS, nop before wscale; nop nop TS, nop nop sack. */
  private writeOptions(b: Uint8Array, start: number): void {
    let at = start;
    if (this.carriesMss()) {
      b[at] = 2;
      b[at + 1] = 4;
      b[at + 2] = this.mss >> 8;
      b[at + 3] = this.mss;
      at += 4;
    }
    if (this.scaleFirst) at = this.writeScale(b, at);
    if (this.sackPermitted && !this.hasTimestamp) {
      // nop nop sackOK, or sackOK eol eol
      b[at] = this.scaleFirst ? 4 : 1;
      b[at + 1] = this.scaleFirst ? 2 : 1;
      b[at + 2] = this.scaleFirst ? 0 : 4;
      b[at + 3] = this.scaleFirst ? 0 : 2;
      at += 4;
    }
    if (this.hasTimestamp) {
      b[at] = this.sackPermitted ? 4 : 1;
      b[at + 1] = this.sackPermitted ? 2 : 1;
      b[at + 2] = 8;
      b[at + 3] = 10;
      put32(b, at + 4, this.tsVal);
      put32(b, at + 8, this.tsEcr);
      at += 12;
    }
    if (!this.scaleFirst) at = this.writeScale(b, at);
    if (this.holder) {
      b[at] = 1;
      b[at + 1] = 1;
      b[at + 2] = 1;
      b[at + 3] = EXPERIMENTAL;
      b[at + 4] = 5;
      b[at + 5] = HOLDER_EXID >> 8;
      b[at + 6] = HOLDER_EXID & 0xff;
      b[at + 7] = 1;
      at += 8;
    }
    if (this.userTimeout > 0) {
      const minutes = this.userTimeout > 0x7fff;
      const value = minutes ? Math.min(0x7fff, Math.ceil(this.userTimeout / 60)) : this.userTimeout;
      b[at] = USER_TIMEOUT;
      b[at + 1] = 4;
      b[at + 2] = (minutes ? 0x80 : 0) | (value >> 8);
      b[at + 3] = value;
      at += 4;
    }
    if (this.sackCount > 0) {
      b[at] = 1;
      b[at + 1] = 1;
      b[at + 2] = 5;
      b[at + 3] = 2 + 8 * this.sackCount;
      for (let i = 0; i < 2 * this.sackCount; i++) put32(b, at + 4 + 4 * i, this.sack[i]!);
      at += 4 + 8 * this.sackCount;
    }
    if (this.cookieLength >= 0) this.writeCookie(b, at);
  }

  /** Fast Open is the last option, NOPs behind it. */
  private writeCookie(b: Uint8Array, start: number): void {
    const length = this.cookieLength;
    let at = start;
    if (this.cookieExperiment) {
      b[at] = FAST_OPEN_EXPERIMENT;
      b[at + 1] = 4 + length;
      b[at + 2] = FAST_OPEN_EXID >> 8;
      b[at + 3] = FAST_OPEN_EXID & 0xff;
      at += 4;
    } else {
      b[at] = FAST_OPEN;
      b[at + 1] = 2 + length;
      at += 2;
    }
    for (let i = 0; i < length; i++) b[at + i] = this.cookie[i]!;
    at += length;
    while (((at - start) & 3) !== 0) b[at++] = 1;
  }

  private writeScale(b: Uint8Array, at: number): number {
    if (this.windowScale < 0) return at;
    b[at] = 1;
    b[at + 1] = 3;
    b[at + 2] = 3;
    b[at + 3] = this.windowScale;
    return at + 4;
  }

  /**
   * A whole ACK, from one end of a connection to the other, with timestamps or no options; its length. The same as
   * `writeHeaders` and `finish` with these fields, but in words whose sum is taken on the way.
   */
  writeAck(
    b: Uint8Array,
    offset: number,
    ends: Ends,
    seq: number,
    ack: number,
    wnd: number,
    stamped: boolean,
    tsVal: number,
    tsEcr: number,
  ): number {
    if (b !== this.viewed) {
      this.viewed = b;
      this.view = new DataView(b.buffer, b.byteOffset, b.byteLength);
    }
    const { view } = this;
    const tcp = stamped === true ? 32 : 20;
    const at = ends.version === 4 ? offset + 20 : offset + 40;
    const pseudo =
      6 +
      tcp +
      (ends.version === 4 ? this.putV4(view, offset, ends, tcp) : this.putV6(view, offset, ends, tcp));
    const ports = (ends.localPort << 16) | ends.remotePort;
    const fourth = (tcp << 26) | (ACK << 16) | wnd;
    let total = pseudo + halves(ports) + halves(seq) + halves(ack) + halves(fourth);
    view.setInt32(at, ports);
    view.setInt32(at + 4, seq);
    view.setInt32(at + 8, ack);
    view.setInt32(at + 12, fourth);
    if (tcp === 32) {
      total += halves(NOP_NOP_TIMESTAMP) + halves(tsVal) + halves(tsEcr);
      view.setInt32(at + 20, NOP_NOP_TIMESTAMP);
      view.setInt32(at + 24, tsVal);
      view.setInt32(at + 28, tsEcr);
    }
    const check = this.offload === true ? ~fold(pseudo) : fold(total);
    view.setInt32(at + 16, check << 16);
    return at + tcp - offset;
  }

  /** The IPv4 header for `tcp` bytes; the sum of the addresses. */
  private putV4(view: DataView, at: number, ends: Ends, tcp: number): number {
    const { local3, remote3 } = ends;
    const first = (((0x45 << 8) | ends.tos) << 16) | (20 + tcp);
    const second = this.dontFragment === true ? 0x4000 : 0;
    const third = (this.ttl << 24) | (6 << 16);
    const addresses = halves(local3) + halves(remote3);
    view.setInt32(at, first);
    view.setInt32(at + 4, second);
    view.setInt32(at + 8, third | fold(halves(first) + second + halves(third) + addresses));
    view.setInt32(at + 12, local3);
    view.setInt32(at + 16, remote3);
    return addresses;
  }

  /** The IPv6 header for `tcp` bytes; the sum of the addresses. */
  private putV6(view: DataView, at: number, ends: Ends, tcp: number): number {
    const { local0, local1, local2, local3, remote0, remote1, remote2, remote3 } = ends;
    view.setInt32(at, (6 << 28) | (ends.tos << 20));
    view.setInt32(at + 4, (tcp << 16) | (6 << 8) | this.ttl);
    view.setInt32(at + 8, local0);
    view.setInt32(at + 12, local1);
    view.setInt32(at + 16, local2);
    view.setInt32(at + 20, local3);
    view.setInt32(at + 24, remote0);
    view.setInt32(at + 28, remote1);
    view.setInt32(at + 32, remote2);
    view.setInt32(at + 36, remote3);
    const local = halves(local0) + halves(local1) + halves(local2) + halves(local3);
    return local + halves(remote0) + halves(remote1) + halves(remote2) + halves(remote3);
  }

  /** Fills in lengths and checksums (MUST-2) once the payload is in place; returns the packet's length. */
  finish(b: Uint8Array, offset: number, headerLength: number, payloadLength: number): number {
    const total = headerLength + payloadLength;
    const ip = this.version === 4 ? 20 : 40;
    const tcp = total - ip;
    if (this.version === 4) {
      b[offset + 2] = total >> 8;
      b[offset + 3] = total;
      b[offset + 10] = 0;
      b[offset + 11] = 0;
      const check = fold(sum(b, offset, 20, 0));
      b[offset + 10] = check >> 8;
      b[offset + 11] = check;
    } else {
      b[offset + 4] = tcp >> 8;
      b[offset + 5] = tcp;
    }
    const pseudo = pseudoHeader(
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
      tcp,
    );
    const check = this.offload ? ~fold(pseudo) & 0xffff : fold(sum(b, offset + ip, tcp, pseudo));
    b[offset + ip + 16] = check >> 8;
    b[offset + ip + 17] = check;
    return total;
  }
}

function put32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >> 24;
  b[at + 1] = value >> 16;
  b[at + 2] = value >> 8;
  b[at + 3] = value;
}
