/** RFC 5681 with a peer that has no SACK, and where it says so with one: what is in flight, segment by segment. */
import t from 'tap';
import { Prng } from '../../src/link/prng.js';
import { icmpError } from '../../src/wire/icmp.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { Conversation } from '../support/conversation.js';

/** Established with segments of 1000 bytes, no SACK, no timestamps. */
function plain(knobs: Readonly<Record<string, number>> = {}, options = '<mss 1000>'): Conversation {
  const c = new Conversation({ knobs });
  c.established(options);
  return c;
}

/** A duplicate ACK of `una`, and how many segments it drew. */
function duplicate(c: Conversation, una: number): number[] {
  c.inject(`. 1:1(0) ack ${una} win 65535`);
  return c.starts();
}

void t.test('R5681-1: nothing is sent beyond what min(cwnd, the window) allows', (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const random = new Prng(seed);
    const c = plain();
    let una = 1;
    let next = 1;
    let window = 65_535;
    let sent = 0;
    const look = (): void => {
      const { sndCwnd } = c.info;
      for (const { seq, length } of c.segments()) {
        if (seq + length <= next) continue;
        next = seq + length;
        sent++;
        t.ok(next - una <= Math.min(sndCwnd, window), `${next - una} of ${sndCwnd} and ${window}`);
      }
    };
    for (let i = 0; i < 400; i++) {
      if (c.user!.queued < 200_000) c.send(100_000);
      look();
      // Acknowledge a part of what is in flight; the right edge of the window never moves back
      una += random.below(next - una + 1);
      window = Math.max(next - una, 2000 + random.below(63_000));
      c.inject(`. 1:1(0) ack ${una} win ${window}`);
      look();
      if (random.below(40) === 0) c.advance(c.info.rto + 1);
      else c.advance(random.below(20));
      look();
    }
    t.ok(sent > 300, `${sent} segments`);
  }
  t.end();
});

void t.test('R5681-2: what counts as a duplicate ACK', (t) => {
  const resent = (segments: readonly string[]): boolean => {
    const c = plain();
    c.send(5000);
    c.rest();
    for (const text of segments) c.inject(text);
    return c.starts().includes(0);
  };
  const same = '. 1:1(0) ack 1 win 65535';
  t.ok(resent([same, same, same]), 'three alike');
  t.notOk(resent([same, same]), 'two');
  t.notOk(
    resent([60_000, 60_001, 60_002, 60_003].map((win) => `. 1:1(0) ack 1 win ${win}`)),
    'another window each',
  );
  t.notOk(resent([1, 11, 21, 31].map((seq) => `. ${seq}:${seq + 10}(10) ack 1 win 65535`)), 'text in each');
  const c = plain();
  for (let i = 0; i < 4; i++) c.inject(same);
  c.send(5000);
  t.same(c.starts(), [0, 1000, 2000, 3000, 4000], 'nothing was outstanding');
  t.equal(c.info.caState, 'open');
  t.end();
});

void t.test("R5681-4, R5681-9: the first flights double from the initial window up to the peer's", (t) => {
  const c = plain();
  t.ok(c.info.sndSsthresh >= 65_535, 'ssthresh starts above any window');
  c.send(1_000_000);
  const flights: number[] = [];
  for (let round = 0; round < 5; round++) {
    c.advance(100);
    const flight = c.segments();
    flights.push(flight.length);
    for (const { seq, length } of flight) c.inject(`. 1:1(0) ack ${seq + length} win 65535`);
  }
  t.same(flights, [10, 20, 40, 65, 65]);
  t.end();
});

