/**
 * A TIME-WAIT record's ten words:
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
