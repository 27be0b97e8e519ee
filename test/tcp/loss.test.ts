/** Loss: found, repaired, undone. Hand-made ACKs with exact times; two hosts where chance matters. */
import t from 'tap';
import type { TcpInfo } from '../../src/stack/api.js';
import { bulk } from '../support/bulk.js';
import { Conversation } from '../support/conversation.js';

const SACK = '<mss 1000,sackOK>';

/** Established with an RTT of `rtt` ms on both ends' books, all acknowledged, `cwnd` ten segments. */
function measured(
  rtt: number,
  knobs: Readonly<Record<string, number>> = {},
): { c: Conversation; at: number } {
  const c = new Conversation({ knobs });
  c.established(SACK, rtt);
  let at = 1;
  for (let i = 0; i < 10; i++) {
    c.send(10);
    c.advance(rtt);
    at += 10;
    c.inject(`. 1:1(0) ack ${at} win 65535`);
  }
  c.rest();
  return { c, at };
}

const info = (c: Conversation): TcpInfo => c.stack.tcpInfo(c.user!);
/** First sequence number of what was said: '1001,2001'. */
const starts = (c: Conversation, from: number): string =>
  c
    .rest()
    .map((text) => Number(/ (\d+):/.exec(text)![1]) - from)
    .join();

void t.test('R6675-3, R6675-11: by count, a byte above two segments of SACKed data means loss', (t) => {
  const { c, at } = measured(100, { 'net.ipv4.tcp_recovery': 0 });
  c.send(10_000);
  c.rest();
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 3000}>`);
  t.same(c.rest(), [], 'two segments do not');
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 3001}>`);
  t.equal(starts(c, at), '0', 'resent at the second ACK');
  t.equal(info(c).sndSsthresh, 5000, 'R6675-13');
  c.inject(`. 1:1(0) ack ${at + 10_000} win 65535`);
  t.equal(info(c).caState, 'open', 'R6675-14');
  t.equal(info(c).sndCwnd, 5000, 'R6937-6');
  t.end();
});

void t.test('R6675-5, R6675-8, R6675-9: holes in ascending order, then one rescue, then nothing', (t) => {
  const { c, at } = measured(100, { 'net.ipv4.tcp_recovery': 0 });
  c.send(10_000);
  c.rest();
  // 1, 3 and the last two are missing
  const blocks = `${at + 3000}:${at + 8000} ${at + 1000}:${at + 2000}`;
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${blocks}>`);
  t.equal(starts(c, at), '0,2000,9000', 'both holes, and the highest segment once');
  c.inject(`. 1:1(0) ack ${at + 2000} win 65535 <sack ${at + 3000}:${at + 8000}>`);
  t.equal(starts(c, at), '', 'none of them twice');
  c.inject(`. 1:1(0) ack ${at + 8000} win 65535`);
  c.advance(1);
  t.equal(starts(c, at), '', 'one rescue in a recovery');
  t.end();
});

void t.test('R6675-12, R5681-22, R5681-23: limited transmit only for new SACK information', (t) => {
  const { c, at } = measured(100);
  c.send(20_000);
  c.rest();
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 2000}>`);
  t.equal(starts(c, at), '10000', 'one new segment');
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 2000}>`);
  t.equal(starts(c, at), '', 'nothing new, nothing sent');
  t.equal(info(c).sndCwnd, 10_000);
  t.end();
});

void t.test(
  'R8985-8, R8985-10, R8985-11: one SACKed segment and silence: a quarter of the RTT later',
  (t) => {
    const { c, at } = measured(100);
    c.send(3000);
    c.rest();
    c.advance(100);
    c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 2000}>`);
    t.same(c.rest(), [], 'it may have been overtaken');
    c.advance(24);
    t.same(c.rest(), []);
    c.advance(1);
    t.equal(starts(c, at), '0', 'RTT + min_RTT/4 after it was sent');
    t.equal(info(c).caState, 'recovery');
    t.end();
  },
);