void t.test('R5681-8: smaller segments, a smaller window: cwnd keeps its number of segments', (t) => {
  const c = plain({ 'net.ipv4.tcp_init_cwnd': 3 }, '<mss 1460>');
  c.send(60_000);
  t.equal(c.rest().length, 3);
  const quoted = buildPacket(
    { flags: 0x10, seq: (c.ourIss! + 1) >>> 0, ack: 0, length: 0, win: 0, options: [] },
    { src: c.us, dst: c.peer, srcPort: c.ourPort, dstPort: c.peerPort },
  );
  const source = Uint8Array.of(10, 0, 0, 254);
  const packet = icmpError(quoted, { type: 3, code: 4, rest: 576, source });
  c.stack.receive(packet, 0, packet.length, c.now);
  c.collect();
  t.equal(c.info.sndMss, 536);
  t.equal(c.info.sndCwnd, 3 * 536);
  const sent = c.segments();
  t.same(sent[0], { ...sent[0], seq: 1, length: 536 }, 'resent at once');
  t.ok(sent.length <= 3, 'no burst of small ones');
  t.end();
});

void t.test('R5681-10: a loss lowers ssthresh to half of what is in flight', (t) => {
  for (const timeout of [false, true]) {
    const c = plain();
    c.send(60_000);
    const before = c.info.sndSsthresh;
    if (timeout) c.advance(c.info.rto);
    else for (let i = 0; i < 3; i++) duplicate(c, 1);
    t.ok(before > 65_535);
    t.equal(c.info.sndSsthresh, 5000, timeout ? 'by timeout' : 'by duplicates');
  }
  t.end();
});

void t.test('R5681-24, R5681-35: out-of-order data is acknowledged at once, one ACK for one segment', (t) => {
  const c = plain();
  for (const [i, at] of [1001, 2001, 3001].entries()) {
    c.inject(`. ${at}:${at + 1000}(1000) ack 1 win 65535`);
    t.equal(c.mismatch('. 1:1(0) ack 1'), '', `segment ${i + 1} above the gap`);
    t.same(c.rest(), [], 'and no other');
  }
  t.end();
});

void t.test(
  'R5681-26, R5681-27, R5681-28, R5681-29: fast recovery: resend, inflate, send new data, deflate',
  (t) => {
    const c = plain();
    c.send(60_000);
    t.equal(c.rest().length, 10);
    t.same(duplicate(c, 1), [10_000]);
    t.same(duplicate(c, 1), [11_000]);
    t.equal(duplicate(c, 1)[0], 0, 'R5681-26: SND.UNA at the third');
    t.same([c.info.sndSsthresh, c.info.sndCwnd], [5000, 8000]);
    for (let n = 4; n <= 7; n++) {
      t.same(duplicate(c, 1), [], `12 segments are in flight, ${n + 5} allowed`);
      t.equal(c.info.sndCwnd, (n + 5) * 1000, `R5681-27: duplicate ${n}`);
      if (n + 5 === 12) break;
    }
    t.same(duplicate(c, 1), [12_000], 'R5681-28: one new segment for each further duplicate');
    t.same(duplicate(c, 1), [13_000]);
    for (let i = 0; i < 1000; i++) duplicate(c, 1);
    t.ok(
      c.info.sndCwnd <= 60_000 + 5000,
      `${c.info.sndCwnd}: bogus duplicates open it no further than what is in flight`,
    );
    const d = plain();
    d.send(60_000);
    d.rest();
    for (let i = 0; i < 11; i++) duplicate(d, 1);
    t.equal(d.info.unacked, 16_000);
    d.inject('. 1:1(0) ack 12001 win 65535');
    t.equal(d.info.caState, 'open', 'all that was in flight at the loss is acknowledged');
    t.equal(d.info.sndCwnd, 5000, 'R5681-29: ssthresh; four segments are in flight');
    t.end();
  },
);

