/**
 * Receive-buffer auto-tuning (dynamic right-sizing): the buffer follows what the user reads in a
 * round trip, from tcp_rmem up to tcp_rmem.max. A program that reads slowly grows nothing. Linux
 * tcp_rcv_space_adjust, tcp_rcv_rtt_measure; tcp_grow_window where the dialect says so.
 *
 * Memory: no buffer grows while more than half of tcp_mem is in use.
 */
import { before } from '../seqnum.js';
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { TIMESTAMP_OPTION, largestText } from './options.js';
import { ReceiverRtt } from './receiver-rtt.js';
import type { Tcb } from './tcb.js';
import { wscaleFor } from './window.js';

const LARGEST_FIELD = 65_535;
/** Segments that a peer may have sent before anything is known (TCP_INIT_CWND). */
const FIRST_SEGMENTS = 10;
/** SOCK_MIN_RCVBUF of Linux without its bookkeeping, which it takes to be as much again. */
export const RECEIVE_BUFFER_MIN = 1152;
/** Segments of cushion: small variations must not bind. */
const CUSHION = 16;
/** Bytes of text from which a segment opens the window (tcp_event_data_recv). */
const WORTH = 128;

/**
 * Text arrived in order: how long is a round trip, as the receiver sees it? By the echo of our
 * timestamps (R7323-33 asks for a new one each time), else how long it took to receive a whole window.
 */
export function measureReceiver(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (tcb.tsEnabled && (segment.payloadLength < tcb.rcvMss || segment.tsEcr === 0)) return;
  if (!tunes(ctx, tcb) && ctx.config.compressMost === 0) return;
  const rtt = (tcb.receiverRtt ??= new ReceiverRtt());
  if (tcb.tsEnabled) {
    if (segment.tsEcr === rtt.echo) return;
    rtt.echo = segment.tsEcr;
    sample(rtt, (ctx.now + tcb.tsOffset - segment.tsEcr) | 0, false);
    return;
  }
  if (rtt.running) {
    if (before(tcb.rcvNxt, rtt.end)) return;
    sample(rtt, (ctx.now - rtt.at) | 0, true);
  }
  rtt.running = true;
  rtt.end = (tcb.rcvNxt + tcb.rcvWnd) | 0;
  rtt.at = ctx.now;
}

/** Smoothed by 1/8; a window may take longer than a round trip, so of these the least counts. Note: at least 1 ms, the clock's tick. */
function sample(receiver: ReceiverRtt, rtt: number, byWindow: boolean): void {
  const eighths = 8 * Math.max(1, rtt);
  if (receiver.eighths === 0) receiver.eighths = eighths;
  else if (!byWindow) receiver.eighths += Math.max(1, rtt) - (receiver.eighths >> 3);
  else if (eighths < receiver.eighths) receiver.eighths = eighths;
}

/** In eighths of ms, 0 while unknown. */
export function receiverRtt8(tcb: Tcb): number {
  return tcb.receiverRtt === null ? 0 : tcb.receiverRtt.eighths;
}

function tunes(ctx: TcpContext, tcb: Tcb): boolean {
  const { moderateReceive, receiveBufferMax } = ctx.config;
  return moderateReceive && !tcb.options.receiveBufferSet && tcb.rcvLimit < receiveBufferMax;
}

/** The user read: once a round trip, room for twice of what it read in the last one, more while that grows. */
export function adjustSpace(ctx: TcpContext, tcb: Tcb): void {
  const rtt8 = receiverRtt8(tcb);
  if (rtt8 === 0 || !tunes(ctx, tcb)) return;
  const read = (tcb.rcvNxt - tcb.receiveQueue.length) | 0;
  if ((ctx.now - tcb.spaceAt) >>> 0 < rtt8 >> 3) return;
  const copied = (read - tcb.spaceSeq) | 0;
  if (copied > tcb.space) {
    let wanted = 2 * copied + CUSHION * largestText(tcb);
    // The sender's window may double in the next round trip
    wanted += 2 * Math.floor((wanted * (copied - tcb.space)) / tcb.space);
    const { memory, receiveBufferMax } = ctx.config;
    if (ctx.memory <= memory / 2) growBuffer(ctx, tcb, Math.min(wanted, receiveBufferMax));
    tcb.space = copied;
  }
  beginSpace(ctx, tcb, read);
}

