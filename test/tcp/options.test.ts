/** What SYNs agree on, and timestamps afterwards: RFC 9293 3.7.1, RFC 7323, RFC 2018 2. */
import t from 'tap';
import { Conversation } from '../support/conversation.js';

const FULL = '<mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>';

function synAck(offered: string, knobs: Record<string, number> = {}, v6 = false): string {
  const c = new Conversation({ knobs, v6 });
  c.listen();
  c.inject(`S 0:0(0) win 65535 ${offered}`);
  return /<(.*)>$/.exec(c.take())?.[1]?.replace(/val \d+/, 'val T') ?? '';
}

void t.test('a SYN,ACK has what the SYN offered and we speak, nothing else', (t) => {
  // R7323-4, R7323-5, R7323-25, RFC 2018 2, MAY-3
  for (const [offered, knobs, expected] of [
    ['', {}, 'mss 1460'],
    ['<mss 1460>', {}, 'mss 1460'],
    ['<sackOK>', {}, 'mss 1460,sackOK'],
    ['<wscale 0>', {}, 'mss 1460,wscale 5'],
    ['<TS val 100 ecr 0>', {}, 'mss 1460,TS val T ecr 100'],
    [FULL, {}, 'mss 1460,sackOK,TS val T ecr 100,wscale 5'],
    [FULL, { 'net.ipv4.tcp_timestamps': 0 }, 'mss 1460,sackOK,wscale 5'],
    [FULL, { 'net.ipv4.tcp_sack': 0 }, 'mss 1460,TS val T ecr 100,wscale 5'],
    [FULL, { 'net.ipv4.tcp_window_scaling': 0 }, 'mss 1460,sackOK,TS val T ecr 100'],
    [FULL, { 'net.ipv4.tcp_rmem': 65_535 }, 'mss 1460,sackOK,TS val T ecr 100,wscale 0'],
    [FULL, { 'net.ipv4.tcp_rmem': 65_536 }, 'mss 1460,sackOK,TS val T ecr 100,wscale 1'],
    [FULL, { 'net.ipv4.tcp_rmem': 2 ** 30 }, 'mss 1460,sackOK,TS val T ecr 100,wscale 14'],
  ] as const) {
    t.equal(synAck(offered, knobs), expected, `${offered} ${JSON.stringify(knobs)}`);
  }
  t.equal(synAck(FULL, {}, true), 'mss 1440,sackOK,TS val T ecr 100,wscale 5', 'IPv6: MTU less 60');
  t.end();
});

void t.test('our SYN offers what the knobs say (R7323-2, R7323-22)', (t) => {
  const c = new Conversation();
  c.connect();
  t.match(c.take(), /<mss 1460,sackOK,TS val \d+ ecr 0,wscale 5>$/);
  const bare = new Conversation({
    knobs: { 'net.ipv4.tcp_timestamps': 0, 'net.ipv4.tcp_sack': 0, 'net.ipv4.tcp_window_scaling': 0 },
  });
  bare.connect();
  t.match(bare.take(), /<mss 1460>$/);
  t.end();
});

void t.test('MUST-15, MUST-16, R6691-3: the payload of a full segment', (t) => {
  for (const [v6, options, expected] of [
    [false, '', 536],
    [true, '', 1220],
    [false, '<mss 1460>', 1460],
    [false, '<mss 9000>', 1460],
    [true, '<mss 9000>', 1440],
    [true, '<mss 65535>', 1440],
    [false, '<mss 1000>', 1000],
    [false, '<mss 1000,TS val 100 ecr 0>', 988],
    [false, '<mss 9000,TS val 100 ecr 0>', 1448],
    [false, '<TS val 100 ecr 0>', 524],
    [false, '<mss 0>', 48],
  ] as const) {
    const c = new Conversation({ v6 });
    c.established(options);
    c.send(20_000);
    t.match(
      c.take(),
      new RegExp(`^\\. 1:${1 + expected}\\(${expected}\\)`),
      `${options} ${v6 ? 'IPv6' : 'IPv4'}`,
    );
  }
  t.end();
});

void t.test('R7323-6: Window Scale and MSS behind the SYN say nothing', (t) => {
  const c = new Conversation();
  c.established('<mss 1000,nop,wscale 2>');
  c.inject('. 1:1(0) ack 1 win 100 <mss 500,nop,wscale 9>');
  const info = c.stack.tcpInfo(c.user!);
  t.same([info.sndWnd, info.sndMss, info.sndWscale], [400, 1000, 2]);
  t.end();
});

void t.test('R7323-30: a timestamp that was not negotiated is ignored', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('P. 1:6(5) ack 1 win 100 <TS val 9 ecr 9>');
  c.inject('P. 6:11(5) ack 1 win 100 <TS val 3 ecr 9>');
  t.equal(c.read().length, 10);
  c.send(5);
  t.notMatch(c.rest().join('|'), /TS/);
  t.end();
});

