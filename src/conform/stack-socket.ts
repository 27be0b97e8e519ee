/**
 * A socket as programs know it, over a listener or connection of our stack: what is readable,
 * writable or wrong, and the errors in the order in which Linux reports them.
 */
import { OutOfBand } from './out-of-band.js';
import type {
  ConnectionHandle,
  ConnectionOption,
  Endpoint,
  ListenerHandle,
  StackApi,
  TcpInfo,
} from '../stack/api.js';
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_LINGERED,
  EV_PEER_CLOSED,
  EV_READABLE,
  EV_SOFT_ERROR,
  EV_URGENT,
  EV_STAMPED,
  EV_WRITABLE,
} from '../stack/api.js';

import { SO_TIMESTAMPING, wantedStamps } from './stack-stamps.js';

export const POLLIN = 1;
export const POLLPRI = 2;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLRDHUP = 0x2000;

/** TCP_NODELAY, TCP_CORK, TCP_QUICKACK, SO_TIMESTAMPING. */
const immediate: Readonly<Record<string, ConnectionOption>> = {
  '6:1': 'noDelay',
  '6:3': 'cork',
  '6:12': 'quickAck',
  [`1:${SO_TIMESTAMPING}`]: 'stamps',
};

const SO_OOBINLINE = '1:10';
/** Kept as its number. */
export const TCP_CONGESTION = '6:13';
export const TCP_DEFER_ACCEPT = '6:9';

/** Where a socket is in its life. `connecting` until the handshake is over. */
export type Phase = 'idle' | 'listening' | 'connecting' | 'connected' | 'closed';

export class StackSocket {
  phase: Phase = 'idle';
  nonblocking = false;
  listener: ListenerHandle | null = null;
  connection: ConnectionHandle | null = null;
  backlog = 0;
  /** bind()'s choice; null: none yet. */
  bound: { address: string | undefined; port: number } | null = null;
  /** Error that the next call gets, '' for none. */
  error = '';
  /** connect() was told that the handshake is over. */
  told = false;
  /** connect() said 0, but the SYN waits for the first text (TCP_FASTOPEN_CONNECT). */
  deferred = false;
  readShut = false;
  writeShut = false;
  /** SO_LINGER: null off, else seconds. */
  linger: number | null = null;
  /** close() waits for the stack's word. */
  lingering = false;
  /** Options as set, by `level:name`. */
  readonly options = new Map<string, number>();
  /** TCP_FASTOPEN_KEY. */
  cookieKeys: Uint8Array | null = null;
  /** Who is told of news by epoll. */
  readonly watches = new Set<{ wake(kind: number): void }>();
  /** Counts what may end a writer's wait. */
  wakes = 0;
  readonly urgent: OutOfBand;
  private softNews = false;

  constructor(
    readonly stack: StackApi,
    readonly family: 4 | 6,
  ) {
    this.urgent = new OutOfBand(stack);
  }

  /** The stack's news of this socket. */
  take(events: number): void {
    if (events === 0) return;
    if ((events & (EV_WRITABLE | EV_CONNECTED | EV_CLOSED)) !== 0) this.wakes++;
    if ((events & EV_READABLE) !== 0) this.wake(POLLIN);
    if ((events & EV_WRITABLE) !== 0) this.wake(POLLOUT);
    if ((events & EV_STAMPED) !== 0) this.wake(POLLERR);
    if ((events & (EV_CONNECTED | EV_PEER_CLOSED | EV_CLOSED)) !== 0) this.wake(0);
    if ((events & EV_LINGERED) !== 0) this.lingering = false;
    if ((events & EV_SOFT_ERROR) !== 0) this.softNews = true;
    if ((events & EV_URGENT) !== 0) this.urgent.announced(this.connection!);
    if ((events & EV_CONNECTED) !== 0 && this.phase === 'connecting') this.phase = 'connected';
    if ((events & EV_CLOSED) !== 0) {
      this.error = this.connection?.error ?? this.error;
      this.phase = 'closed';
    }
  }

