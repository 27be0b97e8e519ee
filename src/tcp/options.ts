/** What the options of SYNs agree on, and TS.Recent. */
import { beforeEq, after } from '../seqnum.js';
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { PathSearch } from './path-sizes.js';
import type { Tcb } from './tcb.js';
import { choose } from './user-options.js';
import { MAX_WSCALE } from './window.js';

/** IP and TCP header without options, bytes. */
export function fixedHeaders(version: number): number {
  return version === 4 ? 40 : 60;
}

/** The timestamp option with its padding, bytes. */
export const TIMESTAMP_OPTION = 12;
/** What a host can send without asking (RFC 9293 3.7.1). */
const DEFAULT_MSS = 536;

/** What a packet with `length` bytes of text measures. */
export function sizeOf(tcb: Tcb, length: number): number {
  return length + fixedHeaders(tcb.version) + (tcb.tsEnabled ? TIMESTAMP_OPTION : 0);
}

/** The text of a full-sized segment from the peer: R6691-3, our offer less the options both agreed on. */
export function largestText(tcb: Tcb): number {
  return tcb.advMss - (tcb.tsEnabled ? TIMESTAMP_OPTION : 0);
}

/** What peer and path let pass, as far as is known. */
export function largestPacket(tcb: Tcb): number {
  return Math.min(tcb.pathMtu, tcb.peerMss + fixedHeaders(tcb.version));
}

/**
 * The payload of a full-sized segment on the present path: R6691-3, MUST-16. Note: never below
 * knob tcp_min_snd_mss: smaller offers only serve to multiply packets (Linux, CVE-2019-11479).
 */
export function updateMss(ctx: TcpContext, tcb: Tcb): void {
  const found = tcb.search === null ? tcb.pathMtu : Math.min(tcb.search.low, tcb.pathMtu);
  const path = found - fixedHeaders(tcb.version);
  const options = tcb.tsEnabled ? TIMESTAMP_OPTION : 0;
  tcb.mss = Math.max(ctx.config.minMss, Math.min(tcb.peerMss, path)) - options;
}

/** Value of knob net.ipv4.tcp_mtu_probing. */
const PROBING_ALWAYS = 2;

/** RFC 4821 7.2: the range to search for the path MTU, once the options are agreed on. */
export function beginSearch(ctx: TcpContext, tcb: Tcb): void {
  tcb.search = new PathSearch(sizeOf(tcb, ctx.config.baseMss), largestPacket(tcb), ctx.now);
}

/** TCP_MAXSEG, before any SYN: what our MSS option says, and what is sent, at most; 0: no limit. */
export function limitMss(ctx: TcpContext, tcb: Tcb, bytes: number): void {
  if (bytes === 0) return;
  if (tcb.options.maxSegment !== bytes) choose(tcb, { maxSegment: bytes });
  tcb.advMss = Math.min(tcb.advMss, bytes);
  tcb.peerMss = Math.min(tcb.peerMss, bytes);
  updateMss(ctx, tcb);
}

/** Takes over what the peer's SYN or SYN,ACK offers. */
export function peerOptions(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  // MUST-15: without the option 536 or 1220
  tcb.peerMss =
    segment.mss >= 0 ? Math.max(segment.mss, ctx.config.minMss) : tcb.version === 4 ? DEFAULT_MSS : 1220;
  const { maxSegment } = tcb.options;
  if (maxSegment > 0) tcb.peerMss = Math.min(tcb.peerMss, maxSegment);
  // R7323-3, R7323-9, R7323-13
  if (segment.windowScale >= 0 && ctx.config.windowScaling) {
    tcb.wscaleOk = true;
    tcb.sndWscale = Math.min(segment.windowScale, MAX_WSCALE);
    tcb.rcvWscale = tcb.ownWscale;
  } else {
    tcb.wscaleOk = false;
    tcb.sndWscale = 0;
    tcb.rcvWscale = 0;
  }
  tcb.sackEnabled = segment.sackPermitted && ctx.config.sack;
  tcb.tsEnabled = tcb.tsEnabled && segment.hasTimestamp;
  if (tcb.tsEnabled) {
    tcb.tsRecent = segment.tsVal;
    tcb.tsRecentAt = ctx.now;
  }
  // Both ends know the option: the active opener holds TIME-WAIT (Faber, Touch, Yue 1999)
  if (segment.holder && ctx.config.negotiatesHolder) tcb.holder = tcb.active ? 1 : 2;
  tcb.remoteUto = segment.userTimeout;
  if (ctx.config.mtuProbing === PROBING_ALWAYS) beginSearch(ctx, tcb);
  updateMss(ctx, tcb);
  // R5681-34: the peer may send smaller segments than we could take; the largest one seen will tell
  tcb.rcvMss = Math.min(tcb.mss, DEFAULT_MSS);
  const segmentSize = Math.min(tcb.peerMss, tcb.pathMtu - fixedHeaders(tcb.version));
  if (ctx.config.dialect.wholeSegments && tcb.rcvLimit > segmentSize)
    tcb.rcvLimit = Math.ceil(tcb.rcvLimit / segmentSize) * segmentSize;
}

/** R7323-38: only a segment that spans the last ACK sent, and never backwards (R7323-40) unless it grew invalid. */
export function recordTimestamp(ctx: TcpContext, tcb: Tcb, segment: Segment, seq: number): void {
  if (!tcb.tsEnabled || !segment.hasTimestamp || after(seq, tcb.lastAckSent)) return;
  const old = (ctx.now - tcb.tsRecentAt) >>> 0 > 24 * 86_400_000;
  if (!old && !beforeEq(tcb.tsRecent, segment.tsVal)) return;
  tcb.tsRecent = segment.tsVal;
  tcb.tsRecentAt = ctx.now;
}
