/**
 * One received IP packet, either version: a flyweight reloaded for every packet.
 * Addresses are four int32 words, IPv4 held IPv4-mapped (see segment.ts).
 */
import { fold, halves, sum } from './checksum.js';
import { LOAD_BAD_CHECKSUM, LOAD_BAD_LENGTH, LOAD_BAD_VERSION, LOAD_OK, LOAD_TRUNCATED } from './codes.js';

/** IPv6 extension headers walked at most. */
const MOST_EXTENSIONS = 8;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION = 60;
/** IPv4 options (RFC 791 3.1). */
const LOOSE_ROUTE = 131;
const STRICT_ROUTE = 137;

export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function half(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Loose or strict source route among the IPv4 options in [at, end); what is malformed ends the search. */
function hasSourceRoute(b: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const kind = b[at]!;
    if (kind === LOOSE_ROUTE || kind === STRICT_ROUTE) return true;
    if (kind === 0) return false;
    const length = kind === 1 ? 1 : at + 1 < end ? b[at + 1]! : 0;
    if (length === 0) return false;
    at += length;
  }
  return false;
}

export class IpHeader {
  bytes: Uint8Array = new Uint8Array(0);
  /** Of all of `bytes`. */
  view = new DataView(this.bytes.buffer);
  version = 0;
  headerOffset = 0;
  /** All headers up to the transport part, bytes. */
  headerLength = 0;
  totalLength = 0;
  payloadOffset = 0;
  payloadLength = 0;
  protocol = 0;
  /** Part of a larger datagram. */
  fragment = false;
  /** An IPv4 source route came with it, strict or loose. */
  sourceRoute = false;
  ttl = 0;
  tos = 0;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;

  /**
   * Reads the packet of `length` bytes at `offset`; a LOAD_ code. Bytes behind the header's
   * own length are ignored. Whatever the bytes are, it reads nothing outside the packet and
   * never throws. After a code other than LOAD_OK only `version` says anything.
   */
  load(bytes: Uint8Array, offset: number, length: number): number {
    this.look(bytes);
    this.headerOffset = offset;
    this.fragment = false;
    this.sourceRoute = false;
    this.version = 0;
    this.headerLength = 0;
    this.totalLength = 0;
    this.payloadOffset = offset;
    this.payloadLength = 0;
    this.protocol = 0;
    if (length < 1) return LOAD_TRUNCATED;
    this.version = bytes[offset]! >> 4;
    if (this.version === 4) return this.loadV4(bytes, offset, length);
    if (this.version === 6) return this.loadV6(bytes, offset, length);
    return LOAD_BAD_VERSION;
  }

  /** The packet lies here: one ring in practice. */
  private look(bytes: Uint8Array): void {
    if (bytes === this.bytes) return;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private loadV4(b: Uint8Array, at: number, length: number): number {
    if (length < 20) return LOAD_TRUNCATED;
    const { view } = this;
    const first = view.getInt32(at);
    const header = ((first >> 24) & 15) * 4;
    const total = first & 0xffff;
    if (header < 20 || total < header) return LOAD_BAD_LENGTH;
    if (total > length) return LOAD_TRUNCATED;
    const second = view.getInt32(at + 4);
    const third = view.getInt32(at + 8);
    this.src0 = 0;
    this.src1 = 0;
    this.src2 = 0xffff;
    this.src3 = view.getInt32(at + 12);
    this.dst0 = 0;
    this.dst1 = 0;
    this.dst2 = 0xffff;
    this.dst3 = view.getInt32(at + 16);
    const fixed = halves(first) + halves(second) + halves(third) + halves(this.src3) + halves(this.dst3);
    if (fold(header === 20 ? fixed : sum(b, at + 20, header - 20, fixed)) !== 0) return LOAD_BAD_CHECKSUM;
    this.tos = (first >> 16) & 0xff;
    this.fragment = (second & 0x3fff) !== 0;
    this.ttl = third >>> 24;
    this.protocol = (third >> 16) & 0xff;
    // MUST-50: IP options are skipped, but for a source route
    this.sourceRoute = header > 20 && hasSourceRoute(b, at + 20, at + header);
    return this.payload(at, header, total);
  }

  private loadV6(b: Uint8Array, at: number, length: number): number {
    if (length < 40) return LOAD_TRUNCATED;
    const { view } = this;
    const total = 40 + half(b, at + 4);
    if (total > length) return LOAD_TRUNCATED;
    this.tos = (view.getInt32(at) >>> 20) & 0xff;
    this.ttl = b[at + 7]!;
    this.src0 = view.getInt32(at + 8);
    this.src1 = view.getInt32(at + 12);
    this.src2 = view.getInt32(at + 16);
    this.src3 = view.getInt32(at + 20);
    this.dst0 = view.getInt32(at + 24);
    this.dst1 = view.getInt32(at + 28);
    this.dst2 = view.getInt32(at + 32);
    this.dst3 = view.getInt32(at + 36);
    let next = b[at + 6]!;
    let header = 40;
    for (
      let walked = 0;
      next === HOP_BY_HOP || next === ROUTING || next === FRAGMENT || next === DESTINATION;
      walked++
    ) {
      if (walked === MOST_EXTENSIONS || header + 8 > total) return LOAD_BAD_LENGTH;
      const start = at + header;
      // RFC 8200 4.4: with segments left the packet is on its way to somebody else. The walk ends
      // here and the protocol stays "routing header", which nobody takes.
      if (next === ROUTING && b[start + 3]! !== 0) break;
      if (next === FRAGMENT) {
        // An atomic fragment (offset 0, nothing more) is a whole packet (RFC 6946).
        this.fragment = (half(b, start + 2) & 0xfff9) !== 0;
        header += 8;
      } else header += 8 + b[start + 1]! * 8;
      if (header > total) return LOAD_BAD_LENGTH;
      next = b[start]!;
      if (this.fragment) break;
    }
    this.protocol = next;
    return this.payload(at, header, total);
  }

  private payload(at: number, header: number, total: number): number {
    this.headerLength = header;
    this.totalLength = total;
    this.payloadOffset = at + header;
    this.payloadLength = total - header;
    return LOAD_OK;
  }
}
