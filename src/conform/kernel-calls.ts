/**
 * The system calls of scripts, made for real: arguments become the kernel's structures,
 * results and errnos are what the kernel says. Whatever may block runs on a thread.
 */
import { getSystemErrorName } from 'node:util';
import type { NativeAddon } from '../link/native.js';
import { parseAddress, type Address } from '../wire/address.js';
import { errnos } from './constants.js';
import { Memory, field, int, record, sockaddr, tcpInfo } from './kernel-memory.js';
import type { Value } from './script.js';
import type { CallRequest, CallResult, TargetSetup } from './target.js';
import { number } from './values.js';

type Syscalls = Pick<NativeAddon, 'syscall' | 'syscallAsync' | 'address'>;
type Argument = number | Uint8Array;

const SOL_SOCKET = 1;
const SO_LINGER = 13;
const SOL_TCP = 6;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
const F_GETFL = 3;
const O_NONBLOCK = 0o4000;
const POLLIN = 1;
const POLLOUT = 4;
const CMSG_HEADER = 16;
const MSG_FASTOPEN = 0x20000000;
const SCM_TIMESTAMPING = 37;
const [SOL_IPV6, IP_RECVERR, IPV6_RECVERR] = [41, 11, 25];
const MSGHDR = 56;
const EPOLL_EVENT = 12;
/** Bytes of any buffer a script asks for, at most. */
const LARGEST = 1 << 28;

/** Node names no errno that its own calls cannot meet (EINPROGRESS). */
const names = new Map(Object.entries(errnos).map(([name, value]) => [value, name]));
const errnoName = (errno: number): string => names.get(errno) ?? getSystemErrorName(-errno);

type Outputs = Map<number, Value>;
/** How a call is made and what it wrote. */
interface Prepared {
  readonly name: string;
  readonly args: readonly Argument[];
  /** Memory that the kernel may touch only through pointers: alive until the call is over. */
  readonly alive?: readonly Memory[];
  readonly outputs?: (result: number) => Outputs;
  readonly blocks: boolean;
}

/** What a script's call does without the kernel. */
interface Refused {
  readonly errno: string;
}

export class KernelCalls {
  /** Descriptors this script opened. */
  private readonly files = new Set<number>();

  constructor(
    private readonly calls: Syscalls,
    private readonly setup: TargetSetup,
    private readonly notes: Set<string>,
  ) {}

  /** A promise of the result; it may take as long as the kernel likes. */
  async call(request: CallRequest): Promise<CallResult> {
    const prepared = this.prepare(request);
    if ('errno' in prepared) return { value: -1, errno: prepared.errno, outputs: new Map() };
    const { name, args } = prepared;
    const thread = prepared.blocks && (request.blocks || this.couldBlock(name, args[0]));
    const value = thread ? await this.calls.syscallAsync(name, ...args) : this.calls.syscall(name, ...args);
    this.follow(request.name, args, value);
    if (value < 0) return { value: -1, errno: errnoName(-value), outputs: new Map() };
    return { value, errno: '', outputs: prepared.outputs?.(value) ?? new Map<number, Value>() };
  }

  /**
   * A thread costs a millisecond: what can be seen to return at once is called directly. (A
   * write that finds room for a part only is then waited for by everybody; scripts that mean
   * that say so with a time range.)
   */
  private couldBlock(name: string, fd: Argument | undefined): boolean {
    if (name === 'close') return false;
    if (typeof fd !== 'number') return true;
    const flags = this.calls.syscall('fcntl', fd, F_GETFL, 0);
    if (flags < 0 || (flags & O_NONBLOCK) !== 0) return false;
    if (name === 'connect' || name === 'ppoll' || name === 'epoll_pwait') return true;
    const writes = /^(sendto|sendmsg|writev)$/.test(name);
    const entry = new Memory(8);
    entry.set32(0, fd);
    entry.set16(4, writes ? POLLOUT : POLLIN);
    const now = new Memory(16);
    return this.calls.syscall('ppoll', entry.bytes, 1, now.bytes, 0, 0) !== 1;
  }

