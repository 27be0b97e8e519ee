/** What a receiver reports of data that came twice: RFC 2883 4. */
import { after, before, min } from '../seqnum.js';
import { Mib } from '../mib.js';
import { SYN, type Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import type { Tcb } from './tcb.js';
import { NOT_TWICE, Twice } from './twice.js';

/** [left, right) was there before: the first block of the ACK for this segment (R2883-1, R2883-3). */
export function noteTwice(ctx: TcpContext, tcb: Tcb, left: number, right: number): void {
  if (!tcb.sackEnabled || !ctx.config.dsack) return;
  ctx.counters.bump(before(left, tcb.rcvNxt) ? Mib.TcpExtTCPDSACKOldSent : Mib.TcpExtTCPDSACKOfoSent);
  if (tcb.twice === NOT_TWICE) tcb.twice = new Twice();
  const twice = tcb.twice as Twice;
  twice.left = left;
  twice.right = right;
  twice.owed = true;
}

/** What of the segment lies below RCV.NXT, but for a SYN. */
export function noteOld(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  const left = (segment.seq + ((segment.flags & SYN) >> 1)) | 0;
  if (segment.length === 0 || !before(left, tcb.rcvNxt)) return;
  const right = min(segment.end, tcb.rcvNxt);
  if (after(right, left)) noteTwice(ctx, tcb, left, right);
}

/** Fills the blocks of an ACK that leaves now, `most` at most; how many. A duplicate is told once (R2883-2). */
export function fillBlocks(tcb: Tcb, out: Int32Array, most: number): number {
  let count = 0;
  if (tcb.twice.owed) {
    out[0] = tcb.twice.left;
    out[1] = tcb.twice.right;
    (tcb.twice as Twice).owed = false;
    count = 1;
  }
  // R2883-4: a larger block around it changed last, so it comes next
  return tcb.reassembly === null ? count : tcb.reassembly.sackBlocks(out, count, most);
}
