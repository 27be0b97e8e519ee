/** ICMP and ICMPv6: echo, errors and whom they may harm (RFC 9293 3.9.2.2, RFC 5927), path MTU (RFC 1191, RFC 8201). */
import t, { type Test } from 'tap';
import { EV_SOFT_ERROR } from '../../src/stack/api.js';
import { reasonText } from '../../src/reasons.js';
import { icmpError } from '../../src/wire/icmp.js';
import { Conversation } from '../support/conversation.js';
import { reach } from '../support/states.js';
import { ROUTER4, echoRequest, lastIcmp, report } from '../support/icmp.js';

const hard: readonly (readonly [v6: boolean, type: number, code: number, errno: string])[] = [
  [false, 3, 2, 'ECONNREFUSED'],
  [false, 3, 3, 'ECONNREFUSED'],
  [true, 1, 1, 'EACCES'],
  [true, 1, 4, 'ECONNREFUSED'],
];
const soft: readonly (readonly [v6: boolean, type: number, code: number, errno: string])[] = [
  [false, 3, 0, 'ENETUNREACH'],
  [false, 3, 1, 'EHOSTUNREACH'],
  [false, 3, 5, 'EHOSTUNREACH'],
  [false, 11, 0, 'EHOSTUNREACH'],
  [false, 11, 1, 'EHOSTUNREACH'],
  [false, 12, 0, 'EPROTO'],
  [true, 1, 0, 'ENETUNREACH'],
  [true, 1, 3, 'EHOSTUNREACH'],
  [true, 3, 0, 'EHOSTUNREACH'],
  [true, 3, 1, 'EHOSTUNREACH'],
  [true, 4, 0, 'EPROTO'],
  [true, 4, 1, 'EPROTO'],
  [true, 4, 2, 'EPROTO'],
];

void t.test('SHLD-26, R5927-4, R1122-14: hard errors end what is not synchronized yet', (t) => {
  for (const [v6, type, code, errno] of hard) {
    for (const setup of [reach.synSent, reach.crossed]) {
      const c = new Conversation({ v6 });
      setup(c);
      const label = `${v6 ? 'ICMPv6' : 'ICMP'} ${type}/${code} in ${c.state}`;
      t.equal(report(c, v6, type, code), 'icmp-hard', label);
      t.equal(c.user!.error, errno, `${label}: errno`);
      t.equal(c.stack.connections + c.stack.timers, 0, `${label}: nothing left`);
    }
  }
  t.end();
});

void t.test('a half-open connection of a listener goes, its place is free again', (t) => {
  const c = new Conversation();
  reach.synReceived(c);
  t.equal(report(c, false, 3, 3), 'icmp-hard');
  t.equal(c.stack.connections, 0);
  c.inject('S 0:0(0) win 100');
  t.equal(c.state, 'SYN-RECEIVED');
  t.end();
});

void t.test('MUST-56, R5927-3: everything else is a soft error and ends nothing', (t) => {
  const synchronized = [reach.established, reach.finWait1, reach.closeWait, reach.closing, reach.lastAck];
  for (const [v6, type, code, errno] of [...soft, ...hard]) {
    const isHard = hard.some((row) => row[0] === v6 && row[1] === type && row[2] === code);
    for (const setup of isHard ? synchronized : [reach.synSent, ...synchronized]) {
      const c = new Conversation({ v6 });
      setup(c);
      const at = c.state === 'SYN-SENT' ? 0 : 1;
      if (c.user!.stateName === 'ESTABLISHED' || c.user!.stateName === 'CLOSE-WAIT') c.send(10);
      c.user!.takeEvents();
      const { state } = c;
      const label = `${v6 ? 'ICMPv6' : 'ICMP'} ${type}/${code} in ${state}`;
      t.equal(report(c, v6, type, code, at), isHard ? 'icmp-hard-as-soft' : 'icmp-soft', label);
      t.equal(c.state, state, `${label}: state`);
      t.equal(c.user!.error, null);
      t.equal(c.user!.softError, errno, `${label}: SHLD-25`);
      t.ok((c.user!.takeEvents() & EV_SOFT_ERROR) !== 0, `${label}: MUST-47`);
    }
  }
  t.end();
});

void t.test(
  'a soft error is the report of a failure that follows, and forgotten once data gets through',
  (t) => {
    const silent = new Conversation();
    silent.connect();
    report(silent, false, 3, 1);
    silent.advance(300_000);
    t.equal(silent.user!.error, 'EHOSTUNREACH');
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_retries2': 2 } });
    c.established();
    c.send(10);
    report(c, false, 3, 1, 1);
    t.equal(c.user!.softError, 'EHOSTUNREACH');
    c.inject('. 1:1(0) ack 11 win 65535');
    t.equal(c.user!.softError, null);
    c.send(10);
    c.advance(100_000);
    t.equal(c.user!.error, 'ETIMEDOUT');
    t.end();
  },
);

void t.test('RFC 5927 4.1: only what quotes something in flight counts', (t) => {
  const c = new Conversation();
  c.established();
  c.send(100);
  for (const [at, reason] of [
    [0, 'icmp-out-of-window'],
    [1, 'icmp-soft'],
    [100, 'icmp-soft'],
    [101, 'icmp-out-of-window'],
    [-70_000, 'icmp-out-of-window'],
    [2 ** 31, 'icmp-out-of-window'],
  ] as const) {
    t.equal(report(c, false, 3, 1, at), reason, `SND.UNA is 1, SND.NXT 101, quoted ${at}`);
  }
  t.equal(c.stack.counters.get('TcpExtOutOfWindowIcmps'), 4);
  c.peerPort = 7;
  t.equal(report(c, false, 3, 1, 1), 'icmp-unmatched', 'another tuple');
  t.end();
});

