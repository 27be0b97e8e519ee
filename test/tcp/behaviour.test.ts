/** What a connection does over time: timers, windows, loss, options. Virtual time, exact moments. */
import t, { type Test } from 'tap';
import { EV_CLOSED } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

const TS = '<mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>';

/** Times (ms since now) and texts of what is sent within `ms`. */
function timeline(c: Conversation, ms: number): [number, string][] {
  const start = c.now;
  const seen: [number, string][] = [];
  while (c.now - start < ms) {
    const next = c.stack.nextDeadline(c.now);
    const step = next < 0 ? ms - (c.now - start) : Math.min(Math.max(1, next), ms - (c.now - start));
    c.advance(step);
    for (const text of c.rest()) seen.push([c.now - start, text]);
  }
  return seen;
}

const times = (line: [number, string][]): number[] => line.map(([at]) => at);

t.test(
  'R6298-2, R6298-17, MUST-23: the SYN is resent after 1, 3, 7 ... s for more than 3 minutes',
  (t: Test) => {
    const c = new Conversation();
    c.connect();
    c.rest();
    const line = timeline(c, 300_000);
    t.same(times(line), [1000, 3000, 7000, 15_000, 31_000, 63_000, 127_000]);
    t.ok(line.every(([, text]) => text.startsWith('S 0:0(0)')));
    t.equal(c.user!.error, 'ETIMEDOUT');
    t.ok((c.user!.takeEvents() & EV_CLOSED) !== 0);
    t.equal(c.state, 'CLOSED');
    t.end();
  },
);

t.test('R6298-4, R6298-16, R6298-17: data is resent at RTO, 2 RTO, ... the first segment only', (t: Test) => {
  const c = new Conversation();
  c.established();
  c.advance(1000);
  c.send(3000);
  t.same(c.rest().length, 2, 'two full segments; Nagle holds the rest back');
  // The handshake took no time, so SRTT = 0 and the RTO is the smallest, 200 ms.
  const line = timeline(c, 3200);
  t.same(times(line), [200, 600, 1400, 3000]);
  t.ok(line.every(([, text]) => text.startsWith('. 1:1461(1460)')));
  t.end();
});

t.test('MUST-20, R2: after the last retransmission the connection is given up', (t: Test) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_retries2': 3 } });
  c.established();
  c.send(10);
  c.rest();
  t.same(times(timeline(c, 60_000)), [200, 600, 1400]);
  t.equal(c.user!.error, 'ETIMEDOUT');
  t.end();
});

t.test(
  'R6298-9 Karn: no sample from what was resent; R6298-21: the back-off stays until a fresh one',
  (t: Test) => {
    const c = new Conversation();
    c.established();
    c.send(10);
    c.advance(200);
    c.inject('. 1:1(0) ack 11 win 65535');
    t.equal(c.stack.tcpInfo(c.user!).srtt, 0);
    t.equal(c.stack.tcpInfo(c.user!).rto, 400);
    c.send(10);
    c.advance(100);
    c.inject('. 1:1(0) ack 21 win 65535');
    t.equal(c.stack.tcpInfo(c.user!).backoff, 0);
    // R6298-5 from SRTT 0, RTTVAR 0: RTTVAR = 100/4, SRTT = 100/8
    t.equal(c.stack.tcpInfo(c.user!).srtt, 12);
    t.equal(c.stack.tcpInfo(c.user!).rttvar, 25);
    t.end();
  },
);

t.test(
  'SHLD-18, SHLD-19, MUST-40: ACKs are delayed, every second full segment is acknowledged at once',
  (t: Test) => {
    const c = new Conversation();
    c.established();
    c.inject('. 1:101(100) ack 1 win 65535');
    t.same(timeline(c, 500), [[40, '. 1:1(0) ack 101 win 65535']]);
    c.inject('. 101:1561(1460) ack 1 win 65535');
    t.same(c.rest(), []);
    c.inject('. 1561:3021(1460) ack 1 win 65535');
    t.equal(c.mismatch('. 1:1(0) ack 3021'), '');
    t.end();
  },
);

