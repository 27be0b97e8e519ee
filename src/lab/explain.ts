/**
 * A capture of some machine, judged by a policy: once the connection of one end has come
 * into TIME-WAIT there, a stack with the policy is given the same record and then every
 * segment that the machine received, at the same times; what it answers stands beside
 * what the machine did.
 *
 * The two stories run apart where one of them lets a new connection begin and the other
 * does not. What the peer sends from there on it would not have sent in the other story,
 * so judging rests until the machine comes into TIME-WAIT again.
 */
import { reasonComment } from '../reasons.js';
import type { TimeWaitEntry } from '../stack/api.js';
import type { Policy } from '../stack/policies.js';
import { Stack } from '../stack/stack.js';
import { stretchAt, turned, type Exchange, type Seen } from '../view/exchange.js';
import { formatSpan } from '../view/ladder.js';
import { Observed, type Side } from '../view/observe.js';
import { isLoopback, parseAddress, type Address } from '../wire/address.js';
import { IpHeader } from '../wire/ip.js';
import type { SegmentText } from '../wire/notation.js';
import { buildPacket } from '../wire/notation-packet.js';
import { ACK, RST, SYN, Segment } from '../wire/segment.js';

/** What a segment was answered with. */
export type Answer = 'SYN,ACK' | 'ACK' | 'RST' | 'data' | 'nothing';

export interface Verdict {
  /** A record of the policy stood when the segment came; false: its time was over, or it was gone. */
  readonly record: boolean;
  readonly would: Answer;
  /** `id: text [source]`, '' for the plain path. */
  readonly reason: string;
  readonly shows: Answer;
  /** From here on the stories differ: nothing is judged until the next TIME-WAIT. */
  readonly apart: boolean;
}

export interface Entry {
  /** How long the policy keeps this TIME-WAIT, ms; null: it keeps none. */
  readonly lifetime: number | null;
}

export interface Judgement {
  readonly policy: string;
  /** Its local end is the one that holds TIME-WAIT. */
  readonly exchange: Exchange;
  /** By place in `exchange.seen`. */
  readonly entries: ReadonlyMap<number, Entry>;
  readonly verdicts: ReadonlyMap<number, Verdict>;
  /** SYNs of the judged end itself onto its own TIME-WAIT: nothing is judged from there to the next one. */
  readonly opens: ReadonlySet<number>;
}

export interface JudgeOptions {
  /** A name, or a policy of the user's own (guarded, or trusted). */
  readonly policy: string | Policy;
  readonly knobs: readonly { readonly name: string; readonly value: number }[];
  /** The local end is the one to judge, whoever closed first. Default: the end that comes into TIME-WAIT first. */
  readonly keepSide?: boolean;
}

/** The end that comes into TIME-WAIT first; null when none does. */
export function timeWaitSide(exchange: Exchange): Side | null {
  let observed = new Observed();
  let stretch = 0;
  for (const [i, { segment, inbound, at }] of exchange.seen.entries()) {
    if (stretchAt(exchange, i) !== stretch) {
      stretch = stretchAt(exchange, i);
      observed = new Observed();
    }
    if (segment === null) continue;
    observed.take(segment, inbound, at);
    if (observed.timeWaitAt.local !== null) return 'local';
    if (observed.timeWaitAt.remote !== null) return 'remote';
  }
  return null;
}

/** Nothing is judged where no end comes into TIME-WAIT; else a RangeError for an unknown policy or knob. */
export function judge(exchange: Exchange, options: JudgeOptions): Judgement {
  const holder = timeWaitSide(exchange);
  const oriented = holder === 'remote' && options.keepSide !== true ? turned(exchange) : exchange;
  if (holder !== null) return new Judge(oriented, options).run();
  return {
    policy: typeof options.policy === 'string' ? options.policy : options.policy.name,
    exchange: oriented,
    entries: new Map<number, Entry>(),
    verdicts: new Map<number, Verdict>(),
    opens: new Set<number>(),
  };
}

