/** Explicit congestion notification: RFC 3168, requirement by requirement, as a peer sees it. */
import t from 'tap';
import { CWR, ECE } from '../../src/wire/segment.js';
import { Conversation, type ConversationOptions } from '../support/conversation.js';

const MSS = 1000;
const peerOptions = `<mss ${MSS},sackOK>`;

/** A conversation whose codepoints show; ECN offered and accepted. */
function marked(options: ConversationOptions = {}): Conversation {
  return new Conversation({
    ecn: true,
    ...options,
    knobs: {
      'net.ipv4.tcp_ecn': 1,
      'net.ipv4.tcp_timestamps': 0,
      'net.ipv4.tcp_recovery': 0,
      ...options.knobs,
    },
  });
}

/** We listen, the peer opens; both speak ECN. */
function served(options: ConversationOptions = {}): Conversation {
  const c = marked(options);
  c.listen();
  c.inject(`SEW 0:0(0) win 65535 ${peerOptions}`);
  c.take();
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  return c;
}

/** `count` segments in flight, acknowledged two by two until cwnd is at least that. */
function openedTo(c: Conversation, count: number): number {
  let acked = 1;
  const cwnd = (): number => c.stack.tcpInfo(c.user!).sndCwnd / MSS;
  while (cwnd() < count) {
    c.send(100 * MSS);
    acked += 2 * MSS;
    c.inject(`. 1:1(0) ack ${acked} win 65535`);
    c.rest();
  }
  return acked;
}

const codepoints = (segments: readonly string[]): string[] =>
  segments.map((segment) => /^\[(\w+)\]/.exec(segment)![1]!);

void t.test('SHLD-8, R3168-1: ECN-setup SYN has ECE and CWR, ECN-setup SYN,ACK has ECE alone', (t) => {
  const client = marked();
  client.connect();
  t.match(client.take(), /^\[noecn\] SEW 0:0\(0\)/);
  const server = marked();
  server.listen();
  server.inject(`SEW 0:0(0) win 65535 ${peerOptions}`);
  t.match(server.take(), /^\[noecn\] S\.E 0:0\(0\) ack 1/);
  t.end();
});

void t.test('R3168-2: a SYN with none or one of the flags gets a plain SYN,ACK', (t) => {
  for (const flags of ['S', 'SE', 'SW']) {
    const c = marked();
    c.listen();
    c.inject(`${flags} 0:0(0) win 65535 ${peerOptions}`);
    t.match(c.take(), /^\[noecn\] S\. 0:0/, flags);
  }
  const both = marked();
  both.listen();
  both.inject(`SEW 0:0(0) win 65535 ${peerOptions}`);
  both.take();
  both.inject(`S 0:0(0) win 65535 ${peerOptions}`);
  t.match(both.take(), /^\[noecn\] S\. 0:0/, 'the peer gave up offering it');
  t.end();
});

void t.test('R3168-3, R3168-10: after the proper handshake new data has ECT(0), and only then', (t) => {
  const answers = { 'S.E': 'ect0', 'S.EW': 'noecn', 'S.W': 'noecn', 'S.': 'noecn' };
  for (const [flags, codepoint] of Object.entries(answers)) {
    const c = marked();
    c.connect();
    c.inject(`${flags} 0:0(0) ack 1 win 65535 ${peerOptions}`);
    c.rest();
    c.send(2 * MSS);
    t.strictSame(codepoints(c.rest()), [codepoint, codepoint], flags);
  }
  t.strictSame(codepoints(sentBy(served(), 3 * MSS)), ['ect0', 'ect0', 'ect0'], 'a server');
  t.end();
});

function sentBy(c: Conversation, bytes: number): string[] {
  c.send(bytes);
  return c.rest();
}

void t.test('R3168-4: answered by a plain SYN,ACK nothing is marked, echoed or said', (t) => {
  const c = marked();
  c.connect();
  c.inject(`S. 0:0(0) ack 1 win 65535 ${peerOptions}`);
  c.rest();
  c.inject('[ce] P. 1:101(100) ack 1 win 65535');
  c.advance(300);
  const all = [...c.rest(), ...sentBy(c, 5 * MSS)];
  t.strictSame(new Set(codepoints(all)), new Set(['noecn']));
  t.notMatch(all.join('\n'), /\][^:]*[EW]/);
  t.end();
});

