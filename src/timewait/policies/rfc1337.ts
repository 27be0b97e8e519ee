/** RFC 9293 with fix F1 of RFC 1337: a RST does nothing in TIME-WAIT, wherever it lies. */
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts } from '../policy.js';
import { Rfc9293Rules } from './rfc9293.js';

const { Reason } = reasons;
const { RST } = wire;
const { KEEP, verdict } = contract;

class Rfc1337 extends Rfc9293Rules {
  readonly name = 'rfc1337';
  readonly title = 'strict and unassassinable: 240 s, no SYN reopens, every RST is ignored (RFC 1337 F1)';
  readonly source = 'RFC 1337 3 (F1); RFC 9293 3.10.7.4';
  override readonly uses = ['net.ipv4.tcp_msl'];
  override readonly notes = [
    'A client that is refused cannot clear the record by the RST it sends: it waits the whole 2*MSL.',
  ];

  override segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    // R1337-1
    if ((segment.flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-ignored']);
    return super.segmentArrives(record, segment, context);
  }
}

export const rfc1337 = new Rfc1337();
