/**
 * The transmission control block of one connection. Field names are those of
 * RFC 9293 3.3.1; all sequence numbers, timestamps and times are int32 serial
 * numbers, every field starts as a number so that one hidden class serves all.
 *
 * Memory: the object itself, queues only when bytes wait in them. Bounds: send
 * queue by `sndLimit`, receive queue and reassembly by `rcvLimit` (the window is
 * never offered beyond it), ranges by the context's configuration.
 */
import { formatWords } from '../wire/address.js';
import { AckPace } from './ack-pace.js';
import { Chrono } from './chrono.js';
import type { Codepoints } from './codepoints.js';
import type { CongestionControl } from './congestion/control.js';
import { NewReno } from './congestion/reno.js';
import { DeliveryRate } from './delivery.js';
import { WINDOW_RFC } from './dialect.js';
import type { ConnectionError } from './events.js';
import type { HeldFins } from './held-fins.js';
import type { PathSearch, PathSizes } from './path-sizes.js';
import type { ProvokedAcks } from './provoked-acks.js';
import { ReceiveQueue } from './receive-queue.js';
import type { ReceiverRtt } from './receiver-rtt.js';
import type { Reassembly } from './reassembly.js';
import type { Reordering } from './reordering.js';
import { NO_REPAIRS } from './repairs.js';
import { RttEstimator } from './rto.js';
import { SendQueue } from './send-queue.js';
import type { Sent } from './sent.js';
import type { Stamps } from './stamps.js';
import { CLOSED, stateNames } from './state.js';
import { NOT_TWICE } from './twice.js';
import { NO_CHOICE } from './user-options.js';
import type { Writes } from './writes.js';

/** Timers of a connection: indexes of `deadlines`, bits of `armed`. */
export const T_REXMT = 0;
export const T_DELACK = 1;
export const T_PERSIST = 2;
export const T_KEEP = 3;
export const T_FIN_WAIT_2 = 4;
export const T_USER = 5;
/** New data waits for this one (R3168-13). */
export const T_HOLD = 6;
/** The next burst may leave (pacing.ts). */
export const T_PACE = 7;
/** close() waits no longer than this. */
export const T_LINGER = 8;
/** Duplicate ACKs that were held back become one (ack.ts duplicateOwed). */
export const T_COMPRESS = 9;

/** `lingering`: nobody waits in close(), somebody does, the time is over. */
export const LINGER_NOT = 0;
export const LINGER_WAITS = 1;
export const LINGER_EXPIRED = 2;

/** What T_REXMT is armed for: they exclude each other (R8985-19). */
export const K_RTO = 0;
export const K_PROBE = 1;
export const K_REORDER = 2;

/** `recovery`: what the sender believes about the network. */
export const OPEN = 0;
export const RECOVERY = 1;
export const LOSS = 2;

/** One for all connections that have not started to send: nobody writes to it. */
export const NOT_STARTED = new NewReno();

export class Tcb {
  readonly kind = 'connection' as const;
  /** Index in the stack's pool, -1 once it is gone. */
  id = -1;
  serial = 0;
  state = CLOSED;
  /** Last eight states, four bits each, the newest lowest. */
  history = 0;
  error: ConnectionError | null = null;
  softError: ConnectionError | null = null;
  events = 0;
  user: unknown = null;
  /** The listener that this connection came from, as the stack keeps it. */
  owner: unknown = null;

  // The tuple
  local0 = 0;
  local1 = 0;
  local2 = 0;
  local3 = 0;
  remote0 = 0;
  remote1 = 0;
  remote2 = 0;
  remote3 = 0;
  localPort = 0;
  remotePort = 0;
  version = 4;
  /** In SYN-RECEIVED on behalf of a listener, counted there. */
  halfOpen = false;
  /** The user's handle is void: close() or abort() was called. */
  released = false;
  /** Counted among the stack's orphans. */
  orphan = false;
  /** TIME-WAIT record that this connection replaced, to go back to (RFC 1122 4.2.2.13 (2)); kept by the stack. */
  revert: unknown = null;
  /** Its neighbours among the connections of its local port; kept by the stack. */
  beforeOnPort: Tcb | null = null;
  behindOnPort: Tcb | null = null;
  /** The next one in its listener's accept queue; kept by the stack. */
  behindInQueue: Tcb | null = null;
  /** Flow hash, kept so that removal needs no second hashing. */
  hash = 0;

