/**
 * What TCP lets a program choose beside node:net's own options, in one table: the name here, what it
 * takes, and what the engine calls it. The same names work for `connect`, `new Socket`, `createServer`
 * (for what it accepts), and `socket.setTcpOption`; those of `listenSettings` for `listen`.
 */
import { congestionNames, congestionNumber, type ConnectionOption } from '../stack/api.js';
import { codedError, invalidType } from './errors.js';

/** Switches and numbers of a connection; what is absent is the stack's. */
export interface TcpSettings {
  /** What fills no segment is held back, for about 200 ms at most (TCP_CORK). */
  cork?: boolean;
  /** false: ACKs wait for replies to carry them; true: what is owed goes now, and later ACKs go at once (TCP_QUICKACK). */
  quickAck?: boolean;
  /** Unsent bytes from which on 'drain' waits (TCP_NOTSENT_LOWAT). */
  notsentLowat?: number;
  /** ms that data may stay unacknowledged before the connection fails with ETIMEDOUT; 0 the stack's (TCP_USER_TIMEOUT). */
  userTimeout?: number;
  /** Congestion control: 'reno' or 'cubic' (TCP_CONGESTION). */
  congestion?: string;
  /** ms between keep-alive probes, and how many may stay unanswered; 0 the stack's (TCP_KEEPINTVL, TCP_KEEPCNT). */
  keepAliveInterval?: number;
  keepAliveCount?: number;
  /** Bytes (SO_SNDBUF, SO_RCVBUF): from then on they do not grow. */
  sendBuffer?: number;
  receiveBuffer?: number;
  /**
   * SO_LINGER, s. -1: off, the default. 0: destroy() resets the connection, no TIME-WAIT is left. More: after
   * destroy() the event 'close' waits until all that was written is acknowledged, or so long.
   */
  linger?: number;
}

/** What counts before a connection is open. */
export interface OpenSettings {
  /** Bytes of text a segment carries at most, told the peer as MSS (TCP_MAXSEG). */
  maxSegment?: number;
  /** Bytes of the largest window that is ever offered (TCP_WINDOW_CLAMP). */
  windowClamp?: number;
  /** SYNs, of a server SYN,ACKs, resent at most (TCP_SYNCNT). */
  synRetries?: number;
}

export interface ConnectSettings extends OpenSettings {
  /** What was written before the connection is open goes on the SYN, once the server's cookie is known (RFC 7413). */
  fastOpen?: boolean;
  /** s: the ACK that ends the handshake waits for the first write, where ACKs keep the user's pace (TCP_DEFER_ACCEPT). */
  deferAccept?: number;
}

export interface ListenSettings extends OpenSettings {
  /** Connections with text on the SYN that may be pending at once (TCP_FASTOPEN). */
  fastOpen?: number;
  /** s after which a connection is accepted even without data (TCP_DEFER_ACCEPT). */
  deferAccept?: number;
}

interface Range {
  readonly min: number;
  readonly max: number;
}
type Kind = 'switch' | 'congestion' | Range;

const MOST = 2 ** 31 - 1;
/** TCP_MAXSEG, a retry count, TCP_DEFER_ACCEPT. */
const SEGMENT: Range = { min: 88, max: 32_767 };
const COUNT: Range = { min: 0, max: 127 };
const WINDOW: Range = { min: 0, max: 2 ** 30 };
const WAIT: Range = { min: 0, max: 65_535 };

