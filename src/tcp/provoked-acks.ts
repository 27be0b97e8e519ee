/** ACKs that an outsider provoked from one connection, as far as their limits ask (limits.ts). */
export class ProvokedAcks {
  /** Challenge ACKs of the present period, and when it began. */
  challenges = 0;
  challengedAt = 0;
  /** The last one that counts for `invalidRatelimit`, valid while `answered`. */
  answered = false;
  answeredAt = 0;
}