  // Send sequence variables
  sndUna = 0;
  /** One past the highest sequence number ever sent. */
  sndNxt = 0;
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  iss = 0;
  synAcked = false;
  /** MAX.SND.WND of RFC 5961 5.2. */
  maxSndWnd = 0;

  /** SND.UP, the octet behind the urgent ones, valid while `sndUrgent`. */
  sndUp = 0;
  sndUrgent = false;

  // Receive sequence variables
  rcvNxt = 0;
  /** Right edge offered: RCV.NXT + RCV.WND, never moved left. */
  rcvAdv = 0;
  irs = 0;
  /** RCV.UP, valid while `urgent`. */
  rcvUp = 0;
  urgent = false;
  /** The peer's FINs ahead of a hole; null: none. */
  fins: HeldFins | null = null;
  /** RCV.NXT has passed the peer's FIN. */
  peerClosed = false;

  // Options
  /** Both SYNs carried Window Scale (R7323-3); until then both shifts in use are 0. */
  wscaleOk = false;
  ownWscale = 0;
  sndWscale = 0;
  rcvWscale = 0;
  tsEnabled = false;
  tsRecent = 0;
  tsRecentAt = 0;
  /** Added to the clock to make TSval (RFC 7323 5.4). */
  tsOffset = 0;
  /** Value of knob net.ipv4.tcp_timestamp_offset that it was made by; kept by the stack. */
  offsetKind = 0;
  lastAckSent = 0;
  sackEnabled = false;
  // User timeout option (RFC 5482), s: what the peer advertised; ours goes out with the next segment while `utoOwed`
  remoteUto = 0;
  utoOwed = false;
  // ECN (RFC 3168)
  /** Offered by our SYN; then agreed on by both. */
  ecn = false;
  /** A packet came with ECT or CE. */
  ecnSeen = false;
  /** What came with a codepoint; null: nothing did. */
  codepoints: Codepoints | null = null;
  /** ACKs carry ECE until CWR arrives. */
  ecnEcho = false;
  /** The next new data carries CWR. */
  cwrOwed = false;
  /** The segment in hand says that a mark was seen. */
  marked = false;
  /** The window shrinks because of a mark until something beyond `reducedEnd` is acknowledged; it ends at `reduceTo` bytes. */
  reducing = false;
  reducedEnd = 0;
  reduceTo = 0;

  // Fast Open (RFC 7413)
  /** What the option of our next SYN or SYN,ACK carries: empty asks for a cookie, null: no option. */
  cookie: Uint8Array | null = null;
  /** The option goes out in its experimental form. */
  cookieExperiment = false;
  /** Our first SYN had the option or text: the SYN,ACK is read for what became of them. */
  fastOpen = false;
  /** Bytes that our first SYN may carry, and did carry. */
  synRoom = 0;
  synText = 0;
  /** When our first SYN went out; the last one at `lastSentAt`. */
  synSentAt = 0;
  /** Text on the SYN was taken: ours by the peer, the peer's by us. */
  synTextTaken = false;
  /** The connection was made by a SYN with a valid cookie; why ours came to nothing: FAST_OPEN_. */
  fastOpenChild = false;
  fastOpenFailure = 0;
  /** The listener that let text flow in SYN-RECEIVED, before the handshake is over; kept by the stack. */
  earlyFrom: unknown = null;

