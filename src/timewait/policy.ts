/**
 * The policy contract: what a system decides about TIME-WAIT, as six small pure
 * hooks and a few smaller ones beside them. A hook receives facts (the record under the cursor, the segment, the time,
 * the knobs), writes nothing, keeps nothing, and answers with a verdict. The table
 * and the stack carry the verdict out.
 *
 * A verdict is one int32, so that deciding costs no allocation:
 *
 *     bits  0..1   reply     none, ACK, RST
 *     bit   2      limited   SYNs and empty segments get one reply per record and tcp_invalid_ratelimit ms (Linux)
 *     bit   3      challenge the reply is a challenge ACK: the same limit whatever the segment (RFC 5961 7)
 *     bits  4..6   fate      keep, restart, delete, accept, become TIME-WAIT
 *     bit   7      refresh   take the segment's timestamp into the record
 *     bit   8      revert    (with accept) go back to this record if the SYN proves old: RFC 1122 4.2.2.13 (2)
 *     bits 16..30  reason    index into reasons.ts
 *
 * A constant that a module imports is read from its cell and checked at each use, one of its own is a number
 * in the compiled code. So policies and records take theirs in once: `const { KEEP } = contract` (a fifth to a
 * third of a verdict's time, measured, bench/verdict.ts).
 */
import type { Segment } from '../wire/segment.js';

export const REPLY_NONE = 0;
export const REPLY_ACK = 1;
export const REPLY_RST = 2;
const REPLY_MASK = 3;
export const LIMITED = 1 << 2;
export const CHALLENGE = 1 << 3;
/** The record and its timer stay as they are. */
export const KEEP = 0 << 4;
/** The timer starts again; how long, says the lifetime hook with `restarted` set. */
export const RESTART = 1 << 4;
/** The record is removed. */
export const DELETE = 2 << 4;
/** The record gives way: the SYN is handed to the listener, the ISS comes from `isnOnReopen`. */
export const ACCEPT = 3 << 4;
/** FIN-WAIT-2 record: the peer's FIN has come; RCV.NXT moves over it, TIME-WAIT starts. */
export const BECOME_TIME_WAIT = 4 << 4;
const FATE_MASK = 7 << 4;
export const REFRESH = 1 << 7;
export const REVERTIBLE = 1 << 8;
const REASON_SHIFT = 16;

/** Joins action bits and a reason (a number of `Reason`) to a verdict. */
export function verdict(action: number, reason: number): number {
  return action | (reason << REASON_SHIFT);
}
export function replyOf(v: number): number {
  return v & REPLY_MASK;
}
export function fateOf(v: number): number {
  return v & FATE_MASK;
}
export function reasonOf(v: number): number {
  return v >>> REASON_SHIFT;
}

/** A received segment as hooks see it; valid only during the call. */
export type SegmentFacts = Readonly<
  Pick<
    Segment,
    | 'version'
    | 'src0'
    | 'src1'
    | 'src2'
    | 'src3'
    | 'dst0'
    | 'dst1'
    | 'dst2'
    | 'dst3'
    | 'srcPort'
    | 'dstPort'
    | 'ttl'
    | 'tos'
    | 'seq'
    | 'ack'
    | 'flags'
    | 'hasSyn'
    | 'hasFin'
    | 'hasRst'
    | 'hasAck'
    | 'wnd'
    | 'urgent'
    | 'payloadLength'
    | 'length'
    | 'end'
    | 'mss'
    | 'windowScale'
    | 'sackPermitted'
    | 'holder'
    | 'hasTimestamp'
    | 'tsVal'
    | 'tsEcr'
  >
>;

/** What a record remembers; a cursor over the table's columns, valid only during the call. */
export interface RecordFacts {
  /** SND.NXT (own FIN counted), RCV.NXT (peer's FIN counted): int32. */
  readonly sndNxt: number;
  readonly rcvNxt: number;
  /** Receive window in bytes (already scaled up). */
  readonly rcvWnd: number;
  /** Timestamps were in use on the old connection (Snd.TS.OK). */
  readonly hasTimestamp: boolean;
  /** TS.Recent, and when it was stored (int32 ms). */
  readonly tsRecent: number;
  readonly tsRecentAt: number;
  /** When the record was entered (int32 ms). */
  readonly enteredAt: number;
  /** When it expires (int32 ms). */
  readonly expiresAt: number;
  /** RTO of the old connection, ms. */
  readonly rto: number;
  /** Sub-state: an orphan waiting for the peer's FIN, kept here instead of as a connection (Linux). */
  readonly finWait2: boolean;
  /** The local user had closed (true except when only the engine keeps it, kept for BSD's data-after-close rule). */
  readonly userClosed: boolean;
  /** Socket options the old socket had, for mayBind. */
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  /** The local port was chosen by an explicit bind. */
  readonly boundPort: boolean;
  /** Peer is one of our own addresses or on loopback. */
  readonly localPeer: boolean;
  /** Peer is in a subnet of ours. */
  readonly nearPeer: boolean;
  /** We opened the connection actively: the client's end. */
  readonly active: boolean;
  /** Who is to hold TIME-WAIT: HOLDER_CLOSER, or what both ends agreed on by option. */
  readonly holder: number;
  /** The policy's own word about this record (`wordOnEntry`, `wordAfter`), int32; 0 without. */
  readonly word: number;
}

/** Nothing agreed: who closes first holds TIME-WAIT. */
export const HOLDER_CLOSER = 0;
export const HOLDER_US = 1;
export const HOLDER_PEER = 2;

