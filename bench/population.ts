/**
 * A million closed connections, computed from their number: the same tuples, facts and
 * segments for every contender and every run, and no array of a million objects beside
 * the one that is measured. Even numbers are IPv4, odd ones IPv6.
 */
import { ACK, FIN, RST, SYN, type Segment } from '../src/wire/segment.js';
import { OFFSET_NONE } from '../src/timewait/layout.js';
import type { RecordEntry } from '../src/timewait/table.js';

/** ms: when the first record is entered; the clock's sign changes a while later. */
export const START = 0x7fff0000;
/** Every record lives this long, ms; they are entered evenly over as long a time. */
export const LIFETIME = 60_000;
export const LOCAL_PORTS = [80, 443, 8080, 8443] as const;
const LOCAL_V4 = 0x0a000002;
const LOCAL_V6 = 0xfd000000 | 0;
export const ADDRESSES = ['10.0.0.2/8', '10.0.0.3/8', 'fd00::2/64', 'fd00::3/64'];
const WINDOW = 65_535;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A bijection of the 32-bit numbers. */
function mix(n: number): number {
  return Math.imul(n ^ (n >>> 15), 0x9e3779b1);
}

/** Fills `entry` with connection n of `count`; its hash is left to the caller. */
export function fill(entry: Mutable<RecordEntry>, n: number, count: number): void {
  const v6 = (n & 1) === 1;
  const word = mix(n);
  entry.local0 = v6 ? LOCAL_V6 : 0;
  entry.local1 = 0;
  entry.local2 = v6 ? 0 : 0xffff;
  entry.local3 = (v6 ? 2 : LOCAL_V4) + ((n >>> 3) & 1);
  entry.remote0 = v6 ? 0x20010db8 : 0;
  entry.remote1 = v6 ? n : 0;
  entry.remote2 = v6 ? ~n : 0xffff;
  entry.remote3 = word;
  entry.localPort = LOCAL_PORTS[(n >>> 4) & 3]!;
  entry.remotePort = 1024 + ((n * 7919) % 60_000);
  entry.sndNxt = (word + 1) | 0;
  entry.rcvNxt = (word - 1) | 0;
  entry.hasTimestamp = (n & 2) !== 0;
  entry.tsRecent = (word >>> 1) | 1;
  entry.enteredAt = (START + Math.floor((n * LIFETIME) / count)) | 0;
  entry.tsRecentAt = entry.enteredAt;
}

/** Connection 0, to be filled with others. */
export function blank(): Mutable<RecordEntry> {
  const entry: Mutable<RecordEntry> = {
    ...{ local0: 0, local1: 0, local2: 0, local3: 0, remote0: 0, remote1: 0, remote2: 0, remote3: 0 },
    ...{ localPort: 0, remotePort: 0, hash: 0, sndNxt: 0, rcvNxt: 0, rcvWnd: WINDOW, rcvWscale: 0 },
    ...{
      hasTimestamp: false,
      tsRecent: 0,
      tsRecentAt: 0,
      tsOffset: 0,
      offsetKind: OFFSET_NONE,
      enteredAt: 0,
      rto: 300,
    },
    ...{ finWait2: false, userClosed: true, reuseAddress: false, reusePort: false, boundPort: false },
    ...{ localPeer: false, nearPeer: false, active: false, holder: 0, word: 0 },
  };
  fill(entry, 0, 1);
  return entry;
}

/** The numbers 0 .. count-1 in an order that no cache foresees. */
export function shuffled(count: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, n) => n);
  let x = 0x2545f491;
  for (let i = count - 1; i > 0; i--) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const j = (x >>> 0) % (i + 1);
    const moved = order[i]!;
    order[i] = order[j]!;
    order[j] = moved;
  }
  return order;
}

/** Addresses and ports of a segment from the peer of connection n. */
export function aim(s: Segment, n: number): void {
  const v6 = (n & 1) === 1;
  s.version = v6 ? 6 : 4;
  s.dst0 = v6 ? LOCAL_V6 : 0;
  s.dst1 = 0;
  s.dst2 = v6 ? 0 : 0xffff;
  s.dst3 = (v6 ? 2 : LOCAL_V4) + ((n >>> 3) & 1);
  s.src0 = v6 ? 0x20010db8 : 0;
  s.src1 = v6 ? n : 0;
  s.src2 = v6 ? ~n : 0xffff;
  s.src3 = mix(n);
  s.dstPort = LOCAL_PORTS[(n >>> 4) & 3]!;
  s.srcPort = 1024 + ((n * 7919) % 60_000);
}

/** SEG.SEQ - RCV.NXT, SEG.ACK - SND.NXT, payload bytes, flags, and TSval - TS.Recent (none: NaN). */
type Shape = readonly [seq: number, ack: number, payload: number, flags: number, stamp: number];

/** What reaches a record: the peer's FIN again, old and new data, SYNs below, in and above the window, RSTs. */
const SHAPES: readonly Shape[] = [
  [-1, 0, 0, FIN | ACK, 0],
  [0, 0, 0, ACK, 5],
  [-100, 0, 100, ACK, 0],
  [0, 0, 100, ACK, 9],
  [100_000, 0, 0, SYN, 1000],
  [5, 0, 0, SYN, 1000],
  [-5000, 0, 0, SYN, NaN],
  [-5000, 0, 0, SYN, 1000],
  [0, 0, 0, RST, NaN],
  [7, 0, 0, RST | ACK, NaN],
  [-7, 0, 0, RST, NaN],
  [0, 0, 0, ACK, NaN],
  [0, 0, 30, ACK, -50],
  [3, 0, 10, 0, 3],
  [0, 50, 0, ACK, 3],
  [0, 0, 0, FIN | ACK, 3],
];
/** Verdicts after which the mix has come round. */
export const SHAPE_COUNT = SHAPES.length;

const seqs = Int32Array.from(SHAPES, ([seq]) => seq);
const acks = Int32Array.from(SHAPES, ([, ack]) => ack);
const payloads = Int32Array.from(SHAPES, ([, , payload]) => payload);
const flags = Int32Array.from(SHAPES, ([, , , bits]) => bits);
const stamped = Int32Array.from(SHAPES, ([, , , , stamp]) => (Number.isNaN(stamp) ? 0 : 1));
const stamps = Int32Array.from(SHAPES, ([, , , , stamp]) => (Number.isNaN(stamp) ? 0 : stamp));

/** The rest of the segment: shape k of the mix, placed by what connection n left behind. */
export function shape(s: Segment, n: number, k: number): void {
  const word = mix(n);
  s.seq = (word - 1 + seqs[k]!) | 0;
  s.ack = (word + 1 + acks[k]!) | 0;
  s.payloadLength = payloads[k]!;
  s.flags = flags[k]!;
  s.wnd = 1000;
  s.hasTimestamp = (n & 2) !== 0 && stamped[k] === 1;
  s.tsVal = (((word >>> 1) | 1) + stamps[k]!) | 0;
}
