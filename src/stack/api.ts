/**
 * What a driver sees of the engine: the sans-I/O contract of `Stack`.
 *
 * One turn:
 *   1. `receive(...)` for each packet; store the returned reason beside the packet;
 *   2. `advance(now)` runs the timers that are due;
 *   3. `poll()` until null: each returned object has events to take;
 *   4. user calls: `send`, `read`, `shutdown`, `close`, `abort`, `connect`, `listen`, `accept`;
 *   5. `output(now)` fills `tx`; hand it to the link; repeat while it returned a count;
 *   6. sleep until `nextDeadline(now)`.
 * `now` is a millisecond clock as int32 serial number.
 */
import type { PacketRing } from '../wire/ring.js';
import type { Counters } from '../mib.js';
import type { ReasonId } from '../reasons.js';
import type { Stamp } from '../tcp/stamps.js';
import type { Policy } from '../timewait/policy.js';

/** Why a user call was refused, as the errno names users know. */
export type Errno =
  | 'EADDRINUSE'
  | 'EADDRNOTAVAIL'
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'ECONNABORTED'
  | 'ETIMEDOUT'
  | 'EHOSTUNREACH'
  | 'ENETUNREACH'
  | 'EPIPE'
  | 'EINVAL'
  | 'EISCONN'
  | 'EALREADY'
  | 'ENOTCONN'
  | 'EMFILE'
  | 'EMSGSIZE'
  | 'EPROTO'
  | 'EACCES'
  | 'ENOBUFS';

/** Bits of `ConnectionHandle.takeEvents()`. The handle is released after EV_CLOSED. */
export * from '../tcp/events.js';
/** Values of the knob `timewait_dialect`. */
export { DIALECT_FREEBSD } from '../tcp/dialect.js';
export { congestionNames, congestionNumber } from '../tcp/congestion/choice.js';
export { roundsOf, secondsOf } from '../tcp/defer-accept.js';
export { SEND_BUFFER_MIN } from '../tcp/buffers.js';
export { SEND_LENT, SEND_MORE, SEND_RECORD, SEND_URGENT } from '../tcp/send.js';
export { STAMP_ACKED, STAMP_SCHEDULED, STAMP_SENT, type Stamp } from '../tcp/stamps.js';

export interface Endpoint {
  /** Textual address, no brackets, no zone. */
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

export interface ListenOptions {
  /** Textual address; '0.0.0.0', '::' or undefined for any ('::' and undefined take both versions unless v6Only). */
  readonly address?: string;
  /** 0 picks an ephemeral port. */
  readonly port: number;
  /** Accept queue; the SYN queue is bounded by knob tcp_max_syn_backlog. Default 511. */
  readonly backlog?: number;
  readonly reuseAddress?: boolean;
  /**
   * SO_REUSEPORT: shares address and port with others that have it, who get connections by a keyed hash of
   * the four-tuple. Linux asks for the same effective user besides; a stack has one user.
   */
  readonly reusePort?: boolean;
  readonly exclusive?: boolean;
  readonly v6Only?: boolean;
  /** TCP Fast Open: requests with text on the SYN that may be pending at once; 0 off (knob net.ipv4.tcp_fastopen). */
  readonly fastOpen?: number;
  /** TCP_DEFER_ACCEPT: a connection is accepted once text came, or after so many s, rounded up to timeouts of the SYN,ACK; 0 off. */
  readonly deferAccept?: number;
  /** TCP_MAXSEG of the connections to come; 0 or absent: none. */
  readonly maxSegment?: number;
  /** TCP_WINDOW_CLAMP of the connections to come, bytes; 0 or absent: none. */
  readonly windowClamp?: number;
  /** TCP_SYNCNT: SYN,ACKs resent at most, instead of knob net.ipv4.tcp_synack_retries. */
  readonly synRetries?: number;
}

/** What may be changed of a listener later, as in ListenOptions. */
export type ListenerOption = 'fastOpen' | 'deferAccept' | 'synRetries' | 'windowClamp';

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  readonly localAddress?: string;
  /** Explicit local port: counts as a bind (matters for TIME-WAIT reuse). */
  readonly localPort?: number;
  readonly reuseAddress?: boolean;
  readonly reusePort?: boolean;
  /** TCP_MAXSEG: what the MSS option says and segments carry, at most; 0 or absent: no limit. */
  readonly maxSegment?: number;
  /** TCP_WINDOW_CLAMP: bytes of the largest window offered, which the shift on the SYN is chosen for; 0 or absent: no limit. */
  readonly windowClamp?: number;
  /** Overrides of the stack's knobs for this connection. */
  readonly timestamps?: boolean;
  /**
   * TCP Fast Open: the SYN asks for a cookie, or carries it and what is sent before the
   * next `output`, as far as it has room (`fastOpenRoom`). 'wait': where a cookie is known
   * the SYN waits for the first `send`.
   */
  readonly fastOpen?: boolean | 'wait';
  /** SYNs resent at most, instead of knob net.ipv4.tcp_syn_retries. */
  readonly synRetries?: number;
  /** As ConnectionOption has it. */
  readonly deferAccept?: number;
}

