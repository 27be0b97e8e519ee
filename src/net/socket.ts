/**
 * A connection as a stream, in the shape of node:net's Socket.
 *
 * Back-pressure is that of TCP. Reading: while the stream's buffer is full nothing
 * is taken from the engine, so the receive window closes. Writing: a write is called
 * back when the engine's send buffer has room again; before that it holds at most
 * its limit and one slice more.
 *
 * Order of events: lookup, connect, ready, data, end, finish, close(hadError);
 * error before close.
 */
import { Duplex, addAbortSignal } from 'node:stream';
import type {
  ConnectionHandle,
  ConnectionOption,
  Decision,
  Endpoint,
  Errno,
  StateChange,
  TcpInfo,
} from '../stack/api.js';
import { EV_CLOSED, EV_CONNECTED, EV_PEER_CLOSED, EV_READABLE, EV_WRITABLE } from '../stack/api.js';
import type { ConnectTarget, LookupAddress } from './arguments.js';
import { checkTarget, connectArguments, engineTarget, openException } from './arguments.js';
import type { ConnectionUser, Driver } from './driver.js';
import { codedError, connectException, invalidType } from './errors.js';
import { IdleTimer } from './idle.js';
import { Inlet } from './inlet.js';
import { Outlet } from './outlet.js';
import { resolve } from './resolve.js';
import {
  TcpOptions,
  checkStreamOptions,
  checkedPeriod,
  checkedTos,
  familyName,
  keepAliveDelay,
} from './socket-options.js';
import type { AcceptedOptions, AddressInfo, SocketOptions } from './socket-options.js';
import { writeAfterFin } from './write-after-fin.js';
import {
  checkFastOpen,
  connectionSetting,
  FAST_OPEN_CLIENT,
  type TcpSettingName,
  type TcpSettings,
} from './tcp-settings.js';

/** Events that count for `setTimeout`: bytes moved. That the peer has acknowledged them does not. */
const ACTIVITY = EV_CONNECTED | EV_READABLE | EV_WRITABLE | EV_PEER_CLOSED;

/** What a server keeps of its sockets. */
interface SocketOwner {
  onSocketClosed(): void;
}

export class Socket extends Duplex {
  /** Between `connect()` and the event 'connect'. */
  connecting = false;
  /** As set by `setTimeout`, ms. */
  timeout: number | undefined = undefined;
  /** The server that accepted it; free for others (node:http sets it to its own). */
  server: unknown = null;

  private readonly driver: Driver;
  private readonly inlet: Inlet;
  private readonly outlet: Outlet;
  private connection: ConnectionHandle | null = null;
  private readonly signal: AbortSignal | null;
  private owner: SocketOwner | null = null;
  private sockname: Endpoint | null = null;
  private peername: Endpoint | null = null;
  private host: string | null = null;
  private idleTimer: IdleTimer | null = null;
  private attempted: LookupAddress | null = null;
  /** Addresses still to try when this attempt fails. */
  private candidates: readonly LookupAddress[] = [];
  private target: ConnectTarget | null = null;
  /** connect() was called, or it was accepted. */
  private begun = false;
  private resetting = false;
  /** Ends the wait of a close that lingers. */
  private lingering: (() => void) | null = null;
  private refed = true;
  private held = false;
  private readonly states: string[] = [];
  private readonly wanted = new TcpOptions();

  constructor(driver: Driver, options: SocketOptions | AcceptedOptions = {}) {
    checkStreamOptions(options);
    super({
      allowHalfOpen: options.allowHalfOpen ?? false,
      // 'close' carries hadError, so it is emitted here.
      emitClose: false,
      autoDestroy: true,
      ...(options.highWaterMark === undefined ? {} : { highWaterMark: options.highWaterMark }),
    });
    this.driver = driver;
    this.inlet = new Inlet(this, driver, options.onread ?? null);
    this.outlet = new Outlet(this, driver, options.highWaterMark === undefined);
    this.wanted.take(options);
    this.on('end', this.onEnd);
    this.signal = options.signal ?? null;
    if (this.signal !== null) addAbortSignal(this.signal, this);
    if ('connection' in options) this.adopt(options);
  }

  // ---------------------------------------------------------------- opening