void t.test('R8985-8: three SACKed segments and no reordering ever seen: at once', (t) => {
  const { c, at } = measured(100);
  c.send(5000);
  c.rest();
  c.advance(100);
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 4000}>`);
  t.equal(starts(c, at), '0');
  t.end();
});

void t.test('R8985-6: what is resent behind newer data in the same millisecond was sent after it', (t) => {
  const { c, at } = measured(100);
  c.send(20_000);
  c.rest();
  c.advance(100);
  // Limited transmit sends two, then the first one is resent: all at once.
  for (const n of [2, 3, 4]) c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 1000 * n}>`);
  t.equal(starts(c, at), '10000,11000,0');
  c.advance(100);
  for (const n of [10, 11, 12]) c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 1000 * n}>`);
  t.notOk(starts(c, at).split(',').includes('0'), 'its own answer is on the way');
  c.advance(1);
  c.inject(`. 1:1(0) ack ${at + 12_000} win 65535`);
  t.equal(c.stack.counters.get('TcpExtTCPLostRetransmit'), 0);
  t.end();
});

void t.test('R8985-7, R8985-9: reordering seen widens the wait, D-SACKs widen it further', (t) => {
  const { c, at } = measured(100);
  c.send(5000);
  c.advance(100);
  c.rest();
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 2000}>`);
  c.inject(`. 1:1(0) ack ${at + 5000} win 65535`);
  t.same(c.rest(), [], 'it was only late');
  const from = at + 5000;
  c.send(5000);
  c.rest();
  c.advance(100);
  c.inject(`. 1:1(0) ack ${from} win 65535 <sack ${from + 1000}:${from + 5000}>`);
  t.same(c.rest(), [], 'four SACKed segments do not hurry it now');
  c.advance(25);
  t.equal(starts(c, from), '0');
  c.inject(`. 1:1(0) ack ${from + 5000} win 65535 <sack ${from}:${from + 1000}>`);
  c.rest();
  const next = from + 5000;
  c.send(5000);
  c.rest();
  c.advance(100);
  c.inject(`. 1:1(0) ack ${next} win 65535 <sack ${next + 1000}:${next + 5000}>`);
  c.advance(49);
  t.same(c.rest(), [], 'two quarters of the RTT after a D-SACK');
  c.advance(1);
  t.equal(starts(c, next), '0');
  t.end();
});

void t.test('R8985-13, R8985-14, R8985-15, R8985-16, R8985-17: tail loss probe', (t) => {
  const { c, at } = measured(100);
  const { rto } = info(c);
  c.send(5000);
  c.rest();
  c.advance(2 * info(c).srtt - 1);
  t.same(c.rest(), []);
  c.advance(1);
  t.equal(starts(c, at), '4000', 'nothing unsent: the last segment, not the first');
  t.equal(info(c).caState, 'open', 'a probe is no timeout');
  t.equal(c.stack.counters.get('TcpExtTCPLossProbes'), 1);
  c.advance(rto - 1);
  t.same(c.rest(), [], 'one probe; then the RTO anew');
  c.advance(1);
  t.equal(starts(c, at), '0');
  t.equal(c.stack.counters.get('TcpExtTCPTimeouts'), 1);
  t.end();
});

void t.test('R8985-16: the probe is new data where there is some, beyond cwnd', (t) => {
  const { c, at } = measured(100);
  c.send(12_000);
  t.equal(starts(c, at).split(',').length, 10);
  c.advance(2 * info(c).srtt);
  t.equal(starts(c, at), '10000');
  t.end();
});

