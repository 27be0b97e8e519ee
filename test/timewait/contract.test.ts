/**
 * The contract can say, and the stack carries out, every value in which systems are
 * known to differ in TIME-WAIT. Each test is a policy of a few lines.
 */
import t from 'tap';
import type { Errno } from '../../src/stack/api.js';
import {
  ACCEPT,
  CHALLENGE,
  DELETE,
  KEEP,
  LIMITED,
  PRESSURE_EVICT_OLDEST,
  PRESSURE_SKIP,
  REFRESH,
  REPLY_ACK,
  REPLY_NONE,
  REPLY_RST,
  RESTART,
  REVERTIBLE,
  verdict,
  type Policy,
  type RecordFacts,
} from '../../src/timewait/policy.js';
import { BasePolicy } from '../../src/timewait/policies/base.js';
import { Reason } from '../../src/reasons.js';
import { ACK, FIN, SYN } from '../../src/wire/segment.js';
import { Conversation, type ConversationOptions } from '../support/conversation.js';

const LIFE = 60_000;
const ANY = Reason['tw-segment-ack'];

class Plain extends BasePolicy {
  readonly name = 'plain';
  readonly title = 'keeps a record of 60 s';
  readonly source = 'this test';
  readonly uses = [];
  lifetime(): number {
    return LIFE;
  }
  segmentArrives(): number {
    return verdict(KEEP, ANY);
  }
}

function policy(over: Partial<Policy>): Policy {
  return Object.assign(new Plain(), over);
}

/** Our side closed first: the record's SND.NXT and RCV.NXT are both 2. */
function timeWait(
  over: Partial<Policy>,
  options: ConversationOptions = {},
  syn = '<mss 1460>',
): Conversation {
  const c = new Conversation(options);
  c.stack.usePolicy(policy(over));
  c.established(syn);
  closeFirst(c, syn.includes('TS') ? ' <TS val 100 ecr 0>' : '');
  c.rest();
  return c;
}

function closeFirst(c: Conversation, stamp = ''): void {
  c.close();
  c.inject(`. 1:1(0) ack 2 win 65535${stamp}`);
  c.inject(`F. 1:1(0) ack 2 win 65535${stamp}`);
}

/** Another connection of the same listener, from the next port, closed by us. */
function another(c: Conversation): number {
  c.peerPort++;
  c.ourIss = null;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  closeFirst(c);
  c.rest();
  return c.peerPort;
}

/** Remote ports of the records, in order. */
const held = (c: Conversation): number[] =>
  c.stack
    .sockets()
    .filter((row) => row.state === 'TIME-WAIT')
    .map((row) => row.remote!.port)
    .sort((a, b) => a - b);

void t.test('duration: any number of ms, exactly; none at all', (t) => {
  for (const life of [240_000, 120_000, 60_000, 30_000, 1000, 700, 1]) {
    const c = timeWait({ lifetime: () => life });
    c.advance(life - 1);
    t.equal(c.state, 'TIME-WAIT', `${life} ms, one before the end`);
    c.advance(1);
    t.equal(c.state, 'CLOSED', `${life} ms`);
    t.equal(c.stack.timeWait.count, 0);
  }
  const none = timeWait({ lifetime: () => 0 });
  t.equal(none.state, 'CLOSED');
  t.equal(none.stack.reasonCounts[Reason['tw-none']], 1);
  none.inject('F. 1:1(0) ack 2 win 65535');
  t.equal(none.mismatch('R 2:2(0)'), '', 'a late FIN meets nothing');
  t.end();
});

void t.test('duration from facts: 3.5*RTO, a random collector phase, longer after a restart', (t) => {
  let restarts = 0;
  const c = timeWait({
    lifetime: (record, context, restarted) => {
      restarts += restarted ? 1 : 0;
      return restarted ? 60_000 : 3.5 * record.rto + ((context.random() >>> 0) % 5);
    },
    segmentArrives: () => verdict(RESTART, ANY),
  });
  c.inject('. 2:2(0) ack 2 win 100');
  t.equal(restarts, 1);
  c.advance(59_999);
  t.equal(c.state, 'TIME-WAIT');
  c.advance(1);
  t.equal(c.state, 'CLOSED');
  t.end();
});

