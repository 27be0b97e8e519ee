/**
 * The scenes of the demo: the situations TIME-WAIT policies are about, played in a
 * world, with what happened as data.
 */
import type { PacketSink } from '../link/sink.js';
import { findReason, reasonText, type ReasonId } from '../reasons.js';
import { parseAddress, type Address } from '../wire/address.js';
import type { SegmentText } from '../wire/notation.js';
import { buildPacket } from '../wire/notation-packet.js';
import { ACK, PSH, SYN } from '../wire/segment.js';
import { NAT_CLIENTS, PEER, SERVER, type Attempt, type World, type WorldOptions } from './world.js';

export type WorldMaker = (options: WorldOptions) => World | Promise<World>;

/** One line of the demo's table. */
export interface SceneResult {
  readonly policy: string;
  /** What was tried. */
  readonly situation: string;
  readonly accepted: number;
  /** SYNs that drew no SYN,ACK from us, and calls of our own connect() that failed. */
  readonly refused: number;
  /** ms until the last attempt that matters was accepted or given up. */
  readonly delay: number;
  /** ms that the record still had to live when the attempt came; null: no record. */
  readonly timeWaitLeft: number | null;
  readonly reason: ReasonId | '';
  readonly text: string;
  /** ms a record lived that expired while the scene watched; null when none did. */
  readonly lived: number | null;
  readonly attempts: readonly Attempt[];
}

/** The port the peer always uses, that of our server, and that of the peer's. */
export const FIXED = 40_000;
export const SERVICE = 8080;
const PEER_SERVICE = 9000;
/** Time for the last segments of a close. */
const SETTLE = 60;

interface Watch {
  /** The most telling reason since the last call: the last decision about TIME-WAIT, the host's memory or reopening that is not an echo of an earlier one. */
  take(): ReasonId | '';
  /** SYNs and opens refused since the last call. */
  refused(): number;
  /** Life of the first record that expired, ms. */
  readonly lived: () => number | null;
}

/** Reasons that follow from another one and explain less. */
const echoes: ReadonlySet<string> = new Set([
  'tw-fin-again',
  'tw-limited',
  'tw-rst-ignored',
  'tw-ack-restart',
  'tw-ack',
]);

/** Follows the decisions of our stack. */
function watch(world: World): Watch {
  let last: ReasonId | '' = '';
  const entered = new Map<string, number>();
  let lived: number | null = null;
  let refused = 0;
  world.network.on('decision', (decision) => {
    const { reason, time, remote, segment } = decision;
    const refusal =
      segment === ''
        ? /^reopen-(refused|no|too|off)/
        : /^(tw-syn-(refused|in-window|low)|tw-limited|recycle-)/;
    if (refusal.test(reason) && (segment === '' || segment.startsWith('S '))) refused++;
    const key = `${remote.address}:${remote.port}`;
    if (reason === 'tw-enter') entered.set(key, time);
    else if (reason === 'tw-expired') {
      const at = entered.get(key);
      if (at !== undefined) lived ??= (time - at) | 0;
    } else if (/^(tw|recycle|reopen)-/.test(reason) && !echoes.has(reason)) last = reason;
  });
  return {
    take() {
      const taken = last;
      last = '';
      return taken;
    },
    refused() {
      const taken = refused;
      refused = 0;
      return taken;
    },
    lived: () => lived,
  };
}

/** What the record of this remote port still has to live. */
function recordLeft(world: World, port: number): number | null {
  const row = world.network.timeWait.list().find((each) => each.remote?.port === port);
  return row === undefined ? null : row.timerLeft;
}

interface ResultParts {
  readonly attempts: readonly Attempt[];
  readonly reason: ReasonId | '';
  readonly left: number | null;
  readonly lived?: number | null;
  readonly refused: number;
}

function result(policy: string, situation: string, parts: ResultParts): SceneResult {
  const { attempts, reason, left } = parts;
  const accepted = attempts.filter((attempt) => attempt.accepted).length;
  return {
    policy,
    situation,
    accepted,
    refused: parts.refused,
    delay: attempts.at(-1)?.delay ?? 0,
    timeWaitLeft: left,
    reason,
    text: reason === '' ? '' : reasonText(findReason(reason)!).text,
    lived: parts.lived ?? null,
    attempts,
  };
}

async function inWorld<T>(
  make: WorldMaker,
  options: WorldOptions,
  play: (world: World) => Promise<T>,
): Promise<T> {
  const world = await make(options);
  try {
    return await play(world);
  } finally {
    world.close();
  }
}