void t.test(
  'R3168-5, R3168-11, R3168-12: a mark halves cwnd once in a round trip; the first new segment says CWR',
  (t) => {
    const c = served();
    const una = openedTo(c, 20);
    const before = c.stack.tcpInfo(c.user!);
    t.equal(before.sndCwnd, 20 * MSS);
    let most = before.sndCwnd;
    const said: string[] = [];
    const echo = (bytes: number, flags = '.E'): void => {
      c.inject(`${flags} 1:1(0) ack ${una + bytes} win 65535`);
      most = Math.max(most, c.stack.tcpInfo(c.user!).sndCwnd);
      said.push(...c.rest());
    };
    for (let n = 2; n <= 18; n += 2) echo(n * MSS);
    t.equal(most, before.sndCwnd, 'never larger than before');
    t.equal(c.stack.tcpInfo(c.user!).caState, 'cwr');
    echo(22 * MSS, '.');
    const after = c.stack.tcpInfo(c.user!);
    t.equal(after.sndSsthresh, 10 * MSS);
    t.ok(after.sndCwnd >= 10 * MSS && after.sndCwnd <= 11 * MSS, `${after.sndCwnd}`);
    t.equal(after.totalRetrans, 0);
    t.equal(said.filter((segment) => segment.includes('W')).length, 1);
    t.match(said[0], /^\[ect0\] \.W /);
    t.end();
  },
);

void t.test('R3168-11: an ECE in the next window counts again', (t) => {
  const c = served();
  const una = openedTo(c, 20);
  c.inject(`.E 1:1(0) ack ${una + 2 * MSS} win 65535`);
  c.inject(`. 1:1(0) ack ${una + 21 * MSS} win 65535`);
  const { sndCwnd } = c.stack.tcpInfo(c.user!);
  t.ok(sndCwnd <= 11 * MSS);
  c.inject(`.E 1:1(0) ack ${una + 23 * MSS} win 65535`);
  t.equal(c.stack.tcpInfo(c.user!).sndSsthresh, sndCwnd / 2);
  t.end();
});

void t.test('R3168-11: a loss in the same window is repaired, and not answered again', (t) => {
  const c = served();
  const una = openedTo(c, 20);
  c.inject(`.E 1:1(0) ack ${una + 2 * MSS} win 65535`);
  const lost = una + 2 * MSS;
  for (let n = 1; n <= 4; n++)
    c.inject(`. 1:1(0) ack ${lost} win 65535 <sack ${lost + MSS}:${lost + (1 + n) * MSS}>`);
  const info = c.stack.tcpInfo(c.user!);
  t.equal(info.caState, 'recovery');
  t.equal(info.sndSsthresh, 10 * MSS);
  t.equal(info.totalRetrans, 1);
  t.end();
});

void t.test('R3168-6: CE is echoed although this end sent no ECT', (t) => {
  const c = served();
  c.inject('[ce] P. 1:101(100) ack 1 win 65535');
  c.advance(300);
  t.match(c.rest().at(-1), /^\[noecn\] \.E 1:1\(0\) ack 101/);
  t.end();
});

void t.test('R3168-7: switched off the flags are never set, knob 2 accepts without offering', (t) => {
  for (const value of [0, 2]) {
    const client = marked({ knobs: { 'net.ipv4.tcp_ecn': value } });
    client.connect();
    t.match(client.take(), /^\[noecn\] S 0:0/);
    const server = marked({ knobs: { 'net.ipv4.tcp_ecn': value } });
    server.listen();
    server.inject(`SEW 0:0(0) win 65535 ${peerOptions}`);
    t.match(server.take(), value === 0 ? /^\[noecn\] S\. / : /^\[noecn\] S\.E /);
  }
  t.end();
});

