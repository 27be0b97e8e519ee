/**
 * The driver: one engine, one link, one clock, and the only timers of the project.
 *
 * A turn moves everything that can move now: packets from the link into the engine
 * in batches, due timers, events to sockets and servers, then packets out until the
 * engine has nothing more to say or the link is busy. Turns happen
 *   - when the link says that packets may be waiting,
 *   - when a socket was used (several writes of one pass through the event loop
 *     share one turn, so they share segments),
 *   - when the earliest deadline of engine and sockets is reached.
 * Each turn is one `setImmediate`, bounded in batches and in time (pace.ts), so that other
 * work of the process gets its share however fast packets come. Between connections turns
 * are fair as the link's queue is: packets in their order, and of each connection that has
 * something to send a few segments, then the next one (tcp/output.ts).
 *
 * In manual mode there is neither native timer nor setImmediate: somebody calls
 * `turn(now)`, under virtual time.
 */
import { add, diff } from '../seqnum.js';
import type { Link } from '../link/link.js';
import type { ConnectionHandle, ListenerHandle, StackApi } from '../stack/api.js';
import type { Clock } from '../time/clock.js';
import { LARGEST_SLOT, PacketRing } from '../wire/ring.js';
import { IdleTimers } from './idle.js';
import { MOST, Pace } from './pace.js';
import { Tracer } from './trace.js';

/** TIME-WAIT records that a turn lets expire: no fewer than its packets may have made. */
const EXPIRIES = 1024;
/** A busy link is tried again after this many ms, unless it calls earlier. */
const BUSY_RETRY = 1;
/** Longest native timer, ms. */
const FOREVER = 2 ** 31 - 1;

/** What a connection's `user` must be. */
export interface ConnectionUser {
  /** `events`: EV_* bits. */
  onEvents(connection: ConnectionHandle, events: number): void;
}

/** What a listener's `user` must be. */
export interface ListenerUser {
  onConnections(listener: ListenerHandle): void;
}

/** Who asked to be told of the end of turns. */
export interface TurnUser {
  /** True: it needs no telling any more. */
  turned(): boolean;
}

/** What `close` or a failing link must end: sockets and servers. */
export interface Closeable {
  onDriverGone(error: Error | null): void;
}

export interface DriverOptions {
  /** No timers of its own: the owner calls `turn`. Default false. */
  manual?: boolean;
  /** ms with fractions, by which turns are kept short. Default: performance.now(), in manual mode one that stands still. */
  stopwatch?(): number;
  /** The link failed for good. Without it the error is thrown. */
  onError?(error: Error): void;
}

export class Driver {
  readonly stack: StackApi;
  readonly link: Link;
  readonly clock: Clock;
  readonly manual: boolean;
  readonly tracer: Tracer;
  readonly idle: IdleTimers;
  /** Open sockets and servers. */
  private readonly members = new Set<Closeable>();
  private readonly atEnd = new Set<TurnUser>();
  private readonly onError: ((error: Error) => void) | null;
  private readonly rx: PacketRing;
  private readonly pace: Pace;
  private turning = false;
  private turnNow = 0;
  private closing = false;
  private isClosed = false;
  /** The link took less than it was given. */
  private busy = false;
  private immediate: NodeJS.Immediate | null = null;
  private timer: NodeJS.Timeout | null = null;
  /** When the native timer fires, int32 ms. */
  private timerAt = 0;
  /** Sockets and servers that keep the process alive. */
  private holds = 0;
  private alive = false;