/**
 * Switches are 0 or 1. `cork` holds what fills no segment, for 200 ms and more at most; `quickAck`: ack.ts
 * setQuickAck; `keepAlive` ms idle, 0 off; `keepInterval` ms, `keepCount` and
 * `congestion` (an index of congestionNames): 0, 0, -1 the stack's; `linger`: close() -1 leaves what is
 * still to be sent to the engine, 0 aborts, else waits for so many s; `userTimeout` ms, 0 the stack's, -1 none
 * and no limit of retransmissions; `errorReports` 0: no EV_SOFT_ERROR;
 * `deferAccept` s (a client's handshake ends with an ACK that waits for the first text); `notsentLowat`, `sendBuffer`
 * bytes; `windowClamp` bytes of the largest window offered from now on; `maxPacingRate` bytes a second, Infinity none: from the first one on segments are paced; `stamps` STAMP_ bits:
 * what `takeStamp` is to tell of writes from here on.
 */
export type ConnectionOption =
  | 'noDelay'
  | 'cork'
  | 'quickAck'
  | 'keepAlive'
  | 'keepInterval'
  | 'keepCount'
  | 'congestion'
  | 'linger'
  | 'userTimeout'
  | 'synRetries'
  | 'deferAccept'
  | 'errorReports'
  | 'tos'
  | 'notsentLowat'
  | 'maxPacingRate'
  | 'sendBuffer'
  | 'stamps'
  | 'receiveBuffer'
  | 'windowClamp';

/** One live connection as its user holds it. */
export interface ConnectionHandle {
  readonly kind: 'connection';
  /** Number for traces, unique within the stack's life. */
  readonly serial: number;
  /** RFC name of the state: 'ESTABLISHED'. */
  readonly stateName: string;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Errno that ended the connection, or null. */
  readonly error: Errno | null;
  readonly softError: Errno | null;
  /** EV_LINGERED came because the time was over. */
  readonly lingerExpired: boolean;
  /** Bytes that can be read now. */
  readonly readable: number;
  /** The peer's FIN is behind the data on hand, or has been read past. */
  readonly peerClosed: boolean;
  /** Octets to read up to the end of what the peer calls urgent (MUST-33); 0 when none is. */
  readonly urgentLeft: number;
  /** Bytes accepted by send() and not yet acknowledged. */
  readonly queued: number;
  /** Of those, bytes that were not sent yet. */
  readonly unsent: number;
  /** Bytes that may be queued: the send buffer as it is now. */
  readonly sndLimit: number;
  /** send() would still take bytes: queued < limit. */
  readonly writable: boolean;
  /** Free for the user: the driver keeps its own object here. */
  user: unknown;
  takeEvents(): number;
}

export interface ListenerHandle {
  readonly kind: 'listener';
  readonly local: Endpoint;
  /** Connections waiting in the accept queue. */
  readonly waiting: number;
  /** TCP_MAXSEG of the connections to come, 0: none. */
  maxSegment: number;
  user: unknown;
}

export type Pollable = ConnectionHandle | ListenerHandle;

