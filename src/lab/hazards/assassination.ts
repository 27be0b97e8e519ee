/** TIME-WAIT ended before its time, and what follows from it: RFC 1337, and the SYNs that do it today. */
import type { Host } from '../../sim/host.js';
import type { SimSocket } from '../../sim/socket.js';
import { Trace } from '../../sim/trace.js';
import { FIN, SYN } from '../../wire/segment.js';
import { corrupts, delays, killed, refuses, safe, type Hazard, type Outcome } from './hazard.js';
import { endOf, fromClient, sentPackets } from './packets.js';
import { CLIENT, FIXED, SERVER, SERVICE, closeFirst, closeSecond, opened, type Stage } from './stage.js';

/** The host under test holds TIME-WAIT, the client is gone: `attack` strikes after a second; how long did the record live? */
function strike(stage: Stage, attack: (client: Host, end: ReturnType<typeof endOf>) => void): Outcome {
  const due = stage.timeWaitLength();
  if (due === 0) return killed(0, 240_000, 'no TIME-WAIT to kill', stage.reason(/^tw-/));
  const server = stage.subject();
  const client = stage.other('client');
  client.trace = new Trace(stage.now);
  stage.net.wire(client, server, { delay: 5 });
  closeFirst(stage, server, client);
  const entered = stage.now;
  // A record that lives less than a second is struck at half its life.
  stage.run(Math.min(1000, due / 2));
  const { trace } = client;
  if (server.stack.timeWait.count === 0) throw new Error('no record');
  const from = stage.decisions.length;
  attack(client, endOf(trace));
  const lived = recordEnds(stage, server, due) - entered;
  const reason = stage.reason(/^(tw-(?!expired|enter)|listen|fw2)/, from);
  if (lived + 100 < due)
    return killed(
      lived,
      due,
      `TIME-WAIT of ${due / 1000} s ended after ${(lived / 1000).toFixed(1)} s`,
      reason,
    );
  return safe(`TIME-WAIT lived its ${due / 1000} s`, reason);
}

/** The moment from which no record is left; one that gave way to a SYN may come back (RFC 1122 4.2.2.13). */
function recordEnds(stage: Stage, server: Host, due: number): number {
  const gone = (): boolean => server.stack.timeWait.count === 0;
  const latest = stage.now + 2 * due + 10_000;
  for (;;) {
    stage.runUntil(gone, latest - stage.now);
    const at = stage.now;
    stage.run(500);
    if (gone() || at >= latest) return at;
  }
}

/** An old duplicate of the client's SYN (the service says `bye`, so that is all the client ever sent but ACKs and FIN). */
function oldDuplicate(client: Host): Uint8Array {
  return sentPackets(client.trace!, (segment) => (segment.flags & (SYN | FIN)) === 0)[0]!;
}

// ---- RFC 1337's three hazards ---------------------------------------------------------

/** Bytes of the old connection: sent at once, far faster than the ISN clock ticks. */
const OLD_BYTES = 900_000;
/** The letters of both connections: o, n. */
const OLD = 111;
const NEW = 110;
/** What a receiver offers before it has scaled its window. */
const FIRST_WINDOW = 60_000;

interface Reopened {
  readonly subject: Host;
  readonly peer: Host;
  /** Old data segments of the subject's, by their place in its sequence space. */
  readonly old: readonly { readonly packet: Uint8Array; readonly seq: number; readonly length: number }[];
  /** What the peer's program got on the latest connection. */
  readonly received: () => Uint8Array;
  /** SYN of the new connection is on its way; null: connect() refused. */
  readonly socket: SimSocket | null;
}

/**
 * The host under test (A of the RFC) sends fast, closes first and holds TIME-WAIT; an old
 * duplicate of the peer's (B) draws an ACK, B's RST comes back; A opens the same tuple again.
 */
