/**
 * One run of packetdrill on our stack: its requests in, replies out. No socket and no real time:
 * the tool's clock is the script's, goes on when the tool looks at it, sleeps or waits for a packet,
 * and never by itself. Bounded by what StackTarget keeps and by 16 calls that block.
 */
import { knobs } from '../stack/catalogue.js';
import { formatWords, parsePrefix } from '../wire/address.js';
import { errnos } from './constants.js';
import { followedSysctls, parseFlags, type PluginSettings } from './plugin-flags.js';
import {
  decodeAddress,
  encodeAddress,
  int32,
  optionBytes,
  optionValue,
  type SocketAddress,
} from './plugin-layout.js';
import {
  PROTOCOL_VERSION,
  ProtocolError,
  encodeReply,
  type Fields,
  type Request,
} from './plugin-protocol.js';
import type { Value } from './script.js';
import type { StackSocket } from './stack-socket.js';
import { StackTarget } from './stack-target.js';
import type { CallResult, MadeCall } from './target.js';
import { ANY, number } from './values.js';

/** What the tool's clock shows when the stack's shows 0, microseconds. */
const EPOCH = 1_000_000_000e6;
/**
 * The tool reads the clock ten times and starts its script 250 microseconds after the last reading:
 * from here on that is a whole millisecond, so the stack's ticks fall together with the script's times.
 */
const FIRST = 740;
const MOST_BLOCKED = 16;
const [EINVAL, EDEADLK] = [22, 35];
const [SOL_TCP, TCP_INQ, TCP_CC_INFO] = [6, 36, 26];
const [SOL_SOCKET, SO_RCVBUF, SO_MEMINFO] = [1, 8, 55];
const NOTHING = new Uint8Array(0);

interface Answer {
  readonly value: number;
  readonly errno?: number;
  readonly results?: Uint8Array;
  /** Microseconds of the script; now when left out. */
  readonly time?: number;
}

interface OpenCall {
  readonly id: number;
  readonly made: MadeCall;
  readonly results: (result: CallResult) => Uint8Array;
}

type Results = (result: CallResult) => Uint8Array;

export class PluginSession {
  private target: StackTarget | null = null;
  private settings: PluginSettings;
  private open: OpenCall[] = [];
  /** What epoll_ctl() gave to be handed back, by `epoll:descriptor`. */
  private readonly epollData = new Map<string, bigint>();

  constructor(
    base: PluginSettings,
    /** Told, once each, what a script asked for that has no effect. */
    private readonly say: (line: string) => void,
  ) {
    this.settings = base;
  }

  /** Replies in the order in which they are to be sent. Throws ProtocolError: the conversation is over. */
  handle(request: Request): Uint8Array[] {
    if (request.operation === 'hello') return [this.hello(request)];
    if (this.target === null) throw new ProtocolError('a request before hello');
    const own = this.answer(request, this.target);
    return [...this.ended(this.target), own];
  }

  close(): void {
    for (const line of this.target?.notes ?? []) this.say(line);
    this.target?.close();
    this.target = null;
  }

  private hello({ id, fields }: Request): Uint8Array {
    const version = fields.u32();
    const flags = String.fromCharCode(...fields.rest());
    const settings =
      version === PROTOCOL_VERSION
        ? parseFlags(flags, this.settings)
        : `the plug-in speaks version ${version}, the server ${PROTOCOL_VERSION}: build both from one source`;
    if (typeof settings === 'string')
      return this.reply(id, { value: -1, errno: EINVAL, results: latin1(settings) });
    this.settings = settings;
    const { profile, knobs, mtu } = settings;
    const [first, ...more] = settings.addresses.map((text) => parsePrefix(text)!);
    const { address: local, prefix } = first!;
    // The tool says which ports and which peer: these are never asked for.
    const setup = { local, prefix, remote: local, bindPort: 0, connectPort: 0, mtu };
    this.target = new StackTarget(setup, { profile, knobs });
    for (const { address, prefix: bits } of more)
      this.target.stack.addAddress(`${address.toString()}/${bits}`);
    this.target.advance(FIRST);
    return this.reply(id, {
      value: 0,
      results: latin1(settings.sysctls ? followedSysctls().join('\n') : ''),
    });
  }

