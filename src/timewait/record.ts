/**
 * A TIME-WAIT record's ten words, and the cursor through which hooks see them:
 *
 *     0 REMOTE      last word of the remote address
 *     1 PORTS       local port, remote port
 *     2 SND_NXT     3 RCV_NXT     4 TS_RECENT
 *     5 EXPIRES     when its time is over, int32 ms
 *     6 WINDOW      receive window, 30 bits; holder, 2
 *     7 LINK        next row of the same time, 24 bits; local address, low 8
 *     8 STATE       RTO in steps of 4 ms, 16 bits; window scale, 4; flags, 12
 *     9 TIMES       EXPIRES - entry, 19 bits; entry - storing of TS.Recent, 11; kind of timestamp offset, 2
 *
 * What does not fit (an IPv6 address, times further apart, an ACK's time, a policy's word,
 * an offset that no rule gives again) goes into a second row of eight words, to which TIMES
 * then points.
 */
import { diff } from '../seqnum.js';
import type { RecordFacts } from './policy.js';

export const F_TIMESTAMP = 1;
export const F_FIN_WAIT_2 = 2;
export const F_USER_CLOSED = 4;
export const F_REUSE_ADDRESS = 8;
export const F_REUSE_PORT = 16;
export const F_BOUND_PORT = 32;
export const F_LOCAL_PEER = 64;
export const F_NEAR_PEER = 128;
export const F_ACTIVE = 256;
/** There is a second row. A row with this flag that is not LIVE is a proxy. */
export const F_WIDE = 512;
/** A record, not a row left waiting. */
export const F_LIVE = 1024;
/** In the calendar. */
export const F_WAITING = 2048;
export const SCALE_SHIFT = 12;
export const RTO_SHIFT = 16;

/** RTO is kept in these steps, ms, rounded up, at most 262 s: the jiffies of a kernel with HZ=250. */
export const RTO_STEP = 4;

/** What a connection leaves behind; also a record that was saved to come back. */
export interface RecordEntry {
  readonly local0: number;
  readonly local1: number;
  readonly local2: number;
  readonly local3: number;
  readonly remote0: number;
  readonly remote1: number;
  readonly remote2: number;
  readonly remote3: number;
  readonly localPort: number;
  readonly remotePort: number;
  /** Flow hash. */
  readonly hash: number;
  readonly sndNxt: number;
  readonly rcvNxt: number;
  /** Bytes. */
  readonly rcvWnd: number;
  readonly rcvWscale: number;
  readonly hasTimestamp: boolean;
  readonly tsRecent: number;
  readonly tsRecentAt: number;
  readonly tsOffset: number;
  /** OFFSET_: what gives it again. */
  readonly offsetKind: number;
  readonly enteredAt: number;
  readonly rto: number;
  readonly finWait2: boolean;
  readonly userClosed: boolean;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  readonly boundPort: boolean;
  readonly localPeer: boolean;
  readonly nearPeer: boolean;
  readonly active: boolean;
  readonly holder: number;
  readonly word: number;
}

/** Words of a row. */
export const REMOTE = 0;
export const PORTS = 1;
export const SND_NXT = 2;
export const RCV_NXT = 3;
export const TS_RECENT = 4;
export const EXPIRES = 5;
export const WINDOW = 6;
export const LINK = 7;
export const STATE = 8;
export const TIMES = 9;
export const WIDTH = 10;
/** A row left waiting: its neighbours among such. A proxy: whose. */
export const BEFORE = SND_NXT;
export const BEHIND = RCV_NXT;
export const TARGET = REMOTE;

export const WINDOW_MASK = (1 << 30) - 1;
export const HOLDER_SHIFT = 30;
export const LOCAL_SHIFT = 24;

