/**
 * The engine: many connections, their listeners and TIME-WAIT records, on the
 * addresses of one host. Sans-I/O: bytes and the time go in, bytes, events and the
 * next deadline come out. The order of calls stands in api.ts.
 */
import { Mib, type Counters } from '../mib.js';
import { Reason } from '../reasons.js';
import { isWriteable } from '../tcp/buffers.js';
import { deferred } from '../tcp/defer-accept.js';
import { EV_LINGERED } from '../tcp/events.js';
import { segmentArrives } from '../tcp/input.js';
import { emitReset, output } from '../tcp/output.js';
import { mayTellOfLoss } from '../tcp/sender.js';
import { COMPLETES, requestArrives } from '../tcp/request.js';
import { SEND_ALL, send } from '../tcp/send.js';
import * as S from '../tcp/state.js';
import { LINGER_WAITS, type Tcb } from '../tcp/tcb.js';
import type { Stamp } from '../tcp/stamps.js';
import { timersDue } from '../tcp/timers.js';
import * as user from '../tcp/user.js';
import { warnings } from '../timewait/contradictions.js';
import { findPolicy, policies } from '../timewait/policies/registry.js';
import type { Policy } from '../timewait/policy.js';
import { isBroadcastV4, isLoopback, isMulticast, isUnspecified, parsePrefix } from '../wire/address.js';
import { LOAD_BAD_CHECKSUM, LOAD_BAD_OPTION, LOAD_OK } from '../wire/segment.js';
import { CHECKSUM_OFFLOADED, SEGMENT_SIZE, type PacketRing } from '../wire/ring.js';
import * as active from './active.js';
import type {
  ConnectOptions,
  ConnectionHandle,
  ConnectionOption,
  Decision,
  Errno,
  ListenOptions,
  ListenerHandle,
  ListenerOption,
  Pollable,
  SocketRow,
  StackApi,
  StackOptions,
  StateChange,
  TcpInfo,
  TimeWaitEntry,
} from './api.js';
import { Core, RECORD, type LocalAddress } from './core.js';
import { keysOf, roomOnSyn, setKeys, synAckTold } from './fast-open.js';
import { icmpArrives } from './icmp.js';
import { nearest } from './knobs.js';
import { abort, afterwards, close } from './letting-go.js';
import type { Listener } from './listener.js';
import { doubtPaths } from './path.js';
import { closedState, completed, listenState } from './passive.js';
import { predicted } from './prediction.js';
import { replyReset } from './reply.js';
import { restoreRecord } from './restore.js';
import { setListenOption, setOption } from './socket-options.js';
import { dropOneMore, fromCookie } from './syn-flood.js';
import { sockets, stateCounts, tcpInfo } from './sockets.js';
import {
  dropRecords,
  expireOverdue,
  recordLimit,
  expireRecords,
  makeRoom,
  recordArrives,
  revert,
  settleRevert,
} from './time-wait.js';

const ICMP = 1;
const TCP = 6;
const ICMPV6 = 58;
const DEFAULT_POLICY = 'rfc9293';

export class Stack implements StackApi {
  private readonly core: Core;

  constructor(options: StackOptions) {
    if (options.seed.length !== 32) throw new RangeError(`seed must be 32 bytes, got ${options.seed.length}`);
    const addresses = options.addresses.map((text): LocalAddress => {
      const parsed = parsePrefix(text);
      if (parsed === null) throw new RangeError(`not an address with a prefix length: '${text}'`);
      return parsed;
    });
    this.core = new Core(options, addresses, findPolicy(DEFAULT_POLICY)!);
    this.usePolicy(this.core.policy);
  }

  /** One more address of this host, with prefix length; one that it has already changes nothing. */
  addAddress(text: string): void {
    const parsed = parsePrefix(text);
    if (parsed === null) throw new RangeError(`not an address with a prefix length: '${text}'`);
    const [w0, w1, w2, w3] = parsed.address.words;
    if (this.core.isLocal(w0!, w1!, w2!, w3!)) return;
    this.core.addresses.push(parsed);
    this.core.familiar.clear();
  }

