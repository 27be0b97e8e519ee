/** Forwards packets by longest prefix of the destination, to the wires laid to it. TTL counts down; 0 is dropped. */
import { fold, sum } from '../wire/checksum.js';
import { parsePrefix, sharesPrefix } from '../wire/address.js';
import { IpHeader } from '../wire/ip.js';
import type { Station, WireEnd } from './parts.js';

interface Route {
  readonly words: Int32Array;
  /** Of 128. */
  readonly bits: number;
  readonly end: WireEnd;
}

export class Router implements Station {
  readonly counts = { forwarded: 0, unroutable: 0, expired: 0 };
  private readonly routes: Route[] = [];
  private readonly ends: WireEnd[] = [];
  private readonly ip = new IpHeader();

  constructor(readonly name: string) {}

  plug(end: WireEnd): void {
    this.ends.push(end);
  }

  /** Packets to `prefix` ('10.0.0.7/32', '::/0') leave by the wire laid as the `n`th, counted from 0. */
  route(prefix: string, n: number): this {
    const parsed = parsePrefix(prefix);
    const end = this.ends[n];
    if (parsed === null || end === undefined) throw new RangeError(`no route: ${prefix} by wire ${n}`);
    const { address } = parsed;
    const bits = address.family === 4 ? parsed.prefix + 96 : parsed.prefix;
    this.routes.push({ words: address.words, bits, end });
    this.routes.sort((a, b) => b.bits - a.bits);
    return this;
  }

  arrive(_end: WireEnd, packet: Uint8Array): void {
    const { ip } = this;
    if (ip.load(packet, 0, packet.length) !== 0) return;
    const destination = [ip.dst0, ip.dst1, ip.dst2, ip.dst3];
    const route = this.routes.find(({ words, bits }) => sharesPrefix(words, destination, bits));
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
}
