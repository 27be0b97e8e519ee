/** Two networks joined by a wire in memory, and what tests ask of sockets. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { Network } from '../../src/net/network.js';
import type { NetworkOptions } from '../../src/net/network.js';
import { RealClock } from '../../src/net/real-clock.js';
import type { Server } from '../../src/net/server.js';
import type { Socket } from '../../src/net/socket.js';
import { VirtualTime } from '../../src/net/virtual-time.js';
import type { Link } from '../../src/link/link.js';
import { memoryLink } from '../../src/link/memory.js';
import { ManualClock } from '../../src/time/clock.js';
import type { Clock } from '../../src/time/clock.js';

export const CLIENT = '10.77.0.1';
export const SERVER = '10.77.0.2';
export const CLIENT6 = 'fd77::1';
export const SERVER6 = 'fd77::2';

/** A clock for two stacks in one process: they must agree on the time, so they share it. */
export interface PairOptions {
  readonly clock?: Clock;
  readonly manual?: boolean;
  readonly client?: Partial<NetworkOptions>;
  readonly server?: Partial<NetworkOptions>;
  /** Wraps the client's end of the wire. */
  readonly wrap?: (link: Link, clock: Clock) => Link;
}

export interface Pair {
  readonly client: Network;
  readonly server: Network;
  readonly clock: Clock;
  close(): void;
}

function seed(first: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => (first + 7 * i) & 0xff);
}

/** 10.77.0.1 and fd77::1 on one side, 10.77.0.2 and fd77::2 on the other. */
export function pair(options: PairOptions = {}): Pair {
  const clock = options.clock ?? new RealClock();
  const manual = options.manual ?? false;
  const [left, right] = memoryLink({ capacity: 4096 });
  const common = { mtu: 1500, now: clock.now() };
  const client = new Network({
    stack: { ...common, addresses: [`${CLIENT}/24`, `${CLIENT6}/64`], seed: seed(1) },
    link: options.wrap?.(left, clock) ?? left,
    clock,
    manual,
    ...options.client,
  });
  const server = new Network({
    stack: { ...common, addresses: [`${SERVER}/24`, `${SERVER6}/64`], seed: seed(2) },
    link: right,
    clock,
    manual,
    ...options.server,
  });
  const close = (): void => {
    client.close();
    server.close();
  };
  return { client, server, clock, close };
}

/** The same under virtual time. */
export function virtualPair(options: PairOptions = {}): Pair & { time: VirtualTime; clock: ManualClock } {
  const clock = new ManualClock(1_000_000);
  const networks = pair({ ...options, clock, manual: true });
  return { ...networks, clock, time: new VirtualTime(clock, networks.client, networks.server) };
}

/** Listens on the server's side and gives the port. */
export async function listen(server: Server, port = 0, host?: string): Promise<number> {
  const listening = once(server, 'listening');
  if (host === undefined) server.listen(port);
  else server.listen(port, host);
  await listening;
  return server.address()!.port;
}

/** A connected pair of sockets: ours, and the one the server accepted. */
export async function connected(
  networks: Pair,
  options: { client?: object; server?: object } = {},
): Promise<{ near: Socket; far: Socket; server: Server }> {
  const server = networks.server.createServer({ ...options.server });
  const port = await listen(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = networks.client.connect({ host: SERVER, port, ...options.client });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  return { near, far, server };
}

/** All bytes until the end. */
export async function collect(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Its writing side may have more to say: plain iteration would destroy both.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Bytes that differ everywhere, the same in every run. */
export function pattern(length: number, start = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let x = start | 1;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    bytes[i] = x >>> 16;
  }
  return bytes;
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Waits for the event 'close' and gives its argument: had it an error? */
export async function closed(socket: Socket): Promise<boolean> {
  if (socket.closed) return socket.errored !== null;
  return new Promise((resolve) => {
    socket.once('close', resolve);
    // Errors are what some callers wait for; the test that cares listens itself.
    socket.on('error', () => {});
  });
}

/** The error a socket ends with. */
export async function failure(socket: Socket): Promise<Error & Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    socket.once('error', resolve as (error: Error) => void);
    socket.once('close', () => {
      reject(new Error('closed without an error'));
    });
  });
}
