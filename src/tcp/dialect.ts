/**
 * What systems do otherwise than RFC 9293 outside TIME-WAIT: one field for each
 * departure, with where it stands in that system's source. False or 0 is the RFC's way,
 * so `RFC` is the dialect without departures. Which one a stack speaks is the knob
 * `timewait_dialect`, which profiles of whole systems preset.
 *
 * A branch that asks a field names the rule it departs from. Linux is as 6.18 runs,
 * measured; FreeBSD is read in the source of 14, not run.
 */

/** Values of the knob `timewait_dialect`: indexes of `dialects`. */
export const DIALECT_RFC = 0;
export const DIALECT_LINUX = 1;
export const DIALECT_FREEBSD = 2;

/** `acceptance`: the four cases of 3.10.7.4. */
export const ACCEPT_RFC = 0;
/** Linux tcp_sequence: by the segment's end; the right edge itself is inside. */
export const ACCEPT_LINUX = 1;
/** BSD tcp_do_segment: what is old is trimmed and answered, its ACK counts; the right edge is inside for empty segments. */
export const ACCEPT_BSD = 2;

/** `paws`: what an old timestamp costs. RFC 7323 5.3 R1: an ACK, the segment dropped. */
export const PAWS_RFC = 0;
/** Linux tcp_validate_incoming, tcp_disordered_ack_check: 1 ms of slack; an empty ACK from the past is dropped silently, one at RCV.NXT with no news is let pass within 1.2 RTO; a SYN is challenged. */
export const PAWS_LINUX = 1;
/** FreeBSD tcp_do_segment: a segment without text is dropped silently. */
export const PAWS_BSD = 2;

/** `behindFin`: text and FIN behind the peer's FIN. RFC 9293 3.10.7.4 ignores them; here with an ACK. */
export const BEHIND_RFC = 0;
/** Linux tcp_rcv_state_process: no ACK; but what begins before RCV.NXT is processed: RST when text reaches beyond it, and a second FIN counts. */
export const BEHIND_LINUX = 1;
/** FreeBSD tcp_do_segment: no ACK, unless all of it is old. */
export const BEHIND_BSD = 2;

/** `orphan`: what resets a connection that nobody reads any more. SHLD-3: acceptable text beyond RCV.NXT. */
export const ORPHAN_RFC = 0;
/** Linux tcp_rcv_state_process: a FIN beyond RCV.NXT, too. */
export const ORPHAN_LINUX = 1;
/** FreeBSD tcp_do_segment: text beyond the window, too. */
export const ORPHAN_BSD = 2;

/** `unreadClose`: close() with text unread. RFC 9293 SHLD-3: RST, but where 3.10.5 deletes silently. */
export const UNREAD_RST = 0;
/** Linux __tcp_close: RST in CLOSING and LAST-ACK, too. */
export const UNREAD_RST_ALWAYS = 1;
/** FreeBSD tcp_disconnect: the text is thrown away and a FIN follows as ever. */
export const UNREAD_FIN = 2;

/** `window`: R9293-62: the right edge moves by full segments only. */
export const WINDOW_RFC = 0;
/** FreeBSD tcp_output: a segment that goes out anyway offers all the room there is. */
export const WINDOW_AT_ONCE = 1;
/**
 * Linux __tcp_select_window: with a shift all the room, rounded up; without, the window stays while
 * the room is less than a segment larger, else whole segments, be it more than the field can say.
 * Below a sixteenth of the buffer or a segment it closes.
 */
export const WINDOW_LINUX = 2;

