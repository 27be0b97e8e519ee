/** OpenBSD: a SYN with a higher number or a newer timestamp reopens before anything else is asked. */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts } from '../policy.js';
import * as base from './base.js';
import * as bsd from './bsd-rules.js';
import { BsdPolicy } from './bsd-rules.js';

const { greater } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { DELETE, KEEP, REFRESH, REPLY_RST, verdict } = contract;
const { ACK_ALWAYS, CHALLENGE_ACK } = base;
const { DUPLICATE, ackStep, beyond, beyondWindow, isBefore, lookUpAgain, newText, pawsFails } = bsd;

class Openbsd extends BsdPolicy {
  readonly name = 'openbsd';
  readonly title =
    'OpenBSD: 60 s, a higher SYN or a newer timestamp reopens with ISS SND.NXT + random, random timestamps of its own';
  readonly source = 'OpenBSD sys/netinet/tcp_input.c tcp_input, case TCPS_TIME_WAIT';
  override readonly knobs = {
    'net.ipv4.tcp_isn': 2,
    'net.ipv4.tcp_timestamp_offset': 3,
    'net.ipv4.ip_local_port_range.min': 1024,
    'net.ipv4.ip_local_port_range.max': 49_151,
  };
  override readonly unverified = ['Read from the source; no OpenBSD was run.'];
  override readonly notes = [
    'Its MSL is a constant of the source (30 s); net.inet.tcp.msl stands in for it.',
    'A RST one above RCV.NXT ends TIME-WAIT as well as one at it.',
    'A repeated FIN gets its ACK and the timer runs on: the line that would restart it is never reached by an ACK of SND.NXT.',
    'Where the old connection had no timestamps its TS.Recent is 0, and a SYN with a timestamp below 2^31 passes for newer; here only sequence numbers count then.',
    'Its answers to a SYN in the window and to an ACK of unsent data share one limit for the whole host; here each record has its own.',
  ];

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags } = segment;
    const ahead = (segment.seq - record.rcvNxt) | 0;
    const rst = (flags & RST) !== 0;
    if ((flags & (SYN | ACK | RST | FIN)) === SYN && (ahead > 0 || isNewer(record, segment)))
      return lookUpAgain(segment, context, Reason['tw-syn-accepted-linux']);
    if (pawsFails(record, segment, context.now)) {
      return segment.payloadLength > 0
        ? verdict(ACK_ALWAYS, Reason['tw-paws'])
        : verdict(KEEP, Reason['tw-paws-silent']);
    }
    const text = newText(record, segment);
    let ackNow = text === DUPLICATE;
    if (text > 0 && record.userClosed) {
      return rst
        ? verdict(DELETE, Reason['tw-rst-kill-window'])
        : verdict(REPLY_RST | DELETE, Reason['tw-data-reset']);
    }
    if (beyondWindow(record, segment)) {
      // No pure SYN comes this far, and a SYN,ACK is no request
      if (record.rcvWnd !== 0 || ahead !== 0)
        return (flags & SYN) !== 0 && !rst
          ? verdict(ACK_ALWAYS, Reason['tw-not-acceptable'])
          : beyond(record, segment, context);
      ackNow = true;
    }
    if (rst) return reset(ahead);
    // A SYN before the window has been cut off
    if ((flags & SYN) !== 0 && !isBefore(record, segment))
      return verdict(CHALLENGE_ACK, Reason['tw-syn-in-window']);
    return ackStep(record, segment, ackNow, true, ahead <= 0 ? REFRESH : 0);
  }

  /** At least 2^15 ahead, and below 2^31, so that SND.NXT < ISS. */
  override isnOnReopen(record: RecordFacts, _fresh: number, context: PolicyContext): number {
    return (record.sndNxt + ((context.random() & 0x7fffffff) | 0x8000)) | 0;
  }
}

function isNewer(record: RecordFacts, segment: Segment): boolean {
  return record.hasTimestamp && segment.hasTimestamp && greater(segment.tsVal, record.tsRecent);
}

function reset(ahead: number): number {
  if (ahead === 0) return verdict(DELETE, Reason['tw-rst-kill']);
  if (ahead === 1) return verdict(DELETE, Reason['tw-rst-kill-window']);
  return verdict(KEEP, Reason['tw-rst-out']);
}

export const openbsd = new Openbsd();
