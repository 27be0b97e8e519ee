/**
 * One IP packet as a translator sees it: who talks to whom, and the places where
 * addresses, ports, timestamps and their checksums are rewritten. A flyweight.
 *
 * TCP, echo (its identifier is the port of whoever asked; the other port is 0), and
 * ICMP errors by the packet they quote. Checksums are moved by what changed
 * (RFC 1624), never computed anew: damage done on the way stays visible.
 */
import { adjust, patchHalf, patchWord } from '../wire/checksum.js';
import { IpHeader, half, word } from '../wire/ip.js';
import { FIN, SYN } from '../wire/segment.js';

export const TCP = 6;
export const ICMP = 1;
export const ICMP6 = 58;

/** What `load` found. */
export const NOTHING = 0;
export const SEGMENT = 1;
export const ECHO = 2;
export const ECHO_REPLY = 3;
export const ERROR = 4;

/** Option kinds. */
const EOL = 0;
const NOP = 1;
const TIMESTAMP = 8;

/** Two ends: four address words each (IPv4 mapped) and a port. */
export class Ends {
  protocol = 0;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  srcPort = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  dstPort = 0;

  copy(from: Ends): void {
    this.protocol = from.protocol;
    this.setSource(from.src0, from.src1, from.src2, from.src3, from.srcPort);
    this.setDestination(from.dst0, from.dst1, from.dst2, from.dst3, from.dstPort);
  }

  /** The way back. */
  reverse(from: Ends): void {
    this.protocol = from.protocol;
    this.setSource(from.dst0, from.dst1, from.dst2, from.dst3, from.dstPort);
    this.setDestination(from.src0, from.src1, from.src2, from.src3, from.srcPort);
  }

  setSource(w0: number, w1: number, w2: number, w3: number, port: number): void {
    this.src0 = w0;
    this.src1 = w1;
    this.src2 = w2;
    this.src3 = w3;
    this.srcPort = port;
  }

  setDestination(w0: number, w1: number, w2: number, w3: number, port: number): void {
    this.dst0 = w0;
    this.dst1 = w1;
    this.dst2 = w2;
    this.dst3 = w3;
    this.dstPort = port;
  }

  same(other: Ends): boolean {
    return (
      this.srcPort === other.srcPort &&
      this.dstPort === other.dstPort &&
      this.src3 === other.src3 &&
      this.dst3 === other.dst3 &&
      this.protocol === other.protocol &&
      this.src0 === other.src0 &&
      this.src1 === other.src1 &&
      this.src2 === other.src2 &&
      this.dst0 === other.dst0 &&
      this.dst1 === other.dst1 &&
      this.dst2 === other.dst2
    );
  }
}

export class Packet {
  readonly ip = new IpHeader();
  kind = NOTHING;
  /** Of the packet; of an error: of the packet it would answer, so that both travel the same way. */
  readonly ends = new Ends();
  flags = 0;
  seq = 0;
  ack = 0;
  /** SEG.SEQ + SEG.LEN. */
  end = 0;
  private bytes: Uint8Array = new Uint8Array(0);
  private at = 0;
  /** The quoted packet of an error: where it and its transport header begin, and where it ends. */
  private quoted = 0;
  private quotedTransport = 0;
  private limit = 0;
  /** The quoted packet's new ends. */
  private readonly back = new Ends();

  /** NOTHING for what cannot be translated: other protocols, fragments, cut headers. Never throws. */
  load(bytes: Uint8Array, offset: number, length: number): number {
    const { ip } = this;
    this.kind = NOTHING;
    this.bytes = bytes;
    if (ip.load(bytes, offset, length) !== 0 || ip.fragment) return NOTHING;
    this.at = ip.payloadOffset;
    this.limit = ip.payloadOffset + ip.payloadLength;
    const { ends } = this;
    ends.protocol = ip.protocol;
    ends.setSource(ip.src0, ip.src1, ip.src2, ip.src3, 0);
    ends.setDestination(ip.dst0, ip.dst1, ip.dst2, ip.dst3, 0);
    if (ip.protocol === TCP) this.kind = this.loadSegment();
    else if (ip.protocol === (ip.version === 4 ? ICMP : ICMP6)) this.kind = this.loadIcmp();
    return this.kind;
  }

