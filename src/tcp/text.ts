/**
 * SEGMENT ARRIVES, RFC 9293 3.10.7.4 from the sixth step on: the URG bit, the segment text, the
 * FIN bit. The steps before are in input.ts.
 */
import { after, afterEq, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { FIN, type Segment } from '../wire/segment.js';
import { acknowledgeInTime, dataArrived, duplicateOwed, finArrivedInPace, measureSegment } from './ack.js';
import { measureReceiver, openByArrival } from './autotune.js';
import { enterTimeWait } from './closing.js';
import type { TcpContext } from './context.js';
import { noteOld, noteTwice } from './dsack.js';
import { takeMark } from './ecn.js';
import { BEHIND_LINUX, BEHIND_RFC, ORPHAN_LINUX, type Dialect } from './dialect.js';
import { EV_PEER_CLOSED, EV_READABLE, EV_URGENT } from './events.js';
import { emitAck } from './output.js';
import { HeldFins } from './held-fins.js';
import { FULL, KNOWN, Reassembly } from './reassembly.js';
import { fail } from './sender.js';
import { repairsOf } from './repairs.js';
import * as S from './state.js';
import { T_FIN_WAIT_2, T_REXMT, type Tcb } from './tcb.js';

/** The segment's own text after trimming: offsets into it, valid during one call. */
export const text = { seq: 0, offset: 0, length: 0, fin: false };

/** R9293-31: what of the segment is new and in the window. */
export function trim(tcb: Tcb, segment: Segment, seq: number, window: number): void {
  text.seq = seq;
  text.offset = segment.payloadOffset;
  text.length = segment.payloadLength;
  text.fin = (segment.flags & FIN) !== 0;
  const old = (tcb.rcvNxt - seq) | 0;
  if (old > 0) {
    const cut = Math.min(old, text.length);
    text.seq = (text.seq + cut) | 0;
    text.offset += cut;
    text.length -= cut;
    // An old FIN was processed before.
    if (text.fin && before((text.seq + text.length) | 0, tcb.rcvNxt)) text.fin = false;
  }
  const room = (tcb.rcvNxt + window - text.seq) | 0;
  if (text.length + (text.fin ? 1 : 0) > room) {
    text.fin = false;
    text.length = Math.min(text.length, Math.max(0, room));
  }
}

/** MUST-30 .. MUST-33, R9293-66: the pointer only moves forward, the user hears of each advance. */
export function urgentArrives(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (tcb.peerClosed) return;
  // MUST-62: the octet behind the urgent ones. Knob tcp_stdurg: the last of them, as RFC 1122 4.2.2.4 had it
  const pointer = (segment.seq + segment.urgent + (ctx.config.urgentAtLast ? 1 : 0)) | 0;
  if (!after(pointer, tcb.rcvNxt)) return;
  // A run of urgent data that was received whole sets no mark any more.
  if (tcb.urgent && after(tcb.rcvUp, tcb.rcvNxt) && !after(pointer, tcb.rcvUp)) return;
  tcb.urgent = true;
  tcb.rcvUp = pointer;
  ctx.raise(tcb, EV_URGENT);
}

/** Text, or a FIN out of order, that reaches beyond RCV.NXT. */
export function reachesBeyond(tcb: Tcb, segment: Segment): boolean {
  return segment.length > 0 && after((segment.end - (segment.flags & FIN)) | 0, tcb.rcvNxt);
}

/** SHLD-3: nobody will ever read this. */
export function resetOrphan(ctx: TcpContext, tcb: Tcb): number {
  ctx.counters.bump(Mib.TcpExtTCPAbortOnData);
  ctx.resetReply = true;
  fail(ctx, tcb, 'ECONNABORTED');
  return Reason['data-after-close'];
}

/** Seventh, process the segment text; eighth, check the FIN bit. The segment occupies numbers; reads `text`. */
export function textAndFin(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  const { seq, length } = text;
  const { dialect } = ctx.config;
  if (tcb.peerClosed) return behindFin(ctx, tcb, segment);
  const beyond = length > 0 && after((seq + length) | 0, tcb.rcvNxt);
  if (tcb.userClosed && (dialect.orphan === ORPHAN_LINUX ? reachesBeyond(tcb, segment) : beyond))
    return resetOrphan(ctx, tcb);
  noteOld(ctx, tcb, segment);
  if (length === 0 && !text.fin) {
    // Acceptable, and nothing of it new: by Linux's acceptance only
    tcb.ackNow = true;
    return Reason.duplicate;
  }
  // The stack's memory bound: what is refused here was never acknowledged. An empty queue always takes one segment.
  if (length > 0 && ctx.memory + length > ctx.config.memory && (tcb.readable > 0 || after(seq, tcb.rcvNxt))) {
    ctx.counters.bump(Mib.TcpExtTCPRcvQDrop);
    return Reason['receive-full'];
  }
  if (length > 0) takeMark(ctx, tcb, segment);
  const ahead = after(seq, tcb.rcvNxt);
  const merged = tcb.fins !== null || (ahead && text.fin) ? noteFin(dialect, tcb) : 0;
  if (ahead) return outOfOrder(ctx, tcb, segment, merged);
  if (length > 0) inOrder(ctx, tcb, segment);
  else if (segment.payloadLength > 0) noteArrival(ctx, tcb, segment);
  const atFin = text.fin && ((seq + length) | 0) === tcb.rcvNxt;
  if (atFin || tcb.fins?.firstFrom(tcb.rcvNxt) === tcb.rcvNxt) finArrives(ctx, tcb);
  return Reason.plain;
}

/**
 * FINs ahead of a hole. The stream ends at the first one that it comes to. On Linux a segment that has nothing new is
 * forgotten with its FIN, and one that has all of another takes its place. Returns how many were forgotten, but for known text.
 */
function noteFin(dialect: Dialect, tcb: Tcb): number {
  let merged = 0;
  const { seq, length, fin } = text;
  const last = (seq + length) | 0;
  const end = fin ? (last + 1) | 0 : last;
  if (dialect.finOverText) {
    // Known text is counted where it is stored
    const alone = length > 0 && tcb.reassembly?.covers(seq, last) === true ? 0 : 1;
    if (tcb.fins?.covers(seq, end) === true) return alone;
    if (fin && tcb.reassembly?.covers(seq, end) === true) {
      text.fin = false;
      return alone;
    }
    merged = tcb.fins?.remove(seq, end) ?? 0;
  }
  if (fin && after(seq, tcb.rcvNxt)) (tcb.fins ??= new HeldFins()).add(seq, last);
  return merged;
}

/** R9293-41; the peer repeats its FIN or sends beyond it. */
function behindFin(ctx: TcpContext, tcb: Tcb, segment: Segment): number {
  const { behindFin: rule } = ctx.config.dialect;
  const reason = text.length > 0 ? Reason['data-after-fin'] : Reason.duplicate;
  const begins = before(segment.seq, tcb.rcvNxt);
  const old = !after(segment.end, tcb.rcvNxt);
  if (rule === BEHIND_LINUX && begins && !old) {
    if (reachesBeyond(tcb, segment)) {
      ctx.counters.bump(Mib.TcpExtTCPAbortOnData);
      ctx.resetReply = true;
      fail(ctx, tcb, tcb.state === S.CLOSE_WAIT ? 'EPIPE' : 'ECONNRESET');
      return Reason['reset-across-fin'];
    }
    tcb.bytesReceived += (segment.end - tcb.rcvNxt) | 0;
    tcb.rcvNxt = segment.end;
    tcb.secondFin = true;
    if (before(tcb.rcvAdv, tcb.rcvNxt)) tcb.rcvAdv = tcb.rcvNxt;
    tcb.ackNow = true;
    return reason;
  }
  if (rule === BEHIND_RFC || (begins && old)) tcb.ackNow = true;
  return reason;
}

/** What a segment that continues the stream, be it by its FIN alone, says of the peer's segments. */
function noteArrival(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  measureReceiver(ctx, tcb, segment);
  openByArrival(ctx, tcb, segment.payloadLength);
  dataArrived(ctx, tcb, segment);
}

/** R9293-32: the text that continues the stream. */
function inOrder(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  const { length } = text;
  tcb.receiveQueue.take(segment.bytes, text.offset, length);
  tcb.rcvNxt = (tcb.rcvNxt + length) | 0;
  tcb.bytesReceived += length;
  noteArrival(ctx, tcb, segment);
  ctx.raise(tcb, EV_READABLE);
  const holes = tcb.reassembly;
  if (text.fin && ctx.config.dialect.finOverText) return;
  if (holes !== null && holes.ranges > 0) {
    const fin = ctx.config.dialect.finOverText ? tcb.fins?.firstFrom(tcb.rcvNxt) : null;
    if (fin !== undefined && fin !== null) holes.truncate(fin);
    const past = holes.drain(tcb.rcvNxt, tcb.receiveQueue);
    tcb.bytesReceived += (past - tcb.rcvNxt) | 0;
    tcb.rcvNxt = past;
    if (holes.ranges === 0) tcb.reassembly = null;
    // R5681-20: a filled gap is acknowledged at once
    tcb.ackNow = true;
    return;
  }
  acknowledgeInTime(ctx, tcb);
  if (!text.fin) acknowledgeBatch(ctx, tcb);
}

/** SHLD-19: else the ACK goes out when all that came together was looked at (R9293 3.8.6.3) */
export function acknowledgeBatch(ctx: TcpContext, tcb: Tcb): void {
  if (ctx.config.acksBatches || !tcb.ackNow) return;
  const two = ((tcb.rcvNxt - tcb.lastAckSent) | 0) > tcb.rcvMss;
  if (two) emitAck(ctx, tcb, Reason.plain);
}

/** SHLD-31, R5681-19, R5681-24. `merged`: segments without text that another made superfluous. */
function outOfOrder(ctx: TcpContext, tcb: Tcb, segment: Segment, merged: number): number {
  repairsOf(tcb).oooSegments++;
  if (ctx.config.dialect.pacesAcks) measureSegment(tcb, segment);
  duplicateOwed(ctx, tcb);
  ctx.counters.bump(Mib.TcpExtTCPOFOQueue);
  ctx.counters.add(Mib.TcpExtTCPOFOMerge, merged);
  if (text.length === 0) return Reason['out-of-order'];
  const holes = (tcb.reassembly ??= new Reassembly());
  const result = holes.store(text.seq, segment.bytes, text.offset, text.length, ctx.config.maxRanges);
  if (holes.overlaps) noteTwice(ctx, tcb, holes.overlapLeft, holes.overlapRight);
  if (result === FULL) {
    ctx.counters.bump(Mib.TcpExtTCPOFODrop);
    return Reason['out-of-order-full'];
  }
  ctx.counters.add(Mib.TcpExtTCPOFOMerge, result === KNOWN ? 1 : holes.swallowed);
  return Reason['out-of-order'];
}

/** Eighth, check the FIN bit: RCV.NXT stands at the peer's FIN. */
function finArrives(ctx: TcpContext, tcb: Tcb): void {
  tcb.rcvNxt = (tcb.rcvNxt + 1) | 0;
  if (before(tcb.rcvAdv, tcb.rcvNxt)) tcb.rcvAdv = tcb.rcvNxt;
  tcb.peerClosed = true;
  tcb.reassembly = null;
  tcb.fins = null;
  ctx.raise(tcb, EV_PEER_CLOSED | EV_READABLE);
  switch (tcb.state) {
    case S.SYN_RECEIVED:
    case S.ESTABLISHED:
      tcb.moveTo(S.CLOSE_WAIT);
      if (ctx.config.dialect.pacesAcks && !tcb.ackNow) finArrivedInPace(ctx, tcb);
      else tcb.ackNow = true;
      return;
    case S.FIN_WAIT_1:
      tcb.ackNow = !(ctx.config.dialect.acksCrossingFin && emitAck(ctx, tcb, Reason.plain));
      // Our FIN is not acknowledged yet, else the state were FIN-WAIT-2 (R9293-35, R9293-36)
      tcb.moveTo(S.CLOSING);
      return;
    case S.FIN_WAIT_2:
      tcb.ackNow = true;
      tcb.disarm(T_FIN_WAIT_2);
      tcb.disarm(T_REXMT);
      enterTimeWait(tcb);
      return;
  }
}

/** Data that came with a SYN for a listener waits until the connection is established (R9293-7). */
export function textOnSyn(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (segment.payloadLength === 0 || !afterEq(tcb.rcvAdv, (tcb.rcvNxt + segment.payloadLength) | 0)) return;
  tcb.receiveQueue.append(segment.bytes, segment.payloadOffset, segment.payloadLength);
  tcb.rcvNxt = (tcb.rcvNxt + segment.payloadLength) | 0;
  tcb.bytesReceived += segment.payloadLength;
  ctx.markReady(tcb);
}
