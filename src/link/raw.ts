/**
 * The raw-socket link: IP packets through the npm package raw-socket, beside the kernel's own
 * TCP. Our addresses are local ones of the kernel: it answers for them on the link, routes what
 * we send, and must be kept from resetting connections that it knows nothing of
 * (lab/reset-guard.ts). What raw sockets do not tell: of IPv6 packets neither header nor
 * destination, so hop limit and ECN are lost, and the checksum says which address is meant.
 * The package keeps the process alive until the link is closed.
 */
import { createRequire } from 'node:module';
import { formatWords, parseAddress } from '../wire/address.js';
import { fold, pseudoHeader, sum } from '../wire/checksum.js';
import { putHalf, putWord } from '../wire/ethernet.js';
import { half, word } from '../wire/ip.js';
import type { PacketRing } from '../wire/ring.js';
import { FrameQueue } from './frame-queue.js';
import type { Link } from './link.js';
import type { OwnPrefix } from './own-addresses.js';
import { PartialChecksums, type PartialOptions } from './partial.js';

/** The part of raw-socket that is used. */
interface RawSocket {
  on(event: 'message', listener: (bytes: Buffer, source: string) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  setOption(level: number, option: number, value: number): void;
  setOption(level: number, option: number, value: Buffer, length: number): void;
  getOption(level: number, option: number, value: Buffer, length: number): number;
  /** Reads one packet, as the package does when there is one; 'error' when there is none. */
  onRecvReady(): void;
  pauseRecv(): void;
  resumeRecv(): void;
  close(): void;
  /** Its send() takes one packet a pass through the event loop; the call below it sends at once, and throws. */
  readonly wrap: {
    send(bytes: Uint8Array, offset: number, length: number, address: string, sent: () => void): void;
  };
}

interface RawSocketModule {
  createSocket(options: { protocol: number; addressFamily: number; bufferSize: number }): RawSocket;
  readonly AddressFamily: { readonly IPv4: number; readonly IPv6: number };
}

const ICMP = 1;
const TCP = 6;
const ICMPV6 = 58;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;
const SO_MEMINFO = 55;
/** Bytes of SO_MEMINFO, and where it counts what was dropped. */
const MEMINFO = 36;
const DROPS = 32;
const IPPROTO_IP = 0;
const IP_HDRINCL = 3;
const IPPROTO_IPV6 = 41;
const IPV6_HDRINCL = 36;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
/** Only errors: unreachable, source quench, time exceeded, parameter problem; of ICMPv6 types 1 to 4. */
const ICMP_BLOCKED = ~((1 << 3) | (1 << 4) | (1 << 11) | (1 << 12)) >>> 0;
const ICMPV6_BLOCKED = Buffer.alloc(32, 0xff);
ICMPV6_BLOCKED[0] = 0xe1;

/** Our own packets carry it, so that a rule of the kernel's firewall can tell them from the kernel's. */
export const RAW_MARK = 0x7477;
const LARGEST = 65_535;
const RECEIVE_BUFFER = 8 << 20;
const QUEUE_BYTES = 4 << 20;
const QUEUE_PACKETS = 4096;
/** What strerror says; the package gives no codes. */
const AGAIN = 'Resource temporarily unavailable';
const DOWN = 'Network is down';

export interface RawOptions extends PartialOptions {
  readonly addresses: readonly OwnPrefix[];
  /** Only packets that come and go through this interface; '' for all. */
  readonly device: string;
  readonly mtu: number;
}

function load(): RawSocketModule {
  try {
    return createRequire(import.meta.url)('raw-socket') as RawSocketModule;
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    const what = absent ? 'is not installed' : 'does not load';
    const cure = 'npm install raw-socket, with a C++ compiler, make and python3 present';
    throw Object.assign(new Error(`the package raw-socket ${what}: ${cure}`), { code: 'ERR_NO_PACKAGE' });
  }
}

export class RawLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly largest = LARGEST;
  private readonly sockets: RawSocket[] = [];
  private readonly senders: Record<4 | 6, RawSocket | null> = { 4: null, 6: null };
  private readonly v6: readonly Int32Array[];
  private readonly v4: ReadonlySet<number>;
  private readonly partial: PartialChecksums;
  private readonly queue = new FrameQueue(QUEUE_BYTES, QUEUE_PACKETS);
  /** The ring that is filled right now. */
  private ring: PacketRing | null = null;
  private readonly scratch = new Uint8Array(40 + LARGEST);
  private listener: (() => void) | null = null;
  private paused = false;
  private empty = false;
  private failure: Error | null = null;
  private closed = false;
  private readonly lost = { overflow: 0, oversize: 0, refused: 0, others: 0 };
  /** The peers seen last, as text and as words. */
  private sourceText = '';
  private source: Int32Array = new Int32Array(4);
  private readonly target = new Int32Array(4);
  private targetText = '';

