/** Helpers of the translator tests: packets from text, and what a packet says once every checksum was found good. */
import { formatWords } from '../../src/wire/address.js';
import { IpHeader } from '../../src/wire/ip.js';
import { formatSegment } from '../../src/wire/notation.js';
import { Segment } from '../../src/wire/segment.js';
import { naiveChecksum } from '../wire/packets.js';

/** 'address port > address port SEGMENT'; IP header and segment verified by a full sum. */
export function say(bytes: Uint8Array): string {
  const ip = new IpHeader();
  const segment = new Segment();
  const bad = ip.load(bytes, 0, bytes.length);
  if (bad !== 0) return `bad IP header: ${bad}`;
  const wrong = segment.load(ip, true);
  if (wrong !== 0) return `bad segment: ${wrong}`;
  const source = formatWords(ip.src0, ip.src1, ip.src2, ip.src3);
  const target = formatWords(ip.dst0, ip.dst1, ip.dst2, ip.dst3);
  return `${source} ${segment.srcPort} > ${target} ${segment.dstPort} ${formatSegment(segment)}`;
}

/** An ICMP message, its checksum verified by the naive sum, the IPv4 header's too. */
export interface Message {
  readonly from: string;
  readonly to: string;
  readonly good: boolean;
  /** From its type on. */
  readonly body: Uint8Array;
}

export function message(bytes: Uint8Array): Message {
  const ip = new IpHeader();
  const loaded = ip.load(bytes, 0, bytes.length);
  const body = bytes.slice(ip.payloadOffset, ip.payloadOffset + ip.payloadLength);
  const pseudo =
    ip.version === 4 ? [] : [...bytes.slice(8, 40), 0, 0, body.length >> 8, body.length & 255, 0, 0, 0, 58];
  return {
    from: formatWords(ip.src0, ip.src1, ip.src2, ip.src3),
    to: formatWords(ip.dst0, ip.dst1, ip.dst2, ip.dst3),
    good: loaded === 0 && naiveChecksum(pseudo, body) === 0,
    body,
  };
}
