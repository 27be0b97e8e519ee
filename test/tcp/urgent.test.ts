/** The urgent mechanism of the receiver: MUST-30 .. MUST-33, MUST-62, MUST-66, R9293-66, R9293-41. */
import t from 'tap';
import { EV_URGENT, SEND_URGENT } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';
import { reach } from '../support/states.js';

const told = (c: Conversation): boolean => (c.user!.takeEvents() & EV_URGENT) !== 0;

void t.test('MUST-32, R9293-66: the user hears of each advance of the pointer, and of nothing else', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('U. 1:11(10) ack 1 win 100 urg 50');
  t.ok(told(c), 'the first');
  c.inject('U. 11:21(10) ack 1 win 100 urg 40');
  t.notOk(told(c), 'the same place, counted from further on');
  c.inject('U. 21:31(10) ack 1 win 100 urg 10');
  t.notOk(told(c), 'a pointer never goes back');
  c.inject('U. 31:41(10) ack 1 win 100 urg 60');
  t.ok(told(c), 'further');
  c.inject('. 41:101(60) ack 1 win 100');
  t.notOk(told(c));
  c.inject('U. 101:111(10) ack 1 win 100 urg 10');
  t.ok(told(c), 'a new run');
  t.equal(c.read().length, 110, 'urgent octets are in line');
  t.end();
});

void t.test('MUST-62: a pointer at RCV.NXT designates nothing to come', (t) => {
  const c = new Conversation();
  c.established();
  c.inject('U. 1:1(0) ack 1 win 100 urg 0');
  t.notOk(told(c));
  c.inject('U. 1:1(0) ack 1 win 100 urg 1');
  t.ok(told(c));
  t.end();
});

void t.test('MUST-66: with a closed window too', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 2048, 'net.ipv4.tcp_delack': 0 } });
  c.established();
  c.inject('. 1:2049(2048) ack 1 win 100');
  told(c);
  c.inject('U. 2049:2050(1) ack 1 win 100 urg 1');
  t.equal(c.reason, 'zero-window-probe');
  t.ok(told(c));
  t.end();
});

void t.test('R9293-41: ignored behind the FIN of the peer', (t) => {
  for (const setup of [reach.closeWait, reach.closing, reach.lastAck]) {
    const c = new Conversation();
    setup(c);
    told(c);
    c.inject('U. 2:7(5) ack 1 win 100 urg 5');
    t.notOk(told(c), c.state);
  }
  t.end();
});

void t.test(
  'MUST-30, MUST-62, SHLD-13: urgent octets say where they end, and only when the caller asks',
  (t) => {
    const c = new Conversation();
    c.established();
    c.send(5);
    t.notMatch(c.take(), /urg/, 'plain data never');
    c.stack.write(c.user!, new Uint8Array(5), SEND_URGENT);
    c.collect();
    c.inject('. 1:1(0) ack 6 win 65535');
    t.equal(c.take(), 'P.U 6:11(5) ack 1 win 65535 urg 5');
    c.inject('. 1:1(0) ack 11 win 65535');
    c.send(5);
    t.notMatch(c.take(), /urg/, 'nor behind them');
    t.end();
  },
);

void t.test('MUST-31: urgent data of any length, both ways', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_wmem': 400_000 } });
  c.established();
  const all = 200_000;
  c.stack.write(c.user!, new Uint8Array(all), SEND_URGENT);
  c.collect();
  let said = c.rest();
  const pointers: number[] = [];
  for (let una = 1; said.length > 0; said = c.rest()) {
    for (const text of said) {
      const [, seq, end, urg] = / (\d+):(\d+)\(.* urg (\d+)/.exec(text)!.map(Number);
      pointers.push(urg!);
      t.ok(urg === Math.min(65_535, 1 + all - seq!), text);
      una = Math.max(una, end!);
    }
    c.inject(`. 1:1(0) ack ${una} win 65535`);
  }
  t.equal(pointers[0], 65_535);
  t.ok(pointers.at(-1)! < 65_535);
  t.equal(c.user!.queued, 0);
  for (let at = 0; at < 100_000; at += 1000) {
    c.inject(
      `U. ${1 + at}:${1001 + at}(1000) ack ${1 + all} win 65535 urg ${Math.min(65_535, 100_000 - at)}`,
    );
    c.read();
    t.equal(c.user!.urgentLeft > 0, at < 99_000, `${at}`);
  }
  t.end();
});

void t.test('MUST-33: how much of it is left', (t) => {
  const c = new Conversation();
  c.established();
  t.equal(c.user!.urgentLeft, 0);
  c.inject('U. 1:4(3) ack 1 win 100 urg 10');
  t.equal(c.user!.urgentLeft, 10, 'announced, not here yet');
  t.equal(c.stack.urgentOctet(c.user!), -1);
  c.inject('. 4:16(12) ack 1 win 100');
  t.equal(c.stack.urgentOctet(c.user!), 97);
  c.stack.read(c.user!, 4);
  t.equal(c.user!.urgentLeft, 6);
  c.stack.read(c.user!, 6);
  t.equal(c.user!.urgentLeft, 0);
  t.end();
});

void t.test('knob tcp_stdurg: the pointer names the last urgent octet', (t) => {
  for (const [value, left] of [
    [0, 5],
    [1, 6],
  ] as const) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_stdurg': value } });
    c.established();
    c.inject('U. 1:11(10) ack 1 win 100 urg 5');
    t.equal(c.user!.urgentLeft, left);
  }
  t.end();
});
