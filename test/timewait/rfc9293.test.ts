/** RFC 9293 3.10.7.4 in TIME-WAIT, with RFC 5961 and RFC 7323. */
import t from 'tap';
import { PRESSURE_SKIP } from '../../src/timewait/policy.js';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { HALF, NOW, RW, bases, context, holds, record, segment, show, type Row } from './facts.js';

const rfc9293 = findPolicy('rfc9293')!;
const OUT = 'ACK limited keep tw-not-acceptable';
const OLD = 'ACK limited keep tw-data-old';
const REFUSED = 'ACK challenge keep tw-syn-refused';
const CHALLENGED = 'ACK challenge keep tw-syn-in-window';
const AGAIN = 'ACK restart tw-fin-again';
const DAY = 86_400_000;

const outside = [-HALF + 1, -RW, -1, RW, RW + 1, HALF - 1, HALF, HALF + 1];
const inside = [0, 1, RW - 1];

const rows: readonly Row[] = [
  // First, check sequence number
  ...outside.flatMap((at): Row[] => [
    [`bare ACK at ${at}`, { flags: '.', at }, OUT],
    [`no flags at ${at}`, { flags: '-', at }, OUT],
    [`RST at ${at}`, { flags: 'R', at }, '- keep tw-rst-out'],
    [`data at ${at}`, { flags: 'P.', at, length: 1 }, OLD],
  ]),
  ...[-HALF + 1, -RW, RW, RW + 1, HALF - 1, HALF, HALF + 1].flatMap((at): Row[] => [
    [`SYN at ${at}`, { flags: 'S', at }, REFUSED],
    [`SYN,ACK at ${at}`, { flags: 'S.', at }, REFUSED],
    [`FIN at ${at}`, { flags: 'F.', at }, OUT],
  ]),
  ['SYN just below: its octet is RCV.NXT-1', { flags: 'S', at: -1 }, REFUSED],
  ['data that ends at RCV.NXT', { flags: '.', at: -100, length: 100 }, OLD],
  ['data over the left edge', { flags: '.', at: -100, length: 101 }, '- keep tw-data-new'],
  ['data over the right edge', { flags: '.', at: RW - 1, length: 100 }, '- keep tw-data-new'],
  ['data over both edges', { flags: '.', at: -1, length: RW + 2 }, OLD],
  // The FIN again: unacceptable by one octet, acknowledged, and 2*MSL start again (R9293-39)
  ['FIN again', { flags: 'F.', at: -1 }, AGAIN],
  ['FIN again with its data', { flags: 'FP.', at: -101, length: 100 }, AGAIN],
  ['FIN below', { flags: 'F.', at: -2 }, OUT],
  // Second, check the RST bit (RFC 5961 3.2)
  ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- delete tw-rst-kill'],
  ['RST,ACK at RCV.NXT', { flags: 'R.', at: 0 }, '- delete tw-rst-kill'],
  ['RST one above', { flags: 'R', at: 1 }, 'ACK challenge keep tw-rst-challenge'],
  ['RST at the last octet', { flags: 'R', at: RW - 1 }, 'ACK challenge keep tw-rst-challenge'],
  ['SYN,RST at RCV.NXT', { flags: 'SR', at: 0 }, '- delete tw-rst-kill'],
  // Fourth, check the SYN bit (RFC 5961 4.2)
  ...inside.flatMap((at): Row[] => [
    [`SYN at ${at}`, { flags: 'S', at }, CHALLENGED],
    [`SYN,ACK at ${at}`, { flags: 'S.', at }, CHALLENGED],
    [`SYN,FIN at ${at}`, { flags: 'SF', at }, CHALLENGED],
    // Fifth, check the ACK field
    [`no flags at ${at}`, { flags: '-', at }, '- keep tw-no-ack-flag'],
    [`FIN without ACK at ${at}`, { flags: 'F', at }, '- keep tw-no-ack-flag'],
    [`ACK of what was never sent at ${at}`, { flags: '.', at, ack: 1 }, OUT],
    [`bare ACK at ${at}`, { flags: '.', at }, '- keep tw-ack'],
    [`bare ACK of less at ${at}`, { flags: '.', at, ack: -1 }, '- keep tw-ack'],
    // Seventh: no text is expected
    [`data at ${at}`, { flags: '.', at, length: 1 }, '- keep tw-data-new'],
    // Eighth, check the FIN bit
    [`FIN at ${at}`, { flags: 'F.', at }, AGAIN],
  ]),
];

void t.test('without timestamps', (t) => {
  holds(t, rfc9293, rows);
  holds(t, rfc9293, rows, { listener: false });
  t.end();
});

void t.test(
  'timestamps equal or newer change nothing, 2^31 ahead is not older (RFC 7323 5.2); on a connection without any, none do',
  (t) => {
    for (const ts of [0, 1, HALF - 1, HALF]) {
      const stamps = rows.map(([title, shape, expected]): Row => [title, { ...shape, ts }, expected]);
      holds(t, rfc9293, stamps, { record: { hasTimestamp: true } });
    }
    const older = rows.map(([title, shape, expected]): Row => [title, { ...shape, ts: -1 }, expected]);
    holds(t, rfc9293, older);
    t.end();
  },
);

