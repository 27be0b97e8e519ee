/**
 * Congestion control behind one small interface. It sees bytes, times and events, and
 * owns cwnd and ssthresh; it never reaches into the connection.
 */
import type { Counters } from '../../mib.js';

/** What the algorithm is told beside the event itself. */
export interface PathFacts {
  /** Bytes of a full-sized segment. */
  mss: number;
  /** int32 ms. */
  now: number;
  /** ms, 0 while unknown. */
  srtt: number;
  /** ms: age of the youngest piece that this ACK delivered and that was sent once, -1 none. */
  rtt: number;
  /** SND.UNA and SND.NXT: the round trip in hand. */
  una: number;
  nxt: number;
  /** Segments are spread over the round trip. */
  paced: boolean;
}

export interface CongestionControl {
  readonly name: string;
  /** Congestion window and slow-start threshold, bytes. */
  cwnd: number;
  ssthresh: number;
  /** Segments by which one ACK may open the window in slow start (RFC 3465 L). */
  slowStartLimit: number;
  /** A connection starts with `window` bytes. */
  start(window: number): void;
  /** `bytes` of new data were acknowledged while cwnd was what limited the sender. */
  acked(bytes: number, path: PathFacts): void;
  /** Data was acknowledged, but something else was the limit: the window stays, and this time does not count. */
  held(now: number): void;
  /** An RTT sample, before the ACK that gave it is counted. */
  measured(path: PathFacts, counters: Counters): void;
  /** The first data since `since` goes out. */
  idle(since: number, now: number): void;
  /** Loss or an ECN mark with `flight` bytes outstanding: sets ssthresh. What came before can be restored by `undo`. */
  reduce(flight: number, path: PathFacts): void;
  /** The retransmission timer expired; `again` when the same segment timed out before. */
  timeout(flight: number, path: PathFacts, again: boolean): void;
  /** The last reduction was a mistake. */
  undo(): void;
}

export const UNLIMITED = 0x3fffffff;

/**
 * Bytes of the first flight. RFC 6928 2 with its ten segments as `segments`:
 * min(n * MSS, max(2 * MSS, n * 1460)); R5681-5 with 0.
 */
export function initialWindow(mss: number, segments: number): number {
  if (segments === 0) return mss > 2190 ? 2 * mss : mss > 1095 ? 3 * mss : 4 * mss;
  return Math.min(segments * mss, Math.max(2 * mss, segments * 1460));
}
