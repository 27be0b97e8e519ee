/** What a receiver saves in duplicate ACKs, and what a sender makes of D-SACKs that change nothing. */
import t from 'tap';
import type { CounterName } from '../../src/mib.js';
import { Conversation } from '../support/conversation.js';

const COMPRESS = { 'net.ipv4.tcp_comp_sack_nr': 4, 'net.ipv4.tcp_rmem.max': 6_291_456 };

/** Text arrives in order with timestamps that show a round trip of `rtt` ms, so that quick ACKs are over; RCV.NXT is 40001 then. */
function receiver(rtt: number, knobs: Readonly<Record<string, number>> = COMPRESS): Conversation {
  const c = new Conversation({ policy: 'linux', knobs: { 'net.ipv4.tcp_timestamp_offset': 0, ...knobs } });
  c.established('<mss 1000,sackOK,TS val 100 ecr 0>', rtt);
  for (let i = 0; i < 40; i++) {
    arrives(c, i, rtt);
    c.stack.read(c.user!);
    c.advance(1);
  }
  c.advance(500);
  c.rest();
  return c;
}

function arrives(c: Conversation, segment: number, rtt: number): void {
  const from = 1000 * segment + 1;
  c.inject(
    `. ${from}:${from + 1000}(1000) ack 1 win 65535 <nop,nop,TS val ${200 + segment} ecr ${c.now - rtt}>`,
  );
}

const count = (c: Conversation, name: CounterName): number => c.stack.counters.get(name);

void t.test('SACK compression: after three duplicates, those of a millisecond become one', (t) => {
  const c = receiver(100);
  for (const n of [41, 42, 43]) arrives(c, n, 100);
  t.equal(c.rest().length, 3, 'R5681-19: fast retransmit needs these');
  for (const n of [44, 45, 46]) arrives(c, n, 100);
  t.same(c.rest(), [], 'held back');
  c.advance(1);
  const [only, ...more] = c.rest();
  t.match(only, /ack 40001 .*sack 41001:47001/);
  t.same(more, []);
  t.equal(count(c, 'TcpExtTCPAckCompressed'), 2);
  for (const n of [47, 48, 49, 50]) arrives(c, n, 100);
  t.same(c.rest(), []);
  arrives(c, 51, 100);
  t.equal(c.rest().length, 1, 'no more than tcp_comp_sack_nr wait');
  t.equal(count(c, 'TcpExtTCPAckCompressed'), 6);
  c.advance(5);
  t.same(c.rest(), [], 'and nothing is said twice');
  arrives(c, 40, 100);
  t.match(c.rest().at(-1), /ack 52001/, 'R5681-20: the filled gap at once');
  t.end();
});

void t.test('SACK compression: 5 % of a short round trip is less than a tick, and 0 switches it off', (t) => {
  for (const [rtt, knobs] of [
    [10, COMPRESS],
    [100, { ...COMPRESS, 'net.ipv4.tcp_comp_sack_nr': 0 }],
    [100, { ...COMPRESS, 'net.ipv4.tcp_comp_sack_delay_ns': 500_000 }],
  ] as const) {
    const c = receiver(rtt, knobs);
    for (const n of [41, 42, 43, 44, 45, 46]) arrives(c, n, rtt);
    t.equal(c.rest().length, 6, `${rtt} ms, ${JSON.stringify(knobs)}`);
  }
  const c = receiver(100, { ...COMPRESS, 'net.ipv4.tcp_comp_sack_delay_ns': 4_000_000 });
  for (const n of [41, 42, 43, 44, 45]) arrives(c, n, 100);
  t.equal(c.rest().length, 3);
  c.advance(3);
  t.same(c.rest(), []);
  c.advance(1);
  t.equal(c.rest().length, 1);
  t.end();
});

void t.test('D-SACKs: counted by what they say, and why they change nothing', (t) => {
  const c = new Conversation();
  c.established('<mss 1000,sackOK>', 100);
  c.send(10_000);
  c.rest();
  c.inject('. 1:1(0) ack 1001 win 65535 <sack 1:1001>');
  t.equal(count(c, 'TcpExtTCPDSACKRecv'), 1);
  t.equal(count(c, 'TcpExtTCPDSACKIgnoredDubious'), 1, 'nothing was resent');
  t.equal(c.stack.tcpInfo(c.user!).dsacks, 1);
  // The first of the rest is lost and resent; all else arrives
  for (const end of [6, 10]) c.inject(`. 1:1(0) ack 1001 win 65535 <sack 2001:${end}001>`);
  t.match(c.rest()[0], / 1001:2001/);
  c.advance(100);
  c.inject('. 1:1(0) ack 10001 win 65535');
  c.inject('. 1:1(0) ack 10001 win 65535 <sack 1001:2001>');
  t.equal(count(c, 'TcpExtTCPDSACKIgnoredDubious'), 2, 'more duplicates than were resent');
  c.send(4000);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 10001 win 65535 <sack 11001:14001>');
  t.match(c.rest()[0], / 10001:11001/);
  c.inject('. 1:1(0) ack 10001 win 65535 <sack 10001:11001 11001:14001>');
  t.equal(count(c, 'TcpExtTCPDSACKRecv'), 2);
  c.inject('. 1:1(0) ack 10001 win 65535 <sack 20001:21001>');
  t.equal(count(c, 'TcpExtTCPSACKDiscard'), 1, 'never sent');
  t.end();
});

void t.test('D-SACKs of an earlier loss, and of a probe, undo nothing', (t) => {
  const c = new Conversation();
  c.established('<mss 1000,sackOK>', 100);
  c.send(10_000);
  c.rest();
  for (const end of [5, 10]) c.inject(`. 1:1(0) ack 1 win 65535 <sack 1001:${end}001>`);
  t.match(c.rest()[0], / 1:1001/);
  c.advance(100);
  c.inject('. 1:1(0) ack 10001 win 65535');
  c.send(4000);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 10001 win 65535 <sack 11001:14001>');
  c.inject('. 1:1(0) ack 10001 win 65535 <sack 1:1001 11001:14001>');
  t.equal(count(c, 'TcpExtTCPDSACKIgnoredOld'), 1);
  t.equal(count(c, 'TcpExtTCPDSACKRecvSegs'), 1);

  const probed = new Conversation();
  probed.established('<mss 1000,sackOK>', 100);
  probed.send(1000);
  probed.rest();
  for (let waited = 0; count(probed, 'TcpExtTCPLossProbes') === 0 && waited < 2000; waited++)
    probed.advance(1);
  probed.inject('. 1:1(0) ack 1001 win 65535 <sack 1:1001>');
  t.equal(count(probed, 'TcpExtTCPDSACKIgnoredNoUndo'), 1);
  t.end();
});

void t.test('tcp_frto 0: a timeout is not undone', (t) => {
  for (const frto of [2, 0]) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_frto': frto, 'net.ipv4.tcp_early_retrans': 0 } });
    c.established('<mss 1000,sackOK>', 100);
    c.send(10_000);
    c.rest();
    for (let waited = 0; count(c, 'TcpExtTCPTimeouts') === 0 && waited < 5000; waited++) c.advance(1);
    c.rest();
    // What was sent before the timeout arrives after all
    c.inject('. 1:1(0) ack 1 win 65535 <sack 1001:3001>');
    t.equal(count(c, 'TcpExtTCPSpuriousRTOs'), frto === 0 ? 0 : 1);
    t.equal(c.stack.tcpInfo(c.user!).caState === 'loss', frto === 0);
  }
  t.end();
});
