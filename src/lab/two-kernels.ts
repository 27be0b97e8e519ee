/**
 * Two machines with the real kernel behind one NAT, and our stack as the server that both
 * see: what tcp_tw_recycle broke. Each kernel adds a keyed random offset to its timestamps,
 * by address and, in newer ones, port; so what each pair of source address and port would
 * show is looked at first (its SYN is lost on the way), and pairs are chosen whose clocks
 * stand as the situation needs them. Nobody changes a timestamp.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CaptureLink } from '../link/capture.js';
import type { PacketSink } from '../link/sink.js';
import type { Link } from '../link/link.js';
import { createNetwork, type Network } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import type { CounterName } from '../mib.js';
import type { ReasonId } from '../reasons.js';
import type { Decision } from '../stack/api.js';
import { Nat } from '../sim/nat.js';
import { IpHeader } from '../wire/ip.js';
import { ACK, SYN, Segment } from '../wire/segment.js';
import { Machine } from './machine.js';
import { NatSwitch } from './nat.js';
import type { Attempt } from './world.js';

export const TWO_KERNELS = { server: '10.77.0.2', outside: '203.0.113.7', port: 8080 } as const;

/** Both machines have these same private addresses. */
const ADDRESSES = Array.from({ length: 8 }, (_, i) => `192.168.1.${2 + i}`);
/** Source port of the first pair; the others follow. */
const FIRST_PORT = 40_000;
/** ms that clocks must be apart, so that the run itself does not change who is behind. */
const APART = 600_000;
/** ms for what is under way to arrive, on a loaded machine too. */
const SETTLE = 5000;
/** ms after which a look gives up: before the second SYN. */
const LOOK = 200;

export type Side = 0 | 1;

/** A source that a machine may connect from. */
export interface Source {
  readonly side: Side;
  readonly localAddress: string;
  readonly localPort: number;
}

/** A source whose SYN was seen. */
export interface Look extends Source {
  /** What its timestamp clock shows, less our own: comparable between sources. */
  readonly clock: number;
}

export interface TwoKernelsOptions {
  readonly policy: string;
  readonly knobs?: Readonly<Record<string, number>>;
  /** Packets of our side are written there. */
  readonly sink?: PacketSink;
}

/** One connection attempt through the NAT. */
export interface NatAttempt extends Attempt {
  readonly side: Side;
  /** TSval of its first SYN as the server saw it, unsigned; null when it had none. */
  readonly tsVal: number | null;
  /** What the server saw as source, 'address:port'; '' when nothing came through. */
  readonly seen: string;
  /** SYNs that came to the NAT. */
  readonly syns: number;
  /** Why our stack refused it; '' when it did not, or had nothing to say. */
  readonly reason: ReasonId | '';
}

/** Who answers behind the NAT: takes connections at TWO_KERNELS and closes first, so that TIME-WAIT is there. */
export interface NatServer {
  /** What was decided since the last call. */
  decided(): Promise<readonly Decision[]>;
  counter(name: CounterName): Promise<number>;
  close(): void | Promise<void>;
}

/** Makes it, with the packets that come through the NAT. */
export type Serve = (link: Link, clock: RealClock, options: TwoKernelsOptions) => Promise<NatServer>;

/** On a network of ours what both machines connect to: it says one line and closes first. What the stack decides is put into the list. */
export async function serveBye(network: Network): Promise<Decision[]> {
  const decisions: Decision[] = [];
  network.on('decision', (decision: Decision) => decisions.push(decision));
  const server = network.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('bye\n');
    socket.resume();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: TWO_KERNELS.port, host: TWO_KERNELS.server }, () => resolve());
  });
  return decisions;
}

/** One stack of ours. */
const serveHere: Serve = async (outside, clock, { sink, policy, knobs = {} }) => {
  const link = sink === undefined ? outside : new CaptureLink(outside, sink, clock);
  const stack = { addresses: [`${TWO_KERNELS.server}/24`] };
  const network = createNetwork({ stack, link, clock, policy, knobs });
  const decisions = await serveBye(network);
  return {
    async decided() {
      // What was decided reaches listeners with the next turn.
      network.driver.wake();
      await sleep(20);
      return decisions.splice(0);
    },
    counter: (name) => Promise.resolve(network.stack.counters.get(name)),
    close: () => network.close(),
  };
};

interface Sight {
  readonly tsVal: number | null;
  readonly at: number;
  count: number;
}

