/** The urgent mechanism of the receiver: MUST-30 .. MUST-33, MUST-62, MUST-66, R9293-66, R9293-41. */
import t from 'tap';
import { EV_URGENT } from '../../src/stack/api.js';
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
