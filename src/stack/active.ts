/** The user's OPEN calls: listen and connect, with the checks of bind between them. */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { limitWindow } from '../tcp/autotune.js';
import { limitMss } from '../tcp/options.js';
import { fail } from '../tcp/sender.js';
import * as S from '../tcp/state.js';
import { Tcb } from '../tcp/tcb.js';
import { abort, activeOpen } from '../tcp/user.js';
import { endpoints } from '../timewait/copies.js';
import { ACCEPT, fateOf, reasonOf, type BindRequest, type ReopenRequest } from '../timewait/policy.js';
import {
  isBroadcastV4,
  isLoopback,
  isMulticast,
  isUnspecified,
  parseAddress,
  sharesPrefix,
  type Address,
} from '../wire/address.js';
import type { ConnectOptions, Errno, ListenOptions } from './api.js';
import { RECORD, type Core } from './core.js';
import { listenerDefault, prepareSyn } from './fast-open.js';
import { Listener } from './listener.js';
import { begin, numbersOf } from './half-open.js';
import { groupOf, migrate } from './reuse-port.js';
import { setListenOption, setOption } from './socket-options.js';

const DEFAULT_BACKLOG = 511;

/** 3.10.1 OPEN, passive. */
export function listen(core: Core, options: ListenOptions): Listener | Errno {
  const text = options.address;
  const any = text === undefined || text === '::' || text === '0.0.0.0';
  let words: Int32Array | null = null;
  let family: 0 | 4 | 6 = text === '0.0.0.0' ? 4 : options.v6Only === true ? 6 : 0;
  if (!any) {
    const address = parseAddress(text);
    if (address === null) return 'EINVAL';
    const [a, b, c, d] = four(address);
    if (!core.isLocal(a, b, c, d)) return 'EADDRNOTAVAIL';
    words = address.words;
    family = address.family;
  }
  if (options.port < 0 || options.port > 65535 || !Number.isInteger(options.port)) return 'EINVAL';
  const port = options.port === 0 ? freeListenPort(core) : options.port;
  if (port < 0) return 'EADDRINUSE';
  const request: Mutable<BindRequest> = {
    reuseAddress: options.reuseAddress === true,
    reusePort: options.reusePort === true,
    exclusive: options.exclusive === true,
    addressOverlaps: false,
  };
  if (!mayBind(core, words, family, port, request, true)) return 'EADDRINUSE';
  const backlog = Math.max(
    0,
    Math.min(options.backlog ?? DEFAULT_BACKLOG, core.knobs.get('net.core.somaxconn')),
  );
  const listener = new Listener(words, port, backlog, family, request.reuseAddress, request.reusePort);
  listener.fastOpen = options.fastOpen ?? listenerDefault(core, backlog);
  setListenOption(core, listener, 'deferAccept', options.deferAccept ?? 0);
  listener.synRetries = options.synRetries ?? 0;
  listener.maxSegment = options.maxSegment ?? 0;
  listener.windowClamp = options.windowClamp ?? 0;
  const list = core.listeners.get(port);
  if (list === undefined) core.listeners.set(port, [listener]);
  else list.push(listener);
  // Whoever is chosen later knows the cookies that another of the group gave out
  listener.cookies = groupOf(core, listener)[0]?.cookies ?? listener.cookies;
  return listener;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function four(address: Address): [number, number, number, number] {
  const w = address.words;
  return [w[0]!, w[1]!, w[2]!, w[3]!];
}

function freeListenPort(core: Core): number {
  const low = core.knobs.get('net.ipv4.ip_local_port_range.min');
  const high = core.knobs.get('net.ipv4.ip_local_port_range.max');
  const span = high - low + 1;
  const start = core.random.below(span);
  for (let i = 0; i < span; i++) {
    const port = low + ((start + i) % span);
    if (!core.listeners.has(port) && !core.portUsers.has(port) && core.records.onPort(port) === 0)
      return port;
  }
  return -1;
}

/** May a socket take this local address and port? */
function mayBind(
  core: Core,
  words: Int32Array | null,
  family: number,
  port: number,
  request: Mutable<BindRequest>,
  listening: boolean,
): boolean {
  for (const other of core.listeners.get(port) ?? []) {
    const sameFamily = other.family === 0 || family === 0 || other.family === family;
    const overlaps = other.words === null || words === null || equal(other.words, words);
    // A second listener: only when both have SO_REUSEPORT
    const mayJoin =
      (request.reusePort && other.reusePort) || (!listening && request.reuseAddress && other.reuseAddress);
    if (sameFamily && overlaps && !mayJoin) return false;
  }
  if (liveConflict(core, words, port, request)) return false;
  const context = core.hooks.about(null);
  let left = core.records.onPort(port);
  for (let i = core.records.firstOnPort(port); left > 0; i = core.records.nextOnPort(i)) {
    left--;
    const record = core.record.at(i);
    request.addressOverlaps =
      words === null || core.records.localEquals(i, words[0]!, words[1]!, words[2]!, words[3]!);
    if (!core.policy.mayBind(record, request, context)) return false;
  }
  return true;
}

/** Linux inet_bind_conflict for live connections: both sides need SO_REUSEADDR, or both SO_REUSEPORT. */
function liveConflict(core: Core, words: Int32Array | null, port: number, request: BindRequest): boolean {
  for (let tcb = core.portUsers.first(port); tcb !== null; tcb = tcb.behindOnPort) {
    if ((request.reuseAddress && tcb.reuseAddress) || (request.reusePort && tcb.reusePort)) continue;
    if (
      words === null ||
      (words[0] === tcb.local0 &&
        words[1] === tcb.local1 &&
        words[2] === tcb.local2 &&
        words[3] === tcb.local3)
    )
      return true;
  }
  return false;
}

function equal(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** 3.10.1 OPEN, active. */
export function connect(core: Core, options: ConnectOptions): Tcb | Errno {
  const remote = parseAddress(options.address);
  if (remote === null || options.port < 1 || options.port > 65535) return 'EINVAL';
  const [r0, r1, r2, r3] = four(remote);
  // MUST-46; and this host has no loopback
  const nowhere =
    isUnspecified(r0, r1, r2, r3) ||
    isMulticast(r0, r1, r2, r3) ||
    isBroadcastV4(r0, r1, r2, r3) ||
    isLoopback(r0, r1, r2, r3);
  if (nowhere) return 'ENETUNREACH';
  const local = localFor(core, remote, options.localAddress);
  if (typeof local === 'string') return local;
  if (core.connections >= core.settings.maxConnections) return 'ENOBUFS';
  const tcb = new Tcb();
  tcb.version = remote.family;
  [tcb.local0, tcb.local1, tcb.local2, tcb.local3] = four(local);
  tcb.remote0 = r0;
  tcb.remote1 = r1;
  tcb.remote2 = r2;
  tcb.remote3 = r3;
  tcb.remotePort = options.port;
  tcb.reuseAddress = options.reuseAddress === true;
  tcb.reusePort = options.reusePort === true;
  const timestamps = options.timestamps ?? core.ctx.config.timestamps;
  const refused =
    options.localPort !== undefined && options.localPort !== 0
      ? bindPort(core, tcb, local, options.localPort, timestamps)
      : choosePort(core, tcb, timestamps);
  if (refused !== null) return refused;
  const { ctx } = core;
  const replaced = takeOver(core, tcb);
  begin(core, tcb, replaced?.iss ?? null);
  limitMss(ctx, tcb, options.maxSegment ?? 0);
  limitWindow(ctx, tcb, options.windowClamp ?? 0);
  tcb.tsEnabled = timestamps;
  if (replaced !== null) {
    // The reused tuple carries on the old connection's clock (Linux tcp_twsk_unique).
    tcb.tsRecent = replaced.tsRecent;
    tcb.tsRecentAt = replaced.tsRecentAt;
  } else if (timestamps) preloadStamp(core, tcb);
  if ((options.fastOpen ?? false) !== false) prepareSyn(core, tcb);
  tcb.synRetries = options.synRetries ?? 0;
  setOption(ctx, tcb, 'deferAccept', options.deferAccept ?? 0);
  core.attach(tcb);
  activeOpen(ctx, tcb);
  if (options.fastOpen === 'wait' && tcb.synRoom > 0) tcb.synOwed = false;
  core.log.states(ctx.now, tcb, 0);
  return tcb;
}

/** A memory per host may lend its last stamp (tcp_tw_recycle). */
function preloadStamp(core: Core, tcb: Tcb): void {
  const host = core.hosts.lookup(tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3);
  if (!host.known || !core.policy.preloadsStamp(host, core.hooks.about(null))) return;
  tcb.tsRecent = host.tsRecent;
  tcb.tsRecentAt = host.tsRecentAt;
}

/** MUST-44: an address of the peer's family, of its subnet when there is one. */
function localFor(core: Core, remote: Address, wanted: string | undefined): Address | Errno {
  if (wanted !== undefined) {
    const address = parseAddress(wanted);
    if (address === null) return 'EINVAL';
    const [a, b, c, d] = four(address);
    if (!isUnspecified(a, b, c, d)) {
      if (address.family !== remote.family) return 'EINVAL';
      return core.isLocal(a, b, c, d) ? address : 'EADDRNOTAVAIL';
    }
  }
  const [r0, r1, r2, r3] = four(remote);
  if (core.isLocal(r0, r1, r2, r3)) return 'EADDRNOTAVAIL';
  let chosen: Address | null = null;
  for (const { address, prefix } of core.addresses) {
    if (address.family !== remote.family) continue;
    if (sharesPrefix(address.words, remote.words, address.family === 4 ? prefix + 96 : prefix))
      return address;
    chosen ??= address;
  }
  return chosen ?? 'ENETUNREACH';
}

function hashOf(core: Core, t: Tcb): number {
  return core.flows.hashOf(
    t.local0,
    t.local1,
    t.local2,
    t.local3,
    t.remote0,
    t.remote1,
    t.remote2,
    t.remote3,
    t.localPort,
    t.remotePort,
  );
}

function findTuple(core: Core, t: Tcb): number {
  return core.flows.find(
    t.local0,
    t.local1,
    t.local2,
    t.local3,
    t.remote0,
    t.remote1,
    t.remote2,
    t.remote3,
    t.localPort,
    t.remotePort,
  );
}

/** The same where the local port has one record and no live connection: it costs less than the hash (bench/ports.ts). */
function findSole(core: Core, t: Tcb): number {
  const i = core.records.firstOnPort(t.localPort);
  const same = core.records.sameTuple(
    i,
    t.local0,
    t.local1,
    t.local2,
    t.local3,
    t.remote0,
    t.remote1,
    t.remote2,
    t.remote3,
    t.localPort,
    t.remotePort,
  );
  return same ? RECORD | i : -1;
}

/** Does the tuple belong to this engine, where a host has several? */
function isOurs(core: Core, t: Tcb): boolean {
  return (
    core.owns === null ||
    core.owns(
      t.local0,
      t.local1,
      t.local2,
      t.local3,
      t.remote0,
      t.remote1,
      t.remote2,
      t.remote3,
      t.localPort,
      t.remotePort,
    )
  );
}

/** An explicit local port: bind's rules, then the tuple's. */
function bindPort(core: Core, tcb: Tcb, local: Address, port: number, timestamps: boolean): Errno | null {
  const request = {
    reuseAddress: tcb.reuseAddress,
    reusePort: tcb.reusePort,
    exclusive: false,
    addressOverlaps: false,
  };
  if (!mayBind(core, local.words, local.family, port, request, false)) return 'EADDRINUSE';
  tcb.localPort = port;
  tcb.boundPort = true;
  if (!isOurs(core, tcb)) return 'EADDRNOTAVAIL';
  tcb.hash = hashOf(core, tcb);
  const handle = findTuple(core, tcb);
  if (handle < 0) return null;
  if ((handle & RECORD) === 0) return 'EADDRNOTAVAIL';
  return mayReopen(core, handle & ~RECORD, { boundPort: true, timestamps });
}

/** RFC 6056 3.3.4; a port is free for this destination when the four-tuple is, or its record may be reopened. */
function choosePort(core: Core, tcb: Tcb, timestamps: boolean): Errno | null {
  const low = core.knobs.get('net.ipv4.ip_local_port_range.min');
  const high = core.knobs.get('net.ipv4.ip_local_port_range.max');
  const request: ReopenRequest = { boundPort: false, timestamps };
  const wholePort = core.policy.portScope === 'port';
  const isFree = (port: number): boolean => {
    // R6056-3, R6056-4
    if (core.listeners.has(port) || core.reservedPorts.has(port)) return false;
    tcb.localPort = port;
    if (!isOurs(core, tcb)) return false;
    const live = core.portUsers.has(port);
    const records = core.records.onPort(port);
    if (!live && records === 0) return true;
    if (wholePort) return false;
    const handle = live || records > 1 ? findTuple(core, tcb) : findSole(core, tcb);
    if (handle < 0) return true;
    return (handle & RECORD) !== 0 && mayReopen(core, handle & ~RECORD, request) === null;
  };
  const offset = core.portHash.hashTuple(
    tcb.local0,
    tcb.local1,
    tcb.local2,
    tcb.local3,
    tcb.remote0,
    tcb.remote1,
    tcb.remote2,
    tcb.remote3,
    0,
    tcb.remotePort,
    0,
  );
  const port = core.ports.pick(low, high, offset, isFree);
  if (port < 0) return 'EADDRNOTAVAIL';
  tcb.localPort = port;
  tcb.hash = hashOf(core, tcb);
  return null;
}

/** null: the record gives way to the new connection. */
function mayReopen(core: Core, index: number, request: ReopenRequest): Errno | null {
  const verdict = core.policy.mayReopen(core.record.at(index), request, core.hooks.about(null));
  const reason = reasonOf(verdict);
  core.reasonCounts[reason]! += 1;
  if (core.log.on) {
    const ends = endpoints(core.records, index);
    core.log.bare(core.ctx.now, ends.local, ends.remote, reason, 'TIME-WAIT');
  }
  if (fateOf(verdict) === ACCEPT) return null;
  return reason === Reason['reopen-in-use'] ? 'EADDRINUSE' : 'EADDRNOTAVAIL';
}

interface Replaced {
  readonly iss: number;
  readonly tsRecent: number;
  readonly tsRecentAt: number;
}

/** Removes the record that the new connection reopens; what it hands on. */
function takeOver(core: Core, t: Tcb): Replaced | null {
  const handle = findTuple(core, t);
  if (handle < 0) return null;
  const index = handle & ~RECORD;
  const record = core.record.at(index);
  const replaced = {
    iss: core.policy.isnOnReopen(record, numbersOf(core, t).isn(), core.hooks.about(null)),
    tsRecent: record.tsRecent,
    tsRecentAt: record.tsRecentAt,
  };
  core.flows.remove(t.hash, handle);
  core.records.remove(index);
  core.count(Mib.TcpExtTWRecycled);
  core.count(Mib.TimewaitReopened);
  return replaced;
}

/** The listener goes; connections it has not handed out are reset (RFC 9293 3.10.4, LISTEN). */
export function closeListener(core: Core, listener: Listener, removed: (tcb: Tcb) => void): void {
  if (listener.closed) return;
  listener.closed = true;
  const list = core.listeners.get(listener.port);
  if (list !== undefined) {
    const rest = list.filter((other) => other !== listener);
    if (rest.length > 0) core.listeners.set(listener.port, rest);
    else core.listeners.delete(listener.port);
  }
  const waiting: Tcb[] = [];
  for (let tcb = listener.dequeue(); tcb !== null; tcb = listener.dequeue()) waiting.push(tcb);
  for (const tcb of [...core.tcbs]) {
    if (tcb === null || tcb.owner !== listener || migrate(core, listener, tcb)) continue;
    if (tcb.halfOpen && core.ctx.config.dialect.requestSockets) fail(core.ctx, tcb, null);
    else if (tcb.state !== S.CLOSED) abort(core.ctx, tcb, Reason['user-abort']);
    removed(tcb);
  }
  for (const tcb of waiting) if (tcb.owner === listener) core.discard(tcb);
}
