/** Pacing: when segments leave, to the millisecond, and at what rate in the end. */
import t from 'tap';
import { bulk } from '../support/bulk.js';
import { Conversation } from '../support/conversation.js';

/** Established over 100 ms, segments of 1000 bytes, cwnd ten of them; all that is sent is taken by `burst`. */
function conversation(knobs: Readonly<Record<string, number>>, policy = 'rfc9293'): Conversation {
  const c = new Conversation({ knobs, policy });
  c.established('<mss 1000,sackOK>', 100);
  return c;
}

/** Segments that left in each of the next `ms` milliseconds. */
function perMillisecond(c: Conversation, ms: number): number[] {
  return Array.from({ length: ms }, () => {
    const { length } = c.rest();
    c.advance(1);
    return length;
  });
}

void t.test(
  'the rate: twice cwnd in a round trip in slow start, 1.2 times later, never above the limit',
  (t) => {
    const c = conversation({ tcp_pacing: 1 });
    const info = (): { pacingRate: number } => c.stack.tcpInfo(c.user!);
    t.equal(info().pacingRate, (2 * 10_000) / 0.1);
    c.stack.setKnob('net.ipv4.tcp_pacing_ss_ratio', 150);
    t.equal(info().pacingRate, (1.5 * 10_000) / 0.1);
    c.send(10_000);
    c.rest();
    c.advance(100);
    for (const n of [2, 3, 4]) c.inject(`. 1:1(0) ack 1 win 65535 <sack 1001:${1000 * n + 1}>`);
    c.rest();
    c.advance(100);
    c.inject('. 1:1(0) ack 10001 win 65535');
    const { sndCwnd, srtt, pacingRate } = c.stack.tcpInfo(c.user!);
    t.equal(sndCwnd, 5000);
    t.equal(pacingRate, (1.2 * 5000) / (srtt / 1000));
    c.stack.setOption(c.user!, 'maxPacingRate', 20_000);
    t.equal(info().pacingRate, 20_000);
    t.end();
  },
);

void t.test('the first ten segments leave at once, the next ones at the rate', (t) => {
  const c = conversation({ tcp_pacing: 1, 'net.ipv4.tcp_init_cwnd': 16 });
  c.send(40_000);
  // 2 * 16,000 bytes in 100 ms: a segment each 3.125 ms after the tenth, which was overdue and counts half
  t.same(
    perMillisecond(c, 20).flatMap((count, ms) => (count > 0 ? [[ms, count]] : [])),
    [
      [0, 10],
      [1, 1],
      [4, 1],
      [7, 1],
      [10, 1],
      [14, 1],
      [17, 1],
    ],
  );
  t.same(perMillisecond(c, 20).filter(Boolean), [], 'cwnd is in flight');
  t.end();
});

void t.test('without pacing nothing waits', (t) => {
  const c = conversation({ 'net.ipv4.tcp_init_cwnd': 16 });
  c.send(40_000);
  t.same(perMillisecond(c, 3), [16, 0, 0]);
  t.end();
});

void t.test('linux: bursts leave whole, and what left late leaves up to half of its time earlier', (t) => {
  const c = conversation({ 'net.ipv4.tcp_init_cwnd': 20 }, 'linux');
  c.stack.setOption(c.user!, 'maxPacingRate', 100_000);
  c.send(60_000);
  // The smallest burst of two segments, 20 ms each; four bursts go before the first ten segments are out
  t.same(
    perMillisecond(c, 70).flatMap((count, ms) => (count > 0 ? [[ms, count]] : [])),
    [
      [0, 10],
      [10, 2],
      [30, 2],
      [50, 2],
    ],
  );
  t.end();
});

void t.test('what is resent waits for its turn, but not at a timeout', (t) => {
  const c = conversation({ tcp_pacing: 1 });
  c.stack.setOption(c.user!, 'maxPacingRate', 10_000);
  c.send(30_000);
  c.rest();
  c.advance(49);
  c.inject(`. 1:1(0) ack 1 win 65535 <sack 3001:8001>`);
  t.same(c.rest(), [], 'half of 100 ms for the tenth segment');
  c.advance(1);
  t.match(c.rest()[0], / 1:1001\(1000\)/);
  c.inject(`. 1:1(0) ack 8001 win 65535`);
  c.rest();
  for (let waited = 0; c.stack.counters.get('TcpExtTCPTimeouts') === 0; waited++) {
    if (waited > 2000) throw new Error('no timeout');
    c.rest();
    c.advance(1);
  }
  t.match(c.rest().join(), / 8001:9001\(1000\)/);
  t.end();
});

for (const [rate, why] of [
  [50_000, 'slower than a segment in a millisecond'],
  [5_000_000, 'faster than the clock ticks'],
] as const) {
  void t.test(`SO_MAX_PACING_RATE ${rate}: that many bytes a second arrive, ${why}`, (t) => {
    const { received, time } = bulk({
      wire: { delay: 5 },
      time: 8000,
      setUp(_net, _wire, client) {
        const { connect } = client;
        client.connect = (options) => {
          const socket = connect.call(client, options);
          if (typeof socket !== 'string') client.stack.setOption(socket.connection, 'maxPacingRate', rate);
          return socket;
        };
      },
    });
    const measured = received / (time / 1000);
    t.ok(Math.abs(measured / rate - 1) < 0.06, `${Math.round(measured)} bytes a second`);
    t.end();
  });
}

void t.test('100 ms and 1 % loss: pacing costs no throughput', (t) => {
  const median = (pacing: number): number =>
    [1, 2, 3, 4, 5]
      .map(
        (seed) =>
          bulk({ seed, knobs: { tcp_pacing: pacing }, wire: { delay: 50, loss: 0.01 }, time: 30_000 }).rate,
      )
      .sort((a, b) => a - b)[2]!;
  const [without, paced] = [median(0), median(1)];
  t.ok(paced > 0.85 * without, `${paced.toFixed(2)} and ${without.toFixed(2)} Mbit/s`);
  t.end();
});
