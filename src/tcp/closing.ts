/** What follows when both directions, or ours, are closed: FIN-WAIT-2, TIME-WAIT, the end. */
import type { Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { fail } from './sender.js';
import * as S from './state.js';
import { T_FIN_WAIT_2, type Tcb } from './tcb.js';

/** R9293-34, R9293-36, R9293-38 */
export function ourFinAcked(ctx: TcpContext, tcb: Tcb, segment: Segment): void {
  switch (tcb.state) {
    case S.FIN_WAIT_1:
      tcb.moveTo(S.FIN_WAIT_2);
      tcb.orphanKept = ctx.config.dialect.finAckConsumes && tcb.userClosed && segment.hasFin;
      armFinWait2(ctx, tcb);
      return;
    case S.CLOSING:
      enterTimeWait(tcb);
      return;
    case S.LAST_ACK:
      tcb.finished = true;
      fail(ctx, tcb, null);
      return;
  }
}

/** Our FIN, or what is queued before it, is not acknowledged yet (Linux sk_stream_closing). */
export function isClosing({ state, finQueued }: Tcb): boolean {
  if (state === S.SYN_RECEIVED) return finQueued;
  return state === S.FIN_WAIT_1 || state === S.CLOSING || state === S.LAST_ACK;
}

/** An orphan does not wait for ever (knob net.ipv4.tcp_fin_timeout). */
export function armFinWait2(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.state === S.FIN_WAIT_2 && tcb.userClosed) {
    tcb.arm(T_FIN_WAIT_2, (ctx.now + ctx.config.finTimeout) | 0);
  }
}

/** R9293-37: all other timers stop; the stack makes the record. */
export function enterTimeWait(tcb: Tcb): void {
  tcb.moveTo(S.TIME_WAIT);
  tcb.armed = 0;
}
