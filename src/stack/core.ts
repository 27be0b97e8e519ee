/**
 * What the parts of one stack share: tables, keys, limits, work lists. The other files
 * of this folder are functions over it; `Stack` is the face.
 *
 * Memory: connections by knob tcp_max_connections, TIME-WAIT records by the policy's
 * capacity, half-open ones by the listeners' backlogs, logs by LOG_LIMIT, path MTUs by
 * PATH_LIMIT.
 */
import { Counters } from '../mib.js';
import { reasonLimit } from '../reasons.js';
import { TcpContext } from '../tcp/context.js';
import { dialects } from '../tcp/dialect.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { TimerWheel } from '../time/wheel.js';
import { Blocks } from '../timewait/blocks.js';
import { HostCache } from '../timewait/host-cache.js';
import type { Policy, RecordFacts } from '../timewait/policy.js';
import type { RecordCursor } from '../timewait/table.js';
import { TimeWaitTable } from '../timewait/table.js';
import { sharesPrefix, type Address } from '../wire/address.js';
import { IpHeader } from '../wire/ip.js';
import { LARGEST_SLOT, PacketRing } from '../wire/ring.js';
import { Segment } from '../wire/segment.js';
import type { OwnsTuple, StackOptions } from './api.js';
import { FastOpen } from './cookies.js';
import { DecisionLog } from './decisions.js';
import { Familiar } from './familiar.js';
import { FirstNumbers } from './first-numbers.js';
import { FlowTable, RECORD } from './flow-table.js';
import { Knobs } from './knobs.js';
import type { Listener } from './listener.js';
import { listenerFor } from './listeners.js';
import { HookContext } from './hook-context.js';
import { PortUsers } from './port-users.js';
import { PortPicker } from './ports.js';
import { KeyedRandom, deriveKey } from './random.js';
import { Settings } from './settings.js';
import { SipHash, TupleHash } from './siphash.js';
import { SynBudget } from './syn-budget.js';
import { SynCookies } from './syn-cookies.js';

export { RECORD };

/** Path MTUs remembered at most. */
export const PATH_LIMIT = 256;

export interface LocalAddress {
  readonly address: Address;
  readonly prefix: number;
}

export class Core {
  readonly counters = new Counters();
  readonly reasonCounts = new Float64Array(reasonLimit);
  readonly knobs = new Knobs();
  readonly settings = new Settings();
  readonly random: KeyedRandom;
  readonly numbers: FirstNumbers;
  readonly portHash: SipHash;
  readonly ports: PortPicker;
  readonly tx: PacketRing;
  readonly ctx: TcpContext;
  readonly flows: FlowTable;
  readonly records: TimeWaitTable;
  readonly record: RecordCursor;
  readonly hosts: HostCache;
  readonly hooks: HookContext;
  readonly fastOpen: FastOpen;
  readonly synCookies: SynCookies;
  readonly synBudget: SynBudget;
  readonly log = new DecisionLog();
  readonly ip = new IpHeader();
  readonly segment = new Segment();
  readonly familiar = new Familiar();
  readonly addresses: LocalAddress[];
  readonly mtu: number;
  /** Path MTU by remote address, when lower than the link's, and when that has grown old. */
  readonly paths = new Map<string, { readonly mtu: number; readonly until: number }>();

  /** Records whose time is over are still in the table: an expiry was done in part. */
  overdue = false;

  /** Connections by id; freed ids are used again. */
  readonly tcbs: (Tcb | null)[] = [];
  readonly freeIds: number[] = [];
  connections = 0;
  orphans = 0;
  serial = 0;
  readonly portUsers = new PortUsers();
  readonly listeners = new Map<number, Listener[]>();
  readonly reservedPorts: ReadonlySet<number>;
  readonly owns: OwnsTuple | null;
  readonly raisedListeners: Listener[] = [];
  /** Echo replies sent in the present second (knob icmp_ratelimit). */
  icmpWindow = 0;
  icmpCount = 0;
  /** The address that `isNear` is asked about. */
  private readonly far = new Int32Array(4);
  private rules: Policy;
  /**
   * segmentArrives of `rules`, bound: in a process of one profile V8 calls it directly, and may inline it.
   * Looked up through the policy, it costs about 10 ns more once other profiles have run (measured, bench/verdict.ts).
   */
  private hook: Policy['segmentArrives'];

