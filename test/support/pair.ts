/** Two stacks under one virtual clock, joined by a wire with seeded faults: no link, no driver, nothing but the engine. */
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import { Prng } from '../../src/link/prng.js';
import { Stack } from '../../src/stack/stack.js';

export interface WireFaults {
  readonly loss: number;
  readonly duplicate: number;
  readonly corrupt: number;
  /** Share of packets that take `late` ms longer. */
  readonly reorder: number;
  readonly late: number;
  /** ms one way. */
  readonly delay: number;
}

export const cleanWire: WireFaults = { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, late: 0, delay: 1 };

interface Flying {
  readonly at: number;
  readonly order: number;
  readonly to: Stack;
  readonly bytes: Uint8Array;
}

export class VirtualPair {
  now: number;
  readonly near: Stack;
  readonly far: Stack;
  /** Packets on the wire, the earliest first. */
  private flying: Flying[] = [];
  private order = 0;
  private readonly random: Prng;

  constructor(
    readonly faults: WireFaults,
    seed: number,
    knobs: Readonly<Record<string, number>> = {},
    start = 1000,
  ) {
    this.random = new Prng(seed);
    this.now = start;
    this.near = this.make(seed, ['10.0.0.1/24', 'fd00::1/64'], knobs);
    this.far = this.make(seed + 100_000, ['10.0.0.2/24', 'fd00::2/64'], knobs);
  }

  private make(seed: number, addresses: string[], knobs: Readonly<Record<string, number>>): Stack {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, seed);
    const stack = new Stack({ seed: bytes, addresses, mtu: 1500, now: this.now | 0 });
    for (const [name, value] of Object.entries(knobs)) {
      const message = stack.setKnob(name, value);
      if (message !== null) throw new RangeError(message);
    }
    return stack;
  }

  /** What both have to say goes onto the wire. */
  flush(): void {
    this.send(this.near, this.far);
    this.send(this.far, this.near);
  }

  private send(from: Stack, to: Stack): void {
    while (from.output(this.now | 0) > 0) {
      const { tx } = from;
      for (let i = 0; i < tx.count; i++) {
        const start = tx.offsetOf(i);
        this.launch(to, tx.bytes.slice(start, start + tx.lengthOf(i)));
      }
      tx.clear();
    }
  }

  private launch(to: Stack, bytes: Uint8Array): void {
    const { faults, random } = this;
    const copies = random.chance(faults.loss) ? 0 : random.chance(faults.duplicate) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const packet = bytes.slice();
      if (random.chance(faults.corrupt)) packet[random.below(packet.length)]! ^= 1 + random.below(255);
      const late = random.chance(faults.reorder) ? faults.late : 0;
      const flying = { at: this.now + faults.delay + late, order: this.order++, to, bytes: packet };
      let at = this.flying.length;
      while (at > 0 && this.flying[at - 1]!.at > flying.at) at--;
      this.flying.splice(at, 0, flying);
    }
  }

  /** Goes on to the next thing that happens; false when nothing ever will. */
  step(): boolean {
    this.flush();
    const deadlines = [this.near.nextDeadline(this.now | 0), this.far.nextDeadline(this.now | 0)].filter(
      (ms) => ms >= 0,
    );
    let next = deadlines.length > 0 ? this.now + Math.min(...deadlines) : Infinity;
    if (this.flying.length > 0) next = Math.min(next, this.flying[0]!.at);
    if (next === Infinity) return false;
    this.now = Math.max(this.now, next);
    while (this.flying.length > 0 && this.flying[0]!.at <= this.now) {
      const { to, bytes } = this.flying.shift()!;
      to.receive(bytes, 0, bytes.length, this.now | 0);
    }
    this.near.advance(this.now | 0);
    this.far.advance(this.now | 0);
    this.flush();
    return true;
  }

  /** Steps until `done`, for at most `limit` ms of virtual time. */
  until(done: () => boolean, limit: number): boolean {
    const end = this.now + limit;
    this.flush();
    while (!done()) if (this.now > end || !this.step()) return false;
    return true;
  }

  /** A connection from near to far. */
  open(listener: ListenerHandle, family: 4 | 6): [ConnectionHandle, ConnectionHandle] {
    const near = this.near.connect({
      address: family === 4 ? '10.0.0.2' : 'fd00::2',
      port: listener.local.port,
    });
    if (typeof near === 'string') throw new Error(near);
    let far: ConnectionHandle | null = null;
    const there = this.until(
      () => (far ??= this.far.accept(listener)) !== null && near.stateName !== 'SYN-SENT',
      600_000,
    );
    if (!there || far === null) throw new Error(`no connection, ${near.stateName}`);
    return [near, far];
  }
}
