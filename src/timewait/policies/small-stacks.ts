/** TIME-WAIT of stacks that live outside kernels, each in the order of its source. */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { BindRequest, PolicyContext, RecordFacts, ReopenRequest } from '../policy.js';
import * as base from './base.js';
import { BasePolicy } from './base.js';

const { after, afterEq, beforeEq, greater } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const {
  ACCEPT,
  CHALLENGE,
  DELETE,
  KEEP,
  PRESSURE_EVICT_OLDEST,
  REFRESH,
  REPLY_ACK,
  REPLY_RST,
  RESTART,
  verdict,
} = contract;
const { ACK_ALWAYS, ACK_RESTART, CHALLENGE_ACK } = base;

/** TCP_SLOW_INTERVAL of lwIP, ms: its timers count these. */
const LWIP_TICK = 500;

class Lwip extends BasePolicy {
  readonly name = 'lwip';
  readonly title = 'lwIP: 120 s, RST ignored, no SYN reopens, the oldest record gives way when PCBs run out';
  readonly source =
    'lwIP src/core/tcp_in.c tcp_timewait_input, tcp.c tcp_slowtmr, tcp_alloc, tcp_kill_timewait, tcp_bind; opt.h';
  readonly uses = ['TCP_MSL', 'MEMP_NUM_TCP_PCB'];
  override readonly knobs = {
    MEMP_NUM_TCP_PCB: 5,
    'net.ipv4.tcp_timestamps': 0,
    'net.ipv4.tcp_isn': 3,
    'net.ipv4.tcp_fin_timeout': 20,
    'net.ipv4.ip_local_port_range.min': 49_152,
    'net.ipv4.ip_local_port_range.max': 65_534,
  };
  override readonly unverified = ['Read from the source; no lwIP was run.'];
  override readonly notes = [
    'The default configuration has 5 PCBs; live connections are not limited to them here, only TIME-WAIT gives way.',
    'Timers count ticks of 500 ms: TIME-WAIT ends with the first tick after 2*TCP_MSL.',
    'SO_REUSEADDR is compiled in only with SO_REUSE=1; without it every bind() onto the port is refused.',
    'Its ephemeral choice counts upwards and passes over a port with TIME-WAIT to any destination.',
  ];
  override readonly portScope = 'port';

  lifetime(_record: RecordFacts, context: PolicyContext): number {
    const ticks = Math.floor((2 * context.knob('TCP_MSL')) / LWIP_TICK) + 1;
    return ticks * LWIP_TICK - ((context.now >>> 0) % LWIP_TICK);
  }

  segmentArrives(record: RecordFacts, segment: Segment): number {
    const { flags, seq, end } = segment;
    if ((flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-ignored']);
    if ((flags & SYN) !== 0) {
      const inside = afterEq(seq, record.rcvNxt) && afterEq((record.rcvNxt + record.rcvWnd) | 0, seq);
      return inside
        ? verdict(REPLY_RST | KEEP, Reason['tw-syn-reset'])
        : verdict(ACK_ALWAYS, Reason['tw-syn-refused']);
    }
    // Any FIN, wherever it lies
    if ((flags & FIN) !== 0) return verdict(ACK_RESTART, Reason['tw-fin-again']);
    return seq === end ? verdict(KEEP, Reason['tw-ack']) : verdict(ACK_ALWAYS, Reason['tw-segment-ack']);
  }

  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return verdict(KEEP, request.boundPort ? Reason['reopen-in-use'] : Reason['reopen-refused']);
  }

  /** tcp_alloc: connections and TIME-WAIT come out of one pool. */
  override capacity(context: PolicyContext): number {
    return Math.max(0, context.knob('MEMP_NUM_TCP_PCB') - context.connections);
  }

  override onPressure(): number {
    return PRESSURE_EVICT_OLDEST;
  }
}

class Gvisor extends BasePolicy {
  readonly name = 'gvisor';
  readonly title =
    'gVisor: 60 s, RST ignored, a higher SYN reopens, our connect() reopens on loopback after 1 s';
  readonly source =
    'gVisor pkg/tcpip/transport/tcp/rcv.go handleTimeWaitSegment, connect.go handleTimeWaitSegments, endpoint.go registerEndpoint';
  readonly uses = ['TCPTimeWaitTimeout', 'net.ipv4.tcp_tw_reuse'];
  override readonly knobs = {
    'net.ipv4.tcp_isn': 1,
    'net.ipv4.tcp_timestamp_offset': 2,
    'net.ipv4.tcp_reset_timestamps': 0,
    'net.ipv4.ip_local_port_range.min': 16_000,
    'net.ipv4.ip_local_port_range.max': 65_535,
  };
  override readonly unverified = [
    'Read from the source; no gVisor was run.',
    'bind(): that old and new socket both need SO_REUSEADDR, or both SO_REUSEPORT, follows from its port flags.',
  ];
  override readonly notes = [
    'Reuse asks for 1 s since the last timestamp it took, so a connection without timestamps is reused at once.',
    'It has no PAWS in TIME-WAIT; a newer timestamp does not help a SYN.',
  ];

