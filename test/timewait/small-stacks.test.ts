/** lwIP, gVisor, smoltcp, VPP: each table in the order of its source. */
import t from 'tap';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Conversation } from '../support/conversation.js';
import { HALF, NOW, RW, bases, context, holds, record, show, type Row } from './facts.js';

const lwip = findPolicy('lwip')!;
const gvisor = findPolicy('gvisor')!;
const smoltcp = findPolicy('smoltcp')!;
const vpp = findPolicy('vpp')!;
const [base] = bases;
const AGAIN = 'ACK restart tw-fin-again';

void t.test('lwIP', (t) => {
  const RESET = 'RST keep tw-syn-reset';
  const REFUSED = 'ACK keep tw-syn-refused';
  const rows: Row[] = [
    ['RST', { flags: 'R', at: 0 }, '- keep tw-rst-ignored'],
    ['SYN below', { flags: 'S', at: -1 }, REFUSED],
    ['SYN at RCV.NXT', { flags: 'S', at: 0 }, RESET],
    ['SYN at the right edge', { flags: 'S', at: RW }, RESET],
    ['SYN beyond', { flags: 'S', at: RW + 1 }, REFUSED],
    ['SYN,ACK inside', { flags: 'S.', at: 1 }, RESET],
    ['FIN again', { flags: 'F.', at: -1 }, AGAIN],
    ['any FIN', { flags: 'F.', at: RW + 9 }, AGAIN],
    ['data', { flags: 'P.', at: 0, length: 5 }, 'ACK keep tw-segment-ack'],
    ['old data', { flags: 'P.', at: -5, length: 5 }, 'ACK keep tw-segment-ack'],
    ['bare ACK anywhere', { flags: '.', at: 77 }, '- keep tw-ack'],
  ];
  holds(t, lwip, rows);
  t.end();
});

void t.test('lwIP counts ticks of 500 ms: the first after 2*TCP_MSL', (t) => {
  const lasts = (now: number, msl = 60_000): number =>
    lwip.lifetime(record(base!), context(lwip, { now, knobs: { TCP_MSL: msl } }), false);
  t.equal(lasts(500_000), 120_500);
  t.equal(lasts(500_001), 120_499);
  t.equal(lasts(500_499), 120_001);
  t.equal(lasts(500_000, 1000), 2500);
  t.end();
});

/** A connection from `port`, closed by us unless it is to stay. */
function connection(c: Conversation, port: number, stays = false): void {
  c.peerPort = port;
  c.ourIss = null;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  if (!stays) {
    c.close();
    c.inject('. 1:1(0) ack 2 win 65535');
    c.inject('F. 1:1(0) ack 2 win 65535');
  }
  c.rest();
}

void t.test('lwIP: five PCBs for connections and TIME-WAIT, the oldest gives way', (t) => {
  const c = new Conversation({ policy: 'lwip' });
  c.listen();
  const held = (): number[] =>
    c.stack
      .sockets()
      .filter((row) => row.state === 'TIME-WAIT')
      .map((row) => row.remote!.port)
      .sort((a, b) => a - b);
  for (let port = 5000; port < 5005; port++) connection(c, port);
  t.same(held(), [5000, 5001, 5002, 5003, 5004], 'five fit');
  connection(c, 5005);
  t.same(held(), [5001, 5002, 5003, 5004, 5005], 'the sixth took the place of the oldest');
  c.advance(1000);
  c.peerPort = 5001;
  c.inject('F. 1:1(0) ack 2 win 100');
  c.rest();
  connection(c, 6000, true);
  t.same(
    held(),
    [5001, 3, 4, 5].map((n) => (n < 10 ? 5000 + n : n)),
    'restarted: no longer the oldest',
  );
  for (let port = 6001; port < 6005; port++) connection(c, port, true);
  t.same(held(), [], 'live connections need them all');
  t.equal(c.stack.connections, 5);
  t.end();
});

