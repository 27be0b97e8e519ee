/** Closed, shrunk and tiny windows, on both sides (RFC 9293 3.8.6, 3.10.7.4). */
import t from 'tap';
import { Conversation } from '../support/conversation.js';

/** Our receive buffer is full: RCV.NXT 4097, RCV.WND 0. */
function full(): Conversation {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 4096, 'net.ipv4.tcp_delack': 0 } });
  c.established();
  c.inject('. 1:1461(1460) ack 1 win 65535');
  c.inject('. 1461:2921(1460) ack 1 win 65535');
  c.inject('. 2921:4097(1176) ack 1 win 65535');
  if (c.stack.tcpInfo(c.user!).rcvWnd !== 0) throw new Error('the window is not closed');
  c.rest();
  return c;
}

/** [requirement, segment, state afterwards, reason] */
const closedWindow: readonly (readonly [string, string, string, string])[] = [
  ['MUST-66 RST', 'R 4097:4097(0) win 0', 'CLOSED', 'rst'],
  ['MUST-66, SHLD-2 RST with data', 'R 4097:4099(2) win 0', 'CLOSED', 'rst'],
  ['R5961-1 RST beyond', 'R 4098:4098(0) win 0', 'ESTABLISHED', 'not-acceptable-rst'],
  ['R5961-1 RST before', 'R 4096:4096(0) win 0', 'ESTABLISHED', 'not-acceptable-rst'],
  ['R9293-4 empty at RCV.NXT', '. 4097:4097(0) ack 1 win 9', 'ESTABLISHED', 'plain'],
  ['R9293-4 empty beyond', '. 4098:4098(0) ack 1 win 9', 'ESTABLISHED', 'not-acceptable'],
  ['R9293-4 data', 'P. 4097:4099(2) ack 1 win 9', 'ESTABLISHED', 'zero-window-probe'],
  ['R9293-4 FIN', 'F. 4097:4097(0) ack 1 win 9', 'ESTABLISHED', 'not-acceptable'],
];

void t.test('what a closed window lets through', (t) => {
  for (const [title, segment, state, reason] of closedWindow) {
    const c = full();
    c.inject(segment);
    t.equal(c.reason, reason, `${title}: reason`);
    t.equal(c.state, state, `${title}: state`);
    if (state === 'ESTABLISHED' && segment.startsWith('R')) t.same(c.rest(), [], `${title}: silence`);
  }
  t.end();
});

void t.test('R5961-1: a RST counts by its sequence number alone, whatever data it carries', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('R 0:4(4) win 0');
  t.equal(c.reason, 'not-acceptable-rst', 'it begins left of the window');
  t.same(c.rest(), []);
  c.inject('R 2:4(2) win 0');
  t.equal(c.reason, 'rst-challenge');
  c.inject('R 1:70001(1000) win 0'.replace('70001', '1001'));
  t.equal(c.state, 'CLOSED');
  t.end();
});

void t.test('R9293-70: with a closed window the ACK of a probe still counts', (t) => {
  const c = full();
  c.send(100);
  t.equal(c.mismatch('P. 1:101(100) ack 4097 win 0'), '');
  c.inject('. 4097:4098(1) ack 101 win 65535');
  t.equal(c.reason, 'zero-window-probe');
  t.equal(c.user!.queued, 0, 'or two closed windows would wait for each other');
  t.equal(c.mismatch('. 101:101(0) ack 4097 win 0'), '');
  t.end();
});

void t.test('answers to probes are no duplicate ACKs: no recovery, nothing but probes', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('. 1:1(0) ack 1 win 0');
  c.send(5000);
  t.same(c.rest(), []);
  for (let i = 0; i < 12; i++) {
    let probe = '';
    for (let ms = 0; probe === '' && ms < 70_000; ms++) {
      c.advance(1);
      probe = c.take();
    }
    t.match(probe, /^\. 1:2\(1\) ack 1 /, 'a probe');
    c.inject('. 1:1(0) ack 1 win 0');
    t.same(c.rest(), [], 'and nothing when it is answered');
  }
  const info = c.stack.tcpInfo(c.user!);
  t.equal(info.caState, 'open');
  t.equal(info.sndCwnd, 14_600);
  t.equal(c.stack.counters.get('TcpExtTCPFastRetrans'), 0);
  c.inject('. 1:1(0) ack 1 win 65535');
  c.inject('. 1:1(0) ack 2 win 65535');
  t.match(c.rest().join('|'), /2:1462\(1460\)/);
  t.end();
});