  lifetime(_record: RecordFacts, context: PolicyContext): number {
    return context.knob('TCPTimeWaitTimeout');
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, seq, payloadLength } = segment;
    const { rcvNxt } = record;
    if ((flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-ignored']);
    if ((flags & SYN) !== 0 && after(seq, rcvNxt)) {
      if (!context.hasListener()) return verdict(KEEP, Reason['tw-syn-nobody']);
      // The endpoint closes first and the listener answers what is no plain SYN
      if ((flags & ACK) !== 0) return verdict(REPLY_RST | DELETE, Reason['tw-syn-ack-reset']);
      // Note: a listener of this stack takes no SYN with FIN, so it must not cost the record
      if ((flags & FIN) !== 0) return verdict(KEEP, Reason['listen-syn-fin']);
      return verdict(ACCEPT, Reason['tw-syn-accepted']);
    }
    if ((flags & ACK) === 0) {
      return verdict(KEEP, (flags & SYN) !== 0 ? Reason['tw-syn-low'] : Reason['tw-no-ack-flag']);
    }
    const stamp = notOlder(record, segment) && beforeEq(seq, rcvNxt) ? REFRESH : 0;
    if ((flags & FIN) !== 0 && ((seq + 1) | 0) === rcvNxt) {
      return verdict(ACK_RESTART | stamp, Reason['tw-fin-again']);
    }
    if (seq !== rcvNxt || payloadLength !== 0) return verdict(ACK_ALWAYS | stamp, Reason['tw-segment-ack']);
    return verdict(KEEP | stamp, Reason['tw-ack']);
  }

  /** PickEphemeralPort's test: TIME-WAIT, and a second since the last timestamp. */
  override mayReopen(record: RecordFacts, request: ReopenRequest, context: PolicyContext): number {
    if (request.boundPort) return verdict(KEEP, Reason['reopen-in-use']);
    const reuse = context.knob('net.ipv4.tcp_tw_reuse');
    if (reuse === 0 || (reuse === 2 && !record.localPeer)) return verdict(KEEP, Reason['reopen-off']);
    const young = record.hasTimestamp && (context.now - record.tsRecentAt) >>> 0 < 1000;
    return young ? verdict(KEEP, Reason['reopen-too-young']) : verdict(ACCEPT, Reason['reopen-reused']);
  }

  override mayBind(record: RecordFacts, request: BindRequest): boolean {
    if (!request.addressOverlaps) return true;
    return (record.reuseAddress && request.reuseAddress) || (record.reusePort && request.reusePort);
  }
}

function notOlder(record: RecordFacts, segment: Segment): boolean {
  return record.hasTimestamp && segment.hasTimestamp && afterEq(segment.tsVal, record.tsRecent);
}

class Smoltcp extends BasePolicy {
  readonly name = 'smoltcp';
  readonly title =
    'smoltcp: 10 s, a SYN is dropped silently, whatever is outside the window restarts the timer';
  readonly source =
    'smoltcp src/socket/tcp.rs Socket::process, challenge_ack_reply, CLOSE_DELAY; iface/interface/tcp.rs';
  readonly uses = ['CLOSE_DELAY', 'net.ipv4.tcp_invalid_ratelimit'];
  override readonly knobs = {
    'net.ipv4.tcp_timestamps': 0,
    'net.ipv4.tcp_isn': 2,
    // One challenge ACK a second for each socket
    'net.ipv4.tcp_invalid_ratelimit': 1000,
  };
  override readonly unverified = ['Read from the source; no smoltcp was run.'];
  override readonly notes = [
    'A SYN reaches the listening socket instead when that one stands before the closing one in the socket set.',
    'The user owns the sockets: one in TIME-WAIT may be opened or listen again at once, so connect() and bind() are not refused.',
    'It chooses no ports and has no time in FIN-WAIT-2; the range and tcp_fin_timeout are the defaults.',
  ];

