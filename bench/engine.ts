/**
 * The whole engine over memory: two stacks that hand each other packets. A data segment in
 * and its ACK out, a connection from SYN to TIME-WAIT, idle connections.
 */
import type { ConnectionHandle, ListenerHandle } from '../src/stack/api.js';
import { Stack } from '../src/stack/stack.js';
import { bytesInUse, median } from './measure.js';
import { leastTime, segmentBytes, segmentTime, type SegmentOptions } from './segment.js';

export const SERVER = '10.0.0.2';
const MSS = 1460;

function makeStack(seed: number, addresses: string[], policy = 'linux'): Stack {
  const stack = new Stack({ seed: new Uint8Array(32).fill(seed), addresses, mtu: 1500, now: 0 });
  const unknown = stack.setPolicy(policy);
  if (unknown !== null) throw new Error(unknown);
  return stack;
}

export function must<T>(value: T | string | null): T {
  if (value === null || typeof value === 'string') throw new Error(`refused: ${value}`);
  return value;
}

/** A client and a server, and the memory link between them. */
export class Pair {
  now = 0;
  readonly server = makeStack(1, [`${SERVER}/8`]);
  readonly client: Stack;
  readonly listener: ListenerHandle;

  constructor(clients = ['10.0.0.1/8']) {
    this.client = makeStack(2, clients);
    this.listener = must(this.server.listen({ port: 80, backlog: 4096 }));
  }

  /** What one has to send goes to the other; how many packets. */
  carry(from: Stack, to: Stack): number {
    from.output(this.now);
    const { tx } = from;
    const { count } = tx;
    for (let i = 0; i < count; i++) to.receive(tx.bytes, tx.offsetOf(i), tx.lengthOf(i), this.now);
    tx.clear();
    return count;
  }

  settle(): void {
    while (this.carry(this.client, this.server) + this.carry(this.server, this.client) > 0);
  }

  pass(ms: number): void {
    this.now += ms;
    this.client.advance(this.now);
    this.server.advance(this.now);
    this.settle();
  }

  /** An established connection: the client's end, the server's. */
  connect(from: { localPort: number } | { localAddress: string }): [ConnectionHandle, ConnectionHandle] {
    const near = must(this.client.connect({ address: SERVER, port: 80, ...from }));
    this.settle();
    return [near, must(this.server.accept(this.listener))];
  }

  /** Events are read as a user would, so that no list of them grows. */
  drain(): void {
    for (const stack of [this.client, this.server])
      for (let raised = stack.poll(); raised !== null; raised = stack.poll())
        if (raised.kind === 'connection') raised.takeEvents();
  }
}

export interface EngineRun {
  /** ns for one data segment through the receiving engine (segment.ts), by what is told of it. */
  readonly segments: Readonly<Record<keyof typeof SEGMENTS, number>>;
  /** ns of the sum of its bytes and the look-up of its connection alone. */
  readonly least: number;
  /** ns for a segment through both engines: written by one, read from the other, its ACK taken by the first. */
  readonly bothEngines: number;
  /** Bytes that a segment allocates in the receiving engine, its text read in place or copied before. */
  readonly segmentBytes: number;
  readonly keptBytes: number;
  /** ns for a connection from SYN to TIME-WAIT, both ends. */
  readonly connection: number;
}

const SEGMENTS = {
  each: { batch: 1 },
  eachVouched: { batch: 1, vouched: true },
  batch: { batch: 16 },
  batchVouched: { batch: 16, vouched: true },
  everySecond: { batch: 16, together: 0 },
  byTurns: { batch: 1, connections: 64 },
  kept: { batch: 1, kept: true },
  unpredicted: { batch: 1, unusual: true },
} as const satisfies Record<string, SegmentOptions>;

/** ns for a segment that one engine sends and the other acknowledges, in batches of `batch`. */
function throughBoth(batch: number, rounds: number): number {
  const pair = new Pair();
  const { client, server } = pair;
  const [near, far] = pair.connect({ localPort: 4000 });
  const text = new Uint8Array(batch * (MSS - 12));
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    if ((round & 63) === 0) pair.pass(1);
    const start = performance.now();
    client.send(near, text);
    while (pair.carry(client, server) > 0) {
      server.consume(far, far.readable);
      pair.carry(server, client);
    }
    pair.drain();
    times.push(((performance.now() - start) * 1e6) / batch);
  }
  if (near.queued > 0) throw new Error(`${near.queued} bytes have no ACK`);
  return median(times.slice(rounds / 2));
}

function connections(count: number): number {
  const pair = new Pair();
  const times: number[] = [];
  for (let n = 0; n < count; n += 100) {
    const start = performance.now();
    for (let i = 0; i < 100; i++) {
      const [near, far] = pair.connect({ localPort: 1024 + ((n + i) % 60_000) });
      pair.server.close(far);
      pair.settle();
      pair.client.close(near);
      pair.settle();
      pair.drain();
    }
    times.push((performance.now() - start) * 1e4);
    pair.pass(120);
  }
  if (pair.server.counters.get('TcpExtTW') < count) throw new Error('not all came into TIME-WAIT');
  return median(times.slice(times.length / 2));
}

/** In the child. */
export function measureEngine(): EngineRun {
  const names = Object.keys(SEGMENTS) as (keyof typeof SEGMENTS)[];
  return {
    segments: Object.fromEntries(
      names.map((name) => [name, segmentTime(SEGMENTS[name])]),
    ) as EngineRun['segments'],
    least: leastTime(),
    bothEngines: throughBoth(4, 20_000),
    segmentBytes: segmentBytes({ batch: 1 }),
    keptBytes: segmentBytes({ batch: 1, kept: true }),
    connection: connections(40_000),
  };
}

export interface IdleRun {
  /** Bytes of both ends together, per connection. */
  readonly bytes: number;
  /** ns of `advance` by a millisecond with nothing due, at 1000 connections and at all. */
  readonly advanceFew: number;
  readonly advance: number;
}

/** In the child: `count` established connections with keepalive timers, nothing sent. */
export function measureIdle(count: number): IdleRun {
  // Fewer than there are ports of one parity, all of which a connect() asks before it takes one of the other.
  const perAddress = 25_000;
  const addresses = Array.from({ length: Math.ceil(count / perAddress) }, (_, i) => `10.0.1.${i + 1}`);
  const pair = new Pair(addresses.map((address) => `${address}/8`));
  pair.client.setKnob('net.ipv4.ip_local_port_range.min', 1024);
  pair.client.setKnob('net.ipv4.ip_local_port_range.max', 65_535);
  const before = bytesInUse();
  let few = 0;
  for (let n = 0; n < count; n++) {
    const ends = pair.connect({ localAddress: addresses[Math.floor(n / perAddress)]! });
    pair.client.setOption(ends[0], 'keepAlive', 7_200_000);
    pair.server.setOption(ends[1], 'keepAlive', 7_200_000);
    pair.drain();
    if (n % 1000 === 999) pair.pass(10);
    if (n === 999) few = advances(pair);
  }
  pair.pass(1000);
  return { bytes: (bytesInUse() - before) / count, advanceFew: few, advance: advances(pair) };
}

function advances(pair: Pair): number {
  const calls = 10_000;
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    pair.server.advance(pair.now);
    pair.server.nextDeadline(pair.now);
  }
  return ((performance.now() - start) * 1e6) / calls;
}
