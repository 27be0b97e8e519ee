/**
 * SO_TIMESTAMPING on sockets of our stack: the flags, and the error queue as recvmsg(MSG_ERRQUEUE)
 * gives it. Note: the bytes of the packet are not handed back, so a report is always cut (MSG_TRUNC).
 */
import { STAMP_ACKED, STAMP_SCHEDULED, STAMP_SENT, type Stamp } from '../stack/api.js';
import { errnos } from './constants.js';
import type { Value } from './script.js';
import { number } from './values.js';

/** SOF_TIMESTAMPING_ flags. */
const [TX_SOFTWARE, SOFTWARE, TX_SCHED, TX_ACK] = [2, 16, 256, 512];
const MSG_ERRQUEUE = 0x2000;
const MSG_TRUNC = 0x20;
export const SO_TIMESTAMPING = 37;
const ORIGIN_TIMESTAMPING = 4;
/** SCM_TSTAMP_SND, SCM_TSTAMP_SCHED, SCM_TSTAMP_ACK. */
const infos = new Map([
  [STAMP_SENT, 0],
  [STAMP_SCHEDULED, 1],
  [STAMP_ACKED, 2],
]);

/** What the flags ask the stack for. */
export function wantedStamps(flags: number): number {
  if ((flags & SOFTWARE) === 0) return 0;
  return (
    ((flags & TX_SOFTWARE) !== 0 ? STAMP_SENT : 0) |
    ((flags & TX_SCHED) !== 0 ? STAMP_SCHEDULED : 0) |
    ((flags & TX_ACK) !== 0 ? STAMP_ACKED : 0)
  );
}

const record = (fields: Readonly<Record<string, Value>>): Value => ({
  kind: 'record',
  fields: new Map(Object.entries(fields)),
});
const message = (level: number, type: number, data: Readonly<Record<string, number>>): Value =>
  record({
    cmsg_level: number(level),
    cmsg_type: number(type),
    cmsg_data: record(Object.fromEntries(Object.entries(data).map(([name, each]) => [name, number(each)]))),
  });

/** One report as recvmsg() gives it; `now`: microseconds of the script. */
export function stampMessage({ kind, key, time: ago }: Stamp, now: number, family: 4 | 6): Value {
  const time = 1000 * (Math.floor(now / 1000) - ago);
  const [level, type] = family === 4 ? [0, 11] : [41, 25];
  const items = [
    message(1, SO_TIMESTAMPING, { scm_sec: Math.floor(time / 1e6), scm_nsec: 1000 * (time % 1e6) }),
    message(level!, type!, {
      ee_errno: errnos['ENOMSG']!,
      ee_origin: ORIGIN_TIMESTAMPING,
      ee_type: 0,
      ee_code: 0,
      ee_info: infos.get(kind)!,
      ee_data: key,
    }),
  ];
  return record({ msg_flags: number(MSG_ERRQUEUE | MSG_TRUNC), msg_control: { kind: 'list', items } });
}
