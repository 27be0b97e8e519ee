/** A connection in SYN-RECEIVED is made of a SYN (R9293-13) and joins its listener's queue. */
import { limitWindow, openWindow } from '../tcp/autotune.js';
import { ecnFromSyn } from '../tcp/ecn.js';
import { limitMss, peerOptions } from '../tcp/options.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { prepare } from '../tcp/user.js';
import type { Segment } from '../wire/segment.js';
import type { Core } from './core.js';
import type { FirstNumbers } from './first-numbers.js';
import type { Listener } from './listener.js';
import { pathMtu } from './path.js';

/** What a SYN says; its tuple is in place. `iss`: null for one of its own. */
export function fromSyn(
  core: Core,
  listener: Listener,
  tcb: Tcb,
  segment: Segment,
  iss: number | null,
): void {
  const { ctx } = core;
  begin(core, tcb, iss);
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

/** First numbers, and what is known of the path; its tuple is in place. `iss`: null for one of its own. */
export function begin(core: Core, tcb: Tcb, iss: number | null): void {
  const numbers = numbersOf(core, tcb);
  tcb.offsetKind = core.settings.stampOffset;
  const path = pathMtu(core, tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3);
  prepare(core.ctx, tcb, iss ?? numbers.isn(), numbers.offset(), path);
}

/** What the connection's numbers are made of. */
export function numbersOf({ numbers }: Core, t: Tcb): FirstNumbers {
  return numbers.of(
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

/** Into the tables, and the queue of half-open connections. */
export function queue(core: Core, listener: Listener, tcb: Tcb): void {
  tcb.owner = listener;
  tcb.reuseAddress = listener.reuseAddress;
  tcb.reusePort = listener.reusePort;
  tcb.deferRounds = listener.deferRounds;
  tcb.synRetries = listener.synRetries;
  tcb.moveTo(S.SYN_RECEIVED);
  core.attach(tcb);
  core.familiar.add(tcb);
  tcb.halfOpen = true;
  listener.halfOpen++;
}

/** The segment's tuple was looked up last. */
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
  tcb.hash = core.flows.sought;
}
