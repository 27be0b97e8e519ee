/**
 * The overloads of `connect` and `listen`, and the checks node:net makes before it
 * does anything: they throw, because only a programmer can get them wrong.
 */
import { isIP } from 'node:net';
import type { ConnectOptions as EngineTarget, Errno } from '../stack/api.js';
import { codedError, connectException, invalidType, invalidValue, type NetError } from './errors.js';
import { connectSettings, type ConnectSettings, type ListenSettings } from './tcp-settings.js';

export type LookupAddress = { address: string; family: number };

/** dns.lookup's callback; an array when the lookup was asked for, or gives, all addresses. */
export type LookupCallback = (
  error: Error | null,
  address?: string | readonly LookupAddress[],
  family?: number | string,
) => void;

export type LookupFunction = (
  hostname: string,
  options: { family: 0 | 4 | 6; hints: number; all: boolean },
  callback: LookupCallback,
) => void;

/** Where to, and from where. */
export interface ConnectTarget extends ConnectSettings {
  port: number | string;
  /** Name or address; default 'localhost'. */
  host?: string;
  /** 4, 6, or 0 for either. */
  family?: number | string;
  hints?: number;
  lookup?: LookupFunction;
  localAddress?: string;
  /** Counts as a bind: decides how TIME-WAIT records on the port are met. */
  localPort?: number;
  reuseAddress?: boolean;
  reusePort?: boolean;
  /** TCP timestamps for this connection, instead of the stack's knob. */
  timestamps?: boolean;
}

export interface ListenTarget extends ListenSettings {
  port?: number | string;
  host?: string;
  backlog?: number;
  exclusive?: boolean;
  reuseAddress?: boolean;
  reusePort?: boolean;
  ipv6Only?: boolean;
  signal?: AbortSignal;
}

type Callback = (...args: unknown[]) => void;

/** 0..65535, or the RangeError Node gives. */
export function checkPort(port: unknown, name: string): number {
  const number = typeof port === 'string' && port.trim() === '' ? NaN : Number(port);
  const typeOk = typeof port === 'number' || typeof port === 'string';
  if (typeOk && Number.isInteger(number) && number >= 0 && number <= 65535) return number;
  throw codedError(
    'ERR_SOCKET_BAD_PORT',
    `${name} should be >= 0 and < 65536. Received ${typeof port === 'string' ? `type string ('${port}')` : String(port)}.`,
    RangeError,
  );
}

function refusePath(path: unknown): never {
  throw invalidValue(
    'options.path',
    `is for local sockets, this stack speaks TCP only. Received '${String(path)}'`,
  );
}

function isPortLike(value: unknown): value is number | string {
  return (
    typeof value === 'number' || (typeof value === 'string' && value.trim() !== '' && Number(value) >= 0)
  );
}

function splitCallback(args: readonly unknown[]): [unknown[], Callback | null] {
  const last = args[args.length - 1];
  if (typeof last !== 'function') return [[...args], null];
  return [args.slice(0, -1), last as Callback];
}

/** connect(options[, cb]), connect(port[, host][, cb]); a path is refused. */
export function connectArguments<T extends ConnectTarget>(args: readonly unknown[]): [T, Callback | null] {
  const [rest, callback] = splitCallback(args);
  const first = rest[0];
  if (first === null || typeof first !== 'object') {
    if (rest.length === 0 || first === undefined || first === null) throw missing();
    if (!isPortLike(first)) {
      if (typeof first === 'string') refusePath(first);
      checkPort(first, 'Port');
    }
    const host = rest[1];
    const target = { port: first } as T;
    if (typeof host === 'string') target.host = host;
    return [target, callback];
  }
  const target = first as T & { path?: unknown };
  if (target.path) refusePath(target.path);
  if (target.port === undefined || target.port === null) throw missing();
  return [target, callback];
}

/** The switches that are the engine's. */
function checkSwitches(target: ConnectTarget | ListenTarget): void {
  const { reuseAddress, reusePort, timestamps } = target as Partial<ConnectTarget>;
  for (const [name, value] of Object.entries({ reuseAddress, reusePort, timestamps }))
    if (value !== undefined && typeof value !== 'boolean')
      throw invalidType(`options.${name}`, 'of type boolean', value);
}

