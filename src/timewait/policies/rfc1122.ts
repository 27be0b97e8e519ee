/**
 * RFC 1122 4.2.2.13 as an option on top of RFC 9293: a SYN above RCV.NXT reopens, and the
 * connection goes back to TIME-WAIT when that SYN proves to be an old duplicate.
 */
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
const { ACCEPT, REVERTIBLE, reasonOf, verdict } = contract;
const { aboveOld } = strict;

class Rfc1122 extends Rfc9293Rules {
  readonly name = 'rfc1122';
  readonly title =
    'RFC 1122: 240 s, a SYN above RCV.NXT reopens, and TIME-WAIT comes back when it was an old one';
  readonly source = 'RFC 1122 4.2.2.13; RFC 9293 3.6.1 (MAY-2)';
  override readonly notes = [
    'RFC 1122 asks for no test of the SYN at all; this one takes only those above RCV.NXT, as every system does.',
    'No system read for this project goes back to TIME-WAIT; the rule is as old as 1989.',
  ];

  override segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const strict = super.segmentArrives(record, segment, context);
    const pure = (segment.flags & (SYN | ACK | RST | FIN)) === SYN;
    if (!pure || !greater(segment.seq, record.rcvNxt) || !context.hasListener()) return strict;
    // RFC 7323 5.3 R1 comes first
    if (reasonOf(strict) === Reason['tw-paws']) return strict;
    return verdict(ACCEPT | REVERTIBLE, Reason['tw-syn-accepted']);
  }

  override isnOnReopen(record: RecordFacts, fresh: number, context: PolicyContext): number {
    return aboveOld(record, fresh, context);
  }
}

export const rfc1122 = new Rfc1122();
