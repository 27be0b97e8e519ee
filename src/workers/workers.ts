/**
 * One host on several threads: a TUN device with a queue for each, an engine of its own in each, and flows
 * that never change their engine. docs/workers.md says how.
 *
 *     const workers = await Workers.start({ workers: 2, program: new URL('./server.js', import.meta.url) });
 *     await workers.timeWait.list();
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MessageChannel, Worker, type MessagePort, type Transferable } from 'node:worker_threads';
import { RealClock } from '../net/real-clock.js';
import type { SocketRow } from '../stack/api.js';
import { sharedLanes } from './exchange.js';
import { parseAddress } from '../wire/address.js';
import { MOST_WORKERS } from './limits.js';
import { addUp, mergeSockets } from './merge.js';
import type { Call, Failure, HandedOver, Opened, Reply, ThreadData } from './seat.js';
import { Steering, type SteerBy } from './steering.js';

export interface WorkersOptions {
  /** 1 to 32. */
  readonly workers: number;
  /** Module whose default export is a WorkerMain: a URL, or a path from the working directory on. */
  readonly program: URL | string;
  /** For the program; what postMessage can carry. */
  readonly data?: unknown;
  /** Name of the device, as for TunLink.open. */
  readonly device?: string;
  readonly mtu?: number;
  /** Default true. */
  readonly offload?: boolean;
  /** What a flow's worker depends on; default `tuple`. By `host` for policies with a memory per host. */
  readonly steerBy?: SteerBy;
  /** False: the kernel is not asked to steer, as where it refuses to. Default true. */
  readonly steerInKernel?: boolean;
  /** Called once the device has all its queues, before any program runs: to bring it up. */
  readonly prepare?: (device: string) => void | Promise<void>;
}

/** Without the number that makes an answer of it. */
type Unnumbered<T> = T extends { id: number } ? Omit<T, 'id'> : never;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export interface Workers {
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: string | symbol, listener: (...args: unknown[]) => void): this;
}

/** Event 'error': a worker ended, and its connections with it; the others have been ended too. */
export class Workers extends EventEmitter {
  private readonly threads: readonly Worker[];
  private readonly steering: Steering;
  private readonly waiting: Map<number, Waiting>[];
  private calls = 0;
  private ended = false;
  private deviceName = '';
  private isSteered = false;

  private constructor(private readonly options: WorkersOptions) {
    super();
    const { workers, steerBy = 'tuple' } = options;
    this.steering = new Steering(randomBytes(16), workers, steerBy);
    this.threads = startThreads(options, this.steering);
    this.waiting = this.threads.map(() => new Map<number, Waiting>());
    this.threads.forEach((thread, i) => {
      thread.on('message', ({ id, value, error }: Reply) => {
        const waiting = this.waiting[i]!.get(id);
        this.waiting[i]!.delete(id);
        if (error === undefined) waiting?.resolve(value);
        else waiting?.reject(errorOf(error));
      });
      thread.on('error', (error) => this.fail(error));
      thread.on('exit', () => this.fail(new Error(`worker ${i} of ${workers} ended`)));
    });
  }

  /**
   * Resolves when all programs are ready. Rejects with what TunLink.open throws, with what a program threw, and with
   * a RangeError for a number of workers that cannot be, a TypeError without a program.
   */
  static async start(options: WorkersOptions): Promise<Workers> {
    const { workers: count } = options;
    if (!Number.isInteger(count) || count < 1 || count > MOST_WORKERS)
      throw new RangeError(`workers must be an integer from 1 to ${MOST_WORKERS}, got ${count}`);
    const { program } = options as Partial<WorkersOptions>;
    if (!(program instanceof URL) && (typeof program !== 'string' || program === ''))
      throw new TypeError(`program must be a URL or the path of a module, got ${show(program)}`);
    const workers = new Workers(options);
    try {
      await workers.begin();
      return workers;
    } catch (error) {
      await workers.end(error as Error);
      throw error;
    }
  }

  private async begin(): Promise<void> {
    const { device = 'tw%d', steerInKernel = true } = this.options;
    const steer = steerInKernel && this.count > 1;
    const opened = (await this.call(0, { call: 'first', device, steer })) as Opened;
    this.deviceName = opened.name;
    this.isSteered = opened.descriptor === null;
    // One after the other: queues are numbered in the order in which they come.
    for (let i = 1; i < this.count; i++) await this.call(i, { call: 'join', opened });
    await this.options.prepare?.(this.deviceName);
    await this.all({ call: 'start' });
  }

  get count(): number {
    return this.threads.length;
  }

  /** The device's name. */
  get name(): string {
    return this.deviceName;
  }

  /** The kernel puts each flow's packets into its worker's queue. Else the first worker reads them all and hands over. */
  get steered(): boolean {
    return this.isSteered;
  }

  get steerBy(): SteerBy {
    return this.steering.by;
  }

