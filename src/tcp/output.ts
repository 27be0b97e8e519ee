/**
 * What a connection sends. `decide` is the one place that says why; `output` writes
 * it; nobody else looks at what is owed.
 */
import { after, before, min } from '../seqnum.js';
import { Mib } from '../mib.js';
import { CHECKSUM_OFFLOADED } from '../wire/ring.js';
import { ACK, FIN, PSH, RST, SYN, URG } from '../wire/segment.js';
import { ackLeaves } from './ack.js';
import { checkSpace } from './buffers.js';
import { bundle, segmentsIn } from './bundle.js';
import { holds, nextOfBurst, oneOfBurst, pushes, pushesAgain, unitedBurst } from './burst.js';
import type { TcpContext } from './context.js';
import { fillBlocks } from './dsack.js';
import { handshakeFlags, markOutgoing } from './ecn.js';
import { EV_STAMPED } from './events.js';
import {
  NO_PROBE,
  PROBE_NOW,
  noteSize,
  probeDecision,
  probeLength,
  probeSent as mtuProbeSent,
} from './mtu-search.js';
import { burstBegins, burstLeaves, isHeld } from './pacing.js';
import { forgetOldPath } from './path-mtu.js';
import { emitPlainAck, onlyListens } from './plain-ack.js';
import { countResent } from './repairs.js';
import { SENT, Sent } from './sent.js';
import * as S from './state.js';
import { OPEN, RECOVERY, T_DELACK, T_HOLD, T_PERSIST, type Tcb } from './tcb.js';
import { armSendTimers, schedule } from './timers.js';
import { noteLimits, restartAfterIdle, validate } from './validation.js';
import { offerWindow } from './window.js';
import type { Writes } from './writes.js';

const NOTHING = 0;
const SEND_SYN = 1;
const SEND_ACK = 2;
const SEND_RETRANSMISSION = 3;
const SEND_DATA = 4;
const SEND_PROBE = 5;
const SEND_KEEPALIVE = 6;
const SEND_LAST_ACK = 7;

/** Segments one connection may send before the next one gets its turn. */
const QUOTA = 64;

/** What `decide` chose: sequence number and payload length of the next segment, or of several at once (bundle.ts); `probe`: of the path MTU. */
const choice = { seq: 0, length: 0, probe: false };

/** Shortest and longest wait of the silly-window override, ms (RFC 9293 3.8.6.2.1: 0.1 .. 1 s). */
const OVERRIDE_MIN = 100;
const OVERRIDE_MAX = 1000;

/** Writes what the connection has to say into the transmit ring. True: that was all for now; false: the ring or its quota is full. */
export function output(ctx: TcpContext, tcb: Tcb): boolean {
  const before = tcb.sndNxt;
  const done = speak(ctx, tcb);
  tcb.resending = false;
  if (tcb.sndNxt !== before && tcb.state >= S.ESTABLISHED) validate(ctx, tcb);
  return done;
}

function speak(ctx: TcpContext, tcb: Tcb): boolean {
  for (let sent = 0; sent < QUOTA; sent++) {
    const kind = decide(ctx, tcb);
    if (kind !== NOTHING && ctx.tx.free === 0) return false;
    if (kind === SEND_LAST_ACK) emitPlainAck(ctx, tcb);
    if (kind === NOTHING || kind === SEND_LAST_ACK) {
      if (tcb.chrono.running) noteLimits(ctx, tcb);
      if (ctx.config.dialect.keepsBuffers) checkSpace(ctx, tcb);
      return true;
    }
    emit(ctx, tcb, kind);
  }
  return decide(ctx, tcb) === NOTHING;
}

/** One burst of new data, in the middle of a call that writes more (Linux tcp_push_one). */
export function outputBurst(ctx: TcpContext, tcb: Tcb): void {
  while (ctx.tx.free > 0 && decide(ctx, tcb) === SEND_DATA) {
    emit(ctx, tcb, SEND_DATA);
    if (tcb.sndNxt !== tcb.burstEnd) continue;
    validate(ctx, tcb);
    return;
  }
}

