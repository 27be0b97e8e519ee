/**
 * The ACKs of a connection that only listens: while a stream flows towards us they are all that it sends. `onlyListens`
 * answers most of what output.ts would ask, `emitPlainAck` does what `write` there would do.
 */
import { Mib } from '../mib.js';
import { CHECKSUM_OFFLOADED } from '../wire/ring.js';
import { ackLeaves } from './ack.js';
import type { TcpContext } from './context.js';
import { ESTABLISHED } from './state.js';
import { OPEN, T_DELACK, type Tcb } from './tcb.js';
import { offerWindow } from './window.js';

/** Nothing of ours is under way, waits or is owed, but perhaps an ACK that tells of no hole and no mark. */
export function onlyListens(tcb: Tcb): boolean {
  return (
    tcb.state === ESTABLISHED &&
    tcb.sndNxt === tcb.sndUna &&
    tcb.sendQueue.length === 0 &&
    tcb.recovery === OPEN &&
    tcb.dupAcksOwed === 0 &&
    tcb.reassembly === null &&
    tcb.finQueued === false &&
    tcb.probeOwed === false &&
    tcb.keepOwed === false &&
    tcb.tlpOwed === false &&
    tcb.rexmtOwed === false &&
    tcb.twice.owed === false &&
    tcb.ecn === false &&
    tcb.sndUrgent === false
  );
}

/** SEG.SEQ is SND.NXT: no window is exceeded. */
export function emitPlainAck(ctx: TcpContext, tcb: Tcb): void {
  const { builder, config, counters, tx } = ctx;
  const { rcvNxt } = tcb;
  const wnd = offerWindow(ctx, tcb, false);
  ackLeaves(ctx, tcb, 0);
  tcb.lastAckSent = rcvNxt;
  tcb.ackNow = false;
  tcb.disarm(T_DELACK);
  builder.ttl = config.ttl;
  builder.dontFragment = config.pathDiscovery;
  const tsVal = (ctx.now + tcb.tsOffset) | 0;
  const at = tx.tailOffset();
  const length = builder.writeAck(
    tx.bytes,
    at,
    tcb,
    tcb.sndNxt,
    rcvNxt,
    wnd,
    tcb.tsEnabled,
    tsVal,
    tcb.tsRecent,
  );
  tx.push(length, 0, builder.offload === true ? CHECKSUM_OFFLOADED : 0);
  tcb.segsOut++;
  counters.bump(tcb.version === 6 ? Mib.Ip6OutRequests : Mib.IpOutRequests);
  counters.bump(Mib.TcpOutSegs);
}
