/** Floods of SYNs (RFC 4987): what is kept, and who still gets in. */
import t from 'tap';
import { parseAddress } from '../../src/wire/address.js';
import { Conversation } from '../support/conversation.js';

type Counter = Parameters<Conversation['stack']['counters']['get']>[0];

const BACKLOG = 8;

/** A listener whose queue of half-open connections is full. */
function flooded(
  options: { v6?: boolean; knobs?: Record<string, number>; syns?: number } = {},
): Conversation {
  const c = new Conversation({
    v6: options.v6 === true,
    knobs: { 'net.ipv4.tcp_max_syn_backlog': BACKLOG, ...options.knobs },
  });
  c.listen(BACKLOG);
  for (let i = 0; i < (options.syns ?? BACKLOG); i++) {
    c.peerPort = 10_000 + i;
    // Slower than knob tcp_syn_cookie_rate allows
    if (i % 40 === 39) c.now++;
    c.inject(`S ${i}:${i}(0) win 1000 <mss 1460>`);
  }
  c.rest();
  c.peerPort = 5000;
  c.ourIss = null;
  return c;
}

const count = (c: Conversation, name: Counter): number => c.stack.counters.get(name);
const halfOpen = (c: Conversation): number => c.stack.stateCounts()['SYN-RECEIVED']!;

void t.test('R4987-1, R4987-9: 10,000 SYNs: memory stays bounded and a client still gets in', (t) => {
  for (const v6 of [false, true]) {
    const c = flooded({ v6, syns: 10_000 });
    t.equal(halfOpen(c), BACKLOG, 'R4987-9: no more than the backlog are half-open');
    t.equal(c.stack.connections, BACKLOG);
    t.equal(count(c, 'TcpExtSyncookiesSent'), 10_000 - BACKLOG);
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    t.match(c.take(), /^S\. 0:0\(0\) ack 1 win 65535 <mss 14[46]0>$/);
    t.equal(halfOpen(c), BACKLOG, 'nothing is kept of it');
    c.inject('. 1:1(0) ack 1 win 65535');
    t.equal(c.state, 'ESTABLISHED');
    c.accept();
    c.inject('P. 1:6(5) ack 1 win 65535');
    t.equal(c.read(), 'aaaaa');
    c.send(3);
    t.match(c.rest().at(-1), /^P\. 1:4\(3\) ack 6/);
    t.equal(count(c, 'TcpExtSyncookiesRecv'), 1);
  }
  t.end();
});

void t.test('R4987-1: the first text may bring the acknowledgment', (t) => {
  const c = flooded();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.take();
  c.inject('P. 1:6(5) ack 1 win 65535');
  c.accept();
  t.equal(c.read(), 'aaaaa');
  t.end();
});

void t.test('R4987-2: the tuple, the sequence number and the time are in the cookie', (t) => {
  const cookieOf = (change: (c: Conversation) => void, syn = 'S 0:0(0)', mss = 1460): number => {
    const c = flooded();
    change(c);
    c.inject(`${syn} win 65535 <mss ${mss}>`);
    return c.ourIss!;
  };
  const plain = cookieOf(() => undefined);
  t.equal(
    cookieOf(() => undefined),
    plain,
  );
  t.equal((cookieOf(() => undefined, 'S 1:1(0)') - plain) | 0, 1, 'the peer’s number is added');
  t.equal(
    (plain - cookieOf(() => undefined, 'S 0:0(0)', 1300)) | 0,
    2,
    'R4987-2: two steps of the MSS table',
  );
  for (const change of [
    (c: Conversation) => (c.peerPort = 5001),
    (c: Conversation) => c.stack.advance(c.now + 65_536),
  ])
    t.not(
      cookieOf((c) => {
        change(c);
        c.now += 65_536;
        c.rest();
        c.ourIss = null;
      }),
      plain,
    );
  t.end();
});

void t.test('R4987-3: a wrong or expired cookie gets RST and nothing else', (t) => {
  const c = flooded();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.take();
  for (const [ack, seq] of [
    [3, 1],
    [1, 100],
    [1000, 1],
  ] as const) {
    c.inject(`. ${seq}:${seq}(0) ack ${ack} win 65535`);
    t.equal(c.mismatch(`R ${ack}:${ack}(0)`), '', `R4987-3: ack ${ack} at ${seq}`);
  }
  c.peerPort++;
  c.inject('. 1:1(0) ack 1 win 65535');
  t.equal(c.mismatch('R 1:1(0)'), '', 'R4987-3: from another port');
  t.equal(count(c, 'TcpExtSyncookiesFailed'), 4);
  c.peerPort--;
  c.advance(131_072);
  c.rest();
  c.inject('. 1:1(0) ack 1 win 65535');
  t.equal(c.mismatch('R 1:1(0)'), '', 'R4987-3: after its time');
  t.equal(c.stack.accept(c.listener!), null);
  t.end();
});