function decide(ctx: TcpContext, tcb: Tcb): number {
  if (onlyListens(tcb)) {
    forgetOldPath(ctx, tcb);
    return tcb.ackNow ? SEND_LAST_ACK : NOTHING;
  }
  choice.length = 0;
  choice.probe = false;
  switch (tcb.state) {
    // In TIME-WAIT the record answers.
    case S.CLOSED:
    case S.LISTEN:
    case S.TIME_WAIT:
      return NOTHING;
    case S.SYN_SENT:
      return tcb.synOwed ? SEND_SYN : NOTHING;
    case S.SYN_RECEIVED:
      if (tcb.synOwed) return SEND_SYN;
      // R7413-3: text may flow already
      if (tcb.earlyFrom === null) return tcb.ackNow ? SEND_ACK : NOTHING;
  }
  // R5681-19: each segment out of order gets its own duplicate ACK, and it must not carry data
  if (tcb.dupAcksOwed > 0 && !(ctx.config.dialect.ackRidesOnData && chooseNew(ctx, tcb))) return SEND_ACK;
  const { sent } = tcb;
  if (sent !== null && (tcb.rexmtOwed || sent.lost > 0) && chooseRetransmission(tcb, sent))
    return SEND_RETRANSMISSION;
  if (tcb.tlpOwed && sent !== null) return chooseTail(tcb, sent);
  if (chooseNew(ctx, tcb)) return SEND_DATA;
  if (tcb.recovery === RECOVERY && sent !== null && !ctx.config.rack && chooseLastResort(tcb, sent))
    return SEND_RETRANSMISSION;
  if (tcb.probeOwed) return SEND_PROBE;
  if (tcb.keepOwed) return SEND_KEEPALIVE;
  return tcb.ackNow ? SEND_ACK : NOTHING;
}

/** NextSeg rule 1 (R6675-5): the first piece that counts as lost, as cwnd permits. */
function chooseRetransmission(tcb: Tcb, sent: Sent): boolean {
  if (tcb.flight === 0 || sent.count === 0) {
    tcb.rexmtOwed = false;
    return false;
  }
  // A closed window is probed, not retransmitted into.
  if (tcb.sndWnd === 0 && !tcb.rexmtOwed) return false;
  const i = tcb.rexmtOwed ? 0 : sent.firstLost();
  if (i < 0) return false;
  chooseAgain(tcb, sent.startOf(i), sent.runEnd(i));
  if (tcb.rexmtOwed) return true;
  const inNetwork = sent.pipe;
  if (isHeld(tcb) || (tcb.sizes?.oneByOne === true && inNetwork > 0)) return false;
  return inNetwork === 0 || inNetwork + choice.length <= tcb.congestion.cwnd + tcb.inflation;
}

/** Up to a segment of what lies in [seq, end) and was sent before. */
function chooseAgain(tcb: Tcb, seq: number, end: number): void {
  const available = (min(end, tcb.queueEnd) - seq) | 0;
  choice.seq = seq;
  choice.length = available > 0 ? Math.min(available, tcb.mss) : 0;
  if (tcb.writes !== null && choice.length > 0)
    choice.length = (tcb.writes.resendEnd(seq, choice.length) - seq) | 0;
}

/** NextSeg rules 3 and 4: R6675-7 a hole that is not known to be lost, R6675-8 the rescue retransmission. */
function chooseLastResort(tcb: Tcb, sent: Sent): boolean {
  if (!tcb.sackEnabled || sent.pipe + tcb.mss > tcb.congestion.cwnd) return false;
  const highest = sent.highestSacked();
  for (let i = 0; i < sent.count && after(highest, sent.startOf(i)); i++) {
    if (sent.markOf(i) !== SENT) continue;
    chooseAgain(tcb, sent.startOf(i), sent.endOf(i));
    return true;
  }
  if (tcb.rescued || !after(sent.end, highest)) return false;
  tcb.rescued = true;
  chooseLast(tcb, sent);
  return true;
}

/** The last segment of what is in flight, where segments were cut when it was sent. */
function chooseLast(tcb: Tcb, sent: Sent): void {
  const start = sent.startOf(sent.count - 1);
  const length = (min(sent.end, tcb.queueEnd) - start) | 0;
  const whole = length > 0 ? Math.floor((length - 1) / tcb.mss) * tcb.mss : 0;
  chooseAgain(tcb, (start + whole) | 0, sent.end);
}