  /** connect(options[, listener]), connect(port[, host][, listener]). Errors come as event 'error'. */
  connect(options: ConnectTarget, listener?: () => void): this;
  connect(port: number | string, host: string, listener?: () => void): this;
  connect(port: number | string, listener?: () => void): this;
  connect(...args: unknown[]): this {
    const [target, listener] = connectArguments<ConnectTarget>(args);
    checkTarget(target);
    const knob = this.driver.stack.knob('net.ipv4.tcp_fastopen');
    checkFastOpen(target.fastOpen === true, knob, FAST_OPEN_CLIENT);
    if (this.connecting || this.connection !== null) {
      const code = this.connecting ? 'EALREADY' : 'EISCONN';
      this.destroy(connectException(code, 'connect', target.host ?? 'localhost', Number(target.port)));
      return this;
    }
    // Aborted before it began: the error is on its way.
    if (this.signal?.aborted === true) return this;
    if (this.destroyed) this.revive();
    if (listener !== null) this.once('connect', listener);
    this.connecting = true;
    this.begun = true;
    this.driver.add(this);
    this.updateHold();
    this.touch();
    this.target = target;
    const host = target.host || 'localhost';
    this.host = host;
    resolve(host, target, ({ looked, error, addresses }) => {
      if (!this.connecting || this.target !== target) return;
      const first = addresses[0];
      if (looked) this.emit('lookup', error, first?.address, first?.family, host);
      if (!this.stillConnecting(target)) return;
      if (error !== null) {
        process.nextTick(() => this.stillConnecting(target) && this.destroy(error));
        return;
      }
      this.candidates = addresses;
      // As in node:net nothing happens before the caller has had time to add listeners.
      process.nextTick(() => this.stillConnecting(target) && this.tryNext(target));
    });
    return this;
  }

  private stillConnecting(target: ConnectTarget): boolean {
    return this.connecting && this.target === target && !this.destroyed;
  }

  /** Active open to the next candidate; an error that comes at once goes on to the one after it. */
  private tryNext(target: ConnectTarget): void {
    const to = this.candidates[0]!;
    this.candidates = this.candidates.slice(1);
    this.driver.sync();
    const connection = this.driver.closed
      ? 'ENETUNREACH'
      : this.driver.stack.connect(engineTarget(target, to.address));
    this.attempted = to;
    if (typeof connection === 'string') {
      this.connectFailed(connection);
      return;
    }
    this.connection = connection;
    connection.user = this;
    this.driver.tracer.adopt(connection, this);
    this.wanted.apply(this.driver.stack, connection);
    if (target.fastOpen === true) this.outlet.early(connection, this.driver.stack.fastOpenRoom(connection));
    this.driver.wake();
  }

  private connectFailed(code: Errno): void {
    const target = this.target!;
    this.connection = null;
    if (this.candidates.length > 0) {
      this.tryNext(target);
      return;
    }
    this.destroy(openException(code, target, this.attempted!));
  }

  private onConnected(): void {
    this.connecting = false;
    this.candidates = [];
    const { connection } = this;
    if (connection !== null) this.outlet.open(connection);
    this.emit('connect');
    if (connection === this.connection) this.outlet.flush();
    this.emit('ready');
    if (connection !== this.connection) return;
    // A reader that came before the connection waits for its data.
    if (!this.isPaused()) this.read(0);
    this.inlet.pump();
  }

  private adopt(options: AcceptedOptions): void {
    const { connection } = options;
    this.connection = connection;
    this.begun = true;
    connection.user = this;
    this.driver.add(this);
    this.driver.tracer.adopt(connection, this);
    this.wanted.apply(this.driver.stack, connection);
    this.updateHold();
    this.inlet.open(connection);
    this.outlet.open(connection);
    if (options.pauseOnCreate) this.pause();
    else this.read(0);
  }

  /** A destroyed socket may connect again. */
  private revive(): void {
    (this as unknown as { _undestroy(): void })._undestroy();
    delete (this as { write?: unknown }).write;
    this.peername = null;
    this.sockname = null;
    this.resetting = false;
    this.inlet.reset();
    this.outlet.reset();
  }

  // ---------------------------------------------------------------- events of the engine

  /** Called by the driver. */
  onEvents(connection: ConnectionHandle, events: number): void {
    if (connection !== this.connection) return;
    if ((events & ACTIVITY) !== 0) this.touch();
    if (this.connecting) {
      // Refused, unreachable, timed out: never established.
      if ((events & (EV_CLOSED | EV_CONNECTED)) === EV_CLOSED) {
        connection.user = null;
        this.driver.stack.close(connection);
        this.connectFailed(connection.error ?? 'ECONNRESET');
        return;
      }
      if ((events & EV_CONNECTED) === 0) return;
      this.inlet.open(connection);
      this.onConnected();
      if (connection !== this.connection) return;
    }
    if ((events & EV_CLOSED) !== 0) {
      this.onGone(connection);
      return;
    }
    if ((events & EV_WRITABLE) !== 0) this.outlet.resume();
    if ((events & (EV_READABLE | EV_PEER_CLOSED)) !== 0 && connection === this.connection) this.inlet.pump();
  }