  /** Both ends as text: the connection may be gone before its descriptor is. */
  ends: { readonly local: Endpoint; readonly remote: Endpoint } | null = null;

  adopt(connection: ConnectionHandle, phase: Phase): void {
    this.connection = connection;
    this.ends = { local: connection.local, remote: connection.remote };
    this.phase = phase;
    connection.user = this;
    this.take(connection.takeEvents());
    this.applyOptions();
    for (const key of Object.keys(immediate)) {
      const value = this.options.get(key);
      if (value !== undefined) this.act(key, value);
    }
  }

  /** The pending error, which is reported once. */
  takeError(): string {
    const { error } = this;
    this.error = '';
    return error;
  }

  /** A soft error (ICMP) goes to SO_ERROR once, as long as nothing was acknowledged since. */
  takeSoftError(): string {
    if (!this.softNews) return '';
    this.softNews = false;
    return this.connection?.softError ?? '';
  }

  get readable(): number {
    const waiting = this.connection?.readable ?? 0;
    if (this.flag(SO_OOBINLINE)) return waiting;
    const { ahead, atMark } = this.urgent;
    // The octet at the mark is not of the stream.
    return atMark ? Math.max(0, waiting - 1) : Math.min(waiting, ahead);
  }

  /** read() returns at once, if only with 0 or an error. */
  get readReady(): boolean {
    if (this.phase === 'listening') return this.listener!.waiting > 0;
    if (this.error !== '' || this.readShut) return true;
    if (this.phase === 'connecting') return false;
    return this.readable > 0 || this.connection?.peerClosed === true || this.phase === 'closed';
  }

  /** News of this kind, POLL bits; 0: of every kind. */
  wake(kind: number): void {
    for (const watch of this.watches) watch.wake(kind);
  }

  get info(): TcpInfo | null {
    return this.connection === null ? null : this.stack.tcpInfo(this.connection);
  }

  get pollMask(): number {
    if (this.phase === 'idle') return POLLOUT | POLLHUP;
    if (this.phase === 'listening') return this.readReady ? POLLIN : 0;
    let mask = 0;
    const peerDone = this.connection?.peerClosed === true || this.phase === 'closed' || this.readShut;
    const reports = this.connection === null ? 0 : this.stack.stampsWaiting(this.connection);
    if (this.error !== '' || reports > 0) mask |= POLLERR;
    if (this.phase === 'closed' || (peerDone && this.writeShut)) mask |= POLLHUP;
    if (peerDone) mask |= POLLIN | POLLRDHUP;
    if (this.phase === 'connecting') return this.error === '' ? (this.deferred ? POLLOUT : 0) : mask;
    if (this.readable > 0) mask |= POLLIN;
    if (this.connection !== null && this.urgent.waits(this.connection)) mask |= POLLPRI;
    if (this.phase === 'closed' || this.writeShut || this.stack.mayWrite(this.connection!)) mask |= POLLOUT;
    return mask;
  }

  /** The user reads on behind the last byte. */
  readEnd(): void {
    this.stack.read(this.connection!, 1);
  }