  /** Closes what the script left open. */
  closeAll(): void {
    for (const fd of this.files) {
      // Wakes a call that still waits on it
      this.calls.syscall('shutdown', fd, 2);
      // RST instead of FIN: the next script is not to meet this one's TIME-WAIT
      this.calls.syscall('setsockopt', fd, SOL_SOCKET, SO_LINGER, Memory.of32(1, 0).bytes, 8);
      this.calls.syscall('close', fd);
    }
    this.files.clear();
  }

  info(fd: number): ReadonlyMap<string, number> | null {
    const memory = new Memory(512);
    const length = Memory.of32(512);
    const result = this.calls.syscall('getsockopt', fd, SOL_TCP, TCP_INFO, memory.bytes, length.bytes);
    return result < 0 ? null : tcpInfo(memory, length.get32(0));
  }

  private follow(name: string, args: readonly Argument[], value: number): void {
    if (value < 0) return;
    if (/^(socket|accept4?|epoll_create1?)$/.test(name)) this.files.add(value);
    if (name === 'close' && typeof args[0] === 'number') this.files.delete(args[0]);
  }

  private prepare({ name, args }: CallRequest): Prepared | Refused {
    const fd = int(args[0], -1);
    switch (name) {
      case 'socket':
        return this.now('socket', this.domain(args[0]), int(args[1], 1), int(args[2]));
      case 'bind':
        return this.withAddress('bind', fd, args[1], undefined, this.setup.bindPort, false);
      case 'connect':
        return this.withAddress('connect', fd, args[1], this.setup.remote, this.setup.connectPort, true);
      case 'listen':
      case 'shutdown':
        return this.now(name, fd, int(args[1]));
      case 'accept':
      case 'accept4':
        return this.accept(fd, int(args[3]));
      case 'read':
      case 'recv':
      case 'recvfrom':
        return this.receive(fd, args[1], int(args[2]), name === 'read' ? 0 : int(args[3]));
      case 'write':
      case 'send':
      case 'sendto':
        return this.transmit(fd, args[1], int(args[2]), name === 'write' ? 0 : int(args[3]), args[4]);
      case 'readv':
      case 'writev':
        return this.vector(name, fd, args[1]);
      case 'recvmsg':
      case 'sendmsg':
        return this.message(name, fd, args[1], int(args[2]));
      case 'fcntl':
        return this.now('fcntl', fd, int(args[1]), int(args[2]));
      case 'ioctl':
        return this.ioctl(fd, int(args[1]), args[2]);
      case 'close':
        return { name: 'close', args: [fd], blocks: true };
      case 'getsockopt':
        return this.getOption(fd, int(args[1]), int(args[2]), args[3]);
      case 'setsockopt':
        return this.setOption(fd, int(args[1]), int(args[2]), args[3], args[4]);
      case 'poll':
        return this.poll(args[0], int(args[2]));
      case 'epoll_create':
      case 'epoll_create1':
        return this.now('epoll_create1', 0);
      case 'epoll_ctl':
        return this.epollControl(fd, int(args[1]), int(args[2], -1), args[3]);
      case 'epoll_wait':
        return this.epollWait(fd, args[1], int(args[2], 1), int(args[3]));
      default:
        this.notes.add(`${name}() is not made on the kernel: ENOSYS`);
        return { errno: 'ENOSYS' };
    }
  }

  private now(name: string, ...args: readonly Argument[]): Prepared {
    return { name, args, blocks: false };
  }

  /** `...` stands for the script's own IP version. */
  private domain(value: Value | undefined): number {
    return int(value, this.setup.local.family === 4 ? 2 : 10);
  }

