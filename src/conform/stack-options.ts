/** getsockopt() and setsockopt() on sockets of our stack. Keys are `level:name` in Linux's numbers. */
import {
  congestionNames,
  congestionNumber,
  DIALECT_FREEBSD,
  SEND_BUFFER_MIN,
  roundsOf,
  secondsOf,
} from '../stack/api.js';
import { errnos } from './constants.js';
import type { Value } from './script.js';
import { TCP_CONGESTION, TCP_DEFER_ACCEPT, type StackSocket } from './stack-socket.js';
import type { CallResult } from './target.js';
import { infoRecord, listenerInfo, stateNumbers, tcpInfoFields } from './tcp-info.js';
import { number } from './values.js';

const SO_ERROR = '1:4';
const SO_LINGER = '1:13';
const SO_ACCEPTCONN = '1:30';
const SO_TYPE = '1:3';
const TCP_INFO = '6:11';
const SO_SNDBUF = '1:7';
const SO_RCVBUF = '1:8';
export const TCP_MAXSEG = '6:2';
export const TCP_WINDOW_CLAMP = '6:10';
const TCP_QUICKACK = '6:12';
const TCP_FASTOPEN_CONNECT = '6:30';
const TCP_FASTOPEN_KEY = '6:33';
/** What TCP_MAXSEG takes besides 0 (TCP_MIN_MSS, MAX_TCP_WINDOW). */
const SEGMENT_MIN = 88;
const SEGMENT_MAX = 32_767;
/** SOCK_MIN_RCVBUF / 2 */
const WINDOW_CLAMP_MIN = 1152;

/** Values before anybody sets one, where not 0. */
const defaults: Readonly<Record<string, number>> = {
  [SO_TYPE]: 1,
  '1:7': 16_384,
  '1:8': 131_072,
  '1:18': 1,
  '1:47': 0xffffffff,
  '6:4': 7200,
  '6:5': 75,
  '6:6': 9,
};

/** What the stack carries out, or what needs no carrying out; anything else is kept, and noted. */
const honoured = new Set([
  '1:2',
  '1:7',
  '1:8',
  '1:9',
  '1:10',
  '1:13',
  '1:15',
  '1:18',
  '1:37',
  '1:47',
  '6:1',
  '6:2',
  '6:3',
  '6:4',
  '6:5',
  '6:6',
  '6:7',
  TCP_WINDOW_CLAMP,
  TCP_DEFER_ACCEPT,
  '6:12',
  '6:18',
  '6:23',
  '6:25',
  '6:30',
  '6:36',
  '0:1',
  '41:26',
  '41:67',
]);

const known = (key: string): boolean => /^(0|1|6|41):\d+$/.test(key);
const result = (value: number, errno = '', outputs: [number, Value][] = []): CallResult => ({
  value,
  errno,
  outputs: new Map(outputs),
});

/** TCP_INFO of any socket. */
export function infoOf(socket: StackSocket): Map<string, number> {
  if (socket.listener !== null) return listenerInfo(socket.listener.waiting, socket.backlog);
  if (socket.connection === null) return new Map([['tcpi_state', stateNumbers['CLOSED']!]]);
  return tcpInfoFields(socket.stack.tcpInfo(socket.connection));
}

export function getOption(
  socket: StackSocket,
  level: number,
  name: number,
  into: Value | undefined,
): CallResult {
  const key = `${level}:${name}`;
  if (!known(key)) return result(-1, 'EOPNOTSUPP');
  const wrote = (value: Value): CallResult => result(0, '', [[3, value]]);
  const listed = (value: number): CallResult =>
    wrote(into?.kind === 'list' ? { kind: 'list', items: [number(value)] } : number(value));
  switch (key) {
    case SO_ERROR: {
      const error = socket.takeError() || socket.takeSoftError();
      return listed(error === '' ? 0 : (errnos[error] ?? 0));
    }
    case SO_LINGER: {
      const fields: [string, Value][] = [
        ['onoff', number(socket.linger === null ? 0 : 1)],
        ['linger', number(socket.linger ?? 0)],
      ];
      return wrote({ kind: 'record', fields: new Map(fields) });
    }
    case SO_ACCEPTCONN:
      return listed(socket.phase === 'listening' ? 1 : 0);
    case TCP_INFO:
      return wrote(infoRecord(infoOf(socket)));
    case TCP_MAXSEG:
      return listed(socket.info?.sndMss ?? (socket.options.get(key) || 536));
    case TCP_WINDOW_CLAMP:
      return listed(socket.info?.windowClamp ?? socket.options.get(key) ?? 0);
    case TCP_DEFER_ACCEPT: {
      const [first, most] = [
        socket.stack.knob('net.ipv4.tcp_rto_init'),
        socket.stack.knob('net.ipv4.tcp_rto_max'),
      ];
      return listed(secondsOf(roundsOf(socket.options.get(key) ?? 0, first, most), first, most));
    }
    case TCP_QUICKACK:
      return listed(socket.info?.interactive === true ? 0 : 1);
    case SO_SNDBUF:
    case SO_RCVBUF:
      if (socket.stack.knob('timewait_dialect') === DIALECT_FREEBSD) return listed(bsdBuffer(socket, key));
      if (key === SO_SNDBUF && socket.info !== null) return listed(socket.info.sndBuffer);
      // Linux counts its bookkeeping in and takes it to be as much again as the data
      if (!socket.options.has(key)) return listed(defaults[key]!);
      return listed(Math.max(2 * socket.options.get(key)!, key === SO_SNDBUF ? SEND_BUFFER_MIN : 0));
    case TCP_FASTOPEN_KEY: {
      const keys = socket.cookieKeys ?? socket.stack.fastOpenKeys();
      return wrote({ kind: 'text', value: String.fromCharCode(...keys) });
    }
    case TCP_CONGESTION: {
      const choice = socket.options.get(key) ?? socket.stack.knob('net.ipv4.tcp_congestion_control');
      return wrote({ kind: 'text', value: congestionNames[choice]! });
    }
    default:
      return listed(socket.options.get(key) ?? defaults[key] ?? 0);
  }
}

