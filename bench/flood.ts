/**
 * A flood of SYNs from invented addresses beside real clients, over memory and by the clock: one process is all of it, so what the
 * flood costs the server the clients miss. Its packets are made beforehand; they and the clients' come through one queue
 * as long as a TUN device's, and what that has no room for is lost.
 */
import type { ConnectionHandle } from '../src/stack/api.js';
import { MOST } from '../src/net/pace.js';
import type { Stack } from '../src/stack/stack.js';
import { SegmentBuilder } from '../src/wire/builder.js';
import { PacketRing } from '../src/wire/ring.js';
import { SYN } from '../src/wire/segment.js';
import { Pair, SERVER } from './engine.js';
import { bytesInUse, median } from './measure.js';

const CLIENTS = 100;
/** Addresses that they have. */
const HOSTS = 40;
/** ms between an answer and the client's next request. */
const THINK = 10;
const SYNS_PER_MS = 500;
const QUEUE = 16_384;
/** Packets that the server takes in one turn. */
const TURN = 8 * MOST;

export interface FloodRun {
  /** Requests a second of the clients without and with the flood. */
  readonly calm: number;
  readonly flooded: number;
  /** SYNs offered a second, packets a second that found the queue full. */
  readonly offered: number;
  readonly lost: number;
  /** SYN cookies a second. */
  readonly answered: number;
  /** Growth of heap and arrays during the flood, bytes. */
  readonly growth: number;
  /** ns for a SYN that is answered with a cookie, for one beyond the rate. */
  readonly cookie: number;
  readonly drop: number;
}

/** SYNs from 65,536 addresses. */
class Syns {
  private static readonly COUNT = 65_536;
  private static readonly SIZE = 64;
  private readonly bytes = new Uint8Array(Syns.COUNT * Syns.SIZE);
  private readonly length: number;
  private next = 0;

  constructor() {
    const syn = new SegmentBuilder();
    let length = 0;
    for (let n = 0; n < Syns.COUNT; n++) {
      syn.reset();
      syn.version = 4;
      syn.src2 = 0xffff;
      syn.src3 = 0xc6120000 + n;
      syn.dst2 = 0xffff;
      syn.dst3 = 0x0a000002;
      syn.srcPort = 1024 + (n & 0x7fff);
      syn.dstPort = 80;
      syn.seq = Math.imul(n, 2_654_435_761);
      syn.flags = SYN;
      syn.wnd = 65_000;
      syn.mss = 1460;
      const header = syn.writeHeaders(this.bytes, n * Syns.SIZE);
      length = syn.finish(this.bytes, n * Syns.SIZE, header, 0);
    }
    this.length = length;
  }

  private take(): number {
    const at = this.next;
    this.next = (at + 1) % Syns.COUNT;
    return at * Syns.SIZE;
  }

  into(queue: PacketRing): void {
    put(queue, this.bytes, this.take(), this.length);
  }

  to(stack: Stack, now: number): void {
    stack.receive(this.bytes, this.take(), this.length, now);
  }
}

function put(queue: PacketRing, bytes: Uint8Array, offset: number, length: number): void {
  const to = queue.tailOffset();
  for (let i = 0; i < length; i++) queue.bytes[to + i] = bytes[offset + i]!;
  queue.push(length, 0);
}

/** What the clients have to say joins the queue; how many packets found no room. */
function send(pair: Pair, queue: PacketRing): number {
  const { client, now } = pair;
  const { tx } = client;
  let lost = 0;
  while (client.output(now) > 0) {
    for (let i = 0; i < tx.count; i++) {
      if (queue.free > 0) put(queue, tx.bytes, tx.offsetOf(i), tx.lengthOf(i));
      else lost++;
    }
    tx.clear();
  }
  return lost;
}

const byte = Uint8Array.of(1);

/** One turn of the server, as the driver's. */
function serve(pair: Pair, queue: PacketRing): void {
  const { server, now } = pair;
  for (let left = Math.min(TURN, queue.count); left > 0;) {
    const batch = Math.min(MOST, left);
    for (let i = 0; i < batch; i++) server.receive(queue.bytes, queue.offsetOf(i), queue.lengthOf(i), now);
    queue.drop(batch);
    left -= batch;
    for (let far = server.accept(pair.listener); far !== null; far = server.accept(pair.listener))
      far.user = far;
    for (let raised = server.poll(); raised !== null; raised = server.poll()) {
      if (raised.kind === 'listener') continue;
      raised.takeEvents();
      if (raised.user === null || server.read(raised) === null) continue;
      server.send(raised, byte);
      server.close(raised);
    }
    while (pair.carry(server, pair.client) > 0);
  }
}

