/** Our stack as a side of the differential: virtual time, all tuples on one engine. */
import type { Pollable } from '../../stack/api.js';
import type { Policy } from '../../stack/policies.js';
import { Stack } from '../../stack/stack.js';
import { StackCalls } from '../stack-calls.js';
import { isBlocked } from '../call-outcome.js';
import { StackSocket } from '../stack-socket.js';
import type { CallResult, TargetSetup } from '../target.js';
import { comparedCounters } from './counters.js';
import { INITIAL_WINDOW, LOCAL, MTU, RECEIVE_BUFFER, RTO_MIN, keyOf, type Side } from './play.js';
import type { Caller } from './program.js';

const START = 10_000;

/** What both sides are set to, in the names of knobs: limits would hide replies, delayed ACKs would move them. */
const SETTINGS: Readonly<Record<string, number>> = {
  'net.ipv4.tcp_invalid_ratelimit': 0,
  'net.ipv4.tcp_challenge_ack_limit': 1_000_000,
  'net.ipv4.tcp_delack': 0,
  'net.ipv4.tcp_congestion_control': 0,
  'net.ipv4.tcp_rto_min': RTO_MIN,
  'net.ipv4.tcp_init_rwnd': INITIAL_WINDOW,
  'net.ipv4.tcp_rmem': RECEIVE_BUFFER / 2,
  'net.ipv4.tcp_rmem.max': RECEIVE_BUFFER,
  'net.ipv4.tcp_max_orphans': 100_000,
  'net.ipv4.tcp_max_syn_backlog': 65_536,
};

export class StackSide implements Side {
  readonly name: string;
  readonly stack: Stack;
  private clock = START;
  private packets: Uint8Array[] = [];

  /** `policy`: the name of a profile, or a policy of one's own. */
  constructor(policy: string | Policy) {
    this.name = typeof policy === 'string' ? policy : policy.name;
    this.stack = new Stack({
      seed: new Uint8Array(32).fill(9),
      addresses: [`${LOCAL[4]}/32`, `${LOCAL[6]}/128`],
      mtu: MTU,
      now: START,
      txSlots: 1024,
    });
    if (typeof policy === 'string') this.refuse(this.stack.setPolicy(policy));
    else this.stack.usePolicy(policy);
    for (const [name, value] of Object.entries(SETTINGS)) {
      const { stack } = this;
      // A knob has bounds of its own; the nearest value will do.
      if (stack.setKnob(name, value) !== null) this.refuse(stack.setKnob(name, Math.min(value, 10_000)));
    }
  }

  private refuse(message: string | null): void {
    if (message !== null) throw new RangeError(message);
  }

  caller(setup: TargetSetup): Caller {
    const calls = new StackCalls(this.stack, setup, () => 1000 * this.clock, new Set());
    return (request): CallResult => {
      const outcome = calls.call(request);
      if (isBlocked(outcome)) return outcome.expired();
      this.settle();
      return outcome;
    };
  }

  now(): number {
    return this.clock;
  }

  inject(packets: readonly Uint8Array[]): void {
    for (const packet of packets) {
      this.stack.receive(packet, 0, packet.length, this.clock);
      this.settle();
    }
  }

  pause(ms: number): void {
    const end = (this.clock + ms) | 0;
    for (;;) {
      const left = this.stack.nextDeadline(this.clock);
      if (left < 0 || this.clock + left > end) break;
      this.clock += left;
      this.stack.advance(this.clock);
      this.settle();
    }
    this.clock = end;
    this.stack.advance(end);
    this.settle();
  }

  sent(): readonly Uint8Array[] {
    const { packets } = this;
    this.packets = [];
    return packets;
  }

  states(): ReadonlyMap<string, string> {
    const states = new Map<string, string>();
    for (const { state, local, remote } of this.stack.sockets()) {
      if (remote !== null) states.set(keyOf(local.port, remote.address, remote.port), state);
    }
    return states;
  }

  counters(): ReadonlyMap<string, number> {
    return new Map(comparedCounters.map((name) => [name, this.stack.counters.get(name)]));
  }

  /** Packets out, and news to the sockets. */
  private settle(): void {
    const { tx } = this.stack;
    while (this.stack.output(this.clock) > 0) {
      for (let i = 0; i < tx.count; i++) {
        const at = tx.offsetOf(i);
        this.packets.push(tx.bytes.slice(at, at + tx.lengthOf(i)));
      }
      tx.clear();
    }
    for (let one = this.stack.poll(); one !== null; one = this.stack.poll()) deliver(one);
  }
}

function deliver(one: Pollable): void {
  if (one.kind !== 'connection') return;
  const events = one.takeEvents();
  if (one.user instanceof StackSocket) one.user.take(events);
}