/** TIMES of a record without a second row. */
export const SINCE_SHIFT = 13;
export const SINCE_LIMIT = 1 << 19;
export const AGE_SHIFT = 2;
export const AGE_MASK = 2047;
/** tsRecentAt is 0: there was none. */
export const AGE_NEVER = AGE_MASK;
/** Kinds of timestamp offset, as knob net.ipv4.tcp_timestamp_offset has them: 0, the tuple's, the two hosts', any. */
export const OFFSET_MASK = 3;
export const OFFSET_NONE = 0;
export const OFFSET_TUPLE = 1;
export const OFFSET_HOSTS = 2;
export const OFFSET_OTHER = 3;

/** TIMES of a record with one: its number, 24 bits, and these. */
export const T_V6 = 1 << 24;
export const T_ACKED = 1 << 25;
export const T_PROXIED = 1 << 26;
export const LOCAL_HIGH_SHIFT = 27;

/** Words of a second row. */
export const UPPER = 0;
export const ENTERED_AT = 3;
export const TS_RECENT_AT = 4;
export const TS_OFFSET = 5;
export const LAST_ACK_AT = 6;
export const WORD = 7;
export const WIDE_WIDTH = 8;

/** What the table asks its stack, which has the keys. */
export interface TupleKeys {
  /** The flow hash of a tuple. */
  flowHash(
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
  ): number;
  /** The timestamp offset that all connections of the tuple have, or all of its two hosts. */
  stampOffset(
    ofHosts: boolean,
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
  ): number;
}

/** What the cursor asks of the table. */
export interface Records {
  chunk(i: number): Int32Array;
  offset(i: number): number;
  wideWord(i: number, word: number): number;
  setWide(i: number, word: number, value: number): void;
  offsetBy(kind: number, i: number): number;
  restart(i: number, expiresAt: number): void;
  finWait2Count: number;
}

/** How long before the entry TS.Recent was stored, as TIMES keeps it; -1: it cannot. */
export function ageOf(enteredAt: number, tsRecentAt: number): number {
  if (tsRecentAt === 0) return AGE_NEVER;
  const age = diff(enteredAt, tsRecentAt);
  return age >= 0 && age < AGE_NEVER ? age : -1;
}

export function flagsOf(entry: RecordEntry): number {
  return (
    (entry.hasTimestamp ? F_TIMESTAMP : 0) |
    (entry.finWait2 ? F_FIN_WAIT_2 : 0) |
    (entry.userClosed ? F_USER_CLOSED : 0) |
    (entry.reuseAddress ? F_REUSE_ADDRESS : 0) |
    (entry.reusePort ? F_REUSE_PORT : 0) |
    (entry.boundPort ? F_BOUND_PORT : 0) |
    (entry.localPeer ? F_LOCAL_PEER : 0) |
    (entry.nearPeer ? F_NEAR_PEER : 0) |
    (entry.active ? F_ACTIVE : 0)
  );
}

/** The record a hook looks at: reads the words of one row. */
export class RecordCursor implements RecordFacts {
  private i = -1;
  private words: Int32Array = new Int32Array(0);
  private from = 0;

  constructor(private readonly table: Records) {}

  at(index: number): this {
    this.i = index;
    this.words = this.table.chunk(index);
    this.from = this.table.offset(index);
    return this;
  }

  private has(flag: number): boolean {
    return (this.words[this.from + STATE]! & flag) !== 0;
  }

