/** The packet link: an Ethernet interface through AF_PACKET and the native addon, the fast way onto a segment. */
import { multicastMac, putHalf, putWord, type Mac } from '../wire/ethernet.js';
import type { PacketRing } from '../wire/ring.js';
import { bpfFilter, groupsOf } from './bpf.js';
import { EthernetLink, type EthernetOptions, type FrameDevice } from './ethernet-link.js';
import { interfaceFacts } from './interface.js';
import { native, type PacketQueue } from './native.js';
import type { OwnPrefix } from './own-addresses.js';

/** The kernel's ring: 8 MB. A block takes the largest packet that may come, and is handed over after a millisecond at most. */
const BLOCK_SIZE = 1 << 18;
const BLOCKS = 32;
const BLOCK_TIMEOUT = 1;
/** Segments may come merged, up to the longest IP packet. */
const LARGEST = 65_535;

class PacketDevice implements FrameDevice {
  readonly name: string;
  readonly largest = LARGEST;
  readonly marksPartial = true;

  constructor(
    private readonly queue: PacketQueue,
    readonly mtu: number,
  ) {
    this.name = queue.name;
  }

  receive(ring: PacketRing, records: Uint8Array): number {
    const { bytes, lengths, head, count, slots, slotSize } = ring;
    return this.queue.receive(bytes, lengths, head, count, slots, slotSize, records);
  }

  transmit(ring: PacketRing, records: Uint8Array, count: number): number {
    const { bytes, lengths, head, slots, slotSize } = ring;
    return this.queue.transmit(bytes, lengths, head, count, slots, slotSize, records);
  }

  listen(listener: (() => void) | null): void {
    this.queue.listen(listener);
  }

  ref(): void {
    this.queue.ref();
  }

  unref(): void {
    this.queue.unref();
  }

  losses(): Readonly<Record<string, number>> {
    return { ...this.queue.counters() };
  }

  close(): void {
    this.queue.close();
  }
}

function macBytes(macs: readonly Mac[]): Uint8Array {
  const bytes = new Uint8Array(macs.length * 6);
  macs.forEach(({ high, low }, i) => {
    putHalf(bytes, i * 6, high);
    putWord(bytes, i * 6 + 2, low);
  });
  return bytes;
}

/**
 * Opens an Ethernet interface of this network namespace. Throws Error with code, errno and
 * syscall when the system refuses (EPERM: no CAP_NET_RAW here, ENODEV: no such interface,
 * EPROTONOSUPPORT: it is no Ethernet); Error with code ERR_NO_ADDON when the addon is not there.
 */
export function openPacketLink(device: string, options: EthernetOptions): EthernetLink {
  const loaded = native();
  if (!loaded.ok)
    throw Object.assign(new Error(`${loaded.reason}: ${loaded.cure}`), { code: 'ERR_NO_ADDON' });
  const { addon } = loaded;
  const addresses: readonly OwnPrefix[] = options.addresses;
  const groups = groupsOf(addresses).map((words) => multicastMac(6, words[3]!));
  const queue = new addon.PacketQueue(
    device,
    bpfFilter(addresses),
    macBytes([options.mac]),
    macBytes(groups),
    BLOCK_SIZE,
    BLOCKS,
    BLOCK_TIMEOUT,
  );
  return new EthernetLink(new PacketDevice(queue, interfaceFacts(addon, device)?.mtu ?? 1500), options);
}