void t.test('gVisor', (t) => {
  const TAKEN = '- accept tw-syn-accepted';
  const rows: Row[] = [
    ['RST', { flags: 'R', at: 0 }, '- keep tw-rst-ignored'],
    ['SYN above', { flags: 'S', at: 1 }, TAKEN],
    ['SYN 2^31 above', { flags: 'S', at: HALF }, TAKEN],
    ['SYN at RCV.NXT', { flags: 'S', at: 0 }, '- keep tw-syn-low'],
    ['SYN,ACK above', { flags: 'S.', at: 1 }, 'RST delete tw-syn-ack-reset'],
    ['SYN,ACK at RCV.NXT', { flags: 'S.', at: 0 }, '- keep tw-ack'],
    ['SYN,FIN above', { flags: 'SF', at: 1 }, '- keep listen-syn-fin'],
    ['FIN without ACK', { flags: 'F', at: -1 }, '- keep tw-no-ack-flag'],
    ['FIN again', { flags: 'F.', at: -1 }, AGAIN],
    ['FIN again with data', { flags: 'F.', at: -11, length: 10 }, 'ACK keep tw-segment-ack'],
    ['data', { flags: 'P.', at: 0, length: 5 }, 'ACK keep tw-segment-ack'],
    ['bare ACK', { flags: '.', at: 0 }, '- keep tw-ack'],
    ['bare ACK elsewhere', { flags: '.', at: 1 }, 'ACK keep tw-segment-ack'],
  ];
  holds(t, gvisor, rows);
  holds(t, gvisor, [['SYN nobody hears', { flags: 'S', at: 1 }, '- keep tw-syn-nobody']], {
    listener: false,
  });
  const stamped = { record: { hasTimestamp: true } };
  holds(
    t,
    gvisor,
    [
      ['SYN, newer, low', { flags: 'S', at: 0, ts: 9 }, '- keep tw-syn-low'],
      ['bare ACK, newer', { flags: '.', at: 0, ts: 9 }, '- keep refresh tw-ack'],
      ['bare ACK, older', { flags: '.', at: 0, ts: -1 }, '- keep tw-ack'],
      ['ACK above, newer', { flags: '.', at: 1, ts: 9 }, 'ACK keep tw-segment-ack'],
    ],
    stamped,
  );
  t.end();
});

void t.test('gVisor: our connect() reopens a second after the last timestamp, or at once without', (t) => {
  const ask = (facts: object, reuse: number, boundPort = false): string =>
    show(
      gvisor.mayReopen(
        record(base!, facts),
        { boundPort, timestamps: true },
        context(gvisor, { knobs: { 'net.ipv4.tcp_tw_reuse': reuse } }),
      ),
    );
  const stamped = { hasTimestamp: true, tsRecentAt: NOW - 1000 };
  t.equal(ask(stamped, 1), '- accept reopen-reused');
  t.equal(ask({ ...stamped, tsRecentAt: NOW - 999 }, 1), '- keep reopen-too-young');
  t.equal(ask({ hasTimestamp: false }, 1), '- accept reopen-reused');
  t.equal(ask(stamped, 0), '- keep reopen-off');
  t.equal(ask(stamped, 2), '- keep reopen-off', 'loopback only');
  t.equal(ask({ ...stamped, localPeer: true }, 2), '- accept reopen-reused');
  t.equal(ask(stamped, 1, true), '- keep reopen-in-use');
  t.end();
});

void t.test('smoltcp', (t) => {
  const OUT = 'ACK challenge restart tw-segment-restart';
  const rows: Row[] = [
    ['SYN above', { flags: 'S', at: RW + 1 }, '- keep tw-no-ack-flag'],
    ['SYN below', { flags: 'S', at: -1 }, '- keep tw-no-ack-flag'],
    ['SYN,FIN', { flags: 'SF', at: 1 }, '- keep tw-flags'],
    ['SYN,ACK inside', { flags: 'S.', at: 1 }, '- keep tw-ignored'],
    ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- delete tw-rst-kill-window'],
    ['RST inside', { flags: 'R.', at: RW - 1, ack: 9 }, '- delete tw-rst-kill-window'],
    ['RST at the right edge', { flags: 'R', at: RW }, '- keep tw-rst-out'],
    ['RST below', { flags: 'R', at: -1 }, '- keep tw-rst-out'],
    ['FIN again', { flags: 'F.', at: -1 }, 'ACK challenge restart tw-fin-again'],
    ['FIN again with data', { flags: 'F.', at: -11, length: 10 }, AGAIN],
    ['FIN at RCV.NXT', { flags: 'F.', at: 0 }, '- keep tw-ignored'],
    ['old data', { flags: 'P.', at: -10, length: 10 }, 'ACK restart tw-segment-restart'],
    ['data at RCV.NXT', { flags: 'P.', at: 0, length: 10 }, '- keep tw-data-new'],
    ['data beyond', { flags: 'P.', at: RW, length: 10 }, 'ACK restart tw-segment-restart'],
    ['bare ACK', { flags: '.', at: 0 }, '- keep tw-ignored'],
    ['bare ACK elsewhere', { flags: '.', at: RW }, OUT],
    ['ACK of the unsent', { flags: '.', at: 0, ack: 1 }, 'ACK challenge keep tw-ack-unsent'],
    ['ACK of less', { flags: '.', at: -50, ack: -1 }, '- keep tw-ack-other'],
  ];
  holds(t, smoltcp, rows);
  holds(
    t,
    smoltcp,
    [
      ['bare ACK', { flags: '.', at: 0 }, '- keep tw-ignored'],
      ['bare ACK above', { flags: '.', at: 1 }, OUT],
      ['data at RCV.NXT', { flags: 'P.', at: 0, length: 1 }, 'ACK restart tw-segment-restart'],
    ],
    { record: { rcvWnd: 0 } },
  );
  t.end();
});

