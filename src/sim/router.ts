/**
 * Forwards packets by longest prefix of the destination, to the wires laid to it. TTL counts down;
 * 0 is dropped. What does not fit onto a narrow wire is dropped, too, and reported unless the
 * router is a black hole; nothing is fragmented.
 */
import { fold, sum } from '../wire/checksum.js';
import { parseAddress, parsePrefix, sharesPrefix } from '../wire/address.js';
import { icmpError } from '../wire/icmp.js';
import { IpHeader } from '../wire/ip.js';
import type { Station, WireEnd } from './parts.js';

interface Route {
  readonly words: Int32Array;
  /** Of 128. */
  readonly bits: number;
  readonly end: WireEnd;
  readonly narrow: Narrow;
}

/** What a wire lets pass. */
export interface Narrow {
  /** Bytes of a packet. */
  readonly mtu: number;
  /** The sender is not told (RFC 2923 2.1). */
  readonly silent?: boolean;
}

const WIDE: Narrow = { mtu: 65_535 };
/** Sources of its reports. */
const OWN4 = parseAddress('192.0.2.254')!;
const OWN6 = parseAddress('2001:db8::fe')!;

export class Router implements Station {
  readonly counts = { forwarded: 0, unroutable: 0, expired: 0, tooBig: 0 };
  private readonly routes: Route[] = [];
  private readonly ends: WireEnd[] = [];
  private readonly ip = new IpHeader();

  constructor(readonly name: string) {}

  plug(end: WireEnd): void {
    this.ends.push(end);
  }

  /** Packets to `prefix` ('10.0.0.7/32', '::/0') leave by the wire laid as the `n`th, counted from 0. */
  route(prefix: string, n: number, narrow = WIDE): this {
    const parsed = parsePrefix(prefix);
    const end = this.ends[n];
    if (parsed === null || end === undefined) throw new RangeError(`no route: ${prefix} by wire ${n}`);
    const { address } = parsed;
    const bits = address.family === 4 ? parsed.prefix + 96 : parsed.prefix;
    this.routes.push({ words: address.words, bits, end, narrow });
    this.routes.sort((a, b) => b.bits - a.bits);
    return this;
  }

  arrive(_end: WireEnd, packet: Uint8Array): void {
    const { ip } = this;
    if (ip.load(packet, 0, packet.length) !== 0) return;
    const route = this.towards(ip.dst0, ip.dst1, ip.dst2, ip.dst3);
    if (route === undefined) {
      this.counts.unroutable++;
      return;
    }
    const ttlAt = ip.version === 4 ? 8 : 7;
    const ttl = packet[ttlAt]! - 1;
    if (ttl <= 0) {
      this.counts.expired++;
      return;
    }
    if (packet.length > route.narrow.mtu) {
      this.counts.tooBig++;
      if (route.narrow.silent !== true) this.reportTooBig(packet, route.narrow.mtu);
      return;
    }
    packet[ttlAt] = ttl;
    if (ip.version === 4) {
      packet[10] = 0;
      packet[11] = 0;
      const check = fold(sum(packet, 0, (packet[0]! & 15) * 4, 0));
      packet[10] = check >> 8;
      packet[11] = check;
    }
    this.counts.forwarded++;
    route.end.send(packet);
  }

  private towards(...words: number[]): Route | undefined {
    return this.routes.find((route) => sharesPrefix(route.words, words, route.bits));
  }

  /** RFC 1191 4, RFC 4443 3.2; the packet is in `ip`. */
  private reportTooBig(packet: Uint8Array, mtu: number): void {
    const { ip } = this;
    const v6 = ip.version === 6;
    const back = this.towards(ip.src0, ip.src1, ip.src2, ip.src3);
    const source = (v6 ? OWN6 : OWN4).words;
    const bytes = Uint8Array.from(
      [...source].flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]),
    );
    back?.end.send(
      icmpError(packet, {
        type: v6 ? 2 : 3,
        code: v6 ? 0 : 4,
        rest: mtu,
        source: v6 ? bytes : bytes.subarray(12),
      }),
    );
  }
}