  private reply(id: number, { value, errno = 0, results = NOTHING, time }: Answer): Uint8Array {
    const at = EPOCH + (time ?? this.target?.now() ?? 0);
    return encodeReply({ id, blocked: false, time: at, value, errno, results });
  }

  /** Calls that blocked and have returned since. */
  private ended(target: StackTarget): Uint8Array[] {
    const over = this.open.filter(({ made }) => made.result !== null);
    if (over.length === 0) return [];
    this.open = this.open.filter(({ made }) => made.result === null);
    return over.map(({ id, made, results }) => {
      const { value, errno } = made.result!;
      return this.reply(id, {
        value,
        errno: errnos[errno] ?? 0,
        results: value < 0 ? NOTHING : results(made.result!),
        time: Math.min(made.endedAt, target.now()),
      });
    });
  }

  private answer({ id, operation, fields }: Request, target: StackTarget): Uint8Array {
    switch (operation) {
      case 'time':
        target.advance(target.now() + 1);
        return this.reply(id, { value: 0 });
      case 'sleep':
        target.advance(target.now() + fields.u32());
        return this.reply(id, { value: 0 });
      case 'packet_in':
        return this.reply(id, this.packetIn(target, fields.rest()));
      case 'packet_out': {
        const packet = target.sent(target.now() + this.settings.wait);
        return this.reply(
          id,
          packet === null ? { value: 0 } : { value: 0, results: packet.bytes, time: packet.time },
        );
      }
      case 'setting':
        this.setting(target, textOf(fields.rest()));
        return this.reply(id, { value: 0 });
      case 'await':
        return this.reply(id, this.awaitCall(fields.u32(), target));
      default:
        return this.call(id, operation, fields, target);
    }
  }

  /** Time goes on until a call that blocks is over; one that never is, is given up. */
  private awaitCall(id: number, target: StackTarget): Answer {
    const waited = this.open.find((one) => one.id === id);
    if (waited === undefined) throw new ProtocolError('no call of that id blocks');
    target.finish(waited.made, target.now() + this.settings.wait);
    if (waited.made.result !== null) return { value: 0 };
    this.open = this.open.filter((one) => one !== waited);
    this.say('a call outside a time range blocks, and nothing ends it');
    return { value: -1, errno: EDEADLK };
  }

  /** A sysctl of the tool's namespace; beyond a knob's range (Linux writes 'no limit' so) it is the knob's end. */
  private setting(target: StackTarget, text: string): void {
    const equals = text.indexOf('=');
    const name = text.slice(0, equals);
    const value = text.slice(equals + 1).trim();
    const knob = knobs.find((one) => one.name === name);
    const whole = /^-?\d+$/.test(value) && knob !== undefined;
    const kept = whole ? String(Math.max(knob.min, Math.min(knob.max, Number(value)))) : value;
    const message = target.setting(name, kept);
    if (message !== null) this.say(`sysctl ${name}=${value}: ${message}`);
  }

  /** Whatever address a packet goes to is ours: there is nobody else on this wire. */
  private packetIn(target: StackTarget, packet: Uint8Array): Answer {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    const version = packet.length === 0 ? 0 : packet[0]! >> 4;
    if (version === 4 && packet.length >= 20) this.claim(formatWords(0, 0, 0xffff, view.getInt32(16)));
    if (version === 6 && packet.length >= 40) {
      const [a, b, c, d] = [24, 28, 32, 36].map((at) => view.getInt32(at));
      this.claim(formatWords(a!, b!, c!, d!));
    }
    target.inject(packet);
    return { value: 0 };
  }

  private claim(address: string): void {
    const [first] = this.settings.addresses.filter((text) => text.includes(':') === address.includes(':'));
    this.target!.stack.addAddress(`${address}/${first?.split('/')[1] ?? (address.includes(':') ? 64 : 24)}`);
  }

  // ---- system calls ----------------------------------------------------------------

