/** macOS (XNU): half the usual time, RFC 5961 and RFC 1337 on top of 4.4BSD's walk. */
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts } from '../policy.js';
import * as base from './base.js';
import * as bsd from './bsd-rules.js';
import { BsdPolicy } from './bsd-rules.js';

const { Reason } = reasons;
const { RST, SYN } = wire;
const { DELETE, KEEP, REFRESH, REPLY_RST, verdict } = contract;
const { ACK_ALWAYS, CHALLENGE_ACK } = base;
const { DUPLICATE, ackStep, beyond, beyondWindow, isBefore, newText, pawsFails } = bsd;

class Macos extends BsdPolicy {
  readonly name = 'macos';
  override readonly aliases = ['xnu', 'darwin'];
  readonly title =
    'macOS: 30 s, RST at RCV.NXT ignored, a SYN beyond the window reopens with a fresh ISN, data is reset';
  readonly source = 'XNU 11417 bsd/netinet/tcp_input.c tcp_input, tcp_timer.c, tcp_usrreq.c';
  override readonly knobs = {
    'net.inet.tcp.msl': 15_000,
    'net.ipv4.ip_local_port_range.min': 49_152,
    'net.ipv4.ip_local_port_range.max': 65_535,
  };
  override readonly unverified = [
    'Read from the source; no macOS was run.',
    'How it offsets its timestamps and picks ports.',
    'That a repeated FIN does not restart the timer: the end of its duplicate-ACK branch was not read.',
  ];
  override readonly notes = [
    "New data is answered by RST even while the user could still read: the peer's FIN has closed that direction.",
    'A private option of its sockets (TF_NOTIMEWAIT) skips TIME-WAIT; policy none does.',
  ];

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags } = segment;
    const ahead = (segment.seq - record.rcvNxt) | 0;
    if ((flags & RST) !== 0) return reset(record, ahead);
    if (pawsFails(record, segment, context.now)) {
      return segment.payloadLength > 0
        ? verdict(ACK_ALWAYS, Reason['tw-paws'])
        : verdict(KEEP, Reason['tw-paws-silent']);
    }
    const text = newText(record, segment);
    let ackNow = text === DUPLICATE;
    const syn = (flags & SYN) !== 0;
    if (syn && ackNow) return verdict(CHALLENGE_ACK, Reason['tw-syn-refused']);
    if (text > 0) return verdict(REPLY_RST | DELETE, Reason['tw-data-reset']);
    if (beyondWindow(record, segment)) {
      if (record.rcvWnd !== 0 || ahead !== 0) return beyond(record, segment, context);
      ackNow = true;
    }
    // A SYN before the window has been cut off
    if (syn && !isBefore(record, segment)) return verdict(CHALLENGE_ACK, Reason['tw-syn-in-window']);
    return ackStep(record, segment, ackNow, true, ahead === 0 ? REFRESH : 0);
  }
}

/** RFC 5961 3.2, but the exact one is ignored (RFC 1337 F1). */
function reset(record: RecordFacts, ahead: number): number {
  if (ahead === 0) return verdict(KEEP, Reason['tw-rst-ignored']);
  const challenged = record.rcvWnd === 0 ? ahead === -1 : ahead > 0 && ahead < record.rcvWnd;
  return challenged
    ? verdict(CHALLENGE_ACK, Reason['tw-rst-challenge'])
    : verdict(KEEP, Reason['tw-rst-out']);
}

export const macos = new Macos();
