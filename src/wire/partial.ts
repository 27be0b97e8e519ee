/**
 * Partial checksums: a sender that leaves the transport checksum to its hardware puts the
 * pseudo-header's sum into the field. On veth, and on packets that a receiver has merged
 * (GRO), nobody finishes it before it is seen.
 */
import { fold, pseudoHeader, sum } from './checksum.js';
import { half, type IpHeader } from './ip.js';

/** Where the checksum stands in a TCP header. */
const PLACE = 16;
const TCP = 6;

function pseudo(ip: IpHeader): number {
  return pseudoHeader(
    ip.version,
    ip.src0,
    ip.src1,
    ip.src2,
    ip.src3,
    ip.dst0,
    ip.dst1,
    ip.dst2,
    ip.dst3,
    TCP,
    ip.payloadLength,
  );
}

/** The packet loaded in `ip` is a TCP segment whose checksum its sender did not finish. One in 65,536 broken ones looks like it. */
export function isPartial(ip: IpHeader): boolean {
  if (ip.protocol !== TCP || ip.fragment || ip.payloadLength < 20) return false;
  const expected = pseudo(ip);
  if (half(ip.bytes, ip.payloadOffset + PLACE) !== (~fold(expected) & 0xffff)) return false;
  // One in 65,536 finished checksums is the same by chance.
  return fold(sum(ip.bytes, ip.payloadOffset, ip.payloadLength, expected)) !== 0;
}

/** Finishes it. */
export function completeChecksum(ip: IpHeader): void {
  const at = ip.payloadOffset + PLACE;
  ip.bytes[at] = 0;
  ip.bytes[at + 1] = 0;
  const check = fold(sum(ip.bytes, ip.payloadOffset, ip.payloadLength, pseudo(ip)));
  ip.bytes[at] = check >> 8;
  ip.bytes[at + 1] = check;
}