t.test(
  'SHLD-19, R9293 3.8.6.3: segments of one batch get one ACK; with tcp_ack_batch 0 every second full one its own',
  (t: Test) => {
    const five = [0, 1, 2, 3, 4].map((i) => `. ${1 + 1460 * i}:${1461 + 1460 * i}(1460) ack 1 win 65535`);
    for (const profile of ['rfc9293', 'linux']) {
      const acks = (batch: number): string[] => {
        const c = new Conversation({ policy: profile, knobs: { tcp_ack_batch: batch } });
        c.established();
        // Linux's quick ACKs are over, and it knows the size of the peer's segments
        for (let i = 0; i < 40; i++) {
          const at = 1 + 1460 * i;
          c.inject(`. ${at}:${at + 1460}(1460) ack 1 win 65535`);
        }
        c.read();
        c.advance(50);
        c.rest();
        const moved = five.map((text) =>
          text.replace(
            /^\. (\d+):(\d+)/,
            (_, from, to) => `. ${Number(from) + 58_400}:${Number(to) + 58_400}`,
          ),
        );
        c.injectTogether(...moved);
        return c.rest().map((text) => text.replace(/ win.*/, ''));
      };
      const [second, fourth, fifth] = [2, 4, 5].map((n) => `. 1:1(0) ack ${1 + 58_400 + 1460 * n}`);
      t.same(acks(1), [fifth], `${profile}: together`);
      t.same(acks(0), [second, fourth], `${profile}: every second`);
    }
    t.end();
  },
);

t.test(
  'SHLD-7, MUST-17: Nagle holds small segments back while data is in flight, and can be switched off',
  (t: Test) => {
    const c = new Conversation();
    c.established();
    c.send(10);
    t.equal(c.mismatch('P. 1:11(10) ack 1'), '');
    c.send(10);
    t.same(c.rest(), [], 'held back');
    c.inject('. 1:1(0) ack 11 win 65535');
    t.equal(c.mismatch('P. 11:21(10) ack 1'), '', 'sent with the ACK');
    c.send(10);
    c.stack.setOption(c.user!, 'noDelay', 1);
    c.collect();
    t.equal(c.mismatch('P. 21:31(10) ack 1'), '', 'no delay');
    t.end();
  },
);

t.test(
  'MUST-35 .. MUST-37, SHLD-29, SHLD-30: a closed window is probed, ever more slowly, for ever',
  (t: Test) => {
    const c = new Conversation();
    c.established();
    c.inject('. 1:1(0) ack 1 win 0');
    c.send(100);
    t.same(c.rest(), []);
    const probes: number[] = [];
    const start = c.now;
    for (let i = 0; i < 40; i++) {
      while (c.rest().length === 0) c.advance(1);
      probes.push(c.now - start);
      c.inject('. 1:1(0) ack 1 win 0');
      c.rest();
    }
    t.same(probes.slice(0, 5), [200, 600, 1400, 3000, 6200]);
    t.equal(probes.at(-1)! - probes.at(-2)!, 60_000, 'at most a minute apart');
    t.equal(c.state, 'ESTABLISHED', 'answered probes never end it');
    c.inject('. 1:1(0) ack 1 win 65535');
    c.advance(0);
    const sent = c.rest().join('|');
    t.match(sent, /1:2\(1\)|1:101\(100\)/, 'the window opens: the data goes out');
    t.end();
  },
);

t.test('R9293-61: silly windows: a small window waits for the override, 0.1 .. 1 s', (t: Test) => {
  const c = new Conversation();
  c.established();
  c.inject('. 1:1(0) ack 1 win 100');
  c.send(5000);
  t.same(c.rest(), [], 'far less than half of the largest window');
  const [first] = timeline(c, 1000);
  t.match(first![1], /^\. 1:101\(100\)/);
  t.ok(first![0] >= 100 && first![0] <= 1000);
  t.end();
});

