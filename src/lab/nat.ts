/**
 * A NAT in front of our stack, as a link that wraps a link: clients behind it come to
 * us under one public IPv4 address. Ports are kept. The clock of a client can be put
 * back: what another machine, switched on later, would show in its timestamps; a real
 * NAT rewrites addresses and never timestamps.
 */
import type { Link } from '../link/link.js';
import type { Address } from '../wire/address.js';
import { fold, pseudoHeader, sum } from '../wire/checksum.js';
import { IpHeader } from '../wire/ip.js';
import type { PacketRing } from '../wire/ring.js';

export interface NatClient {
  readonly address: Address;
  /** Added to the client's timestamps on the way in, taken off their echo on the way out; ms. */
  readonly clockShift: number;
}

const TCP = 6;

function half(b: Uint8Array, at: number): number {
  return (b[at]! << 8) | b[at + 1]!;
}

function word(b: Uint8Array, at: number): number {
  return (half(b, at) << 16) | half(b, at + 2);
}

function putWord(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

export class NatLink implements Link {
  readonly name: string;
  readonly mtu: number;
  private readonly ip = new IpHeader();
  private readonly publicWord: number;
  /** Who holds which port: at most 65,536 entries. */
  private readonly ports = new Map<number, NatClient>();

  constructor(
    private readonly inner: Link,
    publicAddress: Address,
    private readonly clients: readonly NatClient[],
  ) {
    this.name = inner.name;
    this.mtu = inner.mtu;
    this.publicWord = publicAddress.words[3]!;
  }

  receive(ring: PacketRing): number {
    const first = ring.count;
    const got = this.inner.receive(ring);
    for (let i = first; i < ring.count; i++) this.inward(ring.bytes, ring.offsetOf(i), ring.lengthOf(i));
    return got;
  }

  /** A whole TCP segment over IPv4, the header at least; anything else passes as it is. */
  private isTcp(bytes: Uint8Array, offset: number, length: number): boolean {
    const { ip } = this;
    return (
      ip.load(bytes, offset, length) === 0 &&
      ip.version === 4 &&
      ip.protocol === TCP &&
      !ip.fragment &&
      ip.payloadLength >= 20
    );
  }

  /** From a client: its source becomes the public address. */
  private inward(bytes: Uint8Array, offset: number, length: number): void {
    const { ip } = this;
    if (!this.isTcp(bytes, offset, length)) return;
    const client = this.clients.find(({ address }) => address.words[3] === ip.src3);
    if (client === undefined) return;
    this.ports.set(half(bytes, ip.payloadOffset), client);
    putWord(bytes, offset + 12, this.publicWord);
    this.shift(bytes, 4, client.clockShift);
    this.checksums(bytes, offset);
  }

  transmit(ring: PacketRing): number {
    for (let i = 0; i < ring.count; i++) this.outward(ring.bytes, ring.offsetOf(i), ring.lengthOf(i));
    return this.inner.transmit(ring);
  }

  /** To a client: the public destination becomes its own. Translating twice changes nothing. */
  private outward(bytes: Uint8Array, offset: number, length: number): void {
    const { ip } = this;
    if (!this.isTcp(bytes, offset, length)) return;
    if (ip.dst3 !== this.publicWord) return;
    const client = this.ports.get(half(bytes, ip.payloadOffset + 2));
    if (client === undefined) return;
    putWord(bytes, offset + 16, client.address.words[3]!);
    this.shift(bytes, 8, -client.clockShift);
    this.checksums(bytes, offset);
  }

  /** Moves TSval (`field` 4) or TSecr (`field` 8) of the packet loaded last. */
  private shift(bytes: Uint8Array, field: 4 | 8, by: number): void {
    if (by === 0) return;
    const start = this.ip.payloadOffset;
    const end = start + Math.min(this.ip.payloadLength, (bytes[start + 12]! >> 4) * 4);
    for (let at = start + 20; at < end;) {
      const kind = bytes[at]!;
      if (kind === 0) return;
      if (kind === 1) {
        at++;
        continue;
      }
      const size = bytes[at + 1] ?? 0;
      if (size < 2 || at + size > end) return;
      if (kind === 8 && size === 10) {
        const place = at + (field === 4 ? 2 : 6);
        const value = word(bytes, place);
        // An echo of 0 is no echo.
        if (field === 4 || value !== 0) putWord(bytes, place, (value + by) | 0);
        return;
      }
      at += size;
    }
  }

  private checksums(bytes: Uint8Array, offset: number): void {
    const { ip } = this;
    const header = ip.headerLength;
    bytes[offset + 10] = 0;
    bytes[offset + 11] = 0;
    const outer = fold(sum(bytes, offset, header, 0));
    bytes[offset + 10] = outer >> 8;
    bytes[offset + 11] = outer;
    const at = ip.payloadOffset;
    bytes[at + 16] = 0;
    bytes[at + 17] = 0;
    const pseudo = pseudoHeader(
      4,
      0,
      0,
      0,
      word(bytes, offset + 12),
      0,
      0,
      0,
      word(bytes, offset + 16),
      TCP,
      ip.payloadLength,
    );
    const check = fold(sum(bytes, at, ip.payloadLength, pseudo));
    bytes[at + 16] = check >> 8;
    bytes[at + 17] = check;
  }

  settle(ring: PacketRing): void {
    this.inner.settle(ring);
  }

  nextDeadline(now: number): number {
    return this.inner.nextDeadline?.(now) ?? -1;
  }

  onReadable(listener: (() => void) | null): void {
    this.inner.onReadable(listener);
  }

  ref(): void {
    this.inner.ref();
  }

  unref(): void {
    this.inner.unref();
  }

  close(): void {
    this.inner.close();
  }
}