  get tx(): PacketRing {
    return this.core.tx;
  }

  get counters(): Counters {
    return this.core.counters;
  }

  get reasonCounts(): Float64Array {
    return this.core.reasonCounts;
  }

  get policyName(): string {
    return this.core.policy.name;
  }

  /** TIME-WAIT records held, FIN-WAIT-2 orphans kept as records included; and the bytes of their table. */
  get timeWait(): { count: number; memoryBytes: number } {
    expireOverdue(this.core);
    return { count: this.core.records.count, memoryBytes: this.core.records.memoryBytes };
  }

  /** Most TIME-WAIT records at present: the policy's capacity, at most knob timewait_max_records. */
  get timeWaitLimit(): number {
    return recordLimit(this.core);
  }

  /** Live connections, half-open ones included. */
  get connections(): number {
    return this.core.connections;
  }

  get orphans(): number {
    return this.core.orphans;
  }

  /** Bytes in the queues of all connections (bounded by net.ipv4.tcp_mem). */
  get queuedBytes(): number {
    return this.core.ctx.memory;
  }

  /** Timers that run: connections' and records'. */
  get timers(): number {
    return this.core.ctx.wheel.size + this.timeWait.count;
  }

  // ---- packets ----------------------------------------------------------------

  borrow(): void {
    this.core.ctx.loans.open = true;
  }

  settle(): void {
    this.core.ctx.loans.settle();
  }

  receive(bytes: Uint8Array, offset: number, length: number, now: number, offload = 0): number {
    const { core } = this;
    core.setTime(now);
    const plain = core.segment.loadPlain(bytes, offset, length, offload & SEGMENT_SIZE);
    const known = plain ? core.familiar.find(core.segment) : null;
    if (known !== null) return this.familiarArrives(known, offload);
    if (!plain && !core.log.on && core.synBudget.isOneMore(bytes, offset, length, now))
      return dropOneMore(core, bytes, offset);
    const { ip } = core;
    const loaded = ip.load(bytes, offset, length);
    const v6 = ip.version === 6;
    core.count(v6 ? Mib.Ip6InReceives : Mib.IpInReceives);
    if (loaded !== LOAD_OK) {
      core.count(v6 ? Mib.Ip6InHdrErrors : Mib.IpInHdrErrors);
      return core.decide(loaded === LOAD_BAD_CHECKSUM ? Reason['ip-checksum'] : Reason['ip-header'], 0, null);
    }
    core.count((v6 ? Mib.Ip6InNoECTPkts : Mib.IpExtInNoECTPkts) + (ip.tos & 3));
    if (!core.isLocal(ip.dst0, ip.dst1, ip.dst2, ip.dst3)) {
      core.count(v6 ? Mib.Ip6InAddrErrors : Mib.IpInAddrErrors);
      return core.decide(Reason['ip-address'], 0, null);
    }
    // MUST-57, MUST-63
    if (!this.validSource()) {
      core.count(v6 ? Mib.Ip6InAddrErrors : Mib.IpInAddrErrors);
      return core.decide(Reason['ip-source'], 0, null);
    }
    if (ip.sourceRoute) return core.decide(Reason['ip-source-route'], 0, null);
    if (ip.fragment) {
      core.count(Mib.IpReasmReqds);
      return core.decide(Reason['ip-fragment'], 0, null);
    }
    if (ip.protocol === TCP) return this.tcpArrives(plain, offload);
    if (ip.protocol === (v6 ? ICMPV6 : ICMP)) {
      core.count(v6 ? Mib.Ip6InDelivers : Mib.IpInDelivers);
      const reason = icmpArrives(core);
      this.sweepFailed();
      return core.decide(reason, 0, null);
    }
    core.count(v6 ? Mib.Ip6InUnknownProtos : Mib.IpInUnknownProtos);
    return core.decide(Reason['ip-protocol'], 0, null);
  }