  // Sizes, bytes
  /** SendMSS: what the peer's MSS option said. */
  peerMss = 536;
  /** What our MSS option says. */
  advMss = 536;
  pathMtu = 1500;
  /** When a lower path MTU that was learnt has grown old. */
  pathUntil = 0;
  /** What was found out about the sizes that pass: null before the first full-sized packet, the first report. */
  sizes: PathSizes | null = null;
  /** The search for the path MTU (RFC 4821); null: there is none. */
  search: PathSearch | null = null;
  /** Payload of a full-sized segment now: min(peerMss, path) less options (R6691-3). */
  mss = 536;
  /** Largest segment received: the RMSS estimate for ACKs. */
  rcvMss = 536;
  sndLimit = 0;
  /** Bytes of this connection in the stack's memory account. */
  charged = 0;
  rcvLimit = 0;
  /** Largest window offered so far, where it opens step by step; TCP_WINDOW_CLAMP, or what field and buffer allow. */
  rcvOffer = 0x7fffffff;
  windowClamp = 0x7fffffff;
  // Auto-tuning: the receiver's round trip, null or 0 while unknown, and what the user read in the last one
  receiverRtt: ReceiverRtt | null = null;
  space = 0;
  spaceSeq = 0;
  spaceAt = 0;
  /** Dialect.window */
  windowRule: number = WINDOW_RFC;

  // Queues
  readonly sendQueue = new SendQueue();
  readonly receiveQueue = new ReceiveQueue();
  /** Data that came twice (RFC 2883). */
  twice = NOT_TWICE;
  reassembly: Reassembly | null = null;
  /** What is in flight; made with the first data. */
  sent: Sent | null = null;
  /** Where writes, bursts and records end; null while nothing asks for it. */
  writes: Writes | null = null;
  /** Only where the user asked when writes are sent and acknowledged. */
  stamps: Stamps | null = null;

  // Sending
  /** Its window is 0 until sending starts. */
  congestion: CongestionControl = NOT_STARTED;
  readonly rtt = new RttEstimator();
  recovery = OPEN;
  /** Recovery ends when this is acknowledged (RFC 6582 recover). */
  recover = 0;
  dupAcks = 0;
  /** Bytes that limited transmit let out: no part of FlightSize (R5681-25). */
  limitedBytes = 0;
  /** validation.ts: flight in the window of data that ends at `windowEnd`, and whether cwnd was the limit. */
  maxFlight = 0;
  cwndLimited = false;
  windowEnd = 0;
  /** Most of cwnd in use since it was the limit last, and when that was. */
  windowUsed = 0;
  windowUsedAt = 0;
  /** Where the segment ended that was resent before in this turn, valid while `resending`. */
  resentTo = 0;
  resending = false;
  /** Duplicates that the last advance of SND.UNA ended. */
  dupAcksEnded = 0;
  /** Proportional rate reduction (RFC 6937 3): prr_delivered, prr_out, RecoverFS, bytes. */
  prrDelivered = 0;
  prrOut = 0;
  recoverFs = 0;
  /** When ssthresh was reduced last. */
  reducedAt = 0;
  /** RescueRxt of RFC 6675 4, valid while `rescued`. */
  rescued = false;
  // RACK (RFC 8985 5.2)
  rackValid = false;
  rackTurn = 0;
  rackEnd = 0;
  rackRtt = 0;
  /** Smallest RTT of this window and of the one before, ms; -1 unknown. */
  minRttNow = -1;
  minRttBefore = -1;
  minRttAt = 0;
  /** The largest extent of reordering, segments; what else is known of it, null: nothing. */
  reordering = 3;
  reorder: Reordering | null = null;
  /** ms until the reordering timer, 0 none. */
  reoWait = 0;
  /** Tail loss probe (RFC 8985 7.1). */
  tlpOwed = false;
  tlpOut = false;
  tlpResent = false;
  tlpEnd = 0;
  tlpSampled = true;
  /** From when on the probe timeout counts. */
  probeFrom = 0;
  /** Deadline of the RTO proper, and what T_REXMT stands for now: K_RTO, K_PROBE, K_REORDER. */
  rtoAt = 0;
  rexmtKind = 0;
  // Undoing a reduction that proves wrong
  undoable = false;
  undoUna = 0;
  /** Bytes resent in this episode and not reported as duplicates. */
  undoResent = 0;
  /** When something was resent first in this episode, valid while `resentOnce`. */
  resentAt = 0;
  resentOnce = false;
  /** A timeout out of the blue: data that arrives without being resent proves it wrong (RFC 5682). */
  frto = false;
  /** D-SACKed bytes of the segment in hand. */
  dsacked = 0;
  /** NewReno without SACK: cwnd is inflated by this many bytes (R5681-26, -27). */
  inflation = 0;
  /** Partial acknowledgments of this recovery, without SACK (R6582-6). */
  partialAcks = 0;
  /** Pacing: when the next burst is planned, ms and microseconds; where the burst in hand ends. */
  paceAt = 0;
  paceMicros = 0;
  pacedTo = 0;
  /** One RTT sample runs: acknowledgment at or above `rttSeq` ends it. */
  rttSeq = 0;
  rttAt = 0;
  rttRunning = false;
  /** Retransmissions in a row of the oldest segment; SYNs resent. */
  retries = 0;
  /** Window probes without any answer. */
  probes = 0;
  probeBackoff = 0;
  keepProbes = 0;
  lastSentAt = 0;
  lastHeardAt = 0;
  /** When the oldest unacknowledged data made progress last. */
  progressAt = 0;

