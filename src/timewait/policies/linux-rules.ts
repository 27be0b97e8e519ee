/**
 * Linux tcp_timewait_state_process and tcp_twsk_unique: what every Linux policy
 * shares, in the order of the source. Deviations of a version are its policy's.
 */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { BindRequest, PolicyContext, RecordFacts, ReopenRequest } from '../policy.js';
import * as base from './base.js';
import { BasePolicy } from './base.js';

const { after, before } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { ACCEPT, BECOME_TIME_WAIT, DELETE, KEEP, LIMITED, REFRESH, REPLY_ACK, REPLY_RST, RESTART, verdict } =
  contract;
const { ACK_ALWAYS, ACK_LIMITED } = base;

/** TCP_PAWS_MSL and TCP_PAWS_WRAP, ms. */
export const PAWS_MSL = 60_000;
const TIMEWAIT_LEN = 60_000;
/** What every Linux reads. */
export const LINUX_KNOBS = [
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_rfc1337',
  'net.ipv4.tcp_max_tw_buckets',
  'net.ipv4.tcp_tw_reuse',
  'net.ipv4.tcp_invalid_ratelimit',
];
/** From 6.14 on the age for reuse is a knob, too. */
export const MODERN_KNOBS = [...LINUX_KNOBS, 'net.ipv4.tcp_tw_reuse_delay'];
/** 64 ns ISN clock; half of an established hash of 262144 buckets. */
export const LINUX_PRESETS = {
  timewait_dialect: 1,
  'net.ipv4.tcp_isn': 1,
  'net.ipv4.tcp_max_tw_buckets': 131_072,
  // tcp_v4_send_reset adds no timestamps
  'net.ipv4.tcp_reset_timestamps': 0,
  // CUBIC without a limit on slow start, decay while idle (tcp_cwnd_restart), SACK kept at an RTO (tcp_timeout_mark_lost)
  'net.ipv4.tcp_congestion_control': 1,
  'net.inet.tcp.abc_l_var': 65_535,
  'net.ipv4.tcp_slow_start_after_idle': 1,
  'net.ipv4.tcp_keep_sack': 1,
  // tcp_rmem as it boots: auto-tuning from the second number to the third
  'net.ipv4.tcp_rmem': 131_072,
  'net.ipv4.tcp_rmem.max': 6_291_456,
};
const PAWS_WRAP = 2_147_483;

/** tcp_paws_reject. */
function pawsReject(record: RecordFacts, segment: Segment, now: number): boolean {
  if (!record.hasTimestamp || !segment.hasTimestamp) return false;
  if (((record.tsRecent - segment.tsVal) | 0) <= 0) return false;
  const age = (now - record.tsRecentAt) >>> 0;
  if (age >= PAWS_WRAP || record.tsRecent === 0) return false;
  // Linux checks RST too, for a minute (Note: RFC 7323 5.2 exempts it)
  return !((segment.flags & RST) !== 0 && age >= PAWS_MSL);
}

/** tcp_in_window. */
function inWindow(seq: number, end: number, left: number, right: number): boolean {
  if (seq === left) return true;
  if (after(end, left) && before(seq, right)) return true;
  return seq === right && seq === end;
}

export abstract class LinuxPolicy extends BasePolicy {
  override readonly orphansAsRecords = true;
  /** With tcp_rfc1337 = 1 an exact RST restarts the timer (before 4.19 and the LTS fixes of 2018). */
  protected readonly rstRestarts: boolean = false;

  override readonly uses: readonly string[] = MODERN_KNOBS;

  /**
   * FIN-WAIT-2 orphans live T = tcp_fin_timeout, at least 3.5*RTO. What T exceeds the length of
   * TIME-WAIT is waited twice, once as a connection and once as a record: T = 70 s gives 20 s.
   * Note: here it is a record all the time.
   */
  lifetime(record: RecordFacts, context: PolicyContext, _restarted: boolean): number {
    const length = this.timeWaitLength(context);
    if (!record.finWait2) return length;
    const wanted = Math.max(1000 * context.knob('net.ipv4.tcp_fin_timeout'), Math.ceil(3.5 * record.rto));
    return wanted <= length ? wanted : 2 * (wanted - length);
  }

  /** TCP_TIMEWAIT_LEN, ms: fixed in mainline. */
  protected timeWaitLength(_context: PolicyContext): number {
    return TIMEWAIT_LEN;
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    return record.finWait2
      ? finWait2(record, segment, context)
      : timeWait(record, segment, context, this.rstRestarts);
  }

  override capacity(context: PolicyContext): number {
    return context.knob('net.ipv4.tcp_max_tw_buckets');
  }

