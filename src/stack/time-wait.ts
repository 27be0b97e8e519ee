/**
 * Carries out what the policy says: connections become records, verdicts become
 * replies, records expire, are evicted, give way or come back.
 */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { EV_CLOSED, EV_FLUSHED, EV_READABLE } from '../tcp/events.js';
import { emitAck, emitBareReset } from '../tcp/output.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { endpoints, save } from '../timewait/copies.js';
import {
  ACCEPT,
  BECOME_TIME_WAIT,
  CHALLENGE,
  DELETE,
  HOLDER_PEER,
  LAST_ACK_CLOSED,
  LAST_ACK_TAKE_OVER,
  LIMITED,
  PRESSURE_EVICT_OLDEST,
  REFRESH,
  REPLY_ACK,
  REPLY_RST,
  RESTART,
  REVERTIBLE,
  fateOf,
  reasonOf,
  replyOf,
} from '../timewait/policy.js';
import { MORE, type RecordEntry } from '../timewait/table.js';
import { FIN, SYN, type Segment } from '../wire/segment.js';
import { RECORD, type Core } from './core.js';
import { passiveOpen } from './passive.js';
import { replyReset, replyTimeWaitAck } from './reply.js';

/** The connection has nothing left but waiting: TIME-WAIT, or an orphan's FIN-WAIT-2 where the policy keeps those as records. */
export function becomeRecord(core: Core, tcb: Tcb, finWait2: boolean): void {
  const { ctx } = core;
  // The ACK of the peer's FIN first. MUST-59 is kept: nothing of this connection is left to process.
  if (
    (tcb.ackNow || tcb.dupAcksOwed > 0) &&
    !emitAck(ctx, tcb, finWait2 ? Reason.plain : Reason['tw-enter'])
  ) {
    core.count(Mib.IpOutDiscards);
  }
  // It is no live connection any more when the policy counts those
  core.connections--;
  const index = addRecord(core, entryOf(core, tcb, finWait2));
  core.connections++;
  core.detach(tcb, index < 0 ? -1 : RECORD | index);
  tcb.sendQueue.clear();
  tcb.sent = null;
  tcb.reassembly = null;
  tcb.armed = 0;
  if (finWait2) tcb.moveTo(S.CLOSED);
  ctx.charge(tcb);
  ctx.raise(tcb, EV_CLOSED | EV_FLUSHED | EV_READABLE);
}

/**
 * A passive closer has finished: its FIN is acknowledged. Where the policy lets the
 * client hold TIME-WAIT, a record takes its place. True: the connection is detached.
 */
export function passiveCloserDone(core: Core, tcb: Tcb): boolean {
  const answer = core.policy.lastAck(tcb, core.hooks.about(null));
  if (answer === LAST_ACK_CLOSED) return false;
  if (answer === LAST_ACK_TAKE_OVER && !emitBareReset(core.ctx, tcb, Reason['tw-taken-over']))
    core.count(Mib.IpOutDiscards);
  core.reasonCounts[Reason['tw-taken-over']]! += 1;
  becomeRecord(core, tcb, false);
  return true;
}

function entryOf(core: Core, tcb: Tcb, finWait2: boolean): RecordEntry {
  return {
    local0: tcb.local0,
    local1: tcb.local1,
    local2: tcb.local2,
    local3: tcb.local3,
    remote0: tcb.remote0,
    remote1: tcb.remote1,
    remote2: tcb.remote2,
    remote3: tcb.remote3,
    localPort: tcb.localPort,
    remotePort: tcb.remotePort,
    hash: tcb.hash,
    sndNxt: tcb.sndNxt,
    rcvNxt: tcb.rcvNxt,
    rcvWnd: tcb.rcvWnd,
    rcvWscale: tcb.rcvWscale,
    hasTimestamp: tcb.tsEnabled,
    tsRecent: tcb.tsRecent,
    tsRecentAt: tcb.tsRecentAt,
    tsOffset: tcb.tsOffset,
    offsetKind: tcb.offsetKind,
    enteredAt: core.ctx.now,
    rto: tcb.rtt.rto,
    finWait2,
    userClosed: tcb.userClosed,
    reuseAddress: tcb.reuseAddress,
    reusePort: tcb.reusePort,
    boundPort: tcb.boundPort,
    localPeer: core.isLocal(tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3),
    nearPeer: core.isNear(tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3),
    active: tcb.active,
    holder: tcb.holder,
    word: 0,
  };
}

/** Most records now: the policy's capacity, or the stack's (knob timewait_max_records). */
export function recordLimit(core: Core): number {
  return Math.min(core.policy.capacity(core.hooks.about(null)), core.settings.maxRecords);
}

