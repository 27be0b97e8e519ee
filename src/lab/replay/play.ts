/**
 * One end of a recording on our stack, under virtual time: what went to it arrives at the recorded moments,
 * its program makes the calls that the recorded answers show, and what the stack answers is kept.
 */
import { reasonComment } from '../../reasons.js';
import { EV_CLOSED, EV_PEER_CLOSED, EV_READABLE, EV_WRITABLE } from '../../stack/api.js';
import type { ConnectionHandle, Endpoint, ListenerHandle } from '../../stack/api.js';
import { Stack } from '../../stack/stack.js';
import type { Policy } from '../../stack/policies.js';
import { formatTuple, type End } from '../../view/exchange.js';
import { formatWords } from '../../wire/address.js';
import { IpHeader } from '../../wire/ip.js';
import { describeSegment } from '../../wire/notation.js';
import { FIN, Segment } from '../../wire/segment.js';
import { callsOf, listeningPorts, type Call, type Calls } from './calls.js';
import type { Answer } from './compare.js';
import type { Flow, Recording } from './recording.js';
import { Translation } from './translate.js';

/** The stack's clock at the first packet, ms. */
const START = 10_000;
const BACKLOG = 65_535;
/** A program that is told something and answers within this time, ms, does so before the stack sends anything. */
const ONE_TURN = 1;

export interface PlayOptions {
  readonly policy: string | Policy;
  readonly knobs: readonly { readonly name: string; readonly value: number }[];
  /** Textual addresses. */
  readonly local: readonly string[];
  /** ms by which an answer may come earlier or later. */
  readonly tolerance: number;
  /** ms that the stack goes on behind the last packet. */
  readonly tail: number;
}

export interface Played {
  /** What our stack sent, in order. */
  readonly answers: Answer[];
  /** What it said of each recorded packet that arrived, by number in the flow; '' is not kept. */
  readonly reasons: ReadonlyMap<number, string>;
  /** Calls that could not be made, by number in the flow. */
  readonly refused: ReadonlyMap<number, string>;
}

class Side {
  readonly answers: Answer[] = [];
  readonly reasons = new Map<number, string>();
  readonly refused = new Map<number, string>();
  readonly calls: Calls;
  readonly translation: Translation;
  connection: ConnectionHandle | null = null;
  /** Bytes that the send buffer had no room for, and calls behind them. */
  readonly waiting: Call[] = [];
  /** How far the recording is, and the last of its answers whose calls were made. */
  index = 0;
  made = -1;

  constructor(readonly flow: Flow) {
    this.calls = callsOf(flow);
    this.translation = new Translation(flow);
  }

  refuses(why: string): void {
    this.refused.set(this.index, why);
  }
}

/** Throws a RangeError for a knob or policy that does not exist. */
export function play(recording: Recording, options: PlayOptions): Map<Flow, Played> {
  return new Player(recording, options).run();
}

class Player {
  private readonly stack: Stack;
  private readonly sides = new Map<Flow, Side>();
  private readonly byTuple = new Map<string, Side>();
  private readonly listeners: ListenerHandle[] = [];
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();
  /** ms since the first packet. */
  private time = 0;
  /** The packet that the replay is at. */
  private frame = 0;

  constructor(
    private readonly recording: Recording,
    private readonly options: PlayOptions,
  ) {
    this.stack = new Stack({
      seed: new Uint8Array(32).fill(7),
      addresses: options.local.map((address) => `${address}/${address.includes(':') ? 64 : 24}`),
      mtu: recording.mtu,
      now: START,
    });
    this.configure();
    for (const flow of recording.flows) {
      const side = new Side(flow);
      this.sides.set(flow, side);
      this.byTuple.set(flow.key, side);
    }
    for (const port of listeningPorts(recording)) {
      const listener = this.stack.listen({ port, backlog: BACKLOG, reuseAddress: true });
      if (typeof listener === 'string') throw new RangeError(`listen on port ${port}: ${listener}`);
      this.listeners.push(listener);
    }
  }

  run(): Map<Flow, Played> {
    for (const { flow, index } of this.recording.packets) {
      const side = this.sides.get(flow)!;
      const packet = flow.seen[index]!;
      this.advance(packet.time);
      side.index = index;
      this.frame = packet.frame;
      if (packet.inbound) {
        if (this.waits(side, index)) continue;
        this.arrive(side, index);
        // Answered with what the program did: it was called before anything was sent
        const next = flow.seen[index + 1];
        if (next?.inbound === false && next.time - packet.time < ONE_TURN) this.makeAll(side, index + 1);
      } else {
        if (this.waits(side, index - 1)) this.arrive(side, index - 1);
        this.makeAll(side, index);
      }
      this.settle();
    }
    this.advance(this.time + this.options.tail);
    return this.sides;
  }

  private arrive(side: Side, index: number): void {
    const bytes = side.translation.toOurs(side.flow.seen[index]!);
    const reason = reasonComment(this.stack.receive(bytes, 0, bytes.length, this.now));
    if (reason !== '') side.reasons.set(index, reason);
    this.news();
  }

  /**
   * The recorded end held its ACK of this packet until its program answered, no longer than an answer may be
   * late: ours gets the packet with the answer, else an ACK at once would stand alone.
   */
  private waits(side: Side, index: number): boolean {
    const packet = side.flow.seen[index];
    const next = side.flow.seen[index + 1];
    if (packet?.inbound !== true || next?.inbound !== false || !side.calls.has(index + 1)) return false;
    const { segment } = packet;
    if (segment === null || (segment.length === 0 && (segment.flags & FIN) === 0)) return false;
    const took = next.time - packet.time;
    return took >= ONE_TURN && took <= this.options.tolerance;
  }

