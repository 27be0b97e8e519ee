/** No TIME-WAIT at all: what RFC 9293 forbids, for seeing what it is good for. */
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts, ReopenRequest } from '../policy.js';
import { BasePolicy } from './base.js';

const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { ACCEPT, DELETE, KEEP, REPLY_RST, verdict } = contract;

class None extends BasePolicy {
  readonly name = 'none';
  readonly title = 'no TIME-WAIT: the connection is forgotten once both FINs are through (breaks MUST-13)';
  readonly source = 'TF_NOTIMEWAIT of XNU; kernels patched to skip it';
  readonly uses = [];
  override readonly notes = [
    "When our last ACK is lost, the peer's repeated FIN meets nothing, gets RST, and its user may see ECONNRESET.",
    'Old duplicates can reach the next connection on the same tuple; only timestamps and the choice of ports and ISNs protect it.',
    'Records that an earlier policy left behind give way to whatever arrives.',
  ];

  lifetime(): number {
    return 0;
  }

  /** Only records of an earlier policy come here; they are treated as if there were none. */
  segmentArrives(_record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags } = segment;
    if ((flags & RST) !== 0) return verdict(KEEP, Reason['closed-rst-in']);
    if (!context.hasListener()) return verdict(REPLY_RST | DELETE, Reason['closed-rst']);
    if ((flags & ACK) !== 0) return verdict(REPLY_RST | DELETE, Reason['listen-ack']);
    if ((flags & FIN) !== 0 || (flags & SYN) === 0) return verdict(KEEP, Reason['listen-no-syn']);
    return verdict(ACCEPT, Reason['tw-syn-accepted-any']);
  }

  override mayReopen(_record: RecordFacts, _request: ReopenRequest): number {
    return verdict(ACCEPT, Reason['reopen-none']);
  }

  override mayBind(): boolean {
    return true;
  }
}

export const none = new None();
