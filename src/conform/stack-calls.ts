/** The system calls of scripts on sockets of our stack: results and errno as Linux gives them. */
import {
  DIALECT_FREEBSD,
  SEND_MORE,
  SEND_RECORD,
  SEND_URGENT,
  type SocketRow,
  type StackApi,
} from '../stack/api.js';
import { type Outcome, NOTHING, done, failed, int, field } from './call-outcome.js';
import type { Value } from './script.js';
import { TCP_MAXSEG, TCP_WINDOW_CLAMP, getOption, setOption } from './stack-options.js';
import { Epoll } from './stack-epoll.js';
import { stampMessage } from './stack-stamps.js';
import { POLLERR, POLLHUP, StackSocket } from './stack-socket.js';
import type { CallRequest, CallResult, TargetSetup } from './target.js';
import { number } from './values.js';
import {
  receiveNow,
  receiveUrgent,
  writeError,
  fcntl,
  ioctl,
  shutdown,
  vectorLength,
  bytesOf,
  noFamily,
} from './stack-io.js';

const MSG_OOB = 1;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const MSG_EOR = 0x80;
const MSG_WAITALL = 0x100;
const MSG_ERRQUEUE = 0x2000;
const MSG_FASTOPEN = 0x2000_0000;
const TFO_CLIENT = 1;
const TCP_SYNCNT = '6:7';
const TCP_FASTOPEN_CONNECT = '6:30';
const MSG_MORE = 0x8000;
const O_NONBLOCK = 0o4000;

type Handler = (args: readonly Value[]) => Outcome;

/** All descriptors of one script. */
export class StackCalls {
  private readonly files = new Map<number, StackSocket | Epoll>();
  private readonly handlers: Readonly<Record<string, Handler>> = {
    socket: (args) => this.socket(args),
    bind: (args) => this.withSocket(args, (socket) => this.bind(socket, args[1])),
    listen: (args) => this.withSocket(args, (socket) => this.listen(socket, int(args[1]))),
    accept: (args) => this.withSocket(args, (socket) => this.accept(socket, 0)),
    accept4: (args) => this.withSocket(args, (socket) => this.accept(socket, int(args[3]))),
    connect: (args) => this.withSocket(args, (socket) => this.connect(socket, args[1])),
    read: (args) => this.receive(args, args[1], int(args[2]), 0),
    recv: (args) => this.receive(args, args[1], int(args[2]), int(args[3])),
    recvfrom: (args) => this.receive(args, args[1], int(args[2]), int(args[3])),
    readv: (args) => this.receive(args, args[1], vectorLength(args[1]), 0),
    recvmsg: (args) =>
      this.receive(args, field(args[1], 'msg_iov'), vectorLength(field(args[1], 'msg_iov')), int(args[2])),
    write: (args) => this.transmit(args, args[1], int(args[2]), 0),
    send: (args) => this.transmit(args, args[1], int(args[2]), int(args[3])),
    sendto: (args) => this.transmit(args, args[1], int(args[2]), int(args[3]), args[4]),
    writev: (args) => this.transmit(args, args[1], vectorLength(args[1]), 0),
    sendmsg: (args) =>
      this.transmit(args, field(args[1], 'msg_iov'), vectorLength(field(args[1], 'msg_iov')), int(args[2])),
    fcntl: (args) => this.withSocket(args, (socket) => fcntl(socket, int(args[1]), int(args[2]))),
    ioctl: (args) => this.withSocket(args, (socket) => ioctl(socket, int(args[1]), args[2])),
    shutdown: (args) => this.withSocket(args, (socket) => shutdown(socket, int(args[1]))),
    close: (args) => this.close(int(args[0])),
    getsockopt: (args) =>
      this.withSocket(args, (socket) => getOption(socket, int(args[1]), int(args[2]), args[3])),
    setsockopt: (args) =>
      this.withSocket(args, (socket) => setOption(socket, int(args[1]), int(args[2]), args[3], this.notes)),
    poll: (args) => this.poll(args[0], int(args[2])),
    epoll_create: () => this.install(new Epoll()),
    epoll_create1: () => this.install(new Epoll()),
    epoll_ctl: (args) => this.epollCtl(args),
    epoll_wait: (args) => this.epollWait(args),
  };