function missing(): Error {
  return codedError(
    'ERR_MISSING_ARGS',
    'The "options" or "port" or "path" argument must be specified',
    TypeError,
  );
}

/** What `connect` refuses by throwing, in Node's order. */
export function checkTarget(target: ConnectTarget): void {
  if (target.localAddress && isIP(target.localAddress) === 0) {
    throw codedError('ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${target.localAddress}`, TypeError);
  }
  if (target.localPort !== undefined && typeof target.localPort !== 'number') {
    throw invalidType('options.localPort', 'of type number', target.localPort);
  }
  if (target.localPort !== undefined) checkPort(target.localPort, 'options.localPort');
  if (typeof target.port !== 'number' && typeof target.port !== 'string') {
    throw invalidType('options.port', 'one of type number or string', target.port);
  }
  checkPort(target.port, 'Port');
  if (target.lookup !== undefined && target.lookup !== null && typeof target.lookup !== 'function') {
    throw invalidType('options.lookup', 'of type function', target.lookup);
  }
  checkSwitches(target);
  connectSettings(target);
}

/** What the engine is asked for. */
export function engineTarget(target: ConnectTarget, address: string): EngineTarget {
  const { localAddress, localPort, reuseAddress, reusePort, timestamps } = target;
  return {
    address,
    port: Number(target.port),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort ? { localPort } : {}),
    ...(reuseAddress === undefined ? {} : { reuseAddress }),
    ...(reusePort === undefined ? {} : { reusePort }),
    ...(timestamps === undefined ? {} : { timestamps }),
    ...connectSettings(target),
  };
}

/** Why it refused. It binds and connects in one call; a port that somebody holds is bind's error in node:net. */
export function openException(code: Errno, target: ConnectTarget, to: LookupAddress): NetError {
  const { localAddress, localPort } = target;
  if (!localAddress && !localPort) return connectException(code, 'connect', to.address, Number(target.port));
  const local = { address: localAddress ?? (to.family === 4 ? '0.0.0.0' : '::'), port: localPort ?? 0 };
  return code === 'EADDRINUSE'
    ? connectException(code, 'bind', local.address, local.port)
    : connectException(code, 'connect', to.address, Number(target.port), local);
}

/** 4, 6 or 0 from the spellings Node takes. */
export function familyOf(family: number | string | undefined): 0 | 4 | 6 {
  if (family === 4 || family === 'IPv4' || family === 'ipv4') return 4;
  if (family === 6 || family === 'IPv6' || family === 'ipv6') return 6;
  return 0;
}

/** listen(), listen(options[, cb]), listen(port[, host][, backlog][, cb]), in any of Node's abbreviations. */
export function listenArguments(args: readonly unknown[]): [ListenTarget, Callback | null] {
  const [rest, callback] = splitCallback(args);
  const first = rest[0];
  if (first !== null && typeof first === 'object') {
    const target = first as ListenTarget & { path?: unknown; fd?: unknown };
    if (target.path) refusePath(target.path);
    if (target.fd !== undefined)
      throw invalidValue('options.fd', 'names a kernel socket, this stack has none');
    if (!('port' in target)) throw invalidValue('options', 'must have the property "port"');
    if (target.port !== undefined && target.port !== null) checkPort(target.port, 'options.port');
    checkSwitches(target);
    return [target, callback];
  }
  const target: ListenTarget = {};
  if (first !== undefined && first !== null) {
    if (typeof first === 'string' && !isPortLike(first)) refusePath(first);
    checkPort(first, 'options.port');
    target.port = first as number | string;
  }
  for (const argument of rest.slice(1)) {
    if (typeof argument === 'string' && isIP(argument) === 0 && Number(argument) >= 0)
      target.backlog = Number(argument);
    else if (typeof argument === 'string') target.host = argument;
    else if (typeof argument === 'number') target.backlog = argument;
  }
  return [target, callback];
}
