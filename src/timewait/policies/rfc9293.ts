/**
 * RFC 9293 3.10.7.4 to the letter, with RFC 5961 and RFC 7323: TIME-WAIT lasts 2*MSL
 * and no SYN reopens it.
 *
 * Note: where the letter would let two ends in TIME-WAIT answer each other for ever
 * (bare ACKs and new data in the window), the intent is followed: they are ignored.
 * Note: the letter also lets a RST at RCV.NXT end TIME-WAIT, and a refused client
 * sends exactly that; knob net.ipv4.tcp_rfc1337 = 1 keeps the record (RFC 1337 F1).
 */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { PolicyContext, RecordFacts } from '../policy.js';
import * as base from './base.js';
import { BasePolicy } from './base.js';

const { after, greater, inWindow } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { DELETE, KEEP, verdict } = contract;
const { ACK_LIMITED, ACK_RESTART, CHALLENGE_ACK } = base;

/** R7323-50: 24 days, ms. */
const PAWS_IDLE = 24 * 86_400_000;

/** What the policies named after an RFC share. */
export abstract class Rfc9293Rules extends BasePolicy {
  readonly uses: readonly string[] = ['net.ipv4.tcp_msl', 'net.ipv4.tcp_rfc1337'];

  // MUST-13
  lifetime(_record: RecordFacts, context: PolicyContext, _restarted: boolean): number {
    return 2 * context.knob('net.ipv4.tcp_msl');
  }

  segmentArrives(record: RecordFacts, segment: Segment, context: PolicyContext): number {
    const { flags, seq } = segment;
    const { rcvNxt, rcvWnd } = record;
    const rst = (flags & RST) !== 0;
    const syn = (flags & SYN) !== 0;
    // RFC 7323 5.3 R1, before the sequence check; RST is exempt (R7323-43)
    if (record.hasTimestamp && !rst) {
      if (!segment.hasTimestamp) {
        // R7323-28. Note: a SYN is judged without, it may come from a new incarnation that uses none
        if (!syn) return verdict(KEEP, Reason['tw-missing-timestamp']);
      } else if (
        greater(record.tsRecent, segment.tsVal) &&
        (context.now - record.tsRecentAt) >>> 0 <= PAWS_IDLE
      ) {
        return verdict(ACK_LIMITED, Reason['tw-paws']);
      }
    }
    // First, check sequence number (R9293-4, R9293-5)
    const length = segment.length;
    if (!acceptable(seq, length, rcvNxt, rcvWnd)) {
      if (rst) return verdict(KEEP, Reason['tw-rst-out']);
      if (syn) return verdict(CHALLENGE_ACK, Reason['tw-syn-refused']);
      // R9293-39: the peer's FIN again; its octet lies at RCV.NXT-1, outside every window
      if ((flags & FIN) !== 0 && segment.end === rcvNxt) return verdict(ACK_RESTART, Reason['tw-fin-again']);
      return verdict(
        ACK_LIMITED,
        segment.payloadLength > 0 ? Reason['tw-data-old'] : Reason['tw-not-acceptable'],
      );
    }
    // Second, check the RST bit (RFC 5961 3.2)
    if (rst) {
      if (seq !== rcvNxt) return verdict(CHALLENGE_ACK, Reason['tw-rst-challenge']);
      // R1337-1
      if (context.knob('net.ipv4.tcp_rfc1337') !== 0) return verdict(KEEP, Reason['tw-rst-ignored']);
      return verdict(DELETE, Reason['tw-rst-kill']);
    }
    // Fourth, check the SYN bit (R5961-6)
    if (syn) return verdict(CHALLENGE_ACK, Reason['tw-syn-in-window']);
    // Fifth, check the ACK field (R9293-25, R9293-26). Note: the lower edge of RFC 5961 5 is not
    // tested, a record keeps no MAX.SND.WND; what it would catch gets no more than one ACK here.
    if ((flags & ACK) === 0) return verdict(KEEP, Reason['tw-no-ack-flag']);
    if (after(segment.ack, record.sndNxt)) return verdict(ACK_LIMITED, Reason['tw-not-acceptable']);
    // Eighth, check the FIN bit
    if ((flags & FIN) !== 0) return verdict(ACK_RESTART, Reason['tw-fin-again']);
    // Seventh: no text is expected here (R9293-41)
    return verdict(KEEP, segment.payloadLength > 0 ? Reason['tw-data-new'] : Reason['tw-ack']);
  }
}

function acceptable(seq: number, length: number, rcvNxt: number, rcvWnd: number): boolean {
  if (length === 0) return rcvWnd === 0 ? seq === rcvNxt : inWindow(seq, rcvNxt, rcvWnd);
  if (rcvWnd === 0) return false;
  return inWindow(seq, rcvNxt, rcvWnd) || inWindow((seq + length - 1) | 0, rcvNxt, rcvWnd);
}

class Rfc9293 extends Rfc9293Rules {
  readonly name = 'rfc9293';
  readonly title = 'strict: 2*MSL = 240 s, a SYN never reopens';
  readonly source = 'RFC 9293 3.4.3, 3.6.1, 3.10.7.4; RFC 5961; RFC 7323';
}

/** 3.6.1 (1): the ISN of a reopened connection lies above every number the old one used. */
export function aboveOld(record: RecordFacts, fresh: number, context: PolicyContext): number {
  if (greater(fresh, (record.sndNxt - 1) | 0)) return fresh;
  return (record.sndNxt + 1 + (context.random() >>> 16)) | 0;
}

export const rfc9293 = new Rfc9293();
