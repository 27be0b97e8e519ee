/**
 * ICMP and ICMPv6: echo requests are answered, errors go to the connection they name
 * (MUST-54) after the sequence check of RFC 5927 4.1.
 */
import { after, before } from '../seqnum.js';
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import type { ConnectionError } from '../tcp/events.js';
import { plateauBelow, tooBig as pathTooSmall } from '../tcp/path-mtu.js';
import { fail, report } from '../tcp/sender.js';
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
  const { icmpEndsOpening } = core.ctx.config.dialect;
  if (icmpEndsOpening && tcb.halfOpen) return errorForRequest(core, tcb);
  // RFC 5927 4.1: it must quote something in flight
  const atEnd = m.seq === tcb.sndNxt && core.ctx.config.dialect.icmpAtSndNxt;
  if (before(m.seq, tcb.sndUna) || !(after(tcb.sndNxt, m.seq) || atEnd)) {
    core.count(Mib.TcpExtOutOfWindowIcmps);
    return Reason['icmp-out-of-window'];
  }
  if (m.kind === PACKET_TOO_BIG) return tooBig(core, tcb, m);
  const errno = errnoOf(m);
  const synchronizedState = tcb.state >= S.ESTABLISHED;
  const named = isHardError(m) && errno === 'EHOSTUNREACH' ? hardErrno(m.code) : errno;
  const opening = !synchronizedState && (tcb.earlyFrom === null || tcb.owner !== null);
  if (isHardError(m) ? !synchronizedState : icmpEndsOpening && opening) {
    core.count(Mib.TcpAttemptFails);
    fail(core.ctx, tcb, named);
    return Reason['icmp-hard'];
  }
  report(core.ctx, tcb, named);
  return isHardError(m) ? Reason['icmp-hard-as-soft'] : Reason['icmp-soft'];
}

/** Linux tcp_req_err: errors that speak of the host or the path end a request socket, those that speak of a port do not. */
function errorForRequest(core: Core, tcb: Tcb): number {
  const m = message;
  if (m.seq !== tcb.iss) {
    core.count(Mib.TcpExtOutOfWindowIcmps);
    return Reason['icmp-out-of-window'];
  }
  const ends =
    m.family === 4
      ? m.kind === PARAMETER_PROBLEM || m.kind === TIME_EXCEEDED || (m.kind === UNREACHABLE && m.code < 2)
      : m.kind === PARAMETER_PROBLEM || (m.kind === UNREACHABLE && FATAL_V6.includes(m.code));
  if (!ends) return Reason['icmp-soft'];
  core.count(Mib.TcpExtListenDrops);
  fail(core.ctx, tcb, null);
  return Reason['icmp-hard'];
}

/** Unreachable: administratively prohibited, port, policy, reject route (Linux icmpv6_err_convert). */
const FATAL_V6 = [1, 4, 5, 6];

/** Destination unreachable code 2..4: protocol and port unreachable mean refused. */
function hardErrno(code: number): ConnectionError {
  return code === 2 || code === 3 || code === 4 ? 'ECONNREFUSED' : 'EHOSTUNREACH';
}

/**
 * Codes that speak of a network, not of a host: RFC 792, RFC 1122 3.2.2.1, RFC 4443 3.1 (no route);
 * there also what is forbidden: by administration, by policy, by a reject route.
 */
function errnoOf(m: IcmpMessage): ConnectionError {
  if (m.kind === PARAMETER_PROBLEM) return 'EPROTO';
  if (m.kind !== UNREACHABLE) return 'EHOSTUNREACH';
  const { code } = m;
  const network = code === 0 || (m.family === 4 && (code === 6 || code === 9 || code === 11));
  if (m.family === 6 && (code === 1 || code === 5 || code === 6)) return 'EACCES';
  return network ? 'ENETUNREACH' : 'EHOSTUNREACH';
}

/** RFC 1191 3, RFC 8201 4: smaller segments from now on, what was lost is resent at once. */
function tooBig(core: Core, tcb: Tcb, m: IcmpMessage): number {
  const mtu = tcb.version === 4 ? believedV4(core, tcb, m) : m.mtu;
  const least = tcb.version === 4 ? LEAST_V4 : LEAST_V6;
  // R1191-3, R5927-7
  if (mtu < least || mtu >= tcb.pathMtu || !core.ctx.config.pathDiscovery) return Reason['icmp-pmtu-ignored'];
  if (!pathTooSmall(core.ctx, tcb, mtu, m.seq)) return Reason['icmp-pmtu-pending'];
  rememberPath(core, tcb.remote0, tcb.remote1, tcb.remote2, tcb.remote3, mtu);
  return Reason['icmp-pmtu'];
}

/** Knob route.min_pmtu: a smaller path is not believed. */
function believedV4(core: Core, tcb: Tcb, { mtu, quotedLength }: IcmpMessage): number {
  let claimed = mtu;
  if (mtu < LEAST_V4 && !core.ctx.config.dialect.leastPathForZero) {
    // R1191-2
    if (mtu !== 0) return 0;
    // R1191-5
    claimed = plateauBelow(quotedLength === 0 ? tcb.pathMtu : Math.min(quotedLength, tcb.pathMtu));
  }
  return Math.max(claimed, core.knobs.get('net.ipv4.route.min_pmtu'));
}
