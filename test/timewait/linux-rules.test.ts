/** tcp_timewait_state_process, tcp_twsk_unique, inet_bind_conflict: what `reuse` and `recycle` share. */
import t from 'tap';
import { PRESSURE_SKIP, type BindRequest } from '../../src/timewait/policy.js';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { HALF, NOW, RW, bases, context, holds, record, segment, show, type Row } from './facts.js';

const reuse = findPolicy('reuse')!;
const recycle = findPolicy('recycle')!;

const LOW = 'ACK limited keep tw-syn-low-linux';
const TAKEN = '- accept tw-syn-accepted-linux';
const PAWS = 'ACK limited restart tw-paws-linux';
const AGAIN = 'ACK limited restart tw-segment-restart';

/** SYN by sequence number alone, with or without an equal timestamp. */
const synBySequence = (ts?: number): Row[] =>
  (
    [
      [-HALF + 1, LOW],
      [-RW, LOW],
      [-1, LOW],
      [0, LOW],
      [1, TAKEN],
      [RW - 1, TAKEN],
      [RW, TAKEN],
      [RW + 1, TAKEN],
      [HALF - 1, TAKEN],
      // after() is true at a distance of exactly 2^31
      [HALF, TAKEN],
      [HALF + 1, LOW],
    ] as const
  ).map(([at, verdict]): Row => [
    `SYN at ${at}`,
    { flags: 'S', at, ...(ts === undefined ? {} : { ts }) },
    verdict,
  ]);

const plain: readonly Row[] = [
  ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- delete tw-rst-kill'],
  ['RST,ACK at RCV.NXT', { flags: 'R.', at: 0 }, '- delete tw-rst-kill'],
  ['RST below', { flags: 'R', at: -1 }, '- keep tw-rst-out'],
  ['RST above', { flags: 'R', at: 1 }, '- keep tw-rst-out'],
  ['RST at the right edge', { flags: 'R', at: RW }, '- keep tw-rst-out'],
  ['SYN,RST', { flags: 'SR', at: 5 }, '- keep tw-rst-out'],
  ['bare ACK at RCV.NXT', { flags: '.', at: 0 }, '- restart refresh tw-ack-restart'],
  ['bare ACK of what was never sent', { flags: '.', at: 0, ack: 1 }, '- restart refresh tw-ack-restart'],
  ['no flags at RCV.NXT', { flags: '-', at: 0 }, '- restart refresh tw-ack-restart'],
  ['no flags elsewhere', { flags: '-', at: 1 }, 'ACK limited keep tw-segment-ack'],
  ['bare ACK above', { flags: '.', at: 1 }, AGAIN],
  ['keep-alive probe', { flags: '.', at: -1 }, AGAIN],
  ['FIN again', { flags: 'F.', at: -1 }, 'ACK limited restart tw-fin-again'],
  ['FIN again with its data', { flags: 'FP.', at: -101, length: 100 }, 'ACK limited restart tw-fin-again'],
  ['FIN below', { flags: 'F.', at: -2 }, AGAIN],
  ['FIN at RCV.NXT', { flags: 'F.', at: 0 }, AGAIN],
  ['FIN without ACK', { flags: 'F', at: -1 }, 'ACK limited keep tw-segment-ack'],
  ['old data', { flags: 'P.', at: -100, length: 100 }, AGAIN],
  ['data at RCV.NXT', { flags: 'P.', at: 0, length: 1 }, AGAIN],
  ['data in the window', { flags: '.', at: 500, length: 10 }, AGAIN],
  ['data beyond the window', { flags: '.', at: RW, length: 10 }, AGAIN],
  ['data without ACK', { flags: 'P', at: 0, length: 10 }, 'ACK limited keep tw-segment-ack'],
  ['SYN,ACK at RCV.NXT', { flags: 'S.', at: 0 }, AGAIN],
  ['SYN,ACK above', { flags: 'S.', at: 5 }, AGAIN],
  ['SYN,FIN above', { flags: 'SF', at: 1 }, TAKEN],
  ['SYN,FIN at RCV.NXT', { flags: 'SF', at: 0 }, LOW],
  ...synBySequence(),
];