  private call(id: number, operation: string, fields: Fields, target: StackTarget): Uint8Array {
    const started = this.start(operation, fields, target);
    if ('value' in started) return this.reply(id, started);
    const { made, results } = started;
    if (made.result === null) {
      if (this.open.length === MOST_BLOCKED) throw new ProtocolError(`more than ${MOST_BLOCKED} calls block`);
      this.open.push({ id, made, results });
      const time = EPOCH + target.now();
      return encodeReply({ id, blocked: true, time, value: 0, errno: 0, results: NOTHING });
    }
    const { value, errno } = made.result;
    return this.reply(id, {
      value,
      errno: errnos[errno] ?? 0,
      results: value < 0 ? NOTHING : results(made.result),
      time: made.endedAt,
    });
  }

  /** Makes the call; `results` writes what it gives back, once it has returned. */
  private start(
    operation: string,
    fields: Fields,
    target: StackTarget,
  ): { made: MadeCall; results: Results } | Answer {
    const make = (
      name: string,
      args: Value[],
      results: Results = () => NOTHING,
    ): { made: MadeCall; results: Results } => ({
      made: target.call({ name, args, blocks: false }),
      results,
    });
    const numbers = (count: number): Value[] => Array.from({ length: count }, () => number(fields.i32()));
    switch (operation) {
      case 'socket':
        return make('socket', numbers(3));
      case 'listen':
      case 'shutdown':
        return make(operation, numbers(2));
      case 'fcntl':
        return make('fcntl', numbers(3));
      case 'close':
        return make('close', numbers(1));
      case 'epoll_create':
        return make('epoll_create', numbers(1));
      case 'bind':
      case 'connect':
        return this.withAddress(operation, fields, make);
      case 'accept': {
        const [fd] = numbers(1);
        return make('accept', [fd!, ANY, ANY], ({ value }) => {
          const socket = target.socketOf(value)!;
          const { address, port } = socket.connection!.remote;
          return encodeAddress(address, port, socket.family);
        });
      }
      case 'ioctl':
        return make(
          'ioctl',
          [number(fields.i32()), number(fields.u32()), number(fields.i32())],
          ({ outputs }) => {
            const out = outputs.get(2);
            return out?.kind === 'number' ? int32(out.value) : NOTHING;
          },
        );
      case 'getsockopt':
        return this.getOption(fields, target, make);
      case 'setsockopt':
        return this.setOption(fields, make);
      case 'receive':
        return this.receive(fields, target, make);
      case 'send':
        return this.send(fields, make);
      default:
        return this.several(operation, fields, make);
    }
  }

  private withAddress(
    name: string,
    fields: Fields,
    make: Make,
  ): { made: MadeCall; results: Results } | Answer {
    const fd = number(fields.i32());
    const bytes = fields.memory();
    if (bytes === null) return { value: -1, errno: errnos['EFAULT']! };
    const to = decodeAddress(bytes);
    if (to === null) return { value: -1, errno: EINVAL };
    if (to.address === '') return { value: -1, errno: errnos['EAFNOSUPPORT']! };
    const any = to.address === '0.0.0.0' || to.address === '::';
    if (name === 'bind' && !any) this.claim(to.address);
    return make(name, [fd, addressValue(to, name === 'connect' || !any)]);
  }

  private getOption(
    fields: Fields,
    target: StackTarget,
    make: Make,
  ): { made: MadeCall; results: Results } | Answer {
    const [fd, level, name] = [fields.i32(), fields.i32(), fields.i32()];
    const room = fields.u32();
    const socket = target.socketOf(fd);
    // Asked for by the tool whenever it gathers values for code: memory in use, and nothing of congestion control
    if (level === SOL_SOCKET && name === SO_MEMINFO && socket !== null)
      return { value: 0, results: memoryInfo(socket, target).subarray(0, room) };
    if (level === SOL_TCP && name === TCP_CC_INFO && socket !== null) return { value: 0 };
    return make('getsockopt', [number(fd), number(level), number(name), ANY, ANY], ({ outputs }) =>
      optionBytes(outputs.get(3)).subarray(0, room),
    );
  }

