/** Connection tracking behind the NAT: states, their timers to the millisecond, what reopens and what resets. */
import t from 'tap';
import type { ConntrackTimers } from '../../src/sim/conntrack.js';
import { Talk, nat, versions } from './talk.js';

interface Situation {
  readonly state: string;
  readonly timer: keyof ConntrackTimers;
  readonly ms: number;
  readonly reach: (talk: Talk) => void;
}

const situations: readonly Situation[] = [
  { state: 'SYN_SENT', timer: 'synSent', ms: 120_000, reach: (talk) => talk.out('S 100:100(0)') },
  {
    state: 'SYN_RECV',
    timer: 'synReceived',
    ms: 60_000,
    reach: (talk) => {
      talk.out('S 100:100(0)');
      talk.back('S. 500:500(0) ack 101');
    },
  },
  { state: 'ESTABLISHED', timer: 'established', ms: 432_000_000, reach: (talk) => talk.open() },
  {
    state: 'ESTABLISHED',
    timer: 'unacknowledged',
    ms: 300_000,
    reach: (talk) => {
      talk.open();
      talk.out('P. 101:201(100) ack 501');
    },
  },
  {
    state: 'FIN_WAIT',
    timer: 'finWait',
    ms: 120_000,
    reach: (talk) => {
      talk.open();
      talk.out('F. 101:101(0) ack 501');
    },
  },
  {
    state: 'CLOSE_WAIT',
    timer: 'closeWait',
    ms: 60_000,
    reach: (talk) => {
      talk.open();
      talk.out('F. 101:101(0) ack 501');
      talk.back('. 501:501(0) ack 102');
    },
  },
  {
    state: 'LAST_ACK',
    timer: 'lastAck',
    ms: 30_000,
    reach: (talk) => {
      talk.open();
      talk.out('F. 101:101(0) ack 501');
      talk.back('F. 501:501(0) ack 102');
    },
  },
  {
    state: 'TIME_WAIT',
    timer: 'timeWait',
    ms: 120_000,
    reach: (talk) => {
      talk.open();
      talk.close();
    },
  },
  {
    state: 'CLOSE',
    timer: 'close',
    ms: 10_000,
    reach: (talk) => {
      talk.open();
      talk.out('R. 101:101(0) ack 501');
    },
  },
];

for (const { state, timer, ms, reach } of situations) {
  void t.test(`${state} is remembered for ${ms / 1000} s (${timer}), to the millisecond`, async (t) => {
    for (const [length, options] of [
      [ms, {}],
      [777, { timers: { [timer]: 777 } }],
    ] as const) {
      const talk = new Talk(nat(options));
      reach(talk);
      t.same(talk.states, [state]);
      t.equal(talk.nat.flows(talk.now)[0]!.left, length);
      t.same(talk.after(length - 1).states, [state]);
      t.same(talk.after(1).states, [], 'and then no more');
      t.equal(talk.nat.counters.expired, 1);
      t.equal(talk.back('. 501:501(0) ack 102'), -1);
    }
  });
}

void t.test('the clock of the NAT goes round', async (t) => {
  const talk = new Talk(nat());
  talk.now = 0x7fff_ffff - 1000;
  talk.open();
  talk.close();
  t.same(talk.after(119_999).states, ['TIME_WAIT']);
  t.same(talk.after(1).states, []);
});

void t.test('an acknowledgement brings the long timer back', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  talk.out('P. 101:201(100) ack 501');
  talk.back('. 501:501(0) ack 151');
  t.equal(talk.nat.flows(0)[0]!.left, 300_000, 'half of it is not enough');
  talk.back('. 501:501(0) ack 201');
  t.equal(talk.nat.flows(0)[0]!.left, 432_000_000);
});

void t.test('TIME_WAIT: what refreshes it and what does not', async (t) => {
  const fresh = (): Talk => {
    const talk = new Talk(nat());
    talk.open();
    talk.close();
    return talk.after(50_000);
  };
  const left = (talk: Talk): number => talk.nat.flows(talk.now)[0]!.left;
  const fin = fresh();
  t.equal(fin.back('F. 501:501(0) ack 102'), 0);
  t.equal(left(fin), 120_000, 'a repeated FIN');
  const ack = fresh();
  t.equal(ack.out('. 102:102(0) ack 502'), 4000);
  t.equal(left(ack), 120_000, 'an ACK');
  const synAck = fresh();
  t.equal(synAck.back('S. 1:1(0) ack 102'), 0);
  t.equal(left(synAck), 70_000, 'a SYN,ACK passes unheard');
  t.equal(synAck.out('S. 1:1(0) ack 102'), 0, 'and is wrong from the one who opened');
  for (const seq of [0, 101, 4_000_000_000]) {
    const reset = fresh();
    t.equal(reset.out(`R ${seq}:${seq}(0)`), 4000);
    t.same(reset.states, ['CLOSE'], `a reset of any sequence number closes: ${seq}`);
    t.equal(left(reset), 10_000);
  }
});