t.test(
  'R9293-62, R9293-56, SHLD-14: the receiver closes the window without shrinking it and reopens by useful steps',
  (t: Test) => {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 4096, 'net.ipv4.tcp_delack': 0 } });
    c.established();
    c.inject('. 1:1461(1460) ack 1 win 65535');
    t.equal(c.mismatch('. 1:1(0) ack 1461 win 2636'), '');
    c.inject('. 1461:2921(1460) ack 1 win 65535');
    t.equal(c.mismatch('. 1:1(0) ack 2921 win 1176'), '');
    c.inject('. 2921:4097(1176) ack 1 win 65535');
    t.equal(c.mismatch('. 1:1(0) ack 4097 win 0'), '');
    c.inject('. 4097:4098(1) ack 1 win 65535');
    t.equal(c.mismatch('. 1:1(0) ack 4097 win 0'), '', 'a probe hears the closed window');
    t.equal(c.reason, 'zero-window-probe');
    c.stack.read(c.user!, 1000);
    c.collect();
    t.same(c.rest(), [], '1000 bytes are no useful step');
    c.stack.read(c.user!, 1000);
    c.collect();
    t.match(c.take(), /^\. 1:1\(0\) ack 4097 win (1[5-9]|2\d)\d\d/, 'now it is');
    t.end();
  },
);

t.test(
  'MUST-24 .. MUST-29: keep-alive after two hours, nine probes 75 s apart, then RST and ETIMEDOUT',
  (t: Test) => {
    const c = new Conversation();
    c.established();
    t.same(timeline(c, 8_000_000), [], 'off by default');
    c.stack.setOption(c.user!, 'keepAlive', 7_200_000);
    const line = timeline(c, 7_200_000 + 10 * 75_000);
    // The connection has been quiet for longer than the interval already when it is switched on.
    t.equal(line.length, 10);
    t.match(line[9]![1], /^R\. 1:1/);
    t.same(line[0], [7_200_000, '. 0:0(0) ack 1 win 65535'], 'SHLD-12: no data, one below SND.NXT');
    t.same(
      line.slice(1).map(([at], i) => at - line[i]![0]),
      Array(9).fill(75_000),
    );
    t.equal(c.user!.error, 'ETIMEDOUT');
    t.end();
  },
);

t.test('R7323-45, R7323-43, R7323-28: PAWS', (t: Test) => {
  const c = new Conversation();
  c.established(TS);
  c.inject('. 1:11(10) ack 1 win 100 <TS val 200 ecr 0>');
  c.advance(50);
  c.rest();
  c.inject('. 11:21(10) ack 1 win 100 <TS val 199 ecr 0>');
  t.equal(c.reason, 'paws');
  t.match(c.take(), /^\. 1:1\(0\) ack 11 .*ecr 200/);
  c.inject('. 11:21(10) ack 1 win 100');
  t.equal(c.reason, 'missing-timestamp');
  t.same(c.rest(), []);
  c.advance(25 * 86_400_000);
  c.inject('. 11:21(10) ack 1 win 100 <TS val 5 ecr 0>');
  t.equal(c.reason, 'plain', 'R7323-50: after 24 days the old value says nothing');
  c.inject('R 21:21(0) win 0 <TS val 1 ecr 0>');
  t.equal(c.state, 'CLOSED', 'RST is exempt');
  t.end();
});

t.test('R7323-3, R7323-10, R7323-11, R7323-13: window scaling', (t: Test) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 4_194_304 } });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460,nop,wscale 20>');
  t.equal(c.mismatch('S. 0:0(0) ack 1 win 65535 <mss 1460,wscale 7>'), '', 'SYN windows are never scaled');
  c.inject('. 1:1(0) ack 1 win 2');
  c.accept();
  t.equal(c.stack.tcpInfo(c.user!).sndWnd, 2 << 14, 'a shift above 14 counts as 14');
  c.inject('. 1:1461(1460) ack 1 win 2');
  c.advance(50);
  t.match(c.take(), /ack 1461 win 32756/, '(4 MiB - 1460) >> 7');
  t.end();
});