/** FreeBSD: as set, or the sysctl's, rounded up to whole segments once the MSS is known (tcp_mss). */
function bsdBuffer(socket: StackSocket, key: string): number {
  const knob = key === SO_RCVBUF ? 'net.ipv4.tcp_rmem' : 'net.ipv4.tcp_wmem';
  const size = socket.options.get(key) ?? socket.stack.knob(knob);
  const { connection } = socket;
  if (connection === null || socket.phase === 'connecting') return size;
  const mss = socket.stack.tcpInfo(connection).sndMss;
  return size > mss ? Math.ceil(size / mss) * mss : size;
}

export function setOption(
  socket: StackSocket,
  level: number,
  name: number,
  from: Value | undefined,
  notes: Set<string>,
): CallResult {
  const key = `${level}:${name}`;
  if (!known(key)) return result(-1, 'EOPNOTSUPP');
  if (key === SO_LINGER) {
    if (from?.kind !== 'record') return result(-1, 'EFAULT');
    const [on, time] = ['onoff', 'linger'].map(
      (each, i) => from.fields.get(each) ?? from.fields.get(`l_${each}`) ?? from.fields.get(String(i)),
    );
    socket.linger =
      on?.kind === 'number' && on.value !== 0 ? (time?.kind === 'number' ? time.value : 0) : null;
    return result(0);
  }
  if (key === TCP_INFO) return result(-1, 'ENOPROTOOPT');
  if (key === TCP_CONGESTION) {
    const choice = from?.kind === 'text' ? congestionNumber(from.value.replace(/\0+$/, '')) : -1;
    if (choice < 0) return result(-1, 'ENOENT');
    socket.options.set(key, choice);
    socket.applyOptions();
    return result(0);
  }
  if (key === TCP_FASTOPEN_KEY) {
    const bytes = from?.kind === 'text' ? Uint8Array.from(from.value, (one) => one.charCodeAt(0)) : null;
    if (bytes === null || (bytes.length !== 16 && bytes.length !== 32)) return result(-1, 'EINVAL');
    socket.cookieKeys = bytes;
    socket.applyOptions();
    return result(0);
  }
  const value = from?.kind === 'list' ? from.items[0] : from;
  if (value?.kind !== 'number') return result(-1, 'EFAULT');
  if (key === TCP_FASTOPEN_CONNECT) {
    if ((socket.stack.knob('net.ipv4.tcp_fastopen') & 1) === 0) return result(-1, 'EOPNOTSUPP');
    if (value.value < 0 || value.value > 1 || socket.phase !== 'idle') return result(-1, 'EINVAL');
  }
  if (key === TCP_MAXSEG && value.value !== 0 && (value.value < SEGMENT_MIN || value.value > SEGMENT_MAX))
    return result(-1, 'EINVAL');
  let chosen = value.value;
  if (key === TCP_WINDOW_CLAMP && chosen !== 0) chosen = Math.max(WINDOW_CLAMP_MIN, chosen);
  else if (key === TCP_WINDOW_CLAMP && socket.phase !== 'idle') return result(-1, 'EINVAL');
  if (!honoured.has(key)) notes.add(`socket option ${name} of level ${level} has no effect on the stack`);
  socket.options.set(key, chosen);
  socket.applyOptions();
  socket.act(key, chosen);
  return result(0);
}
