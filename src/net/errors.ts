/**
 * Errors in the shape node:net gives them: `code`, `errno` (negative, as libuv
 * reports it), `syscall`, `address`, `port`, and the same message texts, so that
 * programs which match on them need not know which stack they run on.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import type { Errno } from '../stack/api.js';

/** What a failed call or connection carries. */
export interface NetError extends Error {
  code: string;
  /** Negative errno of this system; absent for ERR_* codes. */
  errno?: number;
  syscall?: string;
  address?: string;
  port?: number;
  localAddress?: string;
  localPort?: number;
}

/** -errno of this system for a name. */
function errnoOf(code: Errno): number {
  return -constants.errno[code];
}

function systemError(message: string, code: Errno, syscall: string): NetError {
  return Object.assign(new Error(message), { errno: errnoOf(code), code, syscall });
}

/** `read ECONNRESET` */
export function errnoException(code: Errno, syscall: string): NetError {
  return systemError(`${syscall} ${code}`, code, syscall);
}

/** `connect ECONNREFUSED 10.77.0.2:80`, with ` - Local (10.77.0.1:4000)` when the local end was asked for. */
export function connectException(
  code: Errno,
  syscall: 'connect' | 'bind',
  address: string,
  port: number,
  local?: { address: string; port: number },
): NetError {
  const details = local === undefined ? '' : ` - Local (${local.address}:${local.port})`;
  const where = port > 0 ? `${address}:${port}` : address;
  const error = Object.assign(systemError(`${syscall} ${code} ${where}${details}`, code, syscall), {
    address,
  });
  return Object.assign(
    error,
    port > 0 ? { port } : {},
    local && { localAddress: local.address, localPort: local.port },
  );
}

/** `listen EADDRINUSE: address already in use 10.77.0.2:80` */
export function listenException(code: Errno, address: string, port: number): NetError {
  const text = getSystemErrorMap().get(errnoOf(code))?.[1] ?? code;
  const where = port > 0 ? `${address}:${port}` : address;
  const error = Object.assign(systemError(`listen ${code}: ${text} ${where}`, code, 'listen'), { address });
  return Object.assign(error, port > 0 ? { port } : {});
}

/** A programmer's mistake or a closed socket, in Node's ERR_* manner. */
export function codedError(code: string, message: string, Kind: ErrorConstructor = Error): NetError {
  return Object.assign(new Kind(message), { code });
}

export function invalidType(name: string, expected: string, value: unknown): NetError {
  const got = value === null ? 'null' : typeof value;
  const message = `The "${name}" ${name.includes('.') ? 'property' : 'argument'} must be ${expected}. Received ${got}`;
  return codedError('ERR_INVALID_ARG_TYPE', message, TypeError);
}

export function invalidValue(name: string, reason: string): NetError {
  const kind = name.includes('.') ? 'property' : 'argument';
  return codedError('ERR_INVALID_ARG_VALUE', `The ${kind} '${name}' ${reason}`, TypeError);
}
