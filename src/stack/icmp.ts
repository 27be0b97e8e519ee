/**
 * ICMP and ICMPv6: echo requests are answered, errors go to the connection they name
 * (MUST-54) after the sequence check of RFC 5927 4.1.
 */
import { after, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import type { ConnectionError } from '../tcp/events.js';
import { fixedHeaders, updateMss } from '../tcp/options.js';
import { fail, report, resendAll } from '../tcp/sender.js';
import * as S from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import {
  ECHO_REQUEST,
  IcmpMessage,
  PACKET_TOO_BIG,
  PARAMETER_PROBLEM,
  SOURCE_QUENCH,
  TIME_EXCEEDED,
  UNREACHABLE,
  isHardError,
  writeEchoReply,
} from '../wire/icmp.js';
import { LOAD_OK } from '../wire/segment.js';
import { RECORD, type Core } from './core.js';
import { rememberPath } from './path.js';

const TCP = 6;
/** What a path may claim: RFC 791 asks for 68, RFC 8200 for 1280 (R8201-1). */
const LEAST_V4 = 68;
const LEAST_V6 = 1280;
/** Below this an IPv4 path is not believed (Linux min_pmtu). */
const SMALLEST_V4 = 552;

const message = new IcmpMessage();

/** An ICMP packet for one of our addresses; the header is in `core.ip`. */
export function icmpArrives(core: Core): number {
  core.count(Mib.IcmpInMsgs);
  if (message.load(core.ip) !== LOAD_OK) {
    core.count(Mib.IcmpInErrors);
    return Reason['icmp-bad'];
  }
  switch (message.kind) {
    case ECHO_REQUEST:
      return echo(core);
    case SOURCE_QUENCH:
      // MUST-55
      return Reason['icmp-quench'];
    case UNREACHABLE:
    case PACKET_TOO_BIG:
      core.count(Mib.IcmpInDestUnreachs);
      return error(core);
    case TIME_EXCEEDED:
      core.count(Mib.IcmpInTimeExcds);
      return error(core);
    case PARAMETER_PROBLEM:
      core.count(Mib.IcmpInParmProbs);
      return error(core);
  }
  return Reason['ip-protocol'];
}

function echo(core: Core): number {
  core.count(Mib.IcmpInEchos);
  const second = (core.ctx.now / 1000) | 0;
  if (second !== core.icmpWindow) {
    core.icmpWindow = second;
    core.icmpCount = 0;
  }
  const { tx, ip } = core;
  if (
    ++core.icmpCount > core.knobs.get('net.ipv4.icmp_ratelimit') ||
    tx.free === 0 ||
    ip.totalLength > tx.slotSize
  ) {
    core.count(Mib.IcmpOutRateLimited);
    return Reason['icmp-limited'];
  }
  tx.push(writeEchoReply(ip, tx.bytes, tx.tailOffset()), Reason['icmp-echo']);
  core.count(ip.version === 6 ? Mib.Ip6OutRequests : Mib.IpOutRequests);
  core.count(Mib.IcmpOutEchoReps);
  return Reason['icmp-echo'];
}

/** RFC 9293 3.9.2.2, RFC 5927. */
function error(core: Core): number {
  const m = message;
  if (!m.quotedOk || m.quotedProtocol !== TCP) return Reason['icmp-unmatched'];
  // The quoted packet is one of ours: its source is our end.
  const handle = core.flows.find(
    m.src0,
    m.src1,
    m.src2,
    m.src3,
    m.dst0,
    m.dst1,
    m.dst2,
    m.dst3,
    m.srcPort,
    m.dstPort,
  );
  if (handle < 0 || (handle & RECORD) !== 0) return Reason['icmp-unmatched'];
  const tcb = core.tcbs[handle]!;
  // RFC 5927 4.1: it must quote something in flight
  if (before(m.seq, tcb.sndUna) || !after(tcb.sndNxt, m.seq)) {
    core.count(Mib.TcpExtOutOfWindowIcmps);
    return Reason['icmp-out-of-window'];
  }
  if (m.kind === PACKET_TOO_BIG) return tooBig(core, tcb, m.mtu);
  const errno = errnoOf(m);
  const synchronizedState = tcb.state >= S.ESTABLISHED;
  const named = isHardError(m) && errno === 'EHOSTUNREACH' ? hardErrno(m.code) : errno;
  if (isHardError(m) && !synchronizedState) {
    core.count(Mib.TcpAttemptFails);
    fail(core.ctx, tcb, named);
    return Reason['icmp-hard'];
  }
  report(core.ctx, tcb, named);
  return isHardError(m) ? Reason['icmp-hard-as-soft'] : Reason['icmp-soft'];
}

/** Destination unreachable code 2..4: protocol and port unreachable mean refused. */
function hardErrno(code: number): ConnectionError {
  return code === 2 || code === 3 || code === 4 ? 'ECONNREFUSED' : 'EHOSTUNREACH';
}

/** Codes that speak of a network, not of a host: RFC 792, RFC 1122 3.2.2.1, RFC 4443 3.1 (no route). */
function errnoOf(m: IcmpMessage): ConnectionError {
  if (m.kind === PARAMETER_PROBLEM) return 'EPROTO';
  if (m.kind !== UNREACHABLE) return 'EHOSTUNREACH';
  const { code } = m;
  const network = code === 0 || (m.family === 4 && (code === 6 || code === 9 || code === 11));
  return network ? 'ENETUNREACH' : 'EHOSTUNREACH';
}

/** RFC 1191 3, RFC 8201 4: smaller segments from now on, what was lost is resent at once. */
function tooBig(core: Core, tcb: Tcb, mtu: number): number {
  const claimed = tcb.version === 4 ? Math.max(mtu, SMALLEST_V4) : mtu;
  if (mtu < (tcb.version === 4 ? LEAST_V4 : LEAST_V6) || claimed >= tcb.pathMtu)
    return Reason['icmp-pmtu-ignored'];
  tcb.pathMtu = claimed;
  const former = tcb.mss;
  updateMss(tcb);
  rememberPath(core, tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3, claimed);
  // The packet was dropped, the path is not congested: R5681-8, as many segments as before, smaller ones.
  const { congestion } = tcb;
  congestion.cwnd = Math.max(tcb.mss, Math.trunc((congestion.cwnd * tcb.mss) / former));
  if (tcb.state >= S.ESTABLISHED) resendAll(tcb);
  else if (tcb.synText > 0) {
    // RFC 7413 4.2.1: a plain SYN in place of the one that was too big
    tcb.advMss = Math.min(tcb.advMss, claimed - fixedHeaders(tcb.version));
    tcb.synOwed = true;
  }
  core.ctx.markReady(tcb);
  return Reason['icmp-pmtu'];
}