  private validSource(): boolean {
    const { ip } = this.core;
    const { src0, src1, src2, src3 } = ip;
    return !(
      isUnspecified(src0, src1, src2, src3) ||
      isMulticast(src0, src1, src2, src3) ||
      isBroadcastV4(src0, src1, src2, src3) ||
      isLoopback(src0, src1, src2, src3) ||
      this.core.isLocal(src0, src1, src2, src3)
    );
  }

  /** `plain`: the segment was read with the packet. `offload`: what the link says of the packet, as in PacketRing. */
  private tcpArrives(plain: boolean, offload: number): number {
    const { core } = this;
    const { segment: s } = core;
    core.count(core.ip.version === 6 ? Mib.Ip6InDelivers : Mib.IpInDelivers);
    const summed = (offload & CHECKSUM_OFFLOADED) === 0;
    const loaded = plain
      ? summed && !s.verify()
        ? LOAD_BAD_CHECKSUM
        : LOAD_OK
      : s.load(core.ip, summed, offload & SEGMENT_SIZE);
    core.counters.add(Mib.TcpInSegs, s.count);
    if (loaded !== LOAD_OK) return this.refused(loaded);
    // Of a plain packet `receive` has asked
    const known = plain ? null : core.familiar.find(s);
    if (known !== null) return this.connectionArrives(known);
    const handle = core.flows.find(
      s.dst0,
      s.dst1,
      s.dst2,
      s.dst3,
      s.src0,
      s.src1,
      s.src2,
      s.src3,
      s.dstPort,
      s.srcPort,
    );
    if (handle < 0) {
      const listener = core.listenerFor(s);
      if (listener === null) return closedState(core, s);
      const welcome = fromCookie(core, listener, s);
      if (welcome !== null) return this.connectionArrives(welcome);
      const reason = listenState(core, listener, s);
      makeRoom(core);
      return reason;
    }
    if ((handle & RECORD) !== 0) return recordArrives(core, handle & ~RECORD, s);
    const tcb = core.tcbs[handle]!;
    const reason = this.connectionArrives(tcb);
    if (tcb.id >= 0) core.familiar.add(tcb);
    return reason;
  }

  private refused(loaded: number): number {
    const { core } = this;
    core.count(Mib.TcpInErrs);
    if (loaded === LOAD_BAD_CHECKSUM) {
      core.count(Mib.TcpInCsumErrors);
      return core.decide(Reason['tcp-checksum'], 0, null);
    }
    return core.decide(loaded === LOAD_BAD_OPTION ? Reason['tcp-option'] : Reason['tcp-header'], 0, null);
  }

  /** A plain packet for a connection whose addresses were judged with an earlier one: the same, and no more to ask. */
  private familiarArrives(tcb: Tcb, offload: number): number {
    const { core } = this;
    const { segment: s } = core;
    const v6 = s.version === 6;
    core.count(v6 ? Mib.Ip6InReceives : Mib.IpInReceives);
    core.count((v6 ? Mib.Ip6InNoECTPkts : Mib.IpExtInNoECTPkts) + (s.tos & 3));
    core.count(v6 ? Mib.Ip6InDelivers : Mib.IpInDelivers);
    core.counters.add(Mib.TcpInSegs, s.count);
    if ((offload & CHECKSUM_OFFLOADED) === 0 && !s.verify()) return this.refused(LOAD_BAD_CHECKSUM);
    return predicted(core, tcb) ? Reason.plain : this.connectionArrives(tcb);
  }