/** What stands under the packet at `index`, '' for nothing. */
export function judgementText({ policy, entries, verdicts, opens }: Judgement, index: number): string {
  const entry = entries.get(index);
  const verdict = verdicts.get(index);
  const lines: string[] = [];
  if (verdict !== undefined) {
    const { record, would, reason, shows, apart } = verdict;
    const own = would === 'nothing' ? 'would stay silent' : `would answer ${would}`;
    const real = shows === 'nothing' ? 'silence' : shows;
    lines.push(
      would === shows
        ? `${policy} ${own}, as the capture shows`
        : `${policy} ${own}; the capture shows ${real}`,
    );
    if (!record) lines.push('  its TIME-WAIT was gone by then');
    if (reason !== '') lines.push(`  ${reason}`);
    if (apart) lines.push('  from here on the two stories differ: no verdict before the next TIME-WAIT');
  }
  if (opens.has(index))
    lines.push(`its own connect() ends TIME-WAIT here: no packet shows whether ${policy} would allow it`);
  if (entry !== undefined) {
    const { lifetime } = entry;
    lines.push(
      lifetime === null
        ? `the connection is over: ${policy} keeps no TIME-WAIT here`
        : `TIME-WAIT begins: ${policy} keeps it for ${formatSpan(lifetime)}`,
    );
  }
  return lines.join('\n');
}

/** Verdicts, and how many differ from what the machine did. */
export function tally({ verdicts }: Judgement): { judged: number; differ: number } {
  const all = [...verdicts.values()];
  return { judged: all.length, differ: all.filter(({ would, shows }) => would !== shows).length };
}

/** Documentation addresses stand for the real ones: a stack refuses some that captures have (loopback). */
const STANDS_FOR = {
  4: ['192.0.2.1', '198.51.100.1'],
  6: ['2001:db8::1', '2001:db8:1::1'],
} as const;

class Judge {
  private readonly stack: Stack;
  private readonly local: Address;
  private readonly remote: Address;
  private readonly listens: boolean;
  private listener: ReturnType<Stack['listen']> | null = null;
  private observed = new Observed();
  private judging = false;
  private clock = 0;
  private readonly entries = new Map<number, Entry>();
  private readonly verdicts = new Map<number, Verdict>();
  private readonly opens = new Set<number>();

  constructor(
    private readonly exchange: Exchange,
    options: JudgeOptions,
  ) {
    const [ours, theirs] = STANDS_FOR[exchange.family];
    this.local = parseAddress(ours)!;
    this.remote = parseAddress(theirs)!;
    this.stack = new Stack({
      seed: new Uint8Array(32).fill(1),
      addresses: [ours],
      mtu: 1500,
      now: 0,
      txSlots: 16,
    });
    if (typeof options.policy !== 'string') this.stack.usePolicy(options.policy);
    const messages = [
      typeof options.policy === 'string' ? this.stack.setPolicy(options.policy) : null,
      ...options.knobs.map(({ name, value }) => this.stack.setKnob(name, value)),
    ];
    for (const message of messages) if (message !== null) throw new RangeError(message);
    // Somebody listens where somebody answered, or where SYNs go to.
    this.listens = exchange.seen.some(
      ({ segment, inbound }) => segment !== null && inbound && (segment.flags & (SYN | ACK)) === SYN,
    );
  }

  run(): Judgement {
    const { exchange } = this;
    let stretch = 0;
    exchange.seen.forEach((seen, i) => {
      const { segment } = seen;
      if (segment === null) return;
      this.clock = Math.max(this.clock, Math.floor(seen.at - exchange.seen[0]!.at));
      if (this.judging && seen.inbound) this.verdict(segment, i);
      // Its own connect() onto the tuple: mayReopen decides, from what no packet shows (was the port bound?).
      if (this.judging && !seen.inbound && (segment.flags & (SYN | ACK)) === SYN) {
        this.judging = false;
        this.opens.add(i);
      }
      if (stretchAt(exchange, i) !== stretch) {
        stretch = stretchAt(exchange, i);
        this.observed = new Observed();
      }
      const before = this.observed.timeWaitAt.local;
      this.observed.take(segment, seen.inbound, seen.at);
      if (before === null && this.observed.timeWaitAt.local !== null) this.enter(i);
    });
    return {
      policy: this.stack.policyName,
      exchange,
      entries: this.entries,
      verdicts: this.verdicts,
      opens: this.opens,
    };
  }

  /** The record as the machine must have had it. */
  private enter(index: number): void {
    const { stack, observed } = this;
    this.clear();
    const { local, remote } = this.observed;
    const first = this.exchange.seen[0]!.at;
    const kept = stack.enterTimeWait({
      ...this.ends(),
      sndNxt: local.nxt,
      rcvNxt: local.acked,
      rcvWnd: observed.window('local'),
      rcvWscale: Math.max(0, local.shift),
      timestamps: observed.timestamps
        ? {
            recent: remote.tsVal,
            recentAt: Math.floor(remote.tsAt - first) | 0,
            offset: (local.tsVal - Math.floor(local.tsAt - first)) | 0,
          }
        : null,
      rto: rtoAfter(observed.roundTrip ?? 0),
      active: !this.listens,
      localPeer: this.isLocalPeer(),
    });
    const row = stack.sockets().find(({ state }) => state === 'TIME-WAIT');
    this.entries.set(index, { lifetime: kept ? (row?.timerLeft ?? 0) : null });
    this.judging = true;
  }

