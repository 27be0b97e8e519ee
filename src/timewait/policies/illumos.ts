/** illumos tcp_time_wait_processing, in its order; Solaris 7 has the same rules and four times the length. */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts, ReopenRequest } from '../policy.js';
import * as base from './base.js';
import { BasePolicy } from './base.js';

const { before, greater } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { ACCEPT, DELETE, KEEP, REFRESH, REPLY_RST, verdict } = contract;
const { ACK_ALWAYS, ACK_RESTART } = base;

/** The collector wakes every 5 s, ms. */
const COLLECTOR = 5000;
/** What a new ISS lies above the old SND.NXT at least: ISS_INCR / 2. */
const ISS_STEP = 125_000;
/** 24 days, ms: after this TS.Recent is not believed. */
const PAWS_TIMEOUT = 2_073_600_000;

abstract class SolarisPolicy extends BasePolicy {
  readonly uses = ['tcp_time_wait_interval'];

  /** Gone at once on loopback; otherwise at the collector's next turn, which a restart does not bring forward. */
  lifetime(record: RecordFacts, context: PolicyContext, restarted: boolean): number {
    if (record.localPeer) return 0;
    const length = context.knob('tcp_time_wait_interval') + ((context.random() >>> 0) % COLLECTOR);
    return restarted ? Math.max(length, (record.expiresAt - context.now) | 0) : length;
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, seq, payloadLength } = segment;
    const { rcvNxt, rcvWnd } = record;
    const rst = (flags & RST) !== 0;
    const syn = (flags & SYN) !== 0;
    if (record.hasTimestamp && !rst) {
      const late = missingOrOld(record, segment, context.now);
      if (late !== 0) return late;
    }
    const gap = (seq - rcvNxt) | 0;
    const rgap = rcvWnd - (gap + payloadLength);
    let length = payloadLength;
    if (gap < 0) {
      length += gap;
      if (length < 0 || (length === 0 && (flags & FIN) === 0)) {
        if (rst) return verdict(KEEP, Reason['tw-rst-out']);
        if ((flags & FIN) !== 0 && length === -1) return verdict(ACK_RESTART, Reason['tw-fin-again']);
        return verdict(ACK_ALWAYS, syn ? Reason['tw-syn-refused'] : Reason['tw-data-old']);
      }
    }
    // Note: there a SYN with RST kills the connection here, too, before the listener drops it
    if (syn && !rst && gap > 0 && rgap < 0) return beyondWindow(segment, context);
    if (rgap < 0) {
      length += rgap;
      if (length <= 0) {
        return rst ? verdict(KEEP, Reason['tw-rst-out']) : verdict(ACK_ALWAYS, Reason['tw-not-acceptable']);
      }
    }
    if (rst) return verdict(DELETE, Reason['tw-rst-kill-window']);
    // RFC 1122 4.2.2.13 lets the record live
    if (syn) return verdict(REPLY_RST | KEEP, Reason['tw-syn-reset']);
    const stamp = gap <= 0 ? REFRESH : 0;
    const unsent = (flags & ACK) !== 0 && greater(segment.ack, record.sndNxt);
    if (unsent) return verdict(ACK_ALWAYS | stamp, Reason['tw-ack-unsent']);
    if (gap > 0 && length > 0) return verdict(ACK_ALWAYS, Reason['tw-segment-ack']);
    return verdict(KEEP | stamp, length > 0 ? Reason['tw-data-new'] : Reason['tw-ack']);
  }

  /** tcp_iss_incr_extra is raised until the new ISS is ISS_INCR/2 above the old SND.NXT. */
  override isnOnReopen(record: RecordFacts, fresh: number): number {
    const least = (record.sndNxt + ISS_STEP) | 0;
    return greater(fresh, least) ? fresh : least;
  }

  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return verdict(KEEP, request.boundPort ? Reason['reopen-in-use'] : Reason['reopen-refused']);
  }
}

/** tcp_paws_check: 0 when the timestamp is there and not old. */
function missingOrOld(record: RecordFacts, segment: Segment, now: number): number {
  if (!segment.hasTimestamp) {
    const probe = segment.payloadLength <= 1 && ((segment.seq + 1) | 0) === record.rcvNxt;
    return probe ? 0 : verdict(KEEP, Reason['tw-missing-timestamp']);
  }
  if (!before(segment.tsVal, record.tsRecent) || (now - record.tsRecentAt) >>> 0 >= PAWS_TIMEOUT) return 0;
  return verdict(ACK_ALWAYS, Reason['tw-paws']);
}

/** The old connection dies and the SYN is fed in again; nobody is told when nobody listens. */
function beyondWindow(segment: Segment, context: PolicyContext): number {
  // Note: a listener of this stack takes no SYN with FIN or ACK, so it must not cost the record
  if ((segment.flags & FIN) !== 0) return verdict(KEEP, Reason['listen-syn-fin']);
  if ((segment.flags & ACK) !== 0) return verdict(REPLY_RST | DELETE, Reason['tw-syn-ack-reset']);
  return context.hasListener()
    ? verdict(ACCEPT, Reason['tw-syn-beyond-window'])
    : verdict(DELETE, Reason['tw-syn-unheard']);
}

/** One counter that time and every connection move. */
const ISN_GLOBAL = { 'net.ipv4.tcp_isn': 3 };
const PORTS = { 'net.ipv4.ip_local_port_range.min': 32_768, 'net.ipv4.ip_local_port_range.max': 65_535 };
const SHARED_NOTES = [
  'The collector of TIME-WAIT adds 0 to 5 s to the interval.',
  'A socket that its user still holds open can wait up to twice the interval; here all records are collected alike.',
  'tcp_strong_iss=1 counts 4096 ns and 125000 a connection; the global counter of tcp_isn=3 is the nearest.',
];

class Solaris7 extends SolarisPolicy {
  readonly name = 'solaris-7';
  readonly title = 'Solaris 7: 240 s and up to 5 s more, a SYN inside the window is reset and TIME-WAIT kept';
  readonly source =
    'illumos usr/src/uts/common/inet/tcp/tcp_time_wait.c; Sun manual of tcp_time_wait_interval';
  override readonly knobs = { tcp_time_wait_interval: 240_000, ...ISN_GLOBAL, ...PORTS };
  override readonly unverified = [
    'The source of Solaris 7 was not readable: the rules of illumos stand in for it.',
    'What connect() onto the tuple answers.',
    'No Solaris host was run.',
  ];
  override readonly notes = SHARED_NOTES;
}

class Illumos extends SolarisPolicy {
  readonly name = 'illumos';
  override readonly aliases = ['solaris'];
  readonly title = 'illumos and Solaris 9 on: 60 s and up to 5 s more, only a SYN beyond the window reopens';
  readonly source =
    'illumos usr/src/uts/common/inet/tcp/tcp_time_wait.c tcp_time_wait_processing, tcp_bind.c';
  override readonly knobs = { tcp_time_wait_interval: 60_000, ...ISN_GLOBAL, ...PORTS };
  override readonly unverified = ['No illumos host was run.', 'What connect() onto the tuple answers.'];
  override readonly notes = SHARED_NOTES;
}

export const solaris7 = new Solaris7();
export const illumos = new Illumos();
