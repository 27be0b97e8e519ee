/**
 * Header prediction and the general path beside it: two stacks of one seed, one of which knows no connection and
 * predicts nothing. Random conversations, most of whose segments are what was expected, leave both in the same state.
 */
import t from 'tap';
import { isDeepStrictEqual } from 'node:util';
import { Prng } from '../../src/link/prng.js';
import { Reason } from '../../src/reasons.js';
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import type { Core } from '../../src/stack/core.js';
import { Stack } from '../../src/stack/stack.js';
import { Tcb } from '../../src/tcp/tcb.js';
import { SegmentBuilder } from '../../src/wire/builder.js';
import { CHECKSUM_OFFLOADED } from '../../src/wire/ring.js';
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, URG } from '../../src/wire/segment.js';

const MSS = 1448;
const PORTS = 3;
const coreOf = (stack: Stack): Core => (stack as unknown as { core: Core }).core;

interface Setting {
  readonly policy: string;
  readonly version: 4 | 6;
  readonly offload: boolean;
  readonly stamped: boolean;
  readonly knobs: readonly (readonly [string, number])[];
}

/** The peers' side of a connection. */
interface Peer {
  readonly port: number;
  seq: number;
  stamp: number;
}

/** A stack and what its user holds. */
class Side {
  readonly stack: Stack;
  readonly listener: ListenerHandle;
  readonly ends: (ConnectionHandle & Tcb)[] = [];
  /** Segments that the flow table was asked for. */
  lookUps = 0;

  constructor({ policy, version, offload, knobs }: Setting, predicts: boolean) {
    const addresses = [version === 4 ? '10.0.0.2/8' : 'fd00::2/64'];
    this.stack = new Stack({ seed: new Uint8Array(32).fill(7), addresses, mtu: 1500, now: 0, offload });
    if (this.stack.setPolicy(policy) !== null) throw new Error(policy);
    for (const [name, value] of knobs) if (this.stack.setKnob(name, value) !== null) throw new Error(name);
    this.listener = this.stack.listen({ port: 80, backlog: 10 }) as ListenerHandle;
    const { familiar, flows } = coreOf(this.stack);
    if (!predicts) familiar.add = () => undefined;
    const find = flows.find.bind(flows);
    flows.find = (...tuple) => {
      this.lookUps++;
      return find(...tuple);
    };
  }

  /** What leaves, as text; packets of a turn. */
  output(now: number): string {
    const { stack } = this;
    let text = '';
    while (stack.output(now) > 0) {
      const { tx } = stack;
      for (let i = 0; i < tx.count; i++) {
        const at = tx.offsetOf(i);
        text += `${tx.offloads[tx.slotOf(i)]} ${Buffer.from(tx.bytes.subarray(at, at + tx.lengthOf(i))).toString('hex')}\n`;
      }
      tx.clear();
    }
    return text;
  }

  events(): number[] {
    const seen: number[] = [];
    for (let raised = this.stack.poll(); raised !== null; raised = this.stack.poll())
      seen.push(raised.kind === 'connection' ? raised.takeEvents() : -1);
    for (let end = this.stack.accept(this.listener); end !== null; end = this.stack.accept(this.listener))
      this.ends.push(end as ConnectionHandle & Tcb);
    return seen;
  }

  /** What is not a connection's. */
  state(): unknown[] {
    const core = coreOf(this.stack);
    const deadline = this.stack.nextDeadline(core.ctx.now);
    return [core.ctx.memory, core.connections, deadline, core.ctx.ready.map(({ remotePort }) => remotePort)];
  }
}

/** Neighbours, owners and the queues' memory are not compared. */
const APART = new Set(['beforeOnPort', 'behindOnPort', 'owner', 'user', 'sendQueue', 'receiveQueue']);

const NAMES = Object.keys(new Tcb()).filter((name) => !APART.has(name));

/** Names of the fields in which two connections differ. */
function differences(a: Tcb, b: Tcb): string[] {
  const [x, y] = [a, b] as unknown as Record<string, unknown>[];
  const names = NAMES.filter(
    (name) =>
      x![name] !== y![name] && !(typeof x![name] === 'object' && isDeepStrictEqual(x![name], y![name])),
  );
  if (a.sendQueue.length !== b.sendQueue.length) names.push('sendQueue');
  if (a.receiveQueue.length !== b.receiveQueue.length) names.push('receiveQueue');
  return names;
}

/** Names or numbers of what two lists of counts differ in. */
function unequal(what: string, a: Float64Array, b: Float64Array): string[] {
  const wrong: string[] = [];
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) wrong.push(`${what} ${i}`);
  return wrong;
}

class Play {
  private now = 0;
  private port = 4000;
  private readonly random: Prng;
  private readonly sides: readonly [Side, Side];
  private readonly peers: Peer[] = [];
  private readonly builder = new SegmentBuilder();
  private readonly bytes = new Uint8Array(8192);
  private reached = 0;