  /** Who has all connections with an address, when flows are steered by host; null otherwise. */
  ownerOfHost(address: string): number | null {
    const parsed = parseAddress(address);
    if (this.steerBy !== 'host' || parsed === null) return null;
    const [w0, w1, w2, w3] = parsed.words;
    return this.steering.ownerOfTuple(0, 0, 0, 0, w0!, w1!, w2!, w3!, 0, 0);
  }

  /** Listeners (one in each worker), connections and TIME-WAIT records of all, at most `limit`; records last. */
  async sockets(limit = Number.MAX_SAFE_INTEGER): Promise<SocketRow[]> {
    return mergeSockets((await this.all({ call: 'sockets', limit })) as SocketRow[][], limit);
  }

  readonly timeWait = {
    /** The records of all workers, at most `limit`. */
    list: async (limit = 100_000): Promise<SocketRow[]> =>
      ((await this.all({ call: 'records', limit })) as SocketRow[][]).flat().slice(0, limit),
  };

  /** Counters under nstat's names, of all workers together. */
  async counters(): Promise<Record<string, number>> {
    return addUp((await this.all({ call: 'counters' })) as Record<string, number>[]);
  }

  /** What each worker handed to others, took from them, and lost because a lane was full. */
  async handedOver(): Promise<HandedOver[]> {
    return (await this.all({ call: 'handedOver' })) as HandedOver[];
  }

  /** Asks each worker's program; the answers in the order of the workers. */
  ask(question: unknown): Promise<unknown[]> {
    return this.all({ call: 'ask', question, port: null });
  }

  /** Asks the program of one worker. `port` becomes the program's. */
  askOne(worker: number, question: unknown, port: MessagePort | null = null): Promise<unknown> {
    return this.call(worker, { call: 'ask', question, port }, port === null ? [] : [port]);
  }

  /** Resets all connections, closes servers and the device. */
  async close(): Promise<void> {
    try {
      if (!this.ended) await this.all({ call: 'close' });
    } finally {
      await this.end(new Error('the workers were closed'));
    }
  }

  private all(call: Unnumbered<Call>): Promise<unknown[]> {
    return Promise.all(this.threads.map((_, i) => this.call(i, call)));
  }

  private call(worker: number, call: Unnumbered<Call>, transfer: Transferable[] = []): Promise<unknown> {
    if (this.ended) return Promise.reject(new Error('the workers have ended'));
    const id = ++this.calls;
    return new Promise((resolve, reject) => {
      // First, as it throws what cannot be posted.
      this.threads[worker]!.postMessage({ ...call, id }, transfer);
      this.waiting[worker]!.set(id, { resolve, reject });
    });
  }

  private fail(error: Error): void {
    if (this.ended) return;
    const asked = this.waiting.some(({ size }) => size > 0);
    void this.end(error);
    // Whoever asked has it; an error that nobody listens for would be thrown.
    if (!asked || this.listenerCount('error') > 0) this.emit('error', error);
  }

  /** `error`: for whoever waits for an answer. */
  private async end(error: Error): Promise<void> {
    this.ended = true;
    for (const waiting of this.waiting) {
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    }
    await Promise.all(this.threads.map((thread) => thread.terminate()));
  }
}

function startThreads(options: WorkersOptions, { key, by }: Steering): Worker[] {
  const { workers, program, data, mtu = 1500, offload = true } = options;
  const lanes = sharedLanes(workers);
  const ports: (MessagePort | null)[][] = Array.from({ length: workers }, () =>
    Array.from({ length: workers }, () => null),
  );
  for (let a = 0; a < workers; a++) {
    for (let b = 0; b < a; b++) {
      const { port1, port2 } = new MessageChannel();
      ports[a]![b] = port1;
      ports[b]![a] = port2;
    }
  }
  const steering = { key, by };
  const hostSeed = randomBytes(32);
  const { origin } = new RealClock();
  return ports.map((own, index) => {
    const workerData: ThreadData = {
      seat: { index, workers },
      program: moduleOf(program),
      data,
      mtu,
      offload,
      lanes,
      ports: own,
      steering,
      hostSeed,
      origin,
    };
    const transferList = own.filter((port) => port !== null);
    const name = `worker ${index} of ${workers}`;
    return new Worker(new URL('../workers/thread.js', import.meta.url), { workerData, transferList, name });
  });
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : value === null ? 'null' : typeof value;
}

function moduleOf(program: URL | string): string {
  const isPath = typeof program === 'string' && (isAbsolute(program) || !URL.canParse(program));
  return isPath ? pathToFileURL(resolve(program)).href : String(program);
}

/** An error of a worker's, with what it said there. */
function errorOf({ name, message, ...rest }: Failure): Error {
  const error = name === 'RangeError' ? new RangeError(message) : new Error(message);
  Object.assign(error, rest);
  error.name = name;
  return error;
}
