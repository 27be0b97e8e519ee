/**
 * The pcap link: an Ethernet interface through libpcap and the npm package cap. Everything
 * passes one buffer of that package's, and is copied before its callback returns. The package
 * keeps the process alive until the link is closed.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { formatWords } from '../wire/address.js';
import { LONGEST_HEADER, RECORD, formatMac, readHeader, writeHeader, type Mac } from '../wire/ethernet.js';
import type { PacketRing } from '../wire/ring.js';
import { groupsOf } from './bpf.js';
import { EthernetLink, type EthernetOptions, type FrameDevice } from './ethernet-link.js';
import { FrameQueue } from './frame-queue.js';
import { interfaceFacts } from './interface.js';
import { native, type NativeAddon } from './native.js';
import type { OwnPrefix } from './own-addresses.js';

/** The part of cap that is used. */
interface Cap {
  open(device: string, filter: string, bufferSize: number, buffer: Buffer): string;
  on(event: 'packet', listener: (length: number, truncated: boolean) => void): void;
  send(buffer: Buffer, length: number): void;
  close(): void;
}

/** The kernel's ring; our own queue behind it. */
const KERNEL_BUFFER = 16 << 20;
const QUEUE_BYTES = 16 << 20;
const QUEUE_FRAMES = 16_384;
/** Segments may come merged, up to the longest IP packet. */
const LARGEST = 65_535;

const SOL_SOCKET = 1;
const SO_DOMAIN = 39;
const AF_PACKET = 17;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const PACKET_IGNORE_OUTGOING = 23;

/** cap, or an Error with code ERR_NO_PACKAGE that says what cures it. */
function loadCap(): new () => Cap {
  try {
    return (createRequire(import.meta.url)('cap') as { Cap: new () => Cap }).Cap;
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    const what = absent ? 'is not installed' : 'does not load';
    const cure = 'apt-get install libpcap-dev (dnf install libpcap-devel), then npm install cap';
    throw Object.assign(new Error(`the package cap ${what}: ${cure}`), { code: 'ERR_NO_PACKAGE' });
  }
}

/** What libpcap is asked for: ARP, what is sent to our addresses, and the groups that questions for them go to. */
export function pcapFilter(mac: Mac, addresses: readonly OwnPrefix[]): string {
  const name = (words: Int32Array): string => formatWords(words[0]!, words[1]!, words[2]!, words[3]!);
  const v4 = addresses.filter(({ family }) => family === 4).map(({ words }) => name(words));
  const v6 = [
    ...addresses.filter(({ family }) => family === 6).map(({ words }) => words),
    ...groupsOf(addresses),
  ];
  const parts = [
    ...(v4.length > 0 ? ['arp'] : []),
    ...v4.map((address) => `(ip and dst host ${address})`),
    ...v6.map((words) => `(ip6 and dst host ${name(words)})`),
  ];
  return `not ether src ${formatMac(mac.high, mac.low)} and (${parts.join(' or ')})`;
}

/** The descriptor that libpcap opened between two looks at our own, so that the kernel can be asked what was lost. */
function packetSocket(addon: NativeAddon, before: ReadonlySet<string>): number {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  for (const name of readdirSync('/proc/self/fd')) {
    if (before.has(name)) continue;
    length.writeInt32LE(4);
    const failed = addon.syscall('getsockopt', Number(name), SOL_SOCKET, SO_DOMAIN, value, length) < 0;
    if (!failed && value.readInt32LE() === AF_PACKET) return Number(name);
  }
  return -1;
}

/**
 * Every Cap that was opened, for good: cap 0.2.1 stops its libuv handle on close and never
 * closes it, so collecting one frees memory that the event loop still has in its list. A few
 * hundred bytes for each link that was opened.
 */
const opened: Cap[] = [];

class PcapDevice implements FrameDevice {
  readonly largest = LARGEST;
  readonly marksPartial = false;
  private readonly cap: Cap;
  private readonly shared = Buffer.alloc(LARGEST + LONGEST_HEADER);
  private readonly frame: Buffer;
  private readonly queue = new FrameQueue(QUEUE_BYTES, QUEUE_FRAMES);
  private readonly descriptor: number;
  private readonly lost = { dropped: 0, overflow: 0, oversize: 0, refused: 0 };
  private listener: (() => void) | null = null;

