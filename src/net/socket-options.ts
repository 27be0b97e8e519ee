/** What sockets can be asked for: at construction, by setters, and the checks of both. */
import type { ConnectionHandle, ConnectionOption, Endpoint, StackApi } from '../stack/api.js';
import type { ConnectTarget } from './arguments.js';
import { codedError, invalidType } from './errors.js';
import type { OnReadOptions } from './inlet.js';
import { connectionSettings, type TcpSettings } from './tcp-settings.js';

/** Idle time before the first keepalive probe when the user names none: RFC 9293 MUST-28, ms. */
const KEEPALIVE_DEFAULT = 7_200_000;
/** Longest period of an inactivity timer, ms. */
const TIMEOUT_MAX = 2 ** 31 - 1;

export interface SocketOptions extends TcpSettings {
  /** Keep our side open after the peer's FIN. Default false. */
  allowHalfOpen?: boolean;
  signal?: AbortSignal;
  /** Data goes into the user's buffer and to his callback instead of 'data' events. */
  onread?: OnReadOptions;
  /** Bytes buffered in the stream in each direction before back-pressure. */
  highWaterMark?: number;
  noDelay?: boolean;
  keepAlive?: boolean;
  /** ms before the first probe. */
  keepAliveInitialDelay?: number;
}

/** How a Server makes the socket of an accepted connection. */
export interface AcceptedOptions extends SocketOptions {
  connection: ConnectionHandle;
  /** Read nothing before `resume()`. */
  pauseOnCreate: boolean;
}

export interface ConnectOptions extends ConnectTarget, SocketOptions {
  /** Inactivity in ms before the event 'timeout'. */
  timeout?: number;
}

/** What address() gives. */
export interface AddressInfo {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

export function familyName(endpoint: Endpoint): 'IPv4' | 'IPv6' {
  return endpoint.family === 4 ? 'IPv4' : 'IPv6';
}

/** Options wanted, in the engine's terms, kept until there is a connection to set them on. */
export class TcpOptions {
  /** null: the engine's defaults. */
  private values: Map<ConnectionOption, number> | null = null;

  take(options: SocketOptions): void {
    if (options.noDelay) this.set('noDelay', 1);
    if (options.keepAlive) this.set('keepAlive', keepAliveDelay(options.keepAliveInitialDelay));
    for (const [option, value] of connectionSettings(options)) this.set(option, value);
  }

  set(option: ConnectionOption, value: number): void {
    (this.values ??= new Map()).set(option, value);
  }

  get(option: ConnectionOption): number {
    return this.values?.get(option) ?? 0;
  }

  apply(stack: StackApi, connection: ConnectionHandle): void {
    if (this.values === null) return;
    for (const [option, value] of this.values) stack.setOption(connection, option, value);
  }
}

/** ms of an inactivity timer, 0 off. */
export function checkedPeriod(ms: unknown): number {
  if (typeof ms !== 'number') throw invalidType('msecs', 'of type number', ms);
  if (!(ms >= 0) || !Number.isFinite(ms)) throw outOfRange('msecs', 'a non-negative finite number', ms);
  return ms === 0 ? 0 : Math.min(TIMEOUT_MAX, Math.max(1, Math.trunc(ms)));
}

export function checkedTos(tos: number): number {
  if (!Number.isInteger(tos) || tos < 0 || tos > 255) throw outOfRange('tos', '>= 0 && <= 255', tos);
  return tos;
}

function outOfRange(name: string, range: string, value: number): Error {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${value}`;
  return codedError('ERR_OUT_OF_RANGE', message, RangeError);
}

/** ms before the first probe. */
export function keepAliveDelay(ms: number | undefined): number {
  return ms !== undefined && ms > 0 ? ms : KEEPALIVE_DEFAULT;
}

/** A socket carries bytes. */
export function checkStreamOptions(options: object): void {
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode'] as const) {
    if ((options as Record<string, unknown>)[name]) {
      throw codedError(
        'ERR_INVALID_ARG_VALUE',
        `The property 'options.${name}' is not supported. Received true`,
        TypeError,
      );
    }
  }
}
