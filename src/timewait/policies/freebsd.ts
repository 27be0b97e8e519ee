/** FreeBSD: tcp_twcheck in its order. A higher SYN reopens, a lower one gets no answer, no RST counts. */
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
const { KEEP, PRESSURE_EVICT_OLDEST, verdict } = contract;
const { ACK_ALWAYS, ACK_RESTART } = base;
const { lookUpAgain } = bsd;

const PRESETS = {
  timewait_dialect: 2,
  'net.ipv4.ip_local_port_range.min': 10_000,
  'net.ipv4.ip_local_port_range.max': 65_535,
  // net.inet.tcp.syncache.rexmtlimit
  'net.ipv4.tcp_synack_retries': 3,
};

abstract class FreebsdRules extends BsdPolicy {
  override readonly uses = [
    'net.inet.tcp.msl',
    'net.inet.tcp.nolocaltimewait',
    'net.inet.tcp.tolerate_missing_ts',
    'net.inet.tcp.maxtcptw',
  ];

  /** Up to 13 a SYN,ACK passes the test for a SYN, too. */
  protected readonly takesSynAck: boolean = false;

  override lifetime(record: RecordFacts, context: PolicyContext): number {
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
    // 2. SYN, SEQ_GT(SEG.SEQ, RCV.NXT): look up again, a listener takes it or nobody
    const syn = (flags & SYN) !== 0 && (this.takesSynAck || (flags & ACK) === 0);
    if (syn && greater(seq, rcvNxt)) return lookUpAgain(segment, context, Reason['tw-syn-accepted']);
    // 3. No ACK flag
    if ((flags & ACK) === 0)
      return verdict(KEEP, (flags & SYN) !== 0 ? Reason['tw-syn-low'] : Reason['tw-no-ack-flag']);
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

  /** The zone of tcptw up to 13. */
  override capacity(context: PolicyContext): number {
    const limit = context.knob('net.inet.tcp.maxtcptw');
    return limit === 0 ? Infinity : limit;
  }

  /** The zone is full: the head of the list, the oldest, makes room. */
  override onPressure(): number {
    return PRESSURE_EVICT_OLDEST;
  }
}

class Freebsd extends FreebsdRules {
  readonly name = 'freebsd';
  override readonly aliases = ['bsd', 'freebsd-14'];
  readonly title =
    'FreeBSD 14: 60 s, none for local peers, a SYN above RCV.NXT reopens with a fresh ISN, a lower one is dropped silently';
  readonly source = 'FreeBSD main sys/netinet/tcp_timewait.c tcp_twcheck, tcp_twstart; in_pcb.c';
  override readonly knobs = PRESETS;
  override readonly unverified = [
    'Read from the source; no FreeBSD was run.',
    'A limit of its own for TIME-WAIT was not found; net.inet.tcp.maxtcptw above 0 gives it that of 13.',
  ];
  override readonly notes = [
    'There is no PAWS in TIME-WAIT: a SYN is judged by its sequence number alone, timestamps or not.',
  ];
}

class Freebsd13 extends FreebsdRules {
  readonly name = 'freebsd-13';
  readonly title =
    'FreeBSD up to 13: as 14, local peers included, the oldest record gives way when maxtcptw is reached';
  readonly source =
    'FreeBSD 10.4, 13.1 sys/netinet/tcp_timewait.c tcp_twcheck, tcp_twstart, tcp_tw_2msl_scan; fixed by 2515552e6216';
  override readonly knobs = {
    ...PRESETS,
    'net.inet.tcp.nolocaltimewait': 0,
    // Half the ephemeral range
    'net.inet.tcp.maxtcptw': 27_768,
  };
  override readonly unverified = ['Read from the source; no FreeBSD was run.'];
  override readonly notes = [
    'maxtcptw is half the ephemeral ports or a fifth of maxsockets, whichever is less; the preset is the first.',
    'A SYN,ACK above RCV.NXT costs the record: it passes for a SYN, and the listener it is given to answers RST.',
    'Segments without the negotiated timestamp are dropped since 13; tolerate_missing_ts=1 gives the behaviour before.',
  ];
  protected override readonly takesSynAck = true;
}

export const freebsd = new Freebsd();
export const freebsd13 = new Freebsd13();
