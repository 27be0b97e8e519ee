/**
 * The segment that a connection in ESTABLISHED waits for while a stream flows towards it: what header prediction
 * (stack/prediction.ts) asks of it, and what is left of SEGMENT ARRIVES when all other answers are known. Both paths
 * must do the same: test/stack/prediction.test.ts plays random conversations through both.
 */
import { before } from '../seqnum.js';
import type { Segment } from '../wire/segment.js';
import { acknowledgeInTime, dataArrived } from './ack.js';
import { measureReceiver, openByArrival } from './autotune.js';
import type { TcpContext } from './context.js';
import { EV_READABLE } from './events.js';
import { digest } from './sender.js';
import { LINGER_NOT, T_PERSIST, T_REXMT, T_USER, type Tcb } from './tcb.js';
import { acknowledgeBatch } from './text.js';
import { schedule } from './timers.js';

const SEND_TIMERS = (1 << T_REXMT) | (1 << T_PERSIST) | (1 << T_USER);

/**
 * Of a segment with text, ACK, at most PSH and timestamps, and no mark, for a connection in ESTABLISHED: it is the next
 * one, in the window, not older than the last; it acknowledges what was acknowledged before, as nothing of ours is under
 * way, and leaves the peer's window as it was. Nobody else waits for it: no hole, no FIN, no user in close(), no listener.
 */
export function expects(ctx: TcpContext, tcb: Tcb, segment: Segment): boolean {
  const { seq, payloadLength } = segment;
  const { sndUna, sndWnd } = tcb;
  return (
    seq === tcb.rcvNxt &&
    segment.ack === sndUna &&
    tcb.sndNxt === sndUna &&
    segment.wnd << tcb.sndWscale === sndWnd &&
    sndWnd !== 0 &&
    payloadLength <= ((tcb.rcvAdv - seq) | 0) &&
    (tcb.tsEnabled === false ||
      (segment.hasTimestamp === true && ((tcb.tsRecent - segment.tsVal) | 0) <= 0)) &&
    before(tcb.sndWl1, seq) &&
    tcb.sendQueue.length === 0 &&
    tcb.finQueued === false &&
    tcb.userClosed === false &&
    tcb.reassembly === null &&
    tcb.fins === null &&
    tcb.dupAcksOwed === 0 &&
    tcb.lingering === LINGER_NOT &&
    tcb.earlyFrom === null &&
    tcb.revert === null &&
    tcb.halfOpen === false &&
    tcb.id >= 0 &&
    ctx.memory + payloadLength <= ctx.config.memory
  );
}

/** What `segmentArrives` does with it. */
export function takeExpected(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  const { now } = ctx;
  const { seq, payloadLength } = segment;
  const { count } = segment;
  ctx.resetReply = false;
  tcb.segsIn += count;
  tcb.dataSegsIn += count;
  tcb.lastHeardAt = now;
  tcb.keepProbes = 0;
  tcb.probes = 0;
  // R7323-38
  if (tcb.tsEnabled === true && seq === tcb.lastAckSent) {
    tcb.tsRecent = segment.tsVal;
    tcb.tsRecentAt = now;
  }
  // Fifth, check the ACK field: it says nothing new
  tcb.softError = null;
  tcb.moreFollows = false;
  tcb.dsacked = 0;
  tcb.sndWl1 = seq;
  tcb.sndWl2 = segment.ack;
  if (tcb.sent !== null) {
    tcb.sent.beginAck();
    digest(ctx, tcb, segment, 0, false, false);
  }
  if (ctx.config.dialect.windowByAck === true) ctx.markReady(tcb);
  tcb.armed &= ~SEND_TIMERS;
  tcb.probeBackoff = 0;
  // Seventh, process the segment text (R9293-32)
  tcb.receiveQueue.take(segment.bytes, segment.payloadOffset, payloadLength);
  tcb.rcvNxt = (seq + payloadLength) | 0;
  tcb.bytesReceived += payloadLength;
  measureReceiver(ctx, tcb, segment);
  openByArrival(ctx, tcb, payloadLength);
  dataArrived(ctx, tcb, segment);
  ctx.raise(tcb, EV_READABLE);
  acknowledgeInTime(ctx, tcb);
  acknowledgeBatch(ctx, tcb);
  if (tcb.ackNow === true) ctx.markReady(tcb);
  schedule(ctx, tcb);
  ctx.charge(tcb);
}
