/** What a stack holds, as plain rows: for `ss`, `tcpInfo()` and counts per state. */
import { receiverRtt8 } from '../tcp/autotune.js';
import { queuedMemory } from '../tcp/buffers.js';
import { C_BUFFER, C_BUSY, C_WINDOW } from '../tcp/chrono.js';
import type { TcpContext } from '../tcp/context.js';
import { numbersAcked, synLossLasts } from '../tcp/sender.js';
import { largestText } from '../tcp/options.js';
import { pacingRate } from '../tcp/pacing.js';
import { minRtt } from '../tcp/rack.js';
import { deliveryRate } from '../tcp/rate.js';
import * as S from '../tcp/state.js';
import { LOSS, OPEN, T_KEEP, T_PERSIST, T_REXMT, type Tcb } from '../tcp/tcb.js';
import { endpoints } from '../timewait/copies.js';
import type { SocketRow, TcpInfo } from './api.js';
import type { Core } from './core.js';

export function tcpInfo(ctx: TcpContext, tcb: Tcb): TcpInfo {
  const { sent, repairs } = tcb;
  // Until the peer's SYN has come, options are offers
  const agreed = tcb.state !== S.SYN_SENT;
  // One segment: lost, and sent again
  const synAgain = !agreed && tcb.retries > 0 ? 1 : 0;
  return {
    state: tcb.stateName,
    congestion: tcb.congestion.name,
    caState: synAgain > 0 || synLossLasts(tcb) ? 'loss' : caState(tcb),
    rto: tcb.rtt.rto,
    srtt: tcb.rtt.srtt,
    rttvar: tcb.rtt.rttvar,
    sndCwnd: tcb.congestion.cwnd + tcb.inflation,
    sndSsthresh: tcb.congestion.ssthresh,
    sndMss: tcb.mss,
    rcvMss: tcb.rcvMss,
    advMss: agreed ? largestText(tcb) : tcb.advMss,
    pmtu: tcb.pathMtu,
    sndWnd: tcb.sndWnd,
    rcvWnd: tcb.rcvWnd,
    rcvOffer: Math.min(tcb.rcvOffer, tcb.rcvLimit),
    windowClamp: tcb.windowClamp,
    rcvSpace: tcb.space,
    rcvRtt: receiverRtt8(tcb) / 8,
    scaling: tcb.wscaleOk,
    sndWscale: tcb.wscaleOk ? tcb.sndWscale : 0,
    rcvWscale: tcb.wscaleOk ? tcb.rcvWscale : 0,
    timestamps: agreed && tcb.tsEnabled,
    sack: tcb.sackEnabled,
    ecn: tcb.ecn,
    ecnSeen: tcb.ecnSeen,
    received: received(tcb),
    synData: tcb.synTextTaken,
    fastOpenChild: tcb.fastOpenChild,
    fastOpenFailure: tcb.fastOpenFailure,
    unacked: tcb.flight,
    inFlight: sent?.segments() ?? Math.min(tcb.flight, 1),
    dupAcks: tcb.dupAcks,
    sacked: sent?.sacked ?? 0,
    lost: sent === null ? synAgain : sent.lost + sent.again - sent.twice,
    resent: sent?.again ?? synAgain,
    reordering: tcb.reordering,
    reorderings: tcb.reorder?.cases ?? 0,
    minRtt: minRtt(tcb),
    retrans: tcb.retries,
    totalRetrans: repairs.totalRetrans,
    backoff: tcb.rtt.backoff,
    bytesAcked: numbersAcked(tcb),
    bytesReceived: tcb.bytesReceived + (tcb.peerClosed ? 1 : 0),
    segsIn: tcb.segsIn,
    segsOut: tcb.segsOut,
    notsent: tcb.unsent + (tcb.finQueued && !tcb.finSent ? 1 : 0),
    sndMemory: queuedMemory(ctx, tcb),
    sndBuffer: tcb.sndLimit,
    lastDataSent: (ctx.now - tcb.lastSentAt) | 0,
    lastDataRecv: (ctx.now - tcb.pace.heardAt) | 0,
    lastAckRecv: (ctx.now - tcb.lastHeardAt) | 0,
    ...sendTimes(ctx, tcb),
    bytesSent: tcb.bytesSent + 0,
    bytesRetrans: repairs.bytesRetrans + 0,
    dataSegsIn: tcb.dataSegsIn,
    dataSegsOut: tcb.dataSegsOut,
    delivered: tcb.rate.delivered,
    deliveredCe: tcb.rate.deliveredCe,
    deliveryRate: deliveryRate(tcb),
    deliveryLimited: tcb.rate.limited,
    dsacks: repairs.dsacks,
    oooSegments: repairs.oooSegments,
    timeouts: repairs.timeouts,
    timeoutRuns: repairs.timeoutRuns,
    timeoutTime: repairs.timeoutTime + (repairs.timingOut ? (ctx.now - repairs.timeoutAt) | 0 : 0),
    probes: tcb.probes + tcb.keepProbes,
    pacingRate: pacingRate(ctx, tcb),
    maxPacingRate: tcb.options.maxPacingRate,
    ackDelay: ctx.config.dialect.pacesAcks ? tcb.pace.delay : ctx.config.delack,
    interactive: tcb.pace.interactive,
  };
}