t.test('R5681-21, R5681-22, R6582: three duplicate ACKs, limited transmit, partial ACK', (t: Test) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.send(20_000);
  t.equal(c.rest().length, 10, 'initial window: 10 segments (RFC 6928)');
  c.inject('. 1:1(0) ack 1 win 65535');
  t.match(c.take(), /^\. 10001:11001/, 'limited transmit');
  c.inject('. 1:1(0) ack 1 win 65535');
  t.match(c.take(), /^\. 11001:12001/);
  c.inject('. 1:1(0) ack 1 win 65535');
  t.match(c.take(), /^\. 1:1001/, 'the third resends the missing segment');
  t.equal(
    c.stack.tcpInfo(c.user!).sndSsthresh,
    5000,
    'R5681-25: half of FlightSize, without the two of limited transmit',
  );
  c.rest();
  c.inject('. 1:1(0) ack 3001 win 65535');
  t.match(c.take(), /^\. 3001:4001/, 'a partial ACK resends the next hole');
  c.rest();
  c.inject('. 1:1(0) ack 12001 win 65535');
  t.equal(c.stack.tcpInfo(c.user!).caState, 'open');
  t.ok(c.stack.tcpInfo(c.user!).sndCwnd <= 6000);
  t.end();
});

t.test('SACK: holes are resent, what the peer has is not', (t: Test) => {
  const c = new Conversation();
  c.established('<mss 1000,sackOK>');
  c.send(10_000);
  c.rest();
  c.inject('. 1:1(0) ack 1 win 65535 <sack 2001:3001>');
  c.inject('. 1:1(0) ack 1 win 65535 <sack 2001:4001>');
  c.inject('. 1:1(0) ack 1 win 65535 <sack 2001:5001>');
  const resent = c.rest().filter((text) => /^\P{L}*\. (1|1001|2001|3001|4001):/u.test(text));
  t.match(resent.join('|'), /^\. 1:1001/);
  t.notMatch(resent.join('|'), /\. (2001|3001|4001):/);
  t.end();
});

t.test('RFC 2018 4: the block that changed last comes first', (t: Test) => {
  const c = new Conversation();
  c.established('<mss 1000,sackOK>');
  c.inject('. 2001:3001(1000) ack 1 win 65535');
  t.equal(c.mismatch('. 1:1(0) ack 1 <sack 2001:3001>'), '');
  c.inject('. 6001:7001(1000) ack 1 win 65535');
  t.equal(c.mismatch('. 1:1(0) ack 1 <sack 6001:7001 2001:3001>'), '');
  c.inject('. 4001:5001(1000) ack 1 win 65535');
  t.equal(c.mismatch('. 1:1(0) ack 1 <sack 4001:5001 6001:7001 2001:3001>'), '');
  c.inject('. 1:2001(2000) ack 1 win 65535');
  t.equal(c.mismatch('. 1:1(0) ack 3001 <sack 4001:5001 6001:7001>'), '', 'R5681-20: at once');
  c.inject('. 3001:4001(1000) ack 1 win 65535');
  c.inject('. 5001:6001(1000) ack 1 win 65535');
  c.rest();
  t.equal(c.read().length, 7000);
  t.end();
});

t.test('R5961-11: at most ten challenge ACKs in five seconds', (t: Test) => {
  const c = new Conversation();
  c.established();
  for (let i = 0; i < 30; i++) c.inject('R 5:5(0) win 0');
  t.equal(c.rest().length, 10);
  t.equal(c.reason, 'challenge-limited');
  c.advance(5000);
  c.inject('R 5:5(0) win 0');
  t.equal(c.rest().length, 1);
  t.end();
});

