/**
 * Connections that a segment came for not long ago, whose addresses were in order: whatever is plain and for one of them
 * is neither judged by its addresses again nor looked up in the flow table, which wants a hash.
 *
 * Memory: `PLACES` of them, each until it ends or another one takes its place.
 */
import type { Tcb } from '../tcp/tcb.js';
import type { Segment } from '../wire/segment.js';

const PLACES = 1024;

export class Familiar {
  private readonly places = new Array<Tcb | null>(PLACES).fill(null);

  /** The flow table named this connection for a segment, or has just taken it in for one. */
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

/** Clients of one machine have neighbouring ports. No key: whoever aims at a place sends its owner the general way, no more. */
function placeOf(remote3: number, remotePort: number, localPort: number): number {
  return (remote3 ^ remotePort ^ localPort) & (PLACES - 1);
}