void t.test('R3168-8: SYN and SYN,ACK carry no ECT, also when they repeat', (t) => {
  const c = marked({ knobs: { 'net.ipv4.tcp_ecn_fallback': 0 } });
  c.connect();
  c.advance(4000);
  const syns = c.rest();
  t.equal(syns.length, 3);
  t.ok(
    syns.every((syn) => syn.startsWith('[noecn] SEW')),
    'without fallback each offers ECN',
  );
  const server = marked();
  server.listen();
  server.inject(`SEW 0:0(0) win 65535 ${peerOptions}`);
  server.advance(4000);
  const answers = server.rest();
  t.ok(answers.length > 1);
  t.ok(answers.every((answer) => answer.startsWith('[noecn] S.E')));
  t.end();
});

void t.test('R3168-9: a SYN without an answer is resent without ECN, and then there is none', (t) => {
  const c = marked();
  c.connect();
  t.match(c.take(), /SEW/);
  c.advance(1500);
  t.match(c.take(), /^\[noecn\] S 0:0/);
  c.inject(`S.E 0:0(0) ack 1 win 65535 ${peerOptions}`);
  c.rest();
  t.strictSame(codepoints(sentBy(c, MSS)), ['noecn'], 'whatever the late answer says');
  t.end();
});

void t.test('R3168-13: at one segment a mark makes new data wait for a retransmission timeout', (t) => {
  const c = served();
  c.send(10 * MSS);
  c.rest();
  c.advance(1000);
  t.equal(c.stack.tcpInfo(c.user!).sndCwnd, MSS, 'a timeout');
  c.rest();
  c.inject(`.E 1:1(0) ack ${1 + 10 * MSS} win 65535`);
  c.send(3 * MSS);
  t.strictSame(c.rest(), [], 'nothing new');
  const { rto } = c.stack.tcpInfo(c.user!);
  c.advance(rto - 1);
  t.strictSame(c.rest(), []);
  c.advance(1);
  const said = c.rest();
  t.match(said[0], new RegExp(`^\\[ect0\\] \\.W ${1 + 10 * MSS}:`));
  t.equal(said.length, 1);
  t.end();
});

