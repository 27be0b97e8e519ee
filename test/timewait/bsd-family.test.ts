/** The BSD family where the matrix does not reach: edges of the window, classes, limits, odd cases of the sources. */
import t from 'tap';
import type { RecordFacts } from '../../src/timewait/policy.js';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Reason } from '../../src/reasons.js';
import { Conversation } from '../support/conversation.js';
import { RW, bases, context, holds, record } from './facts.js';

const bsd44 = findPolicy('bsd-4.4')!;
const netbsd = findPolicy('netbsd')!;
const openbsd = findPolicy('openbsd')!;
const macos = findPolicy('macos')!;
const freebsd13 = findPolicy('freebsd-13')!;

/** Net/3 counts neither SYN nor FIN at the right edge: RCV.NXT + RCV.WND is still inside. */
void t.test('the right edge of the window', (t) => {
  const beyond = '- accept tw-syn-beyond-window';
  holds(t, bsd44, [
    ['SYN at the edge', { flags: 'S', at: RW }, 'RST delete tw-syn-kill'],
    ['SYN behind it', { flags: 'S', at: RW + 1 }, beyond],
    ['RST at the edge', { flags: 'R', at: RW }, '- delete tw-rst-kill-window'],
    ['RST behind it', { flags: 'R', at: RW + 1 }, '- keep tw-rst-out'],
  ]);
  holds(t, netbsd, [
    ['SYN at the edge', { flags: 'S', at: RW }, 'ACK challenge keep tw-syn-in-window'],
    ['SYN behind it', { flags: 'S', at: RW + 1 }, beyond],
  ]);
  holds(t, macos, [
    ['SYN at the edge', { flags: 'S', at: RW }, 'ACK challenge keep tw-syn-in-window'],
    ['SYN behind it', { flags: 'S', at: RW + 1 }, beyond],
    ['RST last in the window', { flags: 'R', at: RW - 1 }, 'ACK challenge keep tw-rst-challenge'],
    ['RST at the edge', { flags: 'R', at: RW }, '- keep tw-rst-out'],
  ]);
  t.end();
});

void t.test('a closed window leaves RCV.NXT alone inside', (t) => {
  const shut = { record: { rcvWnd: 0 } };
  for (const policy of [bsd44, netbsd, macos]) {
    holds(t, policy, [['SYN one above', { flags: 'S', at: 1 }, '- accept tw-syn-beyond-window']], shut);
  }
  holds(t, bsd44, [['SYN at', { flags: 'S', at: 0 }, 'RST delete tw-syn-kill']], shut);
  const open = { record: { rcvWnd: 0, userClosed: false } };
  for (const policy of [bsd44, netbsd, openbsd]) {
    holds(t, policy, [['a probe', { flags: '.', at: 0, length: 1 }, 'ACK keep tw-data-old']], open);
  }
  holds(t, macos, [['RST one below', { flags: 'R', at: -1 }, 'ACK challenge keep tw-rst-challenge']], shut);
  t.end();
});

void t.test('a segment that ends beyond RCV.NXT has new data; the user decides', (t) => {
  const spans = { flags: 'P.', at: -5, length: 10 };
  for (const policy of [bsd44, netbsd, openbsd]) {
    holds(t, policy, [['closed', spans, 'RST delete tw-data-reset']]);
    holds(t, policy, [['held', spans, '- keep tw-data-new']], { record: { userClosed: false } });
  }
  holds(t, macos, [['held or not', spans, 'RST delete tw-data-reset']], { record: { userClosed: false } });
  t.end();
});

void t.test('ACK of what was never sent', (t) => {
  const unsent = { flags: '.', at: 0, ack: 1 };
  holds(t, bsd44, [['4.4BSD', unsent, 'ACK keep tw-ack-unsent']]);
  holds(t, netbsd, [['NetBSD', unsent, 'ACK keep tw-ack-unsent']]);
  holds(t, openbsd, [['OpenBSD', unsent, 'ACK challenge keep tw-ack-unsent']]);
  holds(t, macos, [['macOS', unsent, 'ACK challenge keep tw-ack-unsent']]);
  t.end();
});

