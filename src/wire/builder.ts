/**
 * One outgoing TCP segment: fields are set, then written straight into a transmit
 * ring slot. A flyweight: nothing is allocated per packet.
 *
 *   const header = builder.writeHeaders(bytes, offset);   // IP + TCP header length
 *   ...copy `n` payload bytes to offset + header...
 *   const length = builder.finish(bytes, offset, header, n);
 */
export class SegmentBuilder {
  version = 4;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  ttl = 64;
  tos = 0;
  /** IPv4 Identification (DF is always set, RFC 6864 lets it be anything). */
  ident = 0;

  srcPort = 0;
  dstPort = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** The 16-bit field as it goes on the wire. */
  wnd = 0;
  urgent = 0;

  /** -1: option absent. */
  mss = -1;
  windowScale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  tsVal = 0;
  tsEcr = 0;
  /** As in Segment; how many fit beside the timestamps is decided by the caller (3 with, 4 without). */
  sackCount = 0;
  readonly sack = new Int32Array(8);
}
