/** Signs that the network changes the order of segments (RFC 8985 6.2), and of segments resent in vain; null with the connection: there were none. */
export class Reordering {
  /** Cases of it (Linux tcp_check_sack_reordering). */
  cases = 0;
  /** Quarters of the smallest RTT by which to wait, and recoveries after which that is one again (R8985-9). */
  steps = 1;
  persist = 0;
  /** D-SACKs count once until `roundEnd` is acknowledged, valid while `inRound`. */
  inRound = false;
  roundEnd = 0;
}