/** R8985-16: new data if there is some and the peer's window lets it, else the last segment again. cwnd does not ask. */
function chooseTail(tcb: Tcb, sent: Sent): number {
  const unsent = (tcb.queueEnd - tcb.sndNxt) | 0;
  const usable = (tcb.sndUna + tcb.sndWnd - tcb.sndNxt) | 0;
  const segment = Math.min(unsent, tcb.mss, usable);
  if (segment > 0) {
    choice.seq = tcb.sndNxt;
    choice.length = tcb.writes === null ? segment : oneOfBurst(tcb, tcb.writes, segment);
    return SEND_DATA;
  }
  if (sent.count === 0) {
    tcb.tlpOwed = false;
    return NOTHING;
  }
  chooseLast(tcb, sent);
  return SEND_RETRANSMISSION;
}

/** New data or our FIN: RFC 9293 3.8.6.2.1, RFC 5681 3.1, Nagle (SHLD-7). */
function chooseNew(ctx: TcpContext, tcb: Tcb): boolean {
  forgetOldPath(ctx, tcb);
  const unsent = (tcb.queueEnd - tcb.sndNxt) | 0;
  const finDue = tcb.finQueued && !tcb.finSent;
  choice.seq = tcb.sndNxt;
  if (unsent <= 0) {
    choice.length = 0;
    const fits = !ctx.config.dialect.finNeedsWindow || before(tcb.sndNxt, windowEnd(tcb));
    if (!finDue || unsent !== 0) return false;
    if (!fits) armPersist(ctx, tcb);
    return fits;
  }
  const usable = (tcb.sndUna + tcb.sndWnd - tcb.sndNxt) | 0;
  if (usable > 0 && tcb.outstanding === 0 && tcb.recovery === OPEN) restartAfterIdle(ctx, tcb);
  // R5681-22, R5681-23: limited transmit, one segment for each of the first two duplicates
  // (R6675-12: with SACK the bytes that left the network make room by themselves)
  const limited = tcb.recovery === OPEN && !tcb.sackEnabled ? Math.min(tcb.dupAcks, 2) * tcb.mss : 0;
  const allowed = tcb.congestion.cwnd + tcb.inflation + limited - tcb.pipe;
  if (tcb.isArmed(T_HOLD) || tcb.sizes?.oneByOne === true) return false;
  if (isHeld(tcb) && !before(tcb.sndNxt, tcb.pacedTo)) return false;
  if (tcb.search !== null && unsent > tcb.mss) {
    const decision = probeDecision(ctx, tcb, tcb.search, unsent, usable);
    choice.probe = decision === PROBE_NOW;
    if (decision === PROBE_NOW) choice.length = probeLength;
    if (decision === PROBE_NOW && tcb.writes !== null) unitedBurst(tcb, tcb.writes, probeLength);
    if (decision !== NO_PROBE) return decision === PROBE_NOW;
  }
  if (tcb.writes !== null) return chooseFromWrites(ctx, tcb, tcb.writes, usable, allowed);
  const length = Math.min(unsent, tcb.mss, usable);
  if (length <= 0) {
    if (tcb.outstanding === 0 && tcb.sndWnd === 0) armPersist(ctx, tcb);
    return false;
  }
  if (length > allowed && !(tcb.outstanding === 0 && allowed > 0)) return false;
  choice.length = length;
  // (1) a full-sized segment
  if (length === tcb.mss) {
    choice.length = bundle(ctx, tcb, Math.max(length, Math.min(unsent, usable, allowed)), false);
    return true;
  }
  // (2) all that is queued, and Nagle lets it go
  const held = !finDue && holds(ctx, tcb);
  if (length === unsent && !held) return true;
  // (3) a good part of the largest window ever offered
  if (length < unsent && tcb.outstanding === 0 && length >= tcb.maxSndWnd >> 1) return true;
  // (4) the override timer
  if (tcb.forceSend) return true;
  if (tcb.outstanding === 0) armOverride(ctx, tcb);
  return false;
}

function chooseFromWrites(
  ctx: TcpContext,
  tcb: Tcb,
  writes: Writes,
  usable: number,
  allowed: number,
): boolean {
  choice.length = nextOfBurst(ctx, tcb, writes, usable, allowed);
  if (choice.length > 0) return true;
  if (tcb.outstanding === 0) {
    if (tcb.sndWnd === 0) armPersist(ctx, tcb);
    else armOverride(ctx, tcb);
  }
  return false;
}

/** SND.UNA + SND.WND */
function windowEnd(tcb: Tcb): number {
  return (tcb.sndUna + tcb.sndWnd) | 0;
}

