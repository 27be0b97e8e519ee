/** Packets for tests of links that look into them. */
import { parseAddress, type Address } from '../../src/wire/address.js';
import { IpHeader } from '../../src/wire/ip.js';
import { formatSegment } from '../../src/wire/notation.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { Segment } from '../../src/wire/segment.js';

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === null) throw new RangeError(text);
  return parsed;
}

/** 'A:port > B:port S 1:1(0) ...' with the segment in notation. */
export function packet(src: string, srcPort: number, dst: string, dstPort: number, text: string): Uint8Array {
  const segment = parseNotation(text);
  if ('error' in segment) throw new RangeError(`${text}: ${segment.error}`);
  return buildPacket(segment, { src: address(src), dst: address(dst), srcPort, dstPort });
}

/** What a packet says, once IP header and both checksums were found good: 'a.b.c.d:port > a.b.c.d:port SEGMENT'. */
export function read(bytes: Uint8Array): string {
  const ip = new IpHeader();
  const segment = new Segment();
  const bad = ip.load(bytes, 0, bytes.length);
  if (bad !== 0) return `bad IP header: ${bad}`;
  const wrong = segment.load(ip, true);
  if (wrong !== 0) return `bad segment: ${wrong}`;
  const dotted = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
  return `${dotted(ip.src3)}:${segment.srcPort} > ${dotted(ip.dst3)}:${segment.dstPort} ${formatSegment(segment)}`;
}
