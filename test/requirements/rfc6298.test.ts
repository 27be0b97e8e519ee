/** RFC 6298, the retransmission timer, and what RFC 8961 asks of any: exact times, one segment after another. */
import t from 'tap';
import { Prng } from '../../src/link/prng.js';
import { Conversation } from '../support/conversation.js';

/** Established without timestamps, SACK and delay; nothing measured but the handshake. */
function plain(knobs: Readonly<Record<string, number>> = {}): Conversation {
  const c = new Conversation({ knobs });
  c.established('<mss 1000>');
  c.stack.setOption(c.user!, 'noDelay', 1);
  return c;
}

/** Sends ten bytes, which are acknowledged after `rtt` ms; `at` is SND.NXT before. */
function exchange(c: Conversation, at: number, rtt: number): number {
  c.send(10);
  c.advance(rtt);
  c.rest();
  c.inject(`. 1:1(0) ack ${at + 10} win 65535`);
  return at + 10;
}

/** ms until something is said, at most `limit`. */
function silence(c: Conversation, limit = 400_000): number {
  const start = c.now;
  while (c.now - start < limit) {
    c.advance(1);
    if (c.segments().length > 0) break;
  }
  return c.now - start;
}

/** RFC 6298 2 as written, in fractions. */
class Model {
  srtt = 0;
  rttvar = 0;
  private first = true;

  constructor(private readonly least: number) {}

  sample(r: number): void {
    if (this.first) {
      this.srtt = r;
      this.rttvar = r / 2;
      this.first = false;
    } else {
      this.rttvar = 0.75 * this.rttvar + 0.25 * Math.abs(this.srtt - r);
      this.srtt = 0.875 * this.srtt + 0.125 * r;
    }
  }

  get rto(): number {
    return Math.max(this.least, this.srtt + Math.max(1, 4 * this.rttvar));
  }
}

void t.test(
  'R6298-1, R6298-6: no timeout earlier than that of an independent model, and none much later',
  (t) => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const random = new Prng(seed);
      const c = plain({ 'net.ipv4.tcp_rto_min': 1 });
      const model = new Model(1);
      model.sample(0);
      let at = 1;
      for (let round = 0; round < 40; round++) {
        const mean = 20 + random.below(400);
        for (let i = random.below(12); i >= 0; i--) {
          // Nothing may be resent before it is acknowledged, or Karn's rule would leave the sample out
          const rtt = Math.min(mean + random.below(1 + (mean >> 2)), Math.floor(model.rto) - 2);
          if (rtt < 0) break;
          at = exchange(c, at, rtt);
          model.sample(rtt);
        }
        c.send(10);
        c.rest();
        const waited = silence(c);
        t.ok(waited > model.rto - 1, `seed ${seed}: resent after ${waited}, the model says ${model.rto}`);
        t.ok(
          waited < 1.02 * model.rto + 12,
          `seed ${seed}: resent after ${waited}, the model says ${model.rto}`,
        );
        at += 10;
        c.inject(`. 1:1(0) ack ${at} win 65535`);
        // The back-off ends with the next sample
        const last = Math.floor(model.srtt);
        at = exchange(c, at, last);
        model.sample(last);
      }
    }
    t.end();
  },
);

void t.test('R6298-10, R8961-2: every round trip of a bulk transfer gives a measurement', (t) => {
  const c = plain();
  for (let i = 0; i < 4; i++) c.send(1_000_000);
  let previous = c.info.srtt;
  for (let round = 1; round <= 20; round++) {
    c.advance(40 + 20 * round);
    const flight = c.segments();
    for (const { seq, length } of flight) c.inject(`. 1:1(0) ack ${seq + length} win 65535`);
    t.ok(c.info.srtt > previous, `round ${round}: ${previous} ms, then ${c.info.srtt}`);
    previous = c.info.srtt;
  }
  t.equal(c.stack.counters.get('TcpRetransSegs'), 0);
  t.end();
});

void t.test("R6298-11: without variance the RTO is SRTT and the clock's granularity, 1 ms", (t) => {
  const c = plain({ 'net.ipv4.tcp_rto_min': 1 });
  let at = 1;
  for (let i = 0; i < 5; i++) at = exchange(c, at, 0);
  t.same([c.info.srtt, c.info.rttvar, c.info.rto], [0, 0, 1]);
  c.send(10);
  c.rest();
  t.equal(silence(c), 1);
  t.end();
});

