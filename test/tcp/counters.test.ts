/** Counters whose name leaves open when they count: RFC 4022, and Linux for its own. */
import t from 'tap';
import type { CounterName } from '../../src/mib.js';
import { Conversation } from '../support/conversation.js';
import { report } from '../support/icmp.js';

const LINUX = { timewait_dialect: 1 };
const count = (c: Conversation, name: CounterName): number => c.stack.counters.get(name);
const open = (knobs: Record<string, number> = {}): Conversation => {
  const c = new Conversation({ knobs });
  c.established();
  return c;
};

void t.test('RFC 4022 tcpOutSegs: what only repeats is counted as resent, and not as sent', (t) => {
  const c = open();
  const sent = count(c, 'TcpOutSegs');
  c.send(100);
  c.take();
  t.equal(count(c, 'TcpOutSegs') - sent, 1);
  c.advance(1000);
  const resent = c.starts();
  t.ok(resent.length > 0);
  t.equal(count(c, 'TcpOutSegs') - sent, 1);
  t.equal(count(c, 'TcpRetransSegs'), resent.length);
  const syn = new Conversation();
  syn.connect();
  syn.advance(1000);
  t.equal(syn.rest().length, 2);
  t.equal(count(syn, 'TcpOutSegs'), 1);
  t.equal(count(syn, 'TcpExtTCPSynRetrans'), 1);
  t.end();
});

void t.test(
  'a SYN,ACK that a repeated SYN asks for is a repeated one; a request socket makes it anew',
  (t) => {
    for (const [knobs, sent] of [
      [{}, 1],
      [LINUX, 2],
    ] as const) {
      const c = new Conversation({ knobs });
      c.listen();
      for (let i = 0; i < 2; i++) c.inject('S 0:0(0) win 65535 <mss 1460>');
      t.equal(c.rest().length, 2);
      t.equal(count(c, 'TcpExtTCPSynRetrans'), 1);
      t.equal(count(c, 'TcpOutSegs'), sent);
    }
    t.end();
  },
);

void t.test('RFC 4022 tcpEstabResets: from ESTABLISHED or CLOSE-WAIT to CLOSED, whoever wants it', (t) => {
  const theirs = open();
  theirs.inject('R 1:1(0) win 0');
  t.equal(count(theirs, 'TcpEstabResets'), 1);
  const ours = open();
  ours.inject('F. 1:1(0) ack 1 win 65535');
  ours.stack.abort(ours.user!);
  t.equal(count(ours, 'TcpEstabResets'), 1);
  const closing = open();
  closing.shutdown();
  closing.inject('R 1:1(0) win 0');
  t.equal(closing.state, 'CLOSED');
  t.equal(count(closing, 'TcpEstabResets'), 0);
  t.end();
});

void t.test('TCPOrigDataSent: each new segment of text, and a FIN', (t) => {
  const c = open();
  c.send(100);
  c.shutdown();
  c.rest();
  t.equal(count(c, 'TcpExtTCPOrigDataSent'), 2);
  c.inject('. 1:1(0) ack 102 win 65535');
  t.equal(c.state, 'FIN-WAIT-2');
  t.equal(count(c, 'TcpExtTCPOrigDataSent'), 2);
  t.end();
});

void t.test('a SYN is an error to Linux in ESTABLISHED only', (t) => {
  for (const [knobs, errors] of [
    [{}, 0],
    [LINUX, 1],
  ] as const) {
    const c = open(knobs);
    c.inject('S 1:1(0) win 65535');
    c.shutdown();
    c.inject('S 1:1(0) win 65535');
    t.equal(count(c, 'TcpExtTCPSYNChallenge'), 2);
    t.equal(count(c, 'TcpInErrs'), errors);
  }
  t.end();
});

void t.test('TCPOFOQueue: a FIN ahead of a hole, and text that is there already', (t) => {
  const c = open();
  c.inject('. 11:21(10) ack 1 win 65535');
  c.inject('. 11:21(10) ack 1 win 65535');
  c.inject('F. 21:21(0) ack 1 win 65535');
  t.equal(count(c, 'TcpExtTCPOFOQueue'), 3);
  t.equal(count(c, 'TcpExtTCPOFOMerge'), 1);
  t.end();
});

void t.test('TCPOFOMerge: what is there already, and what lies whole in what comes later', (t) => {
  for (const knobs of [{}, LINUX]) {
    const c = open(knobs);
    for (const from of [11, 31]) c.inject(`. ${from}:${from + 10}(10) ack 1 win 65535`);
    t.equal(count(c, 'TcpExtTCPOFOMerge'), 0);
    c.inject('. 11:46(35) ack 1 win 65535');
    t.equal(count(c, 'TcpExtTCPOFOMerge'), 2);
    c.inject('. 20:30(10) ack 1 win 65535');
    t.equal(count(c, 'TcpExtTCPOFOMerge'), 3);
  }
  const fin = open(LINUX);
  fin.inject('F. 11:11(0) ack 1 win 65535');
  fin.inject('. 11:12(1) ack 1 win 65535');
  t.equal(count(fin, 'TcpExtTCPOFOMerge'), 1, 'text where a FIN is held');
  t.end();
});

void t.test('ListenDrops: an ICMP error ends a request, a last ACK finds no room', (t) => {
  const c = new Conversation({ knobs: LINUX });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.take();
  t.equal(report(c, false, 3, 1), 'icmp-hard');
  t.equal(count(c, 'TcpExtListenDrops'), 1);
  const full = new Conversation();
  full.listen(0);
  const first: number[] = [];
  for (let i = 0; i < 2; i++) {
    full.peerPort = 6000 + i;
    full.ourIss = null;
    full.inject('S 0:0(0) win 100');
    first.push(full.ourIss!);
  }
  for (let i = 0; i < 2; i++) {
    full.peerPort = 6000 + i;
    full.ourIss = first[i]!;
    full.inject('. 1:1(0) ack 1 win 100');
  }
  t.equal(count(full, 'TcpExtListenOverflows'), 1);
  t.equal(count(full, 'TcpExtListenDrops'), 1);
  t.end();
});
