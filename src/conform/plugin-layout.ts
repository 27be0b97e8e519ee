/** Addresses, options and structures of Linux as bytes, little-endian, as the plug-in hands them to C. */
import { parseAddress } from '../wire/address.js';
import type { Value } from './script.js';
import { infoLayout, infoOctets } from './tcp-info.js';
import { number } from './values.js';

const AF_INET = 2;
const AF_INET6 = 10;

export interface SocketAddress {
  readonly family: number;
  readonly address: string;
  readonly port: number;
}

/** A sockaddr; null when it is too short for its family. Another family has no address. */
export function decodeAddress(bytes: Uint8Array): SocketAddress | null {
  if (bytes.length < 2) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === AF_INET && bytes.length >= 8)
    return { family, address: bytes.subarray(4, 8).join('.'), port: view.getUint16(2) };
  if (family === AF_INET6 && bytes.length >= 24) {
    const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16));
    const parsed = parseAddress(groups.join(':'));
    return { family, address: parsed === null ? '::' : parsed.toString(), port: view.getUint16(2) };
  }
  return family === AF_INET || family === AF_INET6 ? null : { family, address: '', port: 0 };
}

/** A sockaddr_in or sockaddr_in6; an IPv4 peer of an IPv6 socket is a mapped address there. */
export function encodeAddress(text: string, port: number, socketFamily: 4 | 6): Uint8Array {
  const parsed = parseAddress(text)!;
  const six = socketFamily === 6;
  const bytes = new Uint8Array(six ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, six ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port);
  // The words hold an IPv4 address as a mapped one.
  if (six) parsed.words.forEach((word, i) => view.setInt32(8 + 4 * i, word));
  else view.setInt32(4, parsed.words[3]!);
  return bytes;
}

export function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value | 0, true);
  return bytes;
}

/** With two bytes of accurate ECN and two that are reserved behind the last field, rounded up to 8. */
export const INFO_BYTES = 288;

const ALL_BITS = 2n ** 64n - 1n;

/** struct tcp_info; a field that is not known is 0. */
export function encodeInfo(fields: ReadonlyMap<string, number>): Uint8Array {
  const bytes = new Uint8Array(INFO_BYTES);
  const view = new DataView(bytes.buffer);
  const get = (name: string): number => fields.get(`tcpi_${name}`) ?? 0;
  for (const [i, name] of infoOctets.entries()) view.setUint8(i, get(name));
  view.setUint8(6, (get('snd_wscale') & 15) | ((get('rcv_wscale') & 15) << 4));
  view.setUint8(7, (get('delivery_rate_app_limited') & 1) | ((get('fastopen_client_fail') & 3) << 1));
  for (const { name, at, size } of infoLayout) {
    const value = Math.max(0, Math.round(fields.get(name) ?? 0));
    if (size === 8) view.setBigUint64(at, value < 2 ** 64 ? BigInt(value) : ALL_BITS, true);
    else if (size === 4) view.setUint32(at, value, true);
    else view.setUint16(at, value, true);
  }
  return bytes;
}

/** What an option is set to, as calls take it; null when the bytes are too few. */
export function optionValue(level: number, name: number, bytes: Uint8Array): Value | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [tcp, congestion, fastOpenKey, socket, linger, ip] = [6, 13, 33, 1, 13, 0];
  if (level === tcp && name === congestion)
    return { kind: 'text', value: String.fromCharCode(...bytes).replace(/\0.*$/s, '') };
  if (level === tcp && name === fastOpenKey) return { kind: 'text', value: String.fromCharCode(...bytes) };
  // IP's options may be one byte
  if (level === ip && bytes.length > 0 && bytes.length < 4) return number(bytes[0]!);
  if (bytes.length < 4) return null;
  if (level === socket && name === linger) {
    if (bytes.length < 8) return null;
    const fields = new Map([
      ['onoff', number(view.getInt32(0, true))],
      ['linger', number(view.getInt32(4, true))],
    ]);
    return { kind: 'record', fields };
  }
  return number(view.getInt32(0, true));
}

/** What getsockopt() gave, as bytes. */
export function optionBytes(value: Value | undefined): Uint8Array {
  if (value === undefined) return new Uint8Array(0);
  switch (value.kind) {
    case 'number':
      return int32(value.value);
    case 'text':
      return Uint8Array.from([...value.value, '\0'], (one) => one.charCodeAt(0));
    case 'list':
      return optionBytes(value.items[0]);
    case 'record': {
      const { fields } = value;
      if (fields.has('tcpi_state')) return encodeInfo(numbersOf(fields));
      const bytes = new Uint8Array(4 * fields.size);
      [...fields.values()].forEach((each, i) => bytes.set(optionBytes(each).subarray(0, 4), 4 * i));
      return bytes;
    }
    default:
      return new Uint8Array(0);
  }
}

function numbersOf(fields: ReadonlyMap<string, Value>): Map<string, number> {
  return new Map(
    [...fields].flatMap(([name, each]): [string, number][] =>
      each.kind === 'number' ? [[name, each.value]] : [],
    ),
  );
}
