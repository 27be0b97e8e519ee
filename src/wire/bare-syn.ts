/** A SYN, and where it goes, without reading all of the packet. */
import { half, word } from './ip.js';
import { ACK, FIN, RST, SYN } from './segment.js';

const TCP = 6;
/** Version 4 and a header of 20 bytes. */
const PLAIN_V4 = 0x45;
const V4_HEADER = 20;
const V6_HEADER = 40;
const TCP_HEADER = 20;

/** Of the packet `bareSyn` was asked about. */
export class SynSource {
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
}

/**
 * Is it a whole packet with a SYN and neither ACK, RST nor FIN, for this address and port, its IP header without options
 * or extensions? Then its source is left in `source`. Nothing is checked besides; nothing is read outside the packet.
 */
export function bareSyn(
  b: Uint8Array,
  at: number,
  length: number,
  dst0: number,
  dst1: number,
  dst2: number,
  dst3: number,
  port: number,
  source: SynSource,
): boolean {
  if (length < V4_HEADER + TCP_HEADER) return false;
  if (b[at] === PLAIN_V4) {
    if (b[at + 9] !== TCP || !isSyn(b, at + V4_HEADER, port) || word(b, at + 16) !== dst3) return false;
    if (dst2 !== 0xffff || dst1 !== 0 || dst0 !== 0 || (half(b, at + 6) & 0x3fff) !== 0) return false;
    source.src0 = 0;
    source.src1 = 0;
    source.src2 = 0xffff;
    source.src3 = word(b, at + 12);
    return true;
  }
  if (b[at]! >> 4 !== 6 || length < V6_HEADER + TCP_HEADER) return false;
  if (b[at + 6] !== TCP || !isSyn(b, at + V6_HEADER, port) || word(b, at + 36) !== dst3) return false;
  if (word(b, at + 24) !== dst0 || word(b, at + 28) !== dst1 || word(b, at + 32) !== dst2) return false;
  source.src0 = word(b, at + 8);
  source.src1 = word(b, at + 12);
  source.src2 = word(b, at + 16);
  source.src3 = word(b, at + 20);
  return true;
}

function isSyn(b: Uint8Array, at: number, port: number): boolean {
  return (b[at + 13]! & (SYN | ACK | RST | FIN)) === SYN && half(b, at + 2) === port;
}
