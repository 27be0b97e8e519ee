/** Fast Open on one connection (RFC 7413 4.2): text on the SYN, and text before the handshake is over. */
import { Mib } from '../mib.js';
import { startPace } from './ack.js';
import { beginTuning } from './autotune.js';
import { congestionControl } from './congestion/choice.js';
import type { TcpContext } from './context.js';
import { EV_CONNECTED, EV_READABLE } from './events.js';
import { resendAll } from './sender.js';
import { startWindow } from './validation.js';
import { NOT_STARTED, type Tcb } from './tcb.js';
import { choose } from './user-options.js';
import type { Segment } from '../wire/segment.js';

/** Why Fast Open came to nothing (Linux enum tcp_fastopen_client_fail): no cookie, the text was not acknowledged, the SYN had to be resent. */
export const FAST_OPEN_NO_COOKIE = 1;
export const FAST_OPEN_IGNORED = 2;
export const FAST_OPEN_RESENT = 3;

/** The congestion window that sending begins with. */
export function startSending(ctx: TcpContext, tcb: Tcb): void {
  chooseCongestion(ctx, tcb);
  // R5681-7: one segment after a lost SYN; one that was resent because the peer repeated its own tells of no loss
  const { timeouts, totalRetrans } = tcb.repairs;
  const lost = timeouts > 0 && totalRetrans > ctx.config.dialect.synsForgiven;
  tcb.congestion.start(lost ? tcb.mss : startWindow(ctx, tcb));
  tcb.windowEnd = tcb.sndUna;
}

function chooseCongestion({ config }: TcpContext, tcb: Tcb): void {
  const chosen = tcb.options.congestion;
  const choice = chosen < 0 ? config.congestion : chosen;
  tcb.congestion = congestionControl(choice, config.dialect);
  tcb.congestion.slowStartLimit = config.slowStartLimit;
}

/** TCP_CONGESTION: another algorithm, which goes on from the window there is (Linux tcp_reinit_congestion_control). */
export function setCongestion(ctx: TcpContext, tcb: Tcb, choice: number): void {
  choose(tcb, { congestion: choice });
  const { cwnd, ssthresh } = tcb.congestion;
  // Not sending yet
  if (tcb.congestion === NOT_STARTED) return;
  chooseCongestion(ctx, tcb);
  tcb.congestion.start(cwnd);
  tcb.congestion.ssthresh = ssthresh;
}

/** R7413-3: the listener took the SYN's cookie. Its text is the user's, who may answer before the handshake is over. */
export function earlyOpen(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  startSending(ctx, tcb);
  startPace(ctx, tcb);
  beginTuning(ctx, tcb);
  tcb.sndWl2 = tcb.iss;
  tcb.progressAt = ctx.now;
  ctx.counters.bump(Mib.TcpPassiveOpens);
  tcb.fastOpenChild = true;
  tcb.synTextTaken = segment.payloadLength > 0;
  ctx.raise(tcb, EV_CONNECTED | (tcb.synTextTaken ? EV_READABLE : 0));
}

/** 4.2.1: the SYN,ACK says how much of the SYN's text was taken; the rest goes out at once, as ordinary text. */
export function synTextAnswered(tcb: Tcb): void {
  tcb.synTextTaken = tcb.sndUna === tcb.sndNxt;
  if (tcb.synTextTaken) return;
  tcb.fastOpenFailure = tcb.repairs.totalRetrans > 0 ? FAST_OPEN_RESENT : FAST_OPEN_IGNORED;
  resendAll(tcb);
}