  /** ACKs that an outsider provoked; null: none so far. */
  provoked: ProvokedAcks | null = null;

  // What is owed
  ackNow = false;
  readonly pace = new AckPace();
  /** Duplicate ACKs still to send, one for each segment that came out of order (R5681-19). */
  dupAcksOwed = 0;
  probeOwed = false;
  keepOwed = false;
  /** Resend what is at SND.UNA whatever the window says. */
  rexmtOwed = false;
  synOwed = false;
  /** Silly-window override (RFC 9293 3.8.6.2.1 (4)). */
  forceSend = false;
  inReady = false;
  inEvents = false;

  // The user
  active = false;
  /** LAST-ACK ended as it should: our FIN was acknowledged. */
  finished = false;
  /** Who holds TIME-WAIT: 0 who closes first, 1 we, 2 the peer (agreed on by option). */
  holder = 0;
  /** shutdown(): a FIN follows what is queued. */
  finQueued = false;
  finSent = false;
  /** close(): nobody reads any more. */
  userClosed = false;
  /** The user read on behind the last byte: it knows of the peer's FIN. */
  endRead = false;
  /** A second FIN that counted waits to be read, as text would (Linux's receive queue). */
  secondFin = false;
  /** An orphan that stays a connection in FIN-WAIT-2 (Dialect.finAckConsumes). */
  orphanKept = false;
  /** send() was told to wait. */
  sendBlocked = false;
  options = NO_CHOICE;
  tos = 0;
  /** The last write said that more follows; what is held goes at once (TCP_NODELAY was set, the cork pulled). */
  moreFollows = false;
  pushOwed = false;
  /** Sequence numbers: the end of the burst that is being sent, of the last small segment (Snd.sml), of what was pushed last. */
  burstEnd = 0;
  sndSmall = 0;
  pushedTo = 0;
  lingering = LINGER_NOT;
  boundPort = false;
  reuseAddress = false;
  reusePort = false;
  /** TCP_DEFER_ACCEPT: timeouts of our SYN,ACK before a bare ACK counts, 0 none; such an ACK came and did not. */
  deferRounds = 0;
  handshakeAcked = false;
  /** TCP_SYNCNT: SYNs resent at most, 0: the stack's knob. */
  synRetries = 0;