/** tcp_info in Linux's field names where they exist; times in ms, windows in bytes. */
export interface TcpInfo {
  readonly state: string;
  readonly congestion: string;
  readonly caState: string;
  readonly rto: number;
  readonly srtt: number;
  readonly rttvar: number;
  readonly sndCwnd: number;
  readonly sndSsthresh: number;
  readonly sndMss: number;
  readonly rcvMss: number;
  readonly advMss: number;
  readonly pmtu: number;
  readonly sndWnd: number;
  readonly rcvWnd: number;
  /** Bytes: the largest window that is offered by now, and may ever be; what the user reads in a round trip, and how long that is, ms, 0 unknown. */
  readonly rcvOffer: number;
  readonly windowClamp: number;
  readonly rcvSpace: number;
  readonly rcvRtt: number;
  /** Both ends scale windows (RFC 7323). */
  readonly scaling: boolean;
  readonly sndWscale: number;
  readonly rcvWscale: number;
  readonly timestamps: boolean;
  readonly sack: boolean;
  /** Agreed on by both ends; a packet came with ECT or CE. */
  readonly ecn: boolean;
  readonly ecnSeen: boolean;
  /** Segments with CE; bytes of text by codepoint. */
  readonly received: {
    readonly marked: number;
    readonly ect1: number;
    readonly ect0: number;
    readonly ce: number;
  };
  /** Text on the SYN was taken (TCPI_OPT_SYN_DATA). */
  readonly synData: boolean;
  /** A SYN with a valid cookie made the connection; why our own Fast Open came to nothing: 1 no cookie, 2 text not acknowledged, 3 SYN resent. */
  readonly fastOpenChild: boolean;
  readonly fastOpenFailure: number;
  readonly unacked: number;
  /** Segments in flight, SYN and FIN counted; duplicate ACKs in a row. */
  readonly inFlight: number;
  readonly dupAcks: number;
  /** Bytes selectively acknowledged, believed lost (resent or not), resent and not heard of since. */
  readonly sacked: number;
  readonly lost: number;
  readonly resent: number;
  /** Largest reordering seen, segments, and how often there was some. */
  readonly reordering: number;
  readonly reorderings: number;
  /** ms, 0 unknown. */
  readonly minRtt: number;
  readonly retrans: number;
  readonly totalRetrans: number;
  readonly backoff: number;
  /** As Linux counts: the FINs, too, and the SYN of an active opener. */
  readonly bytesAcked: number;
  readonly bytesReceived: number;
  readonly segsIn: number;
  readonly segsOut: number;
  /** Bytes written and not sent, a FIN counted as Linux does; of the send buffer in use, and its limit. */
  readonly notsent: number;
  readonly sndMemory: number;
  readonly sndBuffer: number;
  /** ms since data was sent, data and an ACK were received last. */
  readonly lastDataSent: number;
  readonly lastDataRecv: number;
  readonly lastAckRecv: number;
  /** ms with something to send; of these held up by the peer's window, by the send buffer. */
  readonly busy: number;
  readonly windowLimited: number;
  readonly bufferLimited: number;
  readonly bytesSent: number;
  readonly bytesRetrans: number;
  readonly dataSegsIn: number;
  readonly dataSegsOut: number;
  /** Segments that were acknowledged, our SYN counted; of these by ACKs that echoed a congestion mark. */
  readonly delivered: number;
  readonly deliveredCe: number;
  /** Bytes a second that the path carried lately, 0 unknown; less was there to send than it could carry. */
  readonly deliveryRate: number;
  readonly deliveryLimited: boolean;
  readonly dsacks: number;
  /** Segments that came ahead of a hole. */
  readonly oooSegments: number;
  readonly timeouts: number;
  /** Runs of retransmission timeouts, and ms until something got through again. */
  readonly timeoutRuns: number;
  readonly timeoutTime: number;
  /** Window probes and keep-alive probes without an answer. */
  readonly probes: number;
  /** Bytes a second, Infinity before the first measurement or without a limit. */
  readonly pacingRate: number;
  readonly maxPacingRate: number;
  /** ms that ACKs are delayed now. */
  readonly ackDelay: number;
  /** ACKs wait for replies to carry them. */
  readonly interactive: boolean;
}

/** One drop, answer or acceptance off the plain path. Kept in a bounded log when tracing is on. */
export interface Decision {
  readonly time: number;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly reason: ReasonId;
  /** The state it met: 'TIME-WAIT', 'LISTEN', 'ESTABLISHED'. */
  readonly state: string;
  /** The segment in one line of notation, '' when no segment caused it. */
  readonly segment: string;
}

/** What there is to know of a connection that has ended, to put it into TIME-WAIT from outside (labs, captures). */
export interface TimeWaitEntry {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** SND.NXT and RCV.NXT, both FINs counted: int32. */
  readonly sndNxt: number;
  readonly rcvNxt: number;
  /** Receive window, bytes, and the shift it is announced with. */
  readonly rcvWnd: number;
  readonly rcvWscale: number;
  /** null: none were in use. TS.Recent, when it was stored (int32 ms), what is added to the clock for TSval. */
  readonly timestamps: {
    readonly recent: number;
    readonly recentAt: number;
    readonly offset: number;
  } | null;
  /** ms. */
  readonly rto: number;
  /** The local end opened the connection. */
  readonly active: boolean;
  /** The peer is on the same machine. */
  readonly localPeer: boolean;
}