  lifetime(_record: RecordFacts, context: PolicyContext): number {
    return context.knob('CLOSE_DELAY');
  }

  segmentArrives(record: RecordFacts, segment: Segment): number {
    const { flags, seq, payloadLength } = segment;
    const rst = (flags & RST) !== 0;
    const controls = flags & (SYN | FIN | RST);
    // Only one of the three is a segment
    if (controls !== 0 && controls !== SYN && controls !== FIN && controls !== RST) {
      return verdict(KEEP, Reason['tw-flags']);
    }
    if (!rst) {
      if ((flags & ACK) === 0) return verdict(KEEP, Reason['tw-no-ack-flag']);
      if (greater(segment.ack, record.sndNxt)) return verdict(CHALLENGE_ACK, Reason['tw-ack-unsent']);
      if (segment.ack !== record.sndNxt) return verdict(KEEP, Reason['tw-ack-other']);
    }
    if (!smoltcpInside(record, seq, payloadLength)) {
      if (rst) return verdict(KEEP, Reason['tw-rst-out']);
      const again = (flags & FIN) !== 0 && segment.end === record.rcvNxt;
      const limit = payloadLength > 0 && (flags & SYN) === 0 ? 0 : CHALLENGE;
      return verdict(
        REPLY_ACK | limit | RESTART,
        again ? Reason['tw-fin-again'] : Reason['tw-segment-restart'],
      );
    }
    if (rst) return verdict(DELETE, Reason['tw-rst-kill-window']);
    return verdict(KEEP, payloadLength > 0 ? Reason['tw-data-new'] : Reason['tw-ignored']);
  }

  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return request.boundPort
      ? verdict(ACCEPT, Reason['reopen-socket'])
      : verdict(KEEP, Reason['reopen-refused']);
  }

