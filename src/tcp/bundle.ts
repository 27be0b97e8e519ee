/**
 * Segmentation left to the link: several full-sized segments of new data go into the ring as one
 * packet, and whoever is behind the link cuts it as the headers say. Windows, flight, loss recovery
 * and counters see segments as ever; only the number of packets is smaller.
 */
import type { TcpContext } from './context.js';
import type { Tcb } from './tcb.js';

/** Text of the largest packet: IPv4's length field, less the largest headers. */
const LARGEST_TEXT = 65_535 - 20 - 60;

/** Text of the next packet: whole segments of `available` bytes, one at least; with `tail` the shorter last one as well. */
export function bundle(ctx: TcpContext, tcb: Tcb, available: number, tail: boolean): number {
  const { mss } = tcb;
  if (available <= mss || !ctx.builder.offload || speaksForItself(tcb)) return Math.min(available, mss);
  const most = LARGEST_TEXT - (LARGEST_TEXT % mss);
  if (available >= most) return most;
  return tail ? available : available - (available % mss);
}

/** The next segment has something in its headers that those behind it must not repeat. */
function speaksForItself(tcb: Tcb): boolean {
  return tcb.reassembly !== null || tcb.twice.owed || tcb.sndUrgent || tcb.utoOwed;
}

/** Segments that `length` bytes of text are. */
export function segmentsIn(length: number, size: number): number {
  return length <= size ? 1 : Math.ceil(length / size);
}