export class Dialect {
  readonly name: string = 'rfc9293';
  /**
   * A segment without ACK, SYN and RST is dropped before its timestamp or sequence number is
   * looked at, so nothing answers it (Linux tcp_rcv_established, tcp_rcv_state_process).
   * RFC 9293 3.10.7.4 looks at the number first.
   */
  readonly dropsWithoutAck: boolean = false;
  /** Half-open connections of listeners are request sockets with rules of their own (Linux tcp_check_req): request.ts. They end in silence with the listener. */
  readonly requestSockets: boolean = false;
  /**
   * The queue of half-open connections holds one more than the backlog, and knob tcp_max_syn_backlog bounds it only where
   * there are no cookies: its last quarter is for proven peers then (Linux inet_csk_reqsk_queue_is_full, tcp_conn_request).
   * Proven is there who has ended a connection, here who has opened one.
   */
  readonly queuesByBacklog: boolean = false;
  /** A SYN in ESTABLISHED counts as a segment in error, too (Linux tcp_validate_incoming, syn_inerr). */
  readonly synsAreErrors: boolean = false;
  /**
   * Any ICMP error ends an attempt to connect (Linux tcp_v4_err, tcp_v6_err; RFC 5461), as do net and host
   * unreachable, time exceeded and parameter problem a request socket. RFC 9293 MUST-56 forbids it for soft errors.
   */
  readonly icmpEndsOpening: boolean = false;
  /** ms after which a SYN goes out again whose answer had an unacceptable ACK, 0 none (Linux tcp_rcv_synsent_state_process: two jiffies). */
  readonly synAgainAfter: number = 0;
  /** A crossing SYN older than the TS.Recent of the connection that was reopened is dropped (Linux tcp_rcv_synsent_state_process). */
  readonly pawsInSynSent: boolean = false;
  /** Of crossing SYN,ACKs the SYN is answered as any octet that comes again (Linux tcp_data_queue); R9293-70 lets only the ACK count. */
  readonly acksCrossingSyn: boolean = false;
  /** Text on a SYN or SYN,ACK is not kept unless Fast Open takes it (Linux tcp_conn_request, tcp_rcv_synsent_state_process); RFC 9293 3.10.7.2 and 3.10.7.3 queue and process it. */
  readonly dropsSynText: boolean = false;
  /**
   * SYNs or SYN,ACKs that may be resent before the initial window shrinks to one segment
   * (R5681-7 none; Linux tcp_init_transfer one, in the light of RFC 6298's shorter timeout).
   */
  readonly synsForgiven: number = 0;
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
   * A report of a lower path MTU counts at once, whatever passed before (Linux
   * tcp_v4_mtu_reduced, FreeBSD tcp_mtudisc). RFC 5927 7.2 waits for a timeout when
   * larger packets were acknowledged.
   */
  readonly believesTooBig: boolean = false;
  /**
   * After such a report the window is filled again at once (Linux tcp_simple_retransmit,
   * FreeBSD tcp_mtudisc). RFC 1191 6.4 sends one segment and waits for its ACK.
   */
  readonly burstsAfterTooBig: boolean = false;
  /**
   * A next-hop MTU of less than 68, 0 included, means the smallest path that is believed,
   * net.ipv4.route.min_pmtu (Linux __ip_rt_update_pmtu). RFC 1191 5 goes down its plateaus for 0.
   */
  readonly leastPathForZero: boolean = false;
  /**
   * ACKs keep the peer's and the user's pace: quick ACKs at first and after trouble, then a delay
   * that adapts and waits for a reply to carry it, ACKs when the user reads (Linux tcp_input.c
   * tcp_event_data_recv, __tcp_ack_snd_check, tcp.c tcp_cleanup_rbuf). RFC 5681 4.2: every
   * second full-sized segment, within one delay.
   */
  readonly pacesAcks: boolean = false;
  /**
   * The send queue is a list of buffers, cut at half the largest window and counted with what
   * each costs beside its bytes; one leaves as a burst whose last segment carries PSH, as does
   * the end of each write; it is writable again when a third is free (Linux tcp.c
   * tcp_sendmsg_locked, tcp_push, tcp_output.c tcp_write_xmit, net/core/stream.c). RFC 9293
   * 3.9.1 pushes what empties the queue (MUST-61) and leaves buffers to the implementation.
   */
  readonly keepsBuffers: boolean = false;
  /** Nagle waits only while a small segment is in flight (Minshall; Linux tcp_nagle_check). SHLD-7: while anything is. */
  readonly minshall: boolean = false;
  /** A closed window is probed by a segment without data at SND.UNA-1 (Linux tcp_xmit_probe_skb). RFC 9293 3.8.6.1: one octet of new data. */
  readonly probesWithoutData: boolean = false;
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
  /** What window a segment offers: WINDOW_. */
  readonly window: number = WINDOW_RFC;
  /**
   * A crossing SYN changes nothing of what our SYN offered: the SYN,ACK repeats its options, and
   * windows are scaled by our shift whether or not the peer scales (Linux tcp_send_synack,
   * tcp_rcv_synsent_state_process). R7323-3, R7323-4, R7323-25: only what both offered.
   */
  readonly repeatsOffers: boolean = false;
  /** Which segments are acceptable: ACCEPT_. */
  readonly acceptance: number = ACCEPT_RFC;
  /** Timestamps older than TS.Recent: PAWS_. */
  readonly paws: number = PAWS_RFC;
  /** A segment without the negotiated timestamp is processed (Linux tcp_validate_incoming); RFC 7323 3.2 drops it. */
  readonly toleratesMissingTimestamp: boolean = false;
  /** So is a SYN dropped (FreeBSD tcp_do_segment exempts RST only); else it is challenged as any SYN. */
  readonly dropsUnstampedSyn: boolean = false;
  /** TS.Recent is taken once the ACK proved good, not from an old one (Linux tcp_ack); RFC 7323 4.3 goes by the number alone. */
  readonly stampsByAck: boolean = false;
  /** A challenge ACK waits for net.ipv4.tcp_invalid_ratelimit as any other reply to a bad segment (Linux tcp_send_challenge_ack). */
  readonly challengesByRatelimit: boolean = false;
  /** An ACK of what was never sent is answered with a challenge ACK (Linux tcp_ack); the RFC knows an ordinary one. */
  readonly challengesUnsentAck: boolean = false;
  /**
   * A RST one below RCV.NXT behind the peer's FIN, or at the end of what was received out of
   * order, counts as exact (Linux tcp_reset_check, tcp_validate_incoming). RFC 5961 3.2 knows RCV.NXT only.
   */
  readonly guessesReset: boolean = false;
  /**
   * A RST with ACK, SYN or FIN does not count for a half-open connection: what answers a SYN,ACK
   * has none of them (FreeBSD syncache_chkrst). RFC 9293 looks at the sequence number only.
   */
  readonly bareResetsRequest: boolean = false;
  /** RST after both FINs is an error, too (Linux tcp_reset; FreeBSD tcp_do_segment): ECONNRESET in CLOSING and LAST-ACK. */
  readonly resetAlwaysError: boolean = false;
  /** ABORT in CLOSING and LAST-ACK sends a RST while the FIN waits behind a closed window (Linux tcp_disconnect). */
  readonly resetsUnsent: boolean = false;
  /** The window is taken from any ACK that is new, and at the same numbers only when larger or closed (Linux tcp_may_update_window); RFC 9293 goes by WL1 and WL2. */
  readonly windowByAck: boolean = false;
  /** Text and FIN behind the peer's FIN: BEHIND_. */
  readonly behindFin: number = BEHIND_RFC;
  /** What resets an orphan: ORPHAN_. */
  readonly orphan: number = ORPHAN_RFC;
  /**
   * The ACK of our FIN that ends CLOSING or an orphan's FIN-WAIT-1 is all that counts of its segment
   * (Linux tcp_rcv_state_process: consume); with a FIN on it the orphan stays a connection, since its
   * record would lose that FIN.
   */
  readonly finAckConsumes: boolean = false;
  /** A FIN wins over text beyond it, unless one segment's text covers all of the FIN's segment (Linux tcp_data_queue, tcp_ofo_queue); else whatever came first. */
  readonly finOverText: boolean = false;
  /**
   * Duplicate ACKs count up to one less than the segments in flight; with more, that many are the
   * threshold from then on (Linux tcp_limit_reno_sacked, tcp_check_reno_reordering). RFC 5681 3.2
   * counts three whatever is in flight.
   */
  readonly limitsDuplicates: boolean = false;
  /** A duplicate ACK rides on data that the same segment released (Linux tcp_data_snd_check goes first; FreeBSD tcp_output); RFC 5681 4.2 wants it alone. */
  readonly ackRidesOnData: boolean = false;
  /** A FIN that crosses ours is acknowledged by itself, before anything else leaves (Linux tcp_fin). */
  readonly acksCrossingFin: boolean = false;
  /** A FIN without text waits for a window, too (Linux tcp_snd_wnd_test); RFC 9293 lets control bits through a closed one. */
  readonly finNeedsWindow: boolean = false;
  /** When the peer took back its window, ACKs carry its end in place of SND.NXT (Linux tcp_acceptable_seq). */
  readonly acksInWindow: boolean = false;
  /** An ICMP error that quotes SND.NXT, a segment without text, is noted (Linux tcp_v4_err); RFC 5927 4.1 wants something in flight. */
  readonly icmpAtSndNxt: boolean = false;
  /** close() with text unread: UNREAD_. */
  readonly unreadClose: number = UNREAD_RST;
  /**
   * With auto-tuning the window opens from 64 KiB to the whole buffer as segments arrive, so that
   * a peer that sends little cannot claim much (Linux tcp_grow_window, rcv_ssthresh). RFC 9293 leaves it open.
   */
  readonly opensByArrival: boolean = false;
  /**
   * Windows are counted in segments: cwnd, what PRR lets out, CUBIC's curve in the integers of
   * tcp_cubic.c with HyStart; ssthresh comes from cwnd, not from FlightSize, and cwnd grows
   * by what was delivered (tcp_cwnd_reduction, bictcp_update, tcp_cong_control). CUBIC's alpha stays
   * as it is where R9438-6 makes it 1 from cwnd_prior on (bictcp_update, tcp_friendliness). A retransmission
   * that is lost costs no second reduction (tcp_enter_recovery), where R5681-37 asks for one.
   */
  readonly countsSegments: boolean = false;
  /** A SACK block that covers a segment in part says nothing of it (tcp_match_skb_to_sack). */
  readonly sacksWhole: boolean = false;
  /**
   * The smallest RTO bounds the variance, not the sum, every ACK gives a sample, and the
   * variance falls once a round trip (tcp_rtt_estimator, tcp_set_rto). RFC 6298 bounds the sum.
   */
  readonly boundsVariance: boolean = false;
  /** Added to the reordering timer and to a probe timeout, ms (TCP_TIMEOUT_MIN_US). */
  readonly timerSlack: number = 0;
  /** Knob tcp_slow_start_after_idle 1 halves cwnd for each RTO of idleness (tcp_cwnd_restart). */
  readonly decaysWhenIdle: boolean = false;
}