  /** `...` means the script's own address and port. */
  private withAddress(
    name: string,
    fd: number,
    value: Value | undefined,
    otherwise: Address | undefined,
    port: number,
    blocks: boolean,
  ): Prepared | Refused {
    if (value?.kind === 'number') return { name, args: [fd, value.value, 16], blocks };
    const own = field(value, 'sin_addr') ?? field(value, 'sin6_addr');
    const any = this.setup.local.family === 4 ? '0.0.0.0' : '::';
    const address = own?.kind === 'text' ? parseAddress(own.value) : (otherwise ?? parseAddress(any));
    if (address === null) return { errno: 'EINVAL' };
    const to = sockaddr(address, int(field(value, 'sin_port') ?? field(value, 'sin6_port'), port));
    return { name, args: [fd, to.bytes, to.bytes.length], blocks };
  }

  private accept(fd: number, flags: number): Prepared {
    const peer = new Memory(28);
    const length = Memory.of32(28);
    const outputs = (): Outputs =>
      new Map([
        [
          1,
          record([
            ['sa_family', peer.get16(0)],
            ['sin_port', peer.getPort(2)],
          ]),
        ],
      ]);
    return { name: 'accept', args: [fd, peer.bytes, length.bytes, flags], outputs, blocks: true };
  }

  private receive(fd: number, into: Value | undefined, length: number, flags: number): Prepared | Refused {
    if (length > LARGEST) return { errno: 'ENOMEM' };
    // A number where a buffer belongs is a bad pointer; the kernel shall say so itself.
    if (into?.kind === 'number') {
      return { name: 'recvfrom', args: [fd, into.value, length, flags, 0, 0], blocks: true };
    }
    const buffer = new Memory(Math.max(1, length));
    const outputs = (result: number): Outputs =>
      into?.kind === 'text' ? new Map([[1, textOf(buffer, result)]]) : new Map<number, Value>();
    return { name: 'recvfrom', args: [fd, buffer.bytes, length, flags, 0, 0], outputs, blocks: true };
  }

  private transmit(
    fd: number,
    from: Value | undefined,
    length: number,
    flags: number,
    to: Value | undefined,
  ): Prepared | Refused {
    if (length > LARGEST) return { errno: 'ENOMEM' };
    const address = this.target(to, flags);
    const where = address === null ? [0, 0] : [address.bytes, address.bytes.length];
    if (from?.kind === 'number') {
      return { name: 'sendto', args: [fd, from.value, length, flags, ...where], blocks: true };
    }
    const buffer = new Memory(Math.max(1, length));
    fill(buffer, from);
    return { name: 'sendto', args: [fd, buffer.bytes, length, flags, ...where], blocks: true };
  }

  /** Where fast open sends to: the peer, or an address of a family that is none (AF_UNSPEC). */
  private target(to: Value | undefined, flags: number): Memory | null {
    if ((flags & MSG_FASTOPEN) === 0) return null;
    if (to?.kind === 'number') return new Memory(16);
    return sockaddr(this.setup.remote, this.setup.connectPort);
  }

  /** An array of iovec, and the memory they point to. */
  private iovec(list: Value | undefined): { vector: Memory; parts: Memory[]; count: number } {
    const items = list?.kind === 'list' ? list.items : [];
    const vector = new Memory(Math.max(1, items.length) * 16);
    const parts = items.map((item, i) => {
      const length = Math.min(LARGEST, int(field(item, '1') ?? field(item, 'iov_len')));
      const part = new Memory(Math.max(1, length));
      fill(part, field(item, '0') ?? field(item, 'iov_base'));
      vector.set64(16 * i, this.calls.address(part.bytes));
      vector.set64(16 * i + 8, BigInt(length));
      return part;
    });
    return { vector, parts, count: items.length };
  }

  private vector(name: 'readv' | 'writev', fd: number, list: Value | undefined): Prepared {
    const { vector, parts, count } = this.iovec(list);
    return { name, args: [fd, vector.bytes, count], alive: parts, blocks: true };
  }