  /** The engine lets the connection go: what was received is taken over, then the error or the end follows it. */
  private onGone(connection: ConnectionHandle): void {
    this.rememberNames(connection);
    const error = connection.error;
    connection.user = null;
    this.connection = null;
    this.inlet.detach(connection, error);
    // The reader hears of a reset first, as from the kernel; a write under way is told only if unread data keeps him busy.
    this.inlet.pump();
    this.outlet.detach(error);
    this.driver.stack.close(connection);
  }

  /** Called by the driver when it closes (null) or its link failed. */
  onDriverGone(error: Error | null): void {
    this.lingering?.();
    this.resetting = true;
    this.destroy(error ?? undefined);
  }

  /** Called by the tracer. */
  onState(change: StateChange): void {
    if (this.states.length === 0) this.states.push(change.from);
    this.states.push(change.to);
    this.emit('state', change.from, change.to, change);
  }

  /** Called by the tracer. */
  onDecision(decision: Decision): void {
    this.emit('decision', decision);
  }

  // ---------------------------------------------------------------- Duplex

  override _read(): void {
    this.inlet.want();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.writeAll([chunk], callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.writeAll(
      chunks.map((entry) => entry.chunk),
      callback,
    );
  }

  private writeAll(chunks: Buffer[], callback: (error?: Error | null) => void): void {
    this.touch();
    // Before 'connect' the outlet keeps it.
    this.outlet.write(chunks, callback, this.connecting);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.connecting) {
      this.once('connect', () => {
        this._final(callback);
      });
      return;
    }
    if (this.connection !== null) {
      // ENOTCONN: the connection has ended already, which the reading side reports.
      this.driver.sync();
      this.driver.stack.shutdown(this.connection);
      this.driver.wake();
    }
    // 'finish' follows the turn that sends the FIN.
    setImmediate(callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const wasConnecting = this.connecting;
    this.connecting = false;
    this.target = null;
    if (this.idleTimer !== null) this.driver.idle.stop(this.idleTimer);
    const { connection } = this;
    let lingers = false;
    if (connection !== null) {
      if (!wasConnecting) this.rememberNames(connection);
      this.outlet.letGo();
      this.connection = null;
      connection.user = null;
      this.inlet.detach(null, null);
      this.driver.sync();
      if (this.resetting) {
        this.driver.push();
        this.driver.stack.abort(connection);
      } else lingers = !this.driver.stack.close(connection);
      this.driver.wake();
    }
    if (!wasConnecting) this.outlet.destroy(false);
    const over = (): void => {
      this.lingering = null;
      this.finishClosing(error, wasConnecting, callback);
    };
    if (!lingers) return over();
    // SO_LINGER with a time: the engine says when the wait is over
    this.lingering = over;
    connection!.user = { onEvents: over } satisfies ConnectionUser;
  }

  private finishClosing(
    error: Error | null,
    wasConnecting: boolean,
    callback: (error: Error | null) => void,
  ): void {
    this.driver.delete(this);
    this.updateHold();
    callback(error);
    process.nextTick(() => {
      // A socket that never had anything to close says nothing about errors, as in node:net.
      if (this.begun) this.emit('close', error !== null);
      else this.emit('close');
      if (wasConnecting) this.outlet.destroy(true);
    });
    const { owner } = this;
    this.owner = null;
    owner?.onSocketClosed();
  }

  /** node:net's answer to a write after the peer's FIN, when that FIN ended our side too. */
  private onEnd(): void {
    if (!this.allowHalfOpen) this.write = writeAfterFin as typeof this.write;
  }

  override pause(): this {
    this.inlet.hold();
    return super.pause();
  }

  override resume(): this {
    super.resume();
    this.inlet.unhold();
    return this;
  }

  // ---------------------------------------------------------------- closing

  /** end(), then destroy() once everything written has been handed over. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Ends the connection with a RST; no TIME-WAIT is left. While connecting: as soon as it is open. */
  resetAndDestroy(): this {
    if (this.connecting) this.once('connect', () => this.reset());
    else if (this.connection !== null) this.reset();
    else this.destroy(codedError('ERR_SOCKET_CLOSED', 'Socket is closed'));
    return this;
  }

  private reset(): void {
    this.resetting = true;
    this.destroy();
  }

  // ---------------------------------------------------------------- options

  /** Event 'timeout' after `ms` without activity, which changes nothing else; 0 turns it off. */
  setTimeout(ms: number, listener?: () => void): this {
    if (this.destroyed) return this;
    const period = checkedPeriod(ms);
    if (listener !== undefined && typeof listener !== 'function') {
      throw invalidType('callback', 'of type function', listener);
    }
    this.timeout = ms;
    this.idleTimer ??= new IdleTimer(() => this.emit('timeout'));
    this.driver.idle.set(this.idleTimer, period, this.driver.now());
    if (period > 0) {
      if (listener !== undefined) this.once('timeout', listener);
      this.driver.wake();
    } else if (listener !== undefined) this.removeListener('timeout', listener);
    return this;
  }

  private touch(): void {
    if (this.idleTimer !== null) this.driver.idle.touch(this.idleTimer, this.driver.now());
  }

  /** true: no Nagle algorithm. */
  setNoDelay(noDelay = true): this {
    return this.setOption('noDelay', noDelay ? 1 : 0);
  }

  /** `initialDelay`: ms of silence before the first probe, 0 for the default of two hours. */
  setKeepAlive(enable = false, initialDelay = 0): this {
    return this.setOption('keepAlive', enable ? keepAliveDelay(initialDelay) : 0);
  }

  /** The byte of the IP header (DSCP and ECN bits), 0..255. */
  setTypeOfService(tos: number): this {
    return this.setOption('tos', checkedTos(tos));
  }

  getTypeOfService(): number {
    return this.wanted.get('tos');
  }

  /** One of TcpSettings, now and for this socket's later connections. Throws for a name or value there is not. */
  setTcpOption<N extends TcpSettingName>(name: N, value: NonNullable<TcpSettings[N]>): this {
    return this.setOption(...connectionSetting(name, value));
  }

  private setOption(option: ConnectionOption, value: number): this {
    this.wanted.set(option, value);
    if (this.connection !== null) this.driver.stack.setOption(this.connection, option, value);
    return this;
  }

  /** Keeps the process alive while open (the default). */
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
    const wanted =
      this.refed && !this.destroyed && (this.connecting || this.connection !== null || this.inlet.pending);
    if (wanted === this.held) return;
    this.held = wanted;
    if (wanted) this.driver.hold();
    else this.driver.release();
  }

