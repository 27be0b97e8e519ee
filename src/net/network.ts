/**
 * A stack on a link as programs use it: the shape of the module node:net, with
 * `connect`, `createServer`, `Socket` and `Server` of this one stack, so that the
 * object can be handed to code that expects that module.
 *
 *     const net = createNetwork({ stack: { addresses: ['10.77.0.2/24'] }, link });
 *     net.createServer((socket) => socket.pipe(socket)).listen(7);
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { Link } from '../link/link.js';
import { native } from '../link/native.js';
import type { Decision, SocketRow, StackApi, StackOptions, StateChange } from '../stack/api.js';
import { guardPolicy, type Guarded, type Policy, type PolicyFailure } from '../stack/policies.js';
import { Stack } from '../stack/stack.js';
import type { Clock } from '../time/clock.js';
import type { ConnectTarget } from './arguments.js';
import { connectArguments } from './arguments.js';
import { Driver } from './driver.js';
import { checkNetworkOptions } from './network-options.js';
import { RealClock } from './real-clock.js';
import { Server } from './server.js';
import type { ServerOptions } from './server.js';
import { Socket } from './socket.js';
import type { AcceptedOptions, ConnectOptions, SocketOptions } from './socket-options.js';
import { TimeWait } from './time-wait.js';

/** Options of a stack that the network makes: all but the addresses have a default. */
export type NewStackOptions = Pick<StackOptions, 'addresses'> & Partial<StackOptions>;

export interface NetworkOptions {
  /** A stack nobody else drives, or the options of a new one. */
  stack: StackApi | NewStackOptions;
  link: Link;
  /** Default: the machine's. */
  clock?: Clock;
  /** No timers: the owner calls `network.driver.turn(now)`, see VirtualTime. */
  manual?: boolean;
  /** TIME-WAIT policy: a name, or one of your own (guarded); default that of the stack. */
  policy?: string | Policy;
  /** ms that one call of a hook of your own may take; default 5. */
  hookLimit?: number;
  /** Knobs by name. */
  knobs?: Readonly<Record<string, number>>;
}

export type SocketClass = new (options?: SocketOptions) => Socket;
export type ServerClass = new (
  options?: ServerOptions | ((socket: Socket) => void),
  onConnection?: (socket: Socket) => void,
) => Server;

export interface Network {
  on(event: 'decision', listener: (decision: Decision) => void): this;
  on(event: 'state', listener: (change: StateChange) => void): this;
  on(event: 'policyError', listener: (failure: PolicyFailure) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: 'close', listener: () => void): this;
  on(event: string | symbol, listener: (...args: unknown[]) => void): this;
}

/**
 * Events: 'state' (StateChange) and 'decision' (Decision), logged from the first
 * listener on; 'policyError' (PolicyFailure) when a hook of your own failed and rfc9293
 * answered instead, the first time of each kind and hook (a process warning when nobody
 * listens); 'error' when the link failed (all sockets were destroyed with it);
 * 'close'.
 */
export class Network extends EventEmitter {
  readonly stack: StackApi;
  readonly driver: Driver;
  readonly timeWait: TimeWait;
  /** `new network.Socket(options)`, and without `new` as old code writes it. */
  readonly Socket: SocketClass;
  readonly Stream: SocketClass;
  readonly Server: ServerClass;
  readonly isIP = isIP;
  readonly isIPv4 = isIPv4;
  readonly isIPv6 = isIPv6;