  constructor(
    private readonly setting: Setting,
    seed: number,
  ) {
    this.random = new Prng(seed);
    this.sides = [new Side(setting, true), new Side(setting, false)];
  }

  /** Segments that one side predicted. */
  get hits(): number {
    return this.sides[1].lookUps - this.sides[0].lookUps;
  }

  private one<T>(...of: readonly T[]): T {
    return of[this.random.below(of.length)]!;
  }

  private rarely(n = 12): boolean {
    return this.random.below(n) === 0;
  }

  /** Both do it: what each answers must be the same. */
  private both(what: string, act: (side: Side, at: 0 | 1) => unknown): void {
    const answers = [act(this.sides[0], 0), act(this.sides[1], 1)];
    if (!isDeepStrictEqual(answers[0], answers[1]))
      throw new Error(`${what}: ${String(answers[0])} with prediction, ${String(answers[1])} without`);
    const [a, b] = this.sides;
    const wrong = isDeepStrictEqual(a.state(), b.state()) ? [] : ['state'];
    wrong.push(...unequal('counter', a.stack.counters.values, b.stack.counters.values));
    wrong.push(...unequal('reason', a.stack.reasonCounts, b.stack.reasonCounts));
    if (what === 'receive' || what === 'output')
      a.ends.forEach((end, i) => wrong.push(...differences(end, b.ends[i]!)));
    if (wrong.length > 0) throw new Error(`${what}: ${wrong.join(', ')} differ`);
  }

  private packet(peer: Peer, flags: number, seq: number, ack: number, text: number): number {
    const b = this.builder;
    b.reset();
    b.version = this.setting.version;
    [b.src0, b.src2, b.dst0, b.dst2] =
      b.version === 4 ? [0, 0xffff, 0, 0xffff] : [0xfd00 << 16, 0, 0xfd00 << 16, 0];
    b.src3 = b.version === 4 ? 0x0a000001 : 1;
    b.dst3 = b.version === 4 ? 0x0a000002 : 2;
    b.srcPort = peer.port;
    b.dstPort = 80;
    b.seq = seq;
    b.ack = ack;
    b.flags = flags;
    b.tos = this.rarely(40) ? this.random.below(256) : 0;
    b.wnd = this.rarely() ? this.random.below(65_536) : 60_000;
    b.urgent = (flags & URG) !== 0 ? this.random.below(100) : 0;
    if ((flags & SYN) !== 0) {
      b.mss = 1460;
      b.windowScale = 7;
      b.sackPermitted = true;
    }
    b.hasTimestamp = this.setting.stamped && !this.rarely(100);
    b.tsVal = this.rarely(30) ? peer.stamp - this.random.below(50) : peer.stamp;
    b.tsEcr = this.rarely(20) ? this.random.next() : peer.stamp;
    if (this.rarely(60) && (flags & SYN) === 0) {
      b.sackCount = 1;
      b.sack[0] = ack;
      b.sack[1] = ack + 10;
    }
    const header = b.writeHeaders(this.bytes, 0);
    for (let i = 0; i < text; i++) this.bytes[header + i] = (seq + i) & 0xff;
    const length = b.finish(this.bytes, 0, header, text);
    // Broken, or cut
    if (this.rarely(60)) this.bytes[this.random.below(length)]! ^= 1 << this.random.below(8);
    return this.rarely(100) ? this.random.below(length) : length;
  }

  private arrive(length: number, merged: number): void {
    const vouched = this.setting.offload && !this.rarely() ? CHECKSUM_OFFLOADED | merged : 0;
    this.both('receive', ({ stack }) => {
      const reason = stack.receive(this.bytes, 0, length, this.now, vouched);
      if (reason === Reason.plain) this.reached++;
      return reason;
    });
  }

  private open(): void {
    const peer = { port: this.port++, seq: this.one(0, 0x7ffffff0, -1000) | 0, stamp: 1 };
    this.peers.push(peer);
    const last = this.sides[0].ends.length;
    for (const flags of [SYN, ACK]) {
      let ack = 0;
      if (flags === ACK) {
        const { tcbs } = coreOf(this.sides[0].stack);
        ack = tcbs.find((tcb) => tcb?.remotePort === peer.port)?.sndNxt ?? 0;
      }
      const length = this.packet({ ...peer }, flags, peer.seq, ack, 0);
      this.arrive(length, 0);
      peer.seq = flags === SYN ? (peer.seq + 1) | 0 : peer.seq;
      this.turn();
    }
    if (this.sides[0].ends.length === last) this.peers.pop();
  }

