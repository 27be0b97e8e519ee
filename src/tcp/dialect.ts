/**
 * What systems do otherwise than RFC 9293 outside TIME-WAIT: one field for each
 * departure, with where it stands in that system's source. False or 0 is the RFC's way,
 * so `RFC` is the dialect without departures. Which one a stack speaks is the knob
 * `timewait_dialect`, which profiles of whole systems preset.
 *
 * A branch that asks a field names the rule it departs from.
 */

/** Values of the knob `timewait_dialect`: indexes of `dialects`. */
export const DIALECT_RFC = 0;
export const DIALECT_LINUX = 1;
export const DIALECT_FREEBSD = 2;

export class Dialect {
  readonly name: string = 'rfc9293';
  /**
   * A segment without ACK, SYN and RST is dropped before its sequence number is looked
   * at, so nothing answers it (Linux tcp_rcv_established, tcp_rcv_state_process; FreeBSD
   * tcp_do_segment). RFC 9293 3.10.7.4 looks at the number first.
   */
  readonly dropsWithoutAck: boolean = false;
  /**
   * A CE mark, and the CWR that answers its echo, are acknowledged at once: the sender's
   * window may be small (Linux __tcp_ecn_check_ce, tcp_ecn_accept_cwr). RFC 3168 6.1.3
   * leaves the ACK to the usual delay.
   */
  readonly acksMarksAtOnce: boolean = false;
  /**
   * Segments that a mark leaves of cwnd at least. With 1, RFC 3168 6.1.2: at one segment the
   * sender waits for a retransmission timeout instead. With 2, nothing waits (Linux
   * tcp_reno_ssthresh, FreeBSD newreno_cong_signal).
   */
  readonly markFloor: 1 | 2 = 1;
  /**
   * ACKs keep the peer's and the user's pace: quick ACKs at first and after trouble, then a delay
   * that adapts and waits for a reply to carry it, ACKs when the user reads (Linux tcp_input.c
   * tcp_event_data_recv, __tcp_ack_snd_check, tcp.c tcp_cleanup_rbuf). RFC 5681 4.2: every
   * second full-sized segment, within one delay.
   */
  readonly pacesAcks: boolean = false;
  /**
   * Recovery without SACK: every partial acknowledgment restarts the retransmission timer
   * (Linux tcp_ack, tcp_rearm_rto; FreeBSD tcp_newreno_partial_ack). RFC 6582 3.2 lets the
   * first one do so (R6582-6).
   */
  readonly steadyRecovery: boolean = false;
  /** Options go out as FreeBSD's tcp_addoptions puts them; the RFCs leave the order open (SegmentBuilder.scaleFirst). */
  readonly scaleFirst: boolean = false;
  /** Receive buffers are rounded up to whole segments once the MSS is known (FreeBSD tcp_mss). */
  readonly wholeSegments: boolean = false;
  /**
   * A segment that goes out anyway offers all the room there is (FreeBSD tcp_output).
   * R9293-62 moves the right edge by full segments only.
   */
  readonly windowAtOnce: boolean = false;
}

class Linux extends Dialect {
  override readonly name = 'linux';
  override readonly acksMarksAtOnce = true;
  override readonly markFloor = 2;
  override readonly pacesAcks = true;
  override readonly steadyRecovery = true;
}

class FreeBsd extends Dialect {
  override readonly name = 'freebsd';
  override readonly markFloor = 2;
  override readonly steadyRecovery = true;
  override readonly scaleFirst = true;
  override readonly wholeSegments = true;
  override readonly windowAtOnce = true;
}

/** By the knob's value. */
export const dialects: readonly Dialect[] = [new Dialect(), new Linux(), new FreeBsd()];
