/**
 * New data where the send queue is kept as buffers (writes.ts): which of the next buffer leaves as
 * one burst, and where PSH goes. Linux hands a burst to segmentation as one packet; here it is that
 * many segments in a row, of which the last carries PSH (tcp_write_xmit, tcp_mss_split_point).
 */
import { after, before } from '../seqnum.js';
import { LARGEST } from './buffers.js';
import { bundle } from './bundle.js';
import type { TcpContext } from './context.js';
import { pacingRate } from './pacing.js';
import { minRtt } from './rack.js';
import type { Tcb } from './tcb.js';
import { BURST, PUSH, type Writes } from './writes.js';

/** Shift from the pacing rate, bytes a second, to a burst: about a millisecond of it. */
const PACING_SHIFT = 10;
/** 2^9 microseconds of the smallest round trip halve the bytes that near peers get on top (tcp_tso_rtt_log). */
const NEAR_SHIFT = 9;

/**
 * Length of the next segment, 0: nothing may leave now. `usable` bytes are left of the peer's
 * window, `allowed` of cwnd.
 */
export function nextOfBurst(
  ctx: TcpContext,
  tcb: Tcb,
  writes: Writes,
  usable: number,
  allowed: number,
): number {
  const { mss, sndNxt: seq } = tcb;
  if (before(seq, tcb.burstEnd)) {
    const whole = (tcb.burstEnd - seq) | 0;
    if (Math.min(mss, whole) <= usable) return bundle(ctx, tcb, Math.min(whole, usable), whole <= usable);
  }
  const left = (writes.endOf(seq) - seq) | 0;
  const first = Math.min(mss, left);
  // The override of the silly-window rule, and a corked queue that waited long enough
  if (tcb.forceSend && usable > 0) return planned(tcb, writes, Math.min(first, usable), true);
  // A segment is not cut to fit the window.
  if (first > usable || first <= 0) return 0;
  if (first > allowed && !(tcb.outstanding === 0 && allowed > 0)) return 0;
  const last = writes.isLast(seq);
  if (left <= mss) {
    const held = left < mss && last && !tcb.finQueued && holds(ctx, tcb);
    return held ? 0 : planned(tcb, writes, left, false);
  }
  // At least two bursts in a window (tcp_cwnd_test)
  const room = Math.min(allowed, tcb.congestion.cwnd >> 1);
  const segments = Math.min(burstSegments(ctx, tcb), Math.max(1, Math.floor(room / mss)));
  const needed = Math.min(left, usable);
  let length = Math.min(needed, segments * mss);
  const partial = length % mss;
  if (partial > 0 && last && holds(ctx, tcb)) length -= partial;
  planned(tcb, writes, length, length > mss);
  return bundle(ctx, tcb, length, true);
}

/** A single segment of up to `length` bytes, whatever cwnd says. */
export function oneOfBurst(tcb: Tcb, writes: Writes, length: number): number {
  const left = (writes.endOf(tcb.sndNxt) - tcb.sndNxt) | 0;
  return planned(tcb, writes, Math.min(left, length), false);
}

/** A segment that joins buffers: a probe of the path MTU (Linux tcp_mtu_probe). */
export function unitedBurst(tcb: Tcb, writes: Writes, length: number): void {
  tcb.burstEnd = (tcb.sndNxt + length) | 0;
  writes.cut(tcb.burstEnd, 0);
}

/** A burst of `length` bytes from SND.NXT on; the length of its first segment. */
function planned(tcb: Tcb, writes: Writes, length: number, push: boolean): number {
  const { mss, sndNxt } = tcb;
  const end = (sndNxt + length) | 0;
  writes.cut(end, push ? BURST : 0);
  tcb.burstEnd = end;
  if (length % mss > 0) tcb.sndSmall = end;
  return Math.min(length, mss);
}

/**
 * A segment that is not full waits: the user said that more follows (TCP_CORK, MSG_MORE), or
 * Nagle (SHLD-7: data is in flight), or Minshall's variant: only while a small segment is in flight.
 */
export function holds(ctx: TcpContext, tcb: Tcb): boolean {
  if (tcb.pushOwed) return false;
  if (tcb.options.corked || tcb.moreFollows) return true;
  if (tcb.options.noDelay || tcb.outstanding === 0) return false;
  return (
    !ctx.config.dialect.minshall || (after(tcb.sndSmall, tcb.sndUna) && !after(tcb.sndSmall, tcb.sndNxt))
  );
}

/** Segments of one burst: a millisecond at the pacing rate, more to a near peer (tcp_tso_autosize). */
function burstSegments(ctx: TcpContext, tcb: Tcb): number {
  const { mss } = tcb;
  let bytes = LARGEST;
  const rate = pacingRate(ctx, tcb);
  if (rate < Infinity) bytes = rate / 2 ** PACING_SHIFT + nearBytes(tcb);
  return Math.max(ctx.config.minBurst, Math.floor(Math.min(bytes, LARGEST) / mss));
}

function nearBytes(tcb: Tcb): number {
  const smallest = tcb.minRttNow < 0 && tcb.minRttBefore < 0 ? tcb.rtt.srtt : minRtt(tcb);
  const shift = (1000 * smallest) >> NEAR_SHIFT;
  return shift < 32 ? LARGEST >>> shift : 0;
}

/** MUST-61, R9293-69: PSH when the queue is emptied, or where the writes say. */
export function pushes({ writes, queueEnd }: Tcb, end: number): boolean {
  return writes === null ? end === queueEnd : writes.markedAt(end, PUSH | BURST);
}

/** What is resent: at the end of a write, and of a burst when all of it goes out again. */
export function pushesAgain(tcb: Tcb, seq: number, end: number): boolean {
  const { writes } = tcb;
  if (writes === null) return pushes(tcb, end);
  const follows = tcb.resending && tcb.resentTo === seq && !writes.markedAt(seq, BURST);
  tcb.resending = true;
  tcb.resentTo = end;
  return writes.markedAt(end, PUSH) || (follows && writes.markedAt(end, BURST));
}