void t.test(
  "4.4BSD: the SYN's timestamp is taken before PAWS looks at it, whatever becomes of the SYN",
  (t) => {
    const c = new Conversation({ policy: 'bsd-4.4', stamped: true });
    c.established();
    c.close();
    c.inject('. 1:1(0) ack 2 win 65535');
    c.inject('F. 1:1(0) ack 2 win 65535');
    c.rest();
    // Old in every way, answered, and its timestamp is now TS.Recent
    c.inject('S 1:1(0) win 100 <mss 1460,TS val 50 ecr 0>');
    t.match(c.take(), /^\. 2:2\(0\) ack 2 .* ecr 50>/);
    // So a segment between the two passes, which PAWS would have refused
    c.inject('. 2:2(0) ack 2 win 100 <TS val 60 ecr 0>');
    t.equal(c.reason, 'tw-ack');
    c.inject('. 2:2(0) ack 2 win 100 <TS val 40 ecr 0>');
    t.equal(c.reason, 'tw-paws');
    t.end();
  },
);

void t.test('4.4BSD: TIME-WAIT to anybody blocks the port for connect(), 1024..5000', (t) => {
  const c = new Conversation({ policy: 'bsd-4.4' });
  t.equal(c.stack.knob('net.ipv4.ip_local_port_range.max'), 5000);
  c.connect();
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.stack.setKnob('net.ipv4.ip_local_port_range.min', 4000);
  c.stack.setKnob('net.ipv4.ip_local_port_range.max', 4000);
  const elsewhere = { address: '10.0.0.77', port: 9 };
  t.equal(c.stack.connect(elsewhere), 'EADDRNOTAVAIL');
  c.stack.setPolicy('freebsd');
  c.stack.setKnob('net.ipv4.ip_local_port_range.min', 4000);
  c.stack.setKnob('net.ipv4.ip_local_port_range.max', 4000);
  t.equal(typeof c.stack.connect(elsewhere), 'object', 'FreeBSD looks at the whole tuple');
  t.end();
});

void t.test('4.4BSD, OpenBSD: what is added to SND.NXT is random, within bounds', (t) => {
  for (const [policy, low, high] of [
    [bsd44, 122 * 1024, 122 * 1024 + 2 ** 18 - 1],
    [openbsd, 0x8000, 0x7fffffff],
  ] as const) {
    for (const word of [0, -1, 0x7fffffff, -0x80000000, 12_345]) {
      const old = record(bases[3]!);
      const around = { ...context(policy), random: () => word };
      const step = (policy.isnOnReopen(old, 0, around) - old.sndNxt) >>> 0;
      t.ok(step >= low && step <= high, `${policy.name} ${word}: ${step}`);
    }
  }
  t.end();
});

void t.test('NetBSD: the class of the peer gives the lifetime', (t) => {
  const lasts = (facts: Partial<RecordFacts>, knobs = {}): number =>
    netbsd.lifetime(record(bases[0]!, facts), context(netbsd, { knobs }), false);
  t.equal(lasts({ localPeer: true, nearPeer: true }), 2000);
  t.equal(lasts({ nearPeer: true }), 10_000);
  t.equal(lasts({}), 60_000);
  t.equal(lasts({}, { 'net.inet.tcp.mslt.remote': 7 }), 14_000);
  t.equal(lasts({ nearPeer: true }, { 'net.inet.tcp.mslt.local': 8 }), 16_000);
  t.equal(lasts({ localPeer: true }, { 'net.inet.tcp.mslt.loopback': 9 }), 18_000);
  const off = { 'net.inet.tcp.mslt.enable': 0, 'net.inet.tcp.msl': 20_000 };
  t.equal(lasts({ localPeer: true }, off), 40_000, 'without classes: 2*msl');
  t.end();
});

void t.test('NetBSD: a record is vestigial only once the user has closed', (t) => {
  const vtw = { knobs: { 'net.inet.tcp.vtw.enable': 1 } };
  const syn = { flags: 'S', at: RW + 1 };
  holds(t, netbsd, [['closed', syn, 'RST keep tw-syn-vestigial']], vtw);
  holds(t, netbsd, [['held', syn, '- accept tw-syn-beyond-window']], {
    ...vtw,
    record: { userClosed: false },
  });
  holds(
    t,
    netbsd,
    [
      ['any ACK restarts', { flags: '.', at: 0, ack: 5 }, 'ACK restart tw-segment-restart'],
      ['the FIN too', { flags: 'F.', at: -1 }, 'ACK restart tw-fin-again'],
      ['data leaves it in place', { flags: 'P.', at: 0, length: 5 }, 'RST keep tw-data-reset-kept'],
      ['RST with data', { flags: 'R', at: 0, length: 5 }, '- keep tw-rst-out'],
      ['RST at', { flags: 'R', at: 0 }, '- delete tw-rst-kill'],
      ['RST inside', { flags: 'R', at: 5 }, 'ACK challenge keep tw-rst-challenge'],
      ['an older timestamp means nothing', { flags: '.', at: 0, ts: -9 }, 'ACK restart tw-segment-restart'],
    ],
    { ...vtw, record: { hasTimestamp: true } },
  );
  t.end();
});