  private setOption(fields: Fields, make: Make): { made: MadeCall; results: Results } | Answer {
    const [fd, level, name] = [fields.i32(), fields.i32(), fields.i32()];
    const bytes = fields.memory();
    const value = bytes === null ? ANY : optionValue(level, name, bytes);
    if (value === null) return { value: -1, errno: EINVAL };
    return make('setsockopt', [number(fd), number(level), number(name), value, number(bytes?.length ?? 4)]);
  }

  /** Results: flags, length of the control messages, these, the bytes. */
  private receive(fields: Fields, target: StackTarget, make: Make): { made: MadeCall; results: Results } {
    const [fd, flags] = [fields.i32(), fields.i32()];
    const readable = fields.u8() !== 0;
    const [length, controlRoom] = [fields.u32(), fields.u32()];
    const into: Value = readable ? { kind: 'text', value: '' } : number(0);
    return make('recv', [number(fd), into, number(length), number(flags)], ({ value, outputs }) => {
      const out = outputs.get(1);
      if (out?.kind === 'record') return reported(out, target.socketOf(fd)!.family, controlRoom);
      const bytes = new Uint8Array(value);
      if (out?.kind === 'text') bytes.set(latin1(out.value));
      const socket = target.socketOf(fd);
      const asked = socket !== null && (socket.options.get(`${SOL_TCP}:${TCP_INQ}`) ?? 0) !== 0;
      // Linux says 1 when nothing but the end of the stream is left to read
      const ended = socket?.readable === 0 && socket.connection?.peerClosed === true;
      const left = ended ? 1 : (socket?.readable ?? 0);
      const control = asked ? controlBytes(SOL_TCP, TCP_INQ, int32(left)) : NOTHING;
      const kept = control.length <= controlRoom ? control : NOTHING;
      return joined([int32(0), int32(kept.length), kept, bytes]);
    });
  }

  private send(fields: Fields, make: Make): { made: MadeCall; results: Results } {
    const [fd, flags] = [fields.i32(), fields.i32()];
    const to = fields.memory();
    fields.memory();
    const readable = fields.u8() !== 0;
    const bytes = fields.rest();
    const from: Value = readable ? { kind: 'text', value: textOf(bytes) } : number(0);
    const length = readable ? bytes.length : 1;
    const args = [number(fd), from, number(length), number(flags)];
    return make('sendto', to === null || to.length === 0 ? args : [...args, destination(to)]);
  }

  private several(operation: string, fields: Fields, make: Make): { made: MadeCall; results: Results } {
    const record = (pairs: [string, Value][]): Value => ({ kind: 'record', fields: new Map(pairs) });
    switch (operation) {
      case 'poll': {
        const timeout = fields.i32();
        const list = Array.from({ length: fields.u32() }, () =>
          record([
            ['fd', number(fields.i32())],
            ['events', number(fields.u32())],
          ]),
        );
        const args: Value[] = [{ kind: 'list', items: list }, number(list.length), number(timeout)];
        return make('poll', args, ({ outputs }) =>
          joined(items(outputs.get(0)).map((each) => int32(numberOf(each, 'revents')))),
        );
      }
      case 'epoll_ctl': {
        const [epoll, how, fd, events] = [fields.i32(), fields.i32(), fields.i32(), fields.u32()];
        this.epollData.set(`${epoll}:${fd}`, fields.u64());
        const event = record([
          ['events', number(events)],
          ['fd', number(fd)],
        ]);
        return make('epoll_ctl', [number(epoll), number(how), number(fd), event]);
      }
      case 'epoll_wait': {
        const [epoll, most, timeout] = [fields.i32(), fields.i32(), fields.i32()];
        const args: Value[] = [number(epoll), { kind: 'list', items: [] }, number(most), number(timeout)];
        return make('epoll_wait', args, ({ outputs }) =>
          joined(
            items(outputs.get(1)).flatMap((each) => [
              int32(numberOf(each, 'events')),
              wide(this.epollData.get(`${epoll}:${numberOf(each, 'fd')}`) ?? 0n),
            ]),
          ),
        );
      }
      default:
        throw new ProtocolError(`'${operation}' is no request`);
    }
  }
}