export class TwoKernels {
  readonly nat: Nat;
  /** First SYN of each source since the last `look` or `attempt`, by `side address port`. */
  private readonly sights = new Map<string, Sight>();
  /** SYNs of looks are lost. */
  private looking = false;
  private server: NatServer | null = null;
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();

  private constructor(
    private readonly machines: readonly [Machine, Machine],
    private readonly clock: RealClock,
  ) {
    this.nat = new Nat({ outside: TWO_KERNELS.outside, choice: 'preserve', seed: 1, now: clock.now() });
  }

  /** Only inside private namespaces. Throws Error with one line when the system refuses. */
  static async start(options: TwoKernelsOptions, serve: Serve = serveHere): Promise<TwoKernels> {
    const prefixed = ADDRESSES.map((address) => `${address}/24`);
    const started = await Promise.allSettled([
      Machine.start('twm0', prefixed),
      Machine.start('twm1', prefixed),
    ]);
    const machines = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    try {
      const failed = started.find((each) => each.status === 'rejected');
      if (failed !== undefined) throw failed.reason as Error;
      const both = new TwoKernels([machines[0]!, machines[1]!], new RealClock());
      await both.begin(serve, options);
      return both;
    } catch (error) {
      for (const machine of machines) machine.close();
      throw error;
    }
  }

  private async begin(serve: Serve, options: TwoKernelsOptions): Promise<void> {
    const { nat, clock } = this;
    const link = new NatSwitch({ insides: this.machines.map((machine) => machine.link), nat, clock });
    link.gate = (inside, bytes, offset, length) => this.see(inside, bytes, offset, length);
    this.server = await serve(link, clock, options);
  }

  /** At the inside of the NAT. */
  private see(inside: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const { ip, segment } = this;
    if (ip.load(bytes, offset, length) !== 0 || ip.protocol !== 6) return true;
    if (segment.load(ip, false) !== 0 || (segment.flags & (SYN | ACK)) !== SYN) return true;
    const address = [24, 16, 8, 0].map((shift) => (segment.src3 >>> shift) & 255).join('.');
    const key = `${inside} ${address} ${segment.srcPort}`;
    const tsVal = segment.hasTimestamp ? segment.tsVal : null;
    const sight = this.sights.get(key);
    if (sight === undefined) this.sights.set(key, { tsVal, at: this.clock.now(), count: 1 });
    else sight.count++;
    return !this.looking;
  }

  /** What the sources' clocks show. Nothing arrives at the server. Throws Error for one without timestamps. */
  async look(sources: readonly Source[]): Promise<Look[]> {
    this.sights.clear();
    this.looking = true;
    try {
      return await Promise.all(sources.map((source) => this.lookAt(source)));
    } finally {
      this.looking = false;
    }
  }

  private async lookAt(source: Source): Promise<Look> {
    await this.machines[source.side].connect({ ...where(source), limit: LOOK });
    await this.until(() => this.sights.has(keyOf(source)));
    const seen = this.sights.get(keyOf(source));
    if (seen === undefined || seen.tsVal === null)
      throw new Error(
        `${source.localAddress}:${source.localPort}: no SYN with timestamps (net.ipv4.tcp_timestamps?)`,
      );
    return { ...source, clock: (seen.tsVal - seen.at) | 0 };
  }

  /** Connects from the source and waits for the end; a connection is closed by the server first. */
  async attempt(source: Source, limit: number): Promise<NatAttempt> {
    const server = this.server!;
    this.sights.clear();
    await server.decided();
    const attempt = await this.machines[source.side].connect({ ...where(source), limit });
    const seen = this.seenAs(source);
    const reasons: ReasonId[] = [];
    const listen = async (): Promise<void> => {
      const about = (await server.decided()).filter(({ remote }) => nameOf(remote) === seen);
      reasons.push(...about.map(({ reason }) => reason));
    };
    await listen();
    const waits = (): boolean => reasons.includes('tw-enter');
    for (const end = this.deadline(); attempt.accepted && !waits() && this.before(end);) await listen();
    const telling = reasons.filter((reason) => /^(tw|recycle)-/.test(reason) && reason !== 'tw-enter');
    const sight = this.sights.get(keyOf(source));
    return {
      ...attempt,
      side: source.side,
      tsVal: sight === undefined || sight.tsVal === null ? null : sight.tsVal >>> 0,
      seen,
      syns: sight?.count ?? 0,
      reason: attempt.accepted ? '' : (telling.at(-1) ?? ''),
    };
  }

