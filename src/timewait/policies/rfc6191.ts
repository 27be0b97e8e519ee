/** RFC 6191: timestamps, then sequence numbers, decide which SYN reopens; the others get no answer. */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts } from '../policy.js';
import * as strict from './rfc9293.js';
import { Rfc9293Rules } from './rfc9293.js';

const { greater } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { ACCEPT, KEEP, verdict } = contract;
const { aboveOld } = strict;

class Rfc6191 extends Rfc9293Rules {
  readonly name = 'rfc6191';
  readonly title =
    'RFC 6191: 240 s, a newer timestamp or SEG.SEQ at or above RCV.NXT reopens, any other SYN is dropped silently';
  readonly source = 'RFC 6191 2; RFC 9293 3.10.7.4 (SHLD-4)';
  override readonly uses = ['net.ipv4.tcp_msl', 'net.ipv4.tcp_rfc1337', 'net.ipv4.tcp_timestamps'];
  override readonly notes = [
    'The sequence number is compared with that of the FIN, so a SYN at exactly RCV.NXT reopens; BSD and Linux refuse it.',
    'A SYN meets the rules of RFC 9293 when nobody listens: it is answered and reopens nothing.',
  ];

  override segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const pure = (segment.flags & (SYN | ACK | RST | FIN)) === SYN;
    if (!pure || !context.hasListener()) return super.segmentArrives(record, segment, context);
    // Timestamps are enabled for the new incarnation when our SYN,ACK would carry them as well
    const enabled = segment.hasTimestamp && context.knob('net.ipv4.tcp_timestamps') !== 0;
    if (!enabled) return bySequence(record, segment);
    // R6191: none before, some now
    if (!record.hasTimestamp) return verdict(ACCEPT, Reason['tw-syn-accepted-first-stamp']);
    if (greater(segment.tsVal, record.tsRecent)) return verdict(ACCEPT, Reason['tw-syn-accepted-stamp']);
    if (segment.tsVal === record.tsRecent) return bySequence(record, segment);
    return verdict(KEEP, Reason['tw-syn-older']);
  }

  override isnOnReopen(record: RecordFacts, fresh: number, context: PolicyContext): number {
    return aboveOld(record, fresh, context);
  }
}

/** Greater than the last sequence number seen, which is that of the peer's FIN. */
function bySequence(record: RecordFacts, segment: Segment): number {
  return greater(segment.seq, (record.rcvNxt - 1) | 0)
    ? verdict(ACCEPT, Reason['tw-syn-accepted-at'])
    : verdict(KEEP, Reason['tw-syn-below']);
}

export const rfc6191 = new Rfc6191();