  constructor(
    private readonly stack: StackApi,
    private readonly setup: TargetSetup,
    private readonly now: () => number,
    private readonly notes: Set<string>,
  ) {}

  call({ name, args }: CallRequest): Outcome {
    const handler = Object.hasOwn(this.handlers, name) ? this.handlers[name]! : null;
    if (handler === null) {
      this.notes.add(`${name}() is not made on the stack: ENOSYS`);
      return failed('ENOSYS');
    }
    return handler(args);
  }

  socketOf(fd: number): StackSocket | null {
    const file = this.files.get(fd);
    return file instanceof StackSocket ? file : null;
  }

  /** All sockets of the stack, and descriptors whose connection is gone: those are CLOSED. */
  rows(): SocketRow[] {
    const rows = this.stack.sockets();
    for (const file of this.files.values()) {
      if (!(file instanceof StackSocket) || file.ends === null) continue;
      if (rows.some((row) => isRowOf(row, file))) continue;
      const nothing = { recvQ: 0, sendQ: 0, timer: '', timerLeft: 0, retransmits: 0 };
      rows.push({ state: 'CLOSED', ...file.ends, ...nothing });
    }
    return rows;
  }

  /** Has the script a descriptor of this socket? */
  holds(row: SocketRow): boolean {
    return [...this.files.values()].some((file) => file instanceof StackSocket && isRowOf(row, file));
  }

  /** The lowest free descriptor, from 3 on. */
  private install(file: StackSocket | Epoll): CallResult {
    let fd = 3;
    while (this.files.has(fd)) fd++;
    this.files.set(fd, file);
    return done(fd);
  }

  private withSocket(args: readonly Value[], action: (socket: StackSocket) => Outcome): Outcome {
    const file = this.files.get(int(args[0], -1));
    if (file === undefined) return failed('EBADF');
    return file instanceof StackSocket ? action(file) : failed('ENOTSOCK');
  }

  /** Now, or once it answers something else than EAGAIN. */
  private orWait(blocks: boolean, attempt: () => CallResult, timeout = Infinity): Outcome {
    const first = attempt();
    if (!blocks || first.errno !== 'EAGAIN') return first;
    return {
      deadline: this.now() + timeout,
      retry: () => {
        const result = attempt();
        return result.errno === 'EAGAIN' ? null : result;
      },
      expired: () => failed('EAGAIN'),
    };
  }

  private socket(args: readonly Value[]): CallResult {
    const domain = int(args[0], this.setup.local.family === 4 ? 2 : 10);
    if (domain !== 2 && domain !== 10) return failed('EAFNOSUPPORT');
    const type = int(args[1], 1);
    if ((type & 0xf) !== 1 || (int(args[2]) !== 0 && int(args[2], 6) !== 6)) return failed('EPROTONOSUPPORT');
    const socket = new StackSocket(this.stack, domain === 2 ? 4 : 6);
    socket.nonblocking = (type & O_NONBLOCK) !== 0;
    return this.install(socket);
  }

  /** The stack binds when it listens or connects; whether it may is asked now. */
  private bind(socket: StackSocket, to: Value | undefined): CallResult {
    if (socket.bound !== null || socket.phase !== 'idle') return failed('EINVAL');
    const { address, port } = this.endpoint(to, undefined, this.setup.bindPort);
    const probe = this.stack.listen({
      port,
      ...this.listenOptions(socket, address),
    });
    if (typeof probe === 'string') return failed(probe);
    socket.bound = { address, port: probe.local.port };
    this.stack.closeListener(probe);
    return done(0);
  }

