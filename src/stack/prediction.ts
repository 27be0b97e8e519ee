/**
 * Header prediction (Van Jacobson, 1990): of a stream in full flow the next segment can be told beforehand. A packet
 * that is what its connection waits for is asked none of the questions of the general path: whether its addresses
 * are in order was judged with an earlier one (familiar.ts), and the flow table is not needed. What it does to the connection is
 * the same (tcp/expected.ts); whatever is not so is left to the general path, from its first byte on.
 */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { expects, takeExpected } from '../tcp/expected.js';
import * as S from '../tcp/state.js';
import { CHECKSUM_OFFLOADED } from '../wire/ring.js';
import { ACK, PSH } from '../wire/segment.js';
import type { Core } from './core.js';

/** A plain packet (Segment.loadPlain) was what its connection waited for, and was dealt with; false: nothing has happened. */
export function predicted(core: Core, offload: number): boolean {
  const { segment, ctx } = core;
  // Text with ACK and at most PSH, no codepoint of ECN
  if ((segment.flags & ~PSH) !== ACK || segment.payloadLength === 0 || (segment.tos & 3) !== 0) return false;
  const tcb = core.familiar.find(segment);
  if (tcb === null || tcb.state !== S.ESTABLISHED || !expects(ctx, tcb, segment)) return false;
  if ((offload & CHECKSUM_OFFLOADED) === 0 && !segment.verify()) return false;
  const v6 = segment.version === 6;
  const { counters } = core;
  counters.bump(v6 ? Mib.Ip6InReceives : Mib.IpInReceives);
  counters.bump(v6 ? Mib.Ip6InNoECTPkts : Mib.IpExtInNoECTPkts);
  counters.bump(v6 ? Mib.Ip6InDelivers : Mib.IpInDelivers);
  counters.add(Mib.TcpInSegs, segment.count);
  takeExpected(ctx, tcb, segment);
  core.reasonCounts[Reason.plain]! += 1;
  return true;
}
