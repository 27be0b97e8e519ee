/** NetBSD: lifetimes by how near the peer is, 4.4BSD's walk hardened by RFC 5961, and vestigial TIME-WAIT. */
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts } from '../policy.js';
import * as base from './base.js';
import * as bsd from './bsd-rules.js';
import { BsdPolicy } from './bsd-rules.js';

const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { DELETE, KEEP, REFRESH, REPLY_RST, verdict } = contract;
const { ACK_ALWAYS, ACK_RESTART, CHALLENGE_ACK } = base;
const { DUPLICATE, ackStep, beyond, beyondWindow, isBefore, newText, pawsFails, settled } = bsd;

class Netbsd extends BsdPolicy {
  readonly name = 'netbsd';
  readonly title =
    'NetBSD: 2, 10 or 60 s by distance, a SYN beyond the window reopens with a fresh ISN; vestigial records with vtw.enable=1';
  readonly source = 'NetBSD sys/netinet/tcp_input.c tcp_input, tcp_vtw_input; tcp_vtw.c; tcp_usrreq.c';
  override readonly uses = [
    'net.inet.tcp.msl',
    'net.inet.tcp.mslt.enable',
    'net.inet.tcp.mslt.loopback',
    'net.inet.tcp.mslt.local',
    'net.inet.tcp.mslt.remote',
    'net.inet.tcp.vtw.enable',
  ];
  override readonly knobs = {
    'net.ipv4.tcp_isn': 3,
    'net.ipv4.ip_local_port_range.min': 49_152,
    'net.ipv4.ip_local_port_range.max': 65_535,
  };
  override readonly unverified = [
    'Read from the source; no NetBSD was run.',
    'Its sequence numbers are a counter with random steps; the counter of tcp_isn=3 is the nearest.',
    'Its clock of timestamps starts anew on each connection (from memory); no offset here does that.',
    'The threshold on the round-trip time that can move a near peer to the remote class is left out.',
  ];
  override readonly notes = [
    'A SYN at exactly RCV.NXT gets an ACK with SEG.ACK-1 and 0 instead of SND.NXT and RCV.NXT; here it is the usual ACK.',
    "A repeated FIN gets its ACK and the timer runs on: the line that would restart it is never reached by an ACK of SND.NXT. A vestigial record's timer does restart.",
    "The ACKs of a vestigial record echo the segment's own numbers in the source; here they are SND.NXT and RCV.NXT.",
    'RST from a vestigial record (data, a SYN beyond the window) leaves it in place: tcp_vtw_input deletes only for a RST at RCV.NXT.',
    'Records become vestigial only once the user has closed.',
  ];

  override lifetime(record: RecordFacts, context: PolicyContext): number {
    if (context.knob('net.inet.tcp.mslt.enable') === 0) return 2 * context.knob('net.inet.tcp.msl');
    const near = record.nearPeer ? 'net.inet.tcp.mslt.local' : 'net.inet.tcp.mslt.remote';
    return 2000 * context.knob(record.localPeer ? 'net.inet.tcp.mslt.loopback' : near);
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    return record.userClosed && context.knob('net.inet.tcp.vtw.enable') !== 0
      ? vestigial(record, segment)
      : full(record, segment, context);
  }
}

/** tcp_input with the whole connection still there. */
function full(record: RecordFacts, segment: Segment, context: PolicyContext): number {
  const { flags } = segment;
  const ahead = (segment.seq - record.rcvNxt) | 0;
  const rst = (flags & RST) !== 0;
  if (pawsFails(record, segment, context.now)) return verdict(ACK_ALWAYS, Reason['tw-paws']);
  const text = newText(record, segment);
  let ackNow = text === DUPLICATE;
  if (rst && isBefore(record, segment)) {
    return ackNow ? verdict(KEEP, Reason['tw-rst-out']) : verdict(CHALLENGE_ACK, Reason['tw-rst-challenge']);
  }
  if (text > 0 && record.userClosed) {
    return rst
      ? verdict(DELETE, Reason['tw-rst-kill-window'])
      : verdict(REPLY_RST | DELETE, Reason['tw-data-reset']);
  }
  if (beyondWindow(record, segment)) {
    if (record.rcvWnd !== 0 || ahead !== 0) return beyond(record, segment, context);
    ackNow = true;
  }
  if (rst) {
    return ahead === 0
      ? verdict(DELETE, Reason['tw-rst-kill'])
      : verdict(CHALLENGE_ACK, Reason['tw-rst-challenge']);
  }
  // A SYN before the window has been cut off
  if ((flags & SYN) !== 0 && !isBefore(record, segment))
    return verdict(ahead === 0 ? ACK_ALWAYS : CHALLENGE_ACK, Reason['tw-syn-in-window']);
  return ackStep(record, segment, ackNow, false, ahead === 0 ? REFRESH : 0);
}

/** tcp_vtw_input: no timestamps, no listener, and any ACK restarts. */
function vestigial(record: RecordFacts, segment: Segment): number {
  const { flags } = segment;
  const ahead = (segment.seq - record.rcvNxt) | 0;
  const rst = (flags & RST) !== 0;
  const text = newText(record, segment);
  if (rst && isBefore(record, segment)) {
    return text === DUPLICATE
      ? verdict(KEEP, Reason['tw-rst-out'])
      : verdict(CHALLENGE_ACK, Reason['tw-rst-challenge']);
  }
  if (text > 0) {
    return rst
      ? verdict(KEEP, Reason['tw-rst-out'])
      : verdict(REPLY_RST | KEEP, Reason['tw-data-reset-kept']);
  }
  if (beyondWindow(record, segment)) {
    if (rst) return verdict(KEEP, Reason['tw-rst-out']);
    return (flags & SYN) !== 0 && ahead > 0
      ? verdict(REPLY_RST | KEEP, Reason['tw-syn-vestigial'])
      : verdict(ACK_ALWAYS, Reason['tw-not-acceptable']);
  }
  if (rst) {
    return ahead === 0
      ? verdict(DELETE, Reason['tw-rst-kill'])
      : verdict(CHALLENGE_ACK, Reason['tw-rst-challenge']);
  }
  if ((flags & ACK) === 0) {
    return text === DUPLICATE ? settled(segment, true) : verdict(KEEP, Reason['tw-no-ack-flag']);
  }
  return verdict(ACK_RESTART, (flags & FIN) !== 0 ? Reason['tw-fin-again'] : Reason['tw-segment-restart']);
}

export const netbsd = new Netbsd();
