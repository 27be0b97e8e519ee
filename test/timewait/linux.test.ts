/** `linux` and `alibaba`: what differs from the rules of linux-rules.test.ts. */
import t from 'tap';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Conversation } from '../support/conversation.js';
import { NOW, bases, context, record, show } from './facts.js';

const linux = findPolicy('linux')!;
const alibaba = findPolicy('alibaba')!;
const [base] = bases;

void t.test('linux has the rules of reuse, and opens again on loopback only', (t) => {
  const old = record(base!, { hasTimestamp: true, enteredAt: NOW - 30_000 });
  const ask = (localPeer: boolean): string =>
    show(linux.mayReopen({ ...old, localPeer }, { boundPort: false, timestamps: true }, context(linux)));
  t.equal(ask(false), '- keep reopen-off');
  t.equal(ask(true), '- accept reopen-reused');
  t.equal(linux.capacity(context(linux)), 131_072);
  t.end();
});

void t.test('an orphan in FIN-WAIT-2: T up to 60 s, 2*(T-60) above', (t) => {
  const orphan = (seconds: number, rto = 200): number =>
    linux.lifetime(
      record(base!, { finWait2: true, rto }),
      context(linux, { knobs: { 'net.ipv4.tcp_fin_timeout': seconds } }),
      false,
    );
  t.equal(orphan(5), 5000);
  t.equal(orphan(60), 60_000);
  t.equal(orphan(61), 2000);
  t.equal(orphan(70), 20_000);
  t.equal(orphan(100), 80_000);
  t.equal(orphan(5, 2000), 7000, '3.5*RTO at least');
  t.equal(orphan(5, 20_000), 20_000, '3.5*RTO = 70 s');
  t.end();
});

void t.test('alibaba: tcp_tw_timeout is the length, of the comparison for orphans too', (t) => {
  const lasts = (facts: object, knobs: object): number =>
    alibaba.lifetime(record(base!, facts), context(alibaba, { knobs: { ...knobs } }), false);
  t.equal(lasts({}, {}), 60_000);
  t.equal(lasts({}, { 'net.ipv4.tcp_tw_timeout': 3 }), 3000);
  t.equal(lasts({}, { 'net.ipv4.tcp_tw_timeout': 600 }), 600_000);
  const orphan = { finWait2: true };
  t.equal(lasts(orphan, { 'net.ipv4.tcp_tw_timeout': 5, 'net.ipv4.tcp_fin_timeout': 5 }), 5000);
  t.equal(lasts(orphan, { 'net.ipv4.tcp_tw_timeout': 5, 'net.ipv4.tcp_fin_timeout': 7 }), 4000);
  t.equal(lasts(orphan, { 'net.ipv4.tcp_tw_timeout': 600, 'net.ipv4.tcp_fin_timeout': 100 }), 100_000);
  t.end();
});

void t.test('alibaba on the wire: gone after tcp_tw_timeout, restarted by the FIN', (t) => {
  const c = new Conversation({ policy: 'alibaba', knobs: { 'net.ipv4.tcp_tw_timeout': 3 } });
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
  c.advance(2999);
  c.inject('F. 1:1(0) ack 2 win 65535');
  t.equal(c.mismatch('. 2:2(0) ack 2'), '');
  c.advance(2999);
  t.equal(c.state, 'TIME-WAIT');
  c.advance(1);
  t.equal(c.state, 'CLOSED');
  t.end();
});

void t.test('a fresh ISN of linux counts 64 ns: 15625 a millisecond', (t) => {
  const c = new Conversation({ policy: 'linux' });
  c.listen();
  c.inject('S 0:0(0) win 100');
  c.inject('R 1:1(0) win 0');
  c.rest();
  c.advance(10);
  c.inject('S 0:0(0) win 100');
  t.match(c.take(), /^S\. 156250:/);
  t.end();
});