void t.test('a SYN in TIME_WAIT begins anew', async (t) => {
  for (const ends of versions) {
    const talk = new Talk(nat(), ends);
    talk.open();
    talk.close();
    t.equal(
      talk.after(1000).out('S 1:1(0)'),
      4000,
      'even with a lower sequence number: only the server may refuse',
    );
    t.same(talk.states, ['SYN_SENT']);
    t.match(talk.nat.counters, { reopened: 1, opened: 2 });
    // The server is in TIME-WAIT and answers with an ACK; the host resets; its next SYN opens.
    t.equal(talk.back('. 502:502(0) ack 102'), 0);
    t.same(talk.states, ['SYN_SENT']);
    t.equal(talk.out('R 102:102(0)'), 4000);
    t.same(talk.states, ['CLOSE']);
    t.equal(talk.after(1000).out('S 1:1(0)'), 4000);
    t.equal(talk.back('S. 900:900(0) ack 2'), 0);
    t.same(talk.states, ['SYN_RECV']);
  }
  const sequential = new Talk(nat({ choice: 'sequential' }));
  sequential.open();
  sequential.close();
  t.equal(sequential.out('S 1:1(0)'), 1025, 'a new connection gets a new port');
});

void t.test('a reset counts while a connection lives only where it fits', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  talk.back('. 501:501(0) ack 101');
  t.equal(talk.back('R 400:400(0)'), -1, 'below what was acknowledged: nobody sends that');
  t.equal(talk.back('R 700:700(0)'), 0, 'not exact: the host may ask back');
  t.same(talk.states, ['ESTABLISHED']);
  t.equal(talk.nat.flows(0)[0]!.left, 10_000, 'but not for long');
  talk.out('. 101:101(0) ack 501');
  t.equal(talk.nat.flows(0)[0]!.left, 432_000_000, 'it did');
  t.equal(talk.back('R 501:501(0)'), 0);
  t.same(talk.states, ['CLOSE']);
});

void t.test('a SYN on a connection we think alive passes, and its answer puts us right', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  t.equal(talk.after(5).out('S 7000:7000(0)'), 4000);
  t.same(talk.states, ['ESTABLISHED']);
  t.equal(talk.back('S. 9000:9000(0) ack 7001'), 0);
  t.same(talk.states, ['SYN_RECV']);
  t.equal(talk.out('. 7001:7001(0) ack 9001'), 4000);
  t.same(talk.states, ['ESTABLISHED']);
});

void t.test('simultaneous open', async (t) => {
  const talk = new Talk(nat());
  talk.out('S 100:100(0)');
  t.equal(talk.back('S 500:500(0)'), 0);
  t.same(talk.states, ['SYN_SENT2']);
  t.equal(talk.out('S. 100:100(0) ack 501'), 4000);
  t.equal(talk.back('S. 500:500(0) ack 101'), 0);
  t.same(talk.states, ['SYN_RECV']);
  talk.out('. 101:101(0) ack 501');
  t.same(talk.states, ['ESTABLISHED']);
});

/** How to come to each state, and what each kind of segment makes of it: the table of netfilter, linux-6.18. */
const SEGMENTS = ['S', 'S.', 'F.', '.', 'R'] as const;
const paths: Readonly<Record<string, (talk: Talk) => void>> = {
  ...Object.fromEntries(
    situations.filter(({ timer }) => timer !== 'unacknowledged').map(({ state, reach }) => [state, reach]),
  ),
  SYN_SENT2: (talk) => {
    talk.out('S 100:100(0)');
    talk.back('S 500:500(0)');
  },
};
// A state: passes and moves there. refused: not translated. unheard: passes, state and timer stay. new: another
// connection. gone: passes, and the flow is forgotten.
const fromInside: Readonly<Record<string, string>> = {
  SYN_SENT: 'SYN_SENT refused refused refused gone',
  SYN_SENT2: 'SYN_SENT2 SYN_RECV refused refused CLOSE',
  SYN_RECV: 'unheard SYN_RECV FIN_WAIT ESTABLISHED CLOSE',
  ESTABLISHED: 'unheard refused FIN_WAIT ESTABLISHED CLOSE',
  FIN_WAIT: 'unheard refused LAST_ACK CLOSE_WAIT CLOSE',
  CLOSE_WAIT: 'unheard refused LAST_ACK CLOSE_WAIT CLOSE',
  LAST_ACK: 'unheard refused LAST_ACK TIME_WAIT CLOSE',
  TIME_WAIT: 'new refused TIME_WAIT TIME_WAIT CLOSE',
  CLOSE: 'new refused CLOSE CLOSE CLOSE',
};
const fromOutside: Readonly<Record<string, string>> = {
  SYN_SENT: 'SYN_SENT2 SYN_RECV refused unheard gone',
  SYN_SENT2: 'SYN_SENT2 SYN_RECV refused unheard CLOSE',
  SYN_RECV: 'refused unheard FIN_WAIT SYN_RECV CLOSE',
  ESTABLISHED: 'refused unheard FIN_WAIT ESTABLISHED CLOSE',
  FIN_WAIT: 'refused unheard LAST_ACK CLOSE_WAIT CLOSE',
  CLOSE_WAIT: 'refused unheard LAST_ACK CLOSE_WAIT CLOSE',
  LAST_ACK: 'refused unheard LAST_ACK TIME_WAIT CLOSE',
  // The entry goes, and nobody inside has asked for this one.
  TIME_WAIT: 'forgotten unheard TIME_WAIT TIME_WAIT CLOSE',
  CLOSE: 'refused unheard CLOSE CLOSE CLOSE',
};