void t.test('a probe that is taken: the next one offers the next octet', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('. 1:1(0) ack 1 win 0');
  c.send(3);
  c.advance(200);
  t.equal(c.mismatch('. 1:2(1) ack 1'), '');
  c.inject('. 1:1(0) ack 2 win 0');
  c.advance(1000);
  t.match(c.take(), /^\. 2:3\(1\) ack 1/);
  t.end();
});

void t.test('MUST-37: a user timeout does not end a closed window whose probes are answered', (t) => {
  const c = new Conversation();
  c.established();
  c.stack.setOption(c.user!, 'userTimeout', 5000);
  c.inject('. 1:1(0) ack 1 win 0');
  c.send(100);
  for (let i = 0; i < 60; i++) {
    c.advance(1000);
    if (c.rest().length > 0) c.inject('. 1:1(0) ack 1 win 0');
  }
  t.equal(c.state, 'ESTABLISHED');
  t.equal(c.user!.error, null);
  c.advance(200_000);
  t.equal(c.state, 'CLOSED', 'silence does');
  t.equal(c.user!.error, 'ETIMEDOUT');
  t.end();
});

void t.test('unanswered probes are given up after tcp_retries2', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_retries2': 3 } });
  c.established();
  c.inject('. 1:1(0) ack 1 win 0');
  c.send(100);
  let probes = 0;
  for (let i = 0; i < 300; i++) {
    c.advance(1000);
    probes += c.rest().length;
  }
  t.equal(probes, 3);
  t.equal(c.user!.error, 'ETIMEDOUT');
  t.end();
});

void t.test('a FIN behind data waits for the window, and is probed with the last octet', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('. 1:1(0) ack 1 win 0');
  c.send(1);
  c.shutdown();
  t.same(c.rest(), []);
  c.advance(200);
  t.equal(c.mismatch('F. 1:2(1) ack 1'), '');
  c.inject('. 1:1(0) ack 3 win 0');
  t.equal(c.state, 'FIN-WAIT-2');
  t.end();
});

void t.test('MUST-34, SHLD-15, SHLD-16: the peer shrinks its window below what is in flight', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.send(4000);
  t.equal(c.rest().length, 4);
  c.inject('. 1:1(0) ack 1001 win 500');
  c.send(1000);
  t.same(c.rest(), [], 'nothing new');
  c.advance(200);
  t.match(c.take(), /^\. 1001:\d+/, 'the old data is resent');
  c.inject('. 1:1(0) ack 4001 win 5000');
  t.match(c.rest().join('|'), /4001:5001\(1000\)/);
  t.equal(c.state, 'ESTABLISHED');
  t.end();
});

void t.test('R9293-31: what lies beyond the window is not taken', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 2048, 'net.ipv4.tcp_delack': 0 } });
  c.established();
  c.inject('FP. 1:2101(2100) ack 1 win 65535');
  t.equal(c.state, 'ESTABLISHED', 'the FIN neither');
  t.equal(c.mismatch('. 1:1(0) ack 2049 win 0'), '');
  t.equal(c.read().length, 2048);
  t.end();
});

void t.test('R9293-31: the same for text on a SYN,ACK', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 2048, 'net.ipv4.tcp_delack': 0 } });
  c.connect();
  t.equal(c.mismatch('S 0:0(0) win 2048'), '');
  c.inject('SF. 0:2100(2100) ack 1 win 65535 <mss 1460>');
  t.equal(c.state, 'ESTABLISHED');
  t.equal(c.mismatch('. 1:1(0) ack 2049 win 0'), '');
  t.equal(c.read().length, 2048);
  t.end();
});

void t.test('R9293-29, R9293-30: which segments may change the window', (t) => {
  const c = new Conversation();
  c.established();
  const window = (): number => c.stack.tcpInfo(c.user!).sndWnd;
  c.inject('. 11:21(10) ack 1 win 3000');
  t.equal(window(), 3000, 'a newer sequence number');
  c.inject('. 1:11(10) ack 1 win 4000');
  t.equal(window(), 3000, 'an older one does not');
  c.inject('. 21:21(0) ack 1 win 5000');
  t.equal(window(), 5000, 'an ACK of SND.UNA does');
  c.inject('. 21:21(0) ack 0 win 6000');
  t.equal(window(), 5000, 'one below SND.UNA does not');
  t.end();
});
