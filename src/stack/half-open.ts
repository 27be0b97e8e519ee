/** A connection in SYN-RECEIVED is made of a SYN (R9293-13) and joins its listener's queue. */
import { limitWindow, openWindow } from '../tcp/autotune.js';
import { ecnFromSyn } from '../tcp/ecn.js';
import { limitMss, peerOptions } from '../tcp/options.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { prepare } from '../tcp/user.js';
import type { Segment } from '../wire/segment.js';
import type { Core } from './core.js';
import type { Listener } from './listener.js';
import { pathMtu } from './path.js';

/** What a SYN says; its tuple is in place. */
export function fromSyn(core: Core, listener: Listener, tcb: Tcb, segment: Segment, iss: number): void {
  const { ctx } = core;
  prepare(
    ctx,
    tcb,
    iss,
    stampOffset(core, tcb),
    pathMtu(core, segment.src0, segment.src1, segment.src2, segment.src3),
  );
  limitMss(ctx, tcb, listener.maxSegment);
  limitWindow(ctx, tcb, listener.windowClamp);
  tcb.segsIn = segment.count;
  tcb.irs = segment.seq;
  tcb.rcvNxt = (segment.seq + 1) | 0;
  peerOptions(ctx, tcb, segment);
  openWindow(ctx, tcb);
  ecnFromSyn(ctx, tcb, segment);
  tcb.sndWnd = segment.wnd;
  tcb.maxSndWnd = segment.wnd;
  tcb.sndWl1 = segment.seq;
}

/** Into the tables, and the queue of half-open connections. */
export function queue(core: Core, listener: Listener, tcb: Tcb): void {
  tcb.owner = listener;
  tcb.reuseAddress = listener.reuseAddress;
  tcb.reusePort = listener.reusePort;
  tcb.deferRounds = listener.deferRounds;
  tcb.synRetries = listener.synRetries;
  tcb.moveTo(S.SYN_RECEIVED);
  core.attach(tcb);
  tcb.halfOpen = true;
  listener.halfOpen++;
}

export function tupleFromSegment(core: Core, tcb: Tcb, s: Segment): void {
  tcb.version = s.version;
  tcb.local0 = s.dst0;
  tcb.local1 = s.dst1;
  tcb.local2 = s.dst2;
  tcb.local3 = s.dst3;
  tcb.remote0 = s.src0;
  tcb.remote1 = s.src1;
  tcb.remote2 = s.src2;
  tcb.remote3 = s.src3;
  tcb.localPort = s.dstPort;
  tcb.remotePort = s.srcPort;
  tcb.hash = core.flows.hashOf(
    s.dst0,
    s.dst1,
    s.dst2,
    s.dst3,
    s.src0,
    s.src1,
    s.src2,
    s.src3,
    s.dstPort,
    s.srcPort,
  );
}

/** Values of knob net.ipv4.tcp_timestamp_offset. */
const OFFSET_NONE = 0;
const OFFSET_HOSTS = 2;
export const OFFSET_RANDOM = 3;

/**
 * R7323-53: an offset on our timestamps. Keyed by the tuple or by the pair of hosts it is
 * constant while the stack lives, so that reincarnations see a rising clock (R6191-8); a
 * random one for each connection breaks that.
 */
export function stampOffset(core: Core, t: Tcb): number {
  const mode = core.knobs.get('net.ipv4.tcp_timestamp_offset');
  if (mode === OFFSET_NONE) return 0;
  if (mode === OFFSET_RANDOM) return core.random.next();
  return core.stampOffset(
    mode === OFFSET_HOSTS,
    t.local0,
    t.local1,
    t.local2,
    t.local3,
    t.remote0,
    t.remote1,
    t.remote2,
    t.remote3,
    t.localPort,
    t.remotePort,
  );
}