  get sndNxt(): number {
    return this.words[this.from + SND_NXT]!;
  }
  get rcvNxt(): number {
    return this.words[this.from + RCV_NXT]!;
  }
  get rcvWnd(): number {
    return this.words[this.from + WINDOW]! & WINDOW_MASK;
  }
  get rcvWscale(): number {
    return (this.words[this.from + STATE]! >>> SCALE_SHIFT) & 15;
  }
  get hasTimestamp(): boolean {
    return this.has(F_TIMESTAMP);
  }
  get tsRecent(): number {
    return this.words[this.from + TS_RECENT]!;
  }
  get tsRecentAt(): number {
    if (this.has(F_WIDE)) return this.table.wideWord(this.i, TS_RECENT_AT);
    const times = this.words[this.from + TIMES]!;
    const age = (times >>> AGE_SHIFT) & AGE_MASK;
    return age === AGE_NEVER ? 0 : (this.words[this.from + EXPIRES]! - (times >>> SINCE_SHIFT) - age) | 0;
  }
  get tsOffset(): number {
    if (this.has(F_WIDE)) return this.table.wideWord(this.i, TS_OFFSET);
    return this.table.offsetBy(this.words[this.from + TIMES]! & OFFSET_MASK, this.i);
  }
  get offsetKind(): number {
    return this.has(F_WIDE) ? OFFSET_OTHER : this.words[this.from + TIMES]! & OFFSET_MASK;
  }
  get enteredAt(): number {
    if (this.has(F_WIDE)) return this.table.wideWord(this.i, ENTERED_AT);
    return (this.words[this.from + EXPIRES]! - (this.words[this.from + TIMES]! >>> SINCE_SHIFT)) | 0;
  }
  get expiresAt(): number {
    return this.words[this.from + EXPIRES]!;
  }
  get rto(): number {
    return (this.words[this.from + STATE]! >>> RTO_SHIFT) * RTO_STEP;
  }
  get finWait2(): boolean {
    return this.has(F_FIN_WAIT_2);
  }
  get userClosed(): boolean {
    return this.has(F_USER_CLOSED);
  }
  get reuseAddress(): boolean {
    return this.has(F_REUSE_ADDRESS);
  }
  get reusePort(): boolean {
    return this.has(F_REUSE_PORT);
  }
  get boundPort(): boolean {
    return this.has(F_BOUND_PORT);
  }
  get localPeer(): boolean {
    return this.has(F_LOCAL_PEER);
  }
  get nearPeer(): boolean {
    return this.has(F_NEAR_PEER);
  }
  get active(): boolean {
    return this.has(F_ACTIVE);
  }
  get holder(): number {
    return this.words[this.from + WINDOW]! >>> HOLDER_SHIFT;
  }
  get word(): number {
    return this.has(F_WIDE) ? this.table.wideWord(this.i, WORD) : 0;
  }
  /** An ACK was sent from this record, and when the last one that counts for the rate limit. */
  get ackedAtAll(): boolean {
    return this.has(F_WIDE) && (this.words[this.from + TIMES]! & T_ACKED) !== 0;
  }
  get lastAckAt(): number {
    return this.has(F_WIDE) ? this.table.wideWord(this.i, LAST_ACK_AT) : 0;
  }

  // The stack's writes; hooks see a RecordFacts and have none of them.

  restart(expiresAt: number): void {
    this.table.restart(this.i, expiresAt);
    // A proxy may have moved the rows
    this.at(this.i);
  }

  refresh(tsRecent: number, now: number): void {
    this.words[this.from + TS_RECENT] = tsRecent;
    if (this.tsRecentAt !== now) this.table.setWide(this.i, TS_RECENT_AT, now);
  }

  /** The peer's FIN reached the orphan: RCV.NXT moves over it. */
  becomeTimeWait(rcvNxt: number, now: number): void {
    this.words[this.from + RCV_NXT] = rcvNxt;
    this.enter(now);
    this.words[this.from + STATE]! &= ~F_FIN_WAIT_2;
    this.table.finWait2Count--;
  }

  setWord(value: number): void {
    if (value !== this.word) this.table.setWide(this.i, WORD, value);
  }

  acked(now: number): void {
    this.table.setWide(this.i, LAST_ACK_AT, now);
    this.words[this.from + TIMES]! |= T_ACKED;
  }

  private enter(now: number): void {
    const since = diff(this.expiresAt, now);
    const age = ageOf(now, this.tsRecentAt);
    if (this.has(F_WIDE) || since < 0 || since >= SINCE_LIMIT || age < 0)
      this.table.setWide(this.i, ENTERED_AT, now);
    else {
      const offset = this.words[this.from + TIMES]! & OFFSET_MASK;
      this.words[this.from + TIMES] = (since << SINCE_SHIFT) | (age << AGE_SHIFT) | offset;
    }
  }
}