  private connectionArrives(tcb: Tcb): number {
    const { core } = this;
    const { segment } = core;
    const before = tcb.state;
    const history = tcb.history;
    const asked =
      tcb.halfOpen && core.ctx.config.dialect.requestSockets
        ? requestArrives(core.ctx, tcb, segment)
        : COMPLETES;
    if (asked !== COMPLETES) return this.judged(tcb, before, history, asked);
    if (tcb.halfOpen && deferred(core.ctx, tcb, segment))
      return core.decide(Reason['listen-defer-accept'], before, segment);
    if (
      before === S.SYN_RECEIVED &&
      tcb.halfOpen &&
      (tcb.owner as Listener).full &&
      (segment.flags & 0x14) === 0x10
    ) {
      // The handshake would complete, but nobody takes connections: the peer's ACK is lost, our SYN,ACK repeats.
      core.count(Mib.TcpExtListenOverflows);
      core.count(Mib.TcpExtListenDrops);
      tcb.handshakeAcked = tcb.deferRounds > 0;
      return core.decide(Reason['listen-accept-queue-full'], before, segment);
    }
    // What earlier segments of this turn let out leaves before a loss changes the window, as it would one by one.
    if (tcb.inReady && mayTellOfLoss(tcb, segment)) output(core.ctx, tcb);
    return this.judged(tcb, before, history, segmentArrives(core.ctx, tcb, segment));
  }

  /** What a segment's reason means besides: a RST in reply, queues, tables. `before`, `history`: the state it met. */
  private judged(tcb: Tcb, before: number, history: number, reason: number): number {
    const { core } = this;
    const { segment } = core;
    if (tcb.state !== S.CLOSED && (tcb.ackNow || tcb.synOwed)) core.ctx.markReady(tcb);
    if (core.ctx.resetReply) replyReset(core, segment, reason);
    if (tcb.halfOpen && tcb.state >= S.ESTABLISHED) completed(core, tcb);
    if (before === S.SYN_SENT && tcb.fastOpen && tcb.state >= S.ESTABLISHED) synAckTold(core, tcb, segment);
    if (before === S.SYN_SENT && tcb.state >= S.ESTABLISHED) core.prove(tcb);
    if (tcb.earlyFrom !== null && tcb.state !== S.SYN_RECEIVED)
      (tcb.earlyFrom as Listener).settled(tcb, tcb.state === S.CLOSED, core.ctx.now);
    if (tcb.revert !== null) settleRevert(core, tcb, reason);
    core.log.states(core.ctx.now, tcb, history);
    afterwards(core, tcb);
    return core.decide(reason, before, segment);
  }

  /** ICMP may have ended a connection. */
  private sweepFailed(): void {
    const { core } = this;
    for (const tcb of core.ctx.raised) if (tcb.state === S.CLOSED && tcb.id >= 0) afterwards(core, tcb);
  }

  // ---- time -------------------------------------------------------------------

  advance(now: number, expiries = Infinity): void {
    const { core } = this;
    core.setTime(now);
    for (let run = 0; run < expiries; run++) {
      const id = core.ctx.wheel.expire(now);
      if (id < 0) break;
      const tcb = core.tcbs[id];
      if (tcb === null || tcb === undefined) continue;
      const history = tcb.history;
      const reason = timersDue(core.ctx, tcb);
      if (reason !== 0) {
        // R9293-48: the peer may have been away only (Linux tcp_keepalive_timer, FreeBSD tcp_drop)
        if (reason === Reason['keepalive-dead']) emitReset(core.ctx, tcb, reason);
        core.reasonCounts[reason]! += 1;
        core.log.bare(now, tcb.local, tcb.remote, reason, S.stateNames[(history & 15) as 0]);
      }
      core.log.states(now, tcb, history);
      if (tcb.revert !== null && tcb.state === S.CLOSED) {
        core.detach(tcb, -1);
        revert(core, tcb);
      }
      afterwards(core, tcb);
    }
    doubtPaths(core);
    expireRecords(core, expiries);
  }

  nextDeadline(now: number): number {
    const connections = this.core.ctx.wheel.nextDeadline(now);
    const records = this.core.records.nextDeadline(now);
    if (connections < 0) return records;
    return records < 0 ? connections : Math.min(connections, records);
  }

