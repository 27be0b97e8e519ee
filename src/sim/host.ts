/**
 * A machine of the virtual internet: one engine with its profile, its own clock and its
 * own secrets, and programs that are called back.
 *
 * Its clock may have started at another moment than the others' (`clockShift`) and run
 * faster or slower (`clockRate`): timestamps and initial sequence numbers follow it.
 */
import type { CounterName } from '../mib.js';
import type { ConnectOptions, ConnectionHandle, Errno, ListenOptions, ListenerHandle } from '../stack/api.js';
import { Stack } from '../stack/stack.js';
import type { Actor, Station, Surroundings, WireEnd } from './parts.js';
import { SimSocket } from './socket.js';
import type { Trace } from './trace.js';

export interface HostOptions {
  /** Textual addresses with prefix length. */
  readonly addresses: readonly string[];
  /** Name of a TIME-WAIT policy; default `linux`. */
  readonly policy?: string | Parameters<Stack['usePolicy']>[0];
  readonly knobs?: Readonly<Record<string, number>>;
  /** ms by which its clock is ahead of the internet's; default 0. */
  readonly clockShift?: number;
  /** ms of its clock in a ms of the internet's; default 1. */
  readonly clockRate?: number;
  readonly mtu?: number;
}

export type AcceptHandler = (socket: SimSocket) => void;

export class Host implements Station, Actor {
  readonly stack: Stack;
  /** What it sent and received, while set. */
  trace: Trace | null = null;
  private end: WireEnd | null = null;
  private readonly shift: number;
  private readonly rate: number;
  /** There may be output or events. */
  private dirty = false;
  private deadline = Infinity;
  private readonly handlers = new Map<ListenerHandle, AcceptHandler>();

  constructor(
    private readonly surroundings: Surroundings,
    readonly name: string,
    options: HostOptions,
  ) {
    this.shift = options.clockShift ?? 0;
    this.rate = options.clockRate ?? 1;
    const random = surroundings.stream();
    this.stack = new Stack({
      seed: Uint8Array.from({ length: 32 }, () => random.below(256)),
      addresses: options.addresses,
      mtu: options.mtu ?? 1500,
      now: this.localNow | 0,
    });
    const policy = options.policy ?? 'linux';
    const refused = typeof policy === 'string' ? this.stack.setPolicy(policy) : null;
    if (refused !== null) throw new RangeError(refused);
    if (typeof policy !== 'string') this.stack.usePolicy(policy);
    for (const [name_, value] of Object.entries(options.knobs ?? {})) {
      const message = this.stack.setKnob(name_, value);
      if (message !== null) throw new RangeError(message);
    }
  }

  /** Its own clock, ms, not wrapped. */
  get localNow(): number {
    return Math.floor(this.shift + this.surroundings.now * this.rate);
  }

  /** A counter as nstat names it. */
  counter(name: CounterName): number {
    return this.stack.counters.get(name);
  }

  // ---- programs ---------------------------------------------------------------

  listen(options: ListenOptions, accept: AcceptHandler): ListenerHandle | Errno {
    this.sync();
    const listener = this.stack.listen(options);
    if (typeof listener !== 'string') this.handlers.set(listener, accept);
    return listener;
  }

  closeListener(listener: ListenerHandle): void {
    this.handlers.delete(listener);
    this.stack.closeListener(listener);
    this.touch();
  }

  connect(options: ConnectOptions): SimSocket | Errno {
    this.sync();
    const connection = this.stack.connect(options);
    this.touch();
    return typeof connection === 'string' ? connection : new SimSocket(this, connection);
  }

  /** A packet made by hand leaves this host. */
  inject(packet: Uint8Array): void {
    this.send(packet);
  }

  // ---- the wire ---------------------------------------------------------------

  plug(end: WireEnd): void {
    if (this.end !== null) throw new RangeError(`${this.name} has one interface; put a router before it`);
    this.end = end;
  }

  arrive(_end: WireEnd, packet: Uint8Array): void {
    const reason = this.stack.receive(packet, 0, packet.length, this.localNow | 0);
    this.trace?.packet(this.surroundings.now, packet, true, reason);
    this.touch();
  }

  private send(packet: Uint8Array): void {
    this.end?.send(packet);
  }

  // ---- time -------------------------------------------------------------------

  get due(): number {
    return this.dirty ? this.surroundings.now : this.deadline;
  }

  /** Something was done with the stack: its turn comes at once. */
  touch(): void {
    this.dirty = true;
  }

  act(): void {
    const { stack } = this;
    this.dirty = false;
    const now = this.localNow | 0;
    stack.advance(now);
    this.events();
    while (stack.output(now) > 0) {
      const { tx } = stack;
      for (let i = 0; i < tx.count; i++) {
        const at = tx.offsetOf(i);
        const packet = tx.bytes.slice(at, at + tx.lengthOf(i));
        this.trace?.packet(this.surroundings.now, packet, false, tx.reasons[tx.slotOf(i)]!);
        this.send(packet);
      }
      tx.clear();
    }
    // What was sent may make room for writers
    if (stack.hasEvents) this.dirty = true;
    const left = stack.nextDeadline(now);
    this.deadline = left < 0 ? Infinity : (this.localNow + Math.max(1, left) - this.shift) / this.rate;
  }

  /** The engine's clock shows now, also after a pause. */
  private sync(): void {
    this.stack.advance(this.localNow | 0);
  }

  private events(): void {
    for (let next = this.stack.poll(); next !== null; next = this.stack.poll()) {
      if (next.kind === 'connection') (next.user as SimSocket | null)?.events();
      else this.accept(next);
    }
  }

  private accept(listener: ListenerHandle): void {
    const handler = this.handlers.get(listener);
    if (handler === undefined) return;
    for (;;) {
      const connection: ConnectionHandle | null = this.stack.accept(listener);
      if (connection === null) return;
      handler(new SimSocket(this, connection));
    }
  }
}
