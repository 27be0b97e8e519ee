/**
 * Where a scene of the lab plays: our stack, and somebody on the other side. The
 * kernel world is a TUN device in private namespaces with the real kernel as peer;
 * the virtual one two of our stacks on a memory link under one virtual clock.
 */
import * as kernelNet from 'node:net';
import { CaptureLink } from '../link/capture.js';
import type { Link } from '../link/link.js';
import { memoryLink } from '../link/memory.js';
import type { PacketSink } from '../link/sink.js';
import { TunLink } from '../link/tun.js';
import { createNetwork, type Network } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import { VirtualTime } from '../net/virtual-time.js';
import { ManualClock, type Clock } from '../time/clock.js';
import { parseAddress, type Address } from '../wire/address.js';
import { InjectLink } from './inject.js';
import { bringUp, sysctl } from './namespace.js';
import { NatLink } from './nat.js';

export const SERVER = '10.77.0.2';
export const PEER = '10.77.0.1';
/** Two machines behind one NAT, and the address that we see. */
export const NAT_CLIENTS = ['10.77.0.11', '10.77.0.12'] as const;
export const NAT_PUBLIC = '10.77.0.100';
/** Addresses of the two ends, with prefix length. */
export const STACK_SIDE = [`${SERVER}/24`, 'fd77::2/64'];
export const KERNEL_SIDE = [`${PEER}/24`, 'fd77::1/64', ...NAT_CLIENTS.map((text) => `${text}/24`)];
/** The second machine was switched on a minute later: its timestamp clock is behind. */
export const CLOCK_SHIFT = -60_000;

export interface WorldOptions {
  readonly policy: string;
  readonly knobs?: Readonly<Record<string, number>>;
  /** The peers come through the NAT. */
  readonly nat?: boolean;
  /** Packets of our side are written there. */
  readonly sink?: PacketSink;
}

/** How one connection attempt of the peer went. */
export interface Attempt {
  readonly accepted: boolean;
  /** ms from connect() to the handshake's end, or to giving up. */
  readonly delay: number;
  /** errno, '' when accepted. */
  readonly error: string;
}

export interface AttemptOptions {
  readonly port: number;
  readonly localAddress?: string;
  readonly localPort?: number;
  /** Give up after this many ms. */
  readonly limit: number;
}

interface AnySocket {
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  resume(): unknown;
  end(): unknown;
  destroy(): unknown;
}

interface AnyServer {
  listen(options: { port: number; host: string }, done: () => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  close(done?: () => void): unknown;
}

/** The peer's way to open connections and to serve: node:net over the kernel, or our own. */
interface Peer {
  connect(options: object): AnySocket;
  createServer(handler: (socket: AnySocket) => void): AnyServer;
}

export class World {
  constructor(
    readonly kind: 'kernel' | 'virtual',
    /** Our stack. */
    readonly network: Network,
    readonly injector: InjectLink,
    private readonly clock: Clock,
    private readonly peer: Peer,
    private readonly time: VirtualTime | null,
    private readonly closers: readonly (() => void)[],
  ) {}

  now(): number {
    return this.clock.now();
  }

  /** Lets ms pass: real ones in the kernel world. */
  async sleep(ms: number): Promise<void> {
    if (this.time !== null) return this.time.sleep(ms);
    // What was decided in a call of ours reaches the listeners with the next turn.
    this.network.driver.wake();
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    return this.time === null ? promise : this.time.until(promise);
  }

