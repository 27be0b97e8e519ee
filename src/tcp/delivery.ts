/** What delivery rate is measured with (rate.ts), named as in draft-cheng-iccrg-delivery-rate-estimation 3. */
export class DeliveryRate {
  /** C.delivered, in segments: acknowledged in whatever way, our SYN counted; of these by ACKs that echoed a mark. */
  delivered = 0;
  deliveredCe = 0;
  /** C.delivered_time, C.first_sent_time: the last ACK that delivered something, and when the last of that was sent. */
  deliveredAt = 0;
  firstSentAt = 0;
  /** C.app_limited: the value of `delivered` at which what was sent for want of data is through; 0: nothing was. */
  appLimited = 0;
  /** The sample that counts: segments in so many ms, and whether the application was what limited them. */
  packets = 0;
  interval = 0;
  limited = true;
}
