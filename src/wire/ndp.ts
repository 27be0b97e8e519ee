/** Neighbour solicitations and advertisements of IPv6 (RFC 4861 4.3, 4.4). */
import { fold, pseudoHeader, sum } from './checksum.js';
import { LOAD_BAD_CHECKSUM, LOAD_BAD_LENGTH, LOAD_BAD_OPTION, LOAD_OK, LOAD_TRUNCATED } from './codes.js';
import { putHalf, putWord, type Mac } from './ethernet.js';
import { half, word, type IpHeader } from './ip.js';

export const SOLICITATION = 135;
export const ADVERTISEMENT = 136;
const ICMPV6 = 58;
const SOURCE_LINK_ADDRESS = 1;
const TARGET_LINK_ADDRESS = 2;

/** Flags of an advertisement, as they stand in its first byte. */
export const ROUTER = 0x80;
export const SOLICITED = 0x40;
export const OVERRIDE = 0x20;

/** Type of an ICMPv6 message that belongs to neighbour discovery (133 to 137). */
export function isDiscovery(ip: IpHeader): boolean {
  if (ip.version !== 6 || ip.protocol !== ICMPV6 || ip.payloadLength < 1) return false;
  const type = ip.bytes[ip.payloadOffset]!;
  return type >= 133 && type <= 137;
}

/** One received message: a flyweight. */
export class NeighbourMessage {
  type = 0;
  flags = 0;
  target0 = 0;
  target1 = 0;
  target2 = 0;
  target3 = 0;
  /** The link-layer address option that goes with the type was there. */
  hasMac = false;
  macHigh = 0;
  macLow = 0;

  /** A LOAD_ code: anything but LOAD_OK must be ignored (RFC 4861 7.1.1, 7.1.2). Never throws. */
  load(ip: IpHeader): number {
    const b = ip.bytes;
    const at = ip.payloadOffset;
    const length = ip.payloadLength;
    if (length < 24) return LOAD_TRUNCATED;
    // From beyond the link a packet comes with a smaller hop limit.
    if (ip.ttl !== 255 || b[at + 1] !== 0) return LOAD_BAD_OPTION;
    const pseudo = pseudoHeader(
      6,
      ip.src0,
      ip.src1,
      ip.src2,
      ip.src3,
      ip.dst0,
      ip.dst1,
      ip.dst2,
      ip.dst3,
      ICMPV6,
      length,
    );
    if (fold(sum(b, at, length, pseudo)) !== 0) return LOAD_BAD_CHECKSUM;
    this.type = b[at]!;
    this.flags = b[at + 4]!;
    this.target0 = word(b, at + 8);
    this.target1 = word(b, at + 12);
    this.target2 = word(b, at + 16);
    this.target3 = word(b, at + 20);
    if (this.target0 >>> 24 === 0xff) return LOAD_BAD_OPTION;
    const options = this.loadOptions(b, at + 24, at + length);
    return options === LOAD_OK ? this.judge(ip) : options;
  }

  private loadOptions(b: Uint8Array, from: number, end: number): number {
    this.hasMac = false;
    const wanted = this.type === SOLICITATION ? SOURCE_LINK_ADDRESS : TARGET_LINK_ADDRESS;
    for (let at = from; at < end;) {
      const size = at + 1 < end ? b[at + 1]! * 8 : 0;
      if (size === 0 || at + size > end) return LOAD_BAD_LENGTH;
      if (b[at] === wanted && size === 8) {
        this.hasMac = true;
        this.macHigh = half(b, at + 2);
        this.macLow = word(b, at + 4);
      }
      at += size;
    }
    return LOAD_OK;
  }

  /** What must not go together. */
  private judge(ip: IpHeader): number {
    const multicast = ip.dst0 >>> 24 === 0xff;
    if (this.type === ADVERTISEMENT)
      return multicast && (this.flags & SOLICITED) !== 0 ? LOAD_BAD_OPTION : LOAD_OK;
    const unspecified = (ip.src0 | ip.src1 | ip.src2 | ip.src3) === 0;
    if (!unspecified) return LOAD_OK;
    const solicitedNode =
      ip.dst0 === SOLICITED_NODE[0] &&
      ip.dst1 === SOLICITED_NODE[1] &&
      ip.dst2 === SOLICITED_NODE[2] &&
      ip.dst3 >>> 24 === 0xff;
    return this.hasMac || !solicitedNode ? LOAD_BAD_OPTION : LOAD_OK;
  }
}

/** ff02::1:ff00:0/104 */
const SOLICITED_NODE = [0xff02_0000 | 0, 0, 1, 0xff00_0000 | 0] as const;

/** Words of the solicited-node multicast address (RFC 4291 2.7.1). */
export function solicitedNode(target: ArrayLike<number>): Int32Array {
  return Int32Array.of(
    SOLICITED_NODE[0],
    SOLICITED_NODE[1],
    SOLICITED_NODE[2],
    0xff00_0000 | (target[3]! & 0xff_ffff),
  );
}

/** ff02::1 */
export const ALL_NODES = Int32Array.of(0xff02_0000, 0, 0, 1);

export interface NeighbourMessageFields {
  readonly type: number;
  /** Of an advertisement. */
  readonly flags: number;
  readonly source: ArrayLike<number>;
  readonly destination: ArrayLike<number>;
  readonly target: ArrayLike<number>;
  /** The link-layer address option: source's in a solicitation, target's in an advertisement. */
  readonly mac: Mac | null;
}

/** Writes the whole IPv6 packet; its length, at most 72. */
export function writeNeighbourMessage(out: Uint8Array, at: number, fields: NeighbourMessageFields): number {
  const { type, flags, source, destination, target, mac } = fields;
  const length = mac === null ? 24 : 32;
  putWord(out, at, 0x6000_0000);
  putHalf(out, at + 4, length);
  out[at + 6] = ICMPV6;
  out[at + 7] = 255;
  const icmp = at + 40;
  out.fill(0, icmp, icmp + length);
  for (let i = 0; i < 4; i++) {
    putWord(out, at + 8 + 4 * i, source[i]!);
    putWord(out, at + 24 + 4 * i, destination[i]!);
    putWord(out, icmp + 8 + 4 * i, target[i]!);
  }
  out[icmp] = type;
  out[icmp + 4] = flags;
  if (mac !== null) {
    out[icmp + 24] = type === SOLICITATION ? SOURCE_LINK_ADDRESS : TARGET_LINK_ADDRESS;
    out[icmp + 25] = 1;
    putHalf(out, icmp + 26, mac.high);
    putWord(out, icmp + 28, mac.low);
  }
  // 32 bytes of addresses stand before the ICMP part.
  putHalf(out, icmp + 2, fold(sum(out, at + 8, 32 + length, ICMPV6 + length)));
  return 40 + length;
}