void t.test('R4987-4: options survive in the timestamp only, the MSS is one of a few', (t) => {
  for (const [mss, kept] of [
    [1460, 1460],
    [1450, 1440],
    [1400, 1300],
    [536, 536],
    [200, 536],
  ] as const) {
    const c = flooded();
    c.inject(`S 0:0(0) win 65535 <mss ${mss},sackOK,wscale 7>`);
    t.notMatch(c.take(), /sackOK|wscale/, `R4987-4: without timestamps mss ${mss} alone`);
    c.inject('. 1:1(0) ack 1 win 500');
    c.accept();
    const info = c.stack.tcpInfo(c.user!);
    t.equal(info.sndMss, kept, `R4987-4: mss ${mss} becomes ${kept}`);
    t.same([info.sndWscale, info.sack, info.sndWnd], [0, false, 500]);
  }
  for (const offset of [0, 1, 2, 3]) {
    const c = flooded({ knobs: { 'net.ipv4.tcp_timestamp_offset': offset, 'net.ipv4.tcp_ecn': 2 } });
    c.now += 37;
    c.inject('SEW 0:0(0) win 65535 <mss 1460,sackOK,TS val 5 ecr 0,wscale 7>');
    const answer = c.take();
    t.match(answer, /^S\.E .*sackOK,TS val \d+ ecr 5,wscale/);
    const stamp = /TS val (\d+)/.exec(answer)![1]!;
    c.inject(`. 1:1(0) ack 1 win 500 <TS val 6 ecr ${stamp}>`);
    c.accept();
    const info = c.stack.tcpInfo(c.user!);
    t.same(
      [info.sndWscale, info.sack, info.timestamps, info.ecn, info.sndWnd],
      [7, true, true, true, 500 << 7],
      `R4987-4: with timestamps all of them, offset ${offset}`,
    );
  }
  t.end();
});

void t.test('R4987-5: cookies only when the queue is full, never with 0, always with 2', (t) => {
  const c = flooded({ syns: BACKLOG - 1 });
  c.inject('S 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>');
  t.match(c.take(), /sackOK,wscale/, 'R4987-5: room in the queue: all options');
  t.equal(halfOpen(c), BACKLOG);
  t.equal(count(c, 'TcpExtSyncookiesSent'), 0);
  const off = flooded({ knobs: { 'net.ipv4.tcp_syncookies': 0 } });
  off.inject('S 0:0(0) win 65535 <mss 1460>');
  t.same(off.rest(), []);
  t.equal(count(off, 'TcpExtTCPReqQFullDrop'), 1);
  const always = flooded({ syns: 0, knobs: { 'net.ipv4.tcp_syncookies': 2 } });
  always.inject('S 0:0(0) win 65535 <mss 1460>');
  always.take();
  t.equal(halfOpen(always), 0);
  always.inject('. 1:1(0) ack 1 win 500');
  t.equal(always.state, 'ESTABLISHED');
  t.end();
});

void t.test(
  'R4987-9: Linux’s queue is the backlog and one; without cookies its last quarter is for proven peers',
  (t) => {
    const besieged = (backlog: number, most: number): { c: Conversation; queued: number } => {
      const c = new Conversation({
        policy: 'linux',
        knobs: { 'net.ipv4.tcp_syncookies': 0, 'net.ipv4.tcp_max_syn_backlog': most },
      });
      c.listen(backlog);
      c.inject('S 0:0(0) win 65535 <mss 1460>');
      c.take();
      c.inject('. 1:1(0) ack 1 win 65535');
      c.peer = parseAddress('10.0.0.9')!;
      for (let i = 0; i < 24; i++) {
        c.peerPort = 10_000 + i;
        c.inject('S 0:0(0) win 1000 <mss 1460>');
      }
      c.rest();
      return { c, queued: halfOpen(c) };
    };
    // As a 6.18 kernel did
    for (const backlog of [1, 4, 16]) {
      const { c, queued } = besieged(backlog, 4096);
      t.equal(queued, backlog + 1);
      t.equal(count(c, 'TcpExtTCPReqQFullDrop'), 24 - queued);
    }
    const { c, queued } = besieged(100, 8);
    t.equal(queued, 7);
    t.equal(c.reason, 'listen-syn-kept');
    t.same([count(c, 'TcpExtListenDrops'), count(c, 'TcpExtTCPReqQFullDrop')], [17, 0]);
    c.peer = parseAddress('10.0.0.1')!;
    for (let port = 600; port < 604; port++) {
      c.peerPort = port;
      c.inject('S 0:0(0) win 1000 <mss 1460>');
    }
    t.equal(halfOpen(c), 11, 'a proven peer is not bounded by it');
    t.end();
  },
);

void t.test('R4987-7: a cookie is not resent; the client’s next SYN gets another', (t) => {
  const c = flooded({ knobs: { 'net.ipv4.tcp_synack_retries': 1 } });
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  const first = c.ourIss!;
  c.take();
  c.peerPort = 10_000;
  c.advance(900);
  t.same(c.rest(), [], 'R4987-7');
  c.peerPort = 5000;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  t.match(c.take(), /^S\. 0:0\(0\) ack 1 /, 'the same cookie while its time runs');
  t.equal(c.ourIss, first);
  c.inject('. 1:1(0) ack 1 win 500');
  t.equal(c.state, 'ESTABLISHED');
  t.end();
});
