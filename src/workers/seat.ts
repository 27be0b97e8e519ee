/** What a worker's program is given, and what it gives back. */
import type { MessagePort } from 'node:worker_threads';
import type { Link } from '../link/link.js';
import type { Network } from '../net/network.js';
import type { RealClock } from '../net/real-clock.js';
import type { StackOptions } from '../stack/api.js';
import type { SharedLanes } from './exchange.js';
import type { SteerBy } from './steering.js';

export interface Seat {
  /** From 0 on, and how many there are. */
  readonly index: number;
  readonly workers: number;
  /** This worker's queue of the device; it carries the packets of this worker's flows only. */
  readonly link: Link;
  /** The same in all workers: they are one host. */
  readonly clock: RealClock;
  /** Belongs into the options of the worker's stack: connect() then keeps to ports whose packets come here. */
  readonly stack: Pick<StackOptions, 'owns' | 'hostSeed'>;
}

export interface WorkerProgram {
  readonly network: Network;
  /** Answers what `Workers.ask` asks. A port that came with the question is the program's. */
  answer?(question: unknown, port: MessagePort | null): unknown;
}

/**
 * Default export of a program's module: makes the worker's network and whatever serves on it. Resolves when that is ready.
 *
 *     export default ({ link, clock, stack }) => {
 *       const network = createNetwork({ link, clock, stack: { addresses: ['10.77.0.2/24'], ...stack } });
 *       network.createServer((socket) => socket.pipe(socket)).listen(7);
 *       return network;
 *     };
 */
export type WorkerMain = (
  seat: Seat,
  data: unknown,
) => Network | WorkerProgram | Promise<Network | WorkerProgram>;

/** How much passed between the queues, packets. */
export interface HandedOver {
  readonly given: number;
  readonly taken: number;
  readonly lost: number;
}

/** What a thread is started with. */
export interface ThreadData {
  readonly seat: Pick<Seat, 'index' | 'workers'>;
  readonly program: string;
  readonly data: unknown;
  readonly mtu: number;
  readonly offload: boolean;
  readonly lanes: SharedLanes;
  /** To the other workers, for their bells; null in its own place. */
  readonly ports: readonly (MessagePort | null)[];
  readonly steering: { readonly key: Uint8Array; readonly by: SteerBy };
  readonly hostSeed: Uint8Array;
  /** RealClock.origin. */
  readonly origin: number;
}

/** The device as the first worker opened it. */
export interface Opened {
  readonly name: string;
  readonly mtu: number;
  readonly offload: boolean;
  /** null: the kernel steers, each worker has a queue of its own. Else the one queue's, which the first worker reads. */
  readonly descriptor: number | null;
}

/** Main thread to worker; each is answered by a Reply with its number. */
export type Call = { readonly id: number } & (
  | { readonly call: 'first'; readonly device: string; readonly steer: boolean }
  | { readonly call: 'join'; readonly opened: Opened }
  | { readonly call: 'start' | 'handedOver' | 'close' }
  | { readonly call: 'counters' }
  | { readonly call: 'sockets'; readonly limit: number }
  | { readonly call: 'records'; readonly limit: number }
  | { readonly call: 'ask'; readonly question: unknown; readonly port: MessagePort | null }
);

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: Failure;
}

/** An error on its way between threads: what Node would lose of it. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly syscall?: string;
  readonly details?: readonly string[];
  readonly stack?: string;
}