/** Note: on Linux the clamp follows, whoever set it (tcp_rcvbuf_grow). */
function growBuffer(ctx: TcpContext, tcb: Tcb, bytes: number): void {
  if (bytes <= tcb.rcvLimit) return;
  tcb.rcvLimit = bytes;
  if (ctx.config.dialect.opensByArrival) tcb.windowClamp = bytes;
}

function beginSpace(ctx: TcpContext, tcb: Tcb, read: number): void {
  tcb.spaceSeq = read;
  tcb.spaceAt = ctx.now;
}

/** TCP_WINDOW_CLAMP before any SYN: the largest window ever offered, and so the shift that is needed; 0: no limit. */
export function limitWindow(ctx: TcpContext, tcb: Tcb, bytes: number): void {
  if (bytes === 0) return;
  tcb.windowClamp = Math.max(RECEIVE_BUFFER_MIN, bytes);
  tcb.ownWscale = wscaleFor(Math.min(tcb.windowClamp, Math.max(tcb.rcvLimit, ctx.config.receiveBufferMax)));
}

/** The same later (Linux tcp_set_window_clamp): a window that was offered stays offered. */
export function clampWindow(tcb: Tcb, bytes: number): void {
  const before = tcb.windowClamp;
  tcb.windowClamp = bytes;
  if (bytes < before) tcb.rcvOffer = Math.min(tcb.rcvOffer, bytes);
  else tcb.rcvOffer = Math.max(tcb.rcvOffer, Math.min((tcb.rcvAdv - tcb.lastAckSent) | 0, bytes));
}

/**
 * The first window: as much of the buffer as a SYN can say, or, where the dialect opens it step by
 * step, whole segments of that (Linux tcp_select_initial_window).
 */
export function openWindow(ctx: TcpContext, tcb: Tcb): void {
  const { dialect, initialOffer } = ctx.config;
  tcb.rcvOffer = tcb.windowClamp;
  let window = Math.min(LARGEST_FIELD, tcb.rcvLimit, tcb.windowClamp);
  if (dialect.opensByArrival) {
    tcb.windowClamp = Math.min(tcb.windowClamp, LARGEST_FIELD << tcb.ownWscale);
    // An active opener knows of timestamps from the connection before only
    const stamped = tcb.tsEnabled && (!tcb.active || tcb.tsRecentAt !== 0);
    const segment = tcb.advMss - (stamped ? TIMESTAMP_OPTION : 0);
    if (initialOffer > 0) window = Math.min(window, initialOffer * segment);
    tcb.rcvOffer = window = Math.max(window - (window % segment), Math.min(window, segment));
  }
  tcb.rcvAdv = (tcb.rcvNxt + window) | 0;
}

/** The handshake is over: a segment of the buffer is kept in reserve, and what the user will read is measured (Linux tcp_init_buffer_space). */
export function beginTuning(ctx: TcpContext, tcb: Tcb): void {
  if (ctx.config.dialect.opensByArrival) {
    const { rcvLimit } = tcb;
    const segment = largestText(tcb);
    tcb.windowClamp = Math.min(tcb.windowClamp, rcvLimit);
    if (tcb.windowClamp > 2 * segment && tcb.windowClamp + segment > rcvLimit)
      tcb.windowClamp = Math.max(2 * segment, rcvLimit - segment);
    tcb.rcvOffer = Math.min(tcb.rcvOffer, tcb.windowClamp);
  }
  tcb.space = Math.min(tcb.rcvOffer, tcb.rcvWnd, FIRST_SEGMENTS * largestText(tcb));
  beginSpace(ctx, tcb, (tcb.rcvNxt - tcb.receiveQueue.length) | 0);
}

/**
 * Each segment of some size that arrives in order opens the window by two of the largest (tcp_grow_window).
 * Note: one that raises the RMSS makes Linux estimate its bookkeeping anew and forget the clamp, whoever
 * set it (tcp_measure_rcv_mss); the estimate itself is not counted here.
 */
export function openByArrival(ctx: TcpContext, tcb: Tcb, length: number): void {
  if (!ctx.config.dialect.opensByArrival) return;
  if (length > tcb.rcvMss) tcb.windowClamp = Math.max(tcb.windowClamp, tcb.rcvLimit);
  const most = Math.min(tcb.windowClamp, tcb.rcvLimit);
  if (tcb.rcvOffer >= most || length < WORTH) return;
  tcb.rcvOffer = Math.min(most, tcb.rcvOffer + 2 * Math.max(largestText(tcb), length));
}
