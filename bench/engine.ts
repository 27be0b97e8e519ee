/**
 * The whole engine over memory: two stacks that hand each other packets. A data segment in
 * and its ACK out, a connection from SYN to TIME-WAIT, idle connections.
 */
import type { ConnectionHandle, ListenerHandle } from '../src/stack/api.js';
import { Stack } from '../src/stack/stack.js';
import { SegmentBuilder } from '../src/wire/builder.js';
import { ACK, PSH, SYN } from '../src/wire/segment.js';
import { allocated, bytesInUse, median } from './measure.js';

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
  /** ns for one data segment in, its text read, and its ACK out: one ACK each, and as delayed ACKs have it. */
  readonly segmentEach: number;
  readonly segmentBatch: number;
  /** The same with an ACK for every second segment (tcp_ack_batch 0). */
  readonly segmentEverySecond: number;
  /** Bytes that a segment allocates, its text not read. */
  readonly segmentBytes: number;
  /** ns for a connection from SYN to TIME-WAIT, both ends. */
  readonly connection: number;
}

/** Data segments of `text` bytes of one connection, made beforehand. */
class Sender {
  private readonly builder = new SegmentBuilder();
  readonly packet = new Uint8Array(1600);
  length = 0;

  constructor(
    private seq: number,
    private readonly ack: number,
    private readonly port: number,
  ) {}

  /** The next segment into `packet`. */
  make(text: number, now: number, echo: number): void {
    const b = this.builder;
    b.reset();
    b.version = 4;
    b.src2 = 0xffff;
    b.src3 = 0x0a000001;
    b.dst2 = 0xffff;
    b.dst3 = 0x0a000002;
    b.srcPort = this.port;
    b.dstPort = 80;
    b.seq = this.seq;
    b.ack = this.ack;
    b.flags = ACK | PSH;
    b.wnd = 65_000;
    b.hasTimestamp = true;
    b.tsVal = now;
    b.tsEcr = echo;
    const header = b.writeHeaders(this.packet, 0);
    this.length = b.finish(this.packet, 0, header, text);
    this.seq = (this.seq + text) | 0;
  }
}

/** The server's end of an established connection whose client is a Sender. */
function senderFor(pair: Pair, port: number): [Sender, ConnectionHandle] {
  const { server } = pair;
  const b = new SegmentBuilder();
  const bytes = new Uint8Array(200);
  const send = (flags: number, seq: number, ack: number, echo: number): void => {
    b.reset();
    b.version = 4;
    b.src2 = 0xffff;
    b.src3 = 0x0a000001;
    b.dst2 = 0xffff;
    b.dst3 = 0x0a000002;
    b.srcPort = port;
    b.dstPort = 80;
    b.seq = seq;
    b.ack = ack;
    b.flags = flags;
    b.wnd = 65_000;
    b.mss = (flags & SYN) !== 0 ? MSS : -1;
    b.hasTimestamp = true;
    b.tsVal = 1;
    b.tsEcr = echo;
    const header = b.writeHeaders(bytes, 0);
    server.receive(bytes, 0, b.finish(bytes, 0, header, 0), pair.now);
  };
  send(SYN, 0, 0, 0);
  server.output(pair.now);
  const { tx } = server;
  const view = new DataView(tx.bytes.buffer);
  const at = tx.offsetOf(0);
  const iss = view.getInt32(at + 24);
  // <mss 1460,sackOK,TS val ecr>: the stamp lies behind the first six octets of options
  const stamp = view.getInt32(at + 40 + 8);
  tx.clear();
  send(ACK, 1, (iss + 1) | 0, stamp);
  return [new Sender(1, (iss + 1) | 0, port), must(server.accept(pair.listener))];
}

/** ns of the server for a segment; packets are made outside the time that counts. */
function segments(batch: number, rounds: number, together = 1): number {
  const pair = new Pair();
  const { server } = pair;
  server.setKnob('tcp_ack_batch', together);
  const [sender, end] = senderFor(pair, 4000);
  const copies = Array.from({ length: batch }, () => new Uint8Array(1600));
  const times: number[] = [];
  let acks = 0;
  for (let round = 0; round < rounds; round++) {
    // A millisecond now and then: no delayed ACK falls due
    if ((round & 63) === 0) pair.pass(1);
    for (const copy of copies) {
      sender.make(MSS - 12, pair.now, 0);
      copy.set(sender.packet);
    }
    const start = performance.now();
    for (let i = 0; i < batch; i++) server.receive(copies[i]!, 0, sender.length, pair.now);
    while (server.read(end) !== null);
    server.output(pair.now);
    times.push(((performance.now() - start) * 1e6) / batch);
    acks += server.tx.count;
    server.tx.clear();
  }
  if (acks === 0) throw new Error('no ACK came');
  // The first half is not compiled yet
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
  const pair = new Pair();
  const [sender, end] = senderFor(pair, 4001);
  const segmentBytes = allocated(100_000, (operations) => {
    for (let i = 0; i < operations; i++) {
      sender.make(1, pair.now, 0);
      pair.server.receive(sender.packet, 0, sender.length, pair.now);
      if ((i & 1) === 1) {
        pair.server.output(pair.now);
        pair.server.tx.clear();
      }
      if ((i & 1023) === 1023) while (pair.server.read(end) !== null);
    }
  });
  return {
    segmentEach: segments(1, 40_000),
    segmentBatch: segments(16, 10_000),
    segmentEverySecond: segments(16, 10_000, 0),
    segmentBytes,
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