const stamped: readonly Row[] = [
  ...synBySequence(),
  ...synBySequence(0),
  ['SYN, newer by 1, low', { flags: 'S', at: -5, ts: 1 }, TAKEN],
  ['SYN, newer by 1, at RCV.NXT', { flags: 'S', at: 0, ts: 1 }, TAKEN],
  ['SYN, newer by 2^31 - 1', { flags: 'S', at: -5, ts: HALF - 1 }, TAKEN],
  ['SYN, 2^31 apart counts as newer', { flags: 'S', at: -5, ts: HALF }, TAKEN],
  ['SYN, 2^31 + 1 is older', { flags: 'S', at: -5, ts: HALF + 1 }, PAWS],
  ['SYN, older by 1, high', { flags: 'S', at: 1, ts: -1 }, PAWS],
  ['SYN, older by 1, low', { flags: 'S', at: -1, ts: -1 }, PAWS],
  ['RST at RCV.NXT, same stamp', { flags: 'R', at: 0, ts: 0 }, '- delete tw-rst-kill'],
  ['RST at RCV.NXT, older stamp', { flags: 'R', at: 0, ts: -1 }, '- keep tw-paws-rst'],
  ['RST at RCV.NXT, no stamp', { flags: 'R', at: 0 }, '- delete tw-rst-kill'],
  ['bare ACK at RCV.NXT, newer', { flags: '.', at: 0, ts: 9 }, '- restart refresh tw-ack-restart'],
  ['bare ACK at RCV.NXT, older', { flags: '.', at: 0, ts: -1 }, PAWS],
  ['bare ACK at RCV.NXT, no stamp', { flags: '.', at: 0 }, '- restart refresh tw-ack-restart'],
  ['FIN again, older', { flags: 'F.', at: -1, ts: -1 }, PAWS],
  ['data without ACK, older', { flags: 'P', at: 0, length: 1, ts: -1 }, PAWS],
];

for (const policy of [reuse, recycle]) {
  void t.test(`${policy.name}: TIME-WAIT without timestamps`, (t) => {
    holds(t, policy, plain);
    t.end();
  });

  void t.test(`${policy.name}: timestamps of the SYN count for nothing when the connection had none`, (t) => {
    holds(t, policy, [...synBySequence(0), ...synBySequence(-1), ...synBySequence(1)]);
    t.end();
  });

  void t.test(`${policy.name}: TIME-WAIT with timestamps`, (t) => {
    holds(t, policy, stamped, { record: { hasTimestamp: true } });
    t.end();
  });

  void t.test(`${policy.name}: nobody listens`, (t) => {
    holds(
      t,
      policy,
      [
        ['SYN that could reopen', { flags: 'S', at: 1 }, 'ACK keep tw-syn-no-listener'],
        ['SYN that could not', { flags: 'S', at: 0 }, LOW],
      ],
      { listener: false },
    );
    t.end();
  });

  void t.test(`${policy.name}: how long TS.Recent is believed`, (t) => {
    const at = (age: number): { record: { hasTimestamp: true; tsRecentAt: number } } => ({
      record: { hasTimestamp: true, tsRecentAt: (NOW - age) | 0 },
    });
    const rst: Row = ['RST, older stamp', { flags: 'R', at: 0, ts: -1 }, '- keep tw-paws-rst'];
    const killed: Row = [
      'RST, older stamp, a minute later',
      { flags: 'R', at: 0, ts: -1 },
      '- delete tw-rst-kill',
    ];
    const ack: Row = ['ACK, older stamp', { flags: '.', at: 0, ts: -1 }, PAWS];
    const passed: Row = [
      'ACK, older stamp',
      { flags: '.', at: 0, ts: -1 },
      '- restart refresh tw-ack-restart',
    ];
    holds(t, policy, [rst, ack], at(59_999));
    holds(t, policy, [killed, ack], at(60_000));
    holds(t, policy, [killed, ack], at(2_147_482));
    holds(t, policy, [killed, passed], at(2_147_483));
    holds(
      t,
      policy,
      [['TS.Recent 0 is none', { flags: '.', at: 0, ts: -1 }, '- restart refresh tw-ack-restart']],
      {
        record: { hasTimestamp: true, tsRecent: 0 },
      },
    );
    t.end();
  });
}

