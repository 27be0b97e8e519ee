/**
 * Windows, from vendor articles alone: no source is open and no host was run. Every
 * profile is a hypothesis that a real machine has to confirm.
 */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { BindRequest, PolicyContext, RecordFacts, ReopenRequest } from '../policy.js';
import * as base from './base.js';
import { BasePolicy } from './base.js';

const { greater } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { ACCEPT, DELETE, KEEP, PRESSURE_EVICT_OLDEST, REPLY_RST, verdict } = contract;
const { ACK_ALWAYS, ACK_RESTART } = base;

const PORTS_UP_TO_2003 = {
  'net.ipv4.ip_local_port_range.min': 1025,
  'net.ipv4.ip_local_port_range.max': 5000,
};

const NO_HOST = 'No Windows host was run; the rules come from vendor articles.';
const RST_TEST =
  'Whether a RST must be at RCV.NXT: the articles state no sequence test, so any RST ends TIME-WAIT.';

abstract class WindowsPolicy extends BasePolicy {
  override readonly uses: readonly string[] = ['TcpTimedWaitDelay'];

  lifetime(_record: RecordFacts, context: PolicyContext): number {
    return 1000 * context.knob('TcpTimedWaitDelay');
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags } = segment;
    if ((flags & RST) !== 0) return verdict(DELETE, Reason['tw-rst-kill-any']);
    if ((flags & SYN) !== 0) return this.syn(record, segment, context);
    return this.rest(record, segment);
  }

  protected syn(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, seq } = segment;
    // Note: 2003 takes a SYN with further flags (KB2551021), a listener of this stack does not
    if ((flags & FIN) !== 0) return verdict(KEEP, Reason['listen-syn-fin']);
    if ((flags & ACK) !== 0) return verdict(KEEP, Reason['tw-ignored']);
    const higher = greater(seq, record.rcvNxt);
    if (!higher && !this.takesLower(record, segment, context)) return this.lower();
    if (!context.hasListener()) return verdict(REPLY_RST | DELETE, Reason['closed-rst']);
    return verdict(ACCEPT, Reason[higher ? 'tw-syn-accepted' : 'tw-syn-accepted-any']);
  }

  /** The SYN does not lie above RCV.NXT and is taken all the same. */
  protected takesLower(_record: RecordFacts, _segment: Segment, _context: PolicyContext): boolean {
    return false;
  }

  protected lower(): number {
    return verdict(KEEP, Reason['tw-syn-low']);
  }

  /** KB261218: only the FIN that was remembered is acknowledged, all else is ignored. */
  protected rest(record: RecordFacts, segment: Segment): number {
    const again = (segment.flags & FIN) !== 0 && segment.end === record.rcvNxt;
    return again ? verdict(ACK_RESTART, Reason['tw-fin-again']) : verdict(KEEP, Reason['tw-ignored']);
  }

  /** WSAEADDRINUSE (10048), event 4227; the ephemeral choice passes over it. */
  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return verdict(KEEP, request.boundPort ? Reason['reopen-in-use'] : Reason['reopen-refused']);
  }

  /** Only the four-tuple is protected, unless SO_EXCLUSIVEADDRUSE asks for the port. */
  override mayBind(_record: RecordFacts, request: BindRequest): boolean {
    return !(request.exclusive && request.addressOverlaps);
  }
}

/** TIME-WAIT and live connections share the TCBs: above the limit the oldest TIME-WAIT is taken over (Q151418). */
abstract class StealingWindows extends WindowsPolicy {
  override readonly uses: readonly string[] = ['TcpTimedWaitDelay', 'MaxFreeTcbs'];

  override capacity(context: PolicyContext): number {
    return Math.max(0, context.knob('MaxFreeTcbs') - context.connections);
  }

  override onPressure(): number {
    return PRESSURE_EVICT_OLDEST;
  }
}

class WindowsNt4 extends StealingWindows {
  readonly name = 'windows-nt4';
  readonly title =
    'Windows NT 4: 240 s, above 1000 connections the oldest TIME-WAIT is stolen, ports 1025 to 5000';
  readonly source =
    'Microsoft Q151418, KB271708, TechNet cc938217 (TcpTimedWaitDelay), cc938196 (MaxUserPort)';
  override readonly knobs = {
    TcpTimedWaitDelay: 240,
    MaxFreeTcbs: 1000,
    ...PORTS_UP_TO_2003,
    'net.ipv4.tcp_timestamps': 0,
    'net.ipv4.tcp_fin_timeout': 240,
  };
  override readonly unverified = [
    NO_HOST,
    'What a SYN gets: that a higher one reopens and a lower one is acknowledged is assumed.',
    RST_TEST,
    'What data beyond the FIN and a bare ACK get: KB271708 speaks of duplicates, which are acknowledged and dropped.',
    'The error of connect() onto the tuple, and bind() onto its port, are taken from later versions.',
    'TcpFinWait2Delay of 240 s.',
    'Whether the limit of Q151418 counts TIME-WAIT too; it is MaxFreeTcbs here, 1000 (2000 from SP3), minus live connections.',
  ];

