/**
 * A listening socket: its queue of half-open connections is a count (they are
 * ordinary connections in SYN-RECEIVED), its accept queue a list. Both are bounded.
 */
import type { Tcb } from '../tcp/tcb.js';
import { formatWords } from '../wire/address.js';
import type { Endpoint } from './api.js';
import type { CookieKeys } from './cookies.js';

export class Listener {
  readonly kind = 'listener' as const;
  /** Connections of this listener in SYN-RECEIVED. */
  halfOpen = 0;
  /** The accept queue: a list through the connections themselves (`behindInQueue`). */
  private first: Tcb | null = null;
  private last: Tcb | null = null;
  waiting = 0;
  user: unknown = null;
  inRaised = false;
  closed = false;
  /** When a SYN cookie was sent last, valid while `sent`; one for all of a group. */
  cookies = { sent: false, at: 0 };
  /** Fast Open: requests that may be pending at once (R7413-4), 0 off; those pending. */
  fastOpen = 0;
  pending = 0;
  /** When the peer's RST ended a pending request that still counts; at most `fastOpen`. */
  readonly resets: number[] = [];
  /** Keys of its own, instead of the stack's. */
  cookieKeys: CookieKeys | null = null;
  /** TCP_DEFER_ACCEPT as timeouts of a SYN,ACK, 0 off; TCP_SYNCNT, 0: the stack's knob. */
  deferRounds = 0;
  synRetries = 0;
  /** TCP_MAXSEG of the connections to come, 0: none. */
  maxSegment = 0;
  /** TCP_WINDOW_CLAMP, 0: none. */
  windowClamp = 0;

  constructor(
    /** null: any address. */
    readonly words: Int32Array | null,
    readonly port: number,
    readonly backlog: number,
    /** 4: IPv4 only, 6: IPv6 only, 0: both. */
    readonly family: 0 | 4 | 6,
    readonly reuseAddress: boolean,
    readonly reusePort: boolean,
  ) {}

  get local(): Endpoint {
    const family = this.family === 4 ? 4 : 6;
    if (this.words === null) return { address: family === 4 ? '0.0.0.0' : '::', port: this.port, family };
    const [a, b, c, d] = this.words as unknown as [number, number, number, number];
    return { address: formatWords(a, b, c, d), port: this.port, family };
  }

  matchesExactly(w0: number, w1: number, w2: number, w3: number): boolean {
    const w = this.words;
    return w !== null && w[3] === w3 && w[2] === w2 && w[1] === w1 && w[0] === w0;
  }

  /** Listens on the same address, for the same family. */
  sameName(other: Listener): boolean {
    const [a, b] = [this.words, other.words];
    if (this.family !== other.family || (a === null) !== (b === null)) return false;
    return a === null || this.matchesExactly(b![0]!, b![1]!, b![2]!, b![3]!);
  }

  wildcardFor(version: number): boolean {
    return this.words === null && (this.family === 0 || this.family === version);
  }

  /** The handshake of a Fast Open request is over, or will never be. `reset`: by the peer's RST, which an attacker's victims send. */
  settled(tcb: Tcb, reset: boolean, now: number): void {
    tcb.earlyFrom = null;
    if (reset) this.resets.push(now);
    else this.pending--;
  }

  /** Linux sk_acceptq_is_full: the queue may hold backlog + 1. */
  get full(): boolean {
    return this.waiting > this.backlog;
  }

  enqueue(tcb: Tcb): void {
    if (this.last === null) this.first = tcb;
    else this.last.behindInQueue = tcb;
    this.last = tcb;
    this.waiting++;
  }

  /** The connection that has waited longest; null: none does. */
  dequeue(): Tcb | null {
    const tcb = this.first;
    if (tcb === null) return null;
    this.first = tcb.behindInQueue;
    if (this.first === null) this.last = null;
    tcb.behindInQueue = null;
    this.waiting--;
    return tcb;
  }
}
