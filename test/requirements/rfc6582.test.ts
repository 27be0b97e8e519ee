/** RFC 6582, NewReno: recovery with a peer that has no SACK, ACK for ACK. */
import t from 'tap';
import type { Tcb } from '../../src/tcp/tcb.js';
import { Conversation } from '../support/conversation.js';

/** Established with segments of 1000 bytes, no SACK; ten of them are in flight. */
function ten(knobs: Readonly<Record<string, number>> = {}): Conversation {
  const c = new Conversation({ knobs });
  c.established('<mss 1000>');
  c.send(100_000);
  if (c.segments().length !== 10) throw new Error('not ten');
  return c;
}

function duplicates(c: Conversation, una: number, count: number): number[] {
  for (let i = 0; i < count; i++) c.inject(`. 1:1(0) ack ${una} win 65535`);
  return c.starts();
}

const ack = (c: Conversation, una: number): number[] => {
  c.inject(`. 1:1(0) ack ${una} win 65535`);
  return c.starts();
};

void t.test('R6582-1: the very first segment may be found lost', (t) => {
  const c = ten();
  t.ok(duplicates(c, 1, 3).includes(0));
  t.equal(c.info.caState, 'recovery');
  t.equal(c.info.sndSsthresh, 5000);
  t.end();
});

void t.test('R6582-2: after a recovery only duplicates of what was sent later begin another', (t) => {
  const c = ten();
  duplicates(c, 1, 3);
  // 12 were in flight: recover is 12000
  ack(c, 12_001);
  t.equal(c.info.caState, 'open');
  const { sndSsthresh } = c.info;
  t.notOk(duplicates(c, 12_001, 5).includes(12_000), 'of the last one of the window that was repaired');
  t.equal(c.info.caState, 'disorder');
  t.equal(c.info.sndSsthresh, sndSsthresh);
  ack(c, 13_001);
  t.ok(duplicates(c, 13_001, 3).includes(13_000));
  t.equal(c.info.caState, 'recovery');
  t.end();
});

void t.test(
  'R6582-3, R6582-13: the full acknowledgment leaves no room for a burst, and grows nothing',
  (t) => {
    const c = new Conversation();
    c.established('<mss 1000>');
    c.send(10_000);
    c.rest();
    duplicates(c, 1, 3);
    ack(c, 10_001);
    t.equal(c.info.unacked, 0);
    t.equal(c.info.sndCwnd, 2000, 'nothing in flight: one segment and one more');
    c.send(50_000);
    t.equal(c.segments().length, 2);
    const d = ten();
    duplicates(d, 1, 9);
    const before = d.info.unacked;
    const sent = ack(d, 12_001);
    const flight = before - 12_000;
    t.equal(
      d.info.sndCwnd,
      Math.min(5000, flight + 1000),
      'min(ssthresh, FlightSize + SMSS), nothing on top of it',
    );
    t.ok(sent.length <= 1);
    t.end();
  },
);

void t.test('R6582-4: a partial acknowledgment resends the next hole at once', (t) => {
  const c = ten();
  // 1 and 4 of ten are lost
  duplicates(c, 1, 8);
  const { sndSsthresh } = c.info;
  t.equal(ack(c, 3001)[0], 3000);
  t.equal(c.info.caState, 'recovery');
  t.equal(c.info.sndSsthresh, sndSsthresh);
  t.equal(c.stack.counters.get('TcpExtTCPTimeouts'), 0);
  t.end();
});

void t.test(
  'R6582-5: a partial acknowledgment deflates the window by what it covers, less a segment',
  (t) => {
    const c = ten();
    duplicates(c, 1, 7);
    t.equal(c.info.sndCwnd, 12_000);
    const sent = ack(c, 3001);
    t.equal(c.info.sndCwnd, 10_000);
    t.same(sent, [3000, 12_000], 'the hole, and one new segment: nine are in flight, ten allowed');
    const d = ten();
    duplicates(d, 1, 7);
    ack(d, 501);
    t.equal(d.info.sndCwnd, 11_500, 'less than a segment: nothing back');
    t.end();
  },
);

