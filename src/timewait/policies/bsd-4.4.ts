/**
 * 4.4BSD-Lite2, the stack of "TCP/IP Illustrated", volume 2: TIME-WAIT is a state like
 * any other, walked through by tcp_input in its order.
 */
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
const { ACK_ALWAYS } = base;
const { beyond, beyondWindow, pawsFails, settled } = bsd;

/** TCP_ISSINCR of Lite2: 122 * 1024 and 18 random bits. */
const ISS_INCREMENT = 122 * 1024;
const ISS_RANDOM = 0x3ffff;

class Bsd44 extends BsdPolicy {
  readonly name = 'bsd-4.4';
  override readonly aliases = ['4.4bsd'];
  readonly title =
    '4.4BSD: 60 s, a SYN beyond the window reopens with ISS SND.NXT + 122K and more, RST kills';
  readonly source =
    '4.4BSD-Lite2 sys/netinet/tcp_input.c tcp_input, tcp_timer.c, tcp_seq.h, in_pcb.c in_pcbbind, in_pcbconnect';
  override readonly knobs = {
    'net.ipv4.tcp_isn': 3,
    'net.ipv4.tcp_timestamp_offset': 0,
    'net.ipv4.ip_local_port_range.min': 1024,
    'net.ipv4.ip_local_port_range.max': 5000,
  };
  override readonly portScope = 'port';
  override readonly unverified = [
    'Read from the source; no 4.4BSD was run.',
    'The value of TCP_ISSINCR printed in "TCP/IP Illustrated", volume 2 (250 * 1024 in other descendants).',
  ];
  override readonly notes = [
    "Tables say that the peer's FIN and a bare ACK restart TIME-WAIT. In the source that line stands behind a test which no ACK of SND.NXT or less passes: the FIN gets its ACK, the bare ACK nothing, and the timer runs on.",
    'A SYN with a timestamp overwrites TS.Recent before PAWS looks at it, so PAWS never refuses a SYN.',
    'A connect() that chooses its port passes over every port with TIME-WAIT to any destination; when none is left 4.4BSD searches for ever, here it fails with EADDRNOTAVAIL.',
    'The timer of the real system ticks every 500 ms.',
  ];

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags } = segment;
    const syn = (flags & SYN) !== 0;
    // tcp_dooptions has taken the timestamp of a SYN already
    const taken = syn && record.hasTimestamp && segment.hasTimestamp ? REFRESH : 0;
    if (!syn && pawsFails(record, segment, context.now)) return verdict(ACK_ALWAYS, Reason['tw-paws']);
    return this.trimmed(record, segment, context) | taken;
  }

  private trimmed(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, payloadLength } = segment;
    const old = (record.rcvNxt - segment.seq) | 0;
    let text = payloadLength;
    let ackNow = false;
    if (old > 0) {
      const cut = (flags & SYN) !== 0 ? old - 1 : old;
      const finOnly = (flags & FIN) !== 0 && cut === payloadLength + 1;
      if (cut >= payloadLength) {
        if (!finOnly && (cut !== 0 || (flags & ACK) === 0)) return duplicate(segment);
        ackNow = true;
        text = 0;
      } else text = payloadLength - cut;
    }
    // New data although the user has gone
    if (text > 0 && record.userClosed) {
      return (flags & RST) !== 0
        ? verdict(DELETE, Reason['tw-rst-kill-window'])
        : verdict(REPLY_RST | DELETE, Reason['tw-data-reset']);
    }
    if (beyondWindow(record, segment)) {
      if (record.rcvWnd !== 0 || old !== 0) return beyond(record, segment, context);
      ackNow = true;
    }
    if ((flags & RST) !== 0) {
      return verdict(DELETE, old === 0 ? Reason['tw-rst-kill'] : Reason['tw-rst-kill-window']);
    }
    // A SYN before the window has been cut off
    if ((flags & SYN) !== 0 && old <= 0) return verdict(REPLY_RST | DELETE, Reason['tw-syn-kill']);
    if ((flags & ACK) === 0) return verdict(KEEP, Reason['tw-no-ack-flag']);
    if (greater(segment.ack, record.sndNxt)) return verdict(ACK_ALWAYS, Reason['tw-ack-unsent']);
    return settled(segment, ackNow);
  }

  override isnOnReopen(record: RecordFacts, _fresh: number, context: PolicyContext): number {
    return (record.sndNxt + ISS_INCREMENT + (context.random() & ISS_RANDOM)) | 0;
  }
}

function duplicate(segment: Segment): number {
  if ((segment.flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-out']);
  return verdict(ACK_ALWAYS, segment.payloadLength > 0 ? Reason['tw-data-old'] : Reason['tw-not-acceptable']);
}

export const bsd44 = new Bsd44();
