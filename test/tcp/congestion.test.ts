/** Congestion control alone: windows against independent models; and what a connection does with it. */
import t, { type Test } from 'tap';
import { initialWindow } from '../../src/tcp/congestion/control.js';
import { Cubic } from '../../src/tcp/congestion/cubic.js';
import { NewReno } from '../../src/tcp/congestion/reno.js';
import type { PathFacts } from '../../src/tcp/congestion/control.js';
import { Conversation } from '../support/conversation.js';

const MSS = 1000;
const path = (now: number, srtt = 100): PathFacts => ({
  mss: MSS,
  now,
  srtt,
  rtt: -1,
  una: 0,
  nxt: 0,
  paced: false,
});

/** One round trip of acknowledgments, a segment each, spread over `srtt`. */
function round(control: NewReno, now: number, srtt: number): void {
  const segments = Math.floor(control.cwnd / MSS);
  for (let i = 0; i < segments; i++) control.acked(MSS, path(now + Math.floor((i * srtt) / segments), srtt));
}

void t.test('R5681-5, R6928-1: initial windows', (t) => {
  t.same(
    [4000, 2000, 500].map((mss) => initialWindow(mss, 0) / mss),
    [2, 3, 4],
  );
  t.equal(initialWindow(1460, 10), 14_600);
  t.equal(initialWindow(500, 10), 5000);
  t.equal(initialWindow(8960, 10), 17_920);
  t.end();
});

void t.test('R5681-5, R6928-1, R5681-7: the first flight, by knob and after a lost SYN', (t) => {
  for (const [segments, flight] of [
    [10, 10],
    [0, 3],
    [1, 1],
  ] as const) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_init_cwnd': segments } });
    c.established();
    c.send(60_000);
    t.equal(c.rest().length, flight, `knob ${segments}`);
  }
  const lost = new Conversation();
  lost.connect();
  lost.advance(1000);
  lost.rest();
  lost.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  lost.send(60_000);
  t.equal(lost.rest().filter((text) => text.includes('(1460)')).length, 1);
  for (const policy of ['rfc9293', 'linux']) {
    const repeated = new Conversation({ policy });
    repeated.listen();
    for (let i = 0; i < 3; i++) repeated.inject('S 0:0(0) win 65535 <mss 1460>');
    repeated.inject('. 1:1(0) ack 1 win 65535');
    repeated.rest();
    repeated.accept();
    repeated.send(60_000);
    t.equal(repeated.rest().length, 10, `${policy}: a SYN that the peer repeats tells of no loss`);
  }
  t.end();
});

void t.test('R5681-11, R5681-12, R3465-1: slow start counts bytes, at most L segments for an ACK', (t) => {
  const reno = new NewReno();
  reno.start(10 * MSS);
  for (let i = 0; i < 10; i++) reno.acked(100, path(0));
  t.equal(reno.cwnd, 11 * MSS, 'ACK division gains nothing');
  reno.acked(10 * MSS, path(0));
  t.equal(reno.cwnd, 13 * MSS, 'an ACK for ten segments counts two');
  reno.ssthresh = 14 * MSS;
  reno.acked(2 * MSS, path(0));
  t.equal(reno.cwnd, 14 * MSS, 'no further than ssthresh');
  t.end();
});

void t.test(
  'R5681-13, R5681-14: congestion avoidance is a segment a round trip, however it is acknowledged',
  (t) => {
    for (const piece of [100, 1000, 2000]) {
      const reno = new NewReno();
      reno.start(20 * MSS);
      reno.ssthresh = 20 * MSS;
      for (let i = 0; i < 10; i++)
        for (let left = reno.cwnd; left > 0; left -= piece) reno.acked(Math.min(left, piece), path(0));
      t.ok(reno.cwnd <= 30 * MSS && reno.cwnd >= 29 * MSS, `${piece}: ${reno.cwnd}`);
    }
    t.end();
  },
);

