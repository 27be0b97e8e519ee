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

const TCP = 6;
const NOP_NOP_SACK_OK = 0x01010402;
const SACK_OK_EOL_EOL = 0x04020000;
const SACK_OK_TIMESTAMP = 0x0402080a;
/** Without length and value. */
const NOP_NOP_SACK = 0x01010500;
const NOP_SCALE = 0x01030300;

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

  /**
   * Writes the TCP header of a packet that begins at `offset`, and leaves room for the IP header before it, which
   * `finish` writes; returns their length together. The payload follows there.
   */
  writeHeaders(b: Uint8Array, offset: number): number {
    const view = this.viewOf(b);
    const ip = this.version === 4 ? 20 : 40;
    const at = offset + ip;
    const tcp = 20 + this.optionLength();
    view.setInt32(at, (this.srcPort << 16) | this.dstPort);
    view.setInt32(at + 4, this.seq);
    view.setInt32(at + 8, this.ack);
    // R9293-1: reserved bits zero
    view.setInt32(at + 12, (tcp << 26) | (this.flags << 16) | this.wnd);
    view.setInt32(at + 16, this.urgent);
    if (tcp > 20) this.writeOptions(b, view, at + 20);
    return ip + tcp;
  }

  private viewOf(b: Uint8Array): DataView {
    if (b !== this.viewed) {
      this.viewed = b;
      this.view = new DataView(b.buffer, b.byteOffset, b.byteLength);
    }
    return this.view;
  }

  /** The customary layout: mss, sackOK beside TS, nop before wscale; nop nop TS, nop nop sack. */
  private writeOptions(b: Uint8Array, view: DataView, start: number): void {
    let at = start;
    if (this.carriesMss()) {
      view.setInt32(at, (2 << 24) | (4 << 16) | this.mss);
      at += 4;
    }
    if (this.scaleFirst) at = this.writeScale(view, at);
    if (this.sackPermitted && !this.hasTimestamp) {
      view.setInt32(at, this.scaleFirst ? SACK_OK_EOL_EOL : NOP_NOP_SACK_OK);
      at += 4;
    }
    if (this.hasTimestamp) {
      view.setInt32(at, this.sackPermitted ? SACK_OK_TIMESTAMP : NOP_NOP_TIMESTAMP);
      view.setInt32(at + 4, this.tsVal);
      view.setInt32(at + 8, this.tsEcr);
      at += 12;
    }
    if (!this.scaleFirst) at = this.writeScale(view, at);
    if (this.holder) {
      view.setInt32(at, (0x010101 << 8) | EXPERIMENTAL);
      view.setInt32(at + 4, (5 << 24) | (HOLDER_EXID << 8) | 1);
      at += 8;
    }
    if (this.userTimeout > 0) {
      const minutes = this.userTimeout > 0x7fff;
      const value = minutes ? Math.min(0x7fff, Math.ceil(this.userTimeout / 60)) : this.userTimeout;
      view.setInt32(at, (USER_TIMEOUT << 24) | (4 << 16) | (minutes ? 0x8000 : 0) | value);
      at += 4;
    }
    if (this.sackCount > 0) {
      view.setInt32(at, NOP_NOP_SACK | (2 + 8 * this.sackCount));
      for (let i = 0; i < 2 * this.sackCount; i++) view.setInt32(at + 4 + 4 * i, this.sack[i]!);
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

  private writeScale(view: DataView, at: number): number {
    if (this.windowScale < 0) return at;
    view.setInt32(at, NOP_SCALE | this.windowScale);
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
    const view = this.viewOf(b);
    const tcp = stamped === true ? 32 : 20;
    const at = ends.version === 4 ? offset + 20 : offset + 40;
    const { tos, local0, local1, local2, local3, remote0, remote1, remote2, remote3 } = ends;
    const pseudo =
      ends.version === 4
        ? this.writeV4(view, offset, tcp, tos, local3, remote3)
        : this.writeV6(
            view,
            offset,
            tcp,
            tos,
            local0,
            local1,
            local2,
            local3,
            remote0,
            remote1,
            remote2,
            remote3,
          );
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

  /** The IPv4 header for `tcp` bytes; the sum of the pseudo-header. */
  private writeV4(
    view: DataView,
    at: number,
    tcp: number,
    tos: number,
    source: number,
    destination: number,
  ): number {
    const first = (((0x45 << 8) | tos) << 16) | (20 + tcp);
    // R7323-52: don't fragment
    const second = (this.ident << 16) | (this.dontFragment === true ? 0x4000 : 0);
    const third = (this.ttl << 24) | (TCP << 16);
    const addresses = halves(source) + halves(destination);
    view.setInt32(at, first);
    view.setInt32(at + 4, second);
    view.setInt32(at + 8, third | fold(halves(first) + halves(second) + halves(third) + addresses));
    view.setInt32(at + 12, source);
    view.setInt32(at + 16, destination);
    return addresses + TCP + tcp;
  }

  /** The IPv6 header for `tcp` bytes, from s to d; the sum of the pseudo-header. */
  private writeV6(
    view: DataView,
    at: number,
    tcp: number,
    tos: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
  ): number {
    view.setInt32(at, (6 << 28) | (tos << 20));
    view.setInt32(at + 4, (tcp << 16) | (TCP << 8) | this.ttl);
    view.setInt32(at + 8, s0);
    view.setInt32(at + 12, s1);
    view.setInt32(at + 16, s2);
    view.setInt32(at + 20, s3);
    view.setInt32(at + 24, d0);
    view.setInt32(at + 28, d1);
    view.setInt32(at + 32, d2);
    view.setInt32(at + 36, d3);
    return pseudoHeader(6, s0, s1, s2, s3, d0, d1, d2, d3, TCP, tcp);
  }

  /** Writes the IP header and the checksums (MUST-2) once the payload is in place; returns the packet's length. */
  finish(b: Uint8Array, offset: number, headerLength: number, payloadLength: number): number {
    const view = this.viewOf(b);
    const total = headerLength + payloadLength;
    const v4 = this.version === 4;
    const at = v4 ? offset + 20 : offset + 40;
    const tcp = offset + total - at;
    const pseudo = v4
      ? this.writeV4(view, offset, tcp, this.tos, this.src3, this.dst3)
      : this.writeV6(
          view,
          offset,
          tcp,
          this.tos,
          this.src0,
          this.src1,
          this.src2,
          this.src3,
          this.dst0,
          this.dst1,
          this.dst2,
          this.dst3,
        );
    view.setInt16(at + 16, this.offload === true ? ~fold(pseudo) : fold(sum(b, at, tcp, pseudo)));
    return total;
  }
}
