import type { PacketRing } from '../wire/ring.js';

/**
 * A link carries IP packets between the engine and somewhere: a device, another
 * engine, a file. Links that wrap a link (capture, faults) keep this same shape.
 *
 * One turn of a driver: `receive(rx)`, hand each packet to the stack and write the
 * reason it answers with to `rx.reasons`, `settle(rx)`, `rx.clear()`, then
 * `transmit(tx)` until the stack has nothing more to say.
 */
export interface Link {
  readonly name: string;
  /** Largest IP packet in bytes. */
  readonly mtu: number;
  /** Largest IP packet it may hand over, when that is more than `mtu`: some devices merge segments. */
  readonly largest?: number;
  /**
   * It takes and hands over packets of up to 64 KB that stand for several segments, and packets with
   * unfinished checksums, as `PacketRing.offloads` says of each. Without it a link sends what it is given.
   */
  readonly offload?: boolean;
  /** `transmit` takes packets whose text lies elsewhere (`PacketRing.gathers`). */
  readonly gathers?: boolean;
  /** Moves waiting packets into the free slots of the ring; returns how many. Never blocks. */
  receive(ring: PacketRing): number;
  /** The packets in the ring have been processed, their reasons are filled in (capture writes them now). */
  settle(ring: PacketRing): void;
  /** Sends from the oldest on and drops what was sent from the ring; returns how many. A short count means "busy, call again". */
  transmit(ring: PacketRing): number;
  /** `listener` is called whenever packets may be waiting (edge or level, spurious calls are fine). One listener. */
  onReadable(listener: (() => void) | null): void;
  /** Keeps the event loop alive, or not (device links; others ignore it). */
  ref(): void;
  unref(): void;
  /**
   * ms until packets the link itself keeps back (a delaying wire) are due and the driver
   * should take another turn: 0 when overdue, -1 when there are none. Links without it never ask.
   */
  nextDeadline?(now: number): number;
  /** Packets the link knows to be lost, by what became of them; links that lose none leave it out. */
  losses?(): Readonly<Record<string, number>>;
  /** Releases the device. Idempotent. */
  close(): void;
}
