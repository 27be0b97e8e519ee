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

/** int32 of an address in four words; under a secret key where strangers choose the addresses. */
export type AddressHash = (w0: number, w1: number, w2: number, w3: number) => number;

const fold: AddressHash = (w0, w1, w2, w3) => w0 ^ w1 ^ w2 ^ w3;

class Stamp implements HostStamp {
  tsRecent = 0;
  tsRecentAt = 0;
  /** Another host with the same hash. */
  chained: Stamp | undefined = undefined;
  /** Neighbours in the order of storing. */
  older: Stamp = this;
  newer: Stamp = this;

  constructor(
    readonly known: boolean,
    readonly w0: number,
    readonly w1: number,
    readonly w2: number,
    readonly w3: number,
  ) {}

  is(w0: number, w1: number, w2: number, w3: number): boolean {
    return this.w3 === w3 && this.w2 === w2 && this.w1 === w1 && this.w0 === w0;
  }
}

/** A look-up allocates nothing: it is done for SYNs that strangers send. */
export class HostCache {
  private readonly hosts = new Map<number, Stamp>();
  /** What every unknown host shows; also the ring of all: its `newer` is the oldest, its `older` the newest. */
  private readonly ring = new Stamp(false, 0, 0, 0, 0);
  private count = 0;

  constructor(private readonly hash: AddressHash = fold) {}

  get unknown(): HostStamp {
    return this.ring;
  }

  get size(): number {
    return this.count;
  }

  lookup(w0: number, w1: number, w2: number, w3: number): HostStamp {
    return this.find(w0, w1, w2, w3) ?? this.ring;
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
    let host = this.find(w0, w1, w2, w3);
    if (host === undefined) {
      while (this.count >= Math.max(1, limit)) this.forget(this.ring.newer);
      host = new Stamp(true, w0, w1, w2, w3);
      const hash = this.hash(w0, w1, w2, w3);
      host.chained = this.hosts.get(hash);
      this.hosts.set(hash, host);
      this.count++;
    } else {
      const newer = beforeEq(host.tsRecent, tsRecent);
      const stale = (now - host.tsRecentAt) >>> 0 > PAWS_MSL && beforeEq(host.tsRecentAt, at);
      if (!newer && !stale) return;
      unlink(host);
    }
    host.tsRecent = tsRecent;
    host.tsRecentAt = at;
    // Stored anew: the newest.
    host.older = this.ring.older;
    host.newer = this.ring;
    host.older.newer = host;
    this.ring.older = host;
  }

  private find(w0: number, w1: number, w2: number, w3: number): Stamp | undefined {
    let host = this.hosts.get(this.hash(w0, w1, w2, w3));
    while (host !== undefined && !host.is(w0, w1, w2, w3)) host = host.chained;
    return host;
  }

  private forget(host: Stamp): void {
    const hash = this.hash(host.w0, host.w1, host.w2, host.w3);
    const first = this.hosts.get(hash)!;
    if (first !== host) {
      let before = first;
      while (before.chained !== host) before = before.chained!;
      before.chained = host.chained;
    } else if (host.chained === undefined) this.hosts.delete(hash);
    else this.hosts.set(hash, host.chained);
    unlink(host);
    this.count--;
  }
}

function unlink(host: Stamp): void {
  host.older.newer = host.newer;
  host.newer.older = host.older;
}
