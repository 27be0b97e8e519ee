/**
 * Connection tracking as Linux's netfilter does it: a middlebox's own idea of where a
 * TCP connection stands, from the flags that pass (net/netfilter/nf_conntrack_proto_tcp.c,
 * linux-6.18). States, timers, what reopens a closed entry, and which resets count.
 *
 * Note: segments are not held against the windows (netfilter's "be liberal"), and
 * retransmissions do not shorten a timer.
 */
import { after, before } from '../seqnum.js';
import { ACK, FIN, RST, SYN, URG } from '../wire/segment.js';
import type { Flow, Side } from './flows.js';
import type { Packet } from './packet.js';

export const SYN_SENT = 1;
export const SYN_RECV = 2;
export const ESTABLISHED = 3;
export const FIN_WAIT = 4;
export const CLOSE_WAIT = 5;
export const LAST_ACK = 6;
export const TIME_WAIT = 7;
export const CLOSE = 8;
/** A simultaneous open: SYNs have come from both sides. */
export const SYN_SENT2 = 9;
/** An established connection with data that nobody acknowledged: a timer, no state. */
export const UNACKNOWLEDGED = 10;
/** An echo and its answers. */
export const ECHOING = 11;

export const stateNames: readonly string[] =
  'NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 UNACKNOWLEDGED ECHO'.split(
    ' ',
  );

/** ms since the last packet after which an entry is gone, 1 .. 2^31-1. */
export interface ConntrackTimers {
  readonly synSent: number;
  readonly synReceived: number;
  readonly established: number;
  readonly finWait: number;
  readonly closeWait: number;
  readonly lastAck: number;
  readonly timeWait: number;
  readonly close: number;
  readonly unacknowledged: number;
  readonly echo: number;
}

/** Linux: nf_conntrack_tcp_timeout_*, nf_conntrack_icmp_timeout. */
export const linuxTimers: ConntrackTimers = {
  synSent: 120_000,
  synReceived: 60_000,
  established: 432_000_000,
  finWait: 120_000,
  closeWait: 60_000,
  lastAck: 30_000,
  timeWait: 120_000,
  close: 10_000,
  unacknowledged: 300_000,
  echo: 30_000,
};

/** The timers by state. Throws RangeError when one is out of range. */
export function timeoutsOf(timers: Partial<ConntrackTimers>): number[] {
  const t = { ...linuxTimers, ...timers };
  for (const [name, value] of Object.entries(t)) {
    if (!Number.isInteger(value) || value < 1 || value > 0x7fff_ffff)
      throw new RangeError(`timer ${name}: ${value}; allowed are whole ms from 1 to 2147483647`);
  }
  return [
    1,
    t.synSent,
    t.synReceived,
    t.established,
    t.finWait,
    t.closeWait,
    t.lastAck,
    t.timeWait,
    t.close,
    t.synSent,
    t.unacknowledged,
    t.echo,
  ];
}

/** Under pressure these give way first, then those that never became connections. */
export const closingStates: readonly number[] = [FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE];
export const openingStates: readonly number[] = [SYN_SENT, SYN_RECV, SYN_SENT2, ECHOING];

/** What a segment is to the tracker. */
const K_SYN = 0;
const K_SYNACK = 1;
const K_FIN = 2;
const K_ACK = 3;
const K_RST = 4;
const K_NONE = 5;

/** Passes, and nothing about it is known for sure. */
const IGNORE = 20;
const INVALID = 21;

/** The kind of a segment; K_NONE for flags that no TCP sends together. */
function kindOf(flags: number): number {
  const core = flags & (SYN | FIN | RST | ACK | URG);
  switch (core & ~URG) {
    case SYN:
      return K_SYN;
    case SYN | ACK:
      return core === (SYN | ACK) ? K_SYNACK : K_NONE;
    case FIN | ACK:
      return K_FIN;
    case ACK:
      return K_ACK;
    case RST:
    case RST | ACK:
      return (core & URG) === 0 ? K_RST : K_NONE;
  }
  return K_NONE;
}

/** The state after a segment of this kind. */
function step(state: number, kind: number, direction: number): number {
  switch (kind) {
    case K_RST:
      return CLOSE;
    case K_SYN:
      return afterSyn(state, direction);
    case K_SYNACK:
      if (state === SYN_SENT2) return SYN_RECV;
      if (direction === 1) return state === SYN_SENT ? SYN_RECV : IGNORE;
      return state === SYN_RECV ? SYN_RECV : INVALID;
    case K_FIN:
      return afterFin(state);
    case K_ACK:
      return afterAck(state, direction);
  }
  return INVALID;
}

function afterSyn(state: number, direction: number): number {
  if (state === SYN_SENT2) return SYN_SENT2;
  if (direction === 1) {
    if (state === SYN_SENT) return SYN_SENT2;
    // The two ends may have changed their roles.
    return state === TIME_WAIT ? SYN_SENT : INVALID;
  }
  return state === SYN_SENT || state === TIME_WAIT || state === CLOSE ? SYN_SENT : IGNORE;
}

function afterFin(state: number): number {
  switch (state) {
    case SYN_RECV:
    case ESTABLISHED:
      return FIN_WAIT;
    case FIN_WAIT:
    case CLOSE_WAIT:
    case LAST_ACK:
      return LAST_ACK;
    case TIME_WAIT:
    case CLOSE:
      return state;
  }
  return INVALID;
}

function afterAck(state: number, direction: number): number {
  switch (state) {
    case SYN_SENT:
    case SYN_SENT2:
      // From the answering side: it may still hold an older connection.
      return direction === 1 ? IGNORE : INVALID;
    case SYN_RECV:
      return direction === 1 ? SYN_RECV : ESTABLISHED;
    case FIN_WAIT:
      return CLOSE_WAIT;
    case LAST_ACK:
      return TIME_WAIT;
  }
  return state;
}

