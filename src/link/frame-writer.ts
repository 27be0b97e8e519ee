/** Frames that the neighbour side wants sent: ARP, discovery, and packets that had to wait. Bounded; what has no room is lost and counted. */
import { writeArp } from '../wire/arp.js';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  FROM,
  MARKS,
  RECORD,
  TAG,
  TO,
  TYPE,
  putHalf,
  putWord,
  type Mac,
} from '../wire/ethernet.js';
import { writeNeighbourMessage } from '../wire/ndp.js';
import { PacketRing } from '../wire/ring.js';

const SLOTS = 256;

export class FrameWriter {
  /** What follows the link header; the records stand beside it, by slot. */
  readonly ring: PacketRing;
  readonly records = new Uint8Array(SLOTS * RECORD);
  lost = 0;

  constructor(
    private readonly mac: Mac,
    mtu: number,
  ) {
    this.ring = new PacketRing(SLOTS, Math.max(128, mtu));
  }

  arp(operation: number, sender: number, targetMac: Mac, target: number, to: Mac, tag: number): void {
    const { ring } = this;
    if (!this.begin(28, to.high, to.low, tag, ETHERTYPE_ARP)) return;
    ring.push(writeArp(ring.bytes, ring.tailOffset(), operation, this.mac, sender, targetMac, target), 0);
  }

  /** With our MAC in the option, unless the source is the unspecified address: that may not be learnt (RFC 4861 4.3). */
  discovery(
    type: number,
    flags: number,
    source: ArrayLike<number>,
    destination: ArrayLike<number>,
    target: ArrayLike<number>,
    to: Mac,
    tag: number,
  ): void {
    const { ring } = this;
    if (!this.begin(72, to.high, to.low, tag, ETHERTYPE_IPV6)) return;
    const unspecified = Array.from(source).every((word) => word === 0);
    const mac = unspecified ? null : this.mac;
    const fields = { type, flags, source, destination, target, mac };
    ring.push(writeNeighbourMessage(ring.bytes, ring.tailOffset(), fields), 0);
  }

  packet(bytes: Uint8Array, toHigh: number, toLow: number, tag: number): void {
    const { ring } = this;
    if (!this.begin(bytes.length, toHigh, toLow, tag, typeOf(bytes[0]! >> 4))) return;
    ring.bytes.set(bytes, ring.tailOffset());
    ring.push(bytes.length, 0);
  }

  private begin(length: number, toHigh: number, toLow: number, tag: number, type: number): boolean {
    const { ring } = this;
    if (ring.free === 0 || length > ring.slotSize) {
      this.lost++;
      return false;
    }
    writeRecord(this.records, ring.slotOf(ring.count) * RECORD, toHigh, toLow, this.mac, tag, type);
    return true;
  }
}

export function typeOf(version: number): number {
  return version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
}

export function writeRecord(
  records: Uint8Array,
  record: number,
  toHigh: number,
  toLow: number,
  from: Mac,
  tag: number,
  type: number,
): void {
  putHalf(records, record + TO, toHigh);
  putWord(records, record + TO + 2, toLow);
  putHalf(records, record + FROM, from.high);
  putWord(records, record + FROM + 2, from.low);
  putWord(records, record + TAG, tag);
  putHalf(records, record + TYPE, type);
  putHalf(records, record + MARKS, 0);
}