/** A sockaddr as scripts write it; the host only when it counts. */
function addressValue({ address, port }: SocketAddress, withHost: boolean): Value {
  const [host, at] = address.includes(':') ? ['sin6_addr', 'sin6_port'] : ['sin_addr', 'sin_port'];
  const fields = new Map<string, Value>([[at, number(port)]]);
  if (withHost) fields.set(host, { kind: 'text', value: address });
  return { kind: 'record', fields };
}

/** Where sendto() goes; a family without addresses is AF_UNSPEC. */
function destination(bytes: Uint8Array): Value {
  const to = decodeAddress(bytes);
  if (to === null || to.address === '')
    return { kind: 'record', fields: new Map([['sa_family', number(to?.family ?? 0)]]) };
  return addressValue(to, true);
}

type Make = (name: string, args: Value[], results?: Results) => { made: MadeCall; results: Results };

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** SO_MEMINFO: nine counts of bytes, of which a stack without packet buffers knows four. */
function memoryInfo(socket: StackSocket, { stack }: StackTarget): Uint8Array {
  const { info } = socket;
  const received =
    2 * (socket.options.get(`${SOL_SOCKET}:${SO_RCVBUF}`) ?? stack.knob('net.ipv4.tcp_rmem') / 2);
  const [used, limit] = [info?.sndMemory ?? 0, info?.sndBuffer ?? stack.knob('net.ipv4.tcp_wmem')];
  return joined([socket.readable, received, used, limit, 0, used, 0, 0, 0].map(int32));
}

/** What recvmsg(MSG_ERRQUEUE) gives: flags, control messages with times of the tool's clock, no bytes. */
function reported(message: Value, family: 4 | 6, room: number): Uint8Array {
  const controls = items(fieldOf(message, 'msg_control')).map((each) => {
    const data = fieldOf(each, 'cmsg_data')!;
    const [level, type] = [numberOf(each, 'cmsg_level'), numberOf(each, 'cmsg_type')];
    const stamped = fieldOf(data, 'scm_sec') !== undefined;
    return controlBytes(level, type, stamped ? stampBytes(data) : errorBytes(data, family));
  });
  const all = joined(controls);
  const kept = all.length <= room ? all : NOTHING;
  return joined([int32(numberOf(message, 'msg_flags')), int32(kept.length), kept]);
}

/** struct scm_timestamping: three times, of which the first is given. */
function stampBytes(data: Value): Uint8Array {
  const bytes = new Uint8Array(48);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(EPOCH / 1e6 + numberOf(data, 'scm_sec')), true);
  view.setBigInt64(8, BigInt(numberOf(data, 'scm_nsec')), true);
  return bytes;
}

/** struct sock_extended_err, and the address of the offender: none. */
function errorBytes(data: Value, family: 4 | 6): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 32 : 44);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, numberOf(data, 'ee_errno'), true);
  ['ee_origin', 'ee_type', 'ee_code'].forEach((name, i) => view.setUint8(4 + i, numberOf(data, name)));
  view.setUint32(8, numberOf(data, 'ee_info'), true);
  view.setUint32(12, numberOf(data, 'ee_data'), true);
  return bytes;
}

function fieldOf(value: Value | undefined, name: string): Value | undefined {
  return value?.kind === 'record' ? value.fields.get(name) : undefined;
}

function numberOf(value: Value, name: string): number {
  const found = fieldOf(value, name);
  return found?.kind === 'number' ? found.value : 0;
}

function items(value: Value | undefined): readonly Value[] {
  return value?.kind === 'list' ? value.items : value?.kind === 'record' ? [value] : [];
}

function wide(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/** A cmsghdr and its data, padded to eight bytes. */
function controlBytes(level: number, type: number, data: Uint8Array): Uint8Array {
  const header = 16;
  const bytes = new Uint8Array((header + data.length + 7) & ~7);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(header + data.length), true);
  view.setInt32(8, level, true);
  view.setInt32(12, type, true);
  bytes.set(data, header);
  return bytes;
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (one) => one.charCodeAt(0));
}

/** One character a byte; in portions, because a call takes only so many arguments. */
function textOf(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}