void t.test('R5681-31, R5681-32: one segment is acknowledged later, but within 500 ms', (t) => {
  for (const delack of [1, 40, 499]) {
    const c = plain({ 'net.ipv4.tcp_delack': delack });
    c.inject('. 1:1001(1000) ack 1 win 65535');
    c.advance(delack - 1);
    t.same(c.rest(), [], 'not at once');
    c.advance(1);
    t.equal(c.mismatch('. 1:1(0) ack 1001'), '', `after ${delack} ms`);
  }
  t.match(plain().stack.setKnob('net.ipv4.tcp_delack', 500), /499/, 'the knob allows no more');
  const c = plain();
  c.inject('. 1:1001(1000) ack 1 win 65535');
  c.send(10);
  t.equal(c.mismatch('P. 1:11(10) ack 1001'), '', 'data takes the ACK along');
  c.advance(100);
  t.same(
    c.segments().filter(({ length }) => length === 0),
    [],
  );
  t.end();
});

void t.test(
  'R5681-33, R5681-35, R1122-5: every second full segment, never more than one ACK for a segment',
  (t) => {
    const c = plain();
    let acks = 0;
    for (let i = 0; i < 8; i++) {
      c.inject(`. ${1 + 1000 * i}:${1001 + 1000 * i}(1000) ack 1 win 65535`);
      const drawn = c.rest().length;
      t.ok(drawn <= 1);
      acks += drawn;
    }
    t.equal(acks, 4);
    c.advance(1000);
    t.same(c.rest(), [], 'nothing left to say');
    t.end();
  },
);

void t.test('R5681-34: segments smaller than what we could take are acknowledged by pairs as well', (t) => {
  const c = new Conversation({ mtu: 9000 });
  c.established('<mss 8960>');
  t.equal(c.info.advMss, 8960);
  let acks = 0;
  for (let i = 0; i < 20; i++) {
    c.inject(`. ${1 + 1448 * i}:${1449 + 1448 * i}(1448) ack 1 win 65535`);
    acks += c.rest().length;
  }
  t.ok(acks >= 10, `${acks} ACKs for 20 segments`);
  t.end();
});

void t.test('R5681-36: with SACK, at most half of the window in the first round trip of recovery', (t) => {
  const c = plain({ 'net.ipv4.tcp_init_cwnd': 20 }, '<mss 1000,sackOK>');
  c.send(65_000);
  t.equal(c.rest().length, 20);
  c.advance(100);
  // 1, 6, 11 and 16 are lost; everything else is reported segment by segment
  let sent = 0;
  let blocks: [number, number][] = [];
  for (let i = 0; i < 20; i++) {
    if (i % 5 === 0) continue;
    const left = 1 + 1000 * i;
    const [last] = blocks;
    if (last?.[1] === left) last[1] = left + 1000;
    else blocks = [[left, left + 1000], ...blocks];
    const text = blocks.slice(0, 4).map(([from, to]) => `${from}:${to}`);
    c.inject(`. 1:1(0) ack 1 win 65535 <sack ${text.join(' ')}>`);
    sent += c.segments().length;
    if (c.info.caState === 'recovery') t.equal(c.info.sndSsthresh, 10_000);
  }
  t.ok(sent >= 4 && sent <= 12, `${sent} segments, two of them before the loss was known`);
  const end = 1 + c.info.unacked;
  c.inject(`. 1:1(0) ack ${end} win 65535`);
  t.equal(c.info.caState, 'open');
  t.equal(c.info.sndCwnd, 10_000);
  for (const { seq, length } of c.segments()) {
    const { sndCwnd } = c.info;
    c.inject(`. 1:1(0) ack ${seq + length} win 65535`);
    t.ok(c.info.sndCwnd - sndCwnd <= 1000, 'congestion avoidance');
  }
  t.ok(c.info.sndCwnd <= 12_000, `${c.info.sndCwnd}`);
  t.end();
});

void t.test('R3465-2: in slow start after a timeout an ACK counts for one segment', (t) => {
  const c = plain();
  c.send(60_000);
  c.rest();
  c.advance(c.info.rto);
  t.equal(c.info.sndCwnd, 1000);
  c.inject('. 1:1(0) ack 4001 win 65535');
  t.equal(c.info.sndCwnd, 2000);
  c.inject('. 1:1(0) ack 8001 win 65535');
  t.equal(c.info.sndCwnd, 3000);
  t.end();
});
