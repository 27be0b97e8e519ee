/** illumos tcp_time_wait_processing, row by row, and the phase of its collector. */
import t from 'tap';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Conversation } from '../support/conversation.js';
import { RW, bases, context, holds, record, type Row } from './facts.js';

const illumos = findPolicy('illumos')!;
const solaris = findPolicy('solaris-7')!;
const [base] = bases;

const RESET = 'RST keep tw-syn-reset';
const OPENS = '- accept tw-syn-beyond-window';
const OUT = 'ACK keep tw-not-acceptable';

const plain: readonly Row[] = [
  ['SYN below', { flags: 'S', at: -1 }, 'ACK keep tw-syn-refused'],
  ['SYN at RCV.NXT', { flags: 'S', at: 0 }, RESET],
  ['SYN inside', { flags: 'S', at: 1 }, RESET],
  ['SYN at the right edge', { flags: 'S', at: RW }, RESET],
  ['SYN one beyond', { flags: 'S', at: RW + 1 }, OPENS],
  ['SYN,FIN beyond', { flags: 'SF', at: RW + 1 }, '- keep listen-syn-fin'],
  ['SYN,ACK beyond', { flags: 'S.', at: RW + 1 }, 'RST delete tw-syn-ack-reset'],
  ['RST below', { flags: 'R', at: -1 }, '- keep tw-rst-out'],
  ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- delete tw-rst-kill-window'],
  ['RST at the right edge', { flags: 'R', at: RW }, '- delete tw-rst-kill-window'],
  ['RST one beyond', { flags: 'R', at: RW + 1 }, '- keep tw-rst-out'],
  ['FIN again', { flags: 'F.', at: -1 }, 'ACK restart tw-fin-again'],
  ['FIN again with data', { flags: 'F.', at: -11, length: 10 }, 'ACK restart tw-fin-again'],
  ['FIN below', { flags: 'F.', at: -2 }, 'ACK keep tw-data-old'],
  ['FIN at RCV.NXT', { flags: 'F.', at: 0 }, '- keep refresh tw-ack'],
  ['old data', { flags: 'P.', at: -10, length: 10 }, 'ACK keep tw-data-old'],
  ['data at RCV.NXT', { flags: 'P.', at: 0, length: 10 }, '- keep refresh tw-data-new'],
  ['data in the window', { flags: 'P.', at: 5, length: 10 }, 'ACK keep tw-segment-ack'],
  ['data beyond', { flags: 'P.', at: RW, length: 10 }, OUT],
  ['bare ACK', { flags: '.', at: 0 }, '- keep refresh tw-ack'],
  ['bare ACK inside', { flags: '.', at: 9 }, '- keep tw-ack'],
  ['bare ACK beyond', { flags: '.', at: RW + 1 }, OUT],
  ['ACK of what was never sent', { flags: '.', at: 0, ack: 1 }, 'ACK keep refresh tw-ack-unsent'],
  ['ACK of less', { flags: '.', at: 0, ack: -1 }, '- keep refresh tw-ack'],
];

void t.test('without timestamps', (t) => {
  for (const policy of [illumos, solaris]) holds(t, policy, plain);
  t.end();
});

void t.test('nobody listens: the old connection is gone all the same', (t) => {
  holds(t, illumos, [['SYN beyond', { flags: 'S', at: RW + 1 }, '- delete tw-syn-unheard']], {
    listener: false,
  });
  t.end();
});

void t.test('timestamps: missing ones are dropped, old ones acknowledged, RST exempt', (t) => {
  holds(
    t,
    illumos,
    [
      ['SYN beyond, none', { flags: 'S', at: RW + 1 }, '- keep tw-missing-timestamp'],
      ['SYN beyond, older', { flags: 'S', at: RW + 1, ts: -1 }, 'ACK keep tw-paws'],
      ['SYN beyond, equal', { flags: 'S', at: RW + 1, ts: 0 }, OPENS],
      ['SYN inside, newer', { flags: 'S', at: 1, ts: 9 }, RESET],
      ['keep-alive probe, none', { flags: '.', at: -1 }, 'ACK keep tw-data-old'],
      ['FIN again, none', { flags: 'F.', at: -1 }, 'ACK restart tw-fin-again'],
      ['old data, none', { flags: 'P.', at: -10, length: 10 }, '- keep tw-missing-timestamp'],
      ['RST, none', { flags: 'R', at: 0 }, '- delete tw-rst-kill-window'],
      ['RST, older', { flags: 'R', at: 0, ts: -1 }, '- delete tw-rst-kill-window'],
    ],
    { record: { hasTimestamp: true } },
  );
  t.end();
});

void t.test('the collector adds 0 to 5 s, on loopback nothing is kept', (t) => {
  const lasts = (random: number, localPeer = false): number =>
    illumos.lifetime(
      record(base!, { localPeer }),
      { ...context(illumos), knob: context(illumos).knob, random: () => random } as never,
      false,
    );
  t.equal(lasts(0), 60_000);
  t.equal(lasts(4999), 64_999);
  t.equal(lasts(5000), 60_000);
  for (const random of [-1, 0x7fffffff, -0x80000000]) {
    const life = lasts(random);
    t.ok(life >= 60_000 && life < 65_000, String(life));
  }
  t.equal(lasts(0, true), 0);
  t.equal(solaris.lifetime(record(base!), { ...context(solaris), random: () => 7 } as never, false), 240_007);
  t.end();
});

void t.test('records of one stack end in different phases', (t) => {
  const c = new Conversation({ policy: 'illumos' });
  c.listen();
  for (let port = 5000; port < 5010; port++) {
    c.peerPort = port;
    c.ourIss = null;
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    c.inject('. 1:1(0) ack 1 win 65535');
    c.accept();
    c.close();
    c.inject('. 1:1(0) ack 2 win 65535');
    c.inject('F. 1:1(0) ack 2 win 65535');
    c.rest();
  }
  const left = c.stack
    .sockets()
    .filter((row) => row.state === 'TIME-WAIT')
    .map((row) => row.timerLeft!);
  t.equal(left.length, 10);
  t.ok(left.every((ms) => ms >= 60_000 && ms < 65_000));
  t.ok(new Set(left).size > 5, 'seldom two alike');
  c.advance(65_000);
  t.equal(c.stack.timeWait.count, 0);
  t.end();
});

void t.test('the new ISS lies 125000 above the old SND.NXT at least', (t) => {
  const iss = (fresh: number): number =>
    illumos.isnOnReopen(record(base!, { sndNxt: 1000 }), fresh, context(illumos));
  t.equal(iss(126_000), 126_000);
  t.equal(iss(125_999), 126_000);
  t.equal(iss(-5), 126_000);
  t.equal(iss(126_001), 126_001);
  const wrapped = (0x7fffffff + 125_000) | 0;
  t.equal(illumos.isnOnReopen(record(base!, { sndNxt: 0x7fffffff }), 0x7fffffff, context(illumos)), wrapped);
  t.end();
});
