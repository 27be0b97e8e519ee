/** Windows as its vendor's articles have it: replies, the stealing of TCBs, ports. */
import t from 'tap';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Conversation } from '../support/conversation.js';
import { HALF, RW, bases, context, holds, record, show, type Row } from './facts.js';

const nt4 = findPolicy('windows-nt4')!;
const w2003 = findPolicy('windows-2003')!;
const vista = findPolicy('windows')!;
const [base] = bases;

const SILENT = '- keep tw-ignored';
const TAKEN = '- accept tw-syn-accepted';
const KILLED = '- delete tw-rst-kill-any';
const LOW = '- keep tw-syn-low';

const higher = [1, RW, RW + 1, HALF - 1].map((at): Row => [`SYN at ${at}`, { flags: 'S', at }, TAKEN]);
const rsts = [-1, 0, 5, HALF].map((at): Row => [`RST at ${at}`, { flags: 'R', at }, KILLED]);
const rest: readonly Row[] = [
  ['FIN again', { flags: 'F.', at: -1 }, 'ACK restart tw-fin-again'],
  ['FIN again with data', { flags: 'F.', at: -11, length: 10 }, 'ACK restart tw-fin-again'],
  ['another FIN', { flags: 'F.', at: 0 }, SILENT],
  ['old data', { flags: 'P.', at: -10, length: 10 }, SILENT],
  ['new data', { flags: 'P.', at: 0, length: 10 }, SILENT],
  ['bare ACK', { flags: '.', at: 0 }, SILENT],
  ['bare ACK elsewhere', { flags: '.', at: 9 }, SILENT],
];
const extra: readonly Row[] = [
  ['SYN,ACK', { flags: 'S.', at: 5 }, SILENT],
  ['SYN,FIN', { flags: 'SF', at: 5 }, '- keep listen-syn-fin'],
];

void t.test('2003: a lower SYN gets silence, StrictTimeWaitSeqCheck=0 takes it', (t) => {
  const lower = [0, -1, HALF, -HALF + 1];
  const rows = (expected: string): Row[] => lower.map((at) => [`SYN at ${at}`, { flags: 'S', at }, expected]);
  holds(t, w2003, [...higher, ...rows(LOW), ...rsts, ...rest, ...extra]);
  const knobs = { StrictTimeWaitSeqCheck: 0 };
  holds(t, w2003, [...higher, ...rows('- accept tw-syn-accepted-any')], { knobs });
  holds(t, w2003, [['SYN nobody hears', { flags: 'S', at: 1 }, 'RST delete closed-rst']], {
    listener: false,
  });
  t.end();
});

void t.test('Vista on: a newer timestamp helps a lower SYN', (t) => {
  const setting = { record: { hasTimestamp: true } };
  holds(t, vista, [...higher, ...rsts, ...rest, ...extra]);
  const stamped: Row[] = [
    ['newer', { flags: 'S', at: -5, ts: 1 }, '- accept tw-syn-accepted-any'],
    ['equal', { flags: 'S', at: -5, ts: 0 }, LOW],
    ['older', { flags: 'S', at: -5, ts: -1 }, LOW],
    ['none', { flags: 'S', at: 0 }, LOW],
  ];
  holds(t, vista, stamped, setting);
  t.end();
});

void t.test('NT 4 acknowledges duplicates (KB271708)', (t) => {
  holds(t, nt4, [
    ...higher,
    ...rsts,
    ['SYN at RCV.NXT', { flags: 'S', at: 0 }, 'ACK keep tw-syn-refused'],
    ['FIN again', { flags: 'F.', at: -1 }, 'ACK restart tw-fin-again'],
    ['old data', { flags: 'P.', at: -10, length: 10 }, 'ACK keep tw-data-old'],
    ['new data', { flags: 'P.', at: 0, length: 10 }, 'ACK keep tw-segment-ack'],
    ['bare ACK', { flags: '.', at: 0 }, '- keep tw-ack'],
    ['data without ACK', { flags: 'P', at: 0, length: 1 }, '- keep tw-no-ack-flag'],
  ]);
  t.end();
});