  /** tcp_conn_request is handed ISN = SND.NXT + 65535 + 2; 0 means "none" there, so it becomes 1. */
  override isnOnReopen(record: RecordFacts): number {
    const iss = (record.sndNxt + 65_537) | 0;
    return iss === 0 ? 1 : iss;
  }

  /** tcp_twsk_unique, 6.14 on. */
  override mayReopen(record: RecordFacts, request: ReopenRequest, context: PolicyContext): number {
    // A port bound by hand reuses at once, whatever the knob says
    if (request.boundPort) {
      return record.hasTimestamp
        ? verdict(ACCEPT, Reason['reopen-bound'])
        : verdict(KEEP, Reason['reopen-no-timestamps']);
    }
    const reuse = context.knob('net.ipv4.tcp_tw_reuse');
    const on = !record.finWait2 && (reuse === 1 || (reuse === 2 && record.localPeer));
    if (!on) return verdict(KEEP, Reason['reopen-off']);
    if (!record.hasTimestamp) return verdict(KEEP, Reason['reopen-no-timestamps']);
    if (!this.oldEnough(record, context)) return verdict(KEEP, Reason['reopen-too-young']);
    return verdict(ACCEPT, Reason['reopen-reused']);
  }

  protected oldEnough(record: RecordFacts, context: PolicyContext): boolean {
    return ((context.now - record.enteredAt - context.knob('net.ipv4.tcp_tw_reuse_delay')) | 0) > 0;
  }

  /** inet_bind_conflict: the old socket must have had the option, too. */
  override mayBind(record: RecordFacts, request: BindRequest): boolean {
    if (!request.addressOverlaps) return true;
    return (record.reuseAddress && request.reuseAddress) || (record.reusePort && request.reusePort);
  }
}

/** The substate of orphans. */
function finWait2(record: RecordFacts, segment: Segment, context: PolicyContext): number {
  const { flags, seq, end } = segment;
  const { rcvNxt } = record;
  if (pawsReject(record, segment, context.now) || !inWindow(seq, end, rcvNxt, (rcvNxt + record.rcvWnd) | 0)) {
    return verdict(ACK_LIMITED, Reason['fw2-not-acceptable']);
  }
  if ((flags & RST) !== 0) return verdict(DELETE, Reason['fw2-reset']);
  if ((flags & SYN) !== 0 && !before(seq, rcvNxt)) return verdict(REPLY_RST | DELETE, Reason['fw2-data']);
  if ((flags & ACK) === 0 || !after(end, rcvNxt) || end === seq) return verdict(KEEP, Reason['fw2-dropped']);
  // New data, a FIN with data, a FIN out of order
  if ((flags & FIN) === 0 || end !== ((rcvNxt + 1) | 0))
    return verdict(REPLY_RST | DELETE, Reason['fw2-data']);
  return verdict(REPLY_ACK | BECOME_TIME_WAIT | REFRESH, Reason['fw2-fin']);
}

function timeWait(
  record: RecordFacts,
  segment: Segment,
  context: PolicyContext,
  rstRestarts: boolean,
): number {
  const { flags, seq, end } = segment;
  const { rcvNxt } = record;
  const rst = (flags & RST) !== 0;
  const paws = pawsReject(record, segment, context.now);
  if (!paws && seq === rcvNxt && (seq === end || rst)) {
    if (rst) {
      if (context.knob('net.ipv4.tcp_rfc1337') === 0) return verdict(DELETE, Reason['tw-rst-kill']);
      return verdict((rstRestarts ? RESTART : KEEP) | REFRESH, Reason['tw-rst-ignored']);
    }
    return verdict(RESTART | REFRESH, Reason['tw-ack-restart']);
  }
  const syn = (flags & SYN) !== 0;
  if (syn && !rst && (flags & ACK) === 0 && !paws) {
    const newer = record.hasTimestamp && segment.hasTimestamp && ((record.tsRecent - segment.tsVal) | 0) < 0;
    if (after(seq, rcvNxt) || newer) {
      return context.hasListener()
        ? verdict(ACCEPT, Reason['tw-syn-accepted-linux'])
        : verdict(ACK_ALWAYS, Reason['tw-syn-no-listener']);
    }
  }
  if (rst) return verdict(KEEP, paws ? Reason['tw-paws-rst'] : Reason['tw-rst-out']);
  if (paws) return verdict(REPLY_ACK | LIMITED | RESTART, Reason['tw-paws-linux']);
  if ((flags & ACK) !== 0) {
    const again = (flags & FIN) !== 0 && end === rcvNxt;
    return verdict(
      REPLY_ACK | LIMITED | RESTART,
      again ? Reason['tw-fin-again'] : Reason['tw-segment-restart'],
    );
  }
  return verdict(ACK_LIMITED, syn ? Reason['tw-syn-low-linux'] : Reason['tw-segment-ack']);
}
