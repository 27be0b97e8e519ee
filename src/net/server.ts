/** A listener as node:net's Server. */
import { EventEmitter } from 'node:events';
import { lookup } from 'node:dns';
import { isIP } from 'node:net';
import type { ListenerHandle } from '../stack/api.js';
import type { ListenTarget } from './arguments.js';
import { listenArguments } from './arguments.js';
import type { Driver } from './driver.js';
import { codedError, invalidType, listenException } from './errors.js';
import { familyName } from './socket-options.js';
import type { AcceptedOptions, AddressInfo } from './socket-options.js';
import { Socket } from './socket.js';
import {
  checkFastOpen,
  connectionSettings,
  FAST_OPEN_SERVER,
  listenSettings,
  type TcpSettings,
} from './tcp-settings.js';

/** node:net's default. */
const BACKLOG = 511;

export interface ServerOptions extends TcpSettings {
  allowHalfOpen?: boolean;
  /** Accepted sockets read nothing before `resume()`. */
  pauseOnConnect?: boolean;
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
  highWaterMark?: number;
}

/** What a connection above `maxConnections` was: the argument of event 'drop'. */
export interface DropArgument {
  localAddress: string;
  localPort: number;
  localFamily: 'IPv4' | 'IPv6';
  remoteAddress: string;
  remotePort: number;
  remoteFamily: 'IPv4' | 'IPv6';
}

export class Server extends EventEmitter {
  /** More connections at a time than this are closed as they come; undefined: no limit. */
  maxConnections: number | undefined = undefined;
  /** Kept for node:net's sake: here connections above the limit are always dropped. */
  dropMaxConnection = false;

  private readonly driver: Driver;
  private readonly options: ServerOptions;
  private listener: ListenerHandle | null = null;
  /** listen() was called, the name is being looked up. */
  private starting: ListenTarget | null = null;
  private connections = 0;
  private refed = true;
  private held = false;

  constructor(
    driver: Driver,
    options?: ServerOptions | ((socket: Socket) => void),
    onConnection?: (socket: Socket) => void,
  ) {
    super();
    const listener = typeof options === 'function' ? options : onConnection;
    if (
      options !== undefined &&
      options !== null &&
      typeof options !== 'object' &&
      typeof options !== 'function'
    ) {
      throw invalidType('options', 'of type object', options);
    }
    this.driver = driver;
    this.options = typeof options === 'object' && options !== null ? options : {};
    connectionSettings(this.options);
    if (listener !== undefined) this.on('connection', listener as (...args: unknown[]) => void);
  }

  get listening(): boolean {
    return this.listener !== null;
  }

  /** listen([port[, host[, backlog]]][, cb]), listen(options[, cb]). Errors come as event 'error'. */
  listen(options: ListenTarget, listener?: () => void): this;
  listen(port?: number | string, host?: string, backlog?: number, listener?: () => void): this;
  listen(port?: number | string, host?: string, listener?: () => void): this;
  listen(port?: number | string, backlog?: number, listener?: () => void): this;
  listen(port?: number | string, listener?: () => void): this;
  listen(listener?: () => void): this;
  listen(...args: unknown[]): this {
    const [target, listening] = listenArguments(args);
    if (this.listener !== null || this.starting !== null) {
      throw codedError(
        'ERR_SERVER_ALREADY_LISTEN',
        'Listen method has been called more than once without closing.',
      );
    }
    const { host, signal, fastOpen = 0 } = target;
    listenSettings(target);
    checkFastOpen(fastOpen > 0, this.driver.stack.knob('net.ipv4.tcp_fastopen'), FAST_OPEN_SERVER);
    if (listening !== null) this.once('listening', listening);
    if (signal !== undefined) this.closeOnAbort(signal);
    if (host === undefined || host === '' || isIP(host) !== 0) {
      this.open(target, host || undefined);
      return this;
    }
    this.starting = target;
    lookup(host, (error, address) => {
      // close() came in between.
      if (this.starting !== target) return;
      this.starting = null;
      if (error !== null) this.emit('error', Object.assign(error, { host, port: Number(target.port ?? 0) }));
      else this.open(target, address);
    });
    return this;
  }

  private closeOnAbort(signal: AbortSignal): void {
    const onAbort = (): void => {
      this.close();
    };
    if (signal.aborted) process.nextTick(onAbort);
    else {
      signal.addEventListener('abort', onAbort, { once: true });
      this.once('close', () => {
        signal.removeEventListener('abort', onAbort);
      });
    }
  }