void t.test(
  'R3168-14, R3168-18: CWR on the first new segment after any reduction; what is resent has neither CWR nor ECT',
  (t) => {
    const c = served();
    c.send(40 * MSS);
    c.rest();
    for (let n = 1; n <= 3; n++) c.inject(`. 1:1(0) ack 1 win 65535 <sack 1001:${1 + (1 + n) * MSS}>`);
    const fast = c.rest();
    t.match(fast.at(-1), /^\[noecn\] \. 1:1001/, 'fast retransmit');
    for (let n = 4; n <= 9; n++) c.inject(`. 1:1(0) ack 1 win 65535 <sack 1001:${1 + (1 + n) * MSS}>`);
    c.inject(`. 1:1(0) ack ${1 + 10 * MSS} win 65535`);
    const fresh = c.rest();
    t.match(fresh[0], /^\[ect0\] \.W /);
    t.equal(fresh.filter((segment) => segment.includes('W')).length, 1);
    c.advance(1000);
    const again = c.rest();
    t.match(again[0], /^\[noecn\] \. /, 'timeout');
    const sent = Number(/:(\d+)\(/.exec(fresh.at(-1)!)![1]);
    c.inject(`. 1:1(0) ack ${sent} win 65535`);
    t.ok(
      c.rest().some((segment) => /^\[ect0\] P?\.W /.test(segment)),
      'new data after it',
    );
    t.end();
  },
);

void t.test('R3168-15: ECE on everything until CWR arrives', (t) => {
  const c = served({ knobs: { 'net.ipv4.tcp_delack': 0 } });
  c.inject('[ce] . 1:101(100) ack 1 win 65535');
  for (let n = 1; n <= 5; n++) c.inject(`[ect0] . ${1 + 100 * n}:${101 + 100 * n}(100) ack 1 win 65535`);
  c.send(10);
  const echoed = c.rest();
  t.equal(echoed.length, 7);
  t.ok(
    echoed.every((segment) => /^\[\w+\] P?\.E /.test(segment)),
    echoed.join('\n'),
  );
  c.inject('[ect0] .W 601:701(100) ack 11 win 65535');
  c.inject('[ect0] . 701:801(100) ack 11 win 65535');
  t.match(c.rest(), [/^\[noecn\] \. 11:11\(0\) ack 701/, /^\[noecn\] \. 11:11\(0\) ack 801/]);
  c.inject('[ce] .W 801:901(100) ack 11 win 65535');
  t.match(c.rest(), [/^\[noecn\] \.E 11:11\(0\) ack 901/], 'CWR that was marked itself begins anew');
  t.end();
});

void t.test('R3168-16: one ACK for two segments, the first of them marked', (t) => {
  const c = served();
  c.inject(`[ce] . 1:${1 + MSS}(${MSS}) ack 1 win 65535`);
  t.strictSame(c.rest(), [], 'delayed');
  c.inject(`[ect0] . ${1 + MSS}:${1 + 2 * MSS}(${MSS}) ack 1 win 65535`);
  t.match(c.rest(), [new RegExp(`^\\[noecn\\] \\.E 1:1\\(0\\) ack ${1 + 2 * MSS}`)]);
  const linux = served({ policy: 'linux' });
  linux.inject(`[ce] . 1:${1 + MSS}(${MSS}) ack 1 win 65535`);
  t.match(linux.rest(), [/^\[noecn\] \.E /], 'Linux: at once');
  t.end();
});

void t.test('R3168-17: pure ACKs are not-ECT', (t) => {
  const c = served({ knobs: { 'net.ipv4.tcp_delack': 0 } });
  for (const codepoint of ['ect0', 'ce', 'ect1', 'noecn'])
    c.inject(`[${codepoint}] . 1:101(100) ack 1 win 65535`);
  c.inject('. 101:101(0) ack 1 win 65535');
  c.shutdown();
  t.strictSame(new Set(codepoints(c.rest())), new Set(['noecn']), 'the FIN neither');
  t.end();
});

void t.test('R3168-19: CE outside the window is ignored', (t) => {
  const c = served();
  c.inject('. 1:101(100) ack 1 win 65535');
  c.advance(300);
  c.rest();
  c.inject('[ce] . 1:101(100) ack 1 win 65535');
  c.inject('[ce] . 2000000:2000100(100) ack 1 win 65535');
  t.notMatch(c.rest().join('\n'), /E/);
  t.end();
});

void t.test('R3168-20, R3168-21: window probes: ours say nothing, a marked one is echoed', (t) => {
  const c = served();
  c.send(2 * MSS);
  c.rest();
  c.inject(`.E 1:1(0) ack ${1 + 2 * MSS} win 0`);
  c.send(MSS);
  c.advance(5000);
  const probes = c.rest();
  t.ok(probes.length > 1);
  t.ok(
    probes.every((probe) => /^\[noecn\] P?\. /.test(probe)),
    probes.join('\n'),
  );
  const full = served({ knobs: { 'net.ipv4.tcp_rmem': 2048, 'net.ipv4.tcp_delack': 0 } });
  full.inject('. 1:2049(2048) ack 1 win 65535');
  full.rest();
  full.inject('[ce] . 2049:2050(1) ack 1 win 65535');
  t.equal(full.reason, 'zero-window-probe');
  t.match(full.rest(), [/^\[noecn\] \.E 1:1\(0\) ack 2049/]);
  t.end();
});

void t.test("the rest of the TOS octet is the user's; counters and TCP_INFO tell of ECN", (t) => {
  const c = served();
  c.stack.setOption(c.user!, 'tos', 0xff);
  c.send(MSS);
  t.strictSame(codepoints(c.rest()), ['ect0'], 'the user cannot mark');
  for (const codepoint of ['noecn', 'ect1', 'ect0', 'ect0', 'ce'])
    c.inject(`[${codepoint}] . 1:1(0) ack 1 win 65535`);
  const { counters } = c.stack;
  t.equal(counters.get('IpExtInNoECTPkts'), 3, 'with the handshake');
  t.equal(counters.get('IpExtInECT1Pkts'), 1);
  t.equal(counters.get('IpExtInECT0Pkts'), 2);
  t.equal(counters.get('IpExtInCEPkts'), 1);
  t.match(c.stack.tcpInfo(c.user!), { ecn: true, ecnSeen: false }, 'ACKs are not seen as data');
  c.inject('[ect0] . 1:2(1) ack 1 win 65535');
  t.ok(c.stack.tcpInfo(c.user!).ecnSeen);
  t.equal(ECE | CWR, 0xc0);
  t.end();
});