/** SEG.SEQ of what carries no text: SND.NXT, or where the peer's window ends now (Dialect.acksInWindow). */
function ackSeq(ctx: TcpContext, tcb: Tcb): number {
  // No window holds back our SYN
  if (!tcb.synAcked) return tcb.sndNxt;
  const end = windowEnd(tcb);
  const beyond = (tcb.sndNxt - end) | 0;
  // Less than the scale can say is rounding.
  const taken = beyond > 0 && (!tcb.wscaleOk || beyond >= 1 << tcb.rcvWscale);
  return ctx.config.dialect.acksInWindow && taken ? end : tcb.sndNxt;
}

function armPersist(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.isArmed(T_PERSIST)) return;
  armSendTimers(ctx, tcb, false);
  schedule(ctx, tcb);
}

function armOverride(ctx: TcpContext, tcb: Tcb): void {
  if (tcb.isArmed(T_PERSIST)) return;
  const wait = Math.min(OVERRIDE_MAX, Math.max(OVERRIDE_MIN, tcb.rtt.rto));
  tcb.arm(T_PERSIST, (ctx.now + wait) | 0);
  schedule(ctx, tcb);
}

function emit(ctx: TcpContext, tcb: Tcb, kind: number): void {
  switch (kind) {
    case SEND_SYN:
      return emitSyn(ctx, tcb);
    case SEND_ACK:
      if (tcb.dupAcksOwed > 0) tcb.dupAcksOwed--;
      write(ctx, tcb, ackSeq(ctx, tcb), 0, ACK);
      return;
    case SEND_RETRANSMISSION:
      return emitRetransmission(ctx, tcb);
    case SEND_DATA:
      return emitNew(ctx, tcb);
    case SEND_PROBE:
      return emitProbe(ctx, tcb);
    case SEND_KEEPALIVE:
      // SHLD-12: no data, one below SND.NXT
      tcb.keepOwed = false;
      write(ctx, tcb, (tcb.sndNxt - 1) | 0, 0, ACK);
      return;
  }
}

function emitSyn(ctx: TcpContext, tcb: Tcb): void {
  tcb.synOwed = false;
  const first = tcb.sndNxt === tcb.iss;
  // The SYN,ACK of a simultaneous open is news: only a SYN,ACK sent before repeats (MUST-10).
  const crossing = tcb.active && tcb.state === S.SYN_RECEIVED && tcb.lastAckSent !== tcb.rcvNxt;
  if (first) {
    // RFC 7413 4.2.1: text goes on the first SYN only
    tcb.synText = Math.min(tcb.sendQueue.length, tcb.synRoom);
    tcb.sndNxt = (tcb.iss + 1 + tcb.synText) | 0;
    if (tcb.synText > 0) {
      noteSent(ctx, tcb, (tcb.iss + 1) | 0);
      ctx.counters.bump(Mib.TcpExtTCPOrigDataSent);
    }
    startRtt(ctx, tcb, tcb.iss);
    tcb.synSentAt = ctx.now;
  } else if (!crossing) {
    countResent(tcb, 0);
    ctx.counters.bump(Mib.TcpRetransSegs);
    ctx.counters.bump(Mib.TcpExtTCPSynRetrans);
  }
  // R9293-13, R9293-71
  const flags = tcb.state === S.SYN_SENT ? SYN : SYN | ACK;
  // Note: a request socket's is made anew each time (Linux tcp_make_synack)
  const anew = first || (!tcb.active && ctx.config.dialect.requestSockets);
  const text = first ? tcb.synText : 0;
  write(ctx, tcb, tcb.iss, text, flags | handshakeFlags(ctx, tcb, flags), anew ? OTHER : REPEATED);
  tcb.lastSentAt = ctx.now;
  // RFC 7413 4.1.3.1: a SYN that is resent goes without the option
  tcb.cookie = null;
  armSendTimers(ctx, tcb, first);
  schedule(ctx, tcb);
}