  private open(target: ListenTarget, address: string | undefined): void {
    const port = Number(target.port ?? 0);
    this.driver.sync();
    const listener = this.driver.closed
      ? 'EADDRNOTAVAIL'
      : this.driver.stack.listen({
          port,
          backlog: target.backlog ?? BACKLOG,
          // node:net sets SO_REUSEADDR on every listener.
          reuseAddress: target.reuseAddress ?? true,
          ...(address === undefined ? {} : { address }),
          ...(target.reusePort === undefined ? {} : { reusePort: target.reusePort }),
          ...(target.exclusive === undefined ? {} : { exclusive: target.exclusive }),
          ...(target.ipv6Only === undefined ? {} : { v6Only: target.ipv6Only }),
          ...listenSettings(target),
        });
    if (typeof listener === 'string') {
      const error = listenException(listener, address ?? '::', port);
      process.nextTick(() => this.emit('error', error));
      return;
    }
    this.listener = listener;
    listener.user = this;
    this.driver.add(this);
    this.updateHold();
    process.nextTick(() => {
      if (this.listener === listener) this.emit('listening');
    });
  }

  /** Called by the driver: connections wait. */
  onConnections(listener: ListenerHandle): void {
    while (this.listener === listener) {
      const connection = this.driver.stack.accept(listener);
      if (connection === null) return;
      if (this.maxConnections !== undefined && this.connections >= this.maxConnections) {
        const { local, remote } = connection;
        this.driver.stack.close(connection);
        this.emit('drop', {
          localAddress: local.address,
          localPort: local.port,
          localFamily: familyName(local),
          remoteAddress: remote.address,
          remotePort: remote.port,
          remoteFamily: familyName(remote),
        } satisfies DropArgument);
        continue;
      }
      const { pauseOnConnect, ...options } = this.options;
      const socket = this.createSocket({ ...options, connection, pauseOnCreate: pauseOnConnect ?? false });
      this.connections++;
      socket.setOwner(this);
      this.emit('connection', socket);
    }
  }

  /** The class of accepted sockets. */
  protected createSocket(options: AcceptedOptions): Socket {
    return new Socket(this.driver, options);
  }

  /** Called by a socket of ours. */
  onSocketClosed(): void {
    this.connections--;
    this.emitCloseIfDrained();
  }

  /** Called by the driver when it closes, or its link failed. */
  onDriverGone(): void {
    this.close();
  }

  /**
   * Stops listening; event 'close' when the last connection has ended. Connections
   * not accepted yet are reset by the engine. `callback` gets ERR_SERVER_NOT_RUNNING
   * when there was nothing to close.
   */
  close(callback?: (error?: Error) => void): this {
    const running = this.listener !== null || this.starting !== null;
    if (typeof callback === 'function') {
      if (running) this.once('close', callback);
      else {
        this.once('close', () => {
          callback(codedError('ERR_SERVER_NOT_RUNNING', 'Server is not running.'));
        });
      }
    }
    this.starting = null;
    if (this.listener !== null) {
      const { listener } = this;
      this.listener = null;
      listener.user = null;
      this.driver.sync();
      this.driver.stack.closeListener(listener);
      this.driver.delete(this);
      this.driver.wake();
      this.updateHold();
    }
    this.emitCloseIfDrained();
    return this;
  }

  private emitCloseIfDrained(): void {
    if (this.listener !== null || this.starting !== null || this.connections > 0) return;
    process.nextTick(() => this.emit('close'));
  }

  /** null while not listening. */
  address(): AddressInfo | null {
    if (this.listener === null) return null;
    const { local } = this.listener;
    return { address: local.address, family: familyName(local), port: local.port };
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    const { connections } = this;
    process.nextTick(callback, null, connections);
    return this;
  }

  /** Keeps the process alive while listening (the default). */
  ref(): this {
    this.refed = true;
    this.updateHold();
    return this;
  }

  unref(): this {
    this.refed = false;
    this.updateHold();
    return this;
  }

  private updateHold(): void {
    const wanted = this.refed && this.listener !== null;
    if (wanted === this.held) return;
    this.held = wanted;
    if (wanted) this.driver.hold();
    else this.driver.release();
  }

  /** `await using`: closes, and waits for the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.listener === null && this.starting === null) return;
    await new Promise<void>((resolve) => {
      this.close(() => {
        resolve();
      });
    });
  }
}
