/** RFC 1122, 1337 and 6191 where the matrix does not reach: edges, the way back, the ISN. */
import t from 'tap';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Reason } from '../../src/reasons.js';
import { Conversation, type ConversationOptions } from '../support/conversation.js';
import { HALF, RW, bases, context, holds, record, type Row } from './facts.js';

const rfc6191 = findPolicy('rfc6191')!;
const rfc1122 = findPolicy('rfc1122')!;
const rfc1337 = findPolicy('rfc1337')!;

/** SEG.SEQ - RCV.NXT: the test is against the FIN's number, one below RCV.NXT. */
const seqs: readonly (readonly [at: number, higher: boolean])[] = [
  [-HALF, false],
  [-1, false],
  [0, true],
  [1, true],
  [RW, true],
  [HALF - 2, true],
  [HALF - 1, false],
];
const byNumber = (higher: boolean): string =>
  higher ? '- accept tw-syn-accepted-at' : '- keep tw-syn-below';

void t.test('RFC 6191 2: every branch of the tree, wherever the sequence number lies', (t) => {
  for (const [at, higher] of seqs) {
    const number = byNumber(higher);
    const stamps: Row[] = [
      ['no timestamp', { flags: 'S', at }, number],
      ['newer by 1', { flags: 'S', at, ts: 1 }, '- accept tw-syn-accepted-stamp'],
      ['newer by 2^31 - 1', { flags: 'S', at, ts: HALF - 1 }, '- accept tw-syn-accepted-stamp'],
      ['2^31 apart is not newer', { flags: 'S', at, ts: HALF }, '- keep tw-syn-older'],
      ['equal', { flags: 'S', at, ts: 0 }, number],
      ['older by 1', { flags: 'S', at, ts: -1 }, '- keep tw-syn-older'],
    ];
    holds(t, rfc6191, stamps, { record: { hasTimestamp: true } });
    holds(t, rfc6191, [
      ['none before, none now', { flags: 'S', at }, number],
      ['none before, some now', { flags: 'S', at, ts: 0 }, '- accept tw-syn-accepted-first-stamp'],
    ]);
    // Our SYN,ACK would not carry them: not enabled
    holds(t, rfc6191, [['timestamps off', { flags: 'S', at, ts: 5 }, number]], {
      knobs: { 'net.ipv4.tcp_timestamps': 0 },
    });
  }
  t.end();
});

void t.test('RFC 6191 is about SYNs that somebody waits for', (t) => {
  holds(t, rfc6191, [['nobody listens', { flags: 'S', at: 0 }, 'ACK challenge keep tw-syn-in-window']], {
    listener: false,
  });
  holds(t, rfc6191, [
    ['SYN,ACK', { flags: 'S.', at: 5 }, 'ACK challenge keep tw-syn-in-window'],
    ['SYN,FIN', { flags: 'SF', at: 5 }, 'ACK challenge keep tw-syn-in-window'],
    ['SYN,RST', { flags: 'SR', at: 0 }, '- delete tw-rst-kill'],
  ]);
  t.end();
});

void t.test('RFC 1122: above RCV.NXT, and not refused by PAWS', (t) => {
  const taken = '- accept revertible tw-syn-accepted';
  holds(t, rfc1122, [
    ['at', { flags: 'S', at: 0 }, 'ACK challenge keep tw-syn-in-window'],
    ['one above', { flags: 'S', at: 1 }, taken],
    ['far above', { flags: 'S', at: HALF - 1 }, taken],
    ['2^31 away', { flags: 'S', at: HALF }, 'ACK challenge keep tw-syn-refused'],
    ['SYN,ACK', { flags: 'S.', at: 1 }, 'ACK challenge keep tw-syn-in-window'],
  ]);
  holds(
    t,
    rfc1122,
    [
      ['older timestamp', { flags: 'S', at: 1, ts: -1 }, 'ACK limited keep tw-paws'],
      ['equal timestamp', { flags: 'S', at: 1, ts: 0 }, taken],
    ],
    { record: { hasTimestamp: true } },
  );
  holds(t, rfc1122, [['nobody listens', { flags: 'S', at: 1 }, 'ACK challenge keep tw-syn-in-window']], {
    listener: false,
  });
  t.end();
});

