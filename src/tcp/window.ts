/**
 * The receive window: how much is offered, and when a change is worth an ACK of its
 * own (RFC 9293 3.8.6.2.2, MUST-39).
 */
import { after, before, beforeEq, max, min } from '../seqnum.js';
import { Mib } from '../mib.js';
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { WINDOW_AT_ONCE, WINDOW_LINUX } from './dialect.js';
import type { Tcb } from './tcb.js';

/** Largest shift of RFC 7323 2.3. */
export const MAX_WSCALE = 14;

/** The shift needed to offer `limit` bytes in 16 bits. */
export function wscaleFor(limit: number): number {
  const fields = Math.ceil(limit / 65_535);
  return fields <= 1 ? 0 : Math.min(MAX_WSCALE, 32 - Math.clz32(fields - 1));
}

/**
 * The right edge that could be offered now. SHLD-14: never left of the present one.
 * R9293-62: it moves only once it moves by min(half the buffer, one MSS).
 */
export function rightEdge(tcb: Tcb): number {
  if (tcb.windowRule === WINDOW_LINUX) return (tcb.rcvNxt + selectWindow(tcb)) | 0;
  const free = tcb.rcvLimit - tcb.receiveQueue.length;
  const edge = (tcb.rcvNxt + (free > 0 ? free : 0)) | 0;
  if (!after(edge, tcb.rcvAdv)) return tcb.rcvAdv;
  const gain = (edge - tcb.rcvAdv) | 0;
  if (tcb.windowRule !== WINDOW_AT_ONCE && gain < Math.min(tcb.rcvLimit >> 1, tcb.rcvMss)) return tcb.rcvAdv;
  // TCP_WINDOW_CLAMP is no lack of room: within it the edge follows RCV.NXT
  return max(tcb.rcvAdv, min(edge, (tcb.rcvNxt + tcb.rcvOffer) | 0));
}

/** WINDOW_LINUX, with tcp_select_window: what was offered stays, rounded up as it must be said. */
function selectWindow(tcb: Tcb): number {
  const offered = tcb.rcvWnd;
  const window = roomForWindow(tcb);
  return window < offered ? alignUp(offered, tcb.rcvWscale) : window;
}

const alignUp = (bytes: number, shift: number): number => ((bytes + (1 << shift) - 1) >> shift) << shift;

function roomForWindow(tcb: Tcb): number {
  const { rcvLimit, rcvWscale, rcvMss } = tcb;
  const full = Math.min(rcvLimit, tcb.windowClamp);
  const mss = Math.min(rcvMss, full);
  let free = Math.max(0, rcvLimit - tcb.receiveQueue.length);
  if (free < full >> 1) {
    free = (free >> rcvWscale) << rcvWscale;
    if (free < rcvLimit >> 4 || free < mss) return 0;
  }
  free = Math.min(free, tcb.rcvOffer);
  if (rcvWscale > 0) return alignUp(free, rcvWscale);
  const last = (tcb.rcvAdv - tcb.lastAckSent) | 0;
  return last <= free - mss || last > free ? free - (free % mss) : last;
}

/** R7323-7, R7323-11, R7323-17: the window field, and the true right edge it stands for. */
export function offerWindow(ctx: TcpContext, tcb: Tcb, unscaled: boolean): number {
  const shift = unscaled ? 0 : tcb.rcvWscale;
  const last = tcb.rcvWnd;
  const linux = tcb.windowRule === WINDOW_LINUX;
  // Note: Linux selects no window for a SYN, and remembers what it selected, be it more than the field can say
  const window = linux && unscaled ? last : (rightEdge(tcb) - tcb.rcvNxt) | 0;
  const field = Math.min(65535, window >> shift);
  tcb.rcvAdv = max(tcb.rcvAdv, (tcb.rcvNxt + (linux ? window : field << shift)) | 0);
  if (field === 0 && last !== 0) ctx.counters.bump(Mib.TcpExtTCPToZeroWindowAdv);
  else if (field !== 0 && last === 0) ctx.counters.bump(Mib.TcpExtTCPFromZeroWindowAdv);
  return field;
}

/** The user read: is the window worth announcing although nothing is owed? */
export function windowUpdateDue(tcb: Tcb): boolean {
  // What the 16-bit field cannot say is no gain (R7323-7)
  const most = 65535 << tcb.rcvWscale;
  const edge = min(rightEdge(tcb), (tcb.rcvNxt + most) | 0);
  const gain = (edge - tcb.rcvAdv) | 0;
  if (gain <= 0) return false;
  // A closed or nearly closed window is reopened at the first useful step; an open one only by large steps (R1122-18).
  const half = Math.min(tcb.rcvLimit, most) >> 1;
  return tcb.rcvWnd < Math.min(half, 2 * tcb.rcvMss) ? gain >= Math.min(half, tcb.rcvMss) : gain >= half;
}

/**
 * R9293-29, R9293-30: only a segment that is not older than the last one may change the window of
 * the peer; SEG.ACK is not below SND.UNA. `byAck`: Linux tcp_may_update_window.
 */
export function mayUpdateWindow(tcb: Tcb, segment: Segment, byAck: boolean): boolean {
  const { seq, ack } = segment;
  if (before(tcb.sndWl1, seq)) return true;
  if (!byAck) return tcb.sndWl1 === seq && beforeEq(tcb.sndWl2, ack);
  if (after(ack, tcb.sndUna)) return true;
  const window = segment.wnd << tcb.sndWscale;
  return tcb.sndWl1 === seq && (window > tcb.sndWnd || window === 0);
}