void t.test('R6582-6: the timer starts anew with the first partial acknowledgment and with no other', (t) => {
  const c = ten();
  const { rto } = c.info;
  c.advance(50);
  duplicates(c, 1, 9);
  c.advance(10);
  ack(c, 1001);
  // Ten are lost: a partial acknowledgment each 30 ms
  for (let una = 2001, waited = 0; c.stack.counters.get('TcpExtTCPTimeouts') === 0; una += 1000) {
    t.ok(waited < rto, `${waited} ms after the first`);
    const step = Math.min(30, rto - waited);
    c.advance(step);
    waited += step;
    if (waited < rto) ack(c, una);
    if (una > 12_000) break;
  }
  t.equal(c.stack.counters.get('TcpExtTCPTimeouts'), 1, 'an RTO after the first, whatever came since');
  t.equal(c.info.caState, 'loss');
  t.end();
});

void t.test('R6582-7, R6582-8: after a timeout duplicates of what went before it say nothing', (t) => {
  for (const inRecovery of [false, true]) {
    const c = ten();
    if (inRecovery) {
      duplicates(c, 1, 4);
      t.equal(c.info.caState, 'recovery');
    }
    const highest = 1 + c.info.unacked;
    c.advance(c.info.rto);
    c.rest();
    t.equal(c.info.caState, 'loss', 'R6582-7: recovery is over');
    t.equal(c.info.sndCwnd, 1000);
    const { sndSsthresh } = c.info;
    // The first was lost alone: the resent ones behind it draw duplicates
    ack(c, highest - 1000);
    const resent = c.stack.counters.get('TcpRetransSegs');
    t.notOk(duplicates(c, highest - 1000, 3).includes(highest - 1001));
    t.equal(c.stack.counters.get('TcpRetransSegs'), resent, 'R6582-8: nothing resent');
    t.equal(c.info.sndSsthresh, sndSsthresh, 'R6582-8: nor reduced');
    ack(c, highest);
    t.not(c.info.caState, 'loss', 'R6582-7: recover is what was sent before the timeout');
  }
  t.end();
});

void t.test('R6582-10: a segment that fills a hole in part is acknowledged at once', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.inject('. 1001:2001(1000) ack 1 win 65535');
  c.inject('. 3001:4001(1000) ack 1 win 65535');
  c.rest();
  c.inject('. 1:1001(1000) ack 1 win 65535');
  t.equal(c.mismatch('. 1:1(0) ack 2001'), '', 'the first of two holes');
  c.inject('. 2001:2501(500) ack 1 win 65535');
  t.equal(c.mismatch('. 1:1(0) ack 2501'), '', 'half of the second');
  t.same(c.rest(), []);
  t.end();
});

void t.test('R6582-11: a window update between duplicates neither ends recovery nor begins it again', (t) => {
  const c = ten();
  duplicates(c, 1, 3);
  const { sndSsthresh } = c.info;
  c.inject('. 1:1(0) ack 1 win 60000');
  t.equal(c.info.caState, 'recovery');
  c.rest();
  for (let i = 0; i < 5; i++) c.inject('. 1:1(0) ack 1 win 60000');
  t.notOk(c.starts().includes(0), 'not resent a second time');
  t.equal(c.info.sndSsthresh, sndSsthresh);
  t.equal(c.stack.counters.get('TcpExtTCPRenoRecovery'), 1);
  t.end();
});

void t.test(
  'R6582-12: outside recovery recover follows SND.UNA, so no distance of 2^31 can block the next one',
  (t) => {
    const c = ten();
    const tcb = c.user as Tcb;
    let una = 1;
    for (let i = 0; i < 50; i++) {
      una += 1000;
      ack(c, una);
      t.equal((tcb.sndUna - tcb.recover) | 0, 1);
    }
    t.ok(duplicates(c, una, 3).includes(una - 1));
    t.equal(c.info.caState, 'recovery');
    t.end();
  },
);
