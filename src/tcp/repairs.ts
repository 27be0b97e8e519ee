/** What a connection had to repair, for TCP_INFO and a few decisions: one object for all that had nothing to. */
export class Repairs {
  /** Segments resent, SYNs too, and bytes of text (a double from the start, as in Tcb). */
  totalRetrans = 0;
  bytesRetrans = -0;
  /** D-SACKs; segments that came ahead of a hole; retransmission timeouts. */
  dsacks = 0;
  oooSegments = 0;
  timeouts = 0;
  /** Runs of timeouts, ms that those took that are over, and when the present one began, valid while `timingOut`. */
  timeoutRuns = 0;
  timeoutTime = 0;
  timeoutAt = 0;
  timingOut = false;
}

export const NO_REPAIRS: Readonly<Repairs> = new Repairs();

/** The connection's own, to be written to. */
export function repairsOf(tcb: { repairs: Readonly<Repairs> }): Repairs {
  if (tcb.repairs === NO_REPAIRS) tcb.repairs = new Repairs();
  return tcb.repairs as Repairs;
}

/** A segment was resent, with so many bytes of text. */
export function countResent(tcb: { repairs: Readonly<Repairs> }, bytes: number): void {
  const repairs = repairsOf(tcb);
  repairs.totalRetrans++;
  repairs.bytesRetrans += bytes;
}