void t.test('TIME-WAIT is not touched', (t) => {
  const c = new Conversation();
  reach.timeWait(c);
  t.equal(report(c, false, 3, 3, 2), 'icmp-unmatched');
  t.equal(c.state, 'TIME-WAIT');
  t.end();
});

void t.test('MUST-55, R5927-6: source quench', (t) => {
  const c = new Conversation();
  c.established();
  c.send(100);
  const { sndCwnd } = c.stack.tcpInfo(c.user!);
  t.equal(report(c, false, 4, 0, 1), 'icmp-quench');
  t.equal(c.stack.tcpInfo(c.user!).sndCwnd, sndCwnd);
  t.end();
});

function lowered(t: Test, v6: boolean, mtu: number, expected: number): void {
  const c = new Conversation({ v6 });
  c.established('<mss 9000>');
  c.send(4000);
  c.rest();
  const header = v6 ? 60 : 40;
  t.equal(report(c, v6, v6 ? 2 : 3, v6 ? 0 : 4, 1, mtu), 'icmp-pmtu', `MTU ${mtu}`);
  t.equal(c.stack.tcpInfo(c.user!).pmtu, expected);
  const first = c.take();
  t.ok(first.startsWith(`. 1:${1 + expected - header}(${expected - header})`), `resent at once: ${first}`);
  for (const text of c.rest()) {
    const length = Number(/\((\d+)\)/.exec(text)![1]);
    t.ok(length <= expected - header, `${text} fits`);
  }
  const { sndSsthresh } = c.stack.tcpInfo(c.user!);
  t.ok(sndSsthresh > 1e8, 'R8201-4: no congestion signal');
  // The next connection to that host begins with what was learnt.
  c.ourIss = null;
  c.peerPort = 5001;
  c.inject('S 0:0(0) win 65535 <mss 9000>');
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  t.equal(c.stack.tcpInfo(c.user!).pmtu, expected, 'remembered for the host');
}

void t.test('R7323-52, RFC 1191, RFC 8201: a lower path MTU', (t) => {
  lowered(t, false, 1200, 1200);
  lowered(t, false, 100, 552);
  lowered(t, true, 1400, 1400);
  lowered(t, true, 1280, 1280);
  t.end();
});

void t.test('what claims no lower MTU, or one that cannot be', (t) => {
  for (const [v6, mtu] of [
    [false, 1500],
    [false, 9000],
    [false, 67],
    [true, 1500],
    [true, 1279],
    [true, 68],
    [true, 0],
    [true, 0xffffffff],
  ] as const) {
    const c = new Conversation({ v6 });
    c.established();
    c.send(4000);
    c.rest();
    t.equal(report(c, v6, v6 ? 2 : 3, v6 ? 0 : 4, 1, mtu), 'icmp-pmtu-ignored', `${mtu}`);
    t.equal(c.stack.tcpInfo(c.user!).pmtu, 1500);
    t.same(c.rest(), []);
  }
  t.end();
});

void t.test('MUST-67, R9293-63: a path MTU does not lower the MSS that we offer, only what we send', (t) => {
  const c = new Conversation();
  c.connect();
  t.equal(report(c, false, 3, 4, 0, 1000), 'icmp-pmtu');
  c.advance(1000);
  t.match(c.rest().join('|'), /<mss 1460/);
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  t.equal(c.stack.tcpInfo(c.user!).sndMss, 960);
  t.end();
});

void t.test('echo: RFC 1122 3.2.2.6, RFC 4443 4.2', (t) => {
  for (const v6 of [false, true]) {
    for (const size of [0, 1, 56, 1400]) {
      const c = new Conversation({ v6 });
      const request = echoRequest(c.peer, c.us, 77, 3, size);
      t.equal(reasonText(c.stack.receive(request, 0, request.length, c.now)).id, 'icmp-echo');
      const reply = lastIcmp(c.stack)!;
      t.equal(reply.type, v6 ? 129 : 0);
      t.ok(reply.checksumOk, 'checksums');
      t.same(reply.source, c.us.toString());
      t.same(reply.target, c.peer.toString());
      t.same(reply.body, request.subarray(request.length - size - 4), 'identifier, number and data');
    }
  }
  t.end();
});

void t.test('echo: what is cut or damaged gets no answer; replies are limited per second', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.icmp_ratelimit': 5 } });
  const request = echoRequest(c.peer, c.us, 1, 1, 20);
  const bad = request.slice();
  bad[30]! ^= 1;
  t.equal(reasonText(c.stack.receive(bad, 0, bad.length, c.now)).id, 'icmp-bad');
  t.equal(lastIcmp(c.stack), null);
  const reasons: string[] = [];
  for (let i = 0; i < 8; i++) reasons.push(reasonText(c.stack.receive(request, 0, request.length, c.now)).id);
  t.same(reasons, [...Array<string>(5).fill('icmp-echo'), ...Array<string>(3).fill('icmp-limited')]);
  c.now += 1000;
  t.equal(reasonText(c.stack.receive(request, 0, request.length, c.now)).id, 'icmp-echo');
  t.end();
});

void t.test('R1122-13: an error about an error names no connection', (t) => {
  const c = new Conversation();
  c.established();
  c.send(10);
  const echo = echoRequest(c.us, c.peer, 1, 1, 20);
  const packet = icmpError(echo, { type: 3, code: 3, source: ROUTER4 });
  t.equal(reasonText(c.stack.receive(packet, 0, packet.length, c.now)).id, 'icmp-unmatched');
  t.equal(c.user!.softError, null);
  t.equal(c.state, 'ESTABLISHED');
  t.end();
});
