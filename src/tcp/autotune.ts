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
import type { Tcb } from './tcb.js';

const UNBOUNDED = 0x7fffffff;
const LARGEST_FIELD = 65_535;
/** Segments of cushion: small variations must not bind. */
const CUSHION = 16;
/** Bytes of text from which a segment opens the window (tcp_event_data_recv). */
const WORTH = 128;

/**
 * Text arrived in order: how long is a round trip, as the receiver sees it? By the echo of our
 * timestamps (R7323-33 asks for a new one each time), else how long it took to receive a whole window.
 */
export function measureReceiver(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  if (!tunes(ctx, tcb) && ctx.config.compressMost === 0) return;
  if (tcb.tsEnabled) {
    if (segment.tsEcr === 0 || segment.tsEcr === tcb.rcvEcho || segment.payloadLength < tcb.rcvMss) return;
    tcb.rcvEcho = segment.tsEcr;
    sample(tcb, (ctx.now + tcb.tsOffset - segment.tsEcr) | 0, false);
    return;
  }
  if (tcb.rcvRttRunning) {
    if (before(tcb.rcvNxt, tcb.rcvRttEnd)) return;
    sample(tcb, (ctx.now - tcb.rcvRttAt) | 0, true);
  }
  tcb.rcvRttRunning = true;
  tcb.rcvRttEnd = (tcb.rcvNxt + tcb.rcvWnd) | 0;
  tcb.rcvRttAt = ctx.now;
}

/** Smoothed by 1/8; a window may take longer than a round trip, so of these the least counts. Note: at least 1 ms, the clock's tick. */
function sample(tcb: Tcb, rtt: number, byWindow: boolean): void {
  const eighths = 8 * Math.max(1, rtt);
  if (tcb.rcvRtt8 === 0) tcb.rcvRtt8 = eighths;
  else if (!byWindow) tcb.rcvRtt8 += Math.max(1, rtt) - (tcb.rcvRtt8 >> 3);
  else if (eighths < tcb.rcvRtt8) tcb.rcvRtt8 = eighths;
}

function tunes(ctx: TcpContext, tcb: Tcb): boolean {
  const { moderateReceive, receiveBufferMax } = ctx.config;
  return moderateReceive && !tcb.receiveLimitSet && tcb.rcvLimit < receiveBufferMax;
}

/** The user read: once a round trip, room for twice of what it read in the last one, more while that grows. */
export function adjustSpace(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.rcvRtt8 === 0 || !tunes(ctx, tcb)) return;
  const read = (tcb.rcvNxt - tcb.receiveQueue.length) | 0;
  if (!tcb.spaceRunning) {
    // The first window is what a peer may have sent until now.
    tcb.spaceRunning = true;
    tcb.space = Math.min(tcb.rcvLimit, CUSHION * largestText(tcb));
    beginSpace(ctx, tcb, read);
    return;
  }
  if ((ctx.now - tcb.spaceAt) >>> 0 < tcb.rcvRtt8 >> 3) return;
  const copied = (read - tcb.spaceSeq) | 0;
  if (copied > tcb.space) {
    let wanted = 2 * copied + CUSHION * largestText(tcb);
    // The sender's window may double in the next round trip
    wanted += 2 * Math.floor((wanted * (copied - tcb.space)) / tcb.space);
    const { memory, receiveBufferMax } = ctx.config;
    if (ctx.memory <= memory / 2) tcb.rcvLimit = Math.max(tcb.rcvLimit, Math.min(wanted, receiveBufferMax));
    tcb.space = copied;
  }
  beginSpace(ctx, tcb, read);
}

function beginSpace(ctx: TcpContext, tcb: Tcb, read: number): void {
  tcb.spaceSeq = read;
  tcb.spaceAt = ctx.now;
}

/**
 * The first window: as much of the buffer as a SYN can say, or, where the buffer may grow and the
 * dialect opens it step by step, whole segments of that (Linux tcp_select_initial_window).
 */
export function openWindow(ctx: TcpContext, tcb: Tcb): void {
  const { dialect, initialOffer } = ctx.config;
  tcb.rcvOffer = UNBOUNDED;
  let window = Math.min(LARGEST_FIELD, tcb.rcvLimit);
  if (dialect.opensByArrival && tunes(ctx, tcb)) {
    // An active opener knows of timestamps from the connection before only
    const stamped = tcb.tsEnabled && (!tcb.active || tcb.tsRecentAt !== 0);
    const segment = tcb.advMss - (stamped ? TIMESTAMP_OPTION : 0);
    if (initialOffer > 0) window = Math.min(window, initialOffer * segment);
    tcb.rcvOffer = window = Math.max(window - (window % segment), Math.min(window, segment));
  }
  tcb.rcvAdv = (tcb.rcvNxt + window) | 0;
}

/** Each segment of some size that arrives in order opens the window by two of the largest (tcp_grow_window). */
export function openByArrival(tcb: Tcb, length: number): void {
  if (length > tcb.rcvMss) tcb.offersBeyondField = true;
  if (tcb.rcvOffer >= tcb.rcvLimit || length < WORTH) return;
  tcb.rcvOffer = Math.min(tcb.rcvLimit, tcb.rcvOffer + 2 * Math.max(largestText(tcb), length));
}