  private configure(): void {
    const { policy, knobs } = this.options;
    const refused = typeof policy === 'string' ? this.stack.setPolicy(policy) : null;
    if (refused !== null) throw new RangeError(refused);
    if (typeof policy !== 'string') this.stack.usePolicy(policy);
    for (const { name, value } of knobs) {
      const message = this.stack.setKnob(name, value);
      if (message !== null) throw new RangeError(message);
    }
  }

  /** The stack's own clock. */
  private get now(): number {
    return (START + Math.floor(this.time)) | 0;
  }

  /** Timer by timer up to `end`. */
  private advance(end: number): void {
    for (;;) {
      const left = this.stack.nextDeadline(this.now);
      const next = left < 0 ? Infinity : Math.floor(this.time) + Math.max(1, left);
      if (next > end) break;
      this.time = next;
      this.stack.advance(this.now);
      this.settle();
    }
    this.time = Math.max(this.time, end);
    this.stack.advance(this.now);
    this.settle();
  }

  /** News to the program, packets out, until nothing moves. */
  private settle(): void {
    do {
      this.news();
      this.drain();
    } while (this.stack.hasEvents);
  }

  private news(): void {
    for (let one = this.stack.poll(); one !== null; one = this.stack.poll())
      if (one.kind === 'connection') this.events(one);
      else this.accept(one);
  }

  private accept(listener: ListenerHandle): void {
    for (let one = this.stack.accept(listener); one !== null; one = this.stack.accept(listener)) {
      const side = this.sideOf(one.local, one.remote);
      if (side === null) this.stack.abort(one);
      else this.holds(side, one);
      this.events(one);
    }
  }

  private holds(side: Side, connection: ConnectionHandle): void {
    side.connection = connection;
    side.waiting.length = 0;
    connection.user = side;
  }

  private events(connection: ConnectionHandle): void {
    const events = connection.takeEvents();
    const side = connection.user as Side | null;
    if (side?.connection !== connection) return;
    if ((events & (EV_READABLE | EV_PEER_CLOSED)) !== 0) while (this.stack.read(connection) !== null);
    if ((events & EV_WRITABLE) !== 0) this.goOn(side);
    if ((events & EV_CLOSED) !== 0) side.connection = null;
  }

  // ---- calls ------------------------------------------------------------------

  /** The calls that the answer at `index` shows, unless they were made. */
  private makeAll(side: Side, index: number): void {
    if (index <= side.made) return;
    side.made = index;
    for (const call of side.calls.get(index) ?? []) this.make(side, call);
  }

  private make(side: Side, call: Call): void {
    if (call.kind === 'connect') this.connect(side);
    else if (side.connection === null) side.refuses(`${call.kind}(): there is no connection`);
    else if (side.waiting.length > 0 && call.kind !== 'abort') side.waiting.push(call);
    else this.carryOut(side, side.connection, call);
  }

  private connect(side: Side): void {
    const { local, remote } = side.flow;
    const made = this.stack.connect({
      address: remote.address,
      port: remote.port,
      localAddress: local.address,
      localPort: local.port,
      reuseAddress: true,
    });
    if (typeof made === 'string') side.refuses(`connect(): ${made}`);
    else this.holds(side, made);
  }

  private carryOut(side: Side, connection: ConnectionHandle, call: Call): void {
    switch (call.kind) {
      case 'write': {
        const taken = this.stack.write(connection, call.bytes);
        if (typeof taken === 'string') side.refuses(`write(): ${taken}`);
        else if (taken < call.bytes.length)
          side.waiting.unshift({ kind: 'write', bytes: call.bytes.subarray(taken) });
        break;
      }
      case 'shutdown': {
        const refused = this.stack.shutdown(connection);
        if (refused !== null) side.refuses(`shutdown(): ${refused}`);
        break;
      }
      case 'close':
      case 'abort':
        side.connection = null;
        this.stack[call.kind](connection);
        break;
      case 'connect':
        break;
    }
  }

  /** There is room again. */
  private goOn(side: Side): void {
    while (side.waiting.length > 0 && side.connection !== null) {
      const before = side.waiting.length;
      const call = side.waiting.shift()!;
      this.carryOut(side, side.connection, call);
      if (side.waiting.length >= before) return;
    }
  }

  // ---- what the stack sends -----------------------------------------------------

  private drain(): void {
    const { tx } = this.stack;
    while (this.stack.output(this.now) > 0) {
      for (let i = 0; i < tx.count; i++)
        this.keep(tx.bytes, tx.offsetOf(i), tx.lengthOf(i), reasonComment(tx.reasons[tx.slotOf(i)]!));
      tx.clear();
    }
  }

  private keep(bytes: Uint8Array, at: number, length: number, comment: string): void {
    const { ip, segment: s } = this;
    if (ip.load(bytes, at, length) !== 0 || ip.protocol !== 6 || s.load(ip, false) !== 0) return;
    const side = this.sideOf(
      { address: formatWords(s.src0, s.src1, s.src2, s.src3), port: s.srcPort },
      { address: formatWords(s.dst0, s.dst1, s.dst2, s.dst3), port: s.dstPort },
    );
    if (side === null) return;
    side.translation.sent(s, this.time, side.index);
    const text = describeSegment(s);
    const segment = { ...text, seq: side.translation.relativeOurs(text.seq) };
    side.answers.push({ time: this.time, segment, comment, frame: this.frame });
  }

  private sideOf(local: End | Endpoint, remote: End | Endpoint): Side | null {
    return this.byTuple.get(formatTuple(local, remote)) ?? null;
  }
}