  /** What the NAT made of the source; '' when nothing went through. */
  private seenAs({ side, localAddress, localPort }: Source): string {
    const flow = this.nat
      .flows(this.clock.now())
      .find(
        (each) =>
          each.side === side && each.source.address === localAddress && each.source.port === localPort,
      );
    return flow === undefined ? '' : nameOf(flow.newSource);
  }

  private async until(condition: () => boolean): Promise<void> {
    for (const end = this.deadline(); !condition() && this.before(end);) await sleep(5);
  }

  private deadline(): number {
    return this.clock.now() + SETTLE;
  }

  private before(end: number): boolean {
    return ((end - this.clock.now()) | 0) > 0;
  }

  now(): number {
    return this.clock.now();
  }

  counter(name: CounterName): Promise<number> {
    return this.server!.counter(name);
  }

  /** Ends the machines and with them their namespaces. */
  async close(): Promise<void> {
    await this.server?.close();
    for (const machine of this.machines) machine.close();
  }
}

function where({ localAddress, localPort }: Source): {
  host: string;
  port: number;
  localAddress: string;
  localPort: number;
} {
  return { host: TWO_KERNELS.server, port: TWO_KERNELS.port, localAddress, localPort };
}

function keyOf({ side, localAddress, localPort }: Source): string {
  return `${side} ${localAddress} ${localPort}`;
}

function nameOf({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address}:${port}`;
}

/** Sources of both machines, each with the port that `portOf` gives it; the same ports on both by default. */
export function natSources(portOf: (side: Side, i: number) => number = (_, i) => FIRST_PORT + i): Source[] {
  return ([0, 1] as const).flatMap((side) =>
    ADDRESSES.map((localAddress, i) => ({ side, localAddress, localPort: portOf(side, i) })),
  );
}

export interface Roles {
  /** Of the one machine. */
  readonly first: Look;
  /** Of the other: one whose clock is behind the first's, one that is ahead. */
  readonly behind: Look;
  readonly ahead: Look;
}

/** null when the clocks do not stand so. */
export function chooseRoles(looks: readonly Look[]): Roles | null {
  const others = looks.filter(({ side }) => side === 1);
  for (const first of looks.filter(({ side }) => side === 0)) {
    const far = others.filter(({ clock }) => Math.abs((clock - first.clock) | 0) < 2 ** 31 - APART);
    // The same port would meet the first one's record, not the memory of the host.
    const free = far.filter(({ localPort }) => localPort !== first.localPort);
    const behind = free.find(({ clock }) => ((clock - first.clock) | 0) < -APART);
    const ahead = free.find(({ clock }) => ((clock - first.clock) | 0) > APART);
    if (behind !== undefined && ahead !== undefined) return { first, behind, ahead };
  }
  return null;
}

export interface TwoKernelsResult {
  readonly policy: string;
  /** One machine connects, and the server closes first. */
  readonly first: NatAttempt;
  /** Then the other one, with a clock that is behind, and with one that is ahead. */
  readonly behind: NatAttempt;
  readonly ahead: NatAttempt;
  /** TcpExtPAWSPassive at the end. */
  readonly pawsPassive: number;
}

/**
 * Plays the situation under a policy. `patience`: ms after which a client gives up; default
 * 2500, which is two SYNs. Throws Error when the kernels' clocks cannot be told apart.
 */
export async function playTwoKernels(
  options: TwoKernelsOptions & { readonly patience?: number },
): Promise<TwoKernelsResult> {
  const both = await TwoKernels.start(options);
  try {
    return await playBehindNat(both, options, natSources());
  } finally {
    await both.close();
  }
}

/** The same with what has been started, from these sources. */
export async function playBehindNat(
  both: TwoKernels,
  { policy, patience = 2500 }: { readonly policy: string; readonly patience?: number },
  sources: readonly Source[],
): Promise<TwoKernelsResult> {
  const roles = chooseRoles(await both.look(sources));
  if (roles === null) throw new Error('the clocks of the two kernels cannot be told apart');
  const first = await both.attempt(roles.first, patience);
  const behind = await both.attempt(roles.behind, patience);
  const ahead = await both.attempt(roles.ahead, patience);
  return { policy, first, behind, ahead, pawsPassive: await both.counter('TcpExtPAWSPassive') };
}
