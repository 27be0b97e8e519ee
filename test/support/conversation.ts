/**
 * One stack under a virtual clock, and a hand-made peer that speaks segment notation:
 *
 *     const c = new Conversation();
 *     c.listen();
 *     c.inject('S 0:0(0) win 65535 <mss 1460>');
 *     c.expect('S. 0:0(0) ack 1');
 *
 * Sequence numbers count from 0 both ways. In what is expected, window and options
 * are compared only when written.
 */
import type {
  ConnectOptions,
  ConnectionHandle,
  ListenOptions,
  ListenerHandle,
  TcpInfo,
} from '../../src/stack/api.js';
import { reasonText } from '../../src/reasons.js';
import { Stack } from '../../src/stack/stack.js';
import { parseAddress, type Address } from '../../src/wire/address.js';
import { IpHeader } from '../../src/wire/ip.js';
import {
  describeSegment,
  formatNotation,
  type OptionText,
  type SegmentText,
} from '../../src/wire/notation.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { SYN, Segment } from '../../src/wire/segment.js';

export interface ConversationOptions {
  readonly knobs?: Readonly<Record<string, number>>;
  readonly policy?: string;
  readonly v6?: boolean;
  /** The peer's initial sequence number; just below the wrap unless said otherwise. */
  readonly peerIss?: number;
  /** When the conversation starts, int32 ms; `startNearWrap` finds one. */
  readonly start?: number;
  /** The peer puts a timestamp on everything but RST, unless options are written. */
  readonly stamped?: boolean;
  /** The peer's address; one of our subnet unless said otherwise. */
  readonly peer?: string;
  /** What the stack says is shown with its ECN codepoint. */
  readonly ecn?: boolean;
  /** 1500 unless said otherwise. */
  readonly mtu?: number;
}

const U32 = 2 ** 32;

export class Conversation {
  now: number;
  readonly stack: Stack;
  readonly us: Address;
  peer: Address;
  ourPort = 80;
  peerPort = 5000;
  readonly peerIss: number;
  ourIss: number | null = null;
  listener: ListenerHandle | null = null;
  user: ConnectionHandle | null = null;
  /** Reason of the last injected segment. */
  reason = '';
  private said: SegmentText[] = [];
  private readonly stamped: boolean;
  private readonly ecn: boolean;

  constructor(options: ConversationOptions = {}) {
    const v6 = options.v6 === true;
    this.now = options.start ?? 10_000;
    this.stamped = options.stamped === true;
    this.ecn = options.ecn === true;
    this.us = parseAddress(v6 ? 'fd00::2' : '10.0.0.2')!;
    this.peer = parseAddress(options.peer ?? (v6 ? 'fd00::1' : '10.0.0.1'))!;
    this.peerIss = options.peerIss ?? U32 - 3;
    this.stack = new Stack({
      seed: new Uint8Array(32).fill(3),
      addresses: [`${this.us.toString()}/${v6 ? 64 : 24}`],
      mtu: options.mtu ?? 1500,
      now: this.now,
    });
    if (options.policy !== undefined) this.stack.setPolicy(options.policy);
    for (const [name, value] of Object.entries({ 'net.ipv4.tcp_invalid_ratelimit': 0, ...options.knobs })) {
      const message = this.stack.setKnob(name, value);
      if (message !== null) throw new RangeError(message);
    }
  }

  listen(backlog = 10, options: Partial<ListenOptions> = {}): void {
    this.listener = this.stack.listen({
      port: this.ourPort,
      backlog,
      reuseAddress: true,
      ...options,
    }) as ListenerHandle;
  }

  /** `text` is sent before anything leaves. */
  connect(options: Partial<ConnectOptions> = {}, text = ''): void {
    const opened = this.stack.connect({
      address: this.peer.toString(),
      port: this.peerPort,
      localPort: 4000,
      ...options,
    });
    if (typeof opened === 'string') throw new Error(opened);
    this.user = opened;
    this.ourPort = opened.local.port;
    if (text !== '') this.stack.send(opened, Buffer.from(text));
    this.collect();
  }

  /** SYN, SYN,ACK, after `rtt` ms ACK; the connection is accepted. `options` of the peer's SYN. */
  established(options = this.stamped ? '<mss 1460,TS val 100 ecr 0>' : '<mss 1460>', rtt = 0): void {
    this.listen();
    this.inject(`S 0:0(0) win 65535 ${options}`);
    this.take();
    if (rtt > 0) this.advance(rtt);
    this.inject(`. 1:1(0) ack 1 win 65535${options.includes('TS') ? ' <TS val 100 ecr 0>' : ''}`);
    this.accept();
  }

  accept(): void {
    this.user = this.stack.accept(this.listener!);
    if (this.user === null) throw new Error('nothing to accept');
  }

  inject(text: string, payload?: Uint8Array): void {
    this.arrive(text, payload);
    this.collect();
  }

  /** Segments that come in one batch: the stack speaks when it has seen them all. */
  injectTogether(...texts: string[]): void {
    for (const text of texts) this.arrive(text);
    this.collect();
  }