void t.test('R8985-18: a probe that repaired the loss is answered with less; one that did not, not', (t) => {
  for (const lost of [true, false]) {
    const { c, at } = measured(100);
    c.send(5000);
    c.rest();
    c.advance(200);
    t.equal(starts(c, at), '4000');
    // Lost: only now is all there. Not lost: the D-SACK says that the probe came second.
    if (lost) c.inject(`. 1:1(0) ack ${at + 4000} win 65535`);
    c.inject(
      lost
        ? `. 1:1(0) ack ${at + 5000} win 65535`
        : `. 1:1(0) ack ${at + 5000} win 65535 <sack ${at + 4000}:${at + 5000}>`,
    );
    c.send(1000);
    c.advance(10);
    c.inject(`. 1:1(0) ack ${at + 6000} win 65535`);
    t.equal(info(c).sndSsthresh < 1e6, lost, lost ? 'reduced' : 'left alone');
  }
  t.end();
});

void t.test('R6937-1 .. R6937-6: half the window, one segment for two delivered', (t) => {
  const { c, at } = measured(100);
  c.stack.setKnob('net.ipv4.tcp_init_cwnd', 20);
  const fresh = new Conversation({ knobs: { 'net.ipv4.tcp_init_cwnd': 20 } });
  fresh.established(SACK);
  fresh.send(60_000);
  t.equal(fresh.rest().length, 20);
  fresh.advance(100);
  const sentFor: number[] = [];
  for (let n = 2; n <= 20; n++) {
    fresh.inject(`. 1:1(0) ack 1 win 65535 <sack 1001:${n * 1000 + 1}>`);
    sentFor.push(fresh.rest().length);
  }
  const total = sentFor.reduce((a, b) => a + b, 0);
  t.same(sentFor.slice(0, 2), [1, 1], 'limited transmit');
  t.equal(info(fresh).sndSsthresh, 10_000);
  t.ok(total >= 10 && total <= 13, `${total} segments for 19 delivered: ${sentFor.join()}`);
  t.ok(
    sentFor.every((n) => n <= 1 || n === sentFor[2]),
    'no burst',
  );
  fresh.inject('. 1:1(0) ack 22001 win 65535');
  t.equal(info(fresh).caState, 'open');
  t.equal(info(fresh).sndCwnd, 10_000, 'R6937-6');
  t.ok(at > 0 && c.state === 'ESTABLISHED');
  t.end();
});

void t.test('R8985-12: an RTO spares what was sent a moment ago', (t) => {
  const { c, at } = measured(100);
  c.stack.setOption(c.user!, 'noDelay', 1);
  c.send(1000);
  c.rest();
  while (c.rest().length === 0) c.advance(1);
  c.advance(info(c).rto - 1);
  c.send(1000);
  c.rest();
  c.advance(1);
  t.equal(starts(c, at), '0');
  t.equal(c.stack.counters.get('TcpExtTCPTimeouts'), 1);
  c.inject(`. 1:1(0) ack ${at + 1000} win 65535`);
  t.same(c.rest(), [], 'the second is not resent with it');
  t.end();
});