/** The load balancer: one source port again and again. The second connection comes while our record lives. */
export function fixedPort(
  make: WorldMaker,
  policy: string,
  label: string,
  options: Omit<WorldOptions, 'policy'>,
  note = '',
): Promise<SceneResult> {
  return inWorld(make, { policy, ...options }, async (world) => {
    const seen = watch(world);
    await world.serve(SERVICE);
    const first = await world.attempt({ port: SERVICE, localPort: FIXED, limit: 2000 });
    await world.sleep(SETTLE);
    const left = recordLeft(world, FIXED);
    seen.take();
    const second = await world.attempt({ port: SERVICE, localPort: FIXED, limit: 8000 });
    await world.sleep(SETTLE);
    const parts = {
      attempts: [first, second],
      reason: seen.take(),
      left,
      refused: seen.refused(),
      lived: seen.lived(),
    };
    return result(label, `same source port, at once${note}`, parts);
  });
}

/** A SYN with a lower sequence number than the record's RCV.NXT, made by hand: an old duplicate, or another machine behind a NAT. */
export function lowerSyn(
  make: WorldMaker,
  policy: string,
  label: string,
  options: Omit<WorldOptions, 'policy'>,
): Promise<SceneResult> {
  return inWorld(make, { policy, ...options }, async (world) => {
    const seen = watch(world);
    await world.serve(SERVICE);
    let rcvNxt = 0;
    world.network.on('state', (change) => {
      if (change.to === 'TIME-WAIT') rcvNxt = (change.connection as unknown as { rcvNxt: number }).rcvNxt;
    });
    const first = await world.attempt({ port: SERVICE, localPort: FIXED, limit: 2000 });
    await world.sleep(SETTLE);
    const left = recordLeft(world, FIXED);
    seen.take();
    const sentBefore = world.network.stack.counters.get('TcpOutSegs');
    world.injector.inject(handMadeSyn((rcvNxt - 1000) >>> 0));
    await world.sleep(SETTLE);
    const answered = world.network.stack.counters.get('TcpOutSegs') - sentBefore;
    const how = answered === 0 ? 'no answer' : 'answered';
    return result(label, `SYN with a lower sequence number (${how})`, {
      attempts: [first],
      reason: seen.take(),
      left,
      refused: seen.refused(),
    });
  });
}

function handMadeSyn(seq: number): Uint8Array {
  return fromPeer({ flags: SYN, seq, length: 0, win: 65_535, options: [{ kind: 'mss', value: 1460 }] });
}

function fromPeer(segment: SegmentText): Uint8Array {
  const ends = { src: mustAddress(PEER), dst: mustAddress(SERVER), srcPort: FIXED, dstPort: SERVICE };
  return buildPacket(segment, ends);
}

/**
 * RFC 1337: old text of the peer comes to our record, our ACK goes out, and the peer, which has no connection,
 * answers with a RST. Without timestamps, which would tell the old text from new.
 */
export function oldData(
  make: WorldMaker,
  policy: string,
  label: string,
  options: Omit<WorldOptions, 'policy'>,
): Promise<SceneResult> {
  const knobs = { ...options.knobs, 'net.ipv4.tcp_timestamps': 0 };
  return inWorld(make, { policy, ...options, knobs }, async (world) => {
    const seen = watch(world);
    await world.serve(SERVICE);
    let [rcvNxt, sndNxt] = [0, 0];
    world.network.on('state', (change) => {
      if (change.to === 'TIME-WAIT') ({ rcvNxt, sndNxt } = change.connection as unknown as Numbers);
    });
    const first = await world.attempt({ port: SERVICE, localPort: FIXED, limit: 2000 });
    await world.sleep(SETTLE);
    seen.take();
    const old = { flags: ACK | PSH, seq: (rcvNxt - 5) >>> 0, ack: sndNxt >>> 0, length: 4, win: 65_535 };
    world.injector.inject(fromPeer(old));
    await world.sleep(SETTLE);
    const left = recordLeft(world, FIXED);
    const end = left === null ? 'kills TIME-WAIT' : 'changes nothing';
    const parts = { attempts: [first], reason: seen.take(), left, refused: seen.refused() };
    return result(label, `old data, our ACK, the peer's RST ${end}`, parts);
  });
}

interface Numbers {
  readonly rcvNxt: number;
  readonly sndNxt: number;
}

function mustAddress(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new RangeError(text);
  return address;
}