void t.test('tcp_rfc1337 = 1: RST at RCV.NXT refreshes the stamp and kills nothing', (t) => {
  const knobs = { 'net.ipv4.tcp_rfc1337': 1 };
  const others = plain.filter(([, , expected]) => !expected.includes('tw-rst-kill'));
  for (const flags of ['R', 'R.']) {
    holds(t, reuse, [['RST', { flags, at: 0 }, '- keep refresh tw-rst-ignored']], { knobs });
    // Before the fix of 2018 this RST restarted the timer.
    holds(t, recycle, [['RST', { flags, at: 0 }, '- restart refresh tw-rst-ignored']], { knobs });
  }
  holds(t, reuse, others, { knobs });
  holds(t, recycle, others, { knobs });
  t.end();
});

void t.test('orphans in FIN-WAIT-2', (t) => {
  const OUT = 'ACK limited keep fw2-not-acceptable';
  const DATA = 'RST delete fw2-data';
  const FIN = 'ACK become-time-wait refresh fw2-fin';
  const rows: readonly Row[] = [
    // 1: outside the window, RST included
    ['RST below', { flags: 'R', at: -1 }, OUT],
    ['RST above', { flags: 'R', at: RW + 1 }, OUT],
    ['SYN below', { flags: 'S', at: -2 }, OUT],
    ['SYN whose octet ends at RCV.NXT', { flags: 'S', at: -1 }, OUT],
    ['old data', { flags: '.', at: -10, length: 10 }, OUT],
    ['ACK below', { flags: '.', at: -1 }, OUT],
    ['data at the right edge', { flags: '.', at: RW, length: 1 }, OUT],
    // 2: RST anywhere in it
    ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- delete fw2-reset'],
    ['RST,ACK inside', { flags: 'R.', at: RW - 1 }, '- delete fw2-reset'],
    ['RST at the right edge', { flags: 'R', at: RW }, '- delete fw2-reset'],
    // 3: SYN not below RCV.NXT
    ['SYN at RCV.NXT', { flags: 'S', at: 0 }, DATA],
    ['SYN inside', { flags: 'S', at: 100 }, DATA],
    ['SYN,ACK inside', { flags: 'S.', at: 100 }, DATA],
    // 4: nothing in it, or no ACK
    ['bare ACK', { flags: '.', at: 0 }, '- keep fw2-dropped'],
    ['bare ACK at the right edge', { flags: '.', at: RW }, '- keep fw2-dropped'],
    ['data without ACK', { flags: 'P', at: 0, length: 5 }, '- keep fw2-dropped'],
    ['FIN without ACK', { flags: 'F', at: 0 }, '- keep fw2-dropped'],
    // 5: something new that is not exactly the FIN
    ['data', { flags: 'P.', at: 0, length: 5 }, DATA],
    ['data over the left edge', { flags: '.', at: -5, length: 6 }, DATA],
    ['FIN with data', { flags: 'F.', at: 0, length: 1 }, DATA],
    ['FIN behind a hole', { flags: 'F.', at: 1 }, DATA],
    ['data ending one past RCV.NXT, no FIN', { flags: '.', at: 0, length: 1 }, DATA],
    // 6: the FIN
    ['FIN', { flags: 'F.', at: 0 }, FIN],
    ['FIN with any SEG.ACK', { flags: 'F.', at: 0, ack: 77 }, FIN],
    ['FIN behind data that was received', { flags: 'FP.', at: -10, length: 10 }, FIN],
  ];
  for (const policy of [reuse, recycle]) {
    holds(t, policy, rows, { record: { finWait2: true } });
    holds(
      t,
      policy,
      [
        ['FIN, older stamp', { flags: 'F.', at: 0, ts: -1 }, OUT],
        ['RST, older stamp', { flags: 'R', at: 0, ts: -1 }, OUT],
        ['FIN, newer stamp', { flags: 'F.', at: 0, ts: 1 }, FIN],
        ['SYN, newer stamp, below', { flags: 'S', at: -5, ts: 1 }, OUT],
        ['SYN, newer stamp, inside', { flags: 'S', at: 5, ts: 1 }, DATA],
      ],
      { record: { finWait2: true, hasTimestamp: true } },
    );
  }
  t.end();
});