void t.test('R5681-16, R5681-17, R5681-18: timeouts', (t) => {
  const reno = new NewReno();
  reno.start(40 * MSS);
  reno.timeout(10 * MSS, path(0), false);
  t.same([reno.ssthresh, reno.cwnd], [5 * MSS, MSS], 'FlightSize, not cwnd');
  reno.timeout(MSS, path(0), true);
  t.same([reno.ssthresh, reno.cwnd], [5 * MSS, MSS], 'the second leaves ssthresh alone');
  t.end();
});

void t.test('R9438-1, R9438-2, R9438-4, R9438-7: the cubic curve', (t) => {
  const cubic = new Cubic();
  cubic.start(100 * MSS);
  cubic.ssthresh = 100 * MSS;
  cubic.reduce(100 * MSS, path(0));
  t.equal(cubic.ssthresh, 70 * MSS, 'R9438-7');
  cubic.cwnd = cubic.ssthresh;
  // K = cbrt((100 - 70) / 0.4) = 4.217 s; a reference that grows by the formula, ACK for ACK
  const srtt = 100;
  let w = 70;
  let west = 70;
  for (let now = 0; now < 10_000; now += srtt) {
    const n = Math.floor(cubic.cwnd / MSS);
    for (let i = 0; i < n; i++) {
      const t_ = (now + Math.floor((i * srtt) / n)) / 1000;
      const curve = (s: number): number => 0.4 * (s - Math.cbrt(75)) ** 3 + 100;
      west += (west >= 100 ? 1 : 9 / 17) / w;
      if (curve(t_) < west) w = Math.max(w, west);
      else w += (Math.min(1.5 * w, Math.max(w, curve(t_ + srtt / 1000))) - w) / w;
    }
    round(cubic, now, srtt);
    t.ok(Math.abs(cubic.cwnd / MSS - w) < 1, `${now} ms: ${cubic.cwnd} and ${w}`);
    if (now === 4200) t.ok(Math.abs(cubic.cwnd - 100 * MSS) < 1.5 * MSS, 'back at W_max after K seconds');
  }
  t.ok(cubic.cwnd > 150 * MSS, 'and beyond');
  t.end();
});

void t.test('R9438-9, R9438-10, R9438-11: fast convergence, timeout, undo', (t) => {
  const cubic = new Cubic();
  cubic.start(100 * MSS);
  cubic.reduce(100 * MSS, path(0));
  cubic.cwnd = 80 * MSS;
  cubic.reduce(80 * MSS, path(0));
  t.equal(cubic.ssthresh, 56 * MSS);
  cubic.cwnd = 56 * MSS;
  cubic.ssthresh = 56 * MSS;
  // W_max is 68 = 80 * 0.85: K = cbrt(12 / 0.4) = 3.1 s
  let now = 0;
  for (; now < 3100; now += 500) round(cubic, now, 500);
  t.ok(Math.abs(cubic.cwnd - 68 * MSS) < 2 * MSS, `plateau at ${cubic.cwnd}`);
  const { cwnd, ssthresh } = cubic;
  cubic.timeout(cwnd, path(now), false);
  t.same([cubic.cwnd, cubic.ssthresh], [MSS, Math.floor(cwnd * 0.7)]);
  cubic.undo();
  t.same([cubic.cwnd, cubic.ssthresh], [cwnd, ssthresh]);
  t.end();
});

void t.test('R9438-5, R9438-6: short paths grow at least as AIMD does', (t) => {
  const cubic = new Cubic();
  cubic.start(20 * MSS);
  cubic.reduce(20 * MSS, path(0, 1));
  cubic.cwnd = 14 * MSS;
  cubic.ssthresh = 14 * MSS;
  for (let i = 0; i < 12; i++) round(cubic, i, 1);
  t.ok(cubic.cwnd >= 19 * MSS, `0.53 segments a round trip: ${cubic.cwnd}`);
  t.ok(cubic.cwnd <= 22 * MSS);
  t.end();
});

