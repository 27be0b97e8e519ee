/**
 * TCP_INFO as far as the protocol decides it: names of linux/tcp.h without `tcpi_`. The rest are
 * times, and what is computed from them (docs/diff.md).
 */
const COMPARED: readonly string[] = (
  'ca_state retransmits probes backoff options snd_wscale rcv_wscale unacked sacked lost retrans fackets pmtu ' +
  'rcv_ssthresh reordering total_retrans max_pacing_rate bytes_acked bytes_received segs_out segs_in ' +
  'notsent_bytes data_segs_in data_segs_out bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd'
).split(' ');

/** Guesses until the peer's SYN has said its sizes. */
const AGREED: readonly string[] = 'snd_mss rcv_mss advmss snd_cwnd snd_ssthresh'.split(' ');

const ALL = [...COMPARED, ...AGREED];

/**
 * The names that are compared in a state of the connection: none in SYN-RECEIVED, where a request
 * socket has none or both SYNs crossed, which is a known difference; none of what is left behind.
 */
export function comparedInfo(state: string): readonly string[] {
  if (['SYN-RECEIVED', 'TIME-WAIT', 'CLOSED'].includes(state)) return [];
  return state === 'SYN-SENT' ? COMPARED : ALL;
}
