/** TCP_INFO as Linux fills it (tcp_info in linux/tcp.h), from what our stack knows. */
import type { TcpInfo } from '../stack/api.js';
import type { Value } from './script.js';

/** RFC names of states to the kernel's numbers (net/tcp_states.h). */
export const stateNumbers: Readonly<Record<string, number>> = {
  ESTABLISHED: 1,
  'SYN-SENT': 2,
  'SYN-RECEIVED': 3,
  'FIN-WAIT-1': 4,
  'FIN-WAIT-2': 5,
  'TIME-WAIT': 6,
  CLOSED: 7,
  'CLOSE-WAIT': 8,
  'LAST-ACK': 9,
  LISTEN: 10,
  CLOSING: 11,
};

/** The first octets of struct tcp_info (linux/tcp.h); two of bit fields follow them. */
export const infoOctets: readonly string[] = 'state ca_state retransmits probes backoff options'.split(' ');

/** Fields behind these eight octets, without gaps: name (of four octets unless said) and place. */
export const infoLayout: readonly { readonly name: string; readonly at: number; readonly size: number }[] =
  placed(
    'rto ato snd_mss rcv_mss unacked sacked lost retrans fackets ' +
      'last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar ' +
      'snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans ' +
      'pacing_rate:8 max_pacing_rate:8 bytes_acked:8 bytes_received:8 segs_out segs_in ' +
      'notsent_bytes min_rtt data_segs_in data_segs_out delivery_rate:8 ' +
      'busy_time:8 rwnd_limited:8 sndbuf_limited:8 delivered delivered_ce ' +
      'bytes_sent:8 bytes_retrans:8 dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash ' +
      'total_rto:2 total_rto_recoveries:2 total_rto_time received_ce ' +
      'delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes ' +
      'received_e1_bytes received_e0_bytes received_ce_bytes',
  );

function placed(fields: string): { name: string; at: number; size: number }[] {
  let next = 8;
  return fields.split(' ').map((field) => {
    const [name, octets] = field.split(':');
    const size = Number(octets ?? 4);
    const at = next;
    next += size;
    return { name: `tcpi_${name}`, at, size };
  });
}

const caStates: Readonly<Record<string, number>> = { open: 0, disorder: 1, cwr: 2, recovery: 3, loss: 4 };

/** No slow start threshold yet: ours in bytes, Linux's in segments. */
const NO_SSTHRESH = 2 ** 30 - 1;
const INFINITE_SSTHRESH = 0x7fffffff;

/** No limit of the rate: all bits of 64 set. */
const NO_RATE = 2 ** 64;

/** Windows in segments and times in microseconds, as there. A field our stack does not count is 0. */
export function tcpInfoFields(info: TcpInfo): Map<string, number> {
  const segments = (bytes: number): number => Math.ceil(bytes / Math.max(1, info.sndMss));
  const rate = (bytes: number): number => (bytes < Infinity ? Math.floor(bytes) : NO_RATE);
  const options =
    (info.timestamps ? 1 : 0) |
    (info.sack ? 2 : 0) |
    (info.scaling ? 4 : 0) |
    (info.ecn ? 8 : 0) |
    (info.ecnSeen ? 16 : 0) |
    (info.synData ? 32 : 0) |
    (info.fastOpenChild ? 128 : 0);
  const fields: Record<string, number> = {
    state: stateNumbers[info.state] ?? 7,
    ca_state: caStates[info.caState] ?? 0,
    retransmits: info.retrans,
    probes: info.probes,
    backoff: info.backoff,
    options,
    snd_wscale: info.sndWscale,
    rcv_wscale: info.rcvWscale,
    rto: 1000 * info.rto,
    ato: 1000 * info.ackDelay,
    snd_mss: info.sndMss,
    rcv_mss: info.rcvMss,
    unacked: info.inFlight,
    // Without SACK a duplicate ACK stands for a segment
    sacked: info.sack ? segments(info.sacked) : info.dupAcks,
    lost: segments(info.lost),
    retrans: segments(info.resent),
    pmtu: info.pmtu,
    rcv_ssthresh: info.rcvOffer,
    rtt: Math.round(1000 * info.srtt),
    rttvar: Math.round(1000 * info.rttvar),
    snd_ssthresh: info.sndSsthresh < NO_SSTHRESH ? segments(info.sndSsthresh) : INFINITE_SSTHRESH,
    snd_cwnd: Math.floor(info.sndCwnd / Math.max(1, info.sndMss)),
    advmss: info.advMss,
    reordering: info.reordering,
    reord_seen: info.reorderings,
    min_rtt: info.minRtt === 0 ? 0xffffffff : 1000 * info.minRtt,
    rcv_rtt: Math.round(1000 * info.rcvRtt),
    rcv_space: info.rcvSpace,
    total_retrans: info.totalRetrans,
    pacing_rate: rate(info.pacingRate),
    max_pacing_rate: rate(info.maxPacingRate),
    bytes_acked: info.bytesAcked,
    bytes_received: info.bytesReceived,
    segs_in: info.segsIn,
    segs_out: info.segsOut,
    last_data_sent: info.lastDataSent,
    last_data_recv: info.lastDataRecv,
    last_ack_recv: info.lastAckRecv,
    notsent_bytes: info.notsent,
    busy_time: 1000 * info.busy,
    rwnd_limited: 1000 * info.windowLimited,
    sndbuf_limited: 1000 * info.bufferLimited,
    bytes_sent: info.bytesSent,
    bytes_retrans: info.bytesRetrans,
    data_segs_in: info.dataSegsIn,
    data_segs_out: info.dataSegsOut,
    delivery_rate: info.deliveryRate,
    delivery_rate_app_limited: info.deliveryLimited ? 1 : 0,
    delivered: info.delivered,
    delivered_ce: info.deliveredCe,
    dsack_dups: info.dsacks,
    rcv_ooopack: info.oooSegments,
    fastopen_client_fail: info.fastOpenFailure,
    total_rto: info.timeouts,
    total_rto_recoveries: info.timeoutRuns,
    total_rto_time: info.timeoutTime,
    received_ce: info.received.marked,
    received_e1_bytes: info.received.ect1,
    received_e0_bytes: info.received.ect0,
    received_ce_bytes: info.received.ce,
    snd_wnd: info.sndWnd,
    rcv_wnd: info.rcvWnd,
  };
  const all = new Map(infoLayout.map(({ name }) => [name, 0]));
  for (const [name, value] of Object.entries(fields)) all.set(`tcpi_${name}`, value);
  return all;
}

/** A listener's: its queue and backlog where a connection counts segments. */
export function listenerInfo(waiting: number, backlog: number): Map<string, number> {
  return new Map([
    ['tcpi_state', stateNumbers['LISTEN']!],
    ['tcpi_unacked', waiting],
    ['tcpi_sacked', backlog],
  ]);
}

export function infoRecord(fields: ReadonlyMap<string, number>): Value {
  return {
    kind: 'record',
    fields: new Map([...fields].map(([name, value]): [string, Value] => [name, { kind: 'number', value }])),
  };
}
