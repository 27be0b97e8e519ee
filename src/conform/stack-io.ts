/** What calls do to one socket of our stack: reading, writing, its flags and its ends. */
import { NOTHING, done, failed, int, field } from './call-outcome.js';
import { errnos } from './constants.js';
import type { Value } from './script.js';
import type { StackSocket } from './stack-socket.js';
import type { CallResult } from './target.js';
import { number } from './values.js';

const SIOCATMARK = 0x8905;
const SO_OOBINLINE = '1:10';
const O_NONBLOCK = 0o4000;
const O_RDWR = 2;

/** Data, then errors, then the end of the stream: the order of tcp_recvmsg. */
export function receiveNow(
  socket: StackSocket,
  into: Value | undefined,
  length: number,
  peek: boolean,
  least: number,
): CallResult {
  if (socket.phase === 'idle' || socket.phase === 'listening') return failed('ENOTCONN');
  const { readable } = socket;
  const ended = socket.connection!.peerClosed || socket.phase === 'closed' || socket.readShut;
  if (readable > 0 && (readable >= least || ended)) {
    if (peek) return done(Math.min(readable, length));
    const bytes = socket.read(length)!;
    if (into?.kind !== 'text') return done(bytes.length);
    const value = String.fromCharCode(...bytes);
    return done(bytes.length, new Map<number, Value>([[1, { kind: 'text', value }]]));
  }
  // The peer's FIN ends the stream for good: an error behind it is for writers (Linux SOCK_DONE)
  if (readable === 0 && socket.connection!.peerClosed) {
    if (!peek) socket.readEnd();
    return done(0);
  }
  if (readable === 0 && socket.error !== '') return failed(socket.takeError());
  if (ended || length === 0) return done(0);
  return failed('EAGAIN');
}

/** recv(MSG_OOB) never waits: tcp_recv_urg. */
export function receiveUrgent(
  socket: StackSocket,
  into: Value | undefined,
  length: number,
  peek: boolean,
): CallResult {
  if (socket.connection === null) return failed('ENOTCONN');
  if (socket.flag(SO_OOBINLINE)) return failed('EINVAL');
  const octet = socket.urgent.take(socket.connection, peek);
  if (octet === 'EAGAIN' && (socket.connection.peerClosed || socket.readShut)) return done(0);
  if (typeof octet === 'string') return failed(octet);
  if (length === 0) return done(0);
  const value = String.fromCharCode(octet);
  return done(1, into?.kind === 'text' ? new Map<number, Value>([[1, { kind: 'text', value }]]) : NOTHING);
}

export function writeError(socket: StackSocket, taken: number): CallResult | null {
  if (socket.error !== '') return taken > 0 ? done(taken) : failed(socket.takeError());
  const dead = socket.phase === 'idle' || socket.phase === 'listening' || socket.phase === 'closed';
  if (dead || socket.writeShut) return taken > 0 ? done(taken) : failed('EPIPE');
  return null;
}

export function fcntl(socket: StackSocket, command: number, flags: number): CallResult {
  const [getFlags, setFlags] = [3, 4];
  if (command === getFlags) return done(O_RDWR | (socket.nonblocking ? O_NONBLOCK : 0));
  if (command === setFlags) socket.nonblocking = (flags & O_NONBLOCK) !== 0;
  return done(0);
}

export function ioctl(socket: StackSocket, request: number, into: Value | undefined): CallResult {
  const wrote = (value: number): CallResult => {
    const out: Value = into?.kind === 'list' ? { kind: 'list', items: [number(value)] } : number(value);
    return done(0, new Map([[2, out]]));
  };
  switch (request) {
    case 0x541b:
      return socket.phase === 'listening' ? failed('EINVAL') : wrote(socket.readable);
    case 0x5411:
      return socket.phase === 'listening' ? failed('EINVAL') : wrote(socket.connection?.queued ?? 0);
    case 0x894b:
      return socket.phase === 'listening' ? failed('EINVAL') : wrote(socket.info?.notsent ?? 0);
    case SIOCATMARK:
      return wrote(socket.urgent.atMark ? 1 : 0);
    case 0x5421:
      socket.nonblocking = int(into?.kind === 'list' ? into.items[0] : into) !== 0;
      return done(0);
    default:
      return failed('ENOTTY');
  }
}

export function shutdown(socket: StackSocket, how: number): CallResult {
  const [readSide, writeSide, both] = [0, 1, 2];
  if (how !== readSide && how !== writeSide && how !== both) return failed('EINVAL');
  if (socket.connection === null || socket.phase === 'closed') return failed('ENOTCONN');
  // Linux inet_shutdown: an attempt to connect ends, whichever side is shut
  if (socket.connection.stateName === 'SYN-SENT') {
    socket.stack.abort(socket.connection);
    socket.connection = null;
    socket.phase = 'idle';
    socket.error = 'ECONNRESET';
    return done(0);
  }
  if (how !== writeSide) socket.readShut = true;
  if (how !== readSide) {
    socket.writeShut = true;
    socket.stack.shutdown(socket.connection);
  }
  socket.wake(0);
  return done(0);
}

/** Bytes of an array of {base, length}. */
export function vectorLength(vector: Value | undefined): number {
  if (vector?.kind !== 'list') return 0;
  return vector.items.reduce((sum, item) => sum + int(field(item, '1') ?? field(item, 'iov_len')), 0);
}

/** What is written: a text as far as it goes, zeros behind. */
export function bytesOf(from: Value | undefined, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const texts =
    from?.kind === 'list'
      ? from.items.map(
          (item) =>
            [
              field(item, '0') ?? field(item, 'iov_base'),
              vectorLength({ kind: 'list', items: [item] }),
            ] as const,
        )
      : [[from, length] as const];
  let at = 0;
  for (const [text, room] of texts) {
    if (text?.kind === 'text')
      for (let i = 0; i < Math.min(room, text.value.length); i++) bytes[at + i] = text.value.charCodeAt(i);
    at += room;
  }
  return bytes;
}

/** AF_UNSPEC where an address belongs. */
export function noFamily(to: Value | undefined): boolean {
  const family = field(to, 'sa_family') ?? to;
  return family?.kind === 'number' && family.value === 0;
}

/** The number of an errno, as SO_ERROR gives it. */
export function errnoNumber(name: string): number {
  return name === '' ? 0 : (errnos[name] ?? 0);
}
