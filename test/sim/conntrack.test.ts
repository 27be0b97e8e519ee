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