  constructor(options: NetworkOptions) {
    super();
    checkNetworkOptions(options);
    const clock = options.clock ?? new RealClock();
    this.stack = 'receive' in options.stack ? options.stack : newStack(options.stack, options.link, clock);
    const driver = new Driver(this.stack, options.link, clock, {
      manual: options.manual ?? false,
      onError: (error) => {
        this.emit('error', error);
        this.emit('close');
      },
    });
    this.driver = driver;
    driver.tracer.setSink({
      onState: (change) => this.emit('state', change),
      onDecision: (decision) => this.emit('decision', decision),
    });
    this.on('newListener', (event: unknown) => {
      if (event === 'state' || event === 'decision') driver.tracer.start();
    });
    this.timeWait = new TimeWait(this.stack, (policy) => this.guard(policy, options.hookLimit));

    class BoundSocket extends Socket {
      constructor(socketOptions: SocketOptions | AcceptedOptions = {}) {
        super(driver, socketOptions);
      }
    }
    class BoundServer extends Server {
      constructor(
        serverOptions?: ServerOptions | ((socket: Socket) => void),
        onConnection?: (socket: Socket) => void,
      ) {
        super(driver, serverOptions, onConnection);
      }
      protected override createSocket(accepted: AcceptedOptions): Socket {
        return new BoundSocket(accepted);
      }
    }
    Object.defineProperty(BoundSocket, 'name', { value: 'Socket' });
    Object.defineProperty(BoundServer, 'name', { value: 'Server' });
    this.Socket = callable(BoundSocket);
    this.Stream = this.Socket;
    this.Server = callable(BoundServer);

    if (options.policy !== undefined) this.timeWait.policy = options.policy;
    for (const [name, value] of Object.entries(options.knobs ?? {})) this.setKnob(name, value);
  }

  /** Hooks of the user's own run inside the engine: what they did wrong is told afterwards. */
  private guard(policy: Policy, limit = 5): Guarded {
    const report = (failure: PolicyFailure): void =>
      process.nextTick(() => {
        if (!this.emit('policyError', failure)) process.emitWarning(failure.message, 'PolicyWarning');
      });
    return guardPolicy(policy, { report, limit, stopwatch: () => performance.now() });
  }

  /** connect(options[, listener]), connect(port[, host][, listener]). Bound: can be passed on as a function. */
  readonly connect: {
    (options: ConnectOptions, listener?: () => void): Socket;
    (port: number | string, host: string, listener?: () => void): Socket;
    (port: number | string, listener?: () => void): Socket;
  } = (...args: unknown[]): Socket => {
    const [options, listener] = connectArguments<ConnectOptions>(args);
    const socket = new this.Socket(options);
    if (options.timeout) socket.setTimeout(options.timeout);
    return socket.connect(options as ConnectTarget, listener ?? undefined);
  };

  readonly createConnection = this.connect;

  readonly createServer = (
    options?: ServerOptions | ((socket: Socket) => void),
    onConnection?: (socket: Socket) => void,
  ): Server => new this.Server(options, onConnection);

  /** Throws a RangeError that names the nearest knob, or the range. */
  setKnob(name: string, value: number): void {
    const message = this.stack.setKnob(name, value);
    if (message !== null) throw new RangeError(message);
  }

  knob(name: string): number {
    return this.stack.knob(name);
  }

  /** Listeners, connections and TIME-WAIT records, at most `limit`. */
  sockets(limit?: number): SocketRow[] {
    return this.stack.sockets(limit);
  }

  /** Resets all connections, closes servers, releases the link. Event 'close'. */
  close(): void {
    if (this.driver.closed) return;
    this.driver.close();
    process.nextTick(() => this.emit('close'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

export function createNetwork(options: NetworkOptions): Network {
  return new Network(options);
}

function newStack(options: NewStackOptions, link: Link, clock: Clock): Stack {
  return new Stack({
    seed: randomBytes(32),
    mtu: link.mtu,
    offload: link.offload ?? false,
    gather: link.gathers ?? false,
    now: clock.now(),
    allocate,
    ...discard(),
    ...options,
  });
}

/** With the addon, memory of tables goes back to the kernel without V8's collector. */
function discard(): { discard?: (block: Int32Array) => void } {
  const loaded = native();
  return loaded.ok ? { discard: loaded.addon.discard } : {};
}

/** Memory for queues: where it is more than a few bytes, not zeroed first. */
function allocate(size: number): Uint8Array {
  return size < 4096 ? new Uint8Array(size) : new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
}

/** `Socket(options)` means `new Socket(options)`, as in node:net. */
function callable<T extends new (...args: never[]) => object>(Kind: T): T {
  return new Proxy(Kind, {
    apply: (target, _this, args) => Reflect.construct(target, args) as object,
  });
}
