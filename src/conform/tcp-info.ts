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
    (info.sndWscale > 0 || info.rcvWscale > 0 ? 4 : 0) |
    (info.ecn ? 8 : 0) |
    (info.ecnSeen ? 16 : 0) |
    (info.synData ? 32 : 0);
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
    unacked: segments(info.unacked),
    sacked: segments(info.sacked),
    lost: segments(info.lost),
    retrans: segments(info.resent),
    fackets: 0,
    pmtu: info.pmtu,
    rcv_ssthresh: info.rcvWnd,
    rtt: Math.round(1000 * info.srtt),
    rttvar: Math.round(1000 * info.rttvar),
    snd_ssthresh: info.sndSsthresh < NO_SSTHRESH ? segments(info.sndSsthresh) : INFINITE_SSTHRESH,
    snd_cwnd: Math.floor(info.sndCwnd / Math.max(1, info.sndMss)),
    advmss: info.advMss,
    reordering: info.reordering,
    reord_seen: info.reorderings,
    min_rtt: info.minRtt === 0 ? 0xffffffff : 1000 * info.minRtt,
    rcv_space: info.rcvWnd,
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
    delivered: info.delivered,
    dsack_dups: info.dsacks,
    rcv_ooopack: info.oooSegments,
    total_rto: info.timeouts,
    snd_wnd: info.sndWnd,
    rcv_wnd: info.rcvWnd,
  };
  return new Map(Object.entries(fields).map(([name, value]) => [`tcpi_${name}`, value]));
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
