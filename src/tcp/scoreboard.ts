/**
 * What the peer has selectively acknowledged above SND.UNA (RFC 2018, RFC 6675 3).
 *
 * Memory: at most 64 disjoint ranges per connection; a block that would need one
 * more is forgotten, which costs a retransmission and no correctness.
 */
import { after, before, max, min } from '../seqnum.js';

const MOST_RANGES = 64;

export class Scoreboard {
  private edges: number[] = [];
  /** Bytes selectively acknowledged. */
  sacked = 0;

  get ranges(): number {
    return this.edges.length >> 1;
  }

  /** Takes one SACK block, clipped to (una, nxt]; returns true when it tells something new. */
  add(left: number, right: number, una: number, nxt: number): boolean {
    // A block outside what is in flight is an old one, a D-SACK or a lie: it says nothing about holes.
    if (!after(right, left) || after(right, nxt) || !after(right, una)) return false;
    const from = max(left, una);
    const edges = this.edges;
    let i = 0;
    while (i < edges.length && before(edges[i + 1]!, from)) i += 2;
    let j = i;
    let covered = 0;
    while (j < edges.length && !after(edges[j]!, right)) {
      covered += (edges[j + 1]! - edges[j]!) | 0;
      j += 2;
    }
    if (i === j && this.ranges >= MOST_RANGES) return false;
    const newLeft = j > i ? min(edges[i]!, from) : from;
    const newRight = j > i ? max(edges[j - 1]!, right) : right;
    const gained = ((newRight - newLeft) | 0) - covered;
    if (gained === 0) return false;
    edges.splice(i, j - i, newLeft, newRight);
    this.sacked += gained;
    return true;
  }

  /** The cumulative acknowledgment moved to `una`. */
  advance(una: number): void {
    const edges = this.edges;
    let used = 0;
    while (used < edges.length && !after(edges[used + 1]!, una)) {
      this.sacked -= (edges[used + 1]! - edges[used]!) | 0;
      used += 2;
    }
    if (used > 0) edges.splice(0, used);
    if (edges.length > 0 && before(edges[0]!, una)) {
      this.sacked -= (una - edges[0]!) | 0;
      edges[0] = una;
    }
  }

  /** First byte at or after `seq` that is not acknowledged. */
  nextHole(seq: number): number {
    let at = seq;
    for (let i = 0; i < this.edges.length; i += 2) {
      if (before(at, this.edges[i]!)) return at;
      if (before(at, this.edges[i + 1]!)) at = this.edges[i + 1]!;
    }
    return at;
  }

  /** End of the hole that starts at `seq`: the next acknowledged byte, at most `limit`. */
  holeEnd(seq: number, limit: number): number {
    for (let i = 0; i < this.edges.length; i += 2) {
      if (after(this.edges[i]!, seq)) return min(this.edges[i]!, limit);
    }
    return limit;
  }

  /** Acknowledged bytes below `limit`. */
  sackedBelow(limit: number): number {
    let total = 0;
    for (let i = 0; i < this.edges.length && before(this.edges[i]!, limit); i += 2) {
      total += (min(this.edges[i + 1]!, limit) - this.edges[i]!) | 0;
    }
    return total;
  }

  /**
   * Everything unacknowledged below the returned number counts as lost: at least
   * three ranges, or more than two segments' worth of bytes, were acknowledged
   * above it (IsLost of RFC 6675 4). Returns `una` when nothing counts as lost.
   */
  lostEdge(una: number, mss: number): number {
    const edges = this.edges;
    let bytes = 0;
    for (let i = edges.length - 2, ranges = 1; i >= 0; i -= 2, ranges++) {
      bytes += (edges[i + 1]! - edges[i]!) | 0;
      if (ranges >= 3 || bytes > 2 * mss) return edges[i]!;
    }
    return una;
  }

  clear(): void {
    this.edges = [];
    this.sacked = 0;
  }
}