const SYN_LOW = 'S 1:1(0) win 100';
const replies: readonly (readonly [name: string, action: number, reply: string, kept: boolean])[] = [
  ['ACK', REPLY_ACK | KEEP, '. 2:2(0) ack 2', true],
  ['ACK, rate limited', REPLY_ACK | LIMITED | KEEP, '. 2:2(0) ack 2', true],
  ['challenge ACK', REPLY_ACK | CHALLENGE | KEEP, '. 2:2(0) ack 2', true],
  ['ACK and restart', REPLY_ACK | RESTART, '. 2:2(0) ack 2', true],
  ['silence', REPLY_NONE | KEEP, '', true],
  ['silence and restart', REPLY_NONE | RESTART, '', true],
  ['silence and the end', REPLY_NONE | DELETE, '', false],
  ['RST, record kept (illumos, lwIP)', REPLY_RST | KEEP, 'RST', true],
  ['RST and restart', REPLY_RST | RESTART, 'RST', true],
  ['RST, record gone (RFC 793, 4.4BSD)', REPLY_RST | DELETE, 'RST', false],
];

void t.test('every reply with every fate', (t) => {
  for (const [name, action, reply, kept] of replies) {
    for (const v6 of [false, true]) {
      const c = timeWait({ segmentArrives: () => verdict(action, ANY) }, { v6 });
      c.advance(10_000);
      c.inject(SYN_LOW);
      // SEG.SEQ of this RST is 0 outright, not counted from our ISS
      if (reply === 'RST') t.match(c.take(), /^R\. \d+:\d+\(0\) ack 2 win 0$/, name);
      else t.equal(reply === '' ? c.take() : c.mismatch(reply), '', name);
      t.same(c.rest(), []);
      t.equal(c.reason, 'tw-segment-ack');
      t.equal(c.state, kept ? 'TIME-WAIT' : 'CLOSED', name);
      if (!kept) continue;
      const restarted = (action & RESTART) !== 0;
      c.advance(LIFE - 10_000);
      t.equal(c.state, restarted ? 'TIME-WAIT' : 'CLOSED', `${name}: timer`);
      c.advance(10_000);
      t.equal(c.state, 'CLOSED', `${name}: timer`);
    }
  }
  t.end();
});

void t.test(
  'LIMITED: one answer in tcp_invalid_ratelimit ms to SYN and empty segments; data and FIN always',
  (t) => {
    const c = timeWait(
      { segmentArrives: () => verdict(REPLY_ACK | LIMITED | KEEP, ANY) },
      { knobs: { 'net.ipv4.tcp_invalid_ratelimit': 500 } },
    );
    const answers = (text: string): boolean => {
      c.inject(text);
      return c.rest().length > 0;
    };
    t.ok(answers('. 9:9(0) ack 2 win 100'));
    t.notOk(answers('. 9:9(0) ack 2 win 100'));
    t.equal(c.reason, 'tw-limited');
    t.notOk(answers(SYN_LOW));
    t.ok(answers('P. 9:19(10) ack 2 win 100'));
    t.ok(answers('F. 1:1(0) ack 2 win 100'));
    c.advance(499);
    t.notOk(answers(SYN_LOW));
    c.advance(1);
    t.ok(answers(SYN_LOW));
    t.notOk(answers(SYN_LOW));
    t.end();
  },
);

void t.test('CHALLENGE: one answer in that time whatever the segment, below ten in 5 s (RFC 5961 7)', (t) => {
  const c = timeWait(
    { segmentArrives: () => verdict(REPLY_ACK | CHALLENGE | KEEP, ANY) },
    { knobs: { 'net.ipv4.tcp_invalid_ratelimit': 500 } },
  );
  let answers = 0;
  for (let ms = 0; ms < 5000; ms += 50) {
    c.inject('P. 9:19(10) ack 2 win 100');
    answers += c.rest().length;
    c.advance(50);
  }
  t.equal(answers, 10);
  t.end();
});

void t.test('PAWS and REFRESH: TS.Recent moves only when the policy says so', (t) => {
  const seen: number[] = [];
  const c = timeWait(
    {
      segmentArrives: (record, segment) => {
        seen.push(record.tsRecent);
        const newer = ((segment.tsVal - record.tsRecent) | 0) > 0;
        return verdict(REPLY_ACK | KEEP | (newer ? REFRESH : 0), ANY);
      },
    },
    {},
    '<mss 1460,sackOK,TS val 100 ecr 0>',
  );
  for (const value of [90, 150, 120]) c.inject(`. 2:2(0) ack 2 win 100 <TS val ${value} ecr 0>`);
  t.same(seen, [100, 100, 150]);
  t.ok(
    c.rest().every((reply) => /TS val \d+ ecr (100|150)/.test(reply)),
    'the ACK echoes TS.Recent',
  );
  t.end();
});

