/**
 * Values of scripts as the kernel's structures, and back: sockaddr, iovec, msghdr, pollfd,
 * epoll_event, tcp_info. Layouts are Linux's on 64-bit little-endian machines.
 */
import { endianness } from 'node:os';
import type { Address } from '../wire/address.js';
import { constants } from './constants.js';
import type { Value } from './script.js';
import { infoLayout, infoOctets } from './tcp-info.js';
import { number } from './values.js';

const little = endianness() === 'LE';

export function int(value: Value | undefined, otherwise = 0): number {
  return value?.kind === 'number' ? value.value : otherwise;
}

export function field(value: Value | undefined, name: string): Value | undefined {
  return value?.kind === 'record' ? value.fields.get(name) : undefined;
}

export function record(fields: readonly (readonly [string, number])[]): Value {
  return { kind: 'record', fields: new Map(fields.map(([name, value]) => [name, number(value)])) };
}

/** Bytes with a view; numbers in the machine's order. */
export class Memory {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  static of32(...values: readonly number[]): Memory {
    const memory = new Memory(4 * values.length);
    values.forEach((value, i) => memory.set32(4 * i, value));
    return memory;
  }

  set16(at: number, value: number): void {
    this.view.setUint16(at, value & 0xffff, little);
  }

  set32(at: number, value: number): void {
    this.view.setUint32(at, value >>> 0, little);
  }

  set64(at: number, value: bigint): void {
    this.view.setBigUint64(at, BigInt.asUintN(64, value), little);
  }

  /** Network order. */
  setPort(at: number, value: number): void {
    this.view.setUint16(at, value & 0xffff, false);
  }

  get16(at: number): number {
    return this.view.getUint16(at, little);
  }

  get32(at: number): number {
    return this.view.getUint32(at, little);
  }

  getSigned32(at: number): number {
    return this.view.getInt32(at, little);
  }

  get64(at: number): number {
    return Number(this.view.getBigUint64(at, little));
  }

  getPort(at: number): number {
    return this.view.getUint16(at, false);
  }
}

/** sockaddr_in or sockaddr_in6. */
export function sockaddr(address: Address, port: number): Memory {
  const v6 = address.family === 6;
  const memory = new Memory(v6 ? 28 : 16);
  memory.set16(0, v6 ? constants.get('AF_INET6')! : constants.get('AF_INET')!);
  memory.setPort(2, port);
  const octets = [...address.words].flatMap((word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255));
  memory.bytes.set(v6 ? octets : octets.slice(12), v6 ? 8 : 4);
  return memory;
}

/** Fields by name, as far as the kernel filled the structure. */
export function tcpInfo(memory: Memory, length: number): Map<string, number> {
  const fields = new Map<string, number>();
  for (const [at, name] of infoOctets.entries()) fields.set(`tcpi_${name}`, memory.bytes[at]!);
  const [scales, flags] = memory.bytes.subarray(6, 8);
  fields.set('tcpi_snd_wscale', scales! & 15);
  fields.set('tcpi_rcv_wscale', scales! >> 4);
  fields.set('tcpi_delivery_rate_app_limited', flags! & 1);
  fields.set('tcpi_fastopen_client_fail', (flags! >> 1) & 3);
  for (const { name, at, size } of infoLayout) {
    if (at + size > length) break;
    fields.set(name, size === 2 ? memory.get16(at) : size === 4 ? memory.get32(at) : memory.get64(at));
  }
  return fields;
}
