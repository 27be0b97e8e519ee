/**
 * Every packet that leaves the plain path carries one of these reasons: why it was
 * dropped, answered, accepted. The same id appears in the trace, as the packet's
 * comment in pcapng, in the ladder, in counters and in JSON.
 *
 * One row per reason: [id, what happened and why, where the rule stands].
 * Ids are stable names; numbers are positions in this list and private to a run. A
 * program may add rows for the rules of its own policies: `addReason`.
 */
const rows = [
  ['plain', 'processed on the ordinary path', 'RFC 9293 3.10'],
  // IP and demultiplexing
  ['ip-header', 'dropped: the IP header is truncated or its lengths lie', 'RFC 1122 3.2.1'],
  ['ip-checksum', 'dropped: the IPv4 header checksum is wrong', 'RFC 1122 3.2.1.2'],
  [
    'ip-address',
    'dropped: the destination is not an address of this stack',
    'RFC 1122 3.2.1.3, RFC 4291 2.8',
  ],
  [
    'ip-source',
    'dropped: the source address can never be a peer (broadcast, multicast, unspecified, loopback or our own)',
    'RFC 9293 MUST-57, MUST-63',
  ],
  [
    'ip-source-route',
    'dropped: the packet brought a source route, along which we would have to answer',
    'Note: deviation from RFC 9293 MUST-53; Linux and FreeBSD do so unless accept_source_route, accept_sourceroute is 1',
  ],
  [
    'ip-fragment',
    'dropped: fragments are not reassembled',
    'Note: deviation, a TCP that honours path MTU never sends them',
  ],
  ['ip-protocol', 'dropped: no protocol of this number here', 'RFC 1122 3.2.2.1'],
  ['tcp-header', 'dropped: the TCP header is truncated or its data offset lies', 'RFC 9293 3.1'],
  ['tcp-checksum', 'dropped: the TCP checksum is wrong', 'RFC 9293 MUST-3'],
  ['tcp-option', 'dropped: an option has an impossible length', 'RFC 9293 MUST-7'],
  ['icmp-echo', 'answered: echo reply', 'RFC 1122 3.2.2.6, RFC 4443 4.2'],
  ['icmp-limited', 'dropped: the echo replies of this second are used up', 'RFC 4443 2.4(f)'],
  ['icmp-bad', 'dropped: ICMP message truncated or with a wrong checksum', 'RFC 1122 3.2.2'],
  ['icmp-unmatched', 'dropped: the ICMP error names no connection of ours', 'RFC 9293 MUST-54'],
  [
    'icmp-out-of-window',
    'dropped: the ICMP error quotes a sequence number that is not in flight',
    'RFC 5927 4.1',
  ],
  ['icmp-soft', 'noted: soft ICMP error, kept for the report of a later failure', 'RFC 9293 MUST-56'],
  [
    'icmp-hard',
    'aborted: hard ICMP error before the connection was synchronized',
    'RFC 9293 SHLD-26, RFC 5927 5.2',
  ],
  ['icmp-hard-as-soft', 'noted: hard ICMP error on a synchronized connection counts as soft', 'RFC 5927 5.2'],
  ['icmp-pmtu', 'path MTU lowered to what the ICMP error says', 'RFC 1191 3, RFC 8201 4'],
  [
    'icmp-pmtu-ignored',
    'dropped: the path MTU it claims is not below the present one, or too small',
    'RFC 5927 7',
  ],
  [
    'icmp-pmtu-pending',
    'noted: larger packets were acknowledged, so a smaller path MTU is believed after a timeout only',
    'RFC 5927 7.2',
  ],
  ['icmp-quench', 'dropped: source quench', 'RFC 9293 MUST-55'],
  // CLOSED and LISTEN
  ['closed-rst', 'answered RST: no connection and no listener', 'RFC 9293 3.10.7.1'],
  ['closed-rst-in', 'dropped: RST for a connection that does not exist', 'RFC 9293 3.10.7.1'],
  ['listen-rst-in', 'dropped: RST to a listener', 'RFC 9293 3.10.7.2 first'],
  ['listen-ack', 'answered RST: an ACK to a listener', 'RFC 9293 3.10.7.2 second'],
  ['listen-no-syn', 'dropped: neither SYN nor anything else a listener takes', 'RFC 9293 3.10.7.2 fourth'],
  [
    'listen-syn-fin',
    'dropped: SYN with FIN to a listener',
    'Linux tcp_rcv_state_process; FreeBSD drop_synfin',
  ],
  [
    'listen-syn-queue-full',
    'dropped: the queue of half-open connections is full',
    'RFC 4987 3; listen(2) backlog',
  ],
  [
    'listen-syn-kept',
    'dropped: the rest of the queue is for addresses that have completed a handshake lately',
    'Linux tcp_conn_request; knobs net.ipv4.tcp_syncookies 0, net.ipv4.tcp_max_syn_backlog',
  ],
  [
    'syn-cookie',
    'answered SYN,ACK and forgotten: the queue of half-open connections is full, the cookie in its ISN brings the client back',
    'RFC 4987 3.6; knob net.ipv4.tcp_syncookies',
  ],
  [
    'syn-cookie-rate',
    'dropped: more SYNs than get a cookie, and this one’s address has not completed a handshake lately',
    'Linux tcp_peer_is_proven; knob tcp_syn_cookie_rate',
  ],
  [
    'listen-accept-queue-full',
    'dropped: the accept queue is full',
    'Linux tcp_v4_syn_recv_sock; listen(2) backlog',
  ],
  [
    'listen-defer-accept',
    'dropped: the handshake is complete, but the listener waits for data',
    'Linux tcp_check_req; tcp(7) TCP_DEFER_ACCEPT',
  ],
  ['listen-memory', 'dropped: the stack is at its connection or memory limit', 'knob tcp_max_connections'],
  // SYN-SENT
  ['synsent-bad-ack', 'answered RST: the ACK does not acknowledge our SYN', 'RFC 9293 3.10.7.3 first'],
  [
    'synsent-bad-ack-rst',
    'dropped: RST that does not acknowledge our SYN',
    'RFC 9293 3.10.7.3 second, RFC 5961 3.2',
  ],
  ['synsent-refused', 'connection refused: RST that acknowledges our SYN', 'RFC 9293 3.10.7.3 second'],
  ['synsent-no-syn', 'dropped: neither SYN nor RST', 'RFC 9293 3.10.7.3 fifth'],
  [
    'synsent-paws',
    'answered RST: the SYN,ACK echoes a timestamp we never sent',
    'Linux tcp_rcv_synsent_state_process (PAWSActive)',
  ],
  ['simultaneous-open', 'answered SYN,ACK: both ends opened at once', 'RFC 9293 3.10.7.3 fourth, MUST-10'],
  // Synchronized states
  ['paws', 'answered ACK: the timestamp is older than the last one seen', 'RFC 7323 5.3 R1'],
  [
    'paws-quiet',
    'dropped: an old timestamp on a segment that brings nothing',
    'Linux tcp_disordered_ack_check; FreeBSD tcp_do_segment',
  ],
  ['missing-timestamp', 'dropped: the timestamps that were negotiated are missing', 'RFC 7323 3.2'],
  ['not-acceptable', 'answered ACK: outside the receive window', 'RFC 9293 3.10.7.4 first'],
  ['not-acceptable-rst', 'dropped: RST outside the receive window', 'RFC 5961 3.2 (1)'],
  ['rst', 'reset by the peer: RST at exactly RCV.NXT', 'RFC 9293 3.10.7.4 second, RFC 5961 3.2 (2)'],
  ['rst-challenge', 'answered challenge ACK: RST inside the window, not at RCV.NXT', 'RFC 5961 3.2 (3)'],
  [
    'rst-not-bare',
    'dropped: a RST that answers our SYN,ACK carries no ACK, SYN or FIN',
    'FreeBSD tcp_syncache.c syncache_chkrst; RFC 9293 3.10.7.1',
  ],
  [
    'rst-syn-received',
    'half-open connection reset, back to LISTEN',
    'RFC 9293 3.10.7.4 second, SYN-RECEIVED',
  ],
  [
    'request-syn',
    'answered RST: a SYN in the window ends the half-open connection',
    'Linux tcp_check_req; RFC 9293 3.10.7.4 fourth, SYN-RECEIVED',
  ],
  ['syn-challenge', 'answered challenge ACK: SYN on a synchronized connection', 'RFC 5961 4.2'],
  [
    'syn-retransmitted',
    'answered SYN,ACK again: the peer repeats its SYN',
    'RFC 9293 3.10.7.4 first; practice of every stack',
  ],
  ['no-ack-flag', 'dropped: no ACK flag', 'RFC 9293 3.10.7.4 fifth'],
  [
    'syn-received-bad-ack',
    'answered RST: the ACK does not complete the handshake',
    'RFC 9293 3.10.7.4 fifth, SYN-RECEIVED',
  ],
  ['ack-unsent', 'answered ACK: it acknowledges what was never sent', 'RFC 9293 3.10.7.4 fifth'],
  [
    'ack-too-old',
    'answered challenge ACK: the acknowledgment is older than the largest window',
    'RFC 5961 5.2',
  ],
  ['challenge-limited', 'dropped: the challenge ACKs of this period are used up', 'RFC 5961 7'],
  [
    'data-after-close',
    'answered RST: data for a connection whose user has gone',
    'RFC 9293 3.6.1, SHLD-3; RFC 1122 4.2.2.13',
  ],
  ['data-after-fin', "dropped: data behind the peer's own FIN", 'RFC 9293 3.10.7.4 seventh'],
  [
    'reset-across-fin',
    "answered RST: data that begins before the peer's FIN and ends behind it",
    'Linux tcp_rcv_state_process',
  ],
  ['fin-ack-consumed', 'dropped behind its ACK, which was that of our FIN', 'Linux tcp_rcv_state_process'],
  [
    'out-of-order',
    'queued and answered with a duplicate ACK: there is a hole before it',
    'RFC 5681 4.2, RFC 9293 SHLD-31',
  ],
  [
    'out-of-order-full',
    'dropped: the reassembly queue of this connection is full',
    'knob tcp_max_reassembly',
  ],
  ['receive-full', 'dropped: no receive memory left', 'knob tcp_mem'],
  ['duplicate', 'answered ACK: all of it was received before', 'RFC 9293 3.10.7.4 first'],
  ['zero-window-probe', 'answered ACK: a probe of our closed window', 'RFC 9293 3.8.6.1, MUST-36'],
  [
    'orphan-limit',
    'aborted: more orphans than the limit',
    'knob net.ipv4.tcp_max_orphans; Linux tcp_check_oom',
  ],
  // Timers and user calls
  ['user-timeout', 'aborted: nothing was acknowledged for the user timeout', 'RFC 9293 3.10.8, RFC 5482'],
  ['retries-used-up', 'aborted: the retransmissions reached R2', 'RFC 9293 MUST-20'],
  ['keepalive-dead', 'aborted: no keep-alive probe was answered', 'RFC 9293 3.8.4'],
  ['linger-abort', 'RST sent: closed with linger 0', 'RFC 9293 3.10.5; SO_LINGER'],
  ['unread-abort', 'RST sent: closed while received data was unread', 'RFC 9293 SHLD-3'],
  ['user-abort', 'RST sent: aborted by the user', 'RFC 9293 3.10.5'],
  ['fin-wait-2-timeout', 'orphan in FIN-WAIT-2 given up', 'knob net.ipv4.tcp_fin_timeout'],
  // TIME-WAIT
  ['tw-enter', 'entered TIME-WAIT', 'RFC 9293 3.10.7.4 eighth, MUST-13'],
  ['tw-fin-wait-2', 'orphan kept as a record in FIN-WAIT-2', 'Linux tcp_time_wait'],
  ['tw-expired', 'TIME-WAIT over', 'RFC 9293 3.10.8'],
  ['tw-dropped', 'TIME-WAIT ended by hand', 'FreeBSD tcpdrop; Linux ss -K'],
  ['tw-none', 'no TIME-WAIT: this policy keeps none', 'policy'],
  ['tw-local-bypass', 'no TIME-WAIT: the peer is local', 'FreeBSD 14 net.inet.tcp.nolocaltimewait; illumos'],
  [
    'tw-held-by-peer',
    'no TIME-WAIT: both ends agreed by option that the active opener holds it',
    'Faber, Touch, Yue 1999 (TIME-WAIT negotiation)',
  ],
  [
    'tw-taken-over',
    "TIME-WAIT held by the passive closer, which is the client; a RST may have removed the server's record",
    'Faber, Touch, Yue 1999 (client keeps TIME-WAIT)',
  ],
  ['tw-table-full', 'no TIME-WAIT: the table is full', 'Linux tcp_max_tw_buckets (TCPTimeWaitOverflow)'],
  ['tw-evicted', 'TIME-WAIT cut short: the oldest record made room', 'FreeBSD <= 13 maxtcptw; lwIP'],
  ['tw-paws', 'answered ACK: older timestamp in TIME-WAIT', 'RFC 7323 5.3 R1'],
  ['tw-paws-linux', 'answered ACK, TIME-WAIT restarted: older timestamp', 'Linux tcp_timewait_state_process'],
  ['tw-paws-rst', 'dropped: RST with an older timestamp', 'Linux tcp_timewait_state_process'],
  ['tw-paws-silent', 'dropped silently: older timestamp in TIME-WAIT', 'OpenBSD, macOS tcp_input'],
  ['tw-missing-timestamp', 'dropped: the timestamps that were negotiated are missing', 'RFC 7323 3.2'],
  ['tw-not-acceptable', 'answered ACK: outside the window of the old connection', 'RFC 9293 3.10.7.4 first'],
  [
    'tw-syn-refused',
    'answered ACK: a SYN cannot reopen the connection before 2*MSL is over',
    'RFC 9293 3.6.1; RFC 9293 3.10.7.4 fourth',
  ],
  ['tw-syn-in-window', 'answered challenge ACK: SYN in TIME-WAIT', 'RFC 5961 4.2; RFC 9293 3.10.7.4 fourth'],
  [
    'tw-syn-accepted',
    'accepted: SEG.SEQ is above RCV.NXT, the record gives way to the new connection',
    'FreeBSD tcp_twcheck; RFC 1122 4.2.2.13',
  ],
  [
    'tw-syn-accepted-linux',
    'accepted: higher sequence number or newer timestamp',
    'Linux tcp_timewait_state_process; RFC 1122 4.2.2.13, RFC 6191',
  ],
  [
    'tw-syn-accepted-any',
    'accepted: this system takes any SYN in TIME-WAIT, whatever its sequence number',
    'Windows 2000 (Microsoft KB261218); Windows with a newer timestamp (unverified)',
  ],
  [
    'tw-syn-accepted-at',
    'accepted: SEG.SEQ is at or above RCV.NXT, the record gives way to the new connection',
    'VPP syn_during_timewait',
  ],
  [
    'tw-syn-beyond-window',
    'accepted: SEG.SEQ is above RCV.NXT and beyond the window, the record gives way to the new connection',
    'illumos tcp_time_wait_processing',
  ],
  [
    'tw-syn-accepted-stamp',
    'accepted: the timestamp is newer than the last one of the old connection',
    'RFC 6191 2',
  ],
  [
    'tw-syn-accepted-first-stamp',
    'accepted: it offers timestamps, which the old connection did not use',
    'RFC 6191 2',
  ],
  [
    'tw-syn-nobody',
    'dropped silently: the SYN could reopen, but nobody listens',
    'gVisor handleTimeWaitSegments',
  ],
  [
    'tw-syn-unheard',
    'record deleted without a word: the SYN was taken, but nobody listens',
    'illumos tcp_time_wait_processing; VPP tcp46_listen_inline',
  ],
  [
    'tw-syn-ack-reset',
    'answered RST, record deleted: a SYN,ACK was taken for a SYN and given to the listener',
    'gVisor handleTimeWaitSegment; illumos tcp_time_wait_processing',
  ],
  [
    'tw-syn-reset',
    'answered RST, TIME-WAIT kept: SYN inside the window',
    'illumos tcp_time_wait_processing; lwIP tcp_timewait_input; RFC 1122 4.2.2.13',
  ],
  [
    'tw-syn-kill',
    'answered RST, record deleted: SYN inside the window',
    'RFC 793 3.9 fourth; 4.4BSD tcp_input',
  ],
  [
    'tw-syn-vestigial',
    'answered RST, TIME-WAIT kept: a vestigial record is never reopened',
    'NetBSD tcp_vtw_input',
  ],
  [
    'tw-syn-older',
    'dropped silently: SYN with a timestamp older than the last one of the old connection',
    'RFC 6191 2',
  ],
  ['tw-syn-below', 'dropped silently: SYN with SEG.SEQ below RCV.NXT', 'VPP syn_during_timewait'],
  ['tw-syn-low', 'dropped silently: SYN with SEG.SEQ at or below RCV.NXT', 'FreeBSD tcp_twcheck'],
  [
    'tw-syn-low-linux',
    'answered ACK: SYN with neither a higher sequence number nor a newer timestamp',
    'Linux tcp_timewait_state_process',
  ],
  ['tw-syn-no-listener', 'answered ACK: the SYN could reopen, but nobody listens', 'Linux tcp_v4_rcv'],
  ['tw-rst-kill', 'TIME-WAIT assassinated: RST at exactly RCV.NXT', 'RFC 9293 3.10.7.4 second; RFC 1337 2'],
  [
    'tw-rst-kill-window',
    'TIME-WAIT assassinated: RST inside the window',
    'RFC 793 3.9; illumos tcp_time_wait_processing; smoltcp Socket::process',
  ],
  [
    'tw-rst-kill-any',
    'TIME-WAIT assassinated: RST, whatever its sequence number',
    'Windows 2000 (Microsoft KB261218 states no test)',
  ],
  ['tw-rst-ignored', 'dropped: RST is ignored in TIME-WAIT', 'RFC 1337 3 (F1)'],
  ['tw-rst-challenge', 'answered challenge ACK: RST inside the window in TIME-WAIT', 'RFC 5961 3.2 (3)'],
  ['tw-rst-out', 'dropped: RST that is not at RCV.NXT', 'RFC 5961 3.2 (1)'],
  ['tw-fin-again', 'answered ACK, TIME-WAIT restarted: the peer repeats its FIN', 'RFC 9293 3.10.7.4 eighth'],
  [
    'tw-fin-again-kept',
    'answered ACK, timer untouched: the peer repeats its FIN',
    '4.4BSD, NetBSD, OpenBSD, macOS tcp_input',
  ],
  ['tw-data-old', 'answered ACK: old data in TIME-WAIT', 'RFC 9293 3.10.7.4 first'],
  ['tw-data-new', "dropped: data beyond the peer's FIN", 'RFC 9293 3.10.7.4 seventh'],
  [
    'tw-data-reset',
    'answered RST, record deleted: data that nobody can read any more',
    '4.4BSD, NetBSD, OpenBSD, macOS tcp_input; RFC 1122 4.2.2.13',
  ],
  ['tw-data-reset-kept', 'answered RST, TIME-WAIT kept: data after the end', 'NetBSD tcp_vtw_input'],
  ['tw-ack', 'dropped: bare ACK in TIME-WAIT', 'RFC 9293 3.10.7.4 fifth'],
  ['tw-ack-restart', 'dropped, TIME-WAIT restarted: bare ACK at RCV.NXT', 'Linux tcp_timewait_state_process'],
  ['tw-segment-restart', 'answered ACK, TIME-WAIT restarted', 'Linux tcp_timewait_state_process'],
  ['tw-segment-ack', 'answered ACK', 'FreeBSD tcp_twcheck'],
  ['tw-no-ack-flag', 'dropped: no ACK flag', 'RFC 9293 3.10.7.4 fifth; FreeBSD tcp_twcheck'],
  ['tw-ack-unsent', 'answered ACK: it acknowledges what was never sent', 'RFC 9293 3.10.7.4 fifth'],
  [
    'tw-ack-other',
    'dropped: it acknowledges something else than all we sent',
    'smoltcp Socket::process; VPP tcp_rcv_ack_no_cc',
  ],
  [
    'tw-ignored',
    "dropped: in TIME-WAIT only a SYN, a RST and the peer's FIN count",
    'Windows 2000 (Microsoft KB261218); smoltcp Socket::process',
  ],
  [
    'tw-flags',
    'dropped: these flags together mean nothing here',
    'VPP tcp_input.c dispatch table; smoltcp TcpRepr::parse',
  ],
  ['tw-limited', 'dropped: the ACK that was due is rate limited', 'Linux tcp_invalid_ratelimit; RFC 5961 7'],
  [
    'tw-returned',
    'back in TIME-WAIT: the SYN that reopened it proved to be an old duplicate',
    'RFC 1122 4.2.2.13 (2)',
  ],
  ['fw2-not-acceptable', 'answered ACK: not acceptable in FIN-WAIT-2', 'Linux tcp_timewait_state_process'],
  ['fw2-reset', 'FIN-WAIT-2 record deleted by RST', 'Linux tcp_timewait_state_process'],
  [
    'fw2-data',
    'answered RST: new data or SYN for an orphan in FIN-WAIT-2',
    'Linux tcp_timewait_state_process',
  ],
  ['fw2-dropped', 'dropped: nothing new for the orphan in FIN-WAIT-2', 'Linux tcp_timewait_state_process'],
  ['fw2-fin', 'answered ACK: the orphan in FIN-WAIT-2 enters TIME-WAIT', 'Linux tcp_timewait_state_process'],
  [
    'recycle-host-stamp',
    'dropped silently: the timestamp is older than the last one of this host (another machine behind the same NAT?)',
    'Linux <= 4.11 tcp_tw_recycle (PAWSPassive)',
  ],
  [
    'recycle-host-no-stamp',
    'dropped silently: no timestamp from a host that sent them within the last 60 s',
    'Linux 4.9 tcp_tw_recycle (PAWSPassive)',
  ],
  [
    'reopen-refused',
    'EADDRNOTAVAIL: the tuple is in TIME-WAIT',
    'RFC 9293 3.10.1 "connection already exists"',
  ],
  [
    'reopen-in-use',
    'EADDRINUSE: the tuple of this bound port is in TIME-WAIT',
    '4.4BSD in_pcbconnect; FreeBSD',
  ],
  [
    'reopen-no-timestamps',
    'EADDRNOTAVAIL: reuse needs timestamps on the old connection',
    'Linux tcp_twsk_unique',
  ],
  [
    'reopen-too-young',
    'EADDRNOTAVAIL: the record is younger than the reuse delay',
    'Linux tcp_tw_reuse_delay',
  ],
  ['reopen-off', 'EADDRNOTAVAIL: reuse is switched off for this tuple', 'Linux tcp_tw_reuse'],
  ['reopen-reused', 'TIME-WAIT reused by our own active open', 'Linux tcp_tw_reuse; RFC 6191'],
  ['reopen-none', 'TIME-WAIT given up: this policy keeps none', 'policy'],
  ['reopen-socket', 'TIME-WAIT given up: the user opens the same socket again', 'smoltcp Socket::connect'],
  [
    'reopen-bound',
    'TIME-WAIT reused at once: the port was bound by hand and timestamps were used',
    'Linux tcp_twsk_unique',
  ],
] as const;