void t.test('R9438-3: time in which something else was the limit does not count', (t) => {
  const cubic = new Cubic();
  cubic.start(100 * MSS);
  cubic.reduce(100 * MSS, path(0));
  cubic.cwnd = 70 * MSS;
  for (let now = 0; now < 1000; now += 100) round(cubic, now, 100);
  const { cwnd } = cubic;
  for (let now = 1000; now < 61_000; now += 100) cubic.held(now);
  cubic.acked(MSS, path(61_000));
  t.ok(cubic.cwnd - cwnd <= MSS, 'no jump after a minute');
  t.end();
});

/** A connection whose window has grown by `rounds` doublings, everything acknowledged. */
function warmed(c: Conversation, rounds: number): number {
  let next = 1;
  for (let i = 0; i < rounds; i++) {
    c.send(200_000);
    c.advance(10);
    for (let n = c.rest().length; n > 0; n--) {
      next += 1000;
      c.inject(`. 1:1(0) ack ${next} win 65535`);
    }
  }
  return next;
}

void t.test('R5681-6, R5681-30: the handshake opens nothing; an idle RTO ends at the restart window', (t) => {
  for (const [knob, expected] of [
    [0, 40_000],
    [1, 10_000],
    [2, 10_000],
  ] as const) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_slow_start_after_idle': knob } });
    c.established('<mss 1000,wscale 7>');
    const info = (): number => c.stack.tcpInfo(c.user!).sndCwnd;
    t.equal(info(), 10_000);
    for (let acked = 0; info() < 40_000;) {
      if (c.user!.queued < 100_000) c.send(100_000);
      acked += c.rest().reduce((sum, text) => sum + Number(/\((\d+)\)/.exec(text)![1]), 0);
      c.inject(`. 1:1(0) ack ${acked + 1} win 65535`);
    }
    t.ok(info() >= 40_000);
    for (let i = 0; i < 1000 && c.user!.queued > 0; i++) {
      const acked = c.stack.tcpInfo(c.user!).bytesAcked + c.stack.tcpInfo(c.user!).unacked;
      c.inject(`. 1:1(0) ack ${acked + 1} win 65535`);
    }
    c.rest();
    const before = info();
    c.advance(knob === 2 ? 450 : 10_000);
    c.send(200_000);
    const flight = c.rest().length * 1000;
    if (knob === 0) t.equal(flight, before, 'as it was');
    else if (knob === 1) t.equal(flight, expected);
    else t.ok(flight < before && flight >= (before >> 2) - 1000, `${flight} of ${before}: half for each RTO`);
  }
  t.end();
});

void t.test('RFC 7661 3, R9438-8: a window that is not used does not grow', (t: Test) => {
  for (const policy of ['rfc9293', 'linux']) {
    const c = new Conversation({ policy });
    c.established('<mss 1000>');
    for (let i = 0, next = 1; i < 50; i++) {
      c.send(1000);
      c.advance(10);
      next += 1000;
      c.inject(`. 1:1(0) ack ${next} win 65535`);
    }
    t.equal(c.stack.tcpInfo(c.user!).sndCwnd, 10_000, policy);
  }
  const full = new Conversation();
  full.established('<mss 1000>');
  warmed(full, 1);
  t.ok(full.stack.tcpInfo(full.user!).sndCwnd >= 20_000, 'one that is used does');
  t.end();
});

void t.test('knob tcp_congestion_control: cubic on Linux, NewReno by the RFC, any time', (t) => {
  for (const [policy, knobs, expected] of [
    ['rfc9293', {}, 'newreno'],
    ['linux', {}, 'cubic'],
    ['rfc9293', { 'net.ipv4.tcp_congestion_control': 1 }, 'cubic'],
    ['linux', { 'net.ipv4.tcp_congestion_control': 0 }, 'newreno'],
  ] as const) {
    const c = new Conversation({ policy, knobs });
    c.established();
    t.equal(c.stack.tcpInfo(c.user!).congestion, expected);
  }
  t.end();
});