/** Puts a record into the table as the policy's lifetime and capacity allow; its index, or -1. */
export function addRecord(core: Core, entry: RecordEntry, returned = false): number {
  const { records, policy, hooks } = core;
  const context = hooks.about(null);
  const limit = recordLimit(core);
  while (records.count >= limit) {
    if (core.overdue) {
      expireRecords(core, 1);
      continue;
    }
    if (records.count === 0 || policy.onPressure(records.count, context) !== PRESSURE_EVICT_OLDEST) {
      core.count(Mib.TcpExtTCPTimeWaitOverflow);
      core.count(Mib.TimewaitSkipped);
      core.reasonCounts[Reason['tw-table-full']]! += 1;
      return -1;
    }
    core.count(Mib.TimewaitEvicted);
    dropRecord(core, records.oldest(), Reason['tw-evicted']);
  }
  const index = records.add(entry);
  if (index < 0) {
    core.count(Mib.TcpExtTCPTimeWaitOverflow);
    core.count(Mib.TimewaitSkipped);
    core.reasonCounts[Reason['tw-table-full']]! += 1;
    return -1;
  }
  const record = core.record.at(index);
  const remembered = policy.remembersHost(record, context);
  if (remembered) {
    core.hosts.remember(
      entry.remote0,
      entry.remote1,
      entry.remote2,
      entry.remote3,
      entry.tsRecent,
      entry.tsRecentAt,
      core.ctx.now,
      policy.hostLimit,
    );
  }
  const lifetime = policy.lifetime(record, context, false);
  if (lifetime <= 0) {
    const reason =
      entry.holder === HOLDER_PEER ? 'tw-held-by-peer' : entry.localPeer ? 'tw-local-bypass' : 'tw-none';
    core.reasonCounts[Reason[reason]]! += 1;
    note(core, index, Reason[reason]);
    records.remove(index);
    return -1;
  }
  if (policy.keepsWord && !returned) record.setWord(policy.wordOnEntry(record, context));
  records.arm(index, (core.ctx.now + lifetime) | 0);
  core.count(lifetime > 4000 ? Mib.TcpExtTW : Mib.TcpExtTWKilled);
  const reason = entry.finWait2 ? Reason['tw-fin-wait-2'] : Reason['tw-enter'];
  core.reasonCounts[reason]! += 1;
  note(core, index, reason);
  return index;
}

/** Connections have grown: where the policy counts them against its records, the oldest give way. */
export function makeRoom(core: Core): void {
  const { records, policy } = core;
  if (records.count === 0) return;
  const context = core.hooks.about(null);
  const limit = policy.capacity(context);
  while (core.overdue && records.count > limit) expireRecords(core, 1);
  while (records.count > Math.max(0, limit)) {
    if (policy.onPressure(records.count, context) !== PRESSURE_EVICT_OLDEST) return;
    core.count(Mib.TimewaitEvicted);
    dropRecord(core, records.oldest(), Reason['tw-evicted']);
  }
}

function note(core: Core, index: number, reason: number): void {
  if (!core.log.on) return;
  const ends = endpoints(core.records, index);
  const state = core.record.at(index).finWait2 ? 'FIN-WAIT-2' : 'TIME-WAIT';
  core.log.bare(core.ctx.now, ends.local, ends.remote, reason, state);
}

/** Removes a record and its flow entry. */
function dropRecord(core: Core, index: number, reason: number): void {
  core.reasonCounts[reason]! += 1;
  note(core, index, reason);
  core.flows.remove(core.records.hashOf(index), RECORD | index);
  core.records.remove(index);
}

/**
 * Records whose time is over go, looking at `most` rows at most. Those that are left answer nothing any more
 * (`Core.sameTuple`); whoever counts records or walks them calls `expireOverdue` first.
 */
export function expireRecords(core: Core, most: number): void {
  const { records } = core;
  core.overdue = false;
  for (let gone = 0; gone < most; gone++) {
    const index = records.expireRow(core.ctx.now);
    if (index >= 0) dropRecord(core, index, Reason['tw-expired']);
    else if (index !== MORE) return;
  }
  core.overdue = records.nextDeadline(core.ctx.now) === 0;
}

/** The rest of what an expiry in steps has left. */
export function expireOverdue(core: Core): void {
  if (core.overdue) expireRecords(core, Infinity);
}

/** All records go at once, without a word to anybody. */
export function dropRecords(core: Core): void {
  expireOverdue(core);
  for (let i = core.records.first(); i >= 0; i = core.records.next(i))
    dropRecord(core, i, Reason['tw-dropped']);
}

/** Linux PAWSTimewait */
const OLDER: ReadonlySet<number> = new Set([
  Reason['tw-paws'],
  Reason['tw-paws-linux'],
  Reason['tw-paws-rst'],
]);

