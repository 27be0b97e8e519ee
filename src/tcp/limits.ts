/**
 * ACKs that an outsider can provoke, and their limits. Both limits belong to one
 * connection, so they tell nothing about any other (R5961-13).
 */
import { Mib } from '../mib.js';
import { Reason } from '../reasons.js';
import { FIN, SYN, type Segment } from '../wire/segment.js';
import type { TcpContext } from './context.js';
import { ProvokedAcks } from './provoked-acks.js';
import type { Tcb } from './tcb.js';

/** RFC 5961 7: at most `challengeLimit` challenge ACKs in `challengePeriod` ms. */
export function challengeAck(ctx: TcpContext, tcb: Tcb, reason: number): number {
  const { challengeLimit, challengePeriod, dialect } = ctx.config;
  if (dialect.challengesByRatelimit) {
    if (tooSoon(ctx, tcb)) {
      ctx.counters.bump(Mib.TcpExtTCPACKSkippedChallenge);
      return Reason['challenge-limited'];
    }
    ctx.counters.bump(Mib.TcpExtTCPChallengeACK);
    tcb.ackNow = true;
    return reason;
  }
  const provoked = (tcb.provoked ??= new ProvokedAcks());
  if ((ctx.now - provoked.challengedAt) >>> 0 >= challengePeriod || provoked.challenges === 0) {
    provoked.challengedAt = ctx.now;
    provoked.challenges = 0;
  }
  if (provoked.challenges >= challengeLimit) {
    ctx.counters.bump(Mib.TcpExtTCPACKSkippedChallenge);
    return Reason['challenge-limited'];
  }
  provoked.challenges++;
  ctx.counters.bump(Mib.TcpExtTCPChallengeACK);
  tcb.ackNow = true;
  return reason;
}

/**
 * The ACK that answers an unacceptable segment (R9293-5). Empty ones and SYNs are
 * answered once per `invalidRatelimit` ms, or two confused ends could answer each
 * other for ever (Linux tcp_invalid_ratelimit); data and FIN always.
 */
export function outOfWindowAck(
  ctx: TcpContext,
  tcb: Tcb,
  segment: Segment,
  reason: number,
  skipped: number,
): number {
  const empty = segment.payloadLength === 0 && (segment.flags & FIN) === 0;
  if (empty || (segment.flags & SYN) !== 0) {
    if (tooSoon(ctx, tcb)) {
      ctx.counters.bump(skipped);
      return reason;
    }
  }
  tcb.ackNow = true;
  return reason;
}

/** Once per `invalidRatelimit` ms; asking counts when the answer is no. */
function tooSoon(ctx: TcpContext, tcb: Tcb): boolean {
  const provoked = (tcb.provoked ??= new ProvokedAcks());
  if (provoked.answered && (ctx.now - provoked.answeredAt) >>> 0 < ctx.config.invalidRatelimit) return true;
  provoked.answeredAt = ctx.now;
  provoked.answered = true;
  return false;
}
