/** Helpers of the link tests: packets as plain byte arrays. */
import { PacketRing } from '../../src/wire/ring.js';
import type { Link } from '../../src/link/link.js';

/** `length` bytes: the first is `mark`, the rest follow from it. */
export function packet(mark: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (mark + i * 7) & 0xff);
}

export function put(ring: PacketRing, bytes: Uint8Array, reason = 0): void {
  ring.bytes.set(bytes, ring.tailOffset());
  ring.push(bytes.length, reason);
}

/** Sends packets one by one through a ring of their own; returns how many the link took. */
export function send(link: Link, ...packets: Uint8Array[]): number {
  let sent = 0;
  for (const bytes of packets) {
    const ring = new PacketRing(1, bytes.length);
    put(ring, bytes);
    sent += link.transmit(ring);
  }
  return sent;
}

/** One turn of a driver: what the link has now, `slots` at most at a time. */
export function received(link: Link, slots = 16): Uint8Array[] {
  const ring = new PacketRing(slots, 65_536);
  const packets: Uint8Array[] = [];
  while (link.receive(ring) > 0) {
    for (let i = 0; i < ring.count; i++) {
      packets.push(ring.bytes.slice(ring.offsetOf(i), ring.offsetOf(i) + ring.lengthOf(i)));
    }
    link.settle(ring);
    ring.clear();
  }
  return packets;
}