const connectionKinds: Readonly<Record<keyof TcpSettings, readonly [ConnectionOption, Kind]>> = {
  cork: ['cork', 'switch'],
  quickAck: ['quickAck', 'switch'],
  notsentLowat: ['notsentLowat', { min: 0, max: 2 ** 32 - 1 }],
  userTimeout: ['userTimeout', { min: 0, max: MOST }],
  congestion: ['congestion', 'congestion'],
  keepAliveInterval: ['keepInterval', { min: 0, max: 32_767_000 }],
  keepAliveCount: ['keepCount', COUNT],
  sendBuffer: ['sendBuffer', { min: 1, max: MOST }],
  receiveBuffer: ['receiveBuffer', { min: 1, max: MOST }],
  linger: ['linger', { min: -1, max: MOST }],
};
const connectKinds: Readonly<Record<keyof ConnectSettings, Kind>> = {
  fastOpen: 'switch',
  deferAccept: WAIT,
  maxSegment: SEGMENT,
  windowClamp: WINDOW,
  synRetries: COUNT,
};
const listenKinds: Readonly<Record<keyof ListenSettings, Kind>> = {
  fastOpen: { min: 0, max: 65_535 },
  deferAccept: WAIT,
  maxSegment: SEGMENT,
  windowClamp: WINDOW,
  synRetries: COUNT,
};

export type TcpSettingName = keyof TcpSettings;

/** The engine's number for a value; throws what node:net throws for a bad one. */
function checked(name: string, kind: Kind, value: unknown): number {
  if (kind === 'switch') {
    if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
    return value ? 1 : 0;
  }
  if (kind === 'congestion') {
    const number = typeof value === 'string' ? congestionNumber(value) : -1;
    if (number >= 0) return number;
    throw codedError(
      'ERR_INVALID_ARG_VALUE',
      `The property '${name}' must be one of: ${congestionNames.join(', ')}. Received '${String(value)}'`,
      TypeError,
    );
  }
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (Number.isInteger(value) && value >= kind.min && value <= kind.max) return value;
  throw codedError(
    'ERR_OUT_OF_RANGE',
    `The value of "${name}" is out of range. It must be an integer >= ${kind.min} && <= ${kind.max}. Received ${value}`,
    RangeError,
  );
}

/** A setting by its name; throws for an unknown one. */
export function connectionSetting(name: string, value: unknown): [ConnectionOption, number] {
  if (!Object.hasOwn(connectionKinds, name)) {
    throw codedError(
      'ERR_INVALID_ARG_VALUE',
      `The argument 'name' must be one of: ${Object.keys(connectionKinds).join(', ')}. Received '${name}'`,
      TypeError,
    );
  }
  const [option, kind] = connectionKinds[name as TcpSettingName];
  return [option, checked(name, kind, value)];
}

/** Those that `options` has, checked, for the engine. */
export function connectionSettings(options: TcpSettings): [ConnectionOption, number][] {
  const found: [ConnectionOption, number][] = [];
  for (const name of Object.keys(connectionKinds) as TcpSettingName[]) {
    const value = options[name];
    if (value === undefined) continue;
    const [option, kind] = connectionKinds[name];
    found.push([option, checked(`options.${name}`, kind, value)]);
  }
  return found;
}

function picked(kinds: Readonly<Record<string, Kind>>, options: object): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [name, kind] of Object.entries(kinds)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined) found[name] = checked(`options.${name}`, kind, value);
  }
  return found;
}

/** What `connect` hands the engine, checked. */
export function connectSettings(options: ConnectSettings): {
  fastOpen?: boolean;
  deferAccept?: number;
  maxSegment?: number;
  windowClamp?: number;
  synRetries?: number;
} {
  const { fastOpen, ...numbers } = picked(connectKinds, options);
  return fastOpen === undefined ? numbers : { ...numbers, fastOpen: fastOpen !== 0 };
}

/** What `listen` hands the engine, checked. */
export function listenSettings(options: ListenSettings): ListenSettings {
  return picked(listenKinds, options);
}

/** Bits of knob net.ipv4.tcp_fastopen. */
export const FAST_OPEN_CLIENT = 1;
export const FAST_OPEN_SERVER = 2;

/** Fast Open asked for where the knob forbids it would do nothing, silently. */
export function checkFastOpen(wanted: boolean, knob: number, bit: number): void {
  if (!wanted || (knob & bit) !== 0) return;
  throw codedError(
    'ERR_INVALID_ARG_VALUE',
    `The property 'options.fastOpen' needs bit ${bit} of knob net.ipv4.tcp_fastopen, which is ${knob}`,
    TypeError,
  );
}