function reopen(stage: Stage): Reopened {
  const subject = stage.subject({ addresses: [`${CLIENT}/24`], name: 'A' });
  const peer = stage.net.host('B', {
    addresses: [`${SERVER}/24`],
    policy: 'linux',
    // Its numbers start alike every time: otherwise an old acknowledgment would give the ghost away (RFC 5961 5)
    knobs: { 'net.ipv4.tcp_timestamps': 0, 'net.ipv4.tcp_isn': 4 },
  });
  subject.trace ??= new Trace(stage.now);
  peer.trace = new Trace(stage.now);
  stage.net.wire(subject, peer, { delay: 1 });
  let chunks: Uint8Array[] = [];
  peer.listen({ port: SERVICE, reuseAddress: true }, (socket) => {
    chunks = [];
    socket.onData = (data) => chunks.push(data.slice());
    closeSecond(socket);
  });
  const open = { address: SERVER, port: SERVICE, localPort: FIXED, reuseAddress: true };
  // The bulk goes into a trace of its own.
  const kept = subject.trace;
  const tap = new Trace(stage.now, 10_000);
  subject.trace = tap;
  const first = opened(subject.connect(open));
  first.onConnect = () => {
    first.write(new Uint8Array(OLD_BYTES).fill(OLD));
    first.close();
  };
  stage.runUntil(() => first.closed && peer.stack.connections === 0, 30_000);
  stage.run(20);
  subject.trace = kept;
  const old: { packet: Uint8Array; seq: number; length: number }[] = [];
  sentPackets(tap, (segment) => {
    const { seq, payloadLength: length } = segment;
    if (length > 0) old.push({ packet: segment.bytes.slice(), seq, length });
    return false;
  });
  // An old ACK of B's, below A's window, draws an ACK; B, which knows nothing any more, resets.
  peer.inject(sentPackets(peer.trace, (segment) => (segment.flags & (SYN | FIN)) === 0)[0]!);
  stage.run(10);
  const again = subject.connect(open);
  const socket = typeof again === 'string' ? null : again;
  return { subject, peer, old, received: () => Buffer.concat(chunks), socket };
}

/** The first of the old segments that fits into B's window behind the new SYN. */
function ghostOf({ subject, old }: Reopened): { packet: Uint8Array; gap: number; length: number } | null {
  const iss = newestIss(subject);
  for (const { packet, seq, length } of old) {
    const gap = (seq - iss - 1) | 0;
    if (gap > 1500 && gap + length < FIRST_WINDOW) return { packet, gap, length };
  }
  return null;
}

const TW = /^(tw-(?!enter|expired)|reopen)/;

function stays(stage: Stage): Outcome {
  return safe('TIME-WAIT stands: connect() refuses to open the tuple again', stage.reason(TW));
}

const MISSED = 'the sequence numbers of the old connection are far from the new window';

/** H1: the ghost waits out of order at B until A's data reach it. */
function h1(stage: Stage): Outcome {
  const play = reopen(stage);
  const { subject, socket } = play;
  if (socket === null) return stays(stage);
  if (!stage.runUntil(() => socket.connected || socket.closed, 5000) || socket.closed)
    return refuses('the new connection did not come up', stage.reason(TW));
  stage.run(5);
  const ghost = ghostOf(play);
  if (ghost === null) return safe(MISSED, stage.reason(TW));
  subject.inject(ghost.packet);
  stage.run(5);
  socket.write(new Uint8Array(FIRST_WINDOW).fill(NEW));
  stage.run(5000);
  const wrong = play.received().filter((byte) => byte === OLD).length;
  if (wrong > 0)
    return corrupts(wrong, `the peer took ${wrong} bytes of the old connection`, stage.reason(TW));
  return safe('the peer did not take the old segment', stage.reason(TW));
}

/** H2: B acknowledges the ghost before A has sent so far. */
function h2(stage: Stage): Outcome {
  const play = reopen(stage);
  const { subject, peer, socket } = play;
  if (socket === null) return stays(stage);
  if (!stage.runUntil(() => socket.connected || socket.closed, 5000) || socket.closed)
    return refuses('the new connection did not come up', stage.reason(TW));
  stage.run(5);
  const ghost = ghostOf(play);
  if (ghost === null) return safe(MISSED, stage.reason(TW));
  subject.inject(ghost.packet);
  stage.run(5);
  // A sends exactly up to the ghost, and later less than its length.
  socket.write(new Uint8Array(ghost.gap).fill(NEW));
  stage.run(1000);
  const before = subject.counter('TcpInSegs') + peer.counter('TcpInSegs');
  socket.write(new Uint8Array(Math.floor(ghost.length / 2)).fill(NEW));
  stage.run(10_000);
  const segments = subject.counter('TcpInSegs') + peer.counter('TcpInSegs') - before;
  if (socket.connection.queued === 0) return safe('A and B agree', stage.reason(TW));
  return refuses(
    `deadlock: B has acknowledged what A never sent; ${segments} segments in 10 s, nothing moves`,
    stage.reason(TW),
  );
}