  private ends(): Pick<TimeWaitEntry, 'local' | 'remote'> {
    const { family, local, remote } = this.exchange;
    return {
      local: { address: this.local.toString(), port: local.port, family },
      remote: { address: this.remote.toString(), port: remote.port, family },
    };
  }

  private isLocalPeer(): boolean {
    const { local, remote } = this.exchange;
    const [w0, w1, w2, w3] = parseAddress(remote.address)?.words ?? [];
    return local.address === remote.address || isLoopback(w0 ?? 0, w1 ?? 0, w2 ?? 0, w3 ?? 0);
  }

  /** The tuple is free again, and somebody listens if somebody does. */
  private clear(): void {
    const { stack, listener, exchange } = this;
    stack.advance(this.clock);
    if (listener !== null && typeof listener !== 'string') stack.closeListener(listener);
    this.answer();
    if (this.listens) this.listener = stack.listen({ port: exchange.local.port, reuseAddress: true });
  }

  private verdict(segment: SegmentText, index: number): void {
    const { stack } = this;
    const { seen } = this.exchange;
    stack.advance(this.clock);
    const record = stack.timeWait.count > 0;
    const packet = this.packet(segment);
    if (packet === null) return;
    const reason = reasonComment(stack.receive(packet, 0, packet.length, this.clock));
    const would = this.answer();
    const shows = shown(seen, index);
    const opens = stack.connections > 0;
    const apart = opens || shows === 'SYN,ACK';
    if (apart) this.judging = false;
    this.verdicts.set(index, {
      record,
      would,
      reason,
      shows,
      apart: apart && opens !== (shows === 'SYN,ACK'),
    });
  }

  /** null: more than a packet holds, as captures of segmentation offload have it. */
  private packet(segment: SegmentText): Uint8Array | null {
    const { local, remote } = this.exchange;
    const ends = { src: this.remote, dst: this.local, srcPort: remote.port, dstPort: local.port };
    try {
      return buildPacket(segment, ends);
    } catch (error) {
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  /** What the stack has to say. */
  private answer(): Answer {
    const { stack } = this;
    const ip = new IpHeader();
    const segment = new Segment();
    let first: Answer = 'nothing';
    while (stack.output(this.clock) > 0) {
      const { tx } = stack;
      for (let i = 0; i < tx.count && first === 'nothing'; i++) {
        if (ip.load(tx.bytes, tx.offsetOf(i), tx.lengthOf(i)) === 0 && segment.load(ip, false) === 0)
          first = kindOf(segment.flags, segment.payloadLength);
      }
      tx.clear();
    }
    return first;
  }
}

function kindOf(flags: number, length: number): Answer {
  if ((flags & RST) !== 0) return 'RST';
  if ((flags & SYN) !== 0) return 'SYN,ACK';
  return length === 0 ? 'ACK' : 'data';
}

/** RFC 6298 2.2 with Linux's least variation of 200 ms: what one round trip makes of the RTO. */
function rtoAfter(roundTrip: number): number {
  return Math.ceil(roundTrip + Math.max(200, 2 * roundTrip));
}

/** What the machine answered segment `index` with: a SYN,ACK for a SYN, else what it sent before it received anything more. */
function shown(seen: readonly Seen[], index: number): Answer {
  const { segment } = seen[index]!;
  const isSyn = ({ flags }: SegmentText): boolean => (flags & (SYN | ACK)) === SYN;
  if (segment !== null && isSyn(segment)) {
    for (let i = index + 1; i < seen.length; i++) {
      const next = seen[i]!;
      if (next.segment === null) continue;
      if (next.inbound && isSyn(next.segment)) break;
      if (!next.inbound && (next.segment.flags & SYN) !== 0 && next.segment.ack === (segment.seq + 1) >>> 0)
        return 'SYN,ACK';
    }
  }
  const next = seen.slice(index + 1, index + 2)[0];
  if (next === undefined || next.inbound || next.segment === null) return 'nothing';
  return kindOf(next.segment.flags, next.segment.length);
}
