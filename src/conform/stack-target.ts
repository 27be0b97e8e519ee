/**
 * Our stack as the target of scripts: virtual time, every segment at the tick at which the
 * stack sends it. Nothing waits; a script of minutes takes a millisecond.
 */
import { reasonComment } from '../reasons.js';
import { Stack } from '../stack/stack.js';
import { parseCookieKeys } from '../stack/cookies.js';
import { parseKnobSetting } from '../stack/knobs.js';
import { congestionNumber, type Pollable } from '../stack/api.js';
import { StackCalls } from './stack-calls.js';
import { isBlocked, type Blocked } from './call-outcome.js';
import type { Listing } from './pipeline.js';
import { StackListing } from './stack-listing.js';
import { infoOf } from './stack-options.js';
import { POLLIN, StackSocket } from './stack-socket.js';
import type { CallRequest, CallResult, MadeCall, SentPacket, Target, TargetSetup } from './target.js';

/** The stack's clock when the script starts, ms. */
const START = 10_000;
/** Timers that may run while a script waits for one event; more mean that something turns in circles. */
const MOST_TURNS = 1_000_000;

export interface StackTargetOptions {
  readonly profile: string;
  readonly knobs: readonly { readonly name: string; readonly value: number }[];
}

class Call implements MadeCall {
  result: CallResult | null = null;
  endedAt = 0;
  blocked: Blocked | null = null;
}

export class StackTarget implements Target {
  readonly name = 'stack';
  readonly resolution = 1000;
  readonly tolerance = 0;
  readonly stack: Stack;
  private readonly calls: StackCalls;
  private readonly listings: StackListing;
  private readonly said = new Set<string>();
  private readonly queue: SentPacket[] = [];
  private waiting: Call[] = [];
  private time = 0;

  /** Throws a RangeError for an unknown profile or a knob out of range: both were checked before. */
  constructor(setup: TargetSetup, options: StackTargetOptions) {
    this.stack = new Stack({
      seed: new Uint8Array(32).fill(7),
      addresses: [`${setup.local.toString()}/${setup.prefix}`],
      mtu: setup.mtu,
      now: START,
      txSlots: 64,
    });
    const refused = [
      this.stack.setPolicy(options.profile),
      ...options.knobs.map(({ name, value }) => this.stack.setKnob(name, value)),
    ].filter((message) => message !== null);
    if (refused.length > 0) throw new RangeError(refused[0]!);
    this.calls = new StackCalls(this.stack, setup, () => this.time, this.said);
    const { calls } = this;
    this.listings = new StackListing(
      this.stack,
      () => calls.rows(),
      (row) => calls.holds(row),
    );
  }

  get notes(): string[] {
    return [...this.said];
  }

  now(): number {
    return this.time;
  }

  /** The stack's own clock. */
  private get ms(): number {
    return (START + Math.floor(this.time / 1000)) | 0;
  }

  advance(time: number): void {
    this.run(time, () => false);
  }

  inject(packet: Uint8Array): string {
    const reason = this.stack.receive(packet, 0, packet.length, this.ms);
    this.settle();
    return reasonComment(reason);
  }

  sent(latest: number): SentPacket | null {
    if (this.queue.length === 0) this.run(latest, () => this.queue.length > 0);
    return this.queue.shift() ?? null;
  }

  call(request: CallRequest): MadeCall {
    const made = new Call();
    const outcome = this.calls.call(request);
    if (isBlocked(outcome)) {
      made.blocked = outcome;
      this.waiting.push(made);
    } else this.returns(made, outcome);
    this.settle();
    return made;
  }

  finish(call: MadeCall, latest: number): void {
    if (call.result === null) this.run(latest, () => call.result !== null);
  }

  /** What a descriptor stands for; null when it is no socket. */
  socketOf(fd: number): StackSocket | null {
    return this.calls.socketOf(fd);
  }

  info(fd: number): ReadonlyMap<string, number> | null {
    const socket = this.calls.socketOf(fd);
    return socket === null ? null : infoOf(socket);
  }