/** Our own client: the only port of its range is in TIME-WAIT; tried at once and again after `later` ms. */
export function ownClient(
  make: WorldMaker,
  policy: string,
  later: number,
  options: Omit<WorldOptions, 'policy'> = {},
): Promise<SceneResult[]> {
  const knobs = {
    ...options.knobs,
    'net.ipv4.ip_local_port_range.min': FIXED,
    'net.ipv4.ip_local_port_range.max': FIXED,
  };
  return inWorld(make, { policy, ...options, knobs }, async (world) => {
    const seen = watch(world);
    await world.peerServes(PEER_SERVICE);
    const first = await world.ownAttempt(PEER_SERVICE, 2000);
    await world.sleep(SETTLE);
    let left = recordLeft(world, PEER_SERVICE);
    seen.take();
    const soon = await world.ownAttempt(PEER_SERVICE, 2000);
    await world.sleep(SETTLE);
    const soonParts = { attempts: [first, soon], reason: seen.take(), left, refused: seen.refused() };
    const soonResult = result(policy, 'own client, only port in TIME-WAIT, at once', soonParts);
    await world.sleep(later - SETTLE);
    left = recordLeft(world, PEER_SERVICE);
    const late = await world.ownAttempt(PEER_SERVICE, 2000);
    await world.sleep(SETTLE);
    const lateResult = result(policy, `own client, ${(later / 1000).toFixed(1)} s later`, {
      attempts: [late],
      reason: seen.take(),
      left,
      refused: seen.refused(),
      lived: seen.lived(),
    });
    return [soonResult, lateResult];
  });
}

/** Two machines behind one address, the second one's timestamp clock a minute behind. It comes right after the first one's connection. */
export function twoBehindNat(
  make: WorldMaker,
  policy: string,
  options: Omit<WorldOptions, 'policy' | 'nat'> = {},
): Promise<SceneResult> {
  return inWorld(make, { policy, nat: true, ...options }, async (world) => {
    const seen = watch(world);
    await world.serve(SERVICE);
    const faster = await world.attempt({
      port: SERVICE,
      localAddress: NAT_CLIENTS[0],
      localPort: FIXED + 1,
      limit: 2000,
    });
    await world.sleep(SETTLE);
    const left = recordLeft(world, FIXED + 1);
    // The short record of the faster clock may be gone: it is the host's memory that counts.
    await world.sleep(900);
    seen.take();
    const slower = await world.attempt({
      port: SERVICE,
      localAddress: NAT_CLIENTS[1],
      localPort: FIXED + 2,
      limit: 1500,
    });
    await world.sleep(SETTLE);
    return result(policy, 'two clients behind one NAT, the second clock slower', {
      attempts: [faster, slower],
      reason: seen.take(),
      left,
      refused: seen.refused(),
      lived: seen.lived(),
    });
  });
}

/** All scenes, in the order of the table. `sink` gets every packet. */
export async function playAll(
  make: WorldMaker,
  sink: PacketSink,
  done: (rows: readonly SceneResult[]) => void,
): Promise<SceneResult[]> {
  const rows: SceneResult[] = [];
  const add = (...more: SceneResult[]): void => {
    rows.push(...more);
    done(more);
  };
  const short = { 'net.ipv4.tcp_msl': 1000 };
  add(
    await fixedPort(
      make,
      'rfc9293',
      'rfc9293',
      { sink, knobs: { ...short, 'net.ipv4.tcp_rfc1337': 1 } },
      ' (MSL 1 s, rfc1337=1)',
    ),
  );
  add(
    await fixedPort(
      make,
      'rfc9293',
      'rfc9293, rfc1337=0',
      { sink, knobs: { 'net.ipv4.tcp_msl': 10_000 } },
      ' (MSL 10 s)',
    ),
  );
  add(await fixedPort(make, 'bsd', 'bsd', { sink }));
  add(await lowerSyn(make, 'bsd', 'bsd', { sink }));
  add(await fixedPort(make, 'reuse', 'reuse', { sink }));
  add(...(await ownClient(make, 'reuse', 1100, { sink })));
  add(await fixedPort(make, 'recycle', 'recycle', { sink }));
  add(...(await ownClient(make, 'recycle', 800, { sink })));
  for (const policy of ['rfc9293', 'bsd', 'reuse', 'recycle'])
    add(await oldData(make, policy, policy, { sink }));
  add(await oldData(make, 'reuse', 'reuse, rfc1337=1', { sink, knobs: { 'net.ipv4.tcp_rfc1337': 1 } }));
  for (const policy of ['rfc9293', 'bsd', 'reuse', 'recycle']) {
    const knobs = policy === 'rfc9293' ? short : {};
    add(await twoBehindNat(make, policy, { sink, knobs }));
  }
  return rows;
}