void t.test('ISN of a reopened tuple: SND.NXT + 65537, 0 becomes 1', (t) => {
  const isn = (sndNxt: number): number =>
    reuse.isnOnReopen(record(bases[0]!, { sndNxt }), 123, context(reuse)) >>> 0;
  t.equal(isn(1000), 66_537);
  t.equal(isn(-1), 65_536);
  t.equal(isn(-65_538), 0xffffffff);
  t.equal(isn(-65_537), 1, 'would be 0');
  t.equal(isn(-65_536), 1);
  t.equal(isn(0x7fffffff), 0x80010000);
  t.equal(recycle.isnOnReopen(record(bases[0]!, { sndNxt: -65_537 }), 123, context(recycle)), 1);
  t.end();
});

void t.test(
  'lifetime: 60 s whatever tcp_fin_timeout says; orphans tcp_fin_timeout, at least 3.5*RTO',
  (t) => {
    const knobs = { 'net.ipv4.tcp_fin_timeout': 5 };
    const orphan = { finWait2: true };
    const [base] = bases;
    t.equal(reuse.lifetime(record(base!), context(reuse), false), 60_000);
    t.equal(reuse.lifetime(record(base!), context(reuse, { knobs }), false), 60_000);
    t.equal(reuse.lifetime(record(base!), context(reuse), true), 60_000);
    t.equal(reuse.lifetime(record(base!, orphan), context(reuse, { knobs }), false), 5000);
    t.equal(reuse.lifetime(record(base!, { ...orphan, rto: 2000 }), context(reuse, { knobs }), false), 7000);
    const alibaba = { 'net.ipv4.tcp_tw_timeout': 3 };
    t.equal(
      reuse.lifetime(record(base!), context(reuse, { knobs: alibaba }), false),
      60_000,
      'fixed in mainline',
    );
    t.end();
  },
);

void t.test('connect() onto a record (tcp_twsk_unique)', (t) => {
  const ask = (
    facts: Parameters<typeof record>[1],
    boundPort: boolean,
    knob: number,
    now = NOW,
    delay = 1000,
  ): string =>
    show(
      reuse.mayReopen(
        record(bases[0]!, facts),
        { boundPort, timestamps: true },
        context(reuse, {
          now,
          knobs: { 'net.ipv4.tcp_tw_reuse': knob, 'net.ipv4.tcp_tw_reuse_delay': delay },
        }),
      ),
    );
  const young = { hasTimestamp: true, enteredAt: NOW };
  for (const knob of [0, 1, 2]) {
    t.equal(ask(young, true, knob), '- accept reopen-bound', 'bound by hand: at once, whatever the knob');
    t.equal(ask({ ...young, finWait2: true }, true, knob), '- accept reopen-bound');
    t.equal(ask({ enteredAt: NOW - 59_000 }, true, knob), '- keep reopen-no-timestamps');
  }
  const old = { hasTimestamp: true, enteredAt: NOW - 30_000 };
  t.equal(ask(old, false, 0), '- keep reopen-off');
  t.equal(ask(old, false, 2), '- keep reopen-off', '2 is loopback only');
  t.equal(ask({ ...old, localPeer: true }, false, 2), '- accept reopen-reused');
  t.equal(ask({ ...old, localPeer: true }, false, 0), '- keep reopen-off');
  t.equal(ask(old, false, 1), '- accept reopen-reused');
  t.equal(ask({ ...old, finWait2: true }, false, 1), '- keep reopen-off');
  t.equal(ask({ ...old, hasTimestamp: false }, false, 1), '- keep reopen-no-timestamps');
  // The age counts from the entry, and must exceed the delay.
  t.equal(ask(young, false, 1, NOW + 999), '- keep reopen-too-young');
  t.equal(ask(young, false, 1, NOW + 1000), '- keep reopen-too-young');
  t.equal(ask(young, false, 1, NOW + 1001), '- accept reopen-reused');
  t.equal(ask(young, false, 1, NOW, 0), '- keep reopen-too-young', 'a delay of 0 still needs one tick');
  t.equal(ask(young, false, 1, NOW + 1, 0), '- accept reopen-reused');
  t.equal(
    ask({ hasTimestamp: true, enteredAt: 0x7ffffff0 }, false, 1, -0x80000000 + 2000),
    '- accept reopen-reused',
  );
  t.equal(
    ask({ hasTimestamp: true, enteredAt: 0x7ffffff0 }, false, 1, -0x80000000),
    '- keep reopen-too-young',
  );
  t.equal(
    show(reuse.mayReopen(record(bases[0]!, old), { boundPort: false, timestamps: true }, context(reuse))),
    '- accept reopen-reused',
    'the policy presets tcp_tw_reuse = 1',
  );
  t.end();
});

