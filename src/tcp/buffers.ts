/**
 * How much may wait in the send queue, and when the user may write again: a plain count of bytes,
 * or, where the dialect keeps buffers, what Linux counts: each buffer with what it costs beside its
 * bytes (sk_wmem_queued), a limit that grows with cwnd, TCP_NOTSENT_LOWAT.
 */
import { C_BUFFER } from './chrono.js';
import type { TcpContext } from './context.js';
import { EV_WRITABLE } from './events.js';
import type { Tcb } from './tcb.js';
import { choose } from './user-options.js';

/** What a buffer costs on x86-64: room for headers, struct skb_shared_info, struct sk_buff, each rounded to cache lines. */
const HEADERS = 256;
const SHARED_INFO = 320;
const SK_BUFF = 256;
const OVERHEAD = HEADERS + SHARED_INFO + SK_BUFF;

/** Largest buffer: what one segment of segmentation offload may hold (GSO_LEGACY_MAX_SIZE less headers). */
export const LARGEST = 65_536 - HEADERS - 1;
/** Below this a window is taken as it is (Linux TCP_MSS_DEFAULT). */
const SMALL_WINDOW = 536;
/** Segments that a fresh connection's buffer is made for at least (TCP_INIT_CWND). */
const FIRST_SEGMENTS = 10;

/** Bytes that one buffer takes before the next begins: whole segments, at most half the largest window (tcp_xmit_size_goal). */
export function sizeGoal(ctx: TcpContext, tcb: Tcb): number {
  if (!ctx.config.dialect.keepsBuffers) return Infinity;
  const half = tcb.maxSndWnd > SMALL_WINDOW ? tcb.maxSndWnd >> 1 : tcb.maxSndWnd;
  const size = half > 0 ? Math.min(LARGEST, half) : LARGEST;
  return Math.max(1, Math.floor(size / tcb.mss)) * tcb.mss;
}

/** Bytes in the send queue as they count against its limit. */
export function queuedMemory(ctx: TcpContext, tcb: Tcb): number {
  const buffers = ctx.config.dialect.keepsBuffers && tcb.writes !== null ? tcb.writes.count : 0;
  return tcb.sendQueue.length + buffers * OVERHEAD;
}

function lowWater(ctx: TcpContext, tcb: Tcb): number {
  return tcb.options.notsentLowat || ctx.config.notsentLowat;
}

/** A write may begin another buffer (sk_stream_memory_free). */
export function mayQueue(ctx: TcpContext, tcb: Tcb): boolean {
  return queuedMemory(ctx, tcb) < tcb.sndLimit && tcb.unsent < lowWater(ctx, tcb);
}

/**
 * Worth telling a user who waits: half the limit is free, on Linux a third, and
 * less than half of TCP_NOTSENT_LOWAT unsent (sk_stream_is_writeable).
 */
export function isWriteable(ctx: TcpContext, tcb: Tcb): boolean {
  const memory = queuedMemory(ctx, tcb);
  const enough = ctx.config.dialect.keepsBuffers ? memory >> 1 : tcb.sndLimit >> 1;
  return tcb.sndLimit - memory >= enough && 2 * tcb.unsent < lowWater(ctx, tcb);
}

/** Something was acknowledged or sent: a user who waits may hear of it (tcp_check_space). */
export function checkSpace(ctx: TcpContext, tcb: Tcb): void {
  if (!tcb.sendBlocked) return;
  growLimit(ctx, tcb);
  if (!isWriteable(ctx, tcb)) return;
  tcb.sendBlocked = false;
  tcb.chrono.stop(C_BUFFER, false, ctx.now);
  ctx.raise(tcb, EV_WRITABLE);
}

/** The limit follows cwnd unless the user set it (tcp_should_expand_sndbuf, tcp_sndbuf_expand). */
function growLimit(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.options.sendBufferSet || tcb.pipe >= tcb.congestion.cwnd) return;
  fitLimit(ctx, tcb, Math.floor(tcb.congestion.cwnd / tcb.mss));
}

/** Room for twice the window of `segments` (at the start: of the first window). */
export function fitLimit(ctx: TcpContext, tcb: Tcb, segments = FIRST_SEGMENTS): void {
  if (!ctx.config.dialect.keepsBuffers || tcb.options.sendBufferSet) return;
  const whole = Math.max(tcb.peerMss, tcb.mss) + HEADERS + SHARED_INFO;
  // Up to a power of two
  const buffer = (1 << (32 - Math.clz32(whole - 1))) + SK_BUFF;
  const wanted = 2 * Math.max(segments, FIRST_SEGMENTS) * buffer;
  tcb.sndLimit = Math.max(tcb.sndLimit, Math.min(wanted, ctx.config.sendBufferMax));
}

/** SO_SNDBUF: Linux takes the bookkeeping to be as much again as the data, and holds two packets at least. */
export function setSendBuffer(ctx: TcpContext, tcb: Tcb, bytes: number): void {
  choose(tcb, { sendBufferSet: true });
  tcb.sndLimit = ctx.config.dialect.keepsBuffers ? Math.max(2 * bytes, SEND_BUFFER_MIN) : Math.max(1, bytes);
}

/** SOCK_MIN_SNDBUF: two buffers of 2 KiB and their struct sk_buff. */
export const SEND_BUFFER_MIN = 2 * (2048 + SK_BUFF);