/** lastAck's answers: the passive closer's FIN is acknowledged. */
export const LAST_ACK_CLOSED = 0;
/** It holds TIME-WAIT itself. */
export const LAST_ACK_TIME_WAIT = 1;
/** The same, and a RST at SND.NXT removes the record of the peer. */
export const LAST_ACK_TAKE_OVER = 2;

/** What lastAck may know of the connection. */
export interface CloseFacts {
  readonly active: boolean;
  readonly holder: number;
}

/** Facts that every hook may read besides. */
export interface PolicyContext {
  /** int32 ms. */
  readonly now: number;
  /** Knob by registered name; a name nobody registered is a programmer's mistake. */
  knob(name: string): number;
  /** Somebody listens on the tuple's local address and port. */
  hasListener(): boolean;
  /** The last timestamp this remote host sent before going into TIME-WAIT. */
  readonly host: HostStamp;
  /** A random int32 of the stack's generator, for ISN rules that need one. */
  random(): number;
  /** Live connections, records not counted: for capacities that shrink as these grow (Windows NT4). */
  readonly connections: number;
}

/** One line of the per-host timestamp cache, or nothing known (`known` false). */
export interface HostStamp {
  readonly known: boolean;
  readonly tsRecent: number;
  /** int32 ms when it was stored. */
  readonly tsRecentAt: number;
}

/** mayReopen's question. */
export interface ReopenRequest {
  /** The caller bound the local port itself; otherwise the stack is searching one. */
  readonly boundPort: boolean;
  /** The new connection would use timestamps. */
  readonly timestamps: boolean;
}

/** mayBind's question. */
export interface BindRequest {
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  readonly exclusive: boolean;
  /** The record's local address equals the one asked for, or either is the wildcard. */
  readonly addressOverlaps: boolean;
}

/** onPressure's answers. */
export const PRESSURE_SKIP = 0;
export const PRESSURE_EVICT_OLDEST = 1;

export interface Policy {
  /** Name on the command line: `rfc9293`. */
  readonly name: string;
  /** Other names it answers to. */
  readonly aliases: readonly string[];
  /** One line for lists. */
  readonly title: string;
  /** Where the rules come from. */
  readonly source: string;
  /** Knob values that differ from the registry's defaults while this policy rules. */
  readonly knobs: Readonly<Record<string, number>>;
  /** Knobs about TIME-WAIT that its hooks read; the others have no effect while it rules. */
  readonly uses: readonly string[];
  /** What no source of the system confirms, a sentence each; for the policy's page. */
  readonly unverified: readonly string[];
  /** Anything else worth knowing about the reproduction, a sentence each. */
  readonly notes: readonly string[];

  /**
   * How long the record lives, ms; 0: no record (its reason is then `tw-local-bypass`
   * for a local peer, else `tw-none`). `restarted` tells a restart from the entry.
   */
  lifetime(record: RecordFacts, context: PolicyContext, restarted: boolean): number;
  /** Does the entry of this record update the per-host timestamp cache? */
  remembersHost(record: RecordFacts, context: PolicyContext): boolean;
  /** A segment for the record's tuple. Checked in the order of the system it reproduces. */
  segmentArrives(record: RecordFacts, segment: SegmentFacts, context: PolicyContext): number;
  /** ISS when `segmentArrives` or `mayReopen` accepted. `fresh` is the RFC 6528 value. */
  isnOnReopen(record: RecordFacts, fresh: number, context: PolicyContext): number;
  /** A SYN for a listener with no record on its tuple: verdict KEEP accepts, any other drops it with its reason. */
  synArrives(segment: SegmentFacts, context: PolicyContext): number;
  /**
   * Active open onto the record's tuple: ACCEPT or KEEP (= refuse) with its reason.
   * `reopen-in-use` makes a refused bound port EADDRINUSE, any other EADDRNOTAVAIL.
   */
  mayReopen(record: RecordFacts, request: ReopenRequest, context: PolicyContext): number;
  /** bind() onto a port with this record: true allows. */
  mayBind(record: RecordFacts, request: BindRequest, context: PolicyContext): boolean;
  /** Our own SYN takes the TS.Recent last seen of this host with it, as its TSecr (`host.known` is true). */
  preloadsStamp(host: HostStamp, context: PolicyContext): boolean;
  /** `count` records stand at the limit. PRESSURE_SKIP or PRESSURE_EVICT_OLDEST. */
  onPressure(count: number, context: PolicyContext): number;
  /** Most records allowed, from the knobs; Infinity: no limit of its own. The stack's (timewait_max_records) applies besides. */
  capacity(context: PolicyContext): number;
  /**
   * The peer closed first and has acknowledged our FIN: LAST_ACK_CLOSED everywhere but in
   * remedies that move TIME-WAIT to the client (Faber, Touch, Yue 1999).
   */
  lastAck(facts: CloseFacts, context: PolicyContext): number;
  /** Its SYNs offer, and its SYN,ACKs accept, that the active opener holds TIME-WAIT (an option of its own). */
  readonly negotiatesHolder: boolean;
  /** FIN-WAIT-2 orphans live as records (Linux) instead of as connections. */
  readonly orphansAsRecords: boolean;
  /** What blocks a local port for the ephemeral choice: a record on the same tuple, or one to any destination (4.4BSD). */
  readonly portScope: 'tuple' | 'port';
  /** Hosts the per-host memory holds; the one stored longest ago gives way. */
  readonly hostLimit: number;
  /** The two below are called, and a word per record is kept. */
  readonly keepsWord: boolean;
  /** The record's word when it is entered; int32. */
  wordOnEntry(record: RecordFacts, context: PolicyContext): number;
  /** The record's word after a segment that left it in place; int32. */
  wordAfter(record: RecordFacts, segment: SegmentFacts, verdict: number, context: PolicyContext): number;
}