  protected override lower(): number {
    return verdict(ACK_ALWAYS, Reason['tw-syn-refused']);
  }

  /** KB271708: duplicates are acknowledged and dropped. */
  protected override rest(record: RecordFacts, segment: Segment): number {
    const { flags, seq, end } = segment;
    if ((flags & FIN) !== 0 && end === record.rcvNxt) return verdict(ACK_RESTART, Reason['tw-fin-again']);
    if ((flags & ACK) === 0) return verdict(KEEP, Reason['tw-no-ack-flag']);
    if (seq === end) return verdict(KEEP, Reason['tw-ack']);
    return verdict(
      ACK_ALWAYS,
      greater(record.rcvNxt, seq) ? Reason['tw-data-old'] : Reason['tw-segment-ack'],
    );
  }
}

class Windows2003 extends StealingWindows {
  readonly name = 'windows-2003';
  readonly title =
    'Windows Server 2003: TcpTimedWaitDelay 120 s, a lower SYN is dropped silently, ports 1025 to MaxUserPort 5000';
  readonly source = 'Microsoft KB261218 (Windows 2000), cc757512 (TcpTimedWaitDelay), KB923200, KB2551021';
  override readonly uses = ['TcpTimedWaitDelay', 'MaxFreeTcbs', 'StrictTimeWaitSeqCheck'];
  override readonly knobs = {
    TcpTimedWaitDelay: 120,
    MaxFreeTcbs: 2000,
    StrictTimeWaitSeqCheck: 1,
    ...PORTS_UP_TO_2003,
    'net.ipv4.tcp_timestamps': 0,
    'net.ipv4.tcp_fin_timeout': 120,
  };
  override readonly unverified = [
    NO_HOST,
    'A lower SYN: KB261218 describes that any SYN reopens, others that it vanishes without reply; StrictTimeWaitSeqCheck=1, preset here, drops it silently, 0 takes it. The meaning of that value is read from its name, its default is not known.',
    'KB261218 contradicts itself: its symptom has an ACK answer the SYN, its list of states closes and accepts.',
    'KB261218 (data and ACKs are ignored) contradicts KB271708 (duplicates are acknowledged); the former is reproduced.',
    'The default of TcpTimedWaitDelay: 120 s in the table of cc757512, 4 minutes in its text; the effective minimum is said to be 30 s.',
    RST_TEST,
    'What timestamps of a SYN count for: nothing here.',
  ];
  override readonly notes = [
    '2003 takes a SYN with FIN or ACK set as a SYN (KB2551021); the listeners of this stack do not.',
    'From SP1 the ephemeral choice avoids ports whose pair is in TIME-WAIT; before, the collision was an error.',
  ];

  protected override takesLower(_record: RecordFacts, _segment: Segment, context: PolicyContext): boolean {
    return context.knob('StrictTimeWaitSeqCheck') === 0;
  }
}

class Windows extends WindowsPolicy {
  readonly name = 'windows';
  readonly title = 'Windows Vista and later: 120 s, ports 49152 to 65535, most rules unverified';
  readonly source =
    'Microsoft documentation of the dynamic port range; KB2551021; curl#8528, libuv#1360; KB261218 for the rest';
  override readonly knobs = {
    TcpTimedWaitDelay: 120,
    'net.ipv4.ip_local_port_range.min': 49_152,
    'net.ipv4.ip_local_port_range.max': 65_535,
    'net.ipv4.tcp_timestamps': 0,
    'net.ipv4.tcp_fin_timeout': 120,
  };
  override readonly unverified = [
    NO_HOST,
    'The default of TcpTimedWaitDelay (120 s by the community, 30 s by one Microsoft page) and its range.',
    'Which SYN reopens: a higher sequence number or a newer timestamp is assumed; a lower one is dropped silently as in 2003.',
    RST_TEST,
    'That data and ACKs are ignored is taken from Windows 2000.',
    'Whether TIME-WAIT gives way when TCBs run short.',
    'The time in FIN-WAIT-2, the error on port exhaustion, the algorithm of the port choice.',
  ];
  override readonly notes = [
    'A SYN with FIN, RST or ACK set is rejected since Vista (KB2551021).',
    'Timestamps are off when it opens; since Server 2022 it accepts them when the peer asks.',
  ];

  protected override takesLower(record: RecordFacts, segment: Segment): boolean {
    return record.hasTimestamp && segment.hasTimestamp && greater(segment.tsVal, record.tsRecent);
  }
}

export const windowsNt4 = new WindowsNt4();
export const windows2003 = new Windows2003();
export const windows = new Windows();