  output(now: number): number {
    const { core } = this;
    const { ctx } = core;
    ctx.now = now;
    const { ready } = ctx;
    let kept = 0;
    for (let i = 0; i < ready.length; i++) {
      const tcb = ready[i]!;
      const history = tcb.history;
      if (core.tx.free > 0 && output(ctx, tcb)) tcb.inReady = false;
      else ready[kept++] = tcb;
      core.log.states(now, tcb, history);
    }
    // Not by setting the length, which is a call into V8's runtime (measured: a microsecond of a connection)
    while (ready.length > kept) ready.pop();
    return core.tx.count;
  }

  poll(): Pollable | null {
    const { core } = this;
    const listener = core.raisedListeners.pop();
    if (listener !== undefined) {
      listener.inRaised = false;
      return listener;
    }
    for (;;) {
      const tcb = core.ctx.raised.pop();
      if (tcb === undefined) return null;
      tcb.inEvents = false;
      // Nobody holds it: half-open, waiting to be accepted, or already let go.
      const letGo = tcb.released || tcb.lingering === LINGER_WAITS;
      const held = !letGo || (tcb.events & EV_LINGERED) !== 0;
      if (tcb.owner === null && held) return tcb as ConnectionHandle & Tcb;
    }
  }

  // ---- user calls -------------------------------------------------------------

  listen(options: ListenOptions): ListenerHandle | Errno {
    expireOverdue(this.core);
    return active.listen(this.core, options);
  }

  accept(handle: ListenerHandle): ConnectionHandle | null {
    const tcb = (handle as Listener).dequeue();
    if (tcb === null) return null;
    tcb.owner = null;
    if (tcb.events !== 0) this.core.ctx.raise(tcb, tcb.events);
    return tcb;
  }

  closeListener(handle: ListenerHandle): void {
    active.closeListener(this.core, handle as Listener, (tcb) => this.core.detach(tcb, -1));
  }

  connect(options: ConnectOptions): ConnectionHandle | Errno {
    expireOverdue(this.core);
    const opened = active.connect(this.core, options);
    makeRoom(this.core);
    return opened;
  }

  urgentOctet(connection: ConnectionHandle): number {
    return user.urgentOctet(connection as Tcb);
  }

  send(connection: ConnectionHandle, bytes: Uint8Array, flags = 0): boolean | Errno {
    const tcb = connection as Tcb;
    if (tcb.released) return 'ENOTCONN';
    if (send(this.core.ctx, tcb, bytes, flags | SEND_ALL) < 0) return 'EPIPE';
    return !tcb.sendBlocked;
  }

  own(connection: ConnectionHandle): void {
    (connection as Tcb).sendQueue.own();
  }

  write(connection: ConnectionHandle, bytes: Uint8Array, flags = 0): number | Errno {
    const tcb = connection as Tcb;
    if (tcb.released) return 'ENOTCONN';
    const taken = send(this.core.ctx, tcb, bytes, flags);
    return taken < 0 ? 'EPIPE' : taken;
  }

  mayWrite(connection: ConnectionHandle): boolean {
    const tcb = connection as Tcb;
    if (tcb.released) return false;
    const may = isWriteable(this.core.ctx, tcb);
    if (!may) tcb.sendBlocked = true;
    return may;
  }

  takeStamp(connection: ConnectionHandle): Stamp | null {
    const stamp = (connection as Tcb).stamps?.take();
    return stamp === undefined ? null : { ...stamp, time: (this.core.ctx.now - stamp.time) | 0 };
  }

  stampsWaiting(connection: ConnectionHandle): number {
    return (connection as Tcb).stamps?.count ?? 0;
  }

  get hasEvents(): boolean {
    return this.core.ctx.raised.length > 0 || this.core.raisedListeners.length > 0;
  }

  read(connection: ConnectionHandle, max = 65536): Uint8Array | null {
    const tcb = connection as Tcb;
    return tcb.released ? null : user.read(this.core.ctx, tcb, max);
  }

