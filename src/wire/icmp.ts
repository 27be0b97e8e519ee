/** ICMP (RFC 792, RFC 1191) and ICMPv6 (RFC 4443): what a TCP host needs of them. */
import { fold, pseudoHeader, sum } from './checksum.js';
import { IpHeader, half, word } from './ip.js';
import { LOAD_BAD_CHECKSUM, LOAD_OK, LOAD_TRUNCATED } from './codes.js';

export const OTHER = 0;
export const ECHO_REQUEST = 1;
export const UNREACHABLE = 2;
/** ICMPv6 type 2, and ICMP 3/4 "fragmentation needed". */
export const PACKET_TOO_BIG = 3;
export const TIME_EXCEEDED = 4;
export const PARAMETER_PROBLEM = 5;
export const SOURCE_QUENCH = 6;

/** One received message: a flyweight. */
export class IcmpMessage {
  family: 4 | 6 = 4;
  type = 0;
  code = 0;
  kind = OTHER;
  /** Next-hop MTU of PACKET_TOO_BIG, 0 when an old router left it out. */
  mtu = 0;
  /** The quoted packet is complete enough to name a connection. */
  quotedOk = false;
  quotedProtocol = 0;
  /** Total length that the quoted packet's header claims, IPv4 only. */
  quotedLength = 0;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  srcPort = 0;
  dstPort = 0;
  seq = 0;

  load(ip: IpHeader): number {
    const b = ip.bytes;
    const at = ip.payloadOffset;
    this.family = ip.version === 4 ? 4 : 6;
    this.clear();
    if (ip.payloadLength < 8) return LOAD_TRUNCATED;
    const pseudo =
      ip.version === 4
        ? 0
        : pseudoHeader(
            6,
            ip.src0,
            ip.src1,
            ip.src2,
            ip.src3,
            ip.dst0,
            ip.dst1,
            ip.dst2,
            ip.dst3,
            58,
            ip.payloadLength,
          );
    if (fold(sum(b, at, ip.payloadLength, pseudo)) !== 0) return LOAD_BAD_CHECKSUM;
    this.type = b[at]!;
    this.code = b[at + 1]!;
    this.kind = this.family === 4 ? kindV4(this.type, this.code) : kindV6(this.type);
    if (this.kind === PACKET_TOO_BIG) this.mtu = this.family === 4 ? half(b, at + 6) : word(b, at + 4) >>> 0;
    if (this.kind >= UNREACHABLE) this.loadQuoted(b, at + 8, ip.payloadLength - 8);
    return LOAD_OK;
  }

  private clear(): void {
    this.type = 0;
    this.code = 0;
    this.kind = OTHER;
    this.mtu = 0;
    this.quotedOk = false;
    this.quotedProtocol = 0;
    this.quotedLength = 0;
    this.src0 = this.src1 = this.src2 = this.src3 = 0;
    this.dst0 = this.dst1 = this.dst2 = this.dst3 = 0;
    this.srcPort = 0;
    this.dstPort = 0;
    this.seq = 0;
  }

  /** The quoted header may be cut anywhere behind its first 8 transport bytes, so lengths in it prove nothing. */
  private loadQuoted(b: Uint8Array, at: number, length: number): void {
    if (length < 1) return;
    const version = b[at]! >> 4;
    if (version !== this.family) return;
    let header = 40;
    if (version === 4) {
      header = (b[at]! & 15) * 4;
      if (header < 20 || length < header + 8) return;
      // A fragment from the middle of a datagram has no ports.
      if ((half(b, at + 6) & 0x1fff) !== 0) return;
      this.quotedProtocol = b[at + 9]!;
      this.quotedLength = half(b, at + 2);
      this.src0 = this.src1 = this.dst0 = this.dst1 = 0;
      this.src2 = this.dst2 = 0xffff;
      this.src3 = word(b, at + 12);
      this.dst3 = word(b, at + 16);
    } else {
      if (length < header + 8) return;
      this.quotedProtocol = b[at + 6]!;
      this.src0 = word(b, at + 8);
      this.src1 = word(b, at + 12);
      this.src2 = word(b, at + 16);
      this.src3 = word(b, at + 20);
      this.dst0 = word(b, at + 24);
      this.dst1 = word(b, at + 28);
      this.dst2 = word(b, at + 32);
      this.dst3 = word(b, at + 36);
    }
    this.srcPort = half(b, at + header);
    this.dstPort = half(b, at + header + 2);
    this.seq = word(b, at + header + 4);
    this.quotedOk = true;
  }
}

function kindV4(type: number, code: number): number {
  switch (type) {
    case 3:
      return code === 4 ? PACKET_TOO_BIG : UNREACHABLE;
    case 4:
      return SOURCE_QUENCH;
    case 8:
      return ECHO_REQUEST;
    case 11:
      return TIME_EXCEEDED;
    case 12:
      return PARAMETER_PROBLEM;
  }
  return OTHER;
}

