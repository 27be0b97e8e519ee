/**
 * Header prediction (Van Jacobson, 1990): of a stream in full flow the next segment can be told beforehand. A packet
 * that is what its connection waits for is asked none of the questions of the general path: whether its addresses
 * are in order was judged with an earlier one, and the flow table is not needed. What it does to the connection is
 * the same (tcp/expected.ts); whatever is not so is left to the general path, from its first byte on.
 *
 * Memory: `PLACES` connections are known, each until it ends or another one takes its place.
 */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { expects, takeExpected } from '../tcp/expected.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { CHECKSUM_OFFLOADED, SEGMENT_SIZE } from '../wire/ring.js';
import type { Segment } from '../wire/segment.js';
import type { Core } from './core.js';

const PLACES = 256;

/** Connections whose addresses were in order when a segment came last. */
export class Familiar {
  private readonly places = new Array<Tcb | null>(PLACES).fill(null);

  /** The general path took a segment for this connection. */
  add(tcb: Tcb): void {
    this.places[placeOf(tcb.remote3, tcb.remotePort, tcb.localPort)] = tcb;
  }

  /** It has ended. */
  remove(tcb: Tcb): void {
    const place = placeOf(tcb.remote3, tcb.remotePort, tcb.localPort);
    if (this.places[place] === tcb) this.places[place] = null;
  }

  /** Our addresses have changed. */
  clear(): void {
    this.places.fill(null);
  }

  /** The segment's connection, null when it is not here. */
  find(s: Segment): Tcb | null {
    const tcb = this.places[placeOf(s.src3, s.srcPort, s.dstPort)]!;
    const known =
      tcb !== null &&
      tcb.remotePort === s.srcPort &&
      tcb.localPort === s.dstPort &&
      tcb.remote3 === s.src3 &&
      tcb.local3 === s.dst3 &&
      tcb.remote2 === s.src2 &&
      tcb.local2 === s.dst2 &&
      tcb.remote1 === s.src1 &&
      tcb.local1 === s.dst1 &&
      tcb.remote0 === s.src0 &&
      tcb.local0 === s.dst0;
    return known ? tcb : null;
  }
}

/** Clients of one machine have neighbouring ports. */
function placeOf(remote3: number, remotePort: number, localPort: number): number {
  return (remote3 ^ remotePort ^ localPort) & (PLACES - 1);
}

/** The packet was what its connection waited for, and was dealt with; false: nothing has happened. */
export function predicted(
  core: Core,
  bytes: Uint8Array,
  offset: number,
  length: number,
  offload: number,
): boolean {
  const { segment, ctx } = core;
  if (!segment.loadPlain(bytes, offset, length, offload & SEGMENT_SIZE)) return false;
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