/** What a segment of the connection did, in the words of the tables. */
function effect(state: string, segment: string, inside: boolean): string {
  const talk = new Talk(nat());
  paths[state]!(talk);
  talk.after(100);
  const before = talk.nat.flows(talk.now)[0]!;
  const [seq, ack] = inside ? [101, 501] : [501, 101];
  const flags = segment.endsWith('.') ? ` ack ${ack}` : '';
  const text = `${segment} ${seq}:${seq}(0)${flags}`;
  const passed = inside ? talk.out(text) !== 0 : talk.back(text) >= 0;
  const after = talk.nat.flows(talk.now)[0];
  if (!passed)
    return after === undefined ? 'forgotten' : `refused${after.left === before.left ? '' : ' refreshed'}`;
  if (after === undefined) return 'gone';
  if (talk.nat.counters.opened === 2) return 'new';
  return after.left === before.left ? 'unheard' : after.state;
}

for (const [side, table] of [
  ['inside', fromInside],
  ['outside', fromOutside],
] as const) {
  for (const [state, row] of Object.entries(table)) {
    void t.test(`${state}, a segment from the ${side}`, async (t) => {
      const found = SEGMENTS.map((segment) => effect(state, segment, side === 'inside'));
      t.equal(found.join(' '), row, SEGMENTS.join(' '));
      t.equal(effect(state, '-', side === 'inside'), 'refused', 'no flags');
    });
  }
}

void t.test('after a reset: who reset may begin again at once, the other is listened to first', async (t) => {
  const own = new Talk(nat());
  own.open();
  own.out('R 101:101(0)');
  own.out('S 9000:9000(0)');
  t.equal(own.nat.counters.reopened, 1);
  const other = new Talk(nat());
  other.open();
  other.back('R 501:501(0)');
  t.equal(other.after(5).out('S 9000:9000(0)'), 4000, 'passes');
  t.same(other.states, ['CLOSE'], 'but nothing is known yet');
  t.equal(other.back('S. 1:1(0) ack 8000'), 0);
  t.same(other.states, ['CLOSE'], 'this answers another SYN');
  other.out('S 9000:9000(0)');
  other.back('S. 1:1(0) ack 9001');
  t.same(other.states, ['SYN_RECV']);
  other.out('. 9001:9001(0) ack 2');
  other.back('R 2:2(0)');
  t.equal(other.out('S 20000:20000(0)'), 4000);
  t.match(
    other.nat.counters,
    { reopened: 0, opened: 1 },
    'no FIN of the old connection counts for the new one',
  );
});

void t.test('a connection that came about over a closed one is open, not closing', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  talk.out('F. 101:101(0) ack 501');
  // The FIN was the old connection's: this SYN passes while we still wait for its end.
  talk.out('S 9000:9000(0)');
  talk.back('S. 1:1(0) ack 9001');
  talk.out('. 9001:9001(0) ack 2');
  talk.back('R 2:2(0)');
  t.same(talk.states, ['CLOSE']);
  talk.out('S 9100:9100(0)');
  t.match(talk.nat.counters, { reopened: 0 });
});

void t.test('a reset that ends a train of segments is exact, whatever was acknowledged', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  talk.back('P. 501:601(100) ack 101');
  talk.back('R 601:601(0)');
  t.same(talk.states, ['CLOSE']);
  t.equal(talk.nat.flows(0)[0]!.state, 'CLOSE');
});

void t.test('the answer to a SYN that seemed wrong may be a reset of any number', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  talk.back('. 501:501(0) ack 101');
  talk.out('S 9000:9000(0)');
  t.equal(talk.back('R. 0:0(0) ack 9001'), 0);
  t.same(talk.states, ['CLOSE']);
});

void t.test('half-open: a reset without a sequence number counts, an old one does not', async (t) => {
  const half = (): Talk => {
    const talk = new Talk(nat());
    talk.out('S 100:100(0)');
    talk.back('S. 500:500(0) ack 101');
    // Their ACK of more than we have sent so far tells the tracker what is old.
    return talk;
  };
  const zero = half();
  t.equal(zero.out('R 0:0(0)'), 4000);
  t.same(zero.states, ['CLOSE']);
  const old = half();
  t.equal(old.out('R 50:50(0)'), 0);
  t.same(old.states, ['SYN_RECV']);
});

void t.test('data sent again make nothing outstanding', async (t) => {
  const talk = new Talk(nat());
  talk.open();
  talk.out('P. 101:201(100) ack 501');
  talk.back('. 501:501(0) ack 201');
  talk.out('P. 101:201(100) ack 501');
  t.equal(talk.nat.flows(0)[0]!.left, 432_000_000);
});
