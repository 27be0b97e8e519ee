/** The program on the end under test: plain socket calls, the same for the kernel and our stack. */
import type { Value } from '../script.js';
import type { CallRequest, CallResult, Later } from '../target.js';
import { number } from '../values.js';
import type { CallEvent, DiffCase } from './case.js';

const STREAM_NONBLOCK = 1 | 0o4000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_LINGER = 13;
const SOL_TCP = 6;
const TCP_INFO = 11;
/** tcpi_state. */
const CLOSED = 7;
const MSG_NOSIGNAL = 0x4000;
const BACKLOG = 16;
const MOST = 65_536;
const ANY: Value = { kind: 'any' };

export type Caller = (request: CallRequest) => Later<CallResult>;

export class Program {
  private listener = -1;
  private fd = -1;
  private readonly left: number[] = [];
  private readonly numbers = new Map<number, number>();

  constructor(
    private readonly caller: Caller,
    private readonly script: string[],
  ) {}

  async start(one: DiffCase): Promise<void> {
    if (one.side === 'client') return;
    this.listener = await this.bound();
    await this.say('listen', number(this.listener), number(BACKLOG));
  }

  /** One call; what came of it: a number or the errno, '-' when there is no socket for it. */
  async perform({ name, length }: CallEvent): Promise<string> {
    if (name === 'connect') return this.connect();
    if (name === 'unlisten') {
      const { listener } = this;
      this.listener = -1;
      return listener < 0 ? '-' : shown(await this.say('close', number(listener)));
    }
    const { fd } = this;
    if (fd < 0) return '-';
    switch (name) {
      case 'read':
        return shown(await this.say('recv', number(fd), ANY, number(MOST), number(0)));
      case 'write':
        return shown(await this.say('send', number(fd), ANY, number(length), number(MSG_NOSIGNAL)));
      case 'shutdown':
        return shown(await this.say('shutdown', number(fd), number(1)));
      case 'abort':
        await this.say('setsockopt', number(fd), number(SOL_SOCKET), number(SO_LINGER), linger(), number(8));
        break;
      case 'close':
        break;
    }
    this.fd = -1;
    return shown(await this.say('close', number(fd)));
  }

  /** Takes what waits in the accept queue: from then on it is what calls are about. */
  async accept(): Promise<void> {
    if (this.listener < 0) return;
    const request = [number(this.listener), ANY, ANY, number(0o4000)];
    const { value } = await this.caller({ name: 'accept4', args: request, blocks: false });
    if (value < 0) return;
    this.script.push(`accept(${this.numberOf(this.listener)}, ..., ...) = ${this.numberOf(value)}`);
    if (this.fd >= 0) this.left.push(this.fd);
    this.fd = value;
  }

  async error(): Promise<string> {
    if (this.fd < 0) return '-';
    const args = [number(this.fd), number(SOL_SOCKET), number(SO_ERROR), list(0), list(4)];
    const result = await this.caller({ name: 'getsockopt', args, blocks: false });
    const out = result.outputs.get(3);
    const item = out?.kind === 'list' ? out.items[0] : out;
    const value = item?.kind === 'number' ? item.value : 0;
    this.script.push(`getsockopt(${this.numberOf(this.fd)}, SOL_SOCKET, SO_ERROR, [${value}], [4]) = 0`);
    return value === 0 ? '' : `errno ${value}`;
  }

  /** TCP_INFO of the connection in `state`, null without a socket of it. */
  async info(state: string): Promise<ReadonlyMap<string, number> | null> {
    if (this.fd < 0 || state === 'CLOSED' || state === 'TIME-WAIT') return null;
    const args = [number(this.fd), number(SOL_TCP), number(TCP_INFO), ANY, ANY];
    const { outputs } = await this.caller({ name: 'getsockopt', args, blocks: false });
    const out = outputs.get(3);
    if (out?.kind !== 'record') return null;
    const fields = [...out.fields].map(([name, value]): [string, number] => [
      name.replace('tcpi_', ''),
      value.kind === 'number' ? value.value : NaN,
    ]);
    // Another socket has the connection: this one could not connect
    return fields.some(([name, value]) => name === 'state' && value === CLOSED) ? null : new Map(fields);
  }

  /** The socket of the connection is open. */
  get holdsSocket(): boolean {
    return this.fd >= 0;
  }

  /** Closes all that is open, connections by RST. */
  async end(): Promise<void> {
    for (const fd of [this.fd, ...this.left]) {
      if (fd < 0) continue;
      const args = [number(fd), number(SOL_SOCKET), number(SO_LINGER), linger(), number(8)];
      await this.caller({ name: 'setsockopt', args, blocks: false });
      await this.caller({ name: 'close', args: [number(fd)], blocks: false });
    }
    if (this.listener >= 0)
      await this.caller({ name: 'close', args: [number(this.listener)], blocks: false });
  }

  private async connect(): Promise<string> {
    if (this.fd >= 0) this.left.push(this.fd);
    this.fd = await this.bound();
    return shown(await this.say('connect', number(this.fd), ANY, ANY));
  }

  /** A socket bound to the tuple's own port. */
  private async bound(): Promise<number> {
    const { value: fd } = await this.say('socket', ANY, number(STREAM_NONBLOCK), number(6));
    await this.say('setsockopt', number(fd), number(SOL_SOCKET), number(SO_REUSEADDR), list(1), number(4));
    await this.say('bind', number(fd), ANY, ANY);
    return fd;
  }

  /** A call that the script shows; `args` begin with the descriptor but for socket(). */
  private async say(name: string, ...args: Value[]): Promise<CallResult> {
    const result = await this.caller({ name, args, blocks: false });
    const shownArgs = args.map((arg, i) =>
      i === 0 && arg.kind === 'number' ? String(this.numberOf(arg.value)) : written(arg),
    );
    const value = name === 'socket' ? this.numberOf(result.value) : result.value;
    const errno = result.errno === '' ? '' : ` ${result.errno}`;
    this.script.push(`${name}(${shownArgs.join(', ')}) = ${value}${errno}`);
    return result;
  }

  /** Descriptors of the script count from 3. */
  private numberOf(fd: number): number {
    const known = this.numbers.get(fd);
    if (known !== undefined) return known;
    this.numbers.set(fd, 3 + this.numbers.size);
    return 2 + this.numbers.size;
  }
}

const list = (value: number): Value => ({ kind: 'list', items: [number(value)] });

function linger(): Value {
  return {
    kind: 'record',
    fields: new Map([
      ['onoff', number(1)],
      ['linger', number(0)],
    ]),
  };
}

function shown({ value, errno }: CallResult): string {
  return errno === '' ? String(value) : errno;
}

function written(value: Value): string {
  if (value.kind === 'number') return String(value.value);
  if (value.kind === 'list') return `[${value.items.map(written).join(', ')}]`;
  if (value.kind === 'record')
    return `{${[...value.fields].map(([name, v]) => `${name}=${written(v)}`).join(', ')}}`;
  return '...';
}