void t.test(
  'R6298-13: the timer starts with the first segment in flight, and a second one does not move it',
  (t) => {
    const c = plain();
    let at = 1;
    for (let i = 0; i < 10; i++) at = exchange(c, at, 150);
    c.advance(5000);
    const { rto } = c.info;
    c.send(10);
    c.advance(rto >> 1);
    c.send(10);
    t.equal(c.segments().length, 2);
    t.equal(silence(c), rto - (rto >> 1), 'one RTO after the first');
    t.end();
  },
);

void t.test('R6298-14: all acknowledged, the timer stops', (t) => {
  const c = plain();
  exchange(c, 1, 100);
  c.advance(3_600_000);
  t.same(c.rest(), []);
  t.equal(c.stack.counters.get('TcpRetransSegs'), 0);
  t.equal(c.stack.timers, 0);
  t.end();
});

void t.test('R6298-15: an ACK of new data starts the timer anew, a duplicate does not', (t) => {
  for (const duplicate of [false, true]) {
    const c = plain();
    let at = 1;
    for (let i = 0; i < 10; i++) at = exchange(c, at, 150);
    const { rto } = c.info;
    c.send(1000);
    c.send(1000);
    t.equal(c.segments().length, 2);
    c.advance(Math.floor(0.9 * rto));
    c.inject(`. 1:1(0) ack ${duplicate ? at : at + 1000} win 65535`);
    c.rest();
    const now = c.info.rto;
    const waited = silence(c);
    t.equal(waited, duplicate ? rto - Math.floor(0.9 * rto) : now);
  }
  t.end();
});

void t.test('R6298-18, R8961-5: after an expiry the timer runs with the doubled RTO', (t) => {
  const c = plain();
  let at = 1;
  for (let i = 0; i < 10; i++) at = exchange(c, at, 150);
  const { rto } = c.info;
  c.send(10);
  c.rest();
  t.same([silence(c), silence(c), silence(c), silence(c)], [rto, 2 * rto, 4 * rto, 8 * rto]);
  at += 10;
  c.inject(`. 1:1(0) ack ${at} win 65535`);
  t.equal(c.info.backoff, 4, 'Karn: the ACK may be of any of them');
  exchange(c, at, 150);
  t.equal(c.info.backoff, 0, 'new data got through');
  t.end();
});

void t.test('R8961-1: nothing is resent before a second has passed as long as nothing is known', (t) => {
  const open = new Conversation();
  open.connect();
  open.rest();
  t.equal(silence(open), 1000);
  const half = new Conversation();
  half.listen();
  half.inject('S 0:0(0) win 65535 <mss 1000>');
  half.rest();
  t.equal(silence(half), 1000);
  t.end();
});

void t.test(
  'R6298-9, R8961-3: what was resent is not measured; a timestamp tells which sending was acknowledged',
  (t) => {
    const c = plain();
    let at = 1;
    for (let i = 0; i < 10; i++) at = exchange(c, at, 100);
    const { srtt } = c.info;
    c.send(10);
    c.advance(5000);
    c.inject(`. 1:1(0) ack ${at + 10} win 65535`);
    t.equal(c.info.srtt, srtt);
    const s = new Conversation();
    s.established('<mss 1012,TS val 100 ecr 0>');
    s.send(10);
    s.advance(600);
    const resent = s.rest();
    t.equal(resent.length, 3, 'sent, then again after 200 and 600 ms');
    s.advance(80);
    s.inject(`. 1:1(0) ack 11 win 65535 <TS val 101 ecr ${/val (\d+)/.exec(resent[2]!)![1]}>`);
    t.equal(s.info.srtt, 10, '80 ms after the last sending, an eighth of it on top of 0');
    t.end();
  },
);

void t.test(
  'R8961-4: a timeout brings the rate down to a segment, and half the flight as the threshold',
  (t) => {
    const c = plain();
    c.send(60_000);
    t.equal(c.segments().length, 10);
    silence(c);
    t.same([c.info.sndCwnd, c.info.sndSsthresh], [1000, 5000]);
    t.end();
  },
);

void t.test('R8961-6: the pause between two retransmissions grows to a limit of a minute or more', (t) => {
  const c = plain({ 'net.ipv4.tcp_retries2': 20 });
  c.send(10);
  c.rest();
  const pauses = Array.from({ length: 14 }, () => silence(c));
  t.same(pauses.slice(-3), [120_000, 120_000, 120_000]);
  t.end();
});
