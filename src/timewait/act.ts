/**
 * Verdicts for people who write policies:
 *
 *     act.ack('tw-fin-again', act.RESTART)
 *     act.silent(reason('my-rule', 'dropped: my rule', 'my lab'))
 *
 * The first argument is why (an id of reasons.ts or the number of a reason of your own), the
 * second joins with | what else happens. Throws a RangeError for an unknown id.
 */
import { nearest } from '../nearest.js';
import { addReason, findReason, reasonIds, type ReasonId } from '../reasons.js';
import {
  ACCEPT,
  BECOME_TIME_WAIT,
  CHALLENGE,
  DELETE,
  KEEP,
  LIMITED,
  REFRESH,
  REPLY_ACK,
  REPLY_RST,
  RESTART,
  REVERTIBLE,
  verdict,
} from './policy.js';

/** An id, or a number that `reason` gave. */
export type ReasonGiven = ReasonId | number;

/**
 * A reason of your own for `act`: counters, traces, ladders and packet comments show it as they
 * show the others. `id` is of lower-case words joined by '-'; at most OWN_REASONS in a process.
 */
export function reason(id: string, text: string, source = 'a policy of your own'): number {
  return addReason(id, text, source);
}

function because(action: number, why: ReasonGiven, also: number): number {
  const number = typeof why === 'number' ? why : findReason(why);
  if (number === null)
    throw new RangeError(`unknown reason '${why}', nearest: ${nearest(String(why), reasonIds()).join(', ')}`);
  return verdict(action | also, number);
}

export const act = {
  /** No reply; the record stays. */
  silent: (why: ReasonGiven, also = 0): number => because(KEEP, why, also),
  /** An ACK; the record stays. */
  ack: (why: ReasonGiven, also = 0): number => because(REPLY_ACK, why, also),
  /** A challenge ACK: one per record and tcp_invalid_ratelimit. */
  challenge: (why: ReasonGiven, also = 0): number => because(REPLY_ACK | CHALLENGE, why, also),
  /** A RST; the record stays unless REMOVE is joined. */
  reset: (why: ReasonGiven, also = 0): number => because(REPLY_RST, why, also),
  /** No reply, and TIME-WAIT starts again; how long, says `lifetime` with `restarted`. */
  restart: (why: ReasonGiven, also = 0): number => because(RESTART, why, also),
  /** No reply, and the record is gone. */
  remove: (why: ReasonGiven, also = 0): number => because(DELETE, why, also),
  /** The record gives way: to the SYN (`segmentArrives`), to our own connect() (`mayReopen`). */
  accept: (why: ReasonGiven, also = 0): number => because(ACCEPT, why, also),
  /** The FIN for a record in FIN-WAIT-2: acknowledged, TIME-WAIT begins. */
  becomeTimeWait: (why: ReasonGiven): number => because(REPLY_ACK | BECOME_TIME_WAIT | REFRESH, why, 0),
  /** `mayReopen`: connect() fails, EADDRINUSE for 'reopen-in-use', else EADDRNOTAVAIL. */
  refuse: (why: ReasonGiven): number => because(KEEP, why, 0),
  /** `synArrives`: the listener takes the SYN. */
  pass: verdict(KEEP, 0),
  /** `synArrives`: the SYN is dropped without a word. */
  drop: (why: ReasonGiven): number => because(DELETE, why, 0),

  /** The timer starts again. */
  RESTART,
  /** The record goes. */
  REMOVE: DELETE,
  /** The segment's timestamp is taken into the record. */
  REFRESH,
  /** SYNs and empty segments get this ACK once per record and tcp_invalid_ratelimit. */
  LIMITED,
  /** With accept: TIME-WAIT comes back if the SYN proves old (RFC 1122 4.2.2.13 (2)). */
  REVERTIBLE,
} as const;
