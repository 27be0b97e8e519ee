/** 3.10.2 SEND: bytes of the user go into the send queue, as far as its limit lets them. */
import { after, before } from '../seqnum.js';
import { mayQueue, sizeGoal } from './buffers.js';
import { C_BUSY } from './chrono.js';
import type { TcpContext } from './context.js';
import { output, outputBurst } from './output.js';
import { checkLimited } from './rate.js';
import * as S from './state.js';
import type { Tcb } from './tcb.js';
import { PUSH, RECORD, Writes } from './writes.js';

/** More follows: what does not fill a segment waits (MSG_MORE). */
export const SEND_MORE = 1;
/** The last byte ends a record: nothing is joined behind it (MSG_EOR). */
export const SEND_RECORD = 2;
/** Up to the last byte the stream is urgent (MUST-30). */
export const SEND_URGENT = 8;
/** The bytes stay where they are, not copied: the user does not change them until they are acknowledged, or the connection has ended. */
export const SEND_LENT = 16;
/** All of it, whatever the limit says: the user is asked to wait instead. */
export const SEND_ALL = 4;

/**
 * Returns how many bytes were taken, -1: the connection cannot send (any more). With fewer than
 * given, or the limit reached, EV_WRITABLE follows once it is worth it.
 */
export function send(ctx: TcpContext, tcb: Tcb, bytes: Uint8Array, flags: number): number {
  if (tcb.finQueued || tcb.state === S.CLOSED || tcb.state === S.TIME_WAIT) return -1;
  checkLimited(tcb, (tcb.queueEnd - tcb.sndNxt) | 0);
  const record = (flags & SEND_RECORD) !== 0;
  const taken =
    tcb.writes !== null || record || ctx.config.dialect.keepsBuffers
      ? intoBuffers(ctx, tcb, bytes, flags)
      : intoQueue(ctx, tcb, bytes, flags);
  // The SYN waited for what it is to carry
  if (tcb.state === S.SYN_SENT && tcb.sndNxt === tcb.iss) tcb.synOwed = true;
  const whole = taken === bytes.length;
  if (whole && (flags & SEND_URGENT) !== 0) {
    tcb.sndUrgent = true;
    tcb.sndUp = tcb.queueEnd;
  }
  tcb.moreFollows = whole && (flags & SEND_MORE) !== 0;
  if (taken > 0) tcb.stamps?.written((tcb.queueEnd - 1) | 0, tcb.writes?.lastStart ?? tcb.queueEnd);
  if (taken > 0) tcb.chrono.start(C_BUSY, ctx.now);
  ctx.charge(tcb);
  const full = (flags & SEND_ALL) !== 0 && (!mayQueue(ctx, tcb) || ctx.memory > ctx.config.memory);
  if (!whole || full) tcb.sendBlocked = true;
  ctx.markReady(tcb);
  return taken;
}

/** Bytes that the limit lets in. */
function room(tcb: Tcb, flags: number): number {
  return (flags & SEND_ALL) !== 0 ? Infinity : Math.max(0, tcb.sndLimit - tcb.sendQueue.length);
}

function queue({ sendQueue }: Tcb, bytes: Uint8Array, from: number, count: number, flags: number): void {
  if ((flags & SEND_LENT) !== 0) sendQueue.lend(bytes, from, count);
  else sendQueue.append(bytes, from, count);
}

function intoQueue(ctx: TcpContext, tcb: Tcb, bytes: Uint8Array, flags: number): number {
  if ((flags & SEND_ALL) === 0 && !mayQueue(ctx, tcb)) return 0;
  const taken = Math.min(bytes.length, room(tcb, flags));
  queue(tcb, bytes, 0, taken, flags);
  return taken;
}

/**
 * Linux tcp_sendmsg_locked: fills the last unsent buffer, then begins new ones. What fills a
 * buffer leaves at once, so that the memory of a long write is counted as it is sent.
 */
function intoBuffers(ctx: TcpContext, tcb: Tcb, bytes: Uint8Array, flags: number): number {
  const writes = (tcb.writes ??= begin(tcb));
  const { keepsBuffers } = ctx.config.dialect;
  const goal = sizeGoal(ctx, tcb);
  const all = (flags & SEND_ALL) !== 0;
  let taken = 0;
  while (taken < bytes.length) {
    let free = joins(tcb, writes) ? goal - ((writes.end - writes.lastStart) | 0) : 0;
    if (!keepsBuffers) free = Math.min(free, room(tcb, flags));
    if (free <= 0) {
      if (!all && !mayQueue(ctx, tcb)) break;
      writes.open();
      tcb.pushOwed = false;
      free = keepsBuffers ? goal : room(tcb, flags);
    }
    const count = Math.min(free, bytes.length - taken);
    queue(tcb, bytes, taken, count, flags);
    writes.extend(count);
    if (taken === 0) writes.unmark(PUSH);
    taken += count;
    if (taken < bytes.length && keepsBuffers) sendMeanwhile(ctx, tcb, writes);
  }
  if (taken === bytes.length && (flags & SEND_RECORD) !== 0) writes.mark(RECORD);
  // MUST-61: PSH at the end of each write; a write that says that more follows has none (tcp_push)
  if (taken < bytes.length || (flags & SEND_MORE) === 0 || pushForced(tcb, writes)) pushTo(tcb, writes);
  return taken;
}

/** What the queue holds already becomes the first buffer. */
function begin(tcb: Tcb): Writes {
  const writes = new Writes(tcb.queueSeq);
  if (tcb.sendQueue.length > 0) {
    writes.open();
    writes.extend(tcb.sendQueue.length);
  }
  return writes;
}

/** The last buffer takes more: nothing of it was sent, and it ends no record. */
function joins(tcb: Tcb, writes: Writes): boolean {
  const { lastStart, lastMark, count } = writes;
  if (count === 0 || (lastMark & RECORD) !== 0) return false;
  return !before(lastStart, tcb.sndNxt) && !before(lastStart, tcb.burstEnd);
}

/** A buffer is full and more follows. */
function sendMeanwhile(ctx: TcpContext, tcb: Tcb, writes: Writes): void {
  const forced = pushForced(tcb, writes);
  if (forced) pushTo(tcb, writes);
  if (tcb.state < S.ESTABLISHED) return;
  if (forced) output(ctx, tcb);
  else if (writes.isLast(tcb.sndNxt)) outputBurst(ctx, tcb);
}

/** Half the largest window was written since the last PSH (forced_push). */
function pushForced(tcb: Tcb, writes: Writes): boolean {
  return after(writes.end, (tcb.pushedTo + (tcb.maxSndWnd >> 1)) | 0);
}

function pushTo(tcb: Tcb, writes: Writes): void {
  writes.mark(PUSH);
  tcb.pushedTo = writes.end;
}