function emitRetransmission(ctx: TcpContext, tcb: Tcb): void {
  tcb.rexmtOwed = false;
  const { seq, length } = choice;
  const end = (seq + length) | 0;
  const withFin = tcb.finSent && end === tcb.queueEnd;
  let flags = ACK;
  if (withFin) flags |= FIN;
  if (length > 0 && pushesAgain(tcb, seq, end)) flags |= PSH;
  const past = withFin ? (end + 1) | 0 : end;
  if (tcb.tlpOwed) probeSent(ctx, tcb, past, true);
  if (tcb.sent !== null) {
    tcb.sent.resent(seq, past, ctx.now, tcb.sackEnabled);
    if (!tcb.resentOnce) {
      tcb.resentOnce = true;
      tcb.resentAt = ctx.now;
    }
    tcb.undoResent += (past - seq) | 0;
  }
  if (tcb.recovery === RECOVERY || tcb.reducing) tcb.prrOut += (past - seq) | 0;
  countResent(tcb, length);
  ctx.counters.bump(Mib.TcpRetransSegs);
  // Karn (R6298-9): the sample that would cover a resent segment is void
  if (tcb.rttRunning && !tcb.tsEnabled && !after(seq, tcb.rttSeq)) tcb.rttRunning = false;
  write(ctx, tcb, seq, length, flags, REPEATED);
  if (length > 0) burstLeaves(ctx, tcb, length, tcb.dataSegsOut);
  tcb.lastSentAt = ctx.now;
  // R6298-13: only when it is not running; R6675-18: or when recovery resends what the timer stands for
  armSendTimers(ctx, tcb, tcb.sackEnabled && tcb.recovery === RECOVERY && seq === tcb.sndUna);
  schedule(ctx, tcb);
}

function emitNew(ctx: TcpContext, tcb: Tcb): void {
  const { seq, length } = choice;
  const end = (seq + length) | 0;
  const last = end === tcb.queueEnd;
  let flags = ACK;
  if (length > 0 && pushes(tcb, end)) flags |= PSH;
  if (last && tcb.finQueued) {
    flags |= FIN;
    tcb.finSent = true;
  }
  const idle = tcb.outstanding === 0;
  tcb.sndNxt = (end + (flags & FIN)) | 0;
  noteSent(ctx, tcb, seq);
  if (choice.probe) mtuProbeSent(tcb, seq, length);
  noteSize(tcb, choice.probe ? length : Math.min(length, tcb.mss), end);
  if (idle) tcb.congestion.idle(tcb.lastSentAt, ctx.now);
  if (tcb.tlpOwed) probeSent(ctx, tcb, tcb.sndNxt, false);
  else tcb.probeFrom = ctx.now;
  if (tcb.recovery === RECOVERY || tcb.reducing) tcb.prrOut += length;
  else if (tcb.dupAcks > 0 || (tcb.sent !== null && tcb.sent.sacked > 0)) tcb.limitedBytes += length;
  tcb.forceSend = false;
  if (tcb.dupAcksOwed > 0) tcb.dupAcksOwed--;
  if (!tcb.rttRunning) startRtt(ctx, tcb, seq);
  if (idle) tcb.progressAt = ctx.now;
  // A FIN counts as data does
  const segments = write(ctx, tcb, seq, length, flags, length > 0 ? FRESH : OTHER);
  ctx.counters.add(Mib.TcpExtTCPOrigDataSent, segments);
  if (length > 0) burstBegins(ctx, tcb, seq, end);
  tcb.lastSentAt = ctx.now;
  // A burst in flight counts before the next one leaves (tcp_event_new_data_sent)
  if (ctx.config.dialect.keepsBuffers && tcb.sndNxt === tcb.burstEnd) checkSpace(ctx, tcb);
  armSendTimers(ctx, tcb, idle);
  schedule(ctx, tcb);
}

/** [seq, SND.NXT) went out for the first time. */
function noteSent(ctx: TcpContext, tcb: Tcb, seq: number): void {
  const sent = (tcb.sent ??= new Sent(tcb.rate));
  sent.push(seq, tcb.sndNxt, ctx.now, tcb.mss);
}

/** R8985-15, R8985-18: what the answer to the probe will be compared with. */
function probeSent(ctx: TcpContext, tcb: Tcb, end: number, again: boolean): void {
  tcb.tlpOwed = false;
  tcb.tlpOut = true;
  tcb.tlpResent = again;
  tcb.tlpEnd = end;
  ctx.counters.bump(Mib.TcpExtTCPLossProbes);
}