function kindV6(type: number): number {
  switch (type) {
    case 1:
      return UNREACHABLE;
    case 2:
      return PACKET_TOO_BIG;
    case 3:
      return TIME_EXCEEDED;
    case 4:
      return PARAMETER_PROBLEM;
    case 128:
      return ECHO_REQUEST;
  }
  return OTHER;
}

/** SHLD-26, R5927-5: IPv4 destination unreachable codes 2 and 3 (4 is PACKET_TOO_BIG), ICMPv6 codes 1 and 4. */
export function isHardError(message: IcmpMessage): boolean {
  if (message.kind !== UNREACHABLE) return false;
  const { code } = message;
  return message.family === 4 ? code === 2 || code === 3 : code === 1 || code === 4;
}

/** MUST-56: every other report that a packet did not arrive; it never aborts. */
export function isSoftError(message: IcmpMessage): boolean {
  const { kind } = message;
  const reported = kind === UNREACHABLE || kind === TIME_EXCEEDED || kind === PARAMETER_PROBLEM;
  return reported && !isHardError(message);
}

/** The echo reply to the request in `ip`, written at `offset`; its packet length. */
export function writeEchoReply(ip: IpHeader, out: Uint8Array, offset: number): number {
  const header = ip.version === 4 ? 20 : 40;
  const length = ip.payloadLength;
  const at = offset + header;
  out.set(ip.bytes.subarray(ip.payloadOffset, ip.payloadOffset + length), at);
  writeIp(out, offset, ip.version, length, addressBytes(ip, true), addressBytes(ip, false));
  out[at] = ip.version === 4 ? 0 : 129;
  out[at + 1] = 0;
  finishIcmp(out, offset, ip.version, length);
  return header + length;
}

function addressBytes(ip: IpHeader, destination: boolean): Uint8Array {
  const at = ip.headerOffset;
  if (ip.version === 4) return ip.bytes.subarray(at + (destination ? 16 : 12), at + (destination ? 20 : 16));
  return ip.bytes.subarray(at + (destination ? 24 : 8), at + (destination ? 40 : 24));
}

function writeIp(
  out: Uint8Array,
  at: number,
  version: number,
  length: number,
  source: Uint8Array,
  target: Uint8Array,
): void {
  if (version === 4) {
    const total = 20 + length;
    out.set([0x45, 0, total >> 8, total & 255, 0, 0, 0x40, 0, 64, 1, 0, 0], at);
    out.set(source, at + 12);
    out.set(target, at + 16);
    const check = fold(sum(out, at, 20, 0));
    out[at + 10] = check >> 8;
    out[at + 11] = check;
    return;
  }
  out.set([0x60, 0, 0, 0, length >> 8, length & 255, 58, 64], at);
  out.set(source, at + 8);
  out.set(target, at + 24);
}

function finishIcmp(out: Uint8Array, offset: number, version: number, length: number): void {
  const at = offset + (version === 4 ? 20 : 40);
  out[at + 2] = 0;
  out[at + 3] = 0;
  const pseudo = version === 4 ? 0 : sum(out, offset + 8, 32, 58 + length);
  const check = fold(sum(out, at, length, pseudo));
  out[at + 2] = check >> 8;
  out[at + 3] = check;
}

export interface IcmpErrorOptions {
  /** Type and code on the wire. */
  readonly type: number;
  readonly code: number;
  /** Bytes 4..7 of the message: the MTU of "packet too big", a pointer, or 0. */
  readonly rest?: number;
  /** Sender of the error; the receiver is the quoted packet's source. */
  readonly source: Uint8Array;
}

/** An ICMP error that quotes `packet` (a whole IP packet), as a router would send it. For simulators and tests. */
export function icmpError(packet: Uint8Array, options: IcmpErrorOptions): Uint8Array {
  const ip = new IpHeader();
  ip.load(packet, 0, packet.length);
  const version = ip.version;
  const quoted = Math.min(packet.length, version === 4 ? 548 : 1232);
  const header = version === 4 ? 20 : 40;
  const out = new Uint8Array(header + 8 + quoted);
  writeIp(out, 0, version, 8 + quoted, options.source, addressBytes(ip, false));
  const at = header;
  const rest = options.rest ?? 0;
  out.set(
    [options.type, options.code, 0, 0, rest >>> 24, (rest >>> 16) & 255, (rest >>> 8) & 255, rest & 255],
    at,
  );
  out.set(packet.subarray(0, quoted), at + 8);
  finishIcmp(out, 0, version, 8 + quoted);
  return out;
}