void t.test('R5681-37: a retransmission that is lost costs a second reduction', (t) => {
  const { c, at } = measured(100);
  c.send(30_000);
  c.rest();
  c.advance(100);
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 10_000}>`);
  const first = info(c).sndSsthresh;
  t.match(starts(c, at), /^0/);
  c.advance(100);
  c.inject(`. 1:1(0) ack ${at} win 65535 <sack ${at + 1000}:${at + 12_000}>`);
  c.advance(30);
  t.match(starts(c, at), /^(\d+,)*0/, 'found by time, without an RTO');
  t.ok(info(c).sndSsthresh <= first / 2 + 1000, `${info(c).sndSsthresh} after ${first}`);
  t.equal(c.stack.counters.get('TcpExtTCPTimeouts'), 0);
  t.end();
});

void t.test('R2018-11, R2018-12: a peer that reneges gets everything again', (t) => {
  for (const policy of ['rfc9293', 'linux']) {
    const c = new Conversation({ policy });
    c.established(SACK);
    c.send(5000);
    c.rest();
    c.inject('. 1:1(0) ack 1 win 65535 <sack 1001:5001>');
    c.rest();
    c.inject('. 1:1(0) ack 1001 win 65535');
    c.rest();
    for (let i = 0, next = 1001; i < 8 && next < 5001; i++) {
      c.advance(30_000);
      const resent = c.rest();
      t.ok(
        resent.some((text) => text.includes(` ${next}:`)),
        `${policy}: ${next} again: ${resent.join(' | ')}`,
      );
      next += 1000;
      c.inject(`. 1:1(0) ack ${next} win 65535`);
      if (c.rest().join().includes(` ${next}:`)) {
        next += 1000;
        c.inject(`. 1:1(0) ack ${next} win 65535`);
        c.rest();
      }
    }
  }
  t.end();
});

void t.test('R8985-1: no SACK, no RACK, no probe', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.send(3000);
  c.rest();
  c.advance(199);
  t.same(c.rest(), []);
  t.equal(c.stack.counters.get('TcpExtTCPLossProbes'), 0);
  t.end();
});

void t.test('RFC 3522, R9438-11: a reduction that the timestamps prove wrong is undone', (t) => {
  const stamps = '<mss 1012,sackOK,TS val 100 ecr 0>';
  const c = new Conversation();
  c.established(stamps);
  c.send(5000);
  const early = /TS val (\d+)/.exec(c.rest()[0]!)![1]!;
  c.advance(100);
  c.inject(`. 1:1(0) ack 1 win 65535 <TS val 100 ecr ${early},sack 1001:5001>`);
  t.equal(info(c).caState, 'recovery');
  c.advance(5);
  c.inject(`. 1:1(0) ack 5001 win 65535 <TS val 101 ecr ${early}>`);
  t.equal(info(c).caState, 'open');
  t.equal(info(c).sndCwnd, 10_000, 'the echo is older than the retransmission');
  t.ok(info(c).sndSsthresh > 1e6);
  t.end();
});

void t.test('RFC 5682: a timeout that data never resent proves wrong is undone', (t) => {
  const { c, at } = measured(100);
  c.send(5000);
  c.rest();
  while (info(c).caState !== 'loss') c.advance(1);
  c.inject(`. 1:1(0) ack ${at + 3000} win 65535`);
  t.equal(info(c).caState, 'open');
  t.equal(info(c).sndCwnd, 10_000);
  t.end();
});

void t.test('R5681-3, R6298-12: over a bad path everything arrives, and RTOs stay rare', (t) => {
  for (const [policy, sack] of [
    ['linux', 1],
    ['rfc9293', 1],
    ['rfc9293', 0],
  ] as const) {
    const { received, client, wire } = bulk({
      policy,
      knobs: { 'net.ipv4.tcp_sack': sack },
      wire: { delay: 20, jitter: 5, loss: 0.03, reorder: 0.02, duplicate: 0.02, rate: 20e6 },
      bytes: 1_000_000,
      time: 120_000,
    });
    t.equal(received, 1_000_000);
    t.ok(
      client.counter('TcpRetransSegs') < 4 * wire.counts.lost + 40,
      `${client.counter('TcpRetransSegs')} resent, ${wire.counts.lost} lost`,
    );
  }
  t.end();
});

void t.test('100 ms and 1 % loss: CUBIC with RACK reaches what its formula promises', (t) => {
  const rates = [1, 2, 3, 4, 5].map((seed) => {
    const { rate, client } = bulk({ seed, wire: { delay: 50, loss: 0.01, rate: 100e6 }, time: 60_000 });
    t.ok(client.counter('TcpExtTCPTimeouts') <= 4, `${client.counter('TcpExtTCPTimeouts')} RTOs`);
    return rate;
  });
  const median = rates.sort((a, b) => a - b)[2]!;
  // RFC 9438 5.2: in the Reno-friendly region W = 1.22/sqrt(p) = 12.2 segments of 1448 bytes in 100 ms: 1.41 Mbit/s
  t.ok(median > 1.25, `${median.toFixed(2)} Mbit/s`);
  t.end();
});