void t.test('connect() up to 6.13: two new seconds since the last timestamped segment', (t) => {
  const ask = (tsRecentAt: number, now: number, knob = 1): string =>
    show(
      recycle.mayReopen(
        record(bases[0]!, { hasTimestamp: true, tsRecentAt, enteredAt: now }),
        { boundPort: false, timestamps: true },
        context(recycle, { now, knobs: { 'net.ipv4.tcp_tw_reuse': knob } }),
      ),
    );
  t.equal(ask(10_000, 11_999), '- keep reopen-too-young');
  t.equal(ask(10_000, 12_000), '- accept reopen-reused');
  t.equal(ask(10_999, 11_999), '- keep reopen-too-young');
  t.equal(ask(10_999, 12_000), '- accept reopen-reused', '1001 ms are enough when the seconds fall so');
  t.equal(ask(10_000, 20_000, 0), '- keep reopen-off');
  t.equal(
    show(
      recycle.mayReopen(
        record(bases[0]!, { hasTimestamp: true }),
        { boundPort: false, timestamps: true },
        context(recycle),
      ),
    ),
    '- keep reopen-off',
    'the policy presets tcp_tw_reuse = 0',
  );
  t.end();
});

void t.test('bind(): the old socket must have had the option, too (inet_bind_conflict)', (t) => {
  const none: BindRequest = {
    reuseAddress: false,
    reusePort: false,
    exclusive: false,
    addressOverlaps: true,
  };
  const address = { reuseAddress: true };
  const port = { reusePort: true };
  const rows: readonly (readonly [object, object, boolean])[] = [
    [{}, {}, false],
    [address, {}, false],
    [port, {}, false],
    [{}, address, false],
    [{}, port, false],
    [address, address, true],
    [port, port, true],
    [address, port, false],
    [port, address, false],
    [{ ...address, ...port }, port, true],
    [address, { ...address, ...port }, true],
  ];
  for (const policy of [reuse, recycle]) {
    for (const [old, fresh, allowed] of rows) {
      const facts = record(bases[0]!, old);
      const title = `${policy.name}: old ${Object.keys(old).join()}, new ${Object.keys(fresh).join()}`;
      t.equal(policy.mayBind(facts, { ...none, ...fresh }, context(policy)), allowed, title);
      t.ok(
        policy.mayBind(facts, { ...none, ...fresh, addressOverlaps: false }, context(policy)),
        'other address',
      );
    }
  }
  t.end();
});

void t.test('a full table takes no more records', (t) => {
  for (const policy of [reuse, recycle]) {
    t.equal(policy.onPressure(10, context(policy)), PRESSURE_SKIP);
    t.equal(policy.capacity(context(policy, { knobs: { 'net.ipv4.tcp_max_tw_buckets': 10 } })), 10);
    t.ok(policy.orphansAsRecords);
  }
  t.end();
});

void t.test('only recycle has a memory for hosts', (t) => {
  const facts = record(bases[0]!, { hasTimestamp: true });
  t.notOk(reuse.remembersHost(facts, context(reuse)));
  const host = { known: true, tsRecent: bases[0]!.ts, tsRecentAt: NOW };
  t.equal(
    show(reuse.synArrives(segment(bases[0]!, { flags: 'S', at: 1, ts: -100 }), context(reuse, { host }))),
    '- keep plain',
  );
  t.end();
});