export type BuiltInReasonId = (typeof rows)[number][0];
/** Of the table above, or one that a program added. `string & {}` keeps the known ones in completions. */
export type ReasonId = BuiltInReasonId | (string & {});

/** Numbers of the reasons, for the hot path: `Reason['tw-syn-low']`. */
export const Reason = Object.fromEntries(rows.map(([id], index) => [id, index])) as {
  readonly [Id in BuiltInReasonId]: number;
};

/** Rows of the table; those that a program adds come behind them. */
export const reasonCount = rows.length;
/** Reasons a program may add for the rules of its own policies. */
export const OWN_REASONS = 64;
/** All numbers are below this, those still to be added included: the size of a column of counts. */
export const reasonLimit = reasonCount + OWN_REASONS;

export interface ReasonText {
  readonly id: ReasonId;
  /** One line: what happened and why. */
  readonly text: string;
  /** RFC section or system. */
  readonly source: string;
}

const texts: ReasonText[] = rows.map(([id, text, source]) => ({ id, text, source }));
const numbers = new Map<string, number>(texts.map(({ id }, index) => [id, index]));

/**
 * Adds a reason and returns its number. `id` is of lower-case words joined by '-'. The same row
 * again is the same number. Throws a RangeError: the id means something else already, a text
 * that is not one line, or OWN_REASONS rows were added.
 */
