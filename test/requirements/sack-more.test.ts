/** RFC 2883, and of RFC 6675, 6937, 8985 and 9438 what no other file has in its titles. */
import t from 'tap';
import type { OptionText } from '../../src/wire/notation.js';
import { Cubic } from '../../src/tcp/congestion/cubic.js';
import { Conversation } from '../support/conversation.js';

const SACK = '<mss 1000,sackOK>';
/** Losses are found by count, as in RFC 6675. */
const BY_COUNT = { 'net.ipv4.tcp_recovery': 0 };

function sacked(knobs: Readonly<Record<string, number>> = {}, syn = SACK): Conversation {
  const c = new Conversation({ knobs });
  c.established(syn);
  return c;
}

type Blocks = readonly (readonly [number, number])[];
const blocksOf = (options: readonly OptionText[] = []): Blocks =>
  options.flatMap((option) => (option.kind === 'sack' ? option.blocks : []));

/** Ten segments are in flight. */
function ten(knobs: Readonly<Record<string, number>> = {}, bytes = 100_000): Conversation {
  const c = sacked(knobs);
  c.send(bytes);
  if (c.segments().length !== 10) throw new Error('not ten');
  return c;
}

function ack(c: Conversation, una: number, ...blocks: Blocks): number[] {
  const option = blocks.length > 0 ? ` <sack ${blocks.map(([a, b]) => `${a}:${b}`).join(' ')}>` : '';
  c.inject(`. 1:1(0) ack ${una} win 65535${option}`);
  return c.starts();
}

void t.test('R2883-1, R2883-2, R2883-3: what came twice is reported once, and no more than it', (t) => {
  const c = sacked({ 'net.ipv4.tcp_delack': 0 });
  c.inject('. 1:1001(1000) ack 1 win 65535');
  c.rest();
  c.inject('. 501:1001(500) ack 1 win 65535');
  const [first] = c.segments();
  t.same([first!.ack, blocksOf(first!.options)], [1001, [[501, 1001]]]);
  c.inject('. 1001:1501(500) ack 1 win 65535');
  t.same(blocksOf(c.segments()[0]!.options), [], 'R2883-2: not a second time');
  c.inject('. 801:1701(900) ack 1 win 65535');
  const [partly] = c.segments();
  t.same([partly!.ack, blocksOf(partly!.options)], [1701, [[801, 1501]]], 'R2883-3: the old part alone');
  const off = sacked({ 'net.ipv4.tcp_dsack': 0, 'net.ipv4.tcp_delack': 0 });
  off.inject('. 1:1001(1000) ack 1 win 65535');
  off.rest();
  off.inject('. 1:1001(1000) ack 1 win 65535');
  t.same(blocksOf(off.segments()[0]!.options), [], 'knob tcp_dsack');
  t.end();
});

void t.test('R2883-4: a duplicate inside a block above the ACK is followed by that block', (t) => {
  const c = sacked();
  c.inject('. 501:2001(1500) ack 1 win 65535');
  c.inject('. 3001:4001(1000) ack 1 win 65535');
  c.rest();
  c.inject('. 1001:1501(500) ack 1 win 65535');
  t.same(blocksOf(c.segments()[0]!.options), [
    [1001, 1501],
    [501, 2001],
    [3001, 4001],
  ]);
  c.inject('. 1501:2501(1000) ack 1 win 65535');
  t.same(blocksOf(c.segments()[0]!.options), [
    [1501, 2001],
    [501, 2501],
    [3001, 4001],
  ]);
  t.end();
});

void t.test('R2883-6, R2883-7, R2883-9: a D-SACK is told by the ACK beside it, and marks nothing', (t) => {
  const counter = (c: Conversation): number =>
    c.stack.counters.get('TcpExtTCPDSACKRecv') + c.stack.counters.get('TcpExtTCPDSACKOfoRecv');
  const old = ten();
  ack(old, 9001);
  const before = old.info;
  t.equal(counter(old), 0);
  ack(old, 5001, [6001, 7001]);
  t.equal(counter(old), 0, 'R2883-6: above the ACK of its own packet, though below SND.UNA');
  t.same([old.info.sndCwnd, old.info.caState], [before.sndCwnd, before.caState]);
  const inside = ten();
  t.notOk(ack(inside, 1001, [2001, 3001], [1501, 5001]).includes(2000));
  t.equal(counter(inside), 1, 'R2883-7: within the second block');
  const below = ten();
  ack(below, 5001);
  below.rest();
  const resent = below.stack.counters.get('TcpRetransSegs');
  t.notOk(
    ack(below, 5001, [3001, 4001]).some((at) => at < 10_000),
    'R2883-9: nothing is resent',
  );
  t.equal(counter(below), 1);
  t.equal(below.stack.counters.get('TcpRetransSegs'), resent);
  t.equal(below.info.caState, 'open');
  t.end();
});