/** TCP_CA_ of Linux, by its last word. */
function caState({ recovery, reducing, dupAcks, sent }: Tcb): TcpInfo['caState'] {
  if (recovery === LOSS) return 'loss';
  if (recovery !== OPEN) return 'recovery';
  if (reducing) return 'cwr';
  return dupAcks > 0 || (sent !== null && sent.sacked > 0) ? 'disorder' : 'open';
}

function received({ codepoints }: Tcb): TcpInfo['received'] {
  const [, ect1 = 0, ect0 = 0, ce = 0] = codepoints?.bytes ?? [];
  return { marked: codepoints?.marked ?? 0, ect1, ect0, ce };
}

function sendTimes(
  { now }: TcpContext,
  { chrono }: Tcb,
): Pick<TcpInfo, 'busy' | 'windowLimited' | 'bufferLimited'> {
  const windowLimited = chrono.total(C_WINDOW, now);
  const bufferLimited = chrono.total(C_BUFFER, now);
  return { busy: chrono.total(C_BUSY, now) + windowLimited + bufferLimited, windowLimited, bufferLimited };
}

/** ss's timer column: the first of these that runs. */
function timerOf(core: Core, tcb: Tcb): { timer: string; timerLeft: number } {
  const kinds = [
    [T_REXMT, 'on'],
    [T_PERSIST, 'persist'],
    [T_KEEP, 'keepalive'],
  ] as const;
  for (const [index, name] of kinds) {
    if (tcb.isArmed(index))
      return { timer: name, timerLeft: Math.max(0, (tcb.deadlines[index]! - core.ctx.now) | 0) };
  }
  return { timer: '', timerLeft: 0 };
}

/** Listeners, connections and records, in this order, at most `limit`. */
export function sockets(core: Core, limit: number): SocketRow[] {
  const rows: SocketRow[] = [];
  for (const list of core.listeners.values()) {
    for (const listener of list) {
      if (rows.length >= limit) return rows;
      const { local, waiting, backlog } = listener;
      rows.push({
        state: 'LISTEN',
        local,
        remote: null,
        recvQ: waiting,
        sendQ: backlog,
        timer: '',
        timerLeft: 0,
        retransmits: 0,
      });
    }
  }
  for (const tcb of core.tcbs) {
    if (tcb === null) continue;
    if (rows.length >= limit) return rows;
    rows.push({
      state: tcb.stateName,
      local: tcb.local,
      remote: tcb.remote,
      recvQ: tcb.readable,
      sendQ: tcb.queued,
      ...timerOf(core, tcb),
      retransmits: tcb.retries,
    });
  }
  const { records } = core;
  for (let i = records.first(); i >= 0 && rows.length < limit; i = records.next(i)) {
    const record = core.record.at(i);
    const { local, remote } = endpoints(records, i);
    rows.push({
      state: record.finWait2 ? 'FIN-WAIT-2' : 'TIME-WAIT',
      local,
      remote,
      recvQ: 0,
      sendQ: 0,
      timer: 'timewait',
      timerLeft: Math.max(0, (record.expiresAt - core.ctx.now) | 0),
      retransmits: 0,
    });
  }
  return rows;
}

export function stateCounts(core: Core): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of S.stateNames) counts[name] = 0;
  for (const list of core.listeners.values()) counts['LISTEN']! += list.length;
  for (const tcb of core.tcbs) if (tcb !== null) counts[tcb.stateName]! += 1;
  counts['TIME-WAIT']! += core.records.count - core.records.finWait2Count;
  counts['FIN-WAIT-2']! += core.records.finWait2Count;
  return counts;
}