  private message(
    name: 'recvmsg' | 'sendmsg',
    fd: number,
    value: Value | undefined,
    flags: number,
  ): Prepared {
    const { vector, parts, count } = this.iovec(field(value, 'msg_iov'));
    const control = new Memory(512);
    const header = new Memory(MSGHDR);
    header.set64(16, this.calls.address(vector.bytes));
    header.set64(24, BigInt(count));
    const to = name === 'sendmsg' ? this.target(undefined, flags) : null;
    if (to !== null) {
      header.set64(0, this.calls.address(to.bytes));
      header.set32(8, to.bytes.length);
    }
    if (name === 'recvmsg') {
      header.set64(32, this.calls.address(control.bytes));
      header.set64(40, 512n);
    }
    const outputs = (): Outputs => {
      const fields = new Map<string, Value>([
        ['msg_flags', number(header.get32(48))],
        ['msg_control', controlOf(control, header.get64(40))],
      ]);
      return new Map<number, Value>([[1, { kind: 'record', fields }]]);
    };
    const alive = [vector, control, ...parts, ...(to === null ? [] : [to])];
    return {
      name,
      args: [fd, header.bytes, flags],
      alive,
      ...(name === 'recvmsg' ? { outputs } : {}),
      blocks: true,
    };
  }

  private ioctl(fd: number, request: number, into: Value | undefined): Prepared {
    const value = Memory.of32(int(into?.kind === 'list' ? into.items[0] : into));
    const outputs = (): Outputs => new Map([[2, like(into, value.getSigned32(0))]]);
    return { name: 'ioctl', args: [fd, request, value.bytes], outputs, blocks: false };
  }

  private getOption(fd: number, level: number, name: number, into: Value | undefined): Prepared {
    const memory = new Memory(512);
    const linger = level === SOL_SOCKET && name === SO_LINGER;
    const text = level === SOL_TCP && name === TCP_CONGESTION;
    const info = level === SOL_TCP && name === TCP_INFO;
    const length = Memory.of32(info ? 512 : linger ? 8 : text ? 16 : 4);
    const outputs = (): Outputs => {
      const got = length.get32(0);
      if (info) return new Map([[3, record([...tcpInfo(memory, got)])]]);
      if (text) return new Map([[3, textOf(memory, memory.bytes.indexOf(0))]]);
      const value = linger
        ? record([
            ['onoff', memory.get32(0)],
            ['linger', memory.get32(4)],
          ])
        : like(into, memory.getSigned32(0));
      return new Map([[3, value]]);
    };
    return {
      name: 'getsockopt',
      args: [fd, level, name, memory.bytes, length.bytes],
      outputs,
      blocks: false,
    };
  }

  private setOption(
    fd: number,
    level: number,
    name: number,
    from: Value | undefined,
    size: Value | undefined,
  ): Prepared {
    let memory: Memory;
    if (from?.kind === 'text') {
      memory = new Memory(from.value.length + 1);
      fill(memory, from);
    } else if (from?.kind === 'record') {
      memory = Memory.of32(
        int(field(from, 'onoff') ?? field(from, '0')),
        int(field(from, 'linger') ?? field(from, '1')),
      );
    } else {
      memory = Memory.of32(int(from?.kind === 'list' ? from.items[0] : from));
    }
    const length = from?.kind === 'text' ? int(size, memory.bytes.length) : memory.bytes.length;
    return this.now('setsockopt', fd, level, name, memory.bytes, Math.min(length, memory.bytes.length));
  }

  private poll(list: Value | undefined, timeout: number): Prepared {
    const items = list?.kind === 'list' ? list.items : [];
    const entries = new Memory(8 * Math.max(1, items.length));
    items.forEach((item, i) => {
      entries.set32(8 * i, int(field(item, 'fd'), -1));
      entries.set16(8 * i + 4, int(field(item, 'events')));
    });
    const outputs = (): Outputs => {
      const seen = items.map((_, i) => record([['revents', entries.get16(8 * i + 6)]]));
      return new Map<number, Value>([[0, { kind: 'list', items: seen }]]);
    };
    // struct timespec; a negative time-out waits for ever
    const limit = new Memory(16);
    limit.set64(0, BigInt(Math.floor(Math.max(0, timeout) / 1000)));
    limit.set64(8, BigInt((Math.max(0, timeout) % 1000) * 1_000_000));
    return {
      name: 'ppoll',
      args: [entries.bytes, items.length, timeout < 0 ? 0 : limit.bytes, 0, 0],
      outputs,
      blocks: timeout !== 0,
    };
  }

