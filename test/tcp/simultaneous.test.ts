/** Both ends open at once, both close at once (RFC 9293 3.5 figure 8, 3.6 figure 13; MUST-10, MUST-11). */
import t from 'tap';
import { Conversation } from '../support/conversation.js';

const OPTIONS = '<mss 1460,sackOK,TS val 500 ecr 0,nop,wscale 7>';

function crossed(v6 = false): Conversation {
  const c = new Conversation({ v6 });
  c.connect();
  c.rest();
  c.inject('S 0:0(0) win 1000 <mss 1460,nop,wscale 7>');
  return c;
}

void t.test('MUST-10: SYN against SYN, SYN,ACK against SYN,ACK', (t) => {
  for (const v6 of [false, true]) {
    const c = crossed(v6);
    t.equal(c.mismatch('S. 0:0(0) ack 1'), '', 'our SYN again, with an ACK');
    t.equal(c.state, 'SYN-RECEIVED');
    c.inject('S. 0:0(0) ack 1 win 1000 <mss 1460,nop,wscale 7>');
    t.equal(c.state, 'ESTABLISHED', 'R9293-70: the ACK of the crossing SYN,ACK counts');
    t.same(c.rest(), [], 'both have heard everything');
    const info = c.stack.tcpInfo(c.user!);
    t.equal(info.sndWnd, 1000, 'R7323-7: the window of a SYN,ACK is not scaled');
    t.equal(info.totalRetrans, 0, 'nothing was resent');
    t.equal(info.sndCwnd, 10 * info.sndMss, 'so the whole initial window may be used (R5681-7)');
    t.ok(info.rto < 3000, 'and the RTO is not that of a lost SYN (R6298-19)');
    t.equal(c.stack.counters.get('TcpRetransSegs'), 0);
    t.equal(c.stack.connections, 1, 'one single connection');
  }
  t.end();
});

void t.test('with timestamps: SYN,ACK echoes the SYN', (t) => {
  const c = new Conversation();
  c.connect();
  c.rest();
  c.inject(`S 0:0(0) win 1000 ${OPTIONS}`);
  t.match(c.take(), /^S\. 0:0\(0\) ack 1 win \d+ <mss 1460,sackOK,TS val \d+ ecr 500,wscale \d+>$/);
  c.inject(`. 1:1(0) ack 1 win 10 <TS val 501 ecr 0>`);
  t.equal(c.state, 'ESTABLISHED');
  t.equal(c.stack.tcpInfo(c.user!).sndWnd, 1280, 'an ordinary ACK is scaled');
  t.end();
});

void t.test('our SYN,ACK is lost: the peer repeats its own and hears an ACK', (t) => {
  const c = crossed();
  c.rest();
  c.inject('S. 0:0(0) ack 1 win 1000 <mss 1460,nop,wscale 7>');
  c.rest();
  c.inject('S. 0:0(0) ack 1 win 1000 <mss 1460,nop,wscale 7>');
  t.equal(c.mismatch('. 1:1(0) ack 1'), '');
  t.equal(c.state, 'ESTABLISHED');
  t.end();
});

void t.test('nobody answers the SYN,ACK: it is resent with back-off, then given up', (t) => {
  const c = crossed();
  c.rest();
  const sent: string[] = [];
  for (let i = 0; i < 400; i++) {
    c.advance(1000);
    sent.push(...c.rest());
  }
  t.equal(sent.length, c.stack.knob('net.ipv4.tcp_synack_retries'));
  t.ok(sent.every((text) => text.startsWith('S. 0:0(0) ack 1')));
  t.equal(c.user!.error, 'ETIMEDOUT');
  t.equal(c.stack.connections, 0);
  t.end();
});

void t.test('MUST-11: a RST in SYN-RECEIVED after an active OPEN tells the user "refused"', (t) => {
  const c = crossed();
  c.inject('R 1:1(0) win 0');
  t.equal(c.reason, 'rst-syn-received');
  t.equal(c.user!.error, 'ECONNREFUSED');
  t.equal(c.stack.connections, 0);
  t.end();
});

void t.test('R9293-36: FIN against FIN: CLOSING, and TIME-WAIT at both ends', (t) => {
  const c = new Conversation();
  c.established();
  c.send(10);
  c.shutdown();
  t.same(
    c.rest().map((text) => text.replace(/ win.*/, '')),
    ['P. 1:11(10) ack 1', 'F. 11:11(0) ack 1'],
  );
  c.inject('FP. 1:6(5) ack 1 win 65535');
  t.equal(c.mismatch('. 12:12(0) ack 7'), '');
  t.equal(c.state, 'CLOSING');
  t.equal(c.read(), 'aaaaa');
  c.inject('. 7:7(0) ack 11 win 65535');
  t.equal(c.state, 'CLOSING', 'the data is acknowledged, our FIN is not');
  c.inject('. 7:7(0) ack 12 win 65535');
  t.equal(c.state, 'TIME-WAIT');
  t.equal(c.user!.error, null);
  t.end();
});

void t.test('R9293-72: in CLOSING our FIN is resent until it is acknowledged', (t) => {
  const c = new Conversation();
  c.established();
  c.shutdown();
  c.inject('F. 1:1(0) ack 1 win 65535');
  c.rest();
  c.advance(200);
  t.equal(c.mismatch('F. 1:1(0) ack 2'), '');
  c.inject('. 2:2(0) ack 2 win 65535');
  t.equal(c.state, 'TIME-WAIT');
  t.end();
});

void t.test('R9293-21: queued data rides on the ACK that ends a simultaneous open', (t) => {
  const c = new Conversation();
  c.connect();
  c.send(7);
  c.rest();
  c.inject('S 0:0(0) win 1000 <mss 1460>');
  c.rest();
  c.inject('. 1:1(0) ack 1 win 1000');
  t.equal(c.mismatch('P. 1:8(7) ack 1'), '');
  t.end();
});