  /** Throws Error: code ERR_NO_PACKAGE, or what the system says ("Operation not permitted": no CAP_NET_RAW here). */
  constructor(options: RawOptions) {
    const raw = load();
    this.name = options.device === '' ? 'raw' : options.device;
    this.mtu = options.mtu;
    this.partial = new PartialChecksums(this.name, options);
    const { addresses } = options;
    this.v4 = new Set(addresses.filter(({ family }) => family === 4).map(({ words }) => words[3]!));
    this.v6 = addresses.filter(({ family }) => family === 6).map(({ words }) => words);
    try {
      if (this.v4.size > 0) this.openV4(raw, options.device);
      if (this.v6.length > 0) this.openV6(raw, options.device);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private openV4(raw: RawSocketModule, device: string): void {
    const take = (bytes: Buffer): void => {
      if (bytes.length >= 20 && this.v4.has(word(bytes, 16))) this.accept(bytes, bytes.length);
      else this.lost.others++;
    };
    const tcp = this.open(raw, TCP, raw.AddressFamily.IPv4, device, take);
    tcp.setOption(IPPROTO_IP, IP_HDRINCL, 1);
    this.senders[4] = tcp;
    this.open(raw, ICMP, raw.AddressFamily.IPv4, device, take).setOption(SOL_RAW, ICMP_FILTER, ICMP_BLOCKED);
  }

  private openV6(raw: RawSocketModule, device: string): void {
    const tcp = this.open(raw, TCP, raw.AddressFamily.IPv6, device, (bytes, source) =>
      this.takeV6(TCP, bytes, source),
    );
    tcp.setOption(IPPROTO_IPV6, IPV6_HDRINCL, 1);
    this.senders[6] = tcp;
    const icmp = this.open(raw, ICMPV6, raw.AddressFamily.IPv6, device, (bytes, source) =>
      this.takeV6(ICMPV6, bytes, source),
    );
    icmp.setOption(ICMPV6, ICMP_FILTER, ICMPV6_BLOCKED, ICMPV6_BLOCKED.length);
  }

  private open(
    raw: RawSocketModule,
    protocol: number,
    addressFamily: number,
    device: string,
    take: (bytes: Buffer, source: string) => void,
  ): RawSocket {
    const socket = raw.createSocket({ protocol, addressFamily, bufferSize: LARGEST });
    this.sockets.push(socket);
    if (device !== '')
      socket.setOption(SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${device}\0`), device.length + 1);
    socket.setOption(SOL_SOCKET, SO_MARK, RAW_MARK);
    try {
      socket.setOption(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    } catch {
      // Without CAP_NET_ADMIN the system's limit rules.
      socket.setOption(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    }
    socket.on('message', (bytes, source) => {
      take(bytes, source);
      this.listener?.();
    });
    socket.on('error', (error) => {
      if (error.message === AGAIN) this.empty = true;
      else if (error.message !== DOWN) this.failure = error;
    });
    return socket;
  }

  /** A packet as it is to stand on the ring. */
  private accept(packet: Uint8Array, length: number): void {
    const { ring } = this;
    if (ring === null || ring.free === 0) {
      if (!this.queue.push(packet, length)) this.lost.overflow++;
      // The kernel's buffer is the larger one.
      else if (ring === null && this.queue.bytes.length - this.queue.used < LARGEST) this.pause(true);
      return;
    }
    if (length > ring.slotSize) {
      this.lost.oversize++;
      return;
    }
    const offset = ring.tailOffset();
    ring.bytes.set(length === packet.length ? packet : packet.subarray(0, length), offset);
    this.partial.look(ring.bytes, offset, length);
    ring.push(length, 0);
  }

  /** The IPv6 header is not told: it is made again. */
  private takeV6(protocol: number, bytes: Buffer, source: string): void {
    if (source !== this.sourceText) {
      this.sourceText = source;
      this.source = parseAddress(source)?.words ?? new Int32Array(4);
    }
    const target = this.targetOf(protocol, bytes);
    if (target === null) {
      this.lost.others++;
      return;
    }
    const { scratch } = this;
    putWord(scratch, 0, 0x6000_0000);
    putHalf(scratch, 4, bytes.length);
    scratch[6] = protocol;
    scratch[7] = 64;
    for (let i = 0; i < 4; i++) {
      putWord(scratch, 8 + 4 * i, this.source[i]!);
      putWord(scratch, 24 + 4 * i, target[i]!);
    }
    scratch.set(bytes, 40);
    this.accept(scratch, 40 + bytes.length);
  }

  /** The address of ours that goes with the checksum; null when there is none: a neighbour's packet, or a broken one. */
  private targetOf(protocol: number, bytes: Buffer): Int32Array | null {
    if (bytes.length < 8) return null;
    const [s0, s1, s2, s3] = this.source as unknown as [number, number, number, number];
    const total = sum(bytes, 0, bytes.length, 0);
    for (const target of this.v6) {
      const [d0, d1, d2, d3] = target as unknown as [number, number, number, number];
      const pseudo = pseudoHeader(6, s0, s1, s2, s3, d0, d1, d2, d3, protocol, bytes.length);
      if (fold(total + pseudo) === 0) return target;
      // A partial checksum is the pseudo-header's sum, see wire/partial.ts.
      if (protocol === TCP && bytes.length >= 20 && half(bytes, 16) === (~fold(pseudo) & 0xffff))
        return target;
    }
    return null;
  }

  receive(ring: PacketRing): number {
    if (this.closed) return 0;
    if (this.failure !== null) throw this.failure;
    const before = ring.count;
    const { queue } = this;
    this.ring = ring;
    for (; queue.count > 0 && ring.free > 0; queue.drop())
      this.accept(queue.bytes.subarray(queue.start, queue.start + queue.length), queue.length);
    for (const socket of this.sockets)
      for (this.empty = false; !this.empty && this.failure === null && ring.free > 0;) socket.onRecvReady();
    this.ring = null;
    if (queue.count === 0) this.pause(false);
    return ring.count - before;
  }

  private pause(paused: boolean): void {
    if (paused === this.paused) return;
    this.paused = paused;
    for (const socket of this.sockets) {
      if (paused) socket.pauseRecv();
      else socket.resumeRecv();
    }
  }

  settle(): void {
    // Nothing is kept per packet.
  }

  transmit(ring: PacketRing): number {
    if (this.closed) return 0;
    const count = ring.count;
    for (let taken = 0; taken < count; taken++) {
      const offset = ring.offsetOf(0);
      const version = ring.bytes[offset]! >> 4 === 4 ? 4 : 6;
      const to = this.destination(ring.bytes, offset, version);
      try {
        this.senders[version]?.wrap.send(ring.bytes, offset, ring.lengthOf(0), to, nothing);
      } catch (error) {
        if ((error as Error).message === AGAIN) return taken;
        this.lost.refused++;
      }
      ring.drop(1);
    }
    return count;
  }

  /** As text; packets come in runs. */
  private destination(bytes: Uint8Array, offset: number, version: 4 | 6): string {
    const at = offset + (version === 4 ? 4 : 24);
    const w3 = word(bytes, at + 12);
    const w0 = version === 4 ? 0 : word(bytes, at);
    const w1 = version === 4 ? 0 : word(bytes, at + 4);
    const w2 = version === 4 ? 0xffff : word(bytes, at + 8);
    const { target } = this;
    if (target[3] !== w3 || target[2] !== w2 || target[1] !== w1 || target[0] !== w0) {
      target.set([w0, w1, w2, w3]);
      this.targetText = formatWords(w0, w1, w2, w3);
    }
    return this.targetText;
  }

  losses(): Readonly<Record<string, number>> {
    const { overflow, oversize, refused } = this.lost;
    let dropped = 0;
    const facts = Buffer.alloc(MEMINFO);
    for (const socket of this.sockets)
      if (!this.closed && socket.getOption(SOL_SOCKET, SO_MEMINFO, facts, MEMINFO) === MEMINFO)
        dropped += facts.readUInt32LE(DROPS);
    return { dropped, overflow, oversize, refused, partial: this.partial.refused };
  }

  onReadable(listener: (() => void) | null): void {
    this.listener = listener;
  }

  ref(): void {}

  unref(): void {}

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.listener = null;
    for (const socket of this.sockets) socket.close();
  }
}

function nothing(): void {}