export interface StateChange {
  readonly time: number;
  readonly connection: ConnectionHandle;
  readonly from: string;
  readonly to: string;
}

/** One row of `ss`: live connections, listeners, half-open ones and TIME-WAIT records alike. */
export interface SocketRow {
  /** RFC state name. */
  readonly state: string;
  readonly local: Endpoint;
  readonly remote: Endpoint | null;
  readonly recvQ: number;
  readonly sendQ: number;
  /** Running timer: 'on' retransmit, 'keepalive', 'timewait', 'persist', '' none. */
  readonly timer: string;
  /** ms until it fires. */
  readonly timerLeft: number;
  readonly retransmits: number;
}

/** Words of both addresses, IPv4 mapped, and both ports. */
export type OwnsTuple = (
  l0: number,
  l1: number,
  l2: number,
  l3: number,
  r0: number,
  r1: number,
  r2: number,
  r3: number,
  localPort: number,
  remotePort: number,
) => boolean;

export interface StackOptions {
  /** 32 secret bytes: keys of the flow hash, ISNs, ports, timestamp offsets. Same seed, same run. */
  readonly seed: Uint8Array;
  /** Textual addresses with prefix length ('10.77.0.2/24', 'fd77::2/64'). */
  readonly addresses: readonly string[];
  readonly mtu: number;
  /** int32 ms. */
  readonly now: number;
  readonly txSlots?: number;
  /** The link takes packets of several segments and finishes checksums (Link.offload). Default false. */
  readonly offload?: boolean;
  /** The link gathers text from where it lies (Link.gathers); wants `offload`. Default false. */
  readonly gather?: boolean;
  /** Memory for received text and for what is to be sent; whatever is in it is overwritten. Default: `new Uint8Array(size)`. */
  readonly allocate?: (size: number) => Uint8Array;
  /** What gives memory of the tables back to the system, its words 0 afterwards. Default: V8 collects it. */
  readonly discard?: (block: Int32Array) => void;
  /**
   * 32 secret bytes more, for what several engines of one host must show alike: ISNs, timestamp offsets and
   * the cookies of Fast Open, which peers remember by host. Default: `seed`.
   */
  readonly hostSeed?: Uint8Array;
  /**
   * Whether packets of a connection would come to this engine, for hosts of several engines: connect() takes
   * no port of another's, and refuses one that was asked for with EADDRNOTAVAIL. Default: all come.
   */
  readonly owns?: OwnsTuple;
  /** Ports that no connect() is given, for services to come (R6056-3; Linux net.ipv4.ip_local_reserved_ports). */
  readonly reservedPorts?: readonly number[];
}

/** The face of `class Stack` that net, cli and the simulator use. */
export interface StackApi {
  readonly tx: PacketRing;
  readonly counters: Counters;
  /** How often each reason was given, by number of `Reason`. */
  readonly reasonCounts: Float64Array;
  readonly policyName: string;
  /** Knobs set by hand that contradict each other or the policy: one line each, what will happen. */
  warnings(): string[];
  /** Live connections whose user has let go. */
  readonly orphans: number;

  /**
   * Of packets from here on the text stays where it is until `settle`: they must not change before. For
   * who has their users told in between: what they `peek` at and `consume` then is never copied.
   */
  borrow(): void;
  /** What was not read is copied: the memory of the packets may be used again. */
  settle(): void;
  /** One packet; `offload` as in PacketRing. Returns the reason's number, 0: the plain path. */
  receive(bytes: Uint8Array, offset: number, length: number, now: number, offload?: number): number;
  /**
   * Timers that are due. At most `expiries` of connections run and as many TIME-WAIT records go, so that one turn does not
   * have to do what a pause, or a flood a second ago, has left; then `nextDeadline` is 0. To whoever asks all records
   * are gone in their millisecond all the same.
   */
  advance(now: number, expiries?: number): void;
  output(now: number): number;
  /** ms until `advance` has something to do, 0 when overdue, -1 when no timer runs. */
  nextDeadline(now: number): number;
  poll(): Pollable | null;