/** MUST-36: one octet (or our FIN) at SND.UNA, beyond the closed window. */
function emitProbe(ctx: TcpContext, tcb: Tcb): void {
  tcb.probeOwed = false;
  if (ctx.config.dialect.probesWithoutData) {
    write(ctx, tcb, (tcb.sndUna - 1) | 0, 0, ACK);
    return;
  }
  const seq = tcb.sndUna;
  const length = tcb.sendQueue.length > 0 ? 1 : 0;
  const end = (seq + length) | 0;
  let flags = ACK;
  if (end === tcb.queueEnd && tcb.finQueued) {
    flags |= FIN;
    tcb.finSent = true;
  }
  const past = (end + (flags & FIN)) | 0;
  const repeats = !after(past, tcb.sndNxt);
  if (repeats) ctx.counters.bump(Mib.TcpRetransSegs);
  else {
    const from = tcb.sndNxt;
    tcb.sndNxt = past;
    noteSent(ctx, tcb, from);
    ctx.counters.bump(Mib.TcpExtTCPOrigDataSent);
  }
  tcb.rttRunning = false;
  write(ctx, tcb, seq, length, flags, repeats ? REPEATED : OTHER);
}

function startRtt(ctx: TcpContext, tcb: Tcb, seq: number): void {
  tcb.rttRunning = true;
  tcb.rttSeq = seq;
  tcb.rttAt = ctx.now;
}

/** What a segment carries: text for the first time; nothing but what was sent before; anything else. */
const FRESH = 0;
const REPEATED = 1;
const OTHER = 2;

/** A segment of this connection into the ring, or several in one packet: how many. Whatever was owed as an ACK rides on it. */
function write(ctx: TcpContext, tcb: Tcb, seq: number, length: number, flags: number, has = OTHER): number {
  const b = ctx.builder;
  address(ctx, tcb);
  b.seq = seq;
  b.flags = flags;
  const syn = (flags & SYN) !== 0;
  if ((flags & ACK) !== 0) {
    b.ack = tcb.rcvNxt;
    b.wnd = offerWindow(ctx, tcb, syn);
    if (!syn) ackLeaves(ctx, tcb, length);
    tcb.lastAckSent = tcb.rcvNxt;
    tcb.ackNow = false;
    tcb.disarm(T_DELACK);
  } else {
    b.ack = 0;
    b.wnd = offerWindow(ctx, tcb, true);
  }
  if (syn) synOptions(ctx, tcb, (flags & ACK) !== 0);
  else {
    if (tcb.tsEnabled) timestamps(ctx, tcb);
    if ((flags & RST) === 0) markOutgoing(ctx, tcb, has === FRESH);
    if (tcb.utoOwed && length > 0) advertiseTimeout(ctx, tcb, length);
    // MUST-31, MUST-62: while the end of urgent data lies ahead; a pointer that cannot reach it says as much as fits
    if (tcb.sndUrgent && (flags & RST) === 0 && after(tcb.sndUp, seq)) {
      b.flags |= URG;
      b.urgent = Math.min(65_535, (tcb.sndUp - seq) | 0);
    }
  }
  let room = length;
  if (!syn && (tcb.reassembly !== null || tcb.twice.owed) && tcb.sackEnabled) {
    b.sackCount = fillBlocks(tcb, b.sack, tcb.tsEnabled ? 3 : 4);
    room = Math.min(length, tcb.pathMtu - b.headerLength());
    // What does not fit beside the blocks goes without them: the peer needs the data more.
    if (room < length) {
      b.sackCount = 0;
      room = length;
    }
  }
  const tx = ctx.tx;
  const offset = tx.tailOffset();
  const header = b.writeHeaders(tx.bytes, offset);
  if (room > 0) tcb.sendQueue.emit(syn ? 0 : (seq - tcb.queueSeq) | 0, room, tx, offset + header);
  // A probe of the path MTU is longer, and one segment.
  const bundled = length > tcb.mss && !choice.probe;
  const segments = bundled ? segmentsIn(length, tcb.mss) : 1;
  const left = b.offload ? CHECKSUM_OFFLOADED | (bundled ? tcb.mss : 0) : 0;
  tx.push(b.finish(tx.bytes, offset, header, room), 0, left);
  // What a request socket sends is no connection's yet (Linux tcp_make_synack)
  if (!(syn && !tcb.active && ctx.config.dialect.requestSockets)) tcb.segsOut += segments;
  if (length > 0) {
    if (tcb.stamps?.sent(seq, (seq + length) | 0, ctx.now) === true) ctx.raise(tcb, EV_STAMPED);
    tcb.dataSegsOut += segments;
    tcb.bytesSent += length;
  }
  ctx.counters.bump(tcb.version === 6 ? Mib.Ip6OutRequests : Mib.IpOutRequests);
  // RFC 4022 tcpOutSegs
  if (has !== REPEATED) ctx.counters.add(Mib.TcpOutSegs, segments);
  return segments;
}