void t.test('OpenBSD and macOS drop an old timestamp silently, unless there is data', (t) => {
  for (const policy of [openbsd, macos]) {
    holds(
      t,
      policy,
      [
        ['empty', { flags: '.', at: 0, ts: -1 }, '- keep tw-paws-silent'],
        ['FIN', { flags: 'F.', at: -1, ts: -1 }, '- keep tw-paws-silent'],
        ['data', { flags: 'P.', at: 0, length: 5, ts: -1 }, 'ACK keep tw-paws'],
      ],
      { record: { hasTimestamp: true } },
    );
    const idle = `ACK keep ${policy === openbsd ? 'refresh ' : ''}tw-fin-again-kept`;
    // 24 days later TS.Recent means nothing
    holds(t, policy, [['idle', { flags: 'F.', at: -2, ts: -1 }, idle]], {
      now: 25 * 86_400_000,
      record: { hasTimestamp: true, tsRecentAt: 0 },
    });
  }
  t.end();
});

void t.test(
  'OpenBSD: a newer timestamp reopens whatever the number, a higher number whatever the timestamp',
  (t) => {
    const taken = '- accept tw-syn-accepted-linux';
    holds(
      t,
      openbsd,
      [
        ['newer, old number', { flags: 'S', at: -1000, ts: 1 }, taken],
        ['older, higher number', { flags: 'S', at: 1, ts: -1 }, taken],
        ['older, same number', { flags: 'S', at: 0, ts: -1 }, '- keep tw-paws-silent'],
        ['equal, same number', { flags: 'S', at: 0, ts: 0 }, 'ACK challenge keep tw-syn-in-window'],
        ['SYN,ACK is no request', { flags: 'S.', at: 1, ts: 1 }, 'ACK challenge keep tw-syn-in-window'],
      ],
      { record: { hasTimestamp: true } },
    );
    t.end();
  },
);

/** A server with `count` connections, each closed by it; a peer port each from 5000. */
function many(policy: string, count: number, knobs: Record<string, number>): number[] {
  const c = new Conversation({ policy, knobs });
  c.listen();
  for (let i = 0; i < count; i++) {
    c.peerPort = 5000 + i;
    c.ourIss = null;
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    c.inject('. 1:1(0) ack 1 win 65535');
    c.accept();
    c.close();
    c.inject('. 1:1(0) ack 2 win 65535');
    c.inject('F. 1:1(0) ack 2 win 65535');
    c.advance(1000);
  }
  t.equal(c.stack.reasonCounts[Reason['tw-evicted']], count - c.stack.timeWait.count);
  return c.stack
    .sockets()
    .filter(({ state }) => state === 'TIME-WAIT')
    .map(({ remote }) => remote!.port)
    .sort();
}

void t.test('FreeBSD up to 13: the oldest gives way at maxtcptw; 14 has no limit unless it is set', (t) => {
  const three = { 'net.inet.tcp.maxtcptw': 3 };
  t.same(many('freebsd-13', 5, three), [5002, 5003, 5004]);
  t.same(many('freebsd', 5, three), [5002, 5003, 5004]);
  t.same(many('freebsd', 5, {}), [5000, 5001, 5002, 5003, 5004]);
  t.equal(freebsd13.capacity(context(freebsd13)), 27_768);
  t.equal(freebsd13.lifetime(record(bases[0]!, { localPeer: true }), context(freebsd13), false), 60_000);
  t.end();
});

void t.test('FreeBSD up to 13 takes a SYN,ACK for a SYN, 14 does not', (t) => {
  const synAck = { flags: 'S.', at: 1 };
  holds(t, freebsd13, [['13', synAck, 'RST delete tw-syn-ack-reset']]);
  holds(t, findPolicy('bsd')!, [['14', synAck, 'ACK keep tw-segment-ack']]);
  t.end();
});