void t.test('smoltcp: one challenge ACK a second, 10 s from the last segment outside the window', (t) => {
  const c = new Conversation({ policy: 'smoltcp', knobs: { 'net.ipv4.tcp_invalid_ratelimit': 1000 } });
  c.listen();
  connection(c, 5000);
  let answers = 0;
  for (let i = 0; i < 10; i++) {
    c.inject('F. 1:1(0) ack 2 win 100');
    answers += c.rest().length;
    c.advance(300);
  }
  t.equal(answers, 3, 'at 0, 1.2 and 2.4 s');
  c.advance(9699);
  t.equal(c.state, 'TIME-WAIT');
  c.advance(1000);
  t.equal(c.state, 'CLOSED', '10 s after the last one');
  t.end();
});

void t.test('smoltcp: the socket may be opened again at once', (t) => {
  const c = new Conversation({ policy: 'smoltcp' });
  c.connect();
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
  t.equal(c.state, 'TIME-WAIT');
  c.connect();
  t.equal(c.state, 'SYN-SENT');
  t.equal(c.stack.timeWait.count, 0);
  t.end();
});

void t.test('VPP', (t) => {
  const rows: Row[] = [
    ['SYN above', { flags: 'S', at: 1 }, '- accept tw-syn-accepted-at'],
    ['SYN at RCV.NXT', { flags: 'S', at: 0 }, '- accept tw-syn-accepted-at'],
    ['SYN below', { flags: 'S', at: -1 }, '- keep tw-syn-below'],
    ['SYN 2^31 above', { flags: 'S', at: HALF }, '- keep tw-syn-below'],
    ['SYN,ACK', { flags: 'S.', at: 1 }, '- keep tw-flags'],
    ['SYN,FIN', { flags: 'SF', at: 1 }, '- keep tw-flags'],
    ['no flags', { flags: '-', at: 0 }, '- keep tw-flags'],
    ['RST at RCV.NXT', { flags: 'R', at: 0 }, '- keep tw-rst-ignored'],
    ['RST beyond', { flags: 'R', at: RW + 1 }, '- keep tw-rst-out'],
    ['FIN again', { flags: 'F.', at: -1 }, AGAIN + ''],
    ['FIN at RCV.NXT', { flags: 'F.', at: 0 }, AGAIN],
    ['FIN of less', { flags: 'F.', at: -1, ack: -1 }, '- keep tw-ack-other'],
    ['old data', { flags: 'P.', at: -11, length: 10 }, 'ACK keep tw-not-acceptable'],
    ['data up to RCV.NXT', { flags: 'P.', at: -10, length: 10 }, '- keep tw-data-new'],
    ['data at RCV.NXT', { flags: 'P.', at: 0, length: 10 }, '- keep tw-data-new'],
    ['bare ACK', { flags: '.', at: 0 }, '- keep tw-ack'],
    ['keep-alive probe', { flags: '.', at: -1 }, 'ACK keep tw-not-acceptable'],
    ['ACK beyond', { flags: '.', at: RW + 1 }, 'ACK keep tw-not-acceptable'],
  ];
  const stamp = /(ack-other|data-new|tw-ack|fin-again)$/;
  // TS.Recent follows what begins at or below RCV.NXT
  holds(
    t,
    vpp,
    rows.map(([title, shape, expected]): Row => [
      title,
      shape,
      stamp.test(expected) ? expected.replace(/ (tw-[a-z-]+)$/, ' refresh $1') : expected,
    ]),
  );
  holds(t, vpp, [['SYN nobody hears', { flags: 'S', at: 0 }, '- delete tw-syn-unheard']], {
    listener: false,
  });
  holds(
    t,
    vpp,
    [
      ['SYN, older stamp', { flags: 'S', at: 0, ts: -9 }, '- accept tw-syn-accepted-at'],
      ['SYN below, newer stamp', { flags: 'S', at: -1, ts: 9 }, '- keep tw-syn-below'],
      ['FIN again, older stamp', { flags: 'F.', at: -1, ts: -1 }, 'ACK keep tw-paws'],
      ['RST, older stamp', { flags: 'R', at: 0, ts: -1 }, '- keep tw-rst-ignored'],
    ],
    { record: { hasTimestamp: true } },
  );
  t.end();
});

void t.test('VPP: timewait-time counts seconds; the new ISS lies a window above SND.NXT', (t) => {
  t.equal(vpp.lifetime(record(base!), context(vpp), false), 10_000);
  t.equal(vpp.lifetime(record(base!), context(vpp, { knobs: { 'timewait-time': 3 } }), false), 3000);
  const iss = (sndNxt: number, random: number): number =>
    vpp.isnOnReopen(record(base!, { sndNxt }), 0, { ...context(vpp), random: () => random } as never);
  t.equal(iss(1000, 0), 66_535);
  t.equal(iss(1000, 65_534), 66_535 + 65_534);
  t.equal(iss(1000, 65_535), 66_535);
  t.equal(iss(-65_535, 0), 1, '0 is no ISS');
  t.end();
});