  constructor(
    readonly name: string,
    readonly mtu: number,
    filter: string,
    private readonly addon: NativeAddon | null,
  ) {
    const Cap = loadCap();
    this.cap = new Cap();
    opened.push(this.cap);
    this.frame = Buffer.alloc(mtu + LONGEST_HEADER);
    const before = new Set(addon === null ? [] : readdirSync('/proc/self/fd'));
    const type = this.cap.open(name, filter, KERNEL_BUFFER, this.shared);
    if (type !== 'ETHERNET') {
      this.cap.close();
      throw new Error(`${name} is no Ethernet interface but ${type}`);
    }
    this.descriptor = addon === null ? -1 : packetSocket(addon, before);
    if (this.descriptor >= 0)
      addon!.syscall(
        'setsockopt',
        this.descriptor,
        SOL_PACKET,
        PACKET_IGNORE_OUTGOING,
        Buffer.of(1, 0, 0, 0),
        4,
      );
    this.cap.on('packet', (length, truncated) => {
      if (truncated) this.lost.oversize++;
      else if (!this.queue.push(this.shared, length)) this.lost.overflow++;
      this.listener?.();
    });
  }

  receive(ring: PacketRing, records: Uint8Array): number {
    const { queue } = this;
    let moved = 0;
    for (; queue.count > 0 && moved < ring.free; queue.drop()) {
      const slot = ring.slotOf(ring.count + moved);
      const { start, length } = queue;
      const header = readHeader(queue.bytes, start, length, records, slot * RECORD);
      if (header < 0) continue;
      if (length - header > ring.slotSize) {
        this.lost.oversize++;
        continue;
      }
      ring.bytes.set(queue.bytes.subarray(start + header, start + length), slot * ring.slotSize);
      ring.lengths[slot] = length - header;
      moved++;
    }
    return moved;
  }

  /** libpcap sends one frame in a call, and says nothing about why it cannot: what it refuses is lost. */
  transmit(ring: PacketRing, records: Uint8Array, count: number): number {
    const { frame } = this;
    for (let i = 0; i < count; i++) {
      const slot = ring.slotOf(i);
      const offset = slot * ring.slotSize;
      const length = ring.lengths[slot]!;
      const header = writeHeader(records, slot * RECORD, frame, 0);
      if (header + length > frame.length) {
        this.lost.oversize++;
        continue;
      }
      frame.set(ring.bytes.subarray(offset, offset + length), header);
      try {
        this.cap.send(frame, header + length);
      } catch {
        this.lost.refused++;
      }
    }
    return count;
  }

  listen(listener: (() => void) | null): void {
    this.listener = listener;
  }

  ref(): void {}

  unref(): void {}

  losses(): Readonly<Record<string, number>> {
    const stats = Buffer.alloc(12);
    const length = Buffer.alloc(4);
    length.writeInt32LE(stats.length);
    // The kernel starts anew with each look.
    if (this.descriptor >= 0)
      if (
        this.addon!.syscall('getsockopt', this.descriptor, SOL_PACKET, PACKET_STATISTICS, stats, length) === 0
      )
        this.lost.dropped += stats.readUInt32LE(4);
    return { ...this.lost };
  }

  close(): void {
    this.listener = null;
    this.cap.close();
  }
}

/**
 * Opens an Ethernet interface of this network namespace. Throws Error with code ERR_NO_PACKAGE
 * when the package cap is not there, else Error with what libpcap says.
 */
export function openPcapLink(device: string, options: EthernetOptions): EthernetLink {
  const loaded = native();
  const addon = loaded.ok ? loaded.addon : null;
  const mtu = addon === null ? 1500 : (interfaceFacts(addon, device)?.mtu ?? 1500);
  const filter = pcapFilter(options.mac, options.addresses);
  return new EthernetLink(new PcapDevice(device, mtu, filter, addon), options);
}