function address(ctx: TcpContext, tcb: Tcb): void {
  const b = ctx.builder;
  b.reset();
  b.version = tcb.version;
  b.src0 = tcb.local0;
  b.src1 = tcb.local1;
  b.src2 = tcb.local2;
  b.src3 = tcb.local3;
  b.dst0 = tcb.remote0;
  b.dst1 = tcb.remote1;
  b.dst2 = tcb.remote2;
  b.dst3 = tcb.remote3;
  b.srcPort = tcb.localPort;
  b.dstPort = tcb.remotePort;
  b.ttl = ctx.config.ttl;
  b.tos = tcb.tos;
  b.dontFragment = ctx.config.pathDiscovery;
}

/** MSS in every SYN (MAY-3), the rest as configured, in a SYN,ACK only what the SYN offered (R7323-4, R7323-25). */
function synOptions(ctx: TcpContext, tcb: Tcb, reply: boolean): void {
  const b = ctx.builder;
  b.mss = tcb.advMss;
  b.holder = reply ? tcb.holder !== 0 : ctx.config.negotiatesHolder;
  const repeats = reply && tcb.active && ctx.config.dialect.repeatsOffers;
  const agreed = reply && !repeats;
  if (agreed ? tcb.wscaleOk : ctx.config.windowScaling) b.windowScale = tcb.ownWscale;
  b.sackPermitted = agreed ? tcb.sackEnabled : ctx.config.sack;
  if (tcb.tsEnabled || (repeats && ctx.config.timestamps)) timestamps(ctx, tcb);
  if (tcb.cookie === null) return advertiseTimeout(ctx, tcb, 0);
  b.cookieLength = tcb.cookie.length;
  b.cookieExperiment = tcb.cookieExperiment;
  b.cookie.set(tcb.cookie);
}

/** RFC 5482 3: ours, on SYNs without a cookie and on the first text after a change that has room for it. */
function advertiseTimeout(ctx: TcpContext, tcb: Tcb, length: number): void {
  if (!ctx.config.utoEnabled || length + 4 > tcb.mss) return;
  const own = tcb.options.userTimeout > 0 ? tcb.options.userTimeout : ctx.config.userTimeout;
  ctx.builder.userTimeout = Math.floor(own / 1000);
  tcb.utoOwed = false;
}

function timestamps(ctx: TcpContext, tcb: Tcb): void {
  const b = ctx.builder;
  b.hasTimestamp = true;
  b.tsVal = (ctx.now + tcb.tsOffset) | 0;
  b.tsEcr = (b.flags & ACK) !== 0 || tcb.tsRecent !== 0 ? tcb.tsRecent : 0;
}

/** The SYN,ACK of a block that nobody keeps: SYN cookies. False when the ring is full. */
export function emitSynAck(ctx: TcpContext, tcb: Tcb, reason: number): boolean {
  return emitNow(ctx, tcb, tcb.iss, SYN | ACK | handshakeFlags(ctx, tcb, SYN | ACK), reason);
}

/** An ACK now, outside the turn's output: before the connection becomes a TIME-WAIT record. False when the ring is full. */
export function emitAck(ctx: TcpContext, tcb: Tcb, reason: number): boolean {
  return emitNow(ctx, tcb, ackSeq(ctx, tcb), ACK, reason);
}

/** A RST without ACK at SND.NXT: removes the peer's TIME-WAIT record. False when the ring is full. */
export function emitBareReset(ctx: TcpContext, tcb: Tcb, reason: number): boolean {
  return emitNow(ctx, tcb, tcb.sndNxt, RST, reason);
}

/** R9293-48, R7323-42: RST of an aborting user. False when the ring is full (the peer learns it from its next segment). */
export function emitReset(ctx: TcpContext, tcb: Tcb, reason: number): boolean {
  return emitNow(ctx, tcb, ackSeq(ctx, tcb), RST | ACK, reason);
}

function emitNow(ctx: TcpContext, tcb: Tcb, seq: number, flags: number, reason: number): boolean {
  if (ctx.tx.free === 0) return false;
  write(ctx, tcb, seq, 0, flags);
  ctx.tx.reasons[ctx.tx.slotOf(ctx.tx.count - 1)] = reason;
  if ((flags & RST) !== 0) ctx.counters.bump(Mib.TcpOutRsts);
  return true;
}