  private loadSegment(): number {
    const { bytes, at, ends } = this;
    const length = this.ip.payloadLength;
    if (length < 20) return NOTHING;
    const header = (bytes[at + 12]! >> 4) * 4;
    if (header < 20 || header > length) return NOTHING;
    ends.srcPort = half(bytes, at);
    ends.dstPort = half(bytes, at + 2);
    this.seq = word(bytes, at + 4);
    this.ack = word(bytes, at + 8);
    this.flags = bytes[at + 13]!;
    const marks = ((this.flags & SYN) !== 0 ? 1 : 0) + ((this.flags & FIN) !== 0 ? 1 : 0);
    this.end = (this.seq + length - header + marks) | 0;
    return SEGMENT;
  }

  private loadIcmp(): number {
    const { bytes, at, ip, ends } = this;
    if (ip.payloadLength < 8) return NOTHING;
    const type = bytes[at]!;
    const [request, reply] = ip.version === 4 ? [8, 0] : [128, 129];
    if (type === request) {
      ends.srcPort = half(bytes, at + 4);
      return ECHO;
    }
    if (type === reply) {
      ends.dstPort = half(bytes, at + 4);
      return ECHO_REPLY;
    }
    const error =
      ip.version === 4 ? type === 3 || type === 4 || type === 11 || type === 12 : type >= 1 && type <= 4;
    return error ? this.loadQuoted(at + 8) : NOTHING;
  }

  private loadQuoted(at: number): number {
    const { bytes, ends, limit } = this;
    const version = this.ip.version;
    if (limit - at < (version === 4 ? 28 : 48) || bytes[at]! >> 4 !== version) return NOTHING;
    const header = version === 4 ? (bytes[at]! & 15) * 4 : 40;
    if (header < 20 || limit - at < header + 8) return NOTHING;
    if (version === 4 && (half(bytes, at + 6) & 0x1fff) !== 0) return NOTHING;
    const protocol = bytes[at + (version === 4 ? 9 : 6)]!;
    const echo = protocol === (version === 4 ? ICMP : ICMP6);
    if (protocol !== TCP && !echo) return NOTHING;
    const t = at + header;
    // An error about an answer to somebody's echo has no use; only requests are found again.
    if (echo && bytes[t] !== (version === 4 ? 8 : 128)) return NOTHING;
    const from = echo ? half(bytes, t + 4) : half(bytes, t);
    const to = echo ? 0 : half(bytes, t + 2);
    ends.protocol = protocol;
    // The quoted packet went the other way.
    if (version === 4) {
      ends.setSource(0, 0, 0xffff, word(bytes, at + 16), to);
      ends.setDestination(0, 0, 0xffff, word(bytes, at + 12), from);
    } else {
      const w = (i: number): number => word(bytes, at + 8 + i * 4);
      ends.setSource(w(4), w(5), w(6), w(7), to);
      ends.setDestination(w(0), w(1), w(2), w(3), from);
    }
    this.quoted = at;
    this.quotedTransport = t;
    return ERROR;
  }

  /**
   * The packet loaded last now goes as `ends` says. Source and destination of an error are
   * those of the flow, unless a third party sent it and the flow's own source stays as it was.
   */
  rewrite(ends: Ends): void {
    if (this.kind === ERROR) this.rewriteError(ends);
    else if (this.kind === SEGMENT) {
      const { bytes, at } = this;
      let change = this.outer(ends, true);
      change += patchHalf(bytes, at, ends.srcPort, at) + patchHalf(bytes, at + 2, ends.dstPort, at);
      adjust(bytes, at + 16, change);
    } else {
      const { bytes, at } = this;
      let change = this.outer(ends, true);
      if (this.ip.version === 4) change = 0;
      change += patchHalf(bytes, at + 4, this.kind === ECHO ? ends.srcPort : ends.dstPort, at);
      adjust(bytes, at + 2, change);
    }
  }

  /** The IP header's addresses, and IPv4's checksum; returns the pseudo-header's change. */
  private outer(ends: Ends, source: boolean): number {
    const { bytes, ip } = this;
    return addresses(bytes, ip.headerOffset, ip.version, ends, source);
  }

