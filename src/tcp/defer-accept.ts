/**
 * TCP_DEFER_ACCEPT (Linux tcp_check_req, syn_ack_recalc): a listener's connection waits for text. The bare
 * ACK that ends the handshake is dropped while fewer timeouts of the SYN,ACK have passed than the user's
 * seconds come to; the last of them sends it once more, and the ACK of that one counts.
 *
 * Under every dialect the same: no RFC knows it, and the peer only sees its ACK lost.
 */
import { Mib } from '../mib.js';
import { ACK, RST, type Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import type { Tcb } from './tcb.js';

/** rskq_defer_accept is a byte. */
const MOST_ROUNDS = 255;

/** Timeouts of a SYN,ACK, ms the first and `most` the longest, that it takes until `seconds` have passed (secs_to_retrans). */
export function roundsOf(seconds: number, first: number, most: number): number {
  if (seconds <= 0) return 0;
  let rounds = 1;
  for (let wait = first, passed = wait; passed < 1000 * seconds && rounds < MOST_ROUNDS; rounds++) {
    wait = Math.min(2 * wait, most);
    passed += wait;
  }
  return rounds;
}

/** What getsockopt() tells of it, s (retrans_to_secs). */
export function secondsOf(rounds: number, first: number, most: number): number {
  let passed = 0;
  for (let round = 0, wait = first; round < rounds; round++, wait = Math.min(2 * wait, most)) passed += wait;
  return Math.floor(passed / 1000);
}

/** This segment would complete the handshake, brings nothing else, and is not to count yet. */
export function deferred(ctx: TcpContext, tcb: Tcb, segment: Segment): boolean {
  if (tcb.retries >= tcb.deferRounds || (segment.flags & (ACK | RST)) !== ACK) return false;
  if (segment.end !== ((tcb.irs + 1) | 0) || segment.ack !== tcb.sndNxt) return false;
  tcb.handshakeAcked = true;
  if (tcb.tsEnabled && segment.hasTimestamp) {
    tcb.tsRecent = segment.tsVal;
    tcb.tsRecentAt = ctx.now;
  }
  ctx.counters.bump(Mib.TcpExtTCPDeferAcceptDrop);
  return true;
}

/** Timeouts of the SYN,ACK before the handshake is given up: one that the peer acknowledged lives until it may count. */
export function deferredLimit(tcb: Tcb, retries: number): number {
  return tcb.handshakeAcked ? Math.max(retries, tcb.deferRounds) : retries;
}

/** This timeout, the `retries`th, sends the SYN,ACK again: not while text is awaited, but at the end, as a last chance. */
export function repeatsSynAck(tcb: Tcb): boolean {
  return !tcb.handshakeAcked || tcb.retries >= tcb.deferRounds;
}