  private arrive(text: string, payload?: Uint8Array): void {
    const stamp = this.stamped && !text.includes('<') && !/^[^ ]*R/.test(text);
    const parsed = parseNotation(stamp ? `${text} <TS val 100 ecr 0>` : text);
    if ('error' in parsed) throw new SyntaxError(`${text}: ${parsed.error} at ${parsed.column}`);
    const absolute = {
      ...parsed,
      seq: (parsed.seq + this.peerIss) % U32,
      ...(parsed.ack === undefined ? {} : { ack: (parsed.ack + (this.ourIss ?? 0)) % U32 }),
      options: (parsed.options ?? []).map((option) => shiftSack(option, this.ourIss ?? 0)),
    };
    const ends = { src: this.peer, dst: this.us, srcPort: this.peerPort, dstPort: this.ourPort };
    const packet = buildPacket(absolute, ends, payload ?? new Uint8Array(parsed.length).fill(97));
    this.reason = reasonText(this.stack.receive(packet, 0, packet.length, this.now | 0)).id;
  }

  /** Lets the clock go on, timer by timer. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.stack.nextDeadline(this.now | 0);
      if (next < 0 || this.now + next > end) break;
      this.now += Math.max(0, next);
      this.stack.advance(this.now | 0);
      this.collect();
    }
    this.now = end;
    this.stack.advance(end | 0);
    this.collect();
  }

  /** What the stack has to say is written down. */
  collect(): void {
    const ip = new IpHeader();
    const segment = new Segment();
    while (this.stack.output(this.now | 0) > 0) {
      const { tx } = this.stack;
      for (let i = 0; i < tx.count; i++) {
        ip.load(tx.bytes, tx.offsetOf(i), tx.lengthOf(i));
        if (segment.load(ip, true) !== 0) throw new Error('the stack sent a bad segment');
        if ((segment.flags & SYN) !== 0) this.ourIss ??= segment.seq >>> 0;
        const text = describeSegment(segment, { seq: this.ourIss ?? 0, ack: this.peerIss });
        this.said.push(this.ecn ? { ...text, ip: { ecn: segment.tos & 3 } } : text);
      }
      tx.clear();
    }
  }

  /** The next segment of the stack, as written; '' when it said nothing. */
  take(): string {
    const next = this.said.shift();
    return next === undefined ? '' : formatNotation(next);
  }

  /** '' when the next segment is the expected one, else what is wrong. */
  mismatch(expected: string): string {
    const next = this.said.shift();
    if (next === undefined) return `nothing, expected ${expected}`;
    const wanted = parseNotation(expected);
    if ('error' in wanted) throw new SyntaxError(`${expected}: ${wanted.error}`);
    const seen = formatNotation({
      ...(wanted.ip === undefined ? {} : { ip: next.ip }),
      flags: next.flags,
      seq: next.seq,
      length: next.length,
      ...(wanted.ack === undefined && next.ack === undefined ? {} : { ack: next.ack }),
      ...(wanted.win === undefined ? {} : { win: next.win }),
      ...(wanted.options === undefined ? {} : { options: next.options }),
    } as SegmentText);
    return seen === formatNotation(wanted) ? '' : `${formatNotation(next)}, expected ${expected}`;
  }

  /** Everything said and not yet taken. */
  rest(): string[] {
    const all = this.said.map((segment) => formatNotation(segment));
    this.said = [];
    return all;
  }

  /** The same as segments. */
  segments(): SegmentText[] {
    const all = this.said;
    this.said = [];
    return all;
  }

  /** First sequence numbers of everything said and not yet taken, counted from `from`. */
  starts(from = 1): number[] {
    return this.segments().map(({ seq }) => seq - from);
  }

  get info(): TcpInfo {
    return this.stack.tcpInfo(this.user!);
  }

  /** State of the conversation's tuple as ss would show it: 'CLOSED' when there is none. */
  get state(): string {
    const rows = this.stack.sockets().filter((row) => row.remote?.port === this.peerPort);
    return rows[0]?.state ?? 'CLOSED';
  }

  read(): string {
    let text = '';
    for (let piece = this.stack.read(this.user!); piece !== null; piece = this.stack.read(this.user!)) {
      text += Buffer.from(piece).toString('latin1');
    }
    this.collect();
    return text;
  }

  send(bytes: number | Uint8Array): void {
    this.stack.send(this.user!, typeof bytes === 'number' ? new Uint8Array(bytes).fill(98) : bytes);
    this.collect();
  }

  shutdown(): void {
    this.stack.shutdown(this.user!);
    this.collect();
  }

  close(): void {
    this.stack.close(this.user!);
    this.collect();
  }
}

/** SACK blocks count in our sequence numbers. */
function shiftSack(option: OptionText, by: number): OptionText {
  if (option.kind !== 'sack') return option;
  return {
    kind: 'sack',
    blocks: option.blocks.map(([left, right]) => [(left + by) % U32, (right + by) % U32] as const),
  };
}

/** SEG.SEQ of our SYN when a conversation starts at `start`. */
function issAt(start: number, client: boolean, v6: boolean): number {
  const c = new Conversation({ start, v6 });
  if (client) c.connect();
  else {
    c.listen();
    c.inject('S 0:0(0) win 100');
  }
  return c.ourIss!;
}

const nearWrap = new Map<string, number>();

/** A start for which our initial sequence number is one of the last two: RFC 6528's clock adds 250 in a ms. */
export function startNearWrap(client: boolean, v6: boolean): number {
  const key = `${client} ${v6}`;
  const known = nearWrap.get(key);
  if (known !== undefined) return known;
  const missing = BigInt(U32 - 1 - issAt(0, client, v6)) >> 1n;
  // 125 has an inverse modulo 2^31: its own power 2^29 - 1.
  const half = 2n ** 31n;
  let inverse = 1n;
  for (let bit = 0, power = 125n; bit < 29; bit++, power = (power * power) % half)
    inverse = (inverse * power) % half;
  const start = Number((missing * inverse) % half);
  nearWrap.set(key, start);
  return start;
}