  private listenOptions(socket: StackSocket, address: string | undefined): Record<string, unknown> {
    return {
      ...(address === undefined ? (socket.family === 4 ? { address: '0.0.0.0' } : {}) : { address }),
      reuseAddress: (socket.options.get('1:2') ?? 0) !== 0,
      reusePort: (socket.options.get('1:15') ?? 0) !== 0,
      v6Only: (socket.options.get('41:26') ?? 0) !== 0,
    };
  }

  /** `...` means the script's own address and port. */
  private endpoint(
    value: Value | undefined,
    address: string | undefined,
    port: number,
  ): { address: string | undefined; port: number } {
    const own = field(value, 'sin_addr') ?? field(value, 'sin6_addr');
    return {
      address: own?.kind === 'text' ? own.value : address,
      port: int(field(value, 'sin_port') ?? field(value, 'sin6_port'), port),
    };
  }

  private listen(socket: StackSocket, backlog: number): CallResult {
    if (socket.phase === 'listening') return done(0);
    if (socket.phase !== 'idle') return failed('EINVAL');
    const listener = this.stack.listen({
      port: socket.bound?.port ?? 0,
      backlog,
      ...this.listenOptions(socket, socket.bound?.address),
    });
    if (typeof listener === 'string') return failed(listener);
    listener.user = socket;
    socket.applyListenOptions(listener);
    listener.maxSegment = socket.options.get(TCP_MAXSEG) ?? 0;
    socket.listener = listener;
    socket.backlog = backlog;
    socket.phase = 'listening';
    return done(0);
  }

  private accept(socket: StackSocket, flags: number): Outcome {
    if (socket.phase !== 'listening') return failed('EINVAL');
    return this.orWait(!socket.nonblocking, () => {
      const connection = this.stack.accept(socket.listener!);
      if (connection === null) return failed('EAGAIN');
      const accepted = new StackSocket(this.stack, socket.family);
      accepted.inherit(socket);
      accepted.nonblocking = (flags & O_NONBLOCK) !== 0;
      accepted.told = true;
      accepted.adopt(connection, 'connected');
      return this.install(accepted);
    });
  }

  private connect(socket: StackSocket, to: Value | undefined): Outcome {
    if (socket.phase === 'listening') return failed('EISCONN');
    if (socket.phase === 'connecting') {
      if (socket.deferred) return failed('EISCONN');
      if (socket.nonblocking) return failed('EALREADY');
      return this.connected(socket);
    }
    if (socket.phase !== 'idle') {
      if (socket.error !== '') return failed(socket.takeError());
      if (socket.told || socket.phase === 'closed') return failed(socket.told ? 'EISCONN' : 'ECONNABORTED');
      socket.told = true;
      return done(0);
    }
    const wanted = socket.flag(TCP_FASTOPEN_CONNECT);
    const refused = this.open(socket, to, wanted ? 'wait' : false);
    if (refused !== '') return failed(refused);
    socket.deferred = wanted && this.stack.fastOpenRoom(socket.connection!) > 0;
    if (socket.deferred) return done(0);
    return socket.nonblocking ? failed('EINPROGRESS') : this.connected(socket);
  }

  /** '' or why not. */
  private open(socket: StackSocket, to: Value | undefined, fastOpen: boolean | 'wait'): string {
    const { address, port } = this.endpoint(to, this.setup.remote.toString(), this.setup.connectPort);
    const opened = this.stack.connect({
      address: address!,
      port,
      fastOpen,
      synRetries: socket.options.get(TCP_SYNCNT) ?? 0,
      maxSegment: socket.options.get(TCP_MAXSEG) ?? 0,
      windowClamp: socket.options.get(TCP_WINDOW_CLAMP) ?? 0,
      reuseAddress: (socket.options.get('1:2') ?? 0) !== 0,
      reusePort: (socket.options.get('1:15') ?? 0) !== 0,
      ...(socket.bound?.address === undefined ? {} : { localAddress: socket.bound.address }),
      ...(socket.bound === null ? {} : { localPort: socket.bound.port }),
    });
    if (typeof opened === 'string') return opened;
    socket.adopt(opened, 'connecting');
    return '';
  }

