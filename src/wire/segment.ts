/**
 * One received TCP segment: a flyweight, reloaded for every packet and never
 * retained. Behaviour reads these fields; nobody outside wire/ indexes bytes.
 *
 * Addresses are four int32 words, most significant first; an IPv4 address is held
 * IPv4-mapped (0, 0, 0x0000ffff, address), so one code path serves both versions.
 */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/** Results of the load functions: 0 is good, the rest say what was wrong. */
export const LOAD_OK = 0;
export const LOAD_TRUNCATED = 1;
export const LOAD_BAD_LENGTH = 2;
export const LOAD_BAD_CHECKSUM = 3;
export const LOAD_BAD_OPTION = 4;

export class Segment {
  /** The packet's memory; the payload is bytes[payloadOffset .. payloadOffset + payloadLength). */
  bytes: Uint8Array = new Uint8Array(0);
  payloadOffset = 0;
  payloadLength = 0;

  version = 4;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** TTL or hop limit, DSCP+ECN byte. */
  ttl = 0;
  tos = 0;

  srcPort = 0;
  dstPort = 0;
  /** SEG.SEQ, SEG.ACK: int32 serial numbers. */
  seq = 0;
  ack = 0;
  flags = 0;
  /** The 16-bit window field, unscaled, 0..65535. */
  wnd = 0;
  /** The 16-bit urgent pointer. */
  urgent = 0;

  /** MSS option, -1 when absent. */
  mss = -1;
  /** Window scale shift as received (may exceed 14), -1 when absent. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  tsVal = 0;
  tsEcr = 0;
  /** SACK blocks: left edge of block i at sack[2i], right edge at sack[2i + 1]; at most 4. */
  sackCount = 0;
  readonly sack = new Int32Array(8);

  /** SEG.LEN: payload plus one for SYN and one for FIN. */
  get length(): number {
    return this.payloadLength + ((this.flags >> 1) & 1) + (this.flags & 1);
  }

  /** SEG.SEQ + SEG.LEN. */
  get end(): number {
    return (this.seq + this.length) | 0;
  }
}
