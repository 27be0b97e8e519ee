/**
 * The segment that a connection in ESTABLISHED waits for while a stream flows towards it: what header prediction
 * (stack/prediction.ts) asks of it, and the steps of SEGMENT ARRIVES that are left when all other answers are known.
 */
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { newAck } from './input.js';
import { recordTimestamp } from './options.js';
import { LINGER_NOT, type Tcb } from './tcb.js';
import { inOrder, text } from './text.js';
import { schedule } from './timers.js';

/**
 * Of a segment with text, ACK, at most PSH and timestamps, and no mark, for a connection in ESTABLISHED: it is the next
 * one, in the window, not older than the last, and acknowledges what was acknowledged before, as nothing of ours is under
 * way. Nothing waits for what it brings: no hole, no FIN, no user in close(), no listener.
 */
export function expects(ctx: TcpContext, tcb: Tcb, segment: Segment): boolean {
  const { payloadLength } = segment;
  return (
    segment.seq === tcb.rcvNxt &&
    segment.ack === tcb.sndUna &&
    tcb.sndNxt === tcb.sndUna &&
    payloadLength <= tcb.rcvWnd &&
    (!tcb.tsEnabled || (segment.hasTimestamp && ((tcb.tsRecent - segment.tsVal) | 0) <= 0)) &&
    tcb.sendQueue.length === 0 &&
    !tcb.finQueued &&
    !tcb.userClosed &&
    tcb.reassembly === null &&
    tcb.fins === null &&
    tcb.dupAcksOwed === 0 &&
    tcb.lingering === LINGER_NOT &&
    tcb.earlyFrom === null &&
    tcb.revert === null &&
    !tcb.halfOpen &&
    tcb.id >= 0 &&
    ctx.memory + payloadLength <= ctx.config.memory
  );
}

/** What `segmentArrives` does with it. */
export function takeExpected(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  ctx.resetReply = false;
  const { count } = segment;
  tcb.segsIn += count;
  tcb.dataSegsIn += count;
  tcb.lastHeardAt = ctx.now;
  tcb.keepProbes = 0;
  tcb.probes = 0;
  recordTimestamp(ctx, tcb, segment, segment.seq);
  newAck(ctx, tcb, segment);
  text.seq = segment.seq;
  text.offset = segment.payloadOffset;
  text.length = segment.payloadLength;
  text.fin = false;
  inOrder(ctx, tcb, segment);
  if (tcb.ackNow) ctx.markReady(tcb);
  schedule(ctx, tcb);
  ctx.charge(tcb);
}