  // ---------------------------------------------------------------- what it is

  /** Set by the server that accepted it. */
  setOwner(owner: SocketOwner): void {
    this.owner = owner;
    this.server = owner;
  }

  get pending(): boolean {
    return this.connection === null || this.connecting;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get bytesRead(): number {
    return this.inlet.bytes + 0;
  }

  /** Bytes written, those still buffered included. */
  get bytesWritten(): number {
    return this.outlet.bytes + this.writableLength - this.outlet.counted;
  }

  /** Bytes buffered for writing. */
  get bufferSize(): number {
    return this.writableLength;
  }

  /** Our end; {} when there is no connection. */
  address(): AddressInfo | Record<string, never> {
    const local = this.destroyed ? null : this.localEnd;
    return local === null ? {} : { address: local.address, family: familyName(local), port: local.port };
  }

  get localAddress(): string | undefined {
    return this.localEnd?.address;
  }

  get localPort(): number | undefined {
    return this.localEnd?.port;
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.localEnd === null ? undefined : familyName(this.localEnd);
  }

  get remoteAddress(): string | undefined {
    return this.remoteEnd?.address;
  }

  get remotePort(): number | undefined {
    return this.remoteEnd?.port;
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.remoteEnd === null ? undefined : familyName(this.remoteEnd);
  }

  private get localEnd(): Endpoint | null {
    if (this.connection !== null) this.sockname ??= this.connection.local;
    return this.sockname;
  }

  private get remoteEnd(): Endpoint | null {
    if (this.connecting) return null;
    if (this.connection !== null) this.peername ??= this.connection.remote;
    return this.peername;
  }

  private rememberNames(connection: ConnectionHandle): void {
    this.sockname ??= connection.local;
    this.peername ??= connection.remote;
  }

  /** The name or address that `connect` was given. */
  get _host(): string | null {
    return this.host;
  }

  /** RFC name of the connection's state, null without a connection. */
  get state(): string | null {
    return this.connection?.stateName ?? null;
  }

  /** tcp_info of the connection, null without one. */
  tcpInfo(): TcpInfo | null {
    return this.connection === null ? null : this.driver.stack.tcpInfo(this.connection);
  }

  /** RFC names of the states passed, oldest first; only the present one unless tracing was on from the start. */
  history(): string[] {
    if (this.states.length > 0) return [...this.states];
    return this.state === null ? [] : [this.state];
  }

  /** Listening for 'state' or 'decision' turns the engine's log on. */
  override on(...[event, listener]: Parameters<Duplex['on']>): this {
    if (event === 'state' || event === 'decision') this.driver.tracer.start();
    return super.on(event, listener);
  }

  override addListener(...[event, listener]: Parameters<Duplex['on']>): this {
    return this.on(event, listener);
  }
}