void t.test('the ISN of the new connection: SND.NXT + n, SND.NXT + random, fresh', (t) => {
  const rules: readonly (readonly [string, Policy['isnOnReopen'], number | null])[] = [
    ['Linux', (record) => (record.sndNxt + 65_537) | 0, 2 + 65_537],
    ['4.4BSD', (record) => (record.sndNxt + 250 * 1024) | 0, 2 + 250 * 1024],
    [
      'OpenBSD',
      (record, _fresh, context) => (record.sndNxt + ((context.random() & 0x7fffffff) | 0x8000)) | 0,
      null,
    ],
    [
      'illumos',
      (record, fresh) => (((fresh - record.sndNxt) | 0) > 62_500 ? fresh : (record.sndNxt + 62_500) | 0),
      null,
    ],
    ['FreeBSD', (_record, fresh) => fresh, null],
  ];
  for (const [name, isnOnReopen, expected] of rules) {
    const c = timeWait({ isnOnReopen, segmentArrives: () => verdict(ACCEPT, Reason['tw-syn-accepted']) });
    c.inject('S 9:9(0) win 100 <mss 1460>');
    const answer = /^S\. (\d+):\d+\(0\) ack 10 /.exec(c.take());
    t.ok(answer !== null, name);
    if (expected !== null) t.equal(Number(answer![1]), expected, name);
    t.equal(c.state, 'SYN-RECEIVED');
    t.equal(c.stack.timeWait.count, 0);
  }
  t.end();
});

void t.test('back to TIME-WAIT when the SYN proves to be an old duplicate (RFC 1122 4.2.2.13)', (t) => {
  const reopened = (): Conversation => {
    const c = timeWait({
      isnOnReopen: (record) => (record.sndNxt + 98) | 0,
      segmentArrives: (_record, segment) =>
        (segment.flags & (SYN | ACK)) === SYN
          ? verdict(ACCEPT | REVERTIBLE, Reason['tw-syn-accepted'])
          : verdict(REPLY_ACK | KEEP, ANY),
    });
    c.inject('S 9:9(0) win 100 <mss 1460>');
    t.equal(c.mismatch('S. 100:100(0) ack 10'), '');
    return c;
  };
  const answersAsBefore = (c: Conversation): void => {
    t.equal(c.state, 'TIME-WAIT');
    t.equal(c.stack.connections, 0);
    t.equal(c.stack.reasonCounts[Reason['tw-returned']], 1);
    c.inject('F. 1:1(0) ack 2 win 100');
    t.equal(c.mismatch('. 2:2(0) ack 2'), '', 'the old SND.NXT and RCV.NXT');
    c.advance(LIFE);
    t.equal(c.state, 'CLOSED');
  };
  const reset = reopened();
  reset.inject('R 10:10(0) win 0');
  t.same(reset.rest(), []);
  answersAsBefore(reset);
  const wrong = reopened();
  wrong.inject('. 10:10(0) ack 77 win 100');
  t.equal(wrong.mismatch('R 77:77(0)'), '');
  answersAsBefore(wrong);
  const real = reopened();
  real.inject('. 10:10(0) ack 101 win 100');
  t.equal(real.state, 'ESTABLISHED');
  t.equal(real.stack.timeWait.count, 0);
  real.inject('R 10:10(0) win 0');
  t.equal(real.state, 'CLOSED', 'once established there is no way back');
  t.end();
});

void t.test('capacity: unlimited, skip the newest, evict the oldest', (t) => {
  const full = (over: Partial<Policy>): Conversation => {
    const c = timeWait(over);
    for (let i = 0; i < 4; i++) another(c);
    return c;
  };
  t.same(held(full({ capacity: () => Infinity })), [5000, 5001, 5002, 5003, 5004]);
  const skip = full({ capacity: () => 3, onPressure: () => PRESSURE_SKIP });
  t.same(held(skip), [5000, 5001, 5002]);
  t.equal(skip.stack.counters.get('TcpExtTCPTimeWaitOverflow'), 2);
  t.equal(skip.stack.reasonCounts[Reason['tw-table-full']], 2);
  const evict = full({ capacity: () => 3, onPressure: () => PRESSURE_EVICT_OLDEST });
  t.same(held(evict), [5002, 5003, 5004]);
  t.equal(evict.stack.reasonCounts[Reason['tw-evicted']], 2);
  t.equal(evict.stack.connections, 0);
  t.same(held(full({ capacity: () => 0, onPressure: () => PRESSURE_EVICT_OLDEST })), []);
  t.end();
});

