/**
 * What the descendants of 4.4BSD share: the user's calls, and tcp_input's way of
 * cutting a segment to the window before anything else is asked.
 */
import * as serial from '../../seqnum.js';
import * as reasons from '../../reasons.js';
import * as wire from '../../wire/segment.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { BindRequest, PolicyContext, RecordFacts, ReopenRequest } from '../policy.js';
import * as base from './base.js';
import { BasePolicy } from './base.js';

const { greater } = serial;
const { Reason } = reasons;
const { ACK, FIN, RST, SYN } = wire;
const { ACCEPT, DELETE, KEEP, REPLY_RST, verdict } = contract;
const { ACK_ALWAYS, CHALLENGE_ACK } = base;

/** TCP_PAWS_IDLE, ms. */
const PAWS_IDLE = 24 * 86_400_000;

export abstract class BsdPolicy extends BasePolicy {
  override readonly uses: readonly string[] = ['net.inet.tcp.msl'];

  lifetime(_record: RecordFacts, context: PolicyContext, _restarted: boolean): number {
    return 2 * context.knob('net.inet.tcp.msl');
  }

  /** in_pcbconnect finds the tuple taken; a port still to be chosen is just skipped. */
  override mayReopen(_record: RecordFacts, request: ReopenRequest): number {
    return verdict(KEEP, request.boundPort ? Reason['reopen-in-use'] : Reason['reopen-refused']);
  }

  /** in_pcbbind: either option on the new socket is enough, the record has a foreign address. */
  override mayBind(_record: RecordFacts, request: BindRequest): boolean {
    return request.reuseAddress || request.reusePort || !request.addressOverlaps;
  }
}

/** The record's timestamp is newer than the segment's, and not too old to count. A RST is exempt. */
export function pawsFails(record: RecordFacts, segment: Segment, now: number): boolean {
  return (
    record.hasTimestamp &&
    segment.hasTimestamp &&
    (segment.flags & RST) === 0 &&
    record.tsRecent !== 0 &&
    ((segment.tsVal - record.tsRecent) | 0) < 0 &&
    (now - record.tsRecentAt) >>> 0 <= PAWS_IDLE
  );
}

/** It begins before RCV.NXT: only then its front, a SYN included, is cut off. */
export function isBefore(record: RecordFacts, segment: Segment): boolean {
  return ((record.rcvNxt - segment.seq) | 0) > 0;
}

/** Answer of `newText`: nothing of the segment lies at or beyond RCV.NXT. */
export const DUPLICATE = -1;

/** Octets of text beyond RCV.NXT once the front is cut off; a SYN before it counts as one octet. */
export function newText(record: RecordFacts, segment: Segment): number {
  const { flags, payloadLength } = segment;
  const old = (record.rcvNxt - segment.seq) | 0;
  if (old <= 0) return payloadLength;
  const cut = (flags & SYN) !== 0 ? old - 1 : old;
  if (cut > payloadLength || (cut === payloadLength && (flags & FIN) === 0)) return DUPLICATE;
  return payloadLength - cut;
}

/** It begins behind the window. SYN and FIN are not counted: an empty SYN must lie above RCV.NXT + RCV.WND. */
export function beyondWindow(record: RecordFacts, segment: Segment): boolean {
  const ahead = (segment.seq - record.rcvNxt) | 0;
  if (ahead < 0) return false;
  const over = (ahead + segment.payloadLength - record.rcvWnd) | 0;
  return over > 0 && over >= segment.payloadLength;
}

/** What lies beyond the window: a SYN is looked up again once the old connection is closed, the rest gets an ACK. */
export function beyond(record: RecordFacts, segment: Segment, context: PolicyContext): number {
  const { flags } = segment;
  if ((flags & RST) !== 0) return verdict(KEEP, Reason['tw-rst-out']);
  if ((flags & SYN) === 0 || !greater(segment.seq, record.rcvNxt))
    return verdict(
      ACK_ALWAYS,
      segment.payloadLength > 0 ? Reason['tw-segment-ack'] : Reason['tw-not-acceptable'],
    );
  return lookUpAgain(segment, context, Reason['tw-syn-beyond-window']);
}

/** The record is gone before anybody asks who listens. */
export function lookUpAgain(segment: Segment, context: PolicyContext, accepted: number): number {
  const { flags } = segment;
  // Note: a listener of this stack takes no SYN with FIN, so it must not cost the record
  if ((flags & FIN) !== 0) return verdict(KEEP, Reason['listen-syn-fin']);
  // A listener answers a SYN,ACK with RST
  if ((flags & ACK) !== 0) return verdict(REPLY_RST | DELETE, Reason['tw-syn-ack-reset']);
  if (!context.hasListener()) return verdict(REPLY_RST | DELETE, Reason['closed-rst']);
  return verdict(ACCEPT, accepted);
}

/** The end of the walk, for what acknowledges SND.NXT or less: an ACK is sent when one became due on the way. */
export function settled(segment: Segment, ackNow: boolean): number {
  if (ackNow) {
    const fin = (segment.flags & FIN) !== 0;
    return verdict(ACK_ALWAYS, fin ? Reason['tw-fin-again-kept'] : duplicateReason(segment));
  }
  return verdict(KEEP, segment.payloadLength > 0 ? Reason['tw-data-new'] : Reason['tw-ack']);
}

function duplicateReason(segment: Segment): number {
  return segment.payloadLength > 0 ? Reason['tw-data-old'] : Reason['tw-not-acceptable'];
}

/**
 * Steps after the RST and SYN checks. `challenge`: an ACK of what was never sent is answered
 * under a rate limit. `refresh`: REFRESH where the segment's timestamp is taken.
 */
export function ackStep(
  record: RecordFacts,
  segment: Segment,
  ackNow: boolean,
  challenge: boolean,
  refresh: number,
): number {
  if ((segment.flags & ACK) === 0) {
    if (ackNow) return settled(segment, true);
    return verdict(KEEP, Reason['tw-no-ack-flag']);
  }
  if (greater(segment.ack, record.sndNxt))
    return verdict(challenge ? CHALLENGE_ACK : ACK_ALWAYS, Reason['tw-ack-unsent']);
  return settled(segment, ackNow) | (segment.hasTimestamp ? refresh : 0);
}
