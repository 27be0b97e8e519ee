/**
 * SEGMENT ARRIVES, RFC 9293 3.10.7.4 first and second: is the segment acceptable, and does a RST
 * count? Pure questions; input.ts does what follows.
 */
import { after, before, beforeEq, inWindow } from '../seqnum.js';
import { FIN, RST, type Segment } from '../wire/segment.js';
import { ACCEPT_BSD, ACCEPT_LINUX, type Dialect } from './dialect.js';
import * as S from './state.js';
import type { Tcb } from './tcb.js';

/** R9293-4: the segment has `length` from `seq` on. */
export function acceptable(
  dialect: Dialect,
  tcb: Tcb,
  segment: Segment,
  seq: number,
  length: number,
): boolean {
  const window = tcb.rcvWnd;
  const atEdge = seq === ((tcb.rcvNxt + window) | 0);
  if (dialect.acceptance === ACCEPT_LINUX) {
    if (!isHalfOpen(tcb)) return tcpSequence(tcb, segment, seq, (seq + length) | 0);
    // tcp_in_window of a request socket
    if (length === 0 && atEdge) return true;
  }
  // R5961-1, MUST-66: a RST counts by its sequence number alone, whatever text it carries
  if ((segment.flags & RST) !== 0) return inside(tcb, seq, window);
  // Note: BSD measures text, no FIN
  if (dialect.acceptance === ACCEPT_BSD && segment.payloadLength === 0)
    return atEdge || inside(tcb, seq, window);
  if (length === 0) return inside(tcb, seq, window);
  if (window === 0) return false;
  return inWindow(seq, tcb.rcvNxt, window) || inWindow((seq + length - 1) | 0, tcb.rcvNxt, window);
}

/** SYN-RECEIVED by a passive open: on Linux a request socket. */
export function isHalfOpen(tcb: Tcb): boolean {
  return tcb.state === S.SYN_RECEIVED && !tcb.active;
}

/** An empty segment: in the window, or at RCV.NXT when that is closed. */
function inside(tcb: Tcb, seq: number, window: number): boolean {
  return window === 0 ? seq === tcb.rcvNxt : inWindow(seq, tcb.rcvNxt, window);
}

/** Linux tcp_sequence: old is what ends before the last ACK; beyond, what ends outside while text waits to be read. */
function tcpSequence(tcb: Tcb, segment: Segment, seq: number, end: number): boolean {
  if (before(end, tcb.lastAckSent)) return false;
  const edge = (tcb.rcvNxt + tcb.rcvWnd) | 0;
  if (beforeEq((end - (segment.flags & FIN)) | 0, edge)) return true;
  // A FIN waits to be read as text does.
  const unread = tcb.readable > 0 || tcb.secondFin || (tcb.peerClosed && !tcb.endRead);
  return !after(seq, edge) && !unread;
}

/** RFC 5961 3.2: an acceptable RST at `seq` is exact and ends the connection; others are challenged. */
export function resetIsExact(dialect: Dialect, tcb: Tcb, seq: number): boolean {
  if (seq === tcb.rcvNxt) return true;
  if (!dialect.guessesReset) return false;
  if (resetBeforeFin(dialect, tcb, seq)) return true;
  const holes = tcb.reassembly;
  return tcb.sackEnabled && holes !== null && holes.ranges > 0 && seq === holes.right(holes.ranges - 1);
}

/** The peer may not have counted its FIN. */
export function resetBeforeFin(dialect: Dialect, tcb: Tcb, seq: number): boolean {
  const behind = tcb.state === S.CLOSE_WAIT || tcb.state === S.CLOSING || tcb.state === S.LAST_ACK;
  return dialect.guessesReset && behind && seq === ((tcb.rcvNxt - 1) | 0);
}