export function addReason(id: string, text: string, source: string): number {
  if (typeof id !== 'string' || !/^(?=.{1,40}$)[a-z0-9]+(-[a-z0-9]+)*$/.test(id)) {
    throw new RangeError(`reason '${id}': an id is of lower-case words joined by '-', at most 40 characters`);
  }
  for (const [what, line] of [
    ['text', text],
    ['source', source],
  ] as const) {
    if (typeof line !== 'string' || !/^[^\p{C}]{1,200}$/u.test(line))
      throw new RangeError(`reason '${id}': its ${what} must be one line of 1 to 200 characters`);
  }
  const known = numbers.get(id);
  if (known !== undefined) {
    const row = texts[known]!;
    if (row.text === text && row.source === source) return known;
    throw new RangeError(`reason '${id}' exists: '${row.text}' [${row.source}]`);
  }
  if (texts.length >= reasonLimit)
    throw new RangeError(`reason '${id}': ${OWN_REASONS} reasons were added, no more fit`);
  numbers.set(id, texts.length);
  return texts.push({ id, text, source }) - 1;
}

/** Number of a reason; null when no row has this id. */
export function findReason(id: string): number | null {
  return numbers.get(id) ?? null;
}

/** Is this the number of a row? */
export function isReason(reason: number): boolean {
  return texts[reason] !== undefined;
}

/** All ids, in the order of their numbers. */
export function reasonIds(): ReasonId[] {
  return texts.map(({ id }) => id);
}

/** The texts of a reason number; for a number that no row has, a text that says so. */
export function reasonText(reason: number): ReasonText {
  return texts[reason] ?? { id: 'unknown', text: `no reason has the number ${reason}`, source: 'reasons.ts' };
}

/** The reason as a packet's comment in captures and ladders: `id: text [source]`; '' for the plain path. */
export function reasonComment(reason: number): string {
  if (reason === Reason.plain) return '';
  const { id, text, source } = reasonText(reason);
  return `${id}: ${text} [${source}]`;
}
