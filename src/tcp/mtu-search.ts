/**
 * What packets get through: sizes that were acknowledged, and the search for larger ones where
 * routers are silent (RFC 4821, as Linux does it under net.ipv4.tcp_mtu_probing).
 *
 * Sizes are those of whole packets, as MTUs are; only `mss` counts payload.
 */
import { after, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import type { TcpContext } from './context.js';
import { beginSearch, largestPacket, sizeOf, updateMss } from './options.js';
import { PathSizes, type PathSearch } from './path-sizes.js';
import type { Sent } from './sent.js';
import { LOSS, OPEN, type Tcb } from './tcb.js';

/** Full-sized new data goes out up to `end`: its acknowledgment proves that the size passes. */
export function noteSize(tcb: Tcb, length: number, end: number): void {
  if (length < tcb.mss) return;
  const sizes = (tcb.sizes ??= new PathSizes());
  if (sizes.tried !== 0) return;
  const size = sizeOf(tcb, length);
  if (size <= sizes.acked) return;
  sizes.tried = size;
  sizes.triedEnd = end;
}

/** SND.UNA moved to `ack`. */
export function sizeAcknowledged(ctx: TcpContext, tcb: Tcb, ack: number): void {
  const { sizes, search } = tcb;
  if (sizes !== null) {
    if (sizes.tried !== 0 && !before(ack, sizes.triedEnd)) {
      sizes.acked = sizes.tried;
      sizes.tried = 0;
    }
    // R5927-10: the data got through, whatever was said
    if (sizes.pendingMtu !== 0 && after(ack, sizes.pendingSeq)) sizes.pendingMtu = 0;
    sizes.oneByOne = false;
  }
  if (search !== null && search.probeSize !== 0 && !before(ack, search.probeEnd))
    probeArrived(ctx, tcb, search);
}

/**
 * The retransmission timer ran out for the nth time, and nobody says why: perhaps the packets
 * are too large. The first time the search begins at its base, then its low end is halved.
 */
export function suspectBlackHole(ctx: TcpContext, tcb: Tcb): void {
  const { config } = ctx;
  if (config.mtuProbing === 0 || tcb.retries < config.retries1) return;
  if (tcb.search === null) beginSearch(ctx, tcb);
  else {
    const half = (tcb.search.low - sizeOf(tcb, 0)) >> 1;
    const mss = Math.max(Math.min(config.baseMss, half), config.probeFloor, config.minMss);
    tcb.search.low = sizeOf(tcb, mss);
  }
  updateMss(ctx, tcb);
}

export const NO_PROBE = 0;
export const PROBE_NOW = 1;
/** There is enough to probe with once more of the flight is acknowledged: nothing else goes out. */
export const PROBE_WAITS = 2;

/** Size of the text of the probe that `probeDecision` wants. */
export let probeLength = 0;

/** Is the next new segment to be a probe (RFC 4821 7.3, 7.4)? Of `unsent` bytes queued, `usable` in the peer's window. */
export function probeDecision(
  ctx: TcpContext,
  tcb: Tcb,
  search: PathSearch,
  unsent: number,
  usable: number,
): number {
  if (search.probeSize !== 0 || tcb.recovery !== OPEN || tcb.reducing) return NO_PROBE;
  const { cwnd } = tcb.congestion;
  if (cwnd < 11 * tcb.mss || tcb.reassembly !== null) return NO_PROBE;
  const range = search.high - search.low;
  if (range < Math.max(1, ctx.config.probeThreshold)) {
    searchAgain(ctx, tcb, search);
    return NO_PROBE;
  }
  const length = ((search.high + search.low) >> 1) - sizeOf(tcb, 0);
  // Enough behind it that its loss is found without a timeout
  const needed = length + 4 * tcb.mss;
  if (unsent < needed || tcb.sndWnd < needed) return NO_PROBE;
  if (usable < needed) return PROBE_WAITS;
  const inNetwork = tcb.sent === null ? 0 : tcb.sent.pipe;
  if (inNetwork + length > cwnd) return inNetwork === 0 ? NO_PROBE : PROBE_WAITS;
  probeLength = length;
  return PROBE_NOW;
}

/** RFC 4821 7.7: the path may have changed for the better. */
function searchAgain(ctx: TcpContext, tcb: Tcb, search: PathSearch): void {
  if ((ctx.now - search.at) >>> 0 < ctx.config.probeInterval) return;
  search.at = ctx.now;
  search.low = sizeOf(tcb, tcb.mss);
  search.high = largestPacket(tcb);
}

/** A probe of `length` bytes of text was sent. */
export function probeSent(tcb: Tcb, seq: number, length: number): void {
  const search = tcb.search!;
  search.probeSize = sizeOf(tcb, length);
  search.probeStart = seq;
  search.probeEnd = (seq + length) | 0;
}

function probeArrived(ctx: TcpContext, tcb: Tcb, search: PathSearch): void {
  search.low = search.probeSize;
  search.probeSize = 0;
  updateMss(ctx, tcb);
  ctx.counters.bump(Mib.TcpExtTCPMTUPSuccess);
}

/**
 * Something was found lost. When it is the probe and nothing before it, its size was the reason:
 * it is resent in smaller segments, and the window stays (RFC 4821 7.6.2, R8201-4).
 */
export function probeLost(ctx: TcpContext, tcb: Tcb, sent: Sent): boolean {
  const { search } = tcb;
  if (search === null || search.probeSize === 0 || tcb.sndUna !== search.probeStart) return false;
  search.high = search.probeSize - 1;
  search.probeSize = 0;
  ctx.counters.bump(Mib.TcpExtTCPMTUPFail);
  sent.isolate(tcb.sndUna, (search.probeEnd - search.probeStart) | 0);
  sent.lose(0);
  tcb.recovery = LOSS;
  tcb.recover = tcb.sndNxt;
  tcb.undoable = false;
  return true;
}