/** ISS of the subject's newest SYN. */
function newestIss(subject: Host): number {
  let iss = 0;
  sentPackets(subject.trace!, (segment) => {
    if ((segment.flags & SYN) !== 0) iss = segment.seq;
    return false;
  });
  return iss;
}

/** H3: an old segment of B's meets A in SYN-SENT; A's RST may hit B's half-open connection. */
function h3(stage: Stage): Outcome {
  const { peer, socket } = reopen(stage);
  if (socket === null) return stays(stage);
  const start = stage.now;
  const old = sentPackets(peer.trace!, (segment) => (segment.flags & (SYN | FIN)) === 0);
  // One whose acknowledgment lies where B's new window will be.
  peer.inject(old[Math.floor(old.length / 2)]!);
  stage.runUntil(() => socket.connected || socket.closed, 30_000);
  stage.run(50);
  const wait = stage.now - start - 50;
  if (!socket.connected || socket.closed)
    return refuses(`the new connection failed: ${String(socket.error)}`, stage.reason(/^(synsent|rst)/));
  return delays(wait, `connected after ${wait} ms`, stage.reason(/^synsent/));
}

export const assassination: readonly Hazard[] = [
  {
    name: 'assassination-rst',
    title: 'TIME-WAIT killed by the RST that its own ACK draws',
    axis: 'integrity',
    text: 'An old duplicate of the client reaches the record, which answers with ACK; the client knows nothing any more and answers RST at exactly RCV.NXT (RFC 1337 figure 1).',
    claims: [18],
    play: (stage) => strike(stage, (client) => client.inject(oldDuplicate(client))),
  },
  {
    name: 'assassination-syn-fin',
    title: 'TIME-WAIT killed by one SYN with FIN',
    axis: 'integrity',
    text: 'One forged or broken segment with SYN and FIN above RCV.NXT: a record that gives way to a SYN is gone, and the listener ignores the segment.',
    claims: [55],
    play: (stage) =>
      strike(stage, (client, end) => client.inject(fromClient(SYN | FIN, end.sndNxt + 100_000))),
  },
  {
    name: 'assassination-old-syn',
    title: 'TIME-WAIT replaced by an old duplicate SYN',
    axis: 'integrity',
    text: 'A SYN of an incarnation that never was, or is long over, with a sequence number above RCV.NXT: the SYN,ACK draws a RST from the client. RFC 1122 4.2.2.13 wants TIME-WAIT back then.',
    claims: [38, 55],
    play: (stage) => strike(stage, (client, end) => client.inject(fromClient(SYN, end.sndNxt + 100_000))),
  },
  {
    name: 'rfc1337-h1',
    title: 'RFC 1337 H1: old data delivered after assassination',
    axis: 'integrity',
    text: 'The host under test sent 900 kB at once, closed first, and an old duplicate of its peer brought a RST; it opens the tuple again. Its ISN clock has not caught up, an old segment of its own fits into the new window; the numbers of the peer start alike every time, so that RFC 5961 5 does not notice the old acknowledgment.',
    claims: [18],
    play: h1,
  },
  {
    name: 'rfc1337-h2',
    title: 'RFC 1337 H2: both ends acknowledge each other for ever',
    axis: 'availability',
    text: 'As H1, and the peer acknowledges the old data before the host under test has sent so far.',
    claims: [18],
    play: h2,
  },
  {
    name: 'rfc1337-h3',
    title: 'RFC 1337 H3: the new connection refused',
    axis: 'availability',
    text: 'An old segment of the peer meets the host under test in SYN-SENT; its RST may destroy the half-open connection. RFC 5961 on the peer cures it.',
    claims: [18],
    play: h3,
  },
];
