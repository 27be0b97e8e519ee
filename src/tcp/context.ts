/**
 * What all connections of one stack share: the time of this turn, the transmit ring,
 * the timer wheel, the limits, and the two work lists. tcp/ calls nothing above it;
 * the stack reads these lists.
 */
import type { Counters } from '../mib.js';
import type { TimerWheel } from '../time/wheel.js';
import { SegmentBuilder } from '../wire/builder.js';
import type { PacketRing } from '../wire/ring.js';
import { Chunks } from './chunks.js';
import { dialects, type Dialect } from './dialect.js';
import { Loans } from './loans.js';
import type { Tcb } from './tcb.js';

/** Settings of tcp/, refreshed by the stack from its knobs. Times in ms, sizes in bytes. */
export class TcpConfig {
  /** Departures from RFC 9293 by system. */
  dialect: Dialect = dialects[0]!;
  timestamps = true;
  /** A RST in reply carries timestamps, TSval 0. */
  resetTimestamps = true;
  sack = true;
  windowScaling = true;
  /** 0 off, 1 offered and accepted, 2 accepted (net.ipv4.tcp_ecn). */
  ecn = 2;
  /** A SYN that is resent offers no ECN any more. */
  ecnFallback = true;
  /** SYNs carry the option that gives TIME-WAIT to the active opener. */
  negotiatesHolder = false;
  rtoInit = 1000;
  rtoMin = 200;
  rtoMax = 120_000;
  delack = 40;
  /** Segments that came together get one ACK. */
  acksBatches = true;
  synRetries = 7;
  /** Timeouts of a SYN in a row before the timer backs off. */
  synLinear = 0;
  synAckRetries = 5;
  /** R2 as a count (MUST-20). */
  retries = 15;
  orphanRetries = 8;
  keepIdle = 7_200_000;
  keepInterval = 75_000;
  keepProbes = 9;
  userTimeout = 0;
  /** The user timeout option is sent and heeded; s: what we adopt lies between. */
  utoEnabled = false;
  utoLeast = 100;
  utoMost = 3600;
  finTimeout = 60_000;
  challengeLimit = 10;
  challengePeriod = 5000;
  invalidRatelimit = 500;
  /** The urgent pointer names the last urgent octet (net.ipv4.tcp_stdurg). */
  urgentAtLast = false;
  maxRanges = 256;
  /** MTU of the first hop. */
  linkMtu = 1500;
  /** How long a lower path MTU is remembered, ms. */
  mtuExpires = 600_000;
  /** R1191: DF is set, and reports are heeded. */
  pathDiscovery = true;
  /** 0 off, 1 after a black hole, 2 always (net.ipv4.tcp_mtu_probing). */
  mtuProbing = 0;
  /** Payload: where the search begins, and its floor. */
  baseMss = 1024;
  probeFloor = 48;
  minMss = 48;
  /** ms between searches; the range in bytes at which one is over. */
  probeInterval = 600_000;
  probeThreshold = 8;
  /** R1 as a count: more retransmissions raise suspicion. */
  retries1 = 3;
  ttl = 64;
  /** congestion/choice.ts */
  congestion = 0;
  /** Segments of the first flight, 0: RFC 5681's bound. */
  initialWindow = 10;
  /** RFC 3465 L, segments. */
  slowStartLimit = 2;
  /** After an idle RTO: 0 nothing, 1 the restart window, 2 half per RTO. */
  idleRestart = 1;
  /** Segments by which order may differ before it means loss (Linux tcp_reordering). */
  reordering = 3;
  /** Every connection is paced; percent of cwnd in a round trip, in slow start and else. */
  pacing = false;
  pacingSlowStart = 200;
  pacingAvoidance = 120;
  /** A timeout that data never resent proves wrong is undone (RFC 5682). */
  frto = true;
  /** SACK compression: duplicate ACKs held back at most, 0 none; their delay and how much longer it may be, ms. */
  compressMost = 0;
  compressDelay = 1;
  compressSlack = 0.1;
  /** Tail loss probes (RFC 8985 7). */
  probes = true;
  /** RACK-TLP (RFC 8985) in place of RFC 6675's DupThresh. */
  rack = true;
  /** An RTO forgets what was selectively acknowledged (R2018-11). */
  forgetSack = true;
  dsack = true;
  sendBuffer = 1 << 18;
  /** How far the send buffer grows with cwnd. */
  sendBufferMax = 1 << 22;
  /** Unsent bytes from which on a connection is not writable. */
  notsentLowat = 2 ** 32 - 1;
  /** Segments of one burst at least. */
  minBurst = 2;
  receiveBuffer = 1 << 20;
  /** Up to which auto-tuning lets it grow (net.ipv4.tcp_rmem.max), when switched on; the window scale is that of the larger. */
  receiveBufferMax = 0;
  moderateReceive = true;
  /** Segments of the first window at most, 0: no bound. */
  initialOffer = 0;
  /** Bytes in all queues together (net.ipv4.tcp_mem). */
  memory = 1 << 28;
}

export class TcpContext {
  /** int32 ms. */
  now = 0;
  /** The segment being processed is to be answered with a RST (RFC 9293 3.10.7.1 form). */
  resetReply = false;
  /** Bytes in the queues of all connections, kept by `charge`. */
  memory = 0;
  /** Connections in a row on which Fast Open came to nothing but timeouts, and when the last one did. */
  blackHoles = 0;
  blackHoleAt = 0;
  readonly config = new TcpConfig();
  readonly builder = new SegmentBuilder();
  /** Memory of queues. */
  readonly chunks = new Chunks();
  /** Text that is still in the packets it came with. */
  readonly loans = new Loans();
  /** Connections that may have something to send. */
  readonly ready: Tcb[] = [];
  /** Connections with events to take. */
  readonly raised: Tcb[] = [];
  /** Connections that reached R1 (MUST-20): the stack forgets what it took their paths to be. */
  readonly doubted: Tcb[] = [];

  constructor(
    readonly counters: Counters,
    readonly tx: PacketRing,
    readonly wheel: TimerWheel,
  ) {}

  markReady(tcb: Tcb): void {
    if (tcb.inReady) return;
    tcb.inReady = true;
    this.ready.push(tcb);
  }

  /** Brings the memory account up to date after anything that may have changed the queues. */
  charge(tcb: Tcb): void {
    const bytes =
      tcb.sendQueue.length + tcb.receiveQueue.length + (tcb.reassembly === null ? 0 : tcb.reassembly.length);
    this.memory += bytes - tcb.charged;
    tcb.charged = bytes;
  }

  raise(tcb: Tcb, events: number): void {
    tcb.events |= events;
    if (tcb.inEvents) return;
    tcb.inEvents = true;
    this.raised.push(tcb);
  }
}