void t.test('lengths: 240, 120, 120 s, or TcpTimedWaitDelay; 0 keeps nothing', (t) => {
  const lasts = (policy: typeof nt4, knobs = {}): number =>
    policy.lifetime(record(base!), context(policy, { knobs }), false);
  t.equal(lasts(nt4), 240_000);
  t.equal(lasts(w2003), 120_000);
  t.equal(lasts(vista), 120_000);
  for (const policy of [nt4, w2003, vista]) {
    t.equal(lasts(policy, { TcpTimedWaitDelay: 30 }), 30_000);
    t.equal(lasts(policy, { TcpTimedWaitDelay: 0 }), 0);
  }
  t.end();
});

void t.test('connect() is refused, bind() is not, unless it is exclusive', (t) => {
  const bind = { reuseAddress: false, reusePort: false, exclusive: false, addressOverlaps: true };
  for (const policy of [nt4, w2003, vista]) {
    const facts = record(base!, { hasTimestamp: true });
    const ask = (boundPort: boolean): string =>
      show(policy.mayReopen(facts, { boundPort, timestamps: true }, context(policy)));
    t.equal(ask(true), '- keep reopen-in-use');
    t.equal(ask(false), '- keep reopen-refused');
    t.ok(policy.mayBind(facts, bind, context(policy)));
    t.notOk(policy.mayBind(facts, { ...bind, exclusive: true }, context(policy)));
    t.ok(policy.mayBind(facts, { ...bind, exclusive: true, addressOverlaps: false }, context(policy)));
  }
  t.end();
});

/** A connection from `port`, left open. */
function open(c: Conversation, port: number): void {
  c.peerPort = port;
  c.ourIss = null;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
}

function openAndClose(c: Conversation, port: number): void {
  open(c, port);
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
}

const held = (c: Conversation): number[] =>
  c.stack
    .sockets()
    .filter((row) => row.state === 'TIME-WAIT')
    .map((row) => row.remote!.port)
    .sort((a, b) => a - b);

void t.test('NT 4 and 2003 steal the oldest TIME-WAIT for a new connection, others keep it', (t) => {
  for (const policy of ['windows-nt4', 'windows-2003', 'windows']) {
    const c = new Conversation({ policy });
    if (policy !== 'windows') c.stack.setKnob('MaxFreeTcbs', 3);
    c.listen();
    for (const port of [5000, 5001, 5002]) openAndClose(c, port);
    t.same(held(c), [5000, 5001, 5002], `${policy}: three fit`);
    const steals = policy !== 'windows';
    open(c, 6000);
    t.same(held(c), steals ? [5001, 5002] : [5000, 5001, 5002], 'the fourth takes the oldest');
    open(c, 6001);
    t.same(held(c), steals ? [5002] : [5000, 5001, 5002]);
    t.equal(c.stack.counters.get('TimewaitEvicted'), steals ? 2 : 0);
    c.rest();
    c.peerPort = 5000;
    c.inject('F. 1:1(0) ack 2 win 100');
    if (steals) t.match(c.take(), /^R/, 'a late FIN of the stolen one is reset');
    else t.match(c.take(), /^\. /);
  }
  t.end();
});

void t.test('our own connect() steals, too', (t) => {
  const c = new Conversation({ policy: 'windows-nt4', knobs: { MaxFreeTcbs: 2 } });
  c.listen();
  for (const port of [5000, 5001]) openAndClose(c, port);
  t.same(held(c), [5000, 5001]);
  t.equal(typeof c.stack.connect({ address: c.peer.toString(), port: 9 }), 'object');
  t.same(held(c), [5001]);
  t.end();
});

void t.test('ephemeral ports end at MaxUserPort, 5000 before Vista', (t) => {
  const ports = (policy: string, count: number): number[] => {
    const c = new Conversation({ policy });
    for (let i = 0; i < count; i++) c.stack.connect({ address: c.peer.toString(), port: 9 });
    return c.stack.sockets().map((row) => row.local.port);
  };
  for (const [policy, low, high] of [
    ['windows-nt4', 1025, 5000],
    ['windows-2003', 1025, 5000],
    ['windows', 49_152, 65_535],
  ] as const) {
    const seen = ports(policy, 300);
    t.equal(seen.length, 300);
    t.ok(
      seen.every((port) => port >= low && port <= high),
      policy,
    );
  }
  t.end();
});