void t.test('R2883-8: a duplicate with an old timestamp is reported, too', (t) => {
  const c = sacked({ 'net.ipv4.tcp_delack': 0 }, '<mss 1000,sackOK,TS val 100 ecr 0>');
  c.inject('. 1:1001(1000) ack 1 win 65535 <TS val 200 ecr 0>');
  c.rest();
  c.inject('. 501:1001(500) ack 1 win 65535 <TS val 150 ecr 0>');
  t.equal(c.reason, 'paws');
  t.same(blocksOf(c.segments()[0]!.options), [[501, 1001]]);
  t.equal(c.read().length, 1000);
  t.end();
});

void t.test('R6675-6, R6675-15: in recovery new data follows the holes, and pipe never exceeds cwnd', (t) => {
  const c = ten(BY_COUNT);
  const seen = new Set<number>();
  let fresh = 0;
  for (let n = 2; n <= 10; n++) {
    for (const at of ack(c, 1, [1001, n * 1000 + 1])) {
      if (at >= 10_000) fresh++;
      else t.equal(at, 0, 'the only hole');
      seen.add(at);
    }
    if (c.info.caState !== 'recovery') continue;
    const inNetwork = c.info.unacked - (n - 1) * 1000;
    t.ok(inNetwork <= Math.max(c.info.sndCwnd, 5000) + 1000, `${inNetwork} of ${c.info.sndCwnd}`);
  }
  t.ok(seen.has(0));
  t.ok(fresh >= 3, `R6675-6: ${fresh} new segments`);
  t.end();
});

void t.test('R6675-7: with nothing new to send, a hole not known to be lost is the last resort', (t) => {
  const c = ten(BY_COUNT, 10_000);
  // 1 is lost by count; 8 has too little above it
  const sent = ack(c, 1, [8001, 9001], [1001, 7001]);
  sent.push(...ack(c, 1, [8001, 10_001], [1001, 7001]));
  sent.push(...ack(c, 1001, [8001, 10_001], [1001, 7001]));
  c.advance(1);
  sent.push(...c.starts());
  t.ok(sent.includes(0));
  t.ok(sent.includes(7000), sent.join());
  t.end();
});

void t.test('R6675-10: an ACK that moves on starts the count of duplicates anew', (t) => {
  const c = ten(BY_COUNT);
  ack(c, 1, [2001, 2101]);
  ack(c, 1, [2001, 2201]);
  ack(c, 1001, [2001, 2201]);
  t.notOk(ack(c, 1001, [2001, 2301]).includes(1000));
  t.notOk(ack(c, 1001, [2001, 2401]).includes(1000), 'the second since then');
  t.equal(c.info.caState === 'recovery', false);
  t.ok(ack(c, 1001, [2001, 2501]).includes(1000), 'the third');
  t.end();
});

void t.test('R6675-16, R6675-17: a timeout ends recovery; what is reported afterwards is skipped', (t) => {
  const c = ten(BY_COUNT);
  ack(c, 1, [1001, 5001]);
  t.equal(c.info.caState, 'recovery');
  const end = 1 + c.info.unacked;
  c.advance(c.info.rto);
  t.equal(c.info.caState, 'loss');
  c.rest();
  const { sndSsthresh } = c.info;
  ack(c, 1001);
  for (const right of [6001, 7001, 8001]) ack(c, 1001, [5001, right]);
  t.equal(c.info.sndSsthresh, sndSsthresh, 'R6675-16: duplicates below the point reduce nothing');
  t.equal(c.info.caState, 'loss');
  const resent: number[] = [];
  for (let una = 2001; una <= 5001; una += 1000) resent.push(...ack(c, una, [5001, 8001]));
  resent.push(...ack(c, 8001));
  t.notOk(
    resent.some((at) => at >= 5000 && at < 8000),
    `R6675-17: ${resent.join()}`,
  );
  ack(c, end);
  t.equal(c.info.caState, 'open');
  t.end();
});

void t.test(
  'R6937-2, R6937-3, R6937-5: half of what is delivered is sent, and all that is sent counts',
  (t) => {
    const c = sacked({ 'net.ipv4.tcp_init_cwnd': 20 });
    c.send(60_000);
    t.equal(c.segments().length, 20);
    c.advance(100);
    let out = 0;
    for (let n = 2; n <= 20; n++) {
      const sent = ack(c, 1, [1001, n * 1000 + 1]).length;
      if (c.info.caState !== 'recovery') continue;
      out += sent;
      const delivered = n - 1;
      // RecoverFS 20, ssthresh 10: one for two, the first retransmission in any case
      t.ok(out <= Math.ceil(delivered / 2) + 1, `${out} sent for ${delivered} delivered`);
      t.ok(c.info.sndCwnd >= c.info.sndSsthresh - 1000);
    }
    t.ok(out >= 8, `${out}`);
    t.end();
  },
);

