/** What a user may set on a live connection, and on a listener. */
import { setQuickAck } from '../tcp/ack.js';
import { RECEIVE_BUFFER_MIN, clampWindow } from '../tcp/autotune.js';
import { setSendBuffer } from '../tcp/buffers.js';
import type { TcpContext } from '../tcp/context.js';
import { setCongestion } from '../tcp/early.js';
import { roundsOf } from '../tcp/defer-accept.js';
import { Stamps } from '../tcp/stamps.js';
import type { Tcb } from '../tcp/tcb.js';
import { choose } from '../tcp/user-options.js';
import { setKeepAlive } from '../tcp/user.js';
import type { ConnectionOption, ListenerOption } from './api.js';
import type { Core } from './core.js';
import type { Listener } from './listener.js';

/** What the clock can tell apart, s: 12 days. */
const LINGER_MOST = 2 ** 30 / 1000;

export function setOption(ctx: TcpContext, tcb: Tcb, option: ConnectionOption, value: number): void {
  switch (option) {
    case 'noDelay':
      choose(tcb, { noDelay: value !== 0 });
      // MUST-17: what Nagle or a cork holds goes now
      if (value !== 0) release(ctx, tcb);
      return;
    case 'cork':
      choose(tcb, { corked: value !== 0 });
      if (value === 0) release(ctx, tcb);
      return;
    case 'quickAck':
      return setQuickAck(ctx, tcb, value);
    case 'keepAlive':
      return setKeepAlive(ctx, tcb, value);
    case 'keepInterval':
      choose(tcb, { keepInterval: value });
      return;
    case 'keepCount':
      choose(tcb, { keepCount: value });
      return;
    case 'congestion':
      return setCongestion(ctx, tcb, value);
    case 'linger':
      choose(tcb, { linger: Math.min(value, LINGER_MOST) });
      return;
    case 'userTimeout':
      choose(tcb, { userTimeout: value });
      tcb.utoOwed = true;
      return;
    case 'synRetries':
      tcb.synRetries = value;
      return;
    case 'deferAccept':
      tcb.deferRounds = roundsOf(value, ctx.config.rtoInit, ctx.config.rtoMax);
      return;
    case 'errorReports':
      choose(tcb, { errorReports: value !== 0 });
      return;
    case 'tos':
      // The two low bits belong to ECN.
      tcb.tos = value & 0xfc;
      return;
    case 'notsentLowat':
      choose(tcb, { notsentLowat: value });
      return;
    case 'maxPacingRate':
      choose(tcb, { maxPacingRate: value, paced: tcb.options.paced || value < Infinity });
      return;
    case 'stamps':
      if (value !== 0) tcb.stamps ??= new Stamps(tcb.sndUna);
      if (tcb.stamps !== null) tcb.stamps.wanted = value;
      return;
    case 'sendBuffer':
      return setSendBuffer(ctx, tcb, value);
    case 'receiveBuffer':
      tcb.rcvLimit = Math.max(RECEIVE_BUFFER_MIN, value);
      choose(tcb, { receiveBufferSet: true });
      return;
    case 'windowClamp':
      return clampWindow(tcb, Math.max(RECEIVE_BUFFER_MIN, value));
  }
}

/** The same of a listener. */
export function setListenOption(
  { ctx: { config }, knobs }: Core,
  listener: Listener,
  option: ListenerOption,
  value: number,
): void {
  switch (option) {
    case 'fastOpen':
      listener.fastOpen = Math.min(value, knobs.get('net.core.somaxconn'));
      return;
    case 'deferAccept':
      listener.deferRounds = roundsOf(value, config.rtoInit, config.rtoMax);
      return;
    case 'synRetries':
      listener.synRetries = value;
      return;
    case 'windowClamp':
      listener.windowClamp = value;
      return;
  }
}

/** What waits for more to come is sent as it is. */
function release(ctx: TcpContext, tcb: Tcb): void {
  tcb.pushOwed = tcb.options.noDelay;
  tcb.moreFollows = false;
  if (tcb.id >= 0) ctx.markReady(tcb);
}
