/**
 * FreeBSD's rules (tcp_twcheck of 14, in its order): a higher SYN reopens, a lower one
 * gets no answer. Of 13 is only what happens when the table is full: the oldest goes.
 */
import { greater } from '../../seqnum.js';
import { Reason } from '../../reasons.js';
import { ACK, FIN, RST, SYN, type Segment } from '../../wire/segment.js';
import {
  ACCEPT,
  DELETE,
  KEEP,
  PRESSURE_EVICT_OLDEST,
  REPLY_RST,
  verdict,
  type BindRequest,
  type PolicyContext,
  type RecordFacts,
  type ReopenRequest,
} from '../policy.js';
import { ACK_ALWAYS, ACK_RESTART, BasePolicy } from './base.js';

class Bsd extends BasePolicy {
  readonly name = 'bsd';
  readonly title =
    'FreeBSD: 60 s, a SYN above RCV.NXT reopens with a fresh ISN, a lower one is dropped silently';
  readonly source = 'FreeBSD sys/netinet/tcp_timewait.c tcp_twcheck; RFC 1122 4.2.2.13';

  readonly uses = ['net.inet.tcp.msl', 'net.inet.tcp.nolocaltimewait', 'net.inet.tcp.tolerate_missing_ts'];

  lifetime(record: RecordFacts, context: PolicyContext): number {
    if (record.localPeer && context.knob('net.inet.tcp.nolocaltimewait') !== 0) return 0;
    return 2 * context.knob('net.inet.tcp.msl');
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, seq } = segment;
    const { rcvNxt } = record;
    // 1. RST is ignored whatever its sequence number (RFC 1337 F1)
    if ((flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-ignored']);
    // Note: a listener of this stack takes no SYN with FIN (drop_synfin = 1), so it must not cost the record
    if ((flags & (SYN | FIN)) === (SYN | FIN)) return verdict(KEEP, Reason['listen-syn-fin']);
    // 2. SYN without ACK, SEQ_GT(SEG.SEQ, RCV.NXT): look up again, a listener takes it or nobody
    if ((flags & (SYN | ACK)) === SYN) {
      if (!greater(seq, rcvNxt)) return verdict(KEEP, Reason['tw-syn-low']);
      return context.hasListener()
        ? verdict(ACCEPT, Reason['tw-syn-accepted'])
        : verdict(REPLY_RST | DELETE, Reason['closed-rst']);
    }
    // 3. No ACK flag
    if ((flags & ACK) === 0) return verdict(KEEP, Reason['tw-no-ack-flag']);
    // 4. Timestamps were in use and are missing
    if (
      record.hasTimestamp &&
      !segment.hasTimestamp &&
      context.knob('net.inet.tcp.tolerate_missing_ts') === 0
    ) {
      return verdict(KEEP, Reason['tw-missing-timestamp']);
    }
    // 5. The peer's FIN again
    if ((flags & FIN) !== 0 && ((seq + segment.payloadLength + 1) | 0) === rcvNxt) {
      return verdict(ACK_RESTART, Reason['tw-fin-again']);
    }
    // 6. An exact bare ACK
    if (flags === ACK && segment.payloadLength === 0 && seq === rcvNxt && segment.ack === record.sndNxt) {
      return verdict(KEEP, Reason['tw-ack']);
    }
    // 7. Everything else
    return verdict(ACK_ALWAYS, Reason['tw-segment-ack']);
  }

  /** in_pcbconnect finds the tuple taken; a port still to be chosen is just skipped. */
  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return verdict(KEEP, request.boundPort ? Reason['reopen-in-use'] : Reason['reopen-refused']);
  }

  /** Either option on the new socket is enough. */
  override mayBind(_record: RecordFacts, request: BindRequest): boolean {
    return request.reuseAddress || request.reusePort || !request.addressOverlaps;
  }

  /** Up to 13: the zone is full, the oldest record makes room. */
  override onPressure(): number {
    return PRESSURE_EVICT_OLDEST;
  }
}

export const bsd = new Bsd();
