/**
 * What routers report of a path's MTU: RFC 1191, RFC 8201, with the caution of RFC 5927 7.2.
 * Sizes are those of whole packets.
 */
import { afterEq } from '../seqnum.js';
import type { TcpContext } from './context.js';
import { fixedHeaders, updateMss } from './options.js';
import { PathSizes } from './path-sizes.js';
import { resendAll } from './sender.js';
import * as S from './state.js';
import { NOT_STARTED, type Tcb } from './tcb.js';

/** RFC 1191 7.1: what paths are made of, for routers that do not say (R1191-5). */
const PLATEAUS = [65_535, 32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68] as const;

export function plateauBelow(size: number): number {
  return PLATEAUS.find((plateau) => plateau < size) ?? 68;
}

/**
 * A router says that `mtu`, less than this path's, is all that passes; it quotes `seq`. False:
 * packets of more have arrived, so it is not believed before a timeout (R5927-8).
 */
export function tooBig(ctx: TcpContext, tcb: Tcb, mtu: number, seq: number): boolean {
  const sizes = (tcb.sizes ??= new PathSizes());
  if (mtu < sizes.acked && !ctx.config.dialect.believesTooBig) {
    sizes.pendingMtu = mtu;
    sizes.pendingSeq = seq;
    return false;
  }
  lowerPath(ctx, tcb, sizes, mtu);
  return true;
}

/** R5927-8: the timeout that the report waited for. False: there was none. */
export function pendingDue(ctx: TcpContext, tcb: Tcb): boolean {
  const { sizes } = tcb;
  if (sizes === null || sizes.pendingMtu === 0) return false;
  const mtu = sizes.pendingMtu;
  sizes.pendingMtu = 0;
  if (mtu >= tcb.pathMtu) return false;
  lowerPath(ctx, tcb, sizes, mtu);
  return true;
}

/**
 * R1191-1: smaller packets from now on, and what was lost is resent. The packet was dropped, the path
 * is not congested (R8201-4): as many segments as before, smaller ones (R5681-8).
 */
function lowerPath(ctx: TcpContext, tcb: Tcb, sizes: PathSizes, mtu: number): void {
  tcb.pathMtu = mtu;
  tcb.pathUntil = (ctx.now + ctx.config.mtuExpires) | 0;
  sizes.tried = 0;
  sizes.acked = Math.min(sizes.acked, mtu);
  const { search } = tcb;
  if (search !== null) {
    if (search.probeSize > mtu) search.probeSize = 0;
    search.high = Math.min(search.high, mtu);
  }
  const former = tcb.mss;
  updateMss(ctx, tcb);
  const { congestion } = tcb;
  if (congestion !== NOT_STARTED)
    congestion.cwnd = Math.max(tcb.mss, Math.trunc((congestion.cwnd * tcb.mss) / former));
  if (tcb.state >= S.ESTABLISHED && tcb.flight > 0) {
    resendAll(tcb);
    // R1191-7
    sizes.oneByOne = !ctx.config.dialect.burstsAfterTooBig;
  } else if (tcb.synText > 0) {
    // RFC 7413 4.2.1: a plain SYN in place of the one that was too big
    tcb.advMss = Math.min(tcb.advMss, mtu - fixedHeaders(tcb.version));
    tcb.synOwed = true;
  }
  ctx.markReady(tcb);
}

/** R1191-4: what was learnt grows old; then the first hop's MTU is tried again. */
export function forgetOldPath(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.pathMtu >= ctx.config.linkMtu || !afterEq(ctx.now, tcb.pathUntil)) return;
  tcb.pathMtu = ctx.config.linkMtu;
  updateMss(ctx, tcb);
}