  private epollControl(fd: number, operation: number, target: number, value: Value | undefined): Prepared {
    const event = new Memory(EPOLL_EVENT);
    event.set32(0, int(field(value, 'events')));
    const data = field(value, 'fd') ?? field(value, 'ptr') ?? field(value, 'u32') ?? number(target);
    event.set64(4, BigInt(int(data)));
    return this.now('epoll_ctl', fd, operation, target, event.bytes);
  }

  private epollWait(fd: number, into: Value | undefined, most: number, timeout: number): Prepared {
    const events = new Memory(EPOLL_EVENT * Math.max(1, most));
    const outputs = (result: number): Outputs => {
      const items = Array.from({ length: result }, (_, i) =>
        record([
          ['events', events.get32(EPOLL_EVENT * i)],
          ['fd', events.get32(EPOLL_EVENT * i + 4)],
        ]),
      );
      if (items.length === 0) return new Map();
      return new Map([[1, into?.kind === 'list' ? { kind: 'list', items } : items[0]!]]);
    };
    const args = [fd, events.bytes, most, timeout, 0, 8];
    return { name: 'epoll_pwait', args, outputs, blocks: timeout !== 0 };
  }
}

function fill(memory: Memory, from: Value | undefined): void {
  if (from?.kind !== 'text') return;
  for (let i = 0; i < Math.min(memory.bytes.length, from.value.length); i++)
    memory.bytes[i] = from.value.charCodeAt(i);
}

function textOf(memory: Memory, length: number): Value {
  return { kind: 'text', value: String.fromCharCode(...memory.bytes.subarray(0, Math.max(0, length))) };
}

/** As the script wrote the place: `[n]` or `n`. */
function like(into: Value | undefined, value: number): Value {
  return into?.kind === 'list' ? { kind: 'list', items: [number(value)] } : number(value);
}

/** Data that is a structure: sock_extended_err; times of the machine's clock, which no script foretells. */
function structureOf(control: Memory, at: number): Value | null {
  const [level, type, data] = [control.get32(at + 8), control.get32(at + 12), at + CMSG_HEADER];
  if (level === SOL_SOCKET && type === SCM_TIMESTAMPING) return { kind: 'any' };
  if (!((level === 0 && type === IP_RECVERR) || (level === SOL_IPV6 && type === IPV6_RECVERR))) return null;
  return record([
    ['ee_errno', control.get32(data)],
    ['ee_origin', control.bytes[data + 4]!],
    ['ee_type', control.bytes[data + 5]!],
    ['ee_code', control.bytes[data + 6]!],
    ['ee_info', control.get32(data + 8)],
    ['ee_data', control.get32(data + 12)],
  ]);
}

/** Control messages: one int (TCP_CM_INQ), or a structure. */
function controlOf(control: Memory, length: number): Value {
  const items: Value[] = [];
  for (let at = 0; at + CMSG_HEADER <= length;) {
    const size = control.get64(at);
    if (size < CMSG_HEADER) break;
    items.push(
      record([
        ['cmsg_level', control.get32(at + 8)],
        ['cmsg_type', control.get32(at + 12)],
        ['cmsg_data', size >= CMSG_HEADER + 4 ? control.get32(at + CMSG_HEADER) : 0],
      ]),
    );
    const structure = structureOf(control, at);
    const last = items.at(-1);
    if (structure !== null && last?.kind === 'record')
      items[items.length - 1] = {
        kind: 'record',
        fields: new Map([...last.fields, ['cmsg_data', structure]]),
      };
    at += Math.ceil(size / 8) * 8;
  }
  return { kind: 'list', items };
}
