/** FreeBSD's rule (tcp_twcheck of 14, in its order): a higher SYN reopens, a lower one gets no answer. */
import { greater } from '../../seqnum.js';
import { Reason } from '../../reasons.js';
import { ACK, FIN, RST, SYN, type Segment } from '../../wire/segment.js';
import {
  ACCEPT,
  KEEP,
  PRESSURE_EVICT_OLDEST,
  verdict,
  type PolicyContext,
  type RecordFacts,
} from '../policy.js';
import { ACK_ALWAYS, ACK_RESTART, BasePolicy } from './base.js';

class Bsd extends BasePolicy {
  readonly name = 'bsd';
  readonly title =
    'FreeBSD: 60 s, a SYN above RCV.NXT reopens with a fresh ISN, a lower one is dropped silently';
  readonly source = 'FreeBSD sys/netinet/tcp_timewait.c tcp_twcheck; RFC 1122 4.2.2.13';

  lifetime(record: RecordFacts, context: PolicyContext): number {
    if (record.localPeer && context.knob('net.inet.tcp.nolocaltimewait') !== 0) return 0;
    return 2 * context.knob('net.inet.tcp.msl');
  }

  segmentArrives(record: RecordFacts, segment: Segment, _context: PolicyContext): number {
    const { flags, seq } = segment;
    const { rcvNxt } = record;
    // 1. RST is ignored whatever its sequence number (RFC 1337 F1)
    if ((flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-ignored']);
    // 2. SYN without ACK, SEQ_GT(SEG.SEQ, RCV.NXT): look up again, the listener takes it
    if ((flags & (SYN | ACK)) === SYN) {
      return greater(seq, rcvNxt)
        ? verdict(ACCEPT, Reason['tw-syn-accepted'])
        : verdict(KEEP, Reason['tw-syn-low']);
    }
    // 3. No ACK flag
    if ((flags & ACK) === 0) return verdict(KEEP, Reason['tw-no-ack-flag']);
    // 4. The peer's FIN again
    if ((flags & FIN) !== 0 && ((seq + segment.payloadLength + 1) | 0) === rcvNxt) {
      return verdict(ACK_RESTART, Reason['tw-fin-again']);
    }
    // 5. An exact bare ACK
    if (flags === ACK && segment.payloadLength === 0 && seq === rcvNxt && segment.ack === record.sndNxt) {
      return verdict(KEEP, Reason['tw-ack']);
    }
    // 6. Everything else
    return verdict(ACK_ALWAYS, Reason['tw-segment-ack']);
  }

  /** Up to 13: the zone is full, the oldest record makes room. */
  override onPressure(): number {
    return PRESSURE_EVICT_OLDEST;
  }
}

export const bsd = new Bsd();