void t.test(
  'R6937-4: below ssthresh what left the network is replaced, by two segments an ACK at most',
  (t) => {
    const c = sacked({ 'net.ipv4.tcp_init_cwnd': 20 });
    c.send(60_000);
    c.rest();
    c.advance(100);
    // All but the last four are lost
    ack(c, 1, [16_001, 20_001]);
    t.equal(c.info.caState, 'recovery');
    for (let una = 1001; una <= 8001; una += 1000) {
      const sent = ack(c, una, [16_001, 20_001]).length;
      t.ok(sent <= 2, `${sent} for one delivered`);
    }
    t.end();
  },
);

void t.test('R8985-2, R8985-3, R8985-6: times of sending to a millisecond, of the latest copy', (t) => {
  const c = new Conversation();
  c.listen();
  c.inject(`S 0:0(0) win 65535 ${SACK}`);
  c.advance(100);
  c.rest();
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  c.stack.setOption(c.user!, 'noDelay', 1);
  let at = 1;
  for (let i = 0; i < 10; i++) {
    c.send(10);
    c.advance(100);
    at += 10;
    c.rest();
    ack(c, at);
  }
  for (let i = 0; i < 5; i++) {
    c.send(1000);
    c.advance(1);
  }
  c.rest();
  c.advance(95);
  // Sent at 0 .. 4 ms; at 100 ms the last one turns out to have arrived, after an RTT of 96
  t.same(ack(c, at, [at + 4000, at + 5000]), []);
  let waited = 0;
  for (; waited < 60; waited++) {
    if (c.starts(at).includes(0)) break;
    c.advance(1);
  }
  t.equal(waited, 3 + 96 + (96 >> 2) - 100, 'an RTT and a quarter after the last of the four was sent');
  // The ACK of an older sending does not bring the latest time back, and the resent copy has a time of its own
  const resent = c.stack.counters.get('TcpRetransSegs');
  ack(c, at, [at + 1000, at + 2000], [at + 4000, at + 5000]);
  c.advance(20);
  t.notOk(c.starts(at).includes(0), 'not again before another RTT');
  t.ok(c.stack.counters.get('TcpRetransSegs') - resent <= 2);
  t.equal(c.stack.counters.get('TcpExtTCPTimeouts'), 0);
  t.end();
});

void t.test('R8985-4, R8985-5: the smallest RTT grows old, and a resend is no sample below it', (t) => {
  const c = sacked();
  let at = 1;
  const exchange = (rtt: number): void => {
    c.send(10);
    c.advance(rtt);
    c.rest();
    at += 10;
    ack(c, at);
  };
  const wait = (): number => {
    const from = at;
    c.send(3000);
    c.rest();
    const { srtt } = c.info;
    c.advance(srtt);
    ack(c, from, [from + 1000, from + 2000]);
    let ms = 0;
    while (c.segments().length === 0 && ms < 1000) {
      c.advance(1);
      ms++;
    }
    at += 3000;
    ack(c, at);
    return ms;
  };
  for (let i = 0; i < 20; i++) exchange(40);
  const short = wait();
  for (let i = 0; i < 6; i++) {
    c.advance(100_000);
    for (let n = 0; n < 10; n++) exchange(120);
  }
  const long = wait();
  t.ok(long > short, `a quarter of the smallest RTT: ${short} ms, then ${long}`);
  // The answer to the first copy, 1 ms after the second: no RTT of 1 ms
  const { srtt } = c.info;
  c.send(1000);
  c.rest();
  while (c.segments().length === 0) c.advance(1);
  c.advance(1);
  at += 1000;
  ack(c, at);
  t.ok(c.info.srtt >= srtt - 1, `${srtt}, then ${c.info.srtt}`);
  t.end();
});

void t.test('R8985-19: one timer at a time: probe, reordering, retransmission, window probe', (t) => {
  const c = sacked();
  const timers = (): string[] =>
    c.stack
      .sockets()
      .filter((row) => row.remote !== null)
      .map((row) => row.timer);
  c.send(3000);
  c.rest();
  t.equal(c.stack.timers, 1, 'in flight');
  ack(c, 1, [1001, 2001]);
  t.equal(c.stack.timers, 1, 'one segment overtaken');
  c.inject('. 1:1(0) ack 3001 win 0');
  c.rest();
  t.equal(c.stack.timers, 0);
  c.send(10);
  t.equal(c.stack.timers, 1);
  t.same(timers(), ['persist']);
  t.end();
});

void t.test('R9438-12: below ssthresh CUBIC doubles at most', (t) => {
  const cubic = new Cubic();
  cubic.start(10_000);
  let una = 0;
  for (let round = 0; round < 3; round++) {
    const { cwnd } = cubic;
    for (let i = 0; i < cwnd / 1000; i++) {
      const now = 100 * round + i;
      una += 1000;
      cubic.acked(1000, { mss: 1000, now, srtt: 100, rtt: 100, una, nxt: una + cubic.cwnd, paced: false });
    }
    t.ok(cubic.cwnd <= 2 * cwnd && cubic.cwnd > cwnd, `${cwnd}, then ${cubic.cwnd}`);
  }
  t.end();
});
