/**
 * What NAT and balancer have in common: flows that are remembered, a source port of
 * our own for each, packets rewritten in place both ways. Sans I/O and deterministic:
 * packets and the time go in, the same seed gives the same ports.
 *
 * Memory: `limit` flows and what flows.ts says of each; nothing per packet.
 */
import { Prng } from '../link/prng.js';
import { formatWords, parseAddress, type Address } from '../wire/address.js';
import {
  CLOSE,
  ECHOING,
  LAST,
  PASS_UNHEARD,
  REFUSE,
  REOPEN,
  SYN_SENT,
  TIME_WAIT,
  begin,
  closingStates,
  firstState,
  openingStates,
  stateNames,
  timeoutsOf,
  timerOf,
  track,
  type ConntrackTimers,
} from './conntrack.js';
import { Flow, FlowTable, OUTSIDE, type Tuple } from './flows.js';
import { ECHO, ECHO_REPLY, Ends, NOTHING, Packet, SEGMENT, TCP } from './packet.js';

/**
 * The source port a new flow gets. preserve: its own when that lies in the range and is free for
 * this destination, else sequential. sequential: the next one, round and round. random: from a
 * random one on.
 */
export type PortChoice = 'preserve' | 'sequential' | 'random';

/**
 * keep: as real NATs do. rewrite: every flow is moved into the translator's own clock, which ticks
 * in ms. strip: the option is overwritten with no-operations, both ways.
 */
export type TimestampMode = 'keep' | 'rewrite' | 'strip';

export interface TranslatorOptions {
  /** Ports handed out, both included; default [1024, 65535]. */
  readonly ports?: readonly [low: number, high: number];
  readonly timestamps?: TimestampMode;
  /** ms; what is left out is as on Linux. */
  readonly timers?: Partial<ConntrackTimers>;
  /** Flows at most; default 65536. */
  readonly limit?: number;
  /** Segments in the middle of an unknown connection begin a flow (nf_conntrack_tcp_loose); default true. */
  readonly loose?: boolean;
  /** int32. */
  readonly seed: number;
  /** int32 ms; all later times are on the same clock. */
  readonly now: number;
}

export interface TranslatorCounters {
  /** Packets rewritten. */
  translated: number;
  /** From the outside, and no flow has their ports. */
  unmapped: number;
  /** Packets of a known flow, or without one, that no connection sends: not rewritten. */
  invalid: number;
  /** Neither TCP nor ICMP, fragments, cut or of a version without an address here: not rewritten. */
  other: number;
  /** New flows, and those whose time was over. */
  opened: number;
  expired: number;
  /** A closed flow whose ends began again. */
  reopened: number;
  /** Ports tried and found in use. */
  clashes: number;
  /** Dead flows that lost their port to a new one with a higher sequence number. */
  reclaimed: number;
  /** Flows dropped early because the limit was reached. */
  evicted: number;
  /** New flows refused: nothing to evict, or no port to be had. */
  full: number;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** One flow, for people. */
export interface FlowRow {
  /** As `conntrack -L` calls it. */
  readonly state: string;
  readonly protocol: 'tcp' | 'icmp';
  /** The inside, or the side the client came from. */
  readonly side: number;
  /** Who began, and to whom it spoke. */
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** The same packets after translation. */
  readonly newSource: Endpoint;
  readonly newDestination: Endpoint;
  /** ms until it is forgotten. */
  readonly left: number;
}

/** One in every round of tries for a port (nf_nat_core.c): then half as many from another place. */
const TRIES = 128;
const FEWEST_TRIES = 16;
/** In the last tries a dead flow may be pushed out of its port. */
const HARDER = 32;
const DEFAULT_LIMIT = 65_536;

export abstract class Translator {
  readonly counters: TranslatorCounters = {
    translated: 0,
    unmapped: 0,
    invalid: 0,
    other: 0,
    opened: 0,
    expired: 0,
    reopened: 0,
    clashes: 0,
    reclaimed: 0,
    evicted: 0,
    full: 0,
  };
  protected readonly packet = new Packet();
  private readonly table: FlowTable;
  private readonly timeouts: readonly number[];
  private readonly limit: number;
  private readonly low: number;
  private readonly range: number;
  private readonly prng: Prng;
  private readonly timestamps: TimestampMode;
  private readonly loose: boolean;
  /** Where the sequential choice goes on. */
  private cursor = 0;
  /** The translator's own timestamp clock minus the time. */
  private readonly clockBase: number;