  /** A few segments of one peer, in one batch of packets. */
  private stream(peer: Peer, end: Tcb): void {
    const borrows = this.one(true, false);
    if (borrows) this.both('borrow', ({ stack }) => stack.borrow());
    for (let left = 1 + this.random.below(5); left > 0; left--) {
      const text = this.one(MSS, MSS, MSS, 1, 100, 0, 1 + this.random.below(1400));
      const merges = this.setting.offload && text === MSS && this.one(true, false);
      const length = merges ? 2 * MSS + this.random.below(MSS) : text;
      const flags =
        ACK | this.one(0, PSH) | (this.rarely(60) ? this.one(URG, FIN, ECE, CWR, RST, SYN, -ACK) : 0);
      const shift = this.rarely(20) ? this.one(-MSS, MSS, -1, 1, 100_000, -100_000) : 0;
      const old = this.rarely(20) ? this.one(1, -1, -5000) : 0;
      const seq = (peer.seq + shift) | 0;
      const made = this.packet(peer, flags & 0xff, seq, (end.sndNxt + old) | 0, length);
      this.arrive(made, merges ? MSS : 0);
      if (this.rarely(10)) this.use();
      // What was taken is not sent again; what was lost is, mostly
      if (end.state !== 0) peer.seq = this.rarely(40) ? (peer.seq + length) | 0 : end.rcvNxt;
    }
    if (borrows) {
      if (this.one(true, false)) this.use();
      this.both('settle', ({ stack }) => stack.settle());
    }
  }

  /** The user does something with one of its connections. */
  private use(): void {
    const { ends } = this.sides[0];
    if (ends.length === 0) return;
    const which = this.random.below(ends.length);
    const amount = 1 + this.random.below(5000);
    const deed = this.one('read', 'read', 'consume', 'consume', 'all', 'all', 'send', 'limit');
    const rare = this.rarely(100) ? this.one('shutdown', 'close', 'linger') : deed;
    this.both(rare, ({ stack, ends }) => {
      const end = ends[which]!;
      switch (rare) {
        case 'read':
          return Buffer.from(stack.read(end, amount) ?? '').toString('hex');
        case 'all':
        case 'consume': {
          const count = Math.min(end.readable, rare === 'all' ? Infinity : amount);
          stack.consume(end, count);
          return count;
        }
        case 'send':
          return this.setting.knobs.length > 0 ? null : stack.send(end, new Uint8Array(amount & 255).fill(1));
        case 'limit':
          stack.setOption(end, 'receiveBuffer', 10_000 + 20 * amount);
          return null;
        case 'linger':
          stack.setOption(end, 'linger', 1000);
          return stack.close(end);
        case 'shutdown':
          return stack.shutdown(end);
        default:
          return stack.close(end);
      }
    });
  }

  private turn(): void {
    this.both('output', (side) => side.output(this.now));
    this.both('events', (side) => side.events());
  }

  /** How many segments both took. */
  run(steps: number): number {
    for (let step = 0; step < steps; step++) {
      if (this.peers.length < PORTS) this.open();
      const which = this.random.below(this.peers.length);
      const peer = this.peers[which];
      const at = this.sides[0].ends.findIndex(({ remotePort }) => remotePort === peer?.port);
      const end = this.sides[0].ends[at];
      if (peer === undefined || end === undefined) continue;
      this.stream(peer, end);
      if (end.id < 0) {
        this.peers.splice(which, 1);
        for (const side of this.sides) side.ends.splice(at, 1);
      }
      if (this.one(true, false)) this.use();
      this.turn();
      const passes = this.one(
        0,
        0,
        0,
        1,
        1,
        this.random.below(30),
        this.rarely(30) ? this.random.below(2000) : 0,
      );
      this.now += passes;
      for (const each of this.peers) each.stamp = (each.stamp + passes) | 0;
      this.both('advance', ({ stack }) => {
        stack.advance(this.now);
        return stack.nextDeadline(this.now);
      });
    }
    return this.reached / 2;
  }
}

const policies = ['rfc9293', 'linux', 'freebsd'];
const variants: readonly (readonly (readonly [string, number])[])[] = [
  [],
  [['tcp_ack_batch', 0]],
  [['net.ipv4.tcp_mem', 20_000]],
  [['net.ipv4.tcp_ecn', 1]],
  // A window that is soon full
  [['net.ipv4.tcp_rmem', 4000]],
];

for (const policy of policies)
  for (const version of [4, 6] as const)
    t.test(`${policy}, IPv${version}: predicted or not, the same state`, async (t) => {
      let [taken, hits] = [0, 0];
      for (const knobs of variants)
        for (const offload of [false, true])
          for (const stamped of [false, true])
            for (const seed of version === 4 ? [1, 2] : [3]) {
              const play = new Play({ policy, version, offload, stamped, knobs }, seed);
              try {
                taken += play.run(25);
              } catch (error) {
                t.fail(`${JSON.stringify({ knobs, offload, stamped, seed })}: ${(error as Error).message}`);
                return;
              }
              hits += play.hits;
            }
      t.comment(`${taken} taken, ${hits} predicted`);
      t.ok(hits > taken / 5, `${hits} of ${taken}`);
    });