  constructor(options: StackOptions, addresses: LocalAddress[], policy: Policy) {
    const { seed, now } = options;
    const hostSeed = options.hostSeed ?? seed;
    this.owns = options.owns ?? null;
    this.rules = policy;
    this.hook = policy.segmentArrives.bind(policy);
    this.addresses = addresses;
    this.mtu = options.mtu;
    this.reservedPorts = new Set(options.reservedPorts);
    this.random = new KeyedRandom(seed);
    this.portHash = new SipHash(deriveKey(seed, 2));
    this.fastOpen = new FastOpen(deriveKey(hostSeed, 6));
    this.synCookies = new SynCookies(seed);
    this.synBudget = new SynBudget(deriveKey(seed, 9));
    this.ports = new PortPicker(this.random);
    const offload = options.offload ?? false;
    const slot = offload ? LARGEST_SLOT : Math.max(2048, 1 << Math.ceil(Math.log2(options.mtu)));
    this.tx = new PacketRing(options.txSlots ?? 256, slot, offload && (options.gather ?? false));
    this.ctx = new TcpContext(this.counters, this.tx, new TimerWheel(now));
    this.ctx.builder.offload = offload;
    if (options.allocate !== undefined) this.ctx.chunks.allocate = options.allocate;
    this.ctx.now = now;
    this.ctx.config.linkMtu = options.mtu;
    this.numbers = new FirstNumbers(hostSeed, this.ctx, this.settings, this.random);
    const blocks = new Blocks(options.discard);
    this.records = new TimeWaitTable(now, this, undefined, blocks);
    this.record = this.records.cursor();
    const hostHash = new TupleHash(deriveKey(seed, 5));
    this.hosts = new HostCache((w0, w1, w2, w3) => hostHash.of(w0, w1, w2, w3, 0, 0, 0, 0, 0, 0));
    this.flows = new FlowTable(deriveKey(seed, 4), this, blocks);
    this.hooks = new HookContext(this);
  }

  get policy(): Policy {
    return this.rules;
  }

  set policy(policy: Policy) {
    this.rules = policy;
    this.hook = policy.segmentArrives.bind(policy);
  }

  /** The policy's verdict on a segment for the record. */
  judge(record: RecordFacts, segment: Segment): number {
    return this.hook(record, segment, this.hooks.about(segment));
  }

