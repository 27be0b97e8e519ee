/**
 * Half-open connections as Linux's request sockets (tcp_check_req), where the dialect keeps
 * them so: a segment is judged before there is a connection to process it.
 */
import { after, before, greater } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { ACK, RST, SYN, type Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { challengeAck, outOfWindowAck } from './limits.js';
import { fail } from './sender.js';
import type { Tcb } from './tcb.js';
import { armSendTimers } from './timers.js';

/** The handshake is complete: the segment goes on to the connection. */
export const COMPLETES = -1;

/** A reason: the segment ends here; or COMPLETES. */
export function requestArrives(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  ctx.resetReply = false;
  const { seq } = segment;
  // tcp_check_req does not look at FIN
  let flags = segment.flags & (SYN | ACK | RST);
  const old = tcb.tsEnabled && segment.hasTimestamp && greater(tcb.tsRecent, segment.tsVal);
  if (seq === tcb.irs && flags === SYN && !old) return synAgain(ctx, tcb, segment);
  // The listener answers it, and the request stays; a RST counts whatever it acknowledges
  if ((flags & (ACK | RST)) === ACK && segment.ack !== ((tcb.iss + 1) | 0)) {
    ctx.resetReply = true;
    return Reason['syn-received-bad-ack'];
  }
  const echo = echoesNothing(tcb, segment);
  if (old || echo || !inside(tcb, segment)) {
    if (old) ctx.counters.bump(Mib.TcpExtPAWSEstab);
    else if (echo) ctx.counters.bump(Mib.TcpExtTSEcrRejected);
    const reason = old ? Reason.paws : Reason['not-acceptable'];
    if ((flags & RST) !== 0) return Reason['not-acceptable-rst'];
    return outOfWindowAck(ctx, tcb, segment, reason, Mib.TcpExtTCPACKSkippedSynRecv);
  }
  // RFC 5961 3.2
  if ((flags & RST) !== 0) {
    return seq === tcb.rcvNxt ? ended(ctx, tcb, false) : challengeAck(ctx, tcb, Reason['rst-challenge']);
  }
  // The SYN itself is old, what else the segment carries is not
  if (seq === tcb.irs) flags &= ~SYN;
  if ((flags & SYN) !== 0) return ended(ctx, tcb, true);
  if ((flags & ACK) === 0) return Reason['no-ack-flag'];
  // The connection's counts begin with the SYN (tcp_create_openreq_child)
  tcb.segsIn = 1;
  tcb.dataSegsIn = 0;
  tcb.segsOut = 0;
  return COMPLETES;
}

/** There is no half-open connection any more; a SYN for it is answered with a RST. */
function ended(ctx: TcpContext, tcb: Tcb, bySyn: boolean): number {
  ctx.counters.bump(Mib.TcpAttemptFails);
  ctx.counters.bump(Mib.TcpExtEmbryonicRsts);
  ctx.resetReply = bySyn;
  fail(ctx, tcb, 'ECONNREFUSED');
  return bySyn ? Reason['request-syn'] : Reason['rst-syn-received'];
}

/** The SYN,ACK again, at the pace of the ACKs that an outsider can provoke. */
function synAgain(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  outOfWindowAck(ctx, tcb, segment, Reason.plain, Mib.TcpExtTCPACKSkippedSynRecv);
  if (tcb.ackNow) {
    tcb.ackNow = false;
    tcb.synOwed = true;
    armSendTimers(ctx, tcb, true);
  }
  return Reason['syn-retransmitted'];
}

/** It echoes a timestamp that no SYN,ACK of this request had. */
function echoesNothing(tcb: Tcb, segment: Segment): boolean {
  if (!tcb.tsEnabled || !segment.hasTimestamp || segment.tsEcr === 0) return false;
  const echo = (segment.tsEcr - tcb.tsOffset) | 0;
  return before(echo, tcb.synSentAt) || after(echo, tcb.lastSentAt);
}

/** Linux tcp_in_window, by the window of the SYN,ACK. */
function inside(tcb: Tcb, segment: Segment): boolean {
  const { seq, end } = segment;
  const edge = (tcb.rcvNxt + tcb.rcvWnd) | 0;
  if (seq === tcb.rcvNxt) return true;
  if (after(end, tcb.rcvNxt) && before(seq, edge)) return true;
  return seq === edge && seq === end;
}