  private rewriteError(ends: Ends): void {
    const { bytes, at, quoted, ip, back } = this;
    const old = this.ends;
    const moved =
      old.src0 !== ends.src0 || old.src1 !== ends.src1 || old.src2 !== ends.src2 || old.src3 !== ends.src3;
    let change = this.outer(ends, moved);
    if (ip.version === 4) change = 0;
    back.reverse(ends);
    if (ip.version === 4) {
      const before = half(bytes, quoted + 10);
      const pseudo = addresses(bytes, quoted, 4, back, true);
      change += pseudo + half(bytes, quoted + 10) - before;
      change += this.rewriteQuoted(pseudo);
    } else {
      const pseudo = addresses(bytes, quoted, 6, back, true);
      change += pseudo + this.rewriteQuoted(pseudo);
    }
    adjust(bytes, at + 2, change);
  }

  /** Ports and checksum of the quoted transport header, as far as they are there; the change to the error's checksum. */
  private rewriteQuoted(pseudo: number): number {
    const { bytes, at, quotedTransport: t, limit, back } = this;
    if (back.protocol === TCP) {
      const change = patchHalf(bytes, t, back.srcPort, at) + patchHalf(bytes, t + 2, back.dstPort, at);
      return change + (limit - t >= 18 ? adjust(bytes, t + 16, pseudo + change, at) : 0);
    }
    const change = patchHalf(bytes, t + 4, back.srcPort, at);
    return change + adjust(bytes, t + 2, (this.ip.version === 4 ? 0 : pseudo) + change, at);
  }

  /** Where the timestamps option of the segment begins (its kind); -1 when there is none. */
  private timestamp(): number {
    const { bytes, at } = this;
    if (this.kind !== SEGMENT) return -1;
    const end = at + (bytes[at + 12]! >> 4) * 4;
    for (let place = at + 20; place < end;) {
      const kind = bytes[place]!;
      if (kind === EOL) return -1;
      if (kind === NOP) {
        place++;
        continue;
      }
      const size = place + 1 < end ? bytes[place + 1]! : 0;
      if (size < 2 || place + size > end) return -1;
      if (kind === TIMESTAMP && size === 10) return place;
      place += size;
    }
    return -1;
  }

  /** TSval of the segment, or null. */
  get tsVal(): number | null {
    const place = this.timestamp();
    return place < 0 ? null : word(this.bytes, place + 2);
  }

  shiftTsVal(by: number): void {
    this.shift(2, by);
  }

  /** An echo of 0 is no echo and stays. */
  shiftTsEcr(by: number): void {
    this.shift(6, by);
  }

  private shift(field: 2 | 6, by: number): void {
    const place = by === 0 ? -1 : this.timestamp();
    if (place < 0) return;
    const { bytes, at } = this;
    const value = word(bytes, place + field);
    if (field === 6 && value === 0) return;
    adjust(bytes, at + 16, patchWord(bytes, place + field, (value + by) | 0, at));
  }

  /** No-operations take the option's place. */
  stripTimestamp(): void {
    const place = this.timestamp();
    if (place < 0) return;
    const { bytes, at } = this;
    let change = 0;
    for (let i = 0; i < 10; i += 2) change += patchHalf(bytes, place + i, 0x0101, at);
    adjust(bytes, at + 16, change);
  }
}

/** Writes the addresses into the IP header at `at` and corrects its checksum; returns their change. */
function addresses(bytes: Uint8Array, at: number, version: number, ends: Ends, source: boolean): number {
  let change = 0;
  if (version === 4) {
    if (source) change += patchWord(bytes, at + 12, ends.src3, at);
    change += patchWord(bytes, at + 16, ends.dst3, at);
    adjust(bytes, at + 10, change);
    return change;
  }
  if (source) {
    change += patchWord(bytes, at + 8, ends.src0, at) + patchWord(bytes, at + 12, ends.src1, at);
    change += patchWord(bytes, at + 16, ends.src2, at) + patchWord(bytes, at + 20, ends.src3, at);
  }
  change += patchWord(bytes, at + 24, ends.dst0, at) + patchWord(bytes, at + 28, ends.dst1, at);
  change += patchWord(bytes, at + 32, ends.dst2, at) + patchWord(bytes, at + 36, ends.dst3, at);
  return change;
}
