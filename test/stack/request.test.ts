/** SYN-SENT and SYN-RECEIVED under the dialects linux and freebsd, where they depart from RFC 9293. */
import t from 'tap';
import { Conversation } from '../support/conversation.js';

const LINUX = { timewait_dialect: 1 };
const half = (knobs: Record<string, number> = {}): Conversation => {
  const c = new Conversation({ knobs: { ...LINUX, ...knobs } });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.take();
  return c;
};

void t.test('a request socket: SYN and RST in the window, wrong ACKs, text on the SYN', (t) => {
  const syn = half();
  syn.inject('S 1000:1000(0) win 65535 <mss 1460>');
  t.match(syn.take(), /^R\. .* ack 1001 /, 'a SYN in the window ends it');
  t.equal(syn.reason, 'request-syn');
  t.equal(syn.state, 'CLOSED');
  const rst = half();
  rst.inject('R 1000:1000(0) win 0');
  t.equal(rst.mismatch('. 1:1(0) ack 1'), '', 'a RST that is not exact is challenged');
  t.equal(rst.state, 'SYN-RECEIVED');
  rst.inject('R 1:1(0) win 0');
  t.equal(rst.state, 'CLOSED');
  const wrong = half();
  wrong.inject('. 1:1(0) ack 9 win 65535');
  t.equal(wrong.mismatch('R 9:9(0)'), '');
  wrong.inject('. 1:1(0) ack 1 win 65535');
  t.equal(wrong.state, 'ESTABLISHED', 'a wrong ACK does not end it');
  const gone = half();
  gone.stack.closeListener(gone.listener!);
  gone.collect();
  t.same(gone.rest(), [], 'the listener goes, and with it the request, in silence');
  const text = new Conversation({ knobs: LINUX });
  text.listen();
  text.inject('S 0:10(10) win 65535 <mss 1460>');
  t.equal(text.mismatch('S. 0:0(0) ack 1'), '');
  t.end();
});

void t.test('a request socket: an echo of a timestamp that was never sent is answered and dropped', (t) => {
  const c = new Conversation({ knobs: { ...LINUX, 'net.ipv4.tcp_timestamp_offset': 0 } });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460,TS val 5 ecr 0>');
  c.take();
  c.inject('. 1:1(0) ack 1 win 65535 <TS val 6 ecr 3>');
  t.match(c.take(), /^\. 1:1\(0\) ack 1 /);
  t.equal(c.stack.counters.get('TcpExtTSEcrRejected'), 1);
  c.inject('. 1:1(0) ack 1 win 65535 <TS val 6 ecr 10000>');
  t.equal(c.state, 'ESTABLISHED');
  t.end();
});

void t.test('SYN-SENT: an unacceptable ACK gets RST, and the SYN goes out again after two jiffies', (t) => {
  const c = new Conversation({ knobs: LINUX });
  c.connect();
  c.take();
  c.inject('. 0:0(0) ack 77 win 65535');
  t.equal(c.mismatch('R 77:77(0)'), '');
  c.advance(8);
  t.match(c.take(), /^S 0:0\(0\)/);
  c.inject('S. 0:10(10) ack 1 win 65535 <mss 1460>');
  t.equal(c.mismatch('. 1:1(0) ack 1'), '', 'text on the SYN,ACK is not kept');
  t.end();
});

void t.test('FreeBSD: a RST for a SYN,ACK is bare, and three SYN,ACKs follow the first', (t) => {
  const c = new Conversation({ policy: 'freebsd' });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.take();
  c.inject('R. 1:1(0) ack 1 win 0');
  t.equal(c.reason, 'rst-not-bare');
  t.equal(c.state, 'SYN-RECEIVED');
  c.advance(14_999);
  t.equal(c.rest().length, 3);
  t.equal(c.state, 'SYN-RECEIVED');
  c.advance(1);
  t.equal(c.state, 'CLOSED');
  c.ourIss = null;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.inject('R 1:1(0) win 0');
  t.equal(c.state, 'CLOSED');
  t.end();
});