void t.test('R7323-35 .. R7323-38: which TSval is echoed', (t) => {
  const c = new Conversation();
  c.established(FULL);
  const echoed = (): string => /ecr (\d+)/.exec(c.rest().at(-1) ?? '')?.[1] ?? '';
  c.inject('. 1:101(100) ack 1 win 100 <TS val 200 ecr 0>');
  c.inject('. 101:201(100) ack 1 win 100 <TS val 210 ecr 0>');
  c.advance(40);
  t.equal(echoed(), '200', 'delayed ACK: the earliest unacknowledged segment');
  c.inject('. 301:401(100) ack 1 win 100 <TS val 220 ecr 0>');
  t.equal(echoed(), '200', 'out of order: the last segment that advanced RCV.NXT');
  c.inject('. 201:301(100) ack 1 win 100 <TS val 230 ecr 0>');
  t.equal(echoed(), '230', 'the segment that fills the hole');
  c.inject('. 201:301(100) ack 1 win 100 <TS val 240 ecr 0>');
  t.equal(echoed(), '230', 'one left of the window changes nothing');
  t.end();
});

void t.test('R7323-26, R7323-41, R7323-42: RSTs carry timestamps, those in reply TSval 0', (t) => {
  const c = new Conversation();
  c.established(FULL);
  c.stack.abort(c.user!);
  c.collect();
  t.match(c.take(), /^R\. .*<TS val \d+ ecr 100>$/);
  c.inject('. 1:1(0) ack 1 win 100 <TS val 300 ecr 5>');
  t.match(c.take(), /^R 1:1\(0\).*<TS val 0 ecr 300>$/);
  t.end();
});

void t.test('R7323-43, PAWS boundaries: equal passes, one less does not, the wrap counts', (t) => {
  const c = new Conversation();
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460,TS val 4294967290 ecr 0>');
  c.inject('. 1:1(0) ack 1 win 65535 <TS val 4294967290 ecr 0>');
  c.accept();
  t.equal(c.stack.tcpInfo(c.user!).timestamps, true);
  c.inject('. 1:2(1) ack 1 win 100 <TS val 4294967290 ecr 0>');
  t.equal(c.reason, 'plain');
  c.advance(50);
  c.inject('. 2:3(1) ack 1 win 100 <TS val 3 ecr 0>');
  t.equal(c.reason, 'plain', 'newer, behind the wrap');
  c.advance(50);
  c.inject('. 3:4(1) ack 1 win 100 <TS val 4294967295 ecr 0>');
  t.equal(c.reason, 'paws');
  c.inject('. 3:4(1) ack 1 win 100 <TS val 2147483650 ecr 0>');
  t.equal(c.reason, 'plain', '2^31 - 1 ahead');
  c.advance(50);
  c.inject('. 4:5(1) ack 1 win 100 <TS val 2 ecr 0>');
  t.equal(c.reason, 'plain', 'R7323-39: exactly 2^31 ahead is no old one');
  t.equal(c.read().length, 4);
  t.end();
});

void t.test('R7323-33: RTT from TSecr, also of what was resent', (t) => {
  const c = new Conversation();
  c.established(FULL);
  c.advance(1000);
  c.send(100);
  const first = Number(/TS val (\d+)/.exec(c.take())![1]);
  c.advance(100);
  c.inject(`. 1:1(0) ack 101 win 100 <TS val 200 ecr ${first}>`);
  const info = c.stack.tcpInfo(c.user!);
  t.ok(info.srtt > 0 && info.srtt <= 100, `SRTT ${info.srtt}`);
  t.equal(info.backoff, 0);
  t.end();
});

void t.test('R6298-19, R5681-7: a SYN was lost: RTO 3 s, one segment', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_timestamps': 0 } });
  c.connect();
  c.advance(1000);
  c.rest();
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1000>');
  c.rest();
  c.send(5000);
  t.equal(c.rest().length, 1);
  t.equal(c.stack.tcpInfo(c.user!).rto, 3000);
  c.advance(2999);
  t.same(c.rest(), []);
  c.advance(1);
  t.match(c.take(), /^\. 1:1001/);
  t.end();
});

void t.test('R5681-30: after idling for more than an RTO the window is at most the initial one', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  let una = 1;
  for (let round = 0; round < 5; round++) {
    c.send(40_000);
    for (let i = 0; i < 100 && c.user!.queued > 0; i++) {
      c.rest();
      una += c.stack.tcpInfo(c.user!).unacked;
      c.inject(`. 1:1(0) ack ${una} win 65535`);
    }
  }
  t.ok(c.stack.tcpInfo(c.user!).sndCwnd > 20_000, 'it grew');
  c.advance(60_000);
  c.rest();
  c.send(40_000);
  t.equal(c.rest().length, 10);
  t.end();
});
