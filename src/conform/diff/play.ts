/**
 * Cases in lock-step: step k of all of them, then a pause, then what was sent is sorted by tuple.
 * So a real kernel needs one pause a step for hundreds of conversations.
 */
import { parseAddress, type Address } from '../../wire/address.js';
import { SegmentBuilder } from '../../wire/builder.js';
import { LOAD_OK, Segment } from '../../wire/segment.js';
import type { Later, TargetSetup } from '../target.js';
import type { DiffCase, Observation, StepSeen } from './case.js';
import type { Mechanism } from './deviations.js';
import { Peer, type Ends } from './peer.js';
import { Program, type Caller } from './program.js';

/** ms between two steps: longer than the shortest timer that matters (Linux resends a SYN after 8 ms). */
export const STEP = 20;
/**
 * Smallest RTO, ms: no conversation lasts as long, so no text is sent twice for the clock's sake; and
 * 3.5 times as much is below tcp_fin_timeout, which would be waited in two parts else.
 */
export const RTO_MIN = 10_000;
/** ms before which no SYN and no SYN,ACK is resent: their first RTO has no knob (RFC 6298 2.1). */
export const SYN_TIMEOUT = 1000;
export const MTU = 1500;
/** Segments of the first window. */
export const INITIAL_WINDOW = 40;
/** So large that what the kernel counts beside the text, which depends on the device, never narrows the window. */
export const RECEIVE_BUFFER = 6_291_456;

/** Where a case is played: the running kernel, or our stack. */
export interface Side {
  readonly name: string;
  /** Calls of one tuple's program. */
  caller(setup: TargetSetup): Caller;
  /** The packets arrive. */
  inject(packets: readonly Uint8Array[]): Later<void>;
  /** ms on this side's clock. */
  now(): number;
  /** `ms` go by. */
  pause(ms: number): Later<void>;
  /** What was sent since the last time. */
  sent(): Later<readonly Uint8Array[]>;
  /** Of all tuples that are not closed: `port remoteAddress remotePort` to the state. */
  states(): Later<ReadonlyMap<string, string>>;
  /** The counters that are compared, by name. */
  counters(): Later<ReadonlyMap<string, number>>;
}

export const LOCAL = { 4: '198.51.100.1', 6: '2001:db8:51::1' } as const;
/** Networks of the peers. */
export const REMOTE = { 4: '198.18.0.0/15', 6: '2001:db8:18::/64' } as const;
const FIRST_PORT = 2000;
const PORTS = 60_000;
const REMOTES = 130_000;

/** Gives each case a tuple that was not used for long. */
export class Tuples {
  private count = 0;

  next(version: 4 | 6): Ends {
    const n = this.count++;
    const low = 1 + (n % REMOTES);
    const remote =
      version === 4
        ? `198.${18 + (low >> 16)}.${(low >> 8) & 255}.${low & 255}`
        : `2001:db8:18::${(low >> 16).toString(16)}:${(low & 0xffff).toString(16)}`;
    return {
      local: known(LOCAL[version]),
      remote: known(remote),
      localPort: FIRST_PORT + (n % PORTS),
      remotePort: 20_000 + Math.floor(n / REMOTES),
    };
  }
}

function known(text: string): Address {
  return parseAddress(text)!;
}

class Tuple {
  readonly peer: Peer;
  readonly program: Program;
  readonly steps: StepSeen[] = [];
  readonly key: string;
  replies: string[] = [];
  windows: number[] = [];
  call = '';
  state = 'CLOSED';

  constructor(
    readonly one: DiffCase,
    readonly ends: Ends,
    side: Side,
    without: Mechanism | null,
  ) {
    this.peer = new Peer(ends, one, without === 'header-prediction');
    const setup = {
      local: ends.local,
      remote: ends.remote,
      prefix: one.version === 4 ? 32 : 128,
      bindPort: ends.localPort,
      connectPort: ends.remotePort,
      mtu: MTU,
    };
    this.program = new Program(side.caller(setup), this.peer.script);
    this.key = keyOf(ends.localPort, ends.remote.toString(), ends.remotePort);
  }

