/** RFC 9293 3.10.7.1 CLOSED and 3.10.7.2 LISTEN, and the listener's queues. */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { textOnSyn } from '../tcp/text.js';
import * as S from '../tcp/state.js';
import { Tcb } from '../tcp/tcb.js';
import { KEEP, fateOf, reasonOf } from '../timewait/policy.js';
import { ACK, FIN, RST, SYN, type Segment } from '../wire/segment.js';
import type { Core } from './core.js';
import { synArrives as fastOpenArrives } from './fast-open.js';
import { fromSyn, queue, tupleFromSegment } from './half-open.js';
import type { Listener } from './listener.js';
import { replyReset } from './reply.js';
import { cookieFor, keptForPeers, queueFull, wantsCookie } from './syn-flood.js';

/** No connection and no listener. */
export function closedState(core: Core, segment: Segment): number {
  // R9293-10
  if ((segment.flags & RST) !== 0) return core.decide(Reason['closed-rst-in'], S.CLOSED, segment);
  replyReset(core, segment, Reason['closed-rst']);
  return core.decide(Reason['closed-rst'], S.CLOSED, segment);
}

/** A segment for a listener and no connection. */
export function listenState(core: Core, listener: Listener, segment: Segment): number {
  const { flags } = segment;
  // First, check for a RST (R9293-11)
  if ((flags & RST) !== 0) return core.decide(Reason['listen-rst-in'], S.LISTEN, segment);
  // Second, check for an ACK (R9293-12)
  if ((flags & ACK) !== 0) {
    replyReset(core, segment, Reason['listen-ack']);
    return core.decide(Reason['listen-ack'], S.LISTEN, segment);
  }
  // Third, check for a SYN
  if ((flags & SYN) === 0) return core.decide(Reason['listen-no-syn'], S.LISTEN, segment);
  if ((flags & FIN) !== 0) return core.decide(Reason['listen-syn-fin'], S.LISTEN, segment);
  // The host's memory may refuse it (tcp_tw_recycle)
  const judged = core.policy.synArrives(segment, core.hooks.about(segment));
  if (fateOf(judged) !== KEEP) {
    core.count(Mib.TcpExtPAWSPassive);
    return core.decide(reasonOf(judged), S.LISTEN, segment);
  }
  const tcb = passiveOpen(core, listener, segment, null);
  return typeof tcb === 'number' ? core.decide(tcb, S.LISTEN, segment) : Reason.plain;
}

/**
 * R9293-13: a new connection in SYN-RECEIVED, or the reason why not. With an `iss` the SYN
 * replaces a TIME-WAIT record and skips the limit of half-open connections (Linux
 * tcp_conn_request with a fixed ISN).
 */
export function passiveOpen(
  core: Core,
  listener: Listener,
  segment: Segment,
  iss: number | null,
): Tcb | number {
  if (listener.full) {
    core.count(Mib.TcpExtListenOverflows);
    core.count(Mib.TcpExtListenDrops);
    return Reason['listen-accept-queue-full'];
  }
  const full = queueFull(core, listener);
  if (iss === null && wantsCookie(core, full)) return cookieFor(core, listener, segment);
  if (iss === null && full) {
    core.count(Mib.TcpExtTCPReqQFullDrop);
    core.count(Mib.TcpExtListenDrops);
    return Reason['listen-syn-queue-full'];
  }
  if (iss === null && keptForPeers(core, listener, segment)) {
    core.count(Mib.TcpExtListenDrops);
    return Reason['listen-syn-kept'];
  }
  if (core.connections >= core.settings.maxConnections || core.ctx.memory > core.ctx.config.memory) {
    core.count(Mib.TcpExtListenDrops);
    return Reason['listen-memory'];
  }
  const tcb = new Tcb();
  tupleFromSegment(core, tcb, segment);
  fromSyn(core, listener, tcb, segment, iss);
  const { ctx } = core;
  queue(core, listener, tcb);
  const early = fastOpenArrives(core, listener, tcb, segment);
  if (early) {
    tcb.halfOpen = false;
    listener.halfOpen--;
    enqueue(core, listener, tcb);
  }
  // R7413-3: text beside a cookie that was not taken is not acknowledged
  if (early || (segment.cookieLength < 0 && !ctx.config.dialect.dropsSynText)) textOnSyn(ctx, tcb, segment);
  tcb.synOwed = true;
  ctx.markReady(tcb);
  core.log.states(ctx.now, tcb, 0);
  return tcb;
}

/** The handshake is complete: the connection moves to the accept queue. */
export function completed(core: Core, tcb: Tcb): void {
  const listener = tcb.owner as Listener;
  tcb.halfOpen = false;
  tcb.deferRounds = 0;
  listener.halfOpen--;
  core.count(Mib.TcpPassiveOpens);
  core.prove(tcb);
  enqueue(core, listener, tcb);
}

export function enqueue(core: Core, listener: Listener, tcb: Tcb): void {
  listener.enqueue(tcb);
  if (!listener.inRaised) {
    listener.inRaised = true;
    core.raisedListeners.push(listener);
  }
}
