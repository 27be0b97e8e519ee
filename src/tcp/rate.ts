/**
 * Delivery rate: how fast the path carried what was acknowledged last (draft-cheng-iccrg-delivery-rate-estimation,
 * Linux tcp_rate.c). A sample is what was delivered between the sending of a segment and the ACK that delivers it, over the
 * longer of the two times, that of the sendings and that of the ACKs. What each segment was sent with is kept beside it in
 * `Sent`; the clock counts ms, so rounds of less than that give no sample.
 */
import type { TcpContext } from './context.js';
import { minRtt } from './rack.js';
import type { Sent } from './sent.js';
import type { Tcb } from './tcb.js';

/** 3.4: the user writes, and the path could have carried more than there was to send (Linux tcp_rate_check_app_limited). */
export function checkLimited(tcb: Tcb, unsent: number): void {
  const { sent, rate } = tcb;
  if (unsent >= tcb.mss) return;
  if (sent === null) rate.appLimited = rate.delivered;
  else if (sent.pipe < tcb.congestion.cwnd && sent.lost <= sent.again)
    rate.appLimited = rate.delivered + sent.inNetwork();
  if (rate.appLimited === 0) rate.appLimited = 1;
}

/** 3.3: the ACK in hand delivered `packets` segments. */
export function sampleRate(ctx: TcpContext, tcb: Tcb, sent: Sent, packets: number): void {
  const { rate } = tcb;
  rate.delivered += packets;
  if (tcb.marked) rate.deliveredCe += packets;
  if (rate.delivered > rate.appLimited) rate.appLimited = 0;
  if (packets > 0) {
    rate.deliveredAt = ctx.now;
    sent.endTurn();
  }
  if (!sent.sampled) return;
  rate.firstSentAt = sent.sampleTime;
  const sending = (sent.sampleTime - sent.sampleFirstSent) | 0;
  const acknowledging = (ctx.now - sent.sampleDeliveredAt) | 0;
  const interval = Math.max(sending, acknowledging);
  // Faster than any round trip was: what was acknowledged may be an earlier copy
  if (interval === 0 || interval < minRtt(tcb)) return;
  const delivered = (rate.delivered - sent.sampleDelivered) | 0;
  if (sent.sampleLimited && delivered * rate.interval < rate.packets * interval) return;
  rate.packets = delivered;
  rate.interval = interval;
  rate.limited = sent.sampleLimited;
}

/** Bytes a second; 0 before the first sample. */
export function deliveryRate({ rate, mss }: Tcb): number {
  return rate.interval === 0 ? 0 : Math.floor((1000 * rate.packets * mss) / rate.interval);
}
