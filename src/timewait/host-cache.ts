/**
 * What each remote host's timestamp clock showed last: the memory of tcp_tw_recycle
 * (Linux inet_peer, later tcp_metrics).
 *
 * Memory: at most as many hosts as the policy's `hostLimit`, 4096 unless it says
 * otherwise; the one stored longest ago gives way.
 */
import { beforeEq } from '../seqnum.js';
import type { HostStamp } from './policy.js';

const MOST_HOSTS = 4096;
/** TCP_PAWS_MSL, ms. */
const PAWS_MSL = 60_000;

class Stamp implements HostStamp {
  constructor(
    public known: boolean,
    public tsRecent: number,
    public tsRecentAt: number,
  ) {}
}

export class HostCache {
  // A Map keyed by text: V8's string hash is seeded per process, and the map is bounded.
  private readonly hosts = new Map<string, Stamp>();
  readonly unknown: HostStamp = new Stamp(false, 0, 0);

  get size(): number {
    return this.hosts.size;
  }

  lookup(w0: number, w1: number, w2: number, w3: number): HostStamp {
    return this.hosts.get(key(w0, w1, w2, w3)) ?? this.unknown;
  }

  /**
   * Linux tcp_remember_stamp: the newer stamp wins; an older one only when what is
   * cached is more than 60 s old and was stored before.
   */
  remember(
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    tsRecent: number,
    at: number,
    now: number,
    limit = MOST_HOSTS,
  ): void {
    const k = key(w0, w1, w2, w3);
    const old = this.hosts.get(k);
    if (old === undefined) {
      while (this.hosts.size >= Math.max(1, limit))
        this.hosts.delete(this.hosts.keys().next().value as string);
      this.hosts.set(k, new Stamp(true, tsRecent, at));
      return;
    }
    const newer = beforeEq(old.tsRecent, tsRecent);
    const stale = (now - old.tsRecentAt) >>> 0 > PAWS_MSL && beforeEq(old.tsRecentAt, at);
    if (!newer && !stale) return;
    // Stored anew: moves to the end of the order.
    this.hosts.delete(k);
    this.hosts.set(k, new Stamp(true, tsRecent, at));
  }
}

function key(w0: number, w1: number, w2: number, w3: number): string {
  return `${w0},${w1},${w2},${w3}`;
}
