/** Segments that answer a segment, not a connection: RST (RFC 9293 3.10.7.1) and TIME-WAIT's ACK. */
import { Mib } from '../mib.js';
import { ACK, RST, type Segment } from '../wire/segment.js';
import { CHECKSUM_OFFLOADED } from '../wire/ring.js';
import type { SegmentBuilder } from '../wire/builder.js';
import type { Core } from './core.js';

/** Addresses and ports of the answer to `segment`. */
function turnRound(core: Core, segment: Segment): SegmentBuilder {
  const b = core.ctx.builder;
  b.reset();
  b.version = segment.version;
  b.src0 = segment.dst0;
  b.src1 = segment.dst1;
  b.src2 = segment.dst2;
  b.src3 = segment.dst3;
  b.dst0 = segment.src0;
  b.dst1 = segment.src1;
  b.dst2 = segment.src2;
  b.dst3 = segment.src3;
  b.srcPort = segment.dstPort;
  b.dstPort = segment.srcPort;
  b.ttl = core.ctx.config.ttl;
  b.tos = 0;
  return b;
}

function emit(core: Core, b: SegmentBuilder, reason: number): void {
  const { tx } = core;
  const offset = tx.tailOffset();
  const header = b.writeHeaders(tx.bytes, offset);
  tx.push(b.finish(tx.bytes, offset, header, 0), reason, b.offload ? CHECKSUM_OFFLOADED : 0);
  core.count(b.version === 6 ? Mib.Ip6OutRequests : Mib.IpOutRequests);
  core.count(Mib.TcpOutSegs);
}

/** R9293-8, R9293-9, R7323-41. Nothing is sent in reply to a RST (R9293-10) or when the ring is full. */
export function replyReset(core: Core, segment: Segment, reason: number): void {
  if ((segment.flags & RST) !== 0) return;
  if (core.tx.free === 0) {
    core.count(Mib.IpOutDiscards);
    return;
  }
  const b = turnRound(core, segment);
  if ((segment.flags & ACK) !== 0) {
    b.seq = segment.ack;
    b.ack = 0;
    b.flags = RST;
  } else {
    b.seq = 0;
    b.ack = segment.end;
    b.flags = RST | ACK;
  }
  b.wnd = 0;
  if (segment.hasTimestamp && core.ctx.config.resetTimestamps) {
    b.hasTimestamp = true;
    b.tsVal = 0;
    b.tsEcr = segment.tsVal;
  }
  core.count(Mib.TcpOutRsts);
  emit(core, b, reason);
}

/** <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> from the record under the cursor. */
export function replyTimeWaitAck(core: Core, segment: Segment, reason: number): void {
  if (core.tx.free === 0) {
    core.count(Mib.IpOutDiscards);
    return;
  }
  const r = core.record;
  const b = turnRound(core, segment);
  b.seq = r.sndNxt;
  b.ack = r.rcvNxt;
  b.flags = ACK;
  b.wnd = Math.min(65535, r.rcvWnd >>> r.rcvWscale);
  if (r.hasTimestamp) {
    b.hasTimestamp = true;
    b.tsVal = (core.ctx.now + r.tsOffset) | 0;
    b.tsEcr = r.tsRecent;
  }
  emit(core, b, reason);
}