  listen(options: ListenOptions): ListenerHandle | Errno;
  /** Next connection of the accept queue. */
  accept(listener: ListenerHandle): ConnectionHandle | null;
  /** Stops listening; connections in its queues are reset, or go to another of its group (knob net.ipv4.tcp_migrate_req). */
  closeListener(listener: ListenerHandle): void;
  connect(options: ConnectOptions): ConnectionHandle | Errno;
  /**
   * Takes all of the bytes or refuses with EPIPE/ENOTCONN; true while more may follow, false: wait for
   * EV_WRITABLE. They are copied, unless `flags` has SEND_LENT: then they must not change until they are
   * acknowledged (`queued` says how many are not), or the connection has ended.
   */
  send(connection: ConnectionHandle, bytes: Uint8Array, flags?: number): boolean | Errno;
  /** What was sent with SEND_LENT and is not acknowledged is copied: it may change from here on. */
  own(connection: ConnectionHandle): void;
  /**
   * As a program's write: takes what the send buffer has room for and returns how much that was;
   * less than given: EV_WRITABLE follows. `flags`: SEND_MORE, SEND_RECORD, SEND_LENT, SEND_URGENT
   * (MUST-30; nothing new should use it, SHLD-13).
   */
  write(connection: ConnectionHandle, bytes: Uint8Array, flags?: number): number | Errno;
  /** As poll() sees it: enough of the send buffer is free to be worth a write; else EV_WRITABLE follows. */
  mayWrite(connection: ConnectionHandle): boolean;
  /** The oldest report of when a write was sent or acknowledged, its time as ms ago; null: none. */
  takeStamp(connection: ConnectionHandle): Stamp | null;
  /** Reports that `takeStamp` would give. */
  stampsWaiting(connection: ConnectionHandle): number;
  /** `poll` has something. */
  readonly hasEvents: boolean;
  /** The last urgent octet, as long as it waits unread in the receive queue; -1 otherwise. */
  urgentOctet(connection: ConnectionHandle): number;
  /** Up to `max` bytes in order, as a view that stays valid (its memory is never written again); null when nothing waits. */
  read(connection: ConnectionHandle, max?: number): Uint8Array | null;
  /** As `read`, but the view is valid only until `consume` (or `settle`), and its memory is used again: for who is done with the bytes at once. */
  peek(connection: ConnectionHandle, max?: number): Uint8Array | null;
  /** The first `count` bytes are done with, seen or not; 0: the user asked and knows that there is nothing, or the end. */
  consume(connection: ConnectionHandle, count: number): void;
  /** Half-close: FIN after what is queued. */
  shutdown(connection: ConnectionHandle): Errno | null;
  /**
   * The user lets go: FIN after what is queued; unread data or data still to come aborts (RFC 9293 SHLD-3).
   * True: no more events. False, with option `linger`: the user is to wait, and EV_LINGERED is the one event
   * that follows, once all is acknowledged, the time is over, or the connection ended; a second close() ends the wait.
   */
  close(connection: ConnectionHandle): boolean;
  /** RST, queues flushed. No more events. */
  abort(connection: ConnectionHandle): void;
  /** For SYNs from now on. */
  setListenOption(listener: ListenerHandle, option: ListenerOption, value: number): void;
  setOption(connection: ConnectionHandle, option: ConnectionOption, value: number): void;
  /** The keys of Fast Open cookies, of the stack or of one listener: 16 bytes, or 32 with the key before it. False: another length. */
  setFastOpenKeys(keys: Uint8Array, listener?: ListenerHandle): boolean;
  fastOpenKeys(listener?: ListenerHandle): Uint8Array;
  /** Bytes that the SYN of this connection will still carry: 0 without a cookie, or once it was sent. */
  fastOpenRoom(connection: ConnectionHandle): number;
  tcpInfo(connection: ConnectionHandle): TcpInfo;

  /** Knobs: an unknown name or a value out of range returns the message for the user. */
  setKnob(name: string, value: number): string | null;
  knob(name: string): number;
  /** Selects the TIME-WAIT policy now; null, or the message naming the nearest known names. */
  setPolicy(name: string): string | null;
  /**
   * A policy of the user's own, or one already found; as it is, without a guard (`guardPolicy`).
   * Records that exist keep their timers and meet the new rules. Throws a RangeError for a
   * preset that is no knob, or out of its range.
   */
  usePolicy(policy: Policy): void;

  /** Decisions and state changes are logged (bounded, oldest lost first) while tracing is on. */
  trace(on: boolean): void;
  takeDecisions(): Decision[];
  takeStateChanges(): StateChange[];
  /** All sockets; `limit` bounds the list (TIME-WAIT tables are large). */
  sockets(limit?: number): SocketRow[];
  /** Counts per RFC state name, listeners and TIME-WAIT included. */
  stateCounts(): Record<string, number>;
}
