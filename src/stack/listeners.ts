/**
 * Which listener a segment belongs to. With SO_REUSEPORT several listen on one address and port, a
 * group: a keyed hash of the four-tuple chooses, so that a flow meets the same listener as long as the
 * group stays as it is, and nobody outside can aim at one (Linux reuseport_select_sock). FreeBSD's
 * SO_REUSEPORT_LB does the same. A group has one owner: a stack knows one user only, where Linux
 * asks for the same effective user id.
 */
import type { Segment } from '../wire/segment.js';
import type { FlowTable } from './flow-table.js';
import type { Listener } from './listener.js';

/** How closely a listener names what the segment is for: 0 not at all (Linux compute_score). */
const EXACT = 3;
const OWN_FAMILY = 2;
const BOTH_FAMILIES = 1;

function rank(listener: Listener, s: Segment): number {
  if (listener.matchesExactly(s.dst0, s.dst1, s.dst2, s.dst3)) return EXACT;
  if (!listener.wildcardFor(s.version)) return 0;
  return listener.family === 0 ? BOTH_FAMILIES : OWN_FAMILY;
}

/** Of those on its port; null: nobody listens there. */
export function listenerFor(list: readonly Listener[], flows: FlowTable, s: Segment): Listener | null {
  let best = 0;
  let count = 0;
  let chosen: Listener | null = null;
  for (const listener of list) {
    const closeness = rank(listener, s);
    if (closeness === 0 || closeness < best) continue;
    if (closeness === best) count++;
    else {
      best = closeness;
      count = 1;
      chosen = listener;
    }
  }
  if (count < 2) return chosen;
  const { dst0, dst1, dst2, dst3, src0, src1, src2, src3, dstPort, srcPort } = s;
  const hash = flows.hashOf(dst0, dst1, dst2, dst3, src0, src1, src2, src3, dstPort, srcPort);
  let left = place(hash, count);
  for (const listener of list) if (rank(listener, s) === best && left-- === 0) return listener;
  return chosen;
}

/** A hash as one of `count` places (Linux reciprocal_scale). */
export function place(hash: number, count: number): number {
  return Math.floor(((hash >>> 0) * count) / 2 ** 32);
}