  setting(name: string, value: string): string | null {
    if (name === 'net.ipv4.tcp_fastopen_key') {
      const keys = parseCookieKeys(value);
      return keys !== null && this.stack.setFastOpenKeys(keys)
        ? null
        : `'${name}' takes XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX, or two of them with a comma`;
    }
    if (name === 'net.ipv4.tcp_congestion_control' && congestionNumber(value.trim()) >= 0)
      return this.stack.setKnob(name, congestionNumber(value.trim()));
    const numbers = value.trim().split(/\s+/);
    // The kernel's least, first and greatest size
    const three = /\btcp_[rw]mem$/.test(name) && numbers.length === 3;
    const parsed = parseKnobSetting(`${name}=${three ? numbers[1]! : value.trim()}`);
    if ('error' in parsed) return parsed.error;
    for (const { name: knob, value: number } of parsed) {
      const message = this.stack.setKnob(knob, number);
      if (message !== null) return message;
    }
    return three ? this.setting(`${name}.max`, numbers[2]!) : null;
  }

  listing(listing: Listing): readonly string[] {
    return this.listings.lines(listing);
  }

  deviceCommand([program]: readonly string[]): string {
    return `'${program}' has no effect here: there is no device`;
  }

  drop(state: string): string | null {
    if (state.toUpperCase() !== 'TIME_WAIT') return `tcpdrop -s ${state}: only TIME_WAIT can be dropped`;
    this.stack.dropTimeWait();
    return null;
  }

  close(): void {
    this.queue.length = 0;
    this.waiting = [];
  }

  /** Timer by timer up to `end`, or until there is what is waited for. */
  private run(end: number, enough: () => boolean): void {
    for (let turns = 0; ; turns++) {
      const next = this.nextTime();
      if (next > end) break;
      if (turns === MOST_TURNS) throw new Error(`more than ${MOST_TURNS} timers before ${end / 1e6} s`);
      this.time = Math.max(this.time, next);
      this.turn();
      if (enough()) return;
    }
    if (end <= this.time) return;
    this.time = end;
    this.turn();
  }

  private nextTime(): number {
    const left = this.stack.nextDeadline(this.ms);
    let next = left < 0 ? Infinity : 1000 * (this.ms - START + left);
    for (const { blocked } of this.waiting) next = Math.min(next, blocked!.deadline);
    return next;
  }

  private turn(): void {
    this.stack.advance(this.ms);
    for (const call of [...this.waiting])
      if (call.blocked!.deadline <= this.time)
        this.returns(call, call.blocked!.retry() ?? call.blocked!.expired());
    this.settle();
  }

  private returns(call: Call, result: CallResult): void {
    call.result = result;
    call.endedAt = this.time;
    call.blocked = null;
    if (this.waiting.length > 0) this.waiting = this.waiting.filter((other) => other !== call);
  }

  /** Packets out, news to their sockets, blocked calls asked again, until nothing moves. */
  private settle(): void {
    for (;;) {
      this.drain();
      for (let one = this.stack.poll(); one !== null; one = this.stack.poll()) deliver(one);
      let moved = false;
      for (const call of [...this.waiting]) {
        const result = call.blocked?.retry() ?? null;
        if (result === null) continue;
        this.returns(call, result);
        moved = true;
      }
      if (!moved) break;
    }
    this.drain();
  }

  private drain(): void {
    const { tx } = this.stack;
    while (this.stack.output(this.ms) > 0) {
      for (let i = 0; i < tx.count; i++) {
        const at = tx.offsetOf(i);
        const bytes = tx.bytes.slice(at, at + tx.lengthOf(i));
        this.queue.push({ bytes, time: this.time, reason: reasonComment(tx.reasons[tx.slotOf(i)]!) });
      }
      tx.clear();
    }
  }
}

function deliver(one: Pollable): void {
  const socket = one.user instanceof StackSocket ? one.user : null;
  if (one.kind === 'connection') {
    const events = one.takeEvents();
    socket?.take(events);
  } else socket?.wake(POLLIN);
}