  override mayBind(): boolean {
    return true;
  }
}

/** Socket::process, "segment_in_window"; FIN and SYN do not count. */
function smoltcpInside(record: RecordFacts, seq: number, length: number): boolean {
  const start = record.rcvNxt;
  const edge = (start + record.rcvWnd) | 0;
  const end = (seq + length) | 0;
  if (length === 0) {
    if (record.rcvWnd === 0) return seq === start;
    return afterEq(seq, start) && ((seq - edge) | 0) < 0;
  }
  if (record.rcvWnd === 0) return false;
  return (afterEq(seq, start) && ((seq - edge) | 0) < 0) || (greater(end, start) && beforeEq(end, edge));
}

/** 24 days, ms. */
const VPP_PAWS_IDLE = 2_073_600_000;

class Vpp extends BasePolicy {
  readonly name = 'vpp';
  readonly title =
    'FD.io VPP: 10 s, RST ignored, a SYN at or above RCV.NXT reopens, any other is dropped silently';
  readonly source =
    'FD.io VPP src/vnet/tcp/tcp_input.c syn_during_timewait, tcp_segment_validate, tcp46_rcv_process_inline';
  readonly uses = ['timewait-time'];
  override readonly knobs = {
    'net.ipv4.tcp_isn': 2,
    'net.ipv4.tcp_timestamp_offset': 0,
    'net.ipv4.tcp_reset_timestamps': 0,
    'net.ipv4.tcp_fin_timeout': 30,
    'net.ipv4.ip_local_port_range.min': 1024,
    'net.ipv4.ip_local_port_range.max': 65_534,
  };
  override readonly unverified = [
    'Read from the source; no VPP was run.',
    'bind() onto the port of a connection in TIME-WAIT is taken as refused unless SO_REUSEADDR is set.',
  ];
  override readonly notes = [
    "The timestamps that the SYN test compares are those of the old connection's last segment, so a SYN is judged by its sequence number alone.",
    'The ISN of the new connection is SND.NXT plus the send window plus a random number below 65535; a record keeps no send window, 65535 stands for it.',
    'A SYN that is taken while nobody listens deletes the record without a word.',
  ];

  lifetime(_record: RecordFacts, context: PolicyContext): number {
    return 1000 * context.knob('timewait-time');
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, seq, end } = segment;
    const { rcvNxt } = record;
    const controls = flags & (SYN | FIN | RST);
    if ((flags & (SYN | ACK)) === SYN && controls === SYN) {
      if (!afterEq(seq, rcvNxt)) return verdict(KEEP, Reason['tw-syn-below']);
      return context.hasListener()
        ? verdict(ACCEPT, Reason['tw-syn-accepted-at'])
        : verdict(DELETE, Reason['tw-syn-unheard']);
    }
    // The dispatch table knows no other SYN, nothing without flags, no FIN with RST
    if ((flags & SYN) !== 0 || (controls === 0 && (flags & ACK) === 0) || controls === (FIN | RST)) {
      return verdict(KEEP, Reason['tw-flags']);
    }
    const rst = (flags & RST) !== 0;
    if (!rst && vppPaws(record, segment, context.now)) return verdict(ACK_ALWAYS, Reason['tw-paws']);
    const inside = afterEq(end, rcvNxt) && beforeEq(seq, (rcvNxt + record.rcvWnd) | 0);
    if (rst) return verdict(KEEP, inside ? Reason['tw-rst-ignored'] : Reason['tw-rst-out']);
    if (!inside) return verdict(ACK_ALWAYS, Reason['tw-not-acceptable']);
    const stamp = beforeEq(seq, rcvNxt) ? REFRESH : 0;
    if (segment.ack !== record.sndNxt) return verdict(KEEP | stamp, Reason['tw-ack-other']);
    if ((flags & FIN) !== 0) return verdict(ACK_RESTART | stamp, Reason['tw-fin-again']);
    return verdict(KEEP | stamp, segment.payloadLength > 0 ? Reason['tw-data-new'] : Reason['tw-ack']);
  }

  override isnOnReopen(record: RecordFacts, _fresh: number, context: PolicyContext): number {
    const iss = (record.sndNxt + 65_535 + ((context.random() >>> 0) % 65_535)) | 0;
    return iss === 0 ? 1 : iss;
  }

  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return verdict(KEEP, request.boundPort ? Reason['reopen-in-use'] : Reason['reopen-refused']);
  }
}

/** tcp_segment_check_paws; after 24 days it believes the segment. */
function vppPaws(record: RecordFacts, segment: Segment, now: number): boolean {
  if (!record.hasTimestamp || !segment.hasTimestamp) return false;
  if (((segment.tsVal - record.tsRecent) | 0) >= 0) return false;
  return (now - record.tsRecentAt) >>> 0 < VPP_PAWS_IDLE;
}

export const lwip = new Lwip();
export const gvisor = new Gvisor();
export const smoltcp = new Smoltcp();
export const vpp = new Vpp();
