/** Timestamps of segments on a synchronized connection: RFC 7323 5.3 R1, before the sequence number (R7323-45). */
import { after, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { ACK, SYN, type Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { PAWS_BSD, PAWS_LINUX, PAWS_RFC } from './dialect.js';
import { noteOld } from './dsack.js';
import { outOfWindowAck } from './limits.js';
import type { Tcb } from './tcb.js';
import { mayUpdateWindow } from './window.js';

/** More than 24 days without a segment make TS.Recent invalid (R7323-50), ms. */
const PAWS_IDLE = 24 * 86_400_000;

/** A segment, no RST (R7323-43), on a connection with timestamps: `plain`, or why it goes no further. */
export function checkTimestamp(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  const { dialect } = ctx.config;
  const syn = (segment.flags & SYN) !== 0;
  if (!segment.hasTimestamp) {
    // R7323-28; Note: a SYN is left to the challenge, its sender may have lost its state
    const passes = dialect.toleratesMissingTimestamp || (syn && !dialect.dropsUnstampedSyn);
    return passes ? Reason.plain : Reason['missing-timestamp'];
  }
  const age = (tcb.tsRecent - segment.tsVal) | 0;
  if (age <= 0 || (ctx.now - tcb.tsRecentAt) >>> 0 > PAWS_IDLE) return Reason.plain;
  // Note: to both systems a TS.Recent of 0 is none
  if (dialect.paws !== PAWS_RFC && tcb.tsRecent === 0) return Reason.plain;
  if (dialect.paws === PAWS_LINUX) {
    // The challenge to a SYN comes later.
    if (syn || age <= 1 || bringsNothing(tcb, segment, age)) return Reason.plain;
    if (isEmptyAck(segment) && before(segment.seq, tcb.rcvNxt)) {
      ctx.counters.bump(Mib.TcpExtPAWSOldAck);
      return Reason['paws-quiet'];
    }
  }
  ctx.counters.bump(Mib.TcpExtPAWSEstab);
  if (dialect.paws === PAWS_BSD && segment.payloadLength === 0) return Reason['paws-quiet'];
  // R2883-8
  if (segment.payloadLength > 0) noteOld(ctx, tcb, segment);
  return outOfWindowAck(ctx, tcb, segment, Reason.paws, Mib.TcpExtTCPACKSkippedPAWS);
}

function isEmptyAck(segment: Segment): boolean {
  return segment.length === 0 && (segment.flags & ACK) !== 0;
}

/** tcp_disordered_ack_check: an ACK at RCV.NXT that was overtaken says nothing new, and does no harm within 1.2 RTO. */
function bringsNothing(tcb: Tcb, segment: Segment, age: number): boolean {
  return (
    isEmptyAck(segment) &&
    segment.seq === tcb.rcvNxt &&
    segment.ack === tcb.sndUna &&
    !mayUpdateWindow(tcb, segment, true) &&
    !after(age, Math.ceil(1.2 * tcb.rtt.rto))
  );
}