  peek(connection: ConnectionHandle, max = 65536): Uint8Array | null {
    const tcb = connection as Tcb;
    return tcb.released ? null : tcb.receiveQueue.peek(max);
  }

  consume(connection: ConnectionHandle, count: number): void {
    const tcb = connection as Tcb;
    if (!tcb.released) user.consume(this.core.ctx, tcb, count);
  }

  shutdown(connection: ConnectionHandle): Errno | null {
    const tcb = connection as Tcb;
    const history = tcb.history;
    const done = !tcb.released && user.shutdown(this.core.ctx, tcb);
    this.core.log.states(this.core.ctx.now, tcb, history);
    return done ? null : 'ENOTCONN';
  }

  close(connection: ConnectionHandle): boolean {
    return close(this.core, connection as Tcb);
  }

  abort(connection: ConnectionHandle): void {
    abort(this.core, connection as Tcb);
  }

  setListenOption(handle: ListenerHandle, option: ListenerOption, value: number): void {
    setListenOption(this.core, handle as Listener, option, value);
  }

  setOption(connection: ConnectionHandle, option: ConnectionOption, value: number): void {
    const tcb = connection as Tcb;
    if (!tcb.released) setOption(this.core.ctx, tcb, option, value);
  }

  setFastOpenKeys(keys: Uint8Array, listener?: ListenerHandle): boolean {
    return setKeys(this.core, keys, (listener as Listener | undefined) ?? null);
  }

  fastOpenKeys(listener?: ListenerHandle): Uint8Array {
    return keysOf(this.core, (listener as Listener | undefined) ?? null).bytes;
  }

  fastOpenRoom(connection: ConnectionHandle): number {
    return roomOnSyn(connection as Tcb);
  }

  tcpInfo(connection: ConnectionHandle): TcpInfo {
    return tcpInfo(this.core.ctx, connection as Tcb);
  }

  /** Puts a connection that ended elsewhere into TIME-WAIT now; false: no record was made (restore.ts says when). */
  enterTimeWait(entry: TimeWaitEntry): boolean {
    return restoreRecord(this.core, entry);
  }

  // ---- settings ---------------------------------------------------------------

  /** All records go, their tuples are free at once (`tcpdrop -s TIME_WAIT`, `ss -K state time-wait`). */
  dropTimeWait(): void {
    dropRecords(this.core);
  }

  setKnob(name: string, value: number): string | null {
    const message = this.core.knobs.set(name, value);
    if (message === null) this.core.refresh();
    return message;
  }

  knob(name: string): number {
    return this.core.knobs.get(name);
  }

  setPolicy(name: string): string | null {
    const policy = findPolicy(name);
    if (policy === null) {
      const names = policies.flatMap((known) => [known.name, ...known.aliases]);
      return `unknown policy '${name}', nearest: ${nearest(name, names).join(', ')}`;
    }
    this.usePolicy(policy);
    return null;
  }

  /** What the user set and this policy will not do as hoped: one line each. */
  warnings(): string[] {
    const { policy, knobs } = this.core;
    return warnings(policy, (name) => knobs.get(name), knobs.setByUser);
  }

  usePolicy(policy: Policy): void {
    this.core.knobs.preset(policy.knobs);
    this.core.policy = policy;
    this.core.refresh();
  }

  // ---- looking in -------------------------------------------------------------

  trace(on: boolean): void {
    this.core.log.on = on;
  }

  takeDecisions(): Decision[] {
    return this.core.log.takeDecisions();
  }

  takeStateChanges(): StateChange[] {
    return this.core.log.takeChanges();
  }

  sockets(limit = 100_000): SocketRow[] {
    expireOverdue(this.core);
    return sockets(this.core, limit);
  }

  stateCounts(): Record<string, number> {
    expireOverdue(this.core);
    return stateCounts(this.core);
  }
}