  /** Up to `length` bytes, null when none wait. */
  read(length: number): Uint8Array | null {
    const pieces: Uint8Array[] = [];
    let missing = Math.min(length, this.readable);
    if (missing > 0 && this.urgent.atMark && !this.flag(SO_OOBINLINE)) {
      this.urgent.skipped(this.stack.read(this.connection!, 1)![0]!);
      this.urgent.passed(1);
    } else missing = Math.min(missing, this.urgent.ahead === 0 ? missing : this.urgent.ahead);
    while (missing > 0) {
      const piece = this.stack.read(this.connection!, missing);
      if (piece === null) break;
      pieces.push(piece);
      this.urgent.passed(piece.length);
      missing -= piece.length;
    }
    if (pieces.length === 0) return null;
    const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  /** A switch among the options. */
  flag(key: string): boolean {
    return (this.options.get(key) ?? 0) !== 0;
  }

  /** Options of a listener that the stack carries out, at listen() and after. */
  applyListenOptions(listener: ListenerHandle): void {
    const fastOpen = this.options.get('6:23');
    if (fastOpen !== undefined) this.stack.setListenOption(listener, 'fastOpen', fastOpen);
    this.stack.setListenOption(listener, 'deferAccept', this.options.get(TCP_DEFER_ACCEPT) ?? 0);
    this.stack.setListenOption(listener, 'synRetries', this.options.get('6:7') ?? 0);
    this.stack.setListenOption(listener, 'windowClamp', this.options.get('6:10') ?? 0);
    if (this.cookieKeys !== null) this.stack.setFastOpenKeys(this.cookieKeys, listener);
  }

  /** Options that the stack carries out, on the connection once there is one. */
  applyOptions(): void {
    const { connection, stack, options } = this;
    if (this.listener !== null) this.applyListenOptions(this.listener);
    if (connection === null || this.phase === 'closed') return;
    const set = (key: string, apply: (value: number) => void): void => {
      const value = options.get(key);
      if (value !== undefined) apply(value);
    };
    set('1:8', (value) => stack.setOption(connection, 'receiveBuffer', value));
    set('6:7', (value) => stack.setOption(connection, 'synRetries', value));
    set(TCP_DEFER_ACCEPT, (value) => stack.setOption(connection, 'deferAccept', value));
    set('1:7', (value) => stack.setOption(connection, 'sendBuffer', value));
    set('1:47', (value) =>
      stack.setOption(
        connection,
        'maxPacingRate',
        value === -1 || value === 0xffffffff ? Infinity : value >>> 0,
      ),
    );
    set('6:25', (value) => stack.setOption(connection, 'notsentLowat', value >>> 0));
    set('6:18', (value) => stack.setOption(connection, 'userTimeout', value));
    set(this.family === 4 ? '0:1' : '41:67', (value) => stack.setOption(connection, 'tos', value));
    set('6:5', (value) => stack.setOption(connection, 'keepInterval', 1000 * value));
    set('6:6', (value) => stack.setOption(connection, 'keepCount', value));
    set(TCP_CONGESTION, (value) => stack.setOption(connection, 'congestion', value));
    set('1:9', (value) => {
      const idle = options.get('6:4') ?? stack.knob('net.ipv4.tcp_keepalive_time');
      stack.setOption(connection, 'keepAlive', value === 0 ? 0 : 1000 * idle);
    });
  }

  /** An option that acts when it is set, not as long as it is. */
  act(key: string, value: number): void {
    const option = immediate[key];
    if (option !== undefined && this.connection !== null && this.phase !== 'closed')
      this.stack.setOption(this.connection, option, option === 'stamps' ? wantedStamps(value) : value);
    if (key === '6:10' && this.phase === 'connected')
      this.stack.setOption(this.connection!, 'windowClamp', value);
    if (key === '6:2' && this.listener !== null) this.listener.maxSegment = value;
  }

  /** Options go from the listener to what it accepts. */
  inherit(from: StackSocket): void {
    for (const [key, value] of from.options) this.options.set(key, value);
    this.options.delete(TCP_DEFER_ACCEPT);
    this.linger = from.linger;
  }

  /** The descriptor goes. False: close() lingers. */
  close(): boolean {
    const { connection, linger } = this;
    if (this.listener !== null) this.stack.closeListener(this.listener);
    if (connection === null) return true;
    // l_linger is taken for an unsigned number (Linux sk_setsockopt)
    this.stack.setOption(connection, 'linger', linger === null ? -1 : linger >>> 0);
    this.lingering = !this.stack.close(connection);
    if (!this.lingering) connection.user = null;
    return !this.lingering;
  }
}