t.test('SHLD-3: data after close, close with unread data, linger 0', (t: Test) => {
  const late = new Conversation();
  late.established();
  late.close();
  late.rest();
  late.inject('P. 1:6(5) ack 2 win 100');
  t.equal(late.mismatch('R 2:2(0)'), '');
  t.equal(late.state, 'CLOSED');
  const unread = new Conversation();
  unread.established();
  unread.inject('P. 1:6(5) ack 1 win 100');
  unread.close();
  t.equal(unread.mismatch('R. 1:1(0) ack 6'), '');
  const linger = new Conversation();
  linger.established();
  linger.stack.setOption(linger.user!, 'linger', 0);
  linger.send(10);
  linger.rest();
  linger.close();
  t.equal(linger.mismatch('R. 11:11(0) ack 1'), '');
  t.equal(linger.state, 'CLOSED', 'no TIME-WAIT');
  t.end();
});

t.test('an orphan in FIN-WAIT-2 is given up after tcp_fin_timeout', (t: Test) => {
  const c = new Conversation();
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 100');
  t.equal(c.state, 'FIN-WAIT-2');
  c.advance(59_999);
  t.equal(c.state, 'FIN-WAIT-2');
  c.advance(1);
  t.equal(c.state, 'CLOSED');
  t.equal(c.stack.orphans, 0);
  t.end();
});

t.test('RFC 5482: the user timeout ends what is not acknowledged', (t: Test) => {
  const c = new Conversation();
  c.established();
  c.stack.setOption(c.user!, 'userTimeout', 5000);
  c.send(10);
  c.advance(4999);
  t.equal(c.state, 'ESTABLISHED');
  c.advance(1);
  t.equal(c.state, 'CLOSED');
  t.equal(c.user!.error, 'ETIMEDOUT');
  t.end();
});

t.test('limits: accept queue, SYN queue', (t: Test) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_max_syn_backlog': 4, 'net.ipv4.tcp_syncookies': 0 } });
  c.listen(1);
  for (let i = 0; i < 6; i++) {
    c.peerPort = 6000 + i;
    c.inject('S 0:0(0) win 100');
  }
  t.equal(c.reason, 'listen-syn-queue-full');
  t.equal(c.stack.connections, 4);
  const full = new Conversation();
  full.listen(1);
  for (let i = 0; i < 3; i++) {
    full.peerPort = 6000 + i;
    full.ourIss = null;
    full.inject('S 0:0(0) win 100');
    if (i < 2) full.inject('. 1:1(0) ack 1 win 100');
  }
  t.equal(full.reason, 'listen-accept-queue-full', 'Linux: backlog + 1 wait, no more');
  t.equal(full.stack.counters.get('TcpExtListenOverflows'), 1);
  t.end();
});

t.test(
  'R5961-8: nothing below our ISN was ever sent, so an ACK there is no old one but a forged one',
  (t: Test) => {
    const c = new Conversation();
    c.established();
    c.inject('. 1:6(5) ack 0 win 65535');
    t.equal(c.reason, 'ack-too-old', 'our SYN was acknowledged when the connection began');
    t.equal(c.mismatch('. 1:1(0) ack 1'), '');
    c.send(10);
    c.rest();
    c.inject('. 1:1(0) ack 11 win 65535');
    c.inject('. 1:6(5) ack 1 win 65535');
    t.not(c.reason, 'ack-too-old', 'what was sent may be acknowledged again');
    c.inject('. 6:11(5) ack 0 win 65535');
    t.equal(c.reason, 'ack-too-old');
    t.end();
  },
);

t.test('R7323-7: reading opens no window that the 16-bit field cannot say', (t: Test) => {
  const c = new Conversation();
  c.established();
  c.inject('. 1:2(1) ack 1 win 65535');
  c.advance(100);
  c.rest();
  c.read();
  t.same(c.rest(), [], 'no window update after one byte');
  t.end();
});