void t.test('PAWS comes first: an older timestamp is answered, RST is exempt', (t) => {
  for (const ts of [-1, -1000, HALF + 1]) {
    const older = rows.map(([title, shape, expected]): Row => {
      return [title, { ...shape, ts }, shape.flags.includes('R') ? expected : 'ACK limited keep tw-paws'];
    });
    holds(t, rfc9293, older, { record: { hasTimestamp: true } });
  }
  t.end();
});

void t.test('after 24 days TS.Recent is not believed any more', (t) => {
  const older: readonly Row[] = [['bare ACK, older stamp', { flags: '.', at: 0, ts: -1 }, '- keep tw-ack']];
  const refused: readonly Row[] = [
    ['bare ACK, older stamp', { flags: '.', at: 0, ts: -1 }, 'ACK limited keep tw-paws'],
  ];
  holds(t, rfc9293, refused, { record: { hasTimestamp: true, tsRecentAt: (NOW - 24 * DAY) | 0 } });
  holds(t, rfc9293, older, { record: { hasTimestamp: true, tsRecentAt: (NOW - 24 * DAY - 1) | 0 } });
  t.end();
});

void t.test('the negotiated timestamp is missing: dropped, but for SYN and RST', (t) => {
  const missing = rows.map(([title, shape, expected]): Row => {
    const exempt = /[SR]/.test(shape.flags);
    return [title, shape, exempt ? expected : '- keep tw-missing-timestamp'];
  });
  holds(t, rfc9293, missing, { record: { hasTimestamp: true } });
  t.end();
});

void t.test('tcp_rfc1337 = 1: no RST ends TIME-WAIT', (t) => {
  const kept = rows.map(([title, shape, expected]): Row => {
    return [title, shape, expected === '- delete tw-rst-kill' ? '- keep tw-rst-ignored' : expected];
  });
  holds(t, rfc9293, kept, { knobs: { 'net.ipv4.tcp_rfc1337': 1 } });
  t.end();
});

void t.test('a closed window accepts nothing but an empty segment at RCV.NXT', (t) => {
  holds(
    t,
    rfc9293,
    [
      ['bare ACK at RCV.NXT', { flags: '.', at: 0 }, '- keep tw-ack'],
      ['bare ACK above', { flags: '.', at: 1 }, OUT],
      ['data at RCV.NXT', { flags: '.', at: 0, length: 1 }, OLD],
      ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- delete tw-rst-kill'],
      ['RST above', { flags: 'R', at: 1 }, '- keep tw-rst-out'],
      ['SYN at RCV.NXT', { flags: 'S', at: 0 }, REFUSED],
      ['FIN again', { flags: 'F.', at: -1 }, AGAIN],
    ],
    { record: { rcvWnd: 0 } },
  );
  t.end();
});

void t.test('lifetime: 2*MSL, from entry and from every restart (MUST-13)', (t) => {
  const facts = record(bases[0]!, { localPeer: true, rto: 5 });
  t.equal(rfc9293.lifetime(facts, context(rfc9293), false), 240_000);
  t.equal(rfc9293.lifetime(facts, context(rfc9293), true), 240_000);
  const knobs = { 'net.ipv4.tcp_msl': 500 };
  t.equal(rfc9293.lifetime(facts, context(rfc9293, { knobs }), false), 1000);
  t.end();
});

void t.test('nothing reopens it, nothing is remembered, a full table takes no more', (t) => {
  const facts = record(bases[0]!, { hasTimestamp: true, enteredAt: NOW - 239_999 });
  for (const boundPort of [true, false]) {
    t.equal(
      show(rfc9293.mayReopen(facts, { boundPort, timestamps: true }, context(rfc9293))),
      '- keep reopen-refused',
    );
  }
  t.notOk(rfc9293.remembersHost(facts, context(rfc9293)));
  const host = { known: true, tsRecent: bases[0]!.ts, tsRecentAt: NOW };
  const syn = segment(bases[0]!, { flags: 'S', at: 1, ts: -100 });
  t.equal(show(rfc9293.synArrives(syn, context(rfc9293, { host }))), '- keep plain');
  t.equal(rfc9293.onPressure(1, context(rfc9293)), PRESSURE_SKIP);
  t.notOk(rfc9293.orphansAsRecords);
  t.end();
});

void t.test('bind(): SO_REUSEADDR on the new socket', (t) => {
  const ask = (reuseAddress: boolean, addressOverlaps: boolean): boolean =>
    rfc9293.mayBind(
      record(bases[0]!),
      { reuseAddress, reusePort: false, exclusive: false, addressOverlaps },
      context(rfc9293),
    );
  t.notOk(ask(false, true));
  t.ok(ask(true, true));
  t.ok(ask(false, false));
  t.end();
});