  // Counters for tcpInfo. -0 makes a field a double from the start: one that becomes it, at 2 GiB, gives every
  // connection another hidden class, and all functions that have seen one are compiled anew.
  bytesAcked = -0;
  bytesReceived = -0;
  segsIn = 0;
  segsOut = 0;
  bytesSent = -0;
  dataSegsOut = 0;
  dataSegsIn = 0;
  readonly rate = new DeliveryRate();
  repairs = NO_REPAIRS;
  readonly chrono = new Chrono();
  /** SND.NXT when the send buffer was last looked at as what holds the sender up. */
  limitsNoted = 0;

  // Timers
  /** A plain array: a typed one takes twice as long to make and twice the memory (measured). */
  readonly deadlines = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  armed = 0;

  get stateName(): string {
    return stateNames[this.state]!;
  }

  get local(): { address: string; port: number; family: 4 | 6 } {
    return {
      address: formatWords(this.local0, this.local1, this.local2, this.local3),
      port: this.localPort,
      family: this.version === 4 ? 4 : 6,
    };
  }

  get remote(): { address: string; port: number; family: 4 | 6 } {
    return {
      address: formatWords(this.remote0, this.remote1, this.remote2, this.remote3),
      port: this.remotePort,
      family: this.version === 4 ? 4 : 6,
    };
  }

  get readable(): number {
    return this.receiveQueue.length;
  }

  /** Octets between the user and RCV.UP (MUST-33). */
  get urgentLeft(): number {
    if (!this.urgent) return 0;
    const unread = (this.rcvNxt - this.receiveQueue.length - (this.peerClosed ? 1 : 0)) | 0;
    const left = (this.rcvUp - unread) | 0;
    return left > 0 ? left : 0;
  }

  get queued(): number {
    return this.sendQueue.length;
  }

  get unsent(): number {
    const unsent = (this.queueEnd - this.sndNxt) | 0;
    return unsent > 0 ? unsent : 0;
  }

  get writable(): boolean {
    return this.sendQueue.length < this.sndLimit;
  }

  get lingerExpired(): boolean {
    return this.lingering === LINGER_EXPIRED;
  }

  takeEvents(): number {
    const events = this.events;
    this.events = 0;
    return events;
  }

  /** RCV.WND as last offered. */
  get rcvWnd(): number {
    const window = (this.rcvAdv - this.rcvNxt) | 0;
    return window > 0 ? window : 0;
  }

  /** SND.NXT - SND.UNA: FlightSize with SYN and FIN counted. */
  get flight(): number {
    return (this.sndNxt - this.sndUna) | 0;
  }

  /** Bytes believed to be in the network (RFC 6675 4 SetPipe). */
  get pipe(): number {
    return this.sent === null ? this.flight : this.sent.pipe;
  }

  /** The same as `flight` without our SYN. */
  get outstanding(): number {
    return (this.sndNxt - this.queueSeq) | 0;
  }

  /** Sequence number of the first queued byte: SND.UNA, one later while our SYN is unacknowledged. */
  get queueSeq(): number {
    return this.synAcked ? this.sndUna : (this.sndUna + 1) | 0;
  }

  /** Sequence number behind the last queued byte; our FIN takes this one. */
  get queueEnd(): number {
    return (this.queueSeq + this.sendQueue.length) | 0;
  }

  /** Our FIN was sent and acknowledged. */
  get finAcked(): boolean {
    return this.finSent && this.sndUna === this.sndNxt;
  }

  arm(timer: number, deadline: number): void {
    this.deadlines[timer] = deadline;
    this.armed |= 1 << timer;
  }

  disarm(timer: number): void {
    this.armed &= ~(1 << timer);
  }

  isArmed(timer: number): boolean {
    return (this.armed & (1 << timer)) !== 0;
  }

  moveTo(state: number): void {
    this.state = state;
    this.history = (this.history << 4) | state;
  }
}
