/** Delivery rate, as the kernel shows it for the same scripts in TCP_INFO. */
import t from 'tap';
import type { TcpInfo } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

/** Established over 100 ms, segments of 1000 bytes. */
function conversation(): Conversation {
  const c = new Conversation({ policy: 'linux' });
  c.established('<mss 1000,sackOK>', 100);
  return c;
}

const info = (c: Conversation): TcpInfo => c.stack.tcpInfo(c.user!);
const rate = (c: Conversation): [rate: number, limited: boolean, delivered: number] => {
  const { deliveryRate, deliveryLimited, delivered } = info(c);
  return [deliveryRate, deliveryLimited, delivered];
};

void t.test('what was delivered over the longer of the times of sending and of acknowledging', (t) => {
  const c = conversation();
  t.same(rate(c), [0, true, 1], 'nothing yet but our SYN');
  c.send(10_000);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 5001 win 65535');
  t.same(rate(c), [50_000, true, 6], 'five segments in 100 ms');
  c.advance(20);
  c.inject('. 1:1(0) ack 10001 win 65535');
  t.same(rate(c), [83_333, true, 11], 'ten in 120 ms');
  t.end();
});

void t.test('for want of data a sample counts only when it is better', (t) => {
  const c = conversation();
  c.send(10_000);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 10001 win 65535');
  t.same(rate(c), [100_000, true, 11]);
  c.send(300);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 10301 win 65535');
  t.same(rate(c), [100_000, true, 12], 'one small segment tells little');
  c.send(60_000);
  c.rest();
  c.advance(200);
  c.inject('. 1:1(0) ack 11301 win 65535');
  c.rest();
  c.advance(200);
  // What leaves behind the ACK of all that was written into an idle path is as fast as the path lets it
  const { sndCwnd } = info(c);
  c.inject(`. 1:1(0) ack ${10_301 + sndCwnd} win 65535`);
  c.rest();
  c.advance(400);
  c.inject(`. 1:1(0) ack ${11_301 + sndCwnd} win 65535`);
  t.equal(info(c).deliveryLimited, false);
  t.ok(info(c).deliveryRate < 100_000, 'and counts, slow as it is');
  t.end();
});

void t.test('SACK delivers once; a retransmission is measured from its own sending', (t) => {
  const c = conversation();
  c.send(10_000);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 1 win 65535 <sack 1001:5001>');
  t.same(rate(c), [40_000, true, 5]);
  c.rest();
  c.advance(100);
  c.inject('. 1:1(0) ack 10001 win 65535');
  t.equal(info(c).delivered, 11, 'the four are not counted again');
  t.equal(
    info(c).deliveryRate,
    60_000,
    'the copy of the first left when four were delivered: six since, in 100 ms',
  );
  t.end();
});

void t.test('without SACK a duplicate stands for a segment, until the ACK that has it', (t) => {
  const c = new Conversation({ policy: 'linux' });
  c.established('<mss 1000>', 100);
  c.send(10_000);
  c.rest();
  c.advance(100);
  for (let i = 1; i <= 2; i++) {
    c.inject('. 1:1(0) ack 1 win 65535');
    t.equal(info(c).delivered, 1 + i);
  }
  c.inject('. 1:1(0) ack 3001 win 65535');
  t.equal(info(c).delivered, 4);
  t.end();
});