void t.test('eviction spares what was restarted (FreeBSD, lwIP)', (t) => {
  const c = timeWait({
    capacity: () => 3,
    onPressure: () => PRESSURE_EVICT_OLDEST,
    segmentArrives: (_record, segment) =>
      verdict((segment.flags & FIN) !== 0 ? REPLY_ACK | RESTART : KEEP, ANY),
  });
  another(c);
  another(c);
  c.advance(1);
  c.peerPort = 5000;
  c.inject('F. 1:1(0) ack 2 win 100');
  c.peerPort = 5002;
  another(c);
  t.same(held(c), [5000, 5002, 5003], 'the oldest but one went');
  t.end();
});

void t.test('Windows NT4: records give way as live connections grow', (t) => {
  const c = timeWait({
    capacity: (context) => Math.max(0, 4 - context.connections),
    onPressure: () => PRESSURE_EVICT_OLDEST,
  });
  another(c);
  t.same(held(c), [5000, 5001]);
  for (const port of [7000, 7001]) {
    c.peerPort = port;
    c.ourIss = null;
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    c.inject('. 1:1(0) ack 1 win 65535');
    c.accept();
  }
  c.peerPort = 5001;
  another(c);
  t.ok(held(c).length <= 2, 'two connections live, one is just closing');
  t.notOk(held(c).includes(5000), 'the oldest went first');
  t.ok(held(c).includes(5002));
  t.end();
});

/** Our own side opened and closed first, from port 4000. */
function ownTimeWait(over: Partial<Policy>): Conversation {
  const c = new Conversation();
  c.stack.usePolicy(policy({ mayBind: () => true, ...over }));
  c.connect();
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  closeFirst(c);
  c.rest();
  return c;
}

function connectAgain(c: Conversation, localPort?: number): string {
  const opened = c.stack.connect({
    address: c.peer.toString(),
    port: c.peerPort,
    ...(localPort === undefined ? {} : { localPort }),
  });
  c.collect();
  return typeof opened === 'string' ? (opened satisfies Errno) : 'opened';
}

void t.test('connect(): never, as EADDRNOTAVAIL or EADDRINUSE; at once; only some records', (t) => {
  const never = (reason: number): Partial<Policy> => ({ mayReopen: () => verdict(KEEP, reason) });
  t.equal(connectAgain(ownTimeWait(never(Reason['reopen-refused'])), 4000), 'EADDRNOTAVAIL');
  t.equal(connectAgain(ownTimeWait(never(Reason['reopen-in-use'])), 4000), 'EADDRINUSE');
  const atOnce = ownTimeWait({
    mayReopen: () => verdict(ACCEPT, Reason['reopen-bound']),
    isnOnReopen: (record) => (record.sndNxt + 65_537) | 0,
  });
  t.equal(connectAgain(atOnce, 4000), 'opened');
  t.equal(atOnce.stack.timeWait.count, 0);
  t.match(atOnce.take(), /^S /);
  t.equal(atOnce.stack.counters.get('TcpExtTWRecycled'), 1);
  // T/TCP and loopback rules look at the record: here only one that is 1 s old
  const later = ownTimeWait({
    mayReopen: (record, _request, context) =>
      ((context.now - record.enteredAt) | 0) >= 1000
        ? verdict(ACCEPT, Reason['reopen-reused'])
        : verdict(KEEP, Reason['reopen-too-young']),
  });
  t.equal(connectAgain(later, 4000), 'EADDRNOTAVAIL');
  later.advance(999);
  t.equal(connectAgain(later, 4000), 'EADDRNOTAVAIL');
  later.advance(1);
  t.equal(connectAgain(later, 4000), 'opened');
  t.end();
});