class Linux extends Dialect {
  override readonly name = 'linux';
  override readonly requestSockets = true;
  override readonly queuesByBacklog = true;
  override readonly synsAreErrors = true;
  override readonly icmpEndsOpening = true;
  override readonly synAgainAfter = 8;
  override readonly pawsInSynSent = true;
  override readonly acksCrossingSyn = true;
  override readonly dropsSynText = true;
  override readonly synsForgiven = 1;
  override readonly acksMarksAtOnce = true;
  override readonly opensByArrival = true;
  override readonly believesTooBig = true;
  override readonly burstsAfterTooBig = true;
  override readonly leastPathForZero = true;
  override readonly markFloor = 2;
  override readonly pacesAcks = true;
  override readonly keepsBuffers = true;
  override readonly minshall = true;
  override readonly probesWithoutData = true;
  override readonly steadyRecovery = true;
  override readonly dropsWithoutAck = true;
  override readonly acceptance = ACCEPT_LINUX;
  override readonly paws = PAWS_LINUX;
  override readonly toleratesMissingTimestamp = true;
  override readonly stampsByAck = true;
  override readonly challengesByRatelimit = true;
  override readonly challengesUnsentAck = true;
  override readonly guessesReset = true;
  override readonly resetAlwaysError = true;
  override readonly resetsUnsent = true;
  override readonly windowByAck = true;
  override readonly behindFin = BEHIND_LINUX;
  override readonly orphan = ORPHAN_LINUX;
  override readonly finAckConsumes = true;
  override readonly finOverText = true;
  override readonly limitsDuplicates = true;
  override readonly ackRidesOnData = true;
  override readonly acksCrossingFin = true;
  override readonly finNeedsWindow = true;
  override readonly acksInWindow = true;
  override readonly icmpAtSndNxt = true;
  override readonly unreadClose = UNREAD_RST_ALWAYS;
  override readonly countsSegments = true;
  override readonly sacksWhole = true;
  override readonly boundsVariance = true;
  override readonly timerSlack = 2;
  override readonly decaysWhenIdle = true;
  override readonly window = WINDOW_LINUX;
  override readonly repeatsOffers = true;
}

class FreeBsd extends Dialect {
  override readonly name = 'freebsd';
  override readonly markFloor = 2;
  override readonly steadyRecovery = true;
  override readonly scaleFirst = true;
  override readonly wholeSegments = true;
  override readonly window = WINDOW_AT_ONCE;
  override readonly acceptance = ACCEPT_BSD;
  override readonly paws = PAWS_BSD;
  override readonly dropsUnstampedSyn = true;
  override readonly bareResetsRequest = true;
  override readonly resetAlwaysError = true;
  override readonly behindFin = BEHIND_BSD;
  override readonly orphan = ORPHAN_BSD;
  override readonly ackRidesOnData = true;
  override readonly unreadClose = UNREAD_FIN;
  override readonly believesTooBig = true;
  override readonly burstsAfterTooBig = true;
}

/** By the knob's value. */
export const dialects: readonly Dialect[] = [new Dialect(), new Linux(), new FreeBsd()];