class Clients {
  done = 0;
  private port = 1024;
  private readonly dueAt = new Float64Array(CLIENTS);
  private readonly ends: (ConnectionHandle | null)[] = Array.from({ length: CLIENTS }, () => null);

  static addresses(): string[] {
    return Array.from({ length: HOSTS }, (_, host) => `10.0.1.${host + 1}/8`);
  }

  act({ client }: Pair, at: number): void {
    for (let c = 0; c < CLIENTS; c++) {
      const end = this.ends[c]!;
      if (end !== null && client.read(end) !== null) {
        client.close(end);
        this.ends[c] = null;
        this.dueAt[c] = at + THINK;
        this.done++;
      } else if (end === null && this.dueAt[c]! <= at) {
        const localAddress = `10.0.1.${(this.port % HOSTS) + 1}`;
        this.port = this.port === 65_535 ? 1024 : this.port + 1;
        const opened = client.connect({ address: SERVER, port: 80, localAddress, localPort: this.port });
        if (typeof opened === 'string') continue;
        client.send(opened, byte);
        this.ends[c] = opened;
      }
    }
    for (let raised = client.poll(); raised !== null; raised = client.poll())
      if (raised.kind === 'connection') raised.takeEvents();
  }
}

type Played = Pick<FloodRun, 'flooded' | 'offered' | 'lost' | 'answered'>;

function play(pair: Pair, clients: Clients, syns: Syns, seconds: number, synsPerMs: number): Played {
  const queue = new PacketRing(QUEUE, 256);
  const done = clients.done;
  const begun = performance.now() - pair.now;
  const first = pair.now;
  let offered = 0;
  let lost = 0;
  const cookies = pair.server.counters.get('TcpExtSyncookiesSent');
  for (;;) {
    const at = performance.now() - begun;
    if (at - first > 1000 * seconds) break;
    pair.now = Math.floor(at);
    pair.client.advance(pair.now);
    pair.server.advance(pair.now);
    for (const due = Math.floor((at - first) * synsPerMs); offered < due; offered++) {
      if (queue.free > 0) syns.into(queue);
      else lost++;
    }
    clients.act(pair, at);
    lost += send(pair, queue);
    serve(pair, queue);
    lost += send(pair, queue);
  }
  const answered = pair.server.counters.get('TcpExtSyncookiesSent') - cookies;
  return {
    flooded: (clients.done - done) / seconds,
    offered: offered / seconds,
    lost: lost / seconds,
    answered: answered / seconds,
  };
}

/** ns that a SYN takes of a stack with this rate of cookies. */
function cost(syns: Syns, rate: number): number {
  const { server } = new Pair();
  const refused = server.setKnob('tcp_syn_cookie_rate', rate);
  if (refused !== null) throw new Error(refused);
  const times: number[] = [];
  for (let ms = 0; ms < 300; ms++) {
    server.advance(ms);
    const start = performance.now();
    for (let n = 0; n < 500; n++) {
      syns.to(server, ms);
      if (server.tx.free < 8) server.tx.clear();
    }
    times.push((performance.now() - start) * 2000);
    server.output(ms);
    server.tx.clear();
  }
  // The first ones fill the queue of half-open connections, and meet code that is not compiled yet
  return median(times.slice(100));
}

/** In the child. */
export function measureFlood(seconds: number): FloodRun {
  const syns = new Syns();
  const pair = new Pair(Clients.addresses());
  const clients = new Clients();
  // A second before each that does not count, as over the wire
  play(pair, clients, syns, 1, 0);
  const calm = play(pair, clients, syns, seconds, 0);
  const before = bytesInUse();
  play(pair, clients, syns, 1, SYNS_PER_MS);
  const flooded = play(pair, clients, syns, seconds, SYNS_PER_MS);
  const growth = bytesInUse() - before;
  return { ...flooded, calm: calm.flooded, growth, cookie: cost(syns, 0), drop: cost(syns, 1) };
}