  private connected(socket: StackSocket): Outcome {
    return this.orWait(true, () => {
      if (socket.error !== '') return failed(socket.takeError());
      if (socket.phase === 'connecting') return failed('EAGAIN');
      socket.told = true;
      return done(0);
    });
  }

  private receive(args: readonly Value[], into: Value | undefined, length: number, flags: number): Outcome {
    return this.withSocket(args, (socket) => {
      // A number where a buffer belongs is a bad pointer.
      if (into?.kind === 'number' && length > 0) return failed('EFAULT');
      if ((flags & MSG_OOB) !== 0) return receiveUrgent(socket, into, length, (flags & MSG_PEEK) !== 0);
      if ((flags & MSG_ERRQUEUE) !== 0) {
        const stamp = socket.connection === null ? null : this.stack.takeStamp(socket.connection);
        if (stamp === null) return failed('EAGAIN');
        return done(0, new Map([[1, stampMessage(stamp, this.now(), socket.family)]]));
      }
      const blocks = !socket.nonblocking && (flags & MSG_DONTWAIT) === 0;
      const least = (flags & MSG_WAITALL) !== 0 ? length : Math.min(length, socket.options.get('1:18') ?? 1);
      return this.orWait(blocks, () =>
        receiveNow(socket, into, length, (flags & MSG_PEEK) !== 0, blocks ? least : 1),
      );
    });
  }

  private transmit(
    args: readonly Value[],
    from: Value | undefined,
    length: number,
    flags: number,
    to?: Value,
  ): Outcome {
    return this.withSocket(args, (socket) => {
      if (from?.kind === 'number' && length > 0) return failed('EFAULT');
      const blocks = !socket.nonblocking && (flags & MSG_DONTWAIT) === 0;
      const bytes = bytesOf(from, length);
      const kind =
        ((flags & MSG_MORE) !== 0 ? SEND_MORE : 0) |
        ((flags & MSG_EOR) !== 0 ? SEND_RECORD : 0) |
        ((flags & MSG_OOB) !== 0 ? SEND_URGENT : 0);
      let taken = 0;
      if ((flags & MSG_FASTOPEN) !== 0 || socket.deferred) {
        const opened = this.fastOpen(socket, to, bytes);
        if (typeof opened === 'string') return failed(opened);
        if (!blocks && opened.taken >= 0)
          return opened.taken > 0 ? done(opened.taken) : failed('EINPROGRESS');
        taken = Math.max(0, opened.taken);
      }
      let wakes = -1;
      return this.orWait(blocks, () => {
        // Linux waits for the handshake first, and its failure is what the call returns
        if (socket.error !== '' && socket.connection?.stateName === 'CLOSED' && !socket.told)
          return failed(socket.takeError());
        const refused = writeError(socket, taken);
        if (refused !== null) return refused;
        // A writer sleeps until there is room worth waking for (Linux sk_stream_wait_memory)
        if (socket.phase === 'connecting' || socket.wakes === wakes) return failed('EAGAIN');
        const sent = this.stack.write(socket.connection!, bytes.subarray(taken), kind);
        if (typeof sent === 'string') return taken > 0 ? done(taken) : failed(sent);
        taken += sent;
        if (taken === length || (!blocks && taken > 0)) return done(taken);
        wakes = socket.wakes;
        return failed('EAGAIN');
      });
    });
  }

  /** MSG_FASTOPEN, or the first text after TCP_FASTOPEN_CONNECT: what went on the SYN; -1 where it means nothing any more. */
  private fastOpen(
    socket: StackSocket,
    to: Value | undefined,
    bytes: Uint8Array,
  ): { readonly taken: number } | string {
    if (socket.phase === 'connecting' && !socket.deferred) return 'EALREADY';
    if (socket.phase !== 'idle' && !socket.deferred) return { taken: -1 };
    if ((this.stack.knob('net.ipv4.tcp_fastopen') & TFO_CLIENT) === 0 || noFamily(to)) return 'EOPNOTSUPP';
    if (!socket.deferred) {
      const refused = this.open(socket, to, true);
      if (refused !== '') return refused;
    }
    socket.deferred = false;
    const taken = Math.min(bytes.length, this.stack.fastOpenRoom(socket.connection!));
    this.stack.send(socket.connection!, bytes.subarray(0, taken));
    return { taken };
  }