  /** Throws RangeError with one line for options out of range. */
  constructor(
    options: TranslatorOptions,
    private readonly choice: PortChoice,
  ) {
    const [low, high] = options.ports ?? [1024, 65_535];
    if (!Number.isInteger(low) || !Number.isInteger(high) || low < 1 || high > 65_535 || low > high)
      throw new RangeError(`ports: [${low}, ${high}]; allowed is a range within 1..65535`);
    const limit = options.limit ?? DEFAULT_LIMIT;
    if (!Number.isInteger(limit) || limit < 1 || limit > 2 ** 22)
      throw new RangeError(`limit: ${limit}; allowed are 1 to 4194304 flows`);
    this.low = low;
    this.range = high - low + 1;
    this.limit = limit;
    this.timeouts = timeoutsOf(options.timers ?? {});
    this.table = new FlowTable(this.timeouts);
    this.timestamps = options.timestamps ?? 'keep';
    this.loose = options.loose ?? true;
    this.prng = new Prng(options.seed);
    this.clockBase = (this.prng.next() - options.now) | 0;
  }

  /** Flows remembered. Those whose time is over count until the next packet. */
  get size(): number {
    return this.table.size;
  }

  /** Forgets what is over. Packets do that too; it is for those who look without sending. */
  expire(now: number): void {
    this.counters.expired += this.table.expire(now | 0);
  }

  flows(now: number): FlowRow[] {
    this.expire(now);
    return Array.from(this.table, (flow) => this.row(flow, now | 0));
  }

  private row(flow: Flow, now: number): FlowRow {
    const { original, reply } = flow;
    return {
      state: stateNames[flow.state]!,
      protocol: original.protocol === TCP ? 'tcp' : 'icmp',
      side: original.realm,
      source: sourceOf(original),
      destination: destinationOf(original),
      newSource: destinationOf(reply),
      newDestination: sourceOf(reply),
      left: this.table.left(flow, now),
    };
  }

  /** Fills in the addresses of the way back for a new flow, the port apart; false: this one is not served. */
  protected abstract answer(flow: Flow, reply: Tuple): boolean;

  /** What the timestamps of this side's flows are moved by. */
  protected shiftOf(_side: number): number {
    return 0;
  }

  /** A packet that goes the way flows begin. The flow it belongs to now, rewritten; null: untouched. */
  protected forward(
    side: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    now: number,
  ): Flow | null {
    const { packet, counters } = this;
    now |= 0;
    this.expire(now);
    const kind = packet.load(bytes, offset, length);
    if (kind === NOTHING) {
      counters.other++;
      return null;
    }
    const tuple = this.table.find(side, packet.ends);
    let flow = tuple === null ? null : tuple.flow;
    if (flow !== null && kind === SEGMENT) {
      const verdict = this.advance(flow, 0, now);
      if (verdict === REFUSE) return null;
      if (verdict === REOPEN) flow = null;
    } else if (flow !== null && kind === ECHO) {
      this.table.touch(flow, ECHOING, now);
    }
    flow ??= this.open(side, now);
    if (flow === null) return null;
    this.rewrite(flow, 0, now);
    return flow;
  }

  /** A packet that goes back. The flow it belongs to, rewritten; null: untouched. */
  protected backward(bytes: Uint8Array, offset: number, length: number, now: number): Flow | null {
    const { packet, counters } = this;
    now |= 0;
    this.expire(now);
    const kind = packet.load(bytes, offset, length);
    if (kind === NOTHING) {
      counters.other++;
      return null;
    }
    const tuple = this.table.find(OUTSIDE, packet.ends);
    if (tuple === null) {
      counters.unmapped++;
      return null;
    }
    const { flow } = tuple;
    if (kind === SEGMENT) {
      const verdict = this.advance(flow, 1, now);
      if (verdict === REOPEN) counters.unmapped++;
      if (verdict === REFUSE || verdict === REOPEN) return null;
    } else if (kind === ECHO_REPLY) {
      flow.replied = true;
      this.table.touch(flow, ECHOING, now);
    }
    this.rewrite(flow, 1, now);
    return flow;
  }

  /** Moves the flow's state and timer; a flow that is over is gone afterwards. */
  private advance(flow: Flow, direction: 0 | 1, now: number): number {
    const verdict = track(flow, direction, this.packet);
    if (verdict === REFUSE) this.counters.invalid++;
    else if (verdict === REOPEN) {
      this.counters.reopened++;
      this.table.remove(flow);
    } else if (verdict === LAST) this.table.remove(flow);
    else if (verdict !== PASS_UNHEARD) this.table.touch(flow, timerOf(flow, this.timeouts), now);
    return verdict;
  }