/** What becomes of packet and entry. */
export const PASS = 0;
/** No packet of this flow: it is not translated. */
export const REFUSE = 1;
/** The entry belongs to a connection that is over; the packet begins another one. */
export const REOPEN = 2;
/** The packet passes, and the entry goes. */
export const LAST = 3;
/** The packet passes, the timer goes on. */
export const PASS_UNHEARD = 4;

/** A new flow's first state, 0 when this segment begins none; in the middle only where `loose` (picked up). */
export function firstState(flags: number, loose: boolean): number {
  const kind = kindOf(flags);
  if (kind === K_SYN) return SYN_SENT;
  return kind === K_ACK && loose ? ESTABLISHED : 0;
}

/** Sets up the state of a new flow. */
export function begin(flow: Flow, state: number, packet: Packet): void {
  flow.state = state;
  const side = flow.sides[0];
  side.seen = true;
  side.end = packet.end;
  if (state === ESTABLISHED) heed(flow, 0, packet);
  flow.lastKind = state === SYN_SENT ? K_SYN : K_ACK;
  flow.lastDirection = 0;
  flow.lastEnd = packet.end;
}

/** Moves a TCP flow by a segment of `direction`; which timer is to run stands in `flow.state` and `timerOf`. */
export function track(flow: Flow, direction: 0 | 1, packet: Packet): number {
  const kind = kindOf(packet.flags);
  const old = flow.state;
  let next = step(old, kind, direction);
  if (next === INVALID) return REFUSE;
  const reopens = next === SYN_SENT && old >= TIME_WAIT && old !== SYN_SENT2;
  if (reopens && (flow.closing || (flow.lastKind === K_RST && flow.lastDirection === direction)))
    return REOPEN;
  if (reopens || next === IGNORE) {
    const answersIgnored =
      kind === K_SYNACK &&
      flow.lastKind === K_SYN &&
      flow.lastDirection !== direction &&
      packet.ack === flow.lastEnd;
    if (!answersIgnored) return unheard(flow, direction, kind, packet);
    // The ends agree about a SYN that seemed wrong here.
    inStep(flow, direction);
    next = SYN_RECV;
  }
  let short = false;
  if (kind === K_RST) {
    const judged = judgeReset(flow, direction, packet);
    if (judged === REFUSE) return REFUSE;
    short = judged === PASS_UNHEARD;
    if (short) next = old;
  }
  if (kind !== K_RST) heed(flow, direction, packet);
  flow.lastKind = kind;
  flow.lastDirection = direction;
  flow.lastEnd = packet.end;
  flow.state = next;
  if (next === FIN_WAIT && old !== FIN_WAIT) flow.closing = true;
  flow.resetSeen = short;
  if (!flow.replied && direction === 0 && kind === K_RST) return LAST;
  if (direction === 1 && !flow.replied) {
    // Refused at once: nothing to remember.
    if (kind === K_RST) return LAST;
    flow.replied = true;
  } else if (flow.replied && next === ESTABLISHED && (old === SYN_RECV || old === ESTABLISHED)) {
    flow.assured = true;
  }
  return PASS;
}

/** Notes a packet that may or may not be right. */
function unheard(flow: Flow, direction: number, kind: number, packet: Packet): number {
  flow.lastKind = kind;
  flow.lastDirection = direction;
  flow.lastEnd = packet.end;
  if (direction === 1) flow.replied = true;
  return PASS_UNHEARD;
}

function inStep(flow: Flow, direction: 0 | 1): void {
  flow.sides[direction].clear();
  const other = flow.sides[(1 - direction) as 0 | 1];
  other.clear();
  other.seen = true;
  other.end = flow.lastEnd;
  flow.closing = false;
}

/** PASS: it closes. REFUSE: too old. PASS_UNHEARD: not exact, so the receiver may ask back; the short timer runs. */
function judgeReset(flow: Flow, direction: 0 | 1, packet: Packet): number {
  // While closing the ports may long be in use again: any sequence number counts.
  if (closingStates.includes(flow.state)) return PASS;
  const other = flow.sides[(1 - direction) as 0 | 1];
  if (!other.acked || flow.lastKind === K_SYN) return PASS;
  const established = flow.state === ESTABLISHED;
  if (packet.seq === 0 && !established) return PASS;
  if (before(packet.seq, other.ack)) return REFUSE;
  if (!established || packet.seq === other.ack) return PASS;
  const train = flow.lastKind === K_ACK && flow.lastDirection === direction && packet.seq === flow.lastEnd;
  return train ? PASS : PASS_UNHEARD;
}

/** Notes what was sent and what is acknowledged. */
function heed(flow: Flow, direction: 0 | 1, packet: Packet): void {
  const side: Side = flow.sides[direction];
  const other: Side = flow.sides[(1 - direction) as 0 | 1];
  if (!side.seen) {
    side.seen = true;
    side.end = packet.end;
  } else if (after(packet.end, side.end)) {
    side.end = packet.end;
    side.outstanding = true;
  }
  if ((packet.flags & ACK) === 0) return;
  if (!side.acked || after(packet.ack, side.ack)) side.ack = packet.ack;
  side.acked = true;
  if (other.seen && packet.ack === other.end) other.outstanding = false;
}

/** Which timer runs. */
export function timerOf(flow: Flow, timeouts: readonly number[]): number {
  const { state } = flow;
  if (flow.resetSeen) return CLOSE;
  const waits = flow.sides[0].outstanding || flow.sides[1].outstanding;
  return waits && timeouts[state]! > timeouts[UNACKNOWLEDGED]! ? UNACKNOWLEDGED : state;
}