void t.test('connect() without a port: a refused record only costs its port', (t) => {
  const asked: boolean[] = [];
  const c = ownTimeWait({
    mayReopen: (_record, request) => {
      asked.push(request.boundPort);
      return verdict(KEEP, Reason['reopen-in-use']);
    },
  });
  c.stack.setKnob('net.ipv4.ip_local_port_range.min', 4000);
  c.stack.setKnob('net.ipv4.ip_local_port_range.max', 4001);
  t.equal(connectAgain(c), 'opened');
  t.ok(c.stack.sockets().some((row) => row.local.port === 4001));
  t.equal(connectAgain(c), 'EADDRNOTAVAIL', 'none is left');
  t.ok(asked.length > 0 && asked.every((bound) => !bound));
  t.end();
});

void t.test('bind(): the whole port, the exact tuple only, exclusive use, options of both sockets', (t) => {
  const rules: readonly (readonly [string, Policy['mayBind'], (readonly [object, string])[]])[] = [
    [
      'BSD',
      (_record, request) => request.reuseAddress,
      [
        [{}, 'EADDRINUSE'],
        [{ reuseAddress: true }, 'ok'],
      ],
    ],
    [
      'Windows',
      (_record, request) => !request.exclusive,
      [
        [{}, 'ok'],
        [{ exclusive: true }, 'EADDRINUSE'],
      ],
    ],
    [
      'Linux',
      (record, request) => record.reuseAddress && request.reuseAddress,
      [
        [{}, 'EADDRINUSE'],
        [{ reuseAddress: true }, 'ok'],
        [{ reusePort: true }, 'EADDRINUSE'],
      ],
    ],
  ];
  for (const [name, mayBind, rows] of rules) {
    for (const [options, expected] of rows) {
      const c = timeWait({ mayBind });
      c.stack.closeListener(c.listener!);
      const listener = c.stack.listen({ port: 80, ...options });
      t.equal(typeof listener === 'string' ? listener : 'ok', expected, `${name} ${JSON.stringify(options)}`);
    }
  }
  t.end();
});

void t.test('what became of the user is a fact: 4.4BSD resets data only when nobody can read it', (t) => {
  const facts: boolean[] = [];
  const over: Partial<Policy> = {
    segmentArrives: (record: RecordFacts) => {
      facts.push(record.userClosed);
      return record.userClosed ? verdict(REPLY_RST | DELETE, ANY) : verdict(REPLY_ACK | RESTART, ANY);
    },
  };
  const closed = timeWait(over);
  closed.inject('P. 2:7(5) ack 2 win 100');
  t.equal(closed.mismatch('R 2:2(0)'), '');
  const half = new Conversation();
  half.stack.usePolicy(policy(over));
  half.established();
  half.shutdown();
  half.inject('. 1:1(0) ack 2 win 65535');
  half.inject('F. 1:1(0) ack 2 win 65535');
  half.rest();
  half.inject('P. 2:7(5) ack 2 win 100');
  t.equal(half.mismatch('. 2:2(0) ack 2'), '');
  t.same(facts, [true, false]);
  t.end();
});

void t.test('a SYN that meets no record: the host may be refused, or not', (t) => {
  let refuse = true;
  const c = new Conversation();
  c.stack.usePolicy(
    policy({ synArrives: () => verdict(refuse ? DELETE : KEEP, refuse ? Reason['recycle-host-stamp'] : 0) }),
  );
  c.listen();
  c.inject('S 0:0(0) win 100 <mss 1460>');
  t.same(c.rest(), []);
  t.equal(c.reason, 'recycle-host-stamp');
  t.equal(c.stack.counters.get('TcpExtPAWSPassive'), 1);
  refuse = false;
  c.inject('S 0:0(0) win 100 <mss 1460>');
  t.equal(c.mismatch('S. 0:0(0) ack 1'), '');
  t.end();
});

void t.test('orphans in FIN-WAIT-2: a connection with a timer, or a record', (t) => {
  for (const orphansAsRecords of [false, true]) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_fin_timeout': 5 } });
    c.stack.usePolicy(
      policy({
        orphansAsRecords,
        lifetime: (record, context) =>
          record.finWait2 ? 1000 * context.knob('net.ipv4.tcp_fin_timeout') : LIFE,
      }),
    );
    c.established();
    c.close();
    c.inject('. 1:1(0) ack 2 win 65535');
    t.equal(c.state, 'FIN-WAIT-2');
    t.equal(c.stack.connections, orphansAsRecords ? 0 : 1);
    t.equal(c.stack.timeWait.count, orphansAsRecords ? 1 : 0);
    c.advance(4999);
    t.equal(c.state, 'FIN-WAIT-2');
    c.advance(1);
    t.equal(c.state, 'CLOSED');
  }
  t.end();
});