  /** Step k is over. */
  async end(k: number, states: ReadonlyMap<string, string>): Promise<void> {
    await this.program.accept();
    const state = states.get(this.key) ?? 'CLOSED';
    const ended = state === 'CLOSED' && this.state !== 'CLOSED';
    const error = ended || k === this.one.events.length - 1 ? await this.program.error() : '-';
    const { call, replies, windows } = this;
    const info = await this.program.info(state);
    this.steps.push({ call, replies, windows, state, info, error });
    this.replies = [];
    this.windows = [];
    this.state = state;
  }
}

export function keyOf(localPort: number, remote: string, remotePort: number): string {
  return `${localPort} ${remote} ${remotePort}`;
}

/** How cases are played. */
export interface Manner {
  /** What is taken out of them. */
  readonly without: Mechanism | null;
  /** ms that each step takes, STEP unless it is here; what it took really is written here. */
  readonly steps: number[];
}

export const inManner = (without: Mechanism | null = null): Manner => ({ without, steps: [] });

/** Plays all of them at once. With the same `manner` afterwards, time passes there as it passed here. */
export async function play(
  side: Side,
  cases: readonly DiffCase[],
  ends: readonly Ends[],
  manner = inManner(),
): Promise<Observation[]> {
  const { without, steps } = manner;
  const tuples = cases.map((one, i) => new Tuple(one, ends[i]!, side, without));
  const byKey = new Map(tuples.map((tuple) => [tuple.key, tuple]));
  const builder = new SegmentBuilder();
  const segment = new Segment();
  for (const tuple of tuples) await tuple.program.start(tuple.one);
  const most = Math.max(0, ...cases.map(({ events }) => events.length));
  for (let k = 0; k < most; k++) {
    const begun = side.now();
    await side.inject(await step(tuples, k, builder));
    await side.pause(steps[k] ?? STEP);
    hear(byKey, await side.sent(), segment);
    const states = await side.states();
    for (const tuple of tuples) if (k < tuple.one.events.length) await tuple.end(k, states);
    steps[k] ??= Math.round(side.now() - begun);
  }
  const seen = tuples.map(({ peer, program, steps }) => ({
    steps,
    script: [...peer.script],
    holdsSocket: program.holdsSocket,
  }));
  await cleanUp(side, tuples, builder);
  return seen;
}

/** Event k of every case; the packets among them. */
async function step(tuples: readonly Tuple[], k: number, builder: SegmentBuilder): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  for (const tuple of tuples) {
    const event = tuple.one.events[k];
    tuple.call = '';
    tuple.peer.begin();
    if (event === undefined) continue;
    tuple.peer.script.push(`step ${k}`);
    if (event.kind === 'segment') packets.push(tuple.peer.segment(event, builder));
    else if (event.kind === 'call') tuple.call = await tuple.program.perform(event);
    else if (event.kind === 'icmp') {
      const packet = tuple.peer.icmp(event);
      if (packet !== null) packets.push(packet);
    }
  }
  return packets;
}

function hear(byKey: ReadonlyMap<string, Tuple>, packets: readonly Uint8Array[], segment: Segment): void {
  for (const packet of packets) {
    if (segment.loadPacket(packet) !== LOAD_OK) continue;
    const remote = addressText(packet);
    const tuple = byKey.get(keyOf(segment.srcPort, remote, segment.dstPort));
    if (tuple === undefined) continue;
    tuple.replies.push(tuple.peer.hear(segment, packet));
    tuple.windows.push(segment.wnd);
  }
}

/** Where a packet goes, as text. */
function addressText(packet: Uint8Array): string {
  const v4 = packet[0]! >> 4 === 4;
  if (v4) return packet.subarray(16, 20).join('.');
  const view = new DataView(packet.buffer, packet.byteOffset + 24, 16);
  // All peers are 2001:db8:18::x:y
  const [high, low] = [view.getUint16(12), view.getUint16(14)];
  return parseAddress(`2001:db8:18::${high.toString(16)}:${low.toString(16)}`)!.toString();
}

/** Descriptors go, and a RST ends what stays behind. */
async function cleanUp(side: Side, tuples: readonly Tuple[], builder: SegmentBuilder): Promise<void> {
  for (const { program } of tuples) await program.end();
  await side.inject(tuples.map(({ peer }) => peer.farewell(builder)));
  await side.pause(1);
  await side.sent();
}