  /** Our server: says a word and closes first, so that TIME-WAIT is ours. */
  async serve(port: number): Promise<void> {
    const server = this.network.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('bye\n');
      socket.resume();
    });
    await this.wait(
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host: SERVER, reuseAddress: true }, () => resolve());
      }),
    );
  }

  /** The peer serves on PEER; it reads to the end and closes second. */
  async peerServes(port: number): Promise<void> {
    const server = this.peer.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
    });
    await this.wait(
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host: PEER }, () => resolve());
      }),
    );
    this.served.push(server);
  }

  private readonly served: AnyServer[] = [];

  /** The peer connects to our server, waits for its end and closes. */
  async attempt(options: AttemptOptions): Promise<Attempt> {
    return this.wait(this.open(this.peer, { host: SERVER, ...options }, options.limit));
  }

  /** We connect to the peer's server and close first. */
  async ownAttempt(port: number, limit: number): Promise<Attempt> {
    return this.wait(this.open(this.network as unknown as Peer, { host: PEER, port }, limit, true));
  }

  private open(opener: Peer, options: object, limit: number, closeFirst = false): Promise<Attempt> {
    const start = this.now();
    const delay = (): number => (this.now() - start) | 0;
    return new Promise((resolve) => {
      const socket = opener.connect(options);
      let result: Attempt | null = null;
      let timer: NodeJS.Timeout | null = null;
      const finish = (attempt: Attempt): void => {
        if (timer !== null) clearTimeout(timer);
        resolve(attempt);
      };
      socket.once('connect', () => {
        result = { accepted: true, delay: delay(), error: '' };
        if (closeFirst) socket.end();
      });
      socket.on('error', ((error: NodeJS.ErrnoException) => {
        result ??= { accepted: false, delay: delay(), error: error.code ?? 'error' };
      }) as never);
      socket.once('close', () => finish(result ?? { accepted: false, delay: delay(), error: 'closed' }));
      socket.resume();
      const giveUp = (): void => {
        result ??= { accepted: false, delay: delay(), error: 'ETIMEDOUT' };
        socket.destroy();
      };
      if (this.time === null) timer = setTimeout(giveUp, limit);
      else void this.virtualTimeout(limit, () => result === null, giveUp);
    });
  }

  /** A socket's own idle timer runs on the driver's clock, so virtual time can wait for it. */
  private async virtualTimeout(limit: number, undecided: () => boolean, giveUp: () => void): Promise<void> {
    const start = this.now();
    while (undecided()) {
      if (((this.now() - start) | 0) >= limit) {
        giveUp();
        return;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    for (const server of this.served) server.close();
    for (const close of this.closers) close();
  }
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === null) throw new RangeError(`not an address: ${text}`);
  return parsed;
}

/** capture(inject(nat(device))): what our stack sees is what is written down. */
function wrap(device: Link, clock: Clock, options: WorldOptions): { link: Link; injector: InjectLink } {
  const behind =
    options.nat === true
      ? NAT_CLIENTS.map((text, i) => ({ address: address(text), clockShift: i * CLOCK_SHIFT }))
      : [];
  const translated = behind.length > 0 ? new NatLink(device, address(NAT_PUBLIC), behind, clock) : device;
  const injector = new InjectLink(translated);
  return {
    link: options.sink === undefined ? injector : new CaptureLink(injector, keepOpen(options.sink), clock),
    injector,
  };
}

/** Several scenes write into one file: a scene's end must not close it. */
function keepOpen(sink: PacketSink): PacketSink {
  return { write: (block) => sink.write(block), close: () => undefined };
}

/** The real kernel as peer, over TUN. Only inside private namespaces. */
export function kernelWorld(options: WorldOptions): World {
  const device = TunLink.open({ name: 'tw0' });
  bringUp(device.name, KERNEL_SIDE);
  return kernelWorldOn(device, new RealClock(), options);
}

/** The same on any device at whose other end the kernel of this namespace has its addresses. */
export function kernelWorldOn(device: Link, clock: RealClock, options: WorldOptions): World {
  // Timestamps without an offset of their own: what differs behind the NAT is the machines' clocks.
  if (options.nat === true) sysctl('net.ipv4.tcp_timestamps', 2);
  const { link, injector } = wrap(device, clock, options);
  const network = createNetwork({
    stack: { addresses: STACK_SIDE },
    link,
    clock,
    policy: options.policy,
    knobs: options.knobs ?? {},
  });
  network.driver.hold();
  const end = (): void => {
    network.driver.release();
    network.close();
    sysctl('net.ipv4.tcp_timestamps', 1);
  };
  return new World('kernel', network, injector, clock, kernelNet as unknown as Peer, null, [end]);
}

/** Two of our stacks under virtual time; the peer behaves as a Linux client. */
export function virtualWorld(options: WorldOptions): World {
  const clock = new ManualClock(1_000_000, 1_700_000_000);
  const [ours, theirs] = memoryLink();
  const { link, injector } = wrap(ours, clock, options);
  const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
  const network = createNetwork({
    stack: { addresses: STACK_SIDE, seed: seed(1), mtu: 1500, now: clock.now() },
    link,
    clock,
    manual: true,
    policy: options.policy,
    knobs: options.knobs ?? {},
  });
  const peer = createNetwork({
    stack: {
      addresses: KERNEL_SIDE,
      seed: seed(2),
      mtu: 1500,
      now: clock.now(),
    },
    link: theirs,
    clock,
    manual: true,
    policy: 'reuse',
    knobs: { 'net.ipv4.tcp_timestamp_offset': options.nat === true ? 0 : 1 },
  });
  const time = new VirtualTime(clock, network, peer);
  return new World('virtual', network, injector, clock, peer as unknown as Peer, time, [
    () => network.close(),
    () => peer.close(),
  ]);
}
