/** The pace of one connection's ACKs; ack.ts keeps it. */
export class AckPace {
  /** Quick ACKs left. */
  quick = 0;
  /** The user replies within the delay, so that data carries the ACKs. */
  interactive = false;
  /** The present delay, ms; 0 before the first data. */
  delay = 0;
  /** When data arrived last. */
  heardAt = 0;
  /** Segments that end a message and are not acknowledged: 0, 1, 2 for more. The user's reading brings their ACK. */
  pushed = 0;
  /** Length of the last segment shorter than RMSS: twice the same is a new RMSS. */
  shorter = 0;
  /** Duplicate ACKs sent since RCV.NXT moved last, up to three, and what it was then; those held back (Linux tcp_comp_sack_nr). */
  duplicates = 0;
  duplicatesAt = 0;
  compressed = 0;
}