/** A segment for a record: the policy's verdict, carried out. Returns the reason. */
export function recordArrives(core: Core, index: number, segment: Segment): number {
  const record = core.record.at(index);
  const state = record.finWait2 ? S.FIN_WAIT_2 : S.TIME_WAIT;
  const context = core.hooks.about(segment);
  const verdict = core.judge(record, segment);
  let reason = reasonOf(verdict);
  if (OLDER.has(reason)) core.count(Mib.TcpExtPAWSTimewait);
  if (fateOf(verdict) === ACCEPT) return core.decide(reopen(core, index, segment, verdict), state, segment);
  // The lifetime hook sees the record as it was; the new timestamp is taken afterwards.
  if (fateOf(verdict) === RESTART) {
    record.restart((core.ctx.now + core.policy.lifetime(record, context, true)) | 0);
    core.count(Mib.TimewaitRestarted);
  }
  if (fateOf(verdict) === BECOME_TIME_WAIT) record.becomeTimeWait(segment.end, core.ctx.now);
  if ((verdict & REFRESH) !== 0 && segment.hasTimestamp) record.refresh(segment.tsVal, core.ctx.now);
  if (core.policy.keepsWord) record.setWord(core.policy.wordAfter(record, segment, verdict, context));
  if (fateOf(verdict) === BECOME_TIME_WAIT) {
    if (core.policy.remembersHost(record, context)) {
      core.hosts.remember(
        segment.src0,
        segment.src1,
        segment.src2,
        segment.src3,
        record.tsRecent,
        record.tsRecentAt,
        core.ctx.now,
        core.policy.hostLimit,
      );
    }
    record.restart((core.ctx.now + core.policy.lifetime(record, context, false)) | 0);
  }
  switch (replyOf(verdict)) {
    case REPLY_ACK:
      if ((verdict & (LIMITED | CHALLENGE)) !== 0 && limited(core, segment, verdict))
        reason = Reason['tw-limited'];
      else {
        core.count(Mib.TimewaitAcked);
        replyTimeWaitAck(core, segment, reason);
      }
      break;
    case REPLY_RST:
      replyReset(core, segment, reason);
      break;
    default:
      core.count(Mib.TimewaitDropped);
  }
  if (fateOf(verdict) === DELETE) {
    core.count(Mib.TimewaitRstKilled);
    core.flows.remove(core.records.hashOf(index), RECORD | index);
    core.records.remove(index);
  }
  return core.decide(reason, state, segment);
}

/**
 * One ACK per record and tcp_invalid_ratelimit ms for empty segments and SYNs
 * (Linux tcp_oow_rate_limited); challenge ACKs are limited the same way whatever
 * the segment, which stays below RFC 5961 7's ten in five seconds.
 */
function limited(core: Core, segment: Segment, verdict: number): boolean {
  const empty = segment.payloadLength === 0 && (segment.flags & FIN) === 0;
  if ((verdict & CHALLENGE) === 0 && !empty && (segment.flags & SYN) === 0) return false;
  const record = core.record;
  const interval = core.ctx.config.invalidRatelimit;
  if (record.ackedAtAll && (core.ctx.now - record.lastAckAt) >>> 0 < interval) {
    core.count(record.finWait2 ? Mib.TcpExtTCPACKSkippedFinWait2 : Mib.TcpExtTCPACKSkippedTimeWait);
    return true;
  }
  record.acked(core.ctx.now);
  return false;
}

/** The SYN replaces the record. Its ISS lies above everything the old connection used, as the policy computes it. */
function reopen(core: Core, index: number, s: Segment, verdict: number): number {
  const { records } = core;
  const reason = reasonOf(verdict);
  const numbers = core.numbers.of(
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
  const iss = core.policy.isnOnReopen(core.record.at(index), numbers.isn(), core.hooks.about(s));
  const saved = (verdict & REVERTIBLE) !== 0 ? save(records, index) : null;
  core.flows.remove(records.hashOf(index), RECORD | index);
  records.remove(index);
  const listener = core.listenerFor(s);
  // Linux b4: SYN with FIN deletes the record and is then ignored by the listener.
  if (listener === null || (s.flags & FIN) !== 0) return reason;
  const tcb = passiveOpen(core, listener, s, iss);
  if (typeof tcb === 'number') return tcb;
  tcb.revert = saved;
  core.count(Mib.TimewaitReopened);
  return reason;
}

/** RFC 1122 4.2.2.13 (2): the SYN proved to be an old duplicate, TIME-WAIT goes on. */
export function revert(core: Core, tcb: Tcb): void {
  const saved = tcb.revert as RecordEntry | null;
  if (saved === null) return;
  tcb.revert = null;
  const index = addRecord(core, saved, true);
  if (index < 0) return;
  core.flows.insert(saved.hash, RECORD | index);
  core.count(Mib.TimewaitReturned);
  core.reasonCounts[Reason['tw-returned']]! += 1;
  note(core, index, Reason['tw-returned']);
}

/** A connection that replaced a record proved real, or its SYN an old duplicate. */
export function settleRevert(core: Core, tcb: Tcb, reason: number): void {
  if (tcb.state >= S.ESTABLISHED) {
    tcb.revert = null;
    return;
  }
  const old =
    reason === Reason['syn-received-bad-ack'] ||
    (tcb.state === S.CLOSED && reason === Reason['rst-syn-received']);
  if (!old) return;
  if (tcb.state !== S.CLOSED) tcb.moveTo(S.CLOSED);
  core.detach(tcb, -1);
  revert(core, tcb);
}
