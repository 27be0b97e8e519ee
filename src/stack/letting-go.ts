/**
 * Letting go of a connection: by its state, which makes a record of it or nothing, and by its user,
 * who closes, aborts, or lingers in close(); what goes on without a user is an orphan.
 */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { isClosing } from '../tcp/closing.js';
import { EV_LINGERED } from '../tcp/events.js';
import * as S from '../tcp/state.js';
import { LINGER_NOT, LINGER_WAITS, T_LINGER, type Tcb } from '../tcp/tcb.js';
import * as user from '../tcp/user.js';
import type { Core } from './core.js';
import { becomeRecord, passiveCloserDone } from './time-wait.js';

/** What a state means for the tables. */
export function afterwards(core: Core, tcb: Tcb): void {
  if (tcb.id < 0) return;
  if (tcb.lingering !== LINGER_NOT && !tcb.released && (tcb.lingerExpired || !isClosing(tcb))) {
    lingerOver(core, tcb);
    if (tcb.id < 0) return;
  }
  if (tcb.state === S.TIME_WAIT) becomeRecord(core, tcb, false);
  else if (tcb.state === S.CLOSED) {
    if (!(tcb.finished && passiveCloserDone(core, tcb))) core.detach(tcb, -1);
  } else if (tcb.state === S.FIN_WAIT_2 && tcb.userClosed && !tcb.orphanKept && core.policy.orphansAsRecords)
    becomeRecord(core, tcb, true);
}

/** CLOSE. False: it waits, as SO_LINGER wants. */
export function close(core: Core, tcb: Tcb): boolean {
  if (tcb.released) return true;
  const history = tcb.history;
  if (tcb.lingering === LINGER_WAITS) tcb.lingering = LINGER_NOT;
  else ended(core, tcb, user.close(core.ctx, tcb), history);
  if (tcb.lingering === LINGER_WAITS) return false;
  release(core, tcb);
  return true;
}

/** ABORT */
export function abort(core: Core, tcb: Tcb): void {
  if (tcb.released) return;
  const history = tcb.history;
  if (tcb.id >= 0) ended(core, tcb, user.abort(core.ctx, tcb, Reason['user-abort']), history);
  else core.discard(tcb);
  tcb.released = true;
}

/** The user holds it no more. */
function release(core: Core, tcb: Tcb): void {
  tcb.released = true;
  if (tcb.id >= 0 && tcb.userClosed && !tcb.orphan) becomeOrphan(core, tcb);
  // Only a record, or nothing, is left of it: unread bytes go with the handle.
  if (tcb.id < 0) core.discard(tcb);
}

/** Who waited in close() is told; what is left becomes an orphan (Linux tcp_close after sk_stream_wait_close). */
function lingerOver(core: Core, tcb: Tcb): void {
  if (tcb.lingering === LINGER_WAITS) tcb.lingering = LINGER_NOT;
  tcb.disarm(T_LINGER);
  release(core, tcb);
  tcb.events = 0;
  core.ctx.raise(tcb, EV_LINGERED);
}

/** Linux tcp_check_oom: too many connections without a user are ended by RST. */
function becomeOrphan(core: Core, tcb: Tcb): void {
  if (core.orphans >= core.settings.maxOrphans) {
    core.count(Mib.TcpExtTCPAbortOnMemory);
    ended(core, tcb, user.abort(core.ctx, tcb, Reason['orphan-limit']), tcb.history);
    return;
  }
  tcb.orphan = true;
  core.orphans++;
  afterwards(core, tcb);
}

function ended(core: Core, tcb: Tcb, reason: number, history: number): void {
  if (reason !== 0) {
    core.reasonCounts[reason]! += 1;
    core.log.bare(core.ctx.now, tcb.local, tcb.remote, reason, S.stateNames[(history & 15) as 0]);
  }
  core.log.states(core.ctx.now, tcb, history);
  afterwards(core, tcb);
}
