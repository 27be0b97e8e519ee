/** What a connection knows of the packets that its path lets pass. Sizes are those of whole packets, as MTUs are. */

export class PathSizes {
  /** A full-sized packet under way, which `triedEnd` will acknowledge, 0 none; the largest that was acknowledged (RFC 5927 7.2). */
  tried = 0;
  triedEnd = 0;
  acked = 0;
  /** A report that waits for a timeout, 0 none, and what it quoted. */
  pendingMtu = 0;
  pendingSeq = 0;
  /** R1191-7: one segment in flight until the next ACK. */
  oneByOne = false;
}

/** Search for the path MTU (RFC 4821 7.2). */
export class PathSearch {
  /** The probe under way, 0 none: [probeStart, probeEnd) is its text. */
  probeSize = 0;
  probeStart = 0;
  probeEnd = 0;

  constructor(
    /** The size known to pass, the least not known to fail. */
    public low: number,
    public high: number,
    /** When it began. */
    public at: number,
  ) {}
}