  constructor(stack: StackApi, link: Link, clock: Clock, options: DriverOptions = {}) {
    this.stack = stack;
    this.link = link;
    this.clock = clock;
    this.manual = options.manual ?? false;
    this.onError = options.onError?.bind(options) ?? null;
    this.tracer = new Tracer(stack);
    this.idle = new IdleTimers(clock.now());
    const slot = link.offload === true ? LARGEST_SLOT : Math.max(stack.tx.slotSize, link.largest ?? link.mtu);
    this.rx = new PacketRing(MOST, slot, false, true);
    const stopwatch = options.stopwatch?.bind(options);
    this.pace = new Pace(stopwatch ?? (this.manual ? () => 0 : () => performance.now()));
    link.unref();
    link.onReadable(() => {
      this.schedule(this.alive);
    });
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** int32 ms; within a turn the time of the turn. */
  now(): number {
    return this.turning ? this.turnNow : this.clock.now();
  }

  /** Brings the engine to the present before a call whose answer depends on the time. */
  sync(): void {
    if (!this.turning && !this.isClosed) this.stack.advance(this.clock.now(), EXPIRIES);
  }

  /** The engine has something to do: a turn follows soon. Cheap to call often. */
  wake(): void {
    this.schedule(true);
  }

  /** Sends at once what is owed: before a reset, so that what was written in time goes ahead of it, as it does from a kernel. */
  push(): void {
    if (this.isClosed || this.closing) return;
    try {
      this.flush(this.now());
    } catch (error) {
      // Not here, within a user's call: the next turn meets the same failure and reports it.
      if (!(error instanceof LinkFailure)) throw error;
    }
  }

  /** One more socket or server that keeps the process alive. */
  hold(): void {
    this.holds++;
    if (this.holds === 1 && !this.manual && !this.isClosed) {
      this.setAlive(true);
      this.arm(this.clock.now());
    }
  }

  /** One less. What keeps the process alive is judged at the end of the next turn. */
  release(): void {
    this.holds--;
    if (this.holds === 0) this.schedule(true);
  }

  /** `user` is told of the end of this turn, and of further ones. */
  atTurnsEnd(user: TurnUser): void {
    this.atEnd.add(user);
  }

  add(member: Closeable): void {
    this.members.add(member);
  }

  delete(member: Closeable): void {
    this.members.delete(member);
  }

  /**
   * One turn. Returns how many packets came in or went out: 0 means that nothing
   * happens before the next deadline, the next packet or the next call of a user.
   */
  turn(now: number = this.clock.now()): number {
    if (this.turning || this.isClosed) return 0;
    this.turning = true;
    this.turnNow = now;
    let moved = 0;
    // Stays false when a listener of the user's throws: the rest is done in the next turn.
    let idle = false;
    try {
      this.pace.begin();
      // Before ACKs free memory that packets in the ring refer to
      if (this.stack.tx.referring > 0) moved += this.transmit();
      for (let more = true, first = true; more && !idle; first = false) {
        const received = this.receive(now);
        let sent = 0;
        try {
          if (first) this.advance(now);
          // What was sent may make room for writers
          do {
            this.dispatch();
            sent += this.flush(now);
          } while (this.stack.hasEvents);
        } finally {
          // The next batch goes where this one is
          if (received > 0) this.stack.settle();
        }
        moved += received + sent;
        // Who waits for the answer to what was sent need not wait for the next turn: often it is there
        idle = received === 0 && (sent === 0 || this.atEnd.size === 0);
        more = this.pace.more(received);
      }
      for (const user of this.atEnd) if (user.turned()) this.atEnd.delete(user);
    } catch (error) {
      if (!(error instanceof LinkFailure)) throw error;
      this.fail(error.cause as Error);
    } finally {
      this.turning = false;
      if (!this.isClosed) {
        if (!idle) this.schedule(this.alive);
        this.arm(now);
      }
    }
    return moved;
  }

  /** ms until the next turn has something to do, 0 when overdue, -1 when nothing is planned. */
  nextDeadline(now: number): number {
    let next = earlier(this.stack.nextDeadline(now), this.idle.nextDeadline(now));
    next = earlier(next, this.link.nextDeadline?.(now) ?? -1);
    return this.busy ? earlier(next, BUSY_RETRY) : next;
  }

  /** Resets every connection, closes servers, sends what that causes, releases the link. Idempotent. */
  close(): void {
    this.shutdown(null);
  }

  private fail(error: Error): void {
    this.shutdown(error);
    if (this.onError === null) throw error;
    this.onError(error);
  }

  private shutdown(error: Error | null): void {
    if (this.isClosed || this.closing) return;
    this.closing = true;
    for (const member of [...this.members]) member.onDriverGone(error);
    if (error === null) {
      try {
        this.flush(this.now());
      } catch (failure) {
        // The link is going anyway: its failure changes nothing any more.
        if (!(failure instanceof LinkFailure)) throw failure;
      }
    }
    this.isClosed = true;
    if (this.immediate !== null) clearImmediate(this.immediate);
    if (this.timer !== null) clearTimeout(this.timer);
    this.link.onReadable(null);
    this.link.close();
    this.rx.release();
  }

  /** Due timers, behind the packets that were there: after a wait for a processor the ACK that a timer asks for may have come. */
  private advance(now: number): void {
    this.stack.advance(now, EXPIRIES);
    this.idle.advance(now);
  }

  private receive(now: number): number {
    const { rx, stack } = this;
    rx.use(this.pace.batch);
    const count = this.guard(() => this.link.receive(rx));
    if (count === 0) return 0;
    stack.borrow();
    for (let i = 0; i < rx.count; i++) {
      const slot = rx.slotOf(i);
      rx.reasons[slot] = stack.receive(
        rx.bytes,
        slot * rx.slotSize,
        rx.lengths[slot]!,
        now,
        rx.offloads[slot]!,
      );
    }
    this.guard(() => {
      this.link.settle(rx);
    });
    rx.clear();
    return count;
  }

  /** Tells sockets and servers what happened. They may call back into the engine at once. */
  private dispatch(): void {
    this.tracer.collect();
    for (let item = this.stack.poll(); item !== null; item = this.stack.poll()) {
      if (item.kind === 'listener') {
        (item.user as ListenerUser | null)?.onConnections(item);
      } else {
        // Nobody's connection: it still waits in an accept queue, or was let go.
        const user = item.user as ConnectionUser | null;
        const events = item.takeEvents();
        user?.onEvents(item, events);
      }
    }
  }

  /** Sends until the engine is silent or the link is busy; what the link did not take stays in the ring. */
  private flush(now: number): number {
    const { tx } = this.stack;
    let sent = 0;
    this.busy = false;
    for (;;) {
      sent += this.transmit();
      if (this.busy || (this.stack.output(now) === 0 && tx.count === 0)) break;
    }
    this.tracer.collect();
    return sent;
  }

  /** What is in the ring goes to the link. */
  private transmit(): number {
    const { tx } = this.stack;
    if (tx.count === 0) return 0;
    const sent = this.guard(() => this.link.transmit(tx));
    this.busy = tx.count > 0;
    return sent;
  }

  /** A link that throws has failed: told from the exceptions of users' listeners. */
  private guard<T>(call: () => T): T {
    try {
      return call();
    } catch (cause) {
      throw new LinkFailure(cause);
    }
  }

  private schedule(keepAlive: boolean): void {
    if (this.manual || this.isClosed) return;
    if (this.immediate === null) {
      this.immediate = setImmediate(() => {
        this.immediate = null;
        this.turn();
      });
      if (!keepAlive) this.immediate.unref();
    } else if (keepAlive) this.immediate.ref();
  }

  /**
   * One native timer for the earliest deadline. A later deadline leaves the timer as
   * it is: it fires once in vain, which is cheaper than arming it in every turn.
   */
  private arm(now: number): void {
    if (this.manual || this.isClosed) return;
    this.setAlive(this.holds > 0 || this.finishing());
    const next = this.nextDeadline(now);
    if (next === 0) {
      this.schedule(this.alive);
      return;
    }
    // Sockets that wait for nothing but packets still keep the process alive.
    const delay = next > 0 ? next : this.alive ? FOREVER : -1;
    if (delay < 0) return;
    const at = add(now, delay);
    if (this.timer !== null && diff(this.timerAt, at) <= 0) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.turn();
    }, delay);
    if (!this.alive) this.timer.unref();
  }

  /**
   * Connections that nobody holds any more still owe the peer data or a FIN: what
   * was written is delivered before the process ends. TIME-WAIT records do not
   * count, nor do connections that only wait for the peer.
   */
  private finishing(): boolean {
    const counts = this.stack.stateCounts();
    return ['FIN-WAIT-1', 'CLOSING', 'LAST-ACK'].some((state) => (counts[state] ?? 0) > 0);
  }

  private setAlive(alive: boolean): void {
    if (alive === this.alive) return;
    this.alive = alive;
    if (alive) {
      this.link.ref();
      this.timer?.ref();
    } else {
      this.link.unref();
      this.timer?.unref();
    }
  }
}

/** Wraps what a link threw. */
class LinkFailure extends Error {
  constructor(cause: unknown) {
    super('the link failed', { cause });
  }
}

/** The smaller of two waits, of which -1 means none. */
function earlier(a: number, b: number): number {
  if (a < 0) return b;
  if (b < 0) return a;
  return a < b ? a : b;
}