void t.test('the ISN lies above all numbers used before, also when the clock has fallen behind', (t) => {
  for (const policy of [rfc1122, rfc6191]) {
    for (const base of bases) {
      for (const ahead of [-HALF, -1_000_000, -2, -1, 0, 1, 77, HALF - 2]) {
        const old = record(base);
        const fresh = (old.sndNxt + ahead) | 0;
        const iss = policy.isnOnReopen(old, fresh, context(policy));
        t.ok(((iss - (old.sndNxt - 1)) | 0) > 0, `${policy.name}: fresh at SND.NXT + ${ahead}`);
        if (ahead >= 0) t.equal(iss, fresh, 'a fresh one that is high enough is kept');
      }
    }
  }
  t.end();
});

/** A server in TIME-WAIT whose tuple an old SYN has just reopened; 50 s of the 240 are over. */
function reopened(options: ConversationOptions): { c: Conversation; iss: number } {
  const c = new Conversation({ policy: 'rfc1122', ...options });
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
  c.advance(50_000);
  c.inject('S 9:9(0) win 100 <mss 1460>');
  const found = /^S\. (\d+):\d+\(0\) ack 10 /.exec(c.take());
  return { c, iss: Number(found![1]) };
}

void t.test('RFC 1122 4.2.2.13 (2): back to TIME-WAIT when the SYN was an old duplicate', (t) => {
  const proofs: readonly (readonly [string, (iss: number) => string, RegExp | null])[] = [
    ["RST of the peer's host", () => 'R 10:10(0) win 0', null],
    ['an ACK of something else', (iss) => `. 10:10(0) ack ${iss + 77} win 100`, /^R /],
  ];
  for (const v6 of [false, true]) {
    for (const [what, text, answer] of proofs) {
      const { c, iss } = reopened({ v6 });
      t.equal(c.state, 'SYN-RECEIVED');
      c.inject(text(iss));
      const said = c.rest();
      if (answer === null) t.same(said, [], what);
      else t.match(said.join('|'), answer, what);
      t.equal(c.state, 'TIME-WAIT', what);
      t.equal(c.stack.reasonCounts[Reason['tw-returned']], 1);
      c.inject('F. 1:1(0) ack 2 win 65535');
      t.equal(c.mismatch('. 2:2(0) ack 2'), '', 'with the old numbers');
      c.advance(239_999);
      t.equal(c.state, 'TIME-WAIT');
      c.advance(1);
      t.equal(c.state, 'CLOSED');
    }
    const real = reopened({ v6 });
    real.c.inject(`. 10:10(0) ack ${real.iss + 1} win 100`);
    t.equal(real.c.state, 'ESTABLISHED');
    t.equal(real.c.stack.timeWait.count, 0, 'nothing to go back to');
  }
  t.end();
});

void t.test('nobody answers our SYN,ACK: back to TIME-WAIT as well', (t) => {
  const { c } = reopened({ knobs: { 'net.ipv4.tcp_synack_retries': 1 } });
  c.advance(10_000);
  t.equal(c.state, 'TIME-WAIT');
  t.end();
});

void t.test('RFC 1337: the assassination of its figure 1 fails, and so does a refused client', (t) => {
  const c = new Conversation({ policy: 'rfc1337' });
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
  // The old duplicate draws an ACK, the peer's RST answers that
  c.inject('P. 4294967290:4294967293(3) ack 1 win 100');
  t.equal(c.mismatch('. 2:2(0) ack 2'), '');
  c.inject('R 2:2(0) win 0');
  t.equal(c.state, 'TIME-WAIT');
  holds(t, rfc1337, [
    ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- keep tw-rst-ignored'],
    ['RST in the window', { flags: 'R', at: 5 }, '- keep tw-rst-ignored'],
    ['SYN,RST', { flags: 'SR', at: 5 }, '- keep tw-rst-ignored'],
  ]);
  t.end();
});