  /** TimeWaitTable's questions. */
  flowHash(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): number {
    return this.flows.hashOf(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
  }

  stampOffset(
    ofHosts: boolean,
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): number {
    return this.numbers.constant(ofHosts, l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
  }

  /** FlowTable's questions: does this handle belong to the tuple, and what is its tuple's hash? */
  hashOf(handle: number): number {
    return (handle & RECORD) !== 0 ? this.records.hashOf(handle & ~RECORD) : this.tcbs[handle]!.hash;
  }

  sameTuple(
    handle: number,
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): boolean {
    if ((handle & RECORD) !== 0) {
      if (this.overdue && this.records.isOver(handle & ~RECORD, this.ctx.now)) return false;
      return this.records.sameTuple(handle & ~RECORD, l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
    }
    const t = this.tcbs[handle]!;
    return (
      t.remote3 === r3 &&
      t.remotePort === remotePort &&
      t.localPort === localPort &&
      t.local3 === l3 &&
      t.remote2 === r2 &&
      t.local2 === l2 &&
      t.remote1 === r1 &&
      t.local1 === l1 &&
      t.remote0 === r0 &&
      t.local0 === l0
    );
  }

  /** The time of this turn. An empty wheel follows the clock, so that deadlines stay within reach after any pause. */
  setTime(now: number): void {
    this.ctx.now = now;
    this.ctx.wheel.sync(now);
    this.records.sync(now);
  }

  /** Takes a new connection into the tables. Its tuple and hash are set. */
  attach(tcb: Tcb): void {
    const id = this.freeIds.pop() ?? this.tcbs.length;
    this.tcbs[id] = tcb;
    tcb.id = id;
    tcb.serial = ++this.serial;
    this.ctx.wheel.ensure(id);
    this.flows.insert(tcb.hash, id);
    this.connections++;
    this.portUsers.add(tcb);
  }

  /** Takes a connection out of the tables; the flow entry goes unless a record took its place. */
  detach(tcb: Tcb, replacement: number): void {
    if (tcb.id < 0) return;
    if (replacement >= 0) this.flows.replace(tcb.hash, tcb.id, replacement);
    else this.flows.remove(tcb.hash, tcb.id);
    this.ctx.wheel.cancel(tcb.id);
    this.familiar.remove(tcb);
    this.tcbs[tcb.id] = null;
    this.freeIds.push(tcb.id);
    tcb.id = -1;
    this.connections--;
    this.portUsers.remove(tcb);
    if (tcb.orphan) this.orphans--;
    if (tcb.earlyFrom !== null) (tcb.earlyFrom as Listener).settled(tcb, false, this.ctx.now);
    if (tcb.halfOpen || tcb.released) this.discard(tcb);
    if (tcb.halfOpen) {
      tcb.halfOpen = false;
      const listener = tcb.owner as Listener | null;
      if (listener !== null) listener.halfOpen--;
    }
  }

  /** The peer has answered what only its address was sent. */
  prove(tcb: Tcb): void {
    this.synBudget.peers.prove(tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3, this.ctx.now);
  }

  /** Nobody will read any more: what was received leaves the memory account. */
  discard(tcb: Tcb): void {
    tcb.receiveQueue.clear();
    this.ctx.charge(tcb);
  }

  /** The listener that a segment without a connection belongs to. */
  listenerFor(segment: Segment): Listener | null {
    const list = this.listeners.get(segment.dstPort);
    return list === undefined ? null : listenerFor(list, this.flows, segment);
  }

  isLocal(w0: number, w1: number, w2: number, w3: number): boolean {
    for (const { address } of this.addresses) {
      const w = address.words;
      if (w[3] === w3 && w[2] === w2 && w[1] === w1 && w[0] === w0) return true;
    }
    return false;
  }

  /** A subnet of ours has this address. */
  isNear(w0: number, w1: number, w2: number, w3: number): boolean {
    const other = this.far;
    other[0] = w0;
    other[1] = w1;
    other[2] = w2;
    other[3] = w3;
    for (const { address, prefix } of this.addresses)
      if (sharesPrefix(address.words, other, address.family === 4 ? prefix + 96 : prefix)) return true;
    return false;
  }

  /** Counts a decision and, while tracing, keeps it. */
  decide(reason: number, stateNumber: number, segment: Segment | null): number {
    this.reasonCounts[reason]! += 1;
    if (reason !== 0 && this.log.on && segment !== null) {
      this.log.decision(this.ctx.now, segment, reason, S.stateNames[stateNumber]!);
    }
    return reason;
  }

  /** What the knobs say, where it is asked often. */
  refresh(): void {
    this.settings.refresh(this.knobs);
    const k = (name: string): number => this.knobs.get(name);
    const c = this.ctx.config;
    c.dialect = dialects[k('timewait_dialect')]!;
    this.ctx.builder.scaleFirst = c.dialect.scaleFirst;
    c.timestamps = k('net.ipv4.tcp_timestamps') !== 0;
    c.resetTimestamps = c.timestamps && k('net.ipv4.tcp_reset_timestamps') !== 0;
    c.sack = k('net.ipv4.tcp_sack') !== 0;
    c.dsack = k('net.ipv4.tcp_dsack') !== 0;
    c.congestion = k('net.ipv4.tcp_congestion_control');
    c.initialWindow = k('net.ipv4.tcp_init_cwnd');
    c.slowStartLimit = k('net.inet.tcp.abc_l_var');
    const idle = k('net.ipv4.tcp_slow_start_after_idle');
    c.idleRestart = idle === 1 && c.dialect.decaysWhenIdle ? 2 : idle;
    c.rack = (k('net.ipv4.tcp_recovery') & 1) !== 0;
    c.probes = c.rack && k('net.ipv4.tcp_early_retrans') >= 3;
    c.pacing = k('tcp_pacing') !== 0;
    c.pacingSlowStart = k('net.ipv4.tcp_pacing_ss_ratio');
    c.pacingAvoidance = k('net.ipv4.tcp_pacing_ca_ratio');
    c.frto = k('net.ipv4.tcp_frto') !== 0;
    c.compressMost = k('net.ipv4.tcp_comp_sack_nr');
    c.compressDelay = k('net.ipv4.tcp_comp_sack_delay_ns') / 1e6;
    c.compressSlack = k('net.ipv4.tcp_comp_sack_slack_ns') / 1e6;
    c.reordering = k('net.ipv4.tcp_reordering');
    c.forgetSack = k('net.ipv4.tcp_keep_sack') === 0;
    c.negotiatesHolder = this.policy.negotiatesHolder;
    c.windowScaling = k('net.ipv4.tcp_window_scaling') !== 0;
    c.ecn = k('net.ipv4.tcp_ecn');
    c.ecnFallback = k('net.ipv4.tcp_ecn_fallback') !== 0;
    c.rtoInit = k('net.ipv4.tcp_rto_init');
    c.rtoMin = k('net.ipv4.tcp_rto_min');
    c.rtoMax = k('net.ipv4.tcp_rto_max');
    c.delack = k('net.ipv4.tcp_delack');
    c.acksBatches = k('tcp_ack_batch') !== 0;
    c.synRetries = k('net.ipv4.tcp_syn_retries');
    c.synLinear = k('net.ipv4.tcp_syn_linear_timeouts');
    c.synAckRetries = k('net.ipv4.tcp_synack_retries');
    c.retries = k('net.ipv4.tcp_retries2');
    c.orphanRetries = k('net.ipv4.tcp_orphan_retries') || 8;
    c.keepIdle = 1000 * k('net.ipv4.tcp_keepalive_time');
    c.keepInterval = 1000 * k('net.ipv4.tcp_keepalive_intvl');
    c.keepProbes = k('net.ipv4.tcp_keepalive_probes');
    c.userTimeout = k('net.ipv4.tcp_user_timeout');
    c.utoEnabled = k('tcp_user_timeout_option') !== 0;
    c.utoLeast = k('tcp_user_timeout_option.min');
    c.utoMost = k('tcp_user_timeout_option.max');
    c.finTimeout = 1000 * k('net.ipv4.tcp_fin_timeout');
    c.challengeLimit = k('net.ipv4.tcp_challenge_ack_limit');
    c.challengePeriod = k('net.ipv4.tcp_challenge_ack_period');
    c.invalidRatelimit = k('net.ipv4.tcp_invalid_ratelimit');
    c.maxRanges = k('net.ipv4.tcp_max_reassembly');
    c.mtuExpires = 1000 * k('net.ipv4.route.mtu_expires');
    c.pathDiscovery = k('net.ipv4.ip_no_pmtu_disc') === 0;
    c.mtuProbing = k('net.ipv4.tcp_mtu_probing');
    c.baseMss = k('net.ipv4.tcp_base_mss');
    c.probeFloor = k('net.ipv4.tcp_mtu_probe_floor');
    c.minMss = k('net.ipv4.tcp_min_snd_mss');
    c.probeInterval = 1000 * k('net.ipv4.tcp_probe_interval');
    c.probeThreshold = k('net.ipv4.tcp_probe_threshold');
    c.retries1 = k('net.ipv4.tcp_retries1');
    c.urgentAtLast = k('net.ipv4.tcp_stdurg') !== 0;
    c.ttl = k('net.ipv4.ip_default_ttl');
    c.sendBuffer = k('net.ipv4.tcp_wmem');
    c.sendBufferMax = k('net.ipv4.tcp_wmem.max');
    c.notsentLowat = k('net.ipv4.tcp_notsent_lowat');
    c.minBurst = k('net.ipv4.tcp_min_tso_segs');
    c.receiveBuffer = k('net.ipv4.tcp_rmem');
    c.initialOffer = k('net.ipv4.tcp_init_rwnd');
    c.receiveBufferMax = k('net.ipv4.tcp_rmem.max');
    c.moderateReceive = k('net.ipv4.tcp_moderate_rcvbuf') !== 0;
    c.memory = k('net.ipv4.tcp_mem');
  }

  count(id: number): void {
    this.counters.bump(id);
  }
}
