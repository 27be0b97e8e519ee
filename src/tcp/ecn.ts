/**
 * Explicit congestion notification: RFC 3168, as RFC 8311 leaves it. Who offers it on a SYN,
 * what the IP and TCP headers say of it, and both ends' reactions to a mark.
 */
import { after } from '../seqnum.js';
import { ACK, CWR, ECE, SYN, type Segment } from '../wire/segment.js';
import { Codepoints } from './codepoints.js';
import type { TcpContext } from './context.js';
import { T_HOLD, type Tcb } from './tcb.js';

/** Codepoints: the two low bits of the former TOS octet. */
export const CODEPOINT = 3;
const NOT_ECT = 0;
const ECT_0 = 2;
const CE = 3;

/** Values of knob net.ipv4.tcp_ecn. */
const OFF = 0;
const OFFERS = 1;

/** ECN on what a SYN or SYN,ACK of ours is about to say (R3168-1). */
export function handshakeFlags(ctx: TcpContext, tcb: Tcb, flags: number): number {
  if ((flags & ACK) !== 0) return tcb.ecn ? ECE : 0;
  // R3168-9: a SYN that got no answer may have met somebody who drops these flags
  if (tcb.retries > 0 && ctx.config.ecnFallback) tcb.ecn = false;
  return tcb.ecn ? ECE | CWR : 0;
}

/** An active opener's wish (R3168-7). */
export function offersEcn(ctx: TcpContext): boolean {
  return ctx.config.ecn === OFFERS;
}

/** The peer's SYN for a listener, or one that repeats it: only an ECN-setup SYN is answered in kind (R3168-2, R3168-4). */
export function ecnFromSyn(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  // Note: a mark on a SYN (R3168-8) comes from somebody who writes these bits for other purposes (Linux tcp_ecn_create_request).
  const clean = (segment.tos & CODEPOINT) === NOT_ECT;
  tcb.ecn = ctx.config.ecn !== OFF && clean && (segment.flags & (ECE | CWR)) === (ECE | CWR);
}

/** The answer to our SYN: a SYN,ACK with ECE alone; with both flags it only reflects them (R3168-3). A crossing SYN has both. */
export function ecnFromAnswer(tcb: Tcb, segment: Segment): void {
  const setup = (segment.flags & ACK) !== 0 ? ECE : ECE | CWR;
  if ((segment.flags & (ECE | CWR)) !== setup) tcb.ecn = false;
}

/** ECE and CWR of a segment of an open connection, and ECT for its packet: `fresh` data only (R3168-10, R3168-17, R3168-18, R3168-20). */
export function markOutgoing(ctx: TcpContext, tcb: Tcb, fresh: boolean): void {
  if (!tcb.ecn) return;
  const b = ctx.builder;
  // R3168-15
  if (tcb.ecnEcho) b.flags |= ECE;
  if (!fresh) return;
  b.tos |= ECT_0;
  // R3168-5, R3168-14
  if (tcb.cwrOwed) b.flags |= CWR;
  tcb.cwrOwed = false;
}

/** A packet came with a codepoint, whether or not ECN was agreed on (Linux tcp_ecn_received_counters). */
export function countCodepoint(tcb: Tcb, segment: Segment): void {
  const seen = (tcb.codepoints ??= new Codepoints());
  const codepoint = segment.tos & CODEPOINT;
  if (codepoint === CE) seen.marked += segment.count;
  seen.bytes[codepoint]! += segment.payloadLength;
}

/** Text in the window arrived: what its packet and its CWR flag say. */
export function takeMark(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (!tcb.ecn) return;
  const { dialect } = ctx.config;
  if ((segment.flags & CWR) !== 0) {
    tcb.ecnEcho = false;
    if (dialect.acksMarksAtOnce) tcb.ackNow = true;
  }
  const codepoint = segment.tos & CODEPOINT;
  if (codepoint === NOT_ECT) return;
  tcb.ecnSeen = true;
  if (codepoint !== CE) return;
  // R3168-6, R3168-16
  if (!tcb.ecnEcho && dialect.acksMarksAtOnce) tcb.ackNow = true;
  tcb.ecnEcho = true;
}

/** The peer says that a packet of ours was marked. */
export function echoesMark(tcb: Tcb, segment: Segment): boolean {
  return tcb.ecn && (segment.flags & (ECE | SYN)) === ECE;
}

/** R3168-14: cwnd was reduced, for whatever reason. */
export function owesCwr(tcb: Tcb): void {
  tcb.cwrOwed = tcb.ecn;
}

/** The reaction to a mark lasts until something sent after it is acknowledged (R3168-11). */
export function reactionOver(tcb: Tcb): boolean {
  return after(tcb.sndUna, tcb.reducedEnd);
}

/**
 * R3168-13: cwnd cannot shrink below one segment, so the sender waits: new data goes out when
 * a retransmission timeout has passed. True when it waits.
 */
export function waitAtOneSegment(ctx: TcpContext, tcb: Tcb): boolean {
  if (ctx.config.dialect.markFloor > 1 || tcb.congestion.cwnd > tcb.mss) return false;
  // Or the peer would go on saying it
  owesCwr(tcb);
  tcb.arm(T_HOLD, (ctx.now + tcb.rtt.rto) | 0);
  return true;
}