  /** A new flow for the packet; null and counted when it begins none or there is no room. */
  private open(side: number, now: number): Flow | null {
    const { packet, counters, table } = this;
    const isSegment = packet.kind === SEGMENT;
    const state = isSegment ? firstState(packet.flags, this.loose) : packet.kind === ECHO ? ECHOING : 0;
    if (state === 0) {
      counters.invalid++;
      return null;
    }
    const flow = new Flow();
    flow.original.copy(packet.ends);
    flow.original.realm = side;
    flow.reply.reverse(packet.ends);
    if (!this.answer(flow, flow.reply)) {
      counters.other++;
      return null;
    }
    if (!this.makeRoom(now) || !this.choosePort(flow)) {
      counters.full++;
      return null;
    }
    flow.shift = this.shiftOf(side);
    flow.shifted = this.timestamps !== 'rewrite';
    if (isSegment) begin(flow, state, packet);
    else flow.state = state;
    table.insert(flow, isSegment ? timerOf(flow, this.timeouts) : ECHOING, now);
    counters.opened++;
    return flow;
  }

  /** At the limit a closing flow gives way, then one that never opened; the one heard of longest ago of each. */
  private makeRoom(now: number): boolean {
    const { table } = this;
    if (table.size < this.limit) return true;
    const victim = table.oldest(closingStates, now) ?? table.oldest(openingStates, now);
    if (victim === null) return false;
    table.remove(victim);
    this.counters.evicted++;
    return true;
  }

  /** Gives the way back its port. */
  private choosePort(flow: Flow): boolean {
    const { low, range, prng, counters } = this;
    const { reply } = flow;
    if (this.choice === 'preserve') {
      const own = flow.original.srcPort;
      reply.dstPort = own;
      if (own >= low && own < low + range) {
        if (this.usable(reply, false)) return true;
        counters.clashes++;
      }
    }
    let start = this.choice === 'random' ? prng.below(range) : this.cursor;
    for (let tries = Math.min(range, TRIES); ; tries >>= 1) {
      for (let i = 0; i < tries; i++) {
        const place = (start + i) % range;
        reply.dstPort = low + place;
        if (this.usable(reply, tries - i <= HARDER)) {
          this.cursor = (place + 1) % range;
          return true;
        }
        counters.clashes++;
      }
      if (tries >= range || tries < FEWEST_TRIES) return false;
      start = prng.below(range);
    }
  }

  /** Whether nobody has this way back; a dead flow is pushed out of it when we try harder. */
  private usable(reply: Tuple, harder: boolean): boolean {
    const taken = this.table.find(OUTSIDE, reply);
    if (taken === null) return true;
    const { packet } = this;
    // The test of a BSD listener: the server would take the SYN for a new connection.
    const dead = taken.flow.state === TIME_WAIT || taken.flow.state === CLOSE;
    const opens = packet.kind === SEGMENT && firstState(packet.flags, false) === SYN_SENT;
    if (!harder || !dead || !opens || ((packet.end - taken.flow.sides[0].end) | 0) <= 0) return false;
    this.table.remove(taken.flow);
    this.counters.reclaimed++;
    return true;
  }

  private rewrite(flow: Flow, direction: 0 | 1, now: number): void {
    const { packet } = this;
    this.target.reverse(direction === 0 ? flow.reply : flow.original);
    packet.rewrite(this.target);
    this.counters.translated++;
    if (packet.kind !== SEGMENT) return;
    if (this.timestamps === 'strip') packet.stripTimestamp();
    else if (direction === 0) this.shiftForward(flow, now);
    else if (flow.shifted) packet.shiftTsEcr(-flow.shift | 0);
  }

  private readonly target = new Ends();

  private shiftForward(flow: Flow, now: number): void {
    const { packet } = this;
    if (!flow.shifted) {
      const tsVal = packet.tsVal;
      if (tsVal === null) return;
      flow.shift = (now + this.clockBase - tsVal) | 0;
      flow.shifted = true;
    }
    packet.shiftTsVal(flow.shift);
  }
}

function sourceOf(ends: Ends): Endpoint {
  return { address: formatWords(ends.src0, ends.src1, ends.src2, ends.src3), port: ends.srcPort };
}

function destinationOf(ends: Ends): Endpoint {
  return { address: formatWords(ends.dst0, ends.dst1, ends.dst2, ends.dst3), port: ends.dstPort };
}

/** An address from text or as it is. Throws RangeError, one line. */
export function addressOf(what: string, value: Address | string): Address {
  if (typeof value !== 'string') return value;
  const parsed = parseAddress(value);
  if (parsed === null) throw new RangeError(`${what}: '${value}' is no IPv4 or IPv6 address`);
  return parsed;
}

/** IPv4, held mapped, or IPv6. */
export function familyOf(ends: Ends): 4 | 6 {
  return ends.src0 === 0 && ends.src1 === 0 && ends.src2 === 0xffff ? 4 : 6;
}