  private close(fd: number): Outcome {
    const file = this.files.get(fd);
    if (file === undefined) return failed('EBADF');
    this.files.delete(fd);
    if (file instanceof Epoll) {
      file.close();
      return done(0);
    }
    for (const other of this.files.values()) if (other instanceof Epoll) other.forget(fd);
    // BSD: who does not block does not linger, and who did in vain hears of it (soclose)
    const bsd = this.stack.knob('timewait_dialect') === DIALECT_FREEBSD;
    if (bsd && file.nonblocking && file.linger !== 0) file.linger = null;
    if (file.close()) return done(0);
    const over = (): CallResult => (bsd && file.connection!.lingerExpired ? failed('EAGAIN') : done(0));
    return { deadline: Infinity, retry: () => (file.lingering ? null : over()), expired: over };
  }

  private poll(list: Value | undefined, timeout: number): Outcome {
    if (list?.kind !== 'list') return failed('EFAULT');
    const attempt = (): CallResult => {
      let ready = 0;
      const items = list.items.map((item): Value => {
        const socket = this.socketOf(int(field(item, 'fd'), -1));
        const mask =
          socket === null ? 32 : socket.pollMask & (int(field(item, 'events')) | POLLERR | POLLHUP);
        if (mask !== 0) ready++;
        return { kind: 'record', fields: new Map([['revents', number(mask)]]) };
      });
      return done(ready, new Map([[0, { kind: 'list', items }]]));
    };
    return this.untilReady(attempt, timeout);
  }

  /** poll() and epoll_wait(): a time-out in ms, 0 does not wait, below 0 waits for ever. */
  private untilReady(attempt: () => CallResult, timeout: number): Outcome {
    const first = attempt();
    if (first.value !== 0 || timeout === 0) return first;
    return {
      deadline: timeout < 0 ? Infinity : this.now() + 1000 * timeout,
      retry: () => {
        const result = attempt();
        return result.value === 0 ? null : result;
      },
      expired: attempt,
    };
  }

  private epollCtl(args: readonly Value[]): CallResult {
    const epoll = this.files.get(int(args[0], -1));
    const fd = int(args[2], -1);
    const socket = this.socketOf(fd);
    if (epoll === undefined || socket === null) return failed('EBADF');
    if (!(epoll instanceof Epoll)) return failed('EINVAL');
    const data = field(args[3], 'fd') ?? field(args[3], 'ptr') ?? field(args[3], 'u32') ?? number(fd);
    const refused = epoll.control(int(args[1]), fd, socket, int(field(args[3], 'events')), data);
    return refused === '' ? done(0) : failed(refused);
  }

  private epollWait(args: readonly Value[]): Outcome {
    const epoll = this.files.get(int(args[0], -1));
    if (epoll === undefined) return failed('EBADF');
    if (!(epoll instanceof Epoll)) return failed('EINVAL');
    const most = int(args[2], 1);
    if (most <= 0) return failed('EINVAL');
    const attempt = (): CallResult => {
      const items = epoll.wait(most);
      const out: Value = args[1]?.kind === 'list' ? { kind: 'list', items } : (items[0] ?? { kind: 'any' });
      return done(items.length, items.length === 0 ? NOTHING : new Map([[1, out]]));
    };
    return this.untilReady(attempt, int(args[3]));
  }
}

function isRowOf({ state, local, remote }: SocketRow, socket: StackSocket): boolean {
  if (remote === null) return state === 'LISTEN' && socket.listener?.local.port === local.port;
  const { ends } = socket;
  return (
    ends !== null &&
    ends.local.port === local.port &&
    ends.remote.port === remote.port &&
    ends.remote.address === remote.address
  );
}
