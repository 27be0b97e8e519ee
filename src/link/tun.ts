/**
 * A TUN device as a link: IP packets to and from the kernel's network stack, in
 * batches through the native addon. The device lives as long as the link is open;
 * bringing it up and giving the kernel's side an address is somebody else's task.
 */
import { LARGEST_SLOT, type PacketRing } from '../wire/ring.js';
import type { Link } from './link.js';
import { native } from './native.js';
import type { TunCounters, TunQueue } from './native.js';

/** Names that the kernel takes; the addon checks the length. */
const NAME = /^(?!\.{1,2}$)(?:[^/:%\s]|%d)*$/;

export interface TunOptions {
  /** Device name, up to 15 bytes; `%d` is replaced by a free number. Default 'tw%d'. */
  readonly name?: string;
  /** Largest IP packet in bytes, 68 (RFC 791) to 65535; default 1500. The kernel's own mtu is set with ip(8). */
  readonly mtu?: number;
  /** Opens the device as multi-queue: each link opened under the same name is one more queue. Default false. */
  readonly multiQueue?: boolean;
  /** The device must be a new one: EBUSY when there is one of that name, whoever has it. Default false. */
  readonly exclusive?: boolean;
  /**
   * Segments of up to 64 KB and unfinished checksums (IFF_VNET_HDR), as with a network card that
   * segments. Where the kernel does not know it, packet by packet. Default false.
   */
  readonly offload?: boolean;
}

/** What a link must know of one whose queue it shares. */
export type SharedQueue = Pick<TunLink, 'name' | 'mtu' | 'offload'>;

export class TunLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly largest: number;
  readonly gathers = true;
  private readonly queue: TunQueue;
  private isClosed = false;

  private constructor(
    queue: TunQueue,
    mtu: number,
    readonly offload: boolean,
  ) {
    this.queue = queue;
    this.name = queue.name;
    this.mtu = mtu;
    this.largest = offload ? LARGEST_SLOT : mtu;
  }

  /**
   * Creates the device, or attaches to a persistent one that nobody uses.
   * Throws RangeError for a bad name or mtu; Error with code, errno and syscall when
   * the system refuses (EPERM: no CAP_NET_ADMIN in this network namespace, EBUSY: in
   * use, ENOENT and EACCES: no way to /dev/net/tun); Error with code ERR_NO_ADDON when
   * the addon is not there.
   */
  static open(options: TunOptions = {}): TunLink {
    const { name = 'tw%d', mtu = 1500, multiQueue = false, exclusive = false } = options;
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535) {
      throw new RangeError(`mtu must be an integer from 68 to 65535, got ${mtu}`);
    }
    if (typeof name !== 'string' || !NAME.test(name)) {
      const rule = "up to 15 bytes without '/', ':' or white space, '%' only as '%d'";
      throw new RangeError(`name must be ${rule}, got '${String(name)}'`);
    }
    const loaded = native();
    if (!loaded.ok) {
      throw Object.assign(new Error(`${loaded.reason}: ${loaded.cure}`), { code: 'ERR_NO_ADDON' });
    }
    const open = (offload: boolean): TunLink =>
      new TunLink(new loaded.addon.TunQueue(name, offload, multiQueue, undefined, exclusive), mtu, offload);
    if (options.offload !== true) return open(false);
    try {
      return open(true);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      return open(false);
    }
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** Packets lost between ring and device. */
  get counters(): TunCounters {
    return this.queue.counters();
  }

  losses(): Readonly<Record<string, number>> {
    return { ...this.queue.counters() };
  }

  /** Throws (ENODEV) when the device is gone; so does `transmit`. */
  receive(ring: PacketRing): number {
    if (this.isClosed) return 0;
    const { head, count, slots } = ring;
    const moved = this.queue.receive(
      ring.bytes,
      ring.lengths,
      head,
      count,
      slots,
      ring.slotSize,
      ring.offloads,
    );
    for (let i = 0; i < moved; i++) ring.reasons[(head + count + i) & (slots - 1)] = 0;
    ring.count = count + moved;
    return moved;
  }

  settle(): void {
    // Nothing is kept per packet.
  }

  /** A closed link takes nothing. */
  transmit(ring: PacketRing): number {
    if (this.isClosed || ring.count === 0) return 0;
    const taken = this.queue.transmit(
      ring.bytes,
      ring.lengths,
      ring.head,
      ring.count,
      ring.slots,
      ring.slotSize,
      ring.offloads,
      ring.spans,
      ring.texts,
    );
    ring.drop(taken);
    return taken;
  }

  /**
   * The queue of another thread's link, whose `descriptor` this is, once more: what it writes goes the same way. A packet
   * is read by one of them. `name`, `mtu` and `offload` are that link's.
   */
  static share(descriptor: number, { name, mtu, offload }: SharedQueue): TunLink {
    const loaded = native();
    if (!loaded.ok) throw new Error(`${loaded.reason}: ${loaded.cure}`);
    return new TunLink(new loaded.addon.TunQueue(name, offload, false, descriptor), mtu, offload);
  }

  /** For TunLink.share in another thread, while this link is open. */
  get descriptor(): number {
    return this.queue.descriptor();
  }

  /**
   * Which queue of a multi-queue device the kernel gives a packet to: the result of an eBPF program, as the
   * number of the queue in the order of opening. Throws Error with code (EPERM: no CAP_BPF here).
   */
  steer(program: Uint8Array): void {
    this.queue.steer(program);
  }

  onReadable(listener: (() => void) | null): void {
    if (!this.isClosed) this.queue.listen(listener);
  }

  ref(): void {
    this.queue.ref();
  }

  unref(): void {
    this.queue.unref();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.queue.close();
  }
}
