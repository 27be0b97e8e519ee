/** tcp_twcheck of FreeBSD 14. */
import t from 'tap';
import { PRESSURE_EVICT_OLDEST } from '../../src/timewait/policy.js';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { HALF, RW, bases, context, holds, record, show, type Row } from './facts.js';

const bsd = findPolicy('bsd')!;
const RST = '- keep tw-rst-ignored';
const LOW = '- keep tw-syn-low';
const TAKEN = '- accept tw-syn-accepted';
const ACKED = 'ACK keep tw-segment-ack';
const NO_ACK = '- keep tw-no-ack-flag';
const SYN_FIN = '- keep listen-syn-fin';

const edges = [-HALF + 1, -1, 0, 1, RW - 1, RW, HALF - 1, HALF, HALF + 1];
const syn = new Map([
  [1, TAKEN],
  [RW - 1, TAKEN],
  [RW, TAKEN],
  [HALF - 1, TAKEN],
  // SEQ_GT is false at a distance of exactly 2^31
  [HALF, LOW],
]);

const rows: readonly Row[] = [
  ...edges.flatMap((at): Row[] => [
    [`RST at ${at}`, { flags: 'R', at }, RST],
    [`RST,ACK at ${at}`, { flags: 'R.', at }, RST],
    [`SYN at ${at}`, { flags: 'S', at }, syn.get(at) ?? LOW],
    [`SYN,ACK at ${at}`, { flags: 'S.', at }, ACKED],
    [`SYN,RST at ${at}`, { flags: 'SR', at }, RST],
    // A listener here takes no SYN,FIN; it must not cost the record
    [`SYN,FIN at ${at}`, { flags: 'SF', at }, SYN_FIN],
    [`FIN without ACK at ${at}`, { flags: 'F', at }, NO_ACK],
    [`no flags at ${at}`, { flags: '-', at }, NO_ACK],
    [`data without ACK at ${at}`, { flags: 'P', at, length: 10 }, NO_ACK],
  ]),
  ['FIN again', { flags: 'F.', at: -1 }, 'ACK restart tw-fin-again'],
  ['FIN again with its data', { flags: 'FP.', at: -101, length: 100 }, 'ACK restart tw-fin-again'],
  ['FIN below', { flags: 'F.', at: -2 }, ACKED],
  ['FIN at RCV.NXT', { flags: 'F.', at: 0 }, ACKED],
  ['bare ACK, exact', { flags: '.', at: 0 }, '- keep tw-ack'],
  ['bare ACK of less', { flags: '.', at: 0, ack: -1 }, ACKED],
  ['bare ACK of more', { flags: '.', at: 0, ack: 1 }, ACKED],
  ['bare ACK with PSH', { flags: 'P.', at: 0 }, ACKED],
  ['keep-alive probe', { flags: '.', at: -1 }, ACKED],
  ['bare ACK above', { flags: '.', at: 1 }, ACKED],
  ['old data', { flags: '.', at: -10, length: 10 }, ACKED],
  ['data at RCV.NXT', { flags: '.', at: 0, length: 10 }, ACKED],
  ['data in the window', { flags: '.', at: 100, length: 10 }, ACKED],
  ['data beyond it', { flags: '.', at: RW, length: 10 }, ACKED],
];

void t.test('without timestamps, or with those that were negotiated', (t) => {
  holds(t, bsd, rows);
  const withStamps = rows.map(([title, shape, expected]): Row => [title, { ...shape, ts: 0 }, expected]);
  holds(t, bsd, withStamps, { record: { hasTimestamp: true } });
  t.end();
});

void t.test('no PAWS: an older timestamp changes nothing', (t) => {
  for (const ts of [-1, 1, -HALF, HALF - 1]) {
    const stamps = rows.map(([title, shape, expected]): Row => [title, { ...shape, ts }, expected]);
    holds(t, bsd, stamps, { record: { hasTimestamp: true } });
  }
  t.end();
});

void t.test('the negotiated timestamp is missing: dropped, but not a SYN', (t) => {
  const missing = rows.map(([title, shape, expected]): Row => {
    const judged = expected.startsWith('ACK') || expected.endsWith('tw-ack');
    return [title, shape, judged ? '- keep tw-missing-timestamp' : expected];
  });
  holds(t, bsd, missing, { record: { hasTimestamp: true } });
  holds(t, bsd, rows, {
    record: { hasTimestamp: true },
    knobs: { 'net.inet.tcp.tolerate_missing_ts': 1 },
  });
  t.end();
});

void t.test('nobody listens: the SYN that would be accepted ends the record and is reset', (t) => {
  const unheard = rows.map(([title, shape, expected]): Row => {
    return [title, shape, expected === TAKEN ? 'RST delete closed-rst' : expected];
  });
  holds(t, bsd, unheard, { listener: false });
  t.end();
});

void t.test('tcp_rfc1337 changes nothing: RST is ignored anyway', (t) => {
  holds(t, bsd, rows, { knobs: { 'net.ipv4.tcp_rfc1337': 1 } });
  t.end();
});

void t.test('lifetime: 2*msl, none for local peers', (t) => {
  const lasts = (facts: object, knobs = {}): number =>
    bsd.lifetime(record(bases[0]!, facts), context(bsd, { knobs }), false);
  t.equal(lasts({}), 60_000);
  t.equal(lasts({}, { 'net.inet.tcp.msl': 1000 }), 2000);
  t.equal(lasts({}, { 'net.ipv4.tcp_msl': 1000 }), 60_000, 'the strict policy has a knob of its own');
  t.equal(lasts({ localPeer: true }), 0);
  t.equal(lasts({ localPeer: true }, { 'net.inet.tcp.nolocaltimewait': 0 }), 60_000);
  t.end();
});

void t.test('the new connection gets a fresh ISN', (t) => {
  t.equal(bsd.isnOnReopen(record(bases[0]!), 4711, context(bsd)), 4711);
  t.end();
});

void t.test('connect(): EADDRINUSE for a bound port, never another record reopened', (t) => {
  const ask = (boundPort: boolean): string =>
    show(
      bsd.mayReopen(
        record(bases[0]!, { hasTimestamp: true, enteredAt: 0 }),
        { boundPort, timestamps: true },
        context(bsd),
      ),
    );
  t.equal(ask(true), '- keep reopen-in-use');
  t.equal(ask(false), '- keep reopen-refused');
  t.end();
});

void t.test('bind(): either option on the new socket is enough', (t) => {
  const ask = (reuseAddress: boolean, reusePort: boolean, addressOverlaps = true): boolean =>
    bsd.mayBind(
      record(bases[0]!),
      { reuseAddress, reusePort, exclusive: false, addressOverlaps },
      context(bsd),
    );
  t.notOk(ask(false, false));
  t.ok(ask(true, false));
  t.ok(ask(false, true));
  t.ok(ask(false, false, false), 'another address');
  t.end();
});

void t.test('a full table: the oldest record goes', (t) => {
  t.equal(bsd.onPressure(3, context(bsd)), PRESSURE_EVICT_OLDEST);
  t.equal(bsd.capacity(context(bsd)), Infinity, 'since 14 there is no limit of its own');
  t.notOk(bsd.orphansAsRecords);
  t.end();
});
