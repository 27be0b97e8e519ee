/**
 * RFC 9293 3.10.7, state by state, as tables: a segment, the reply, the state after
 * it, the reason. Initial sequence numbers of both ends lie just below the wrap; both
 * IP versions; with and without timestamps.
 */
import t, { type Test } from 'tap';
import { Conversation, startNearWrap } from '../support/conversation.js';
import { reach, type Setup } from '../support/states.js';

/** [requirement, segment, expected reply ('' for none), state afterwards, reason] */
type Row = readonly [title: string, segment: string, reply: string, state: string, reason: string];

const W = 65_535;

function table(name: string, setup: Setup, rows: readonly Row[]): void {
  t.test(name, (t) => {
    for (const [v6, stamped] of [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ] as const) {
      for (const [title, segment, reply, state, reason] of rows) {
        const c = new Conversation({ v6, stamped, start: startNearWrap(setup === reach.synSent, v6) });
        setup(c);
        c.rest();
        c.inject(segment);
        const label = `${v6 ? 'IPv6' : 'IPv4'}${stamped ? ' stamped' : ''} ${title}: ${segment}`;
        t.equal(reply === '' ? c.take() : c.mismatch(reply), '', label);
        t.same(c.rest(), [], `${label}: nothing more`);
        t.equal(c.state, state, `${label}: state`);
        t.equal(c.reason, reason, `${label}: reason`);
        if (c.ourIss !== null) t.ok(c.ourIss >= 2 ** 32 - 2, 'our ISS is at the wrap');
      }
    }
    t.end();
  });
}

table('CLOSED (3.10.7.1)', reach.closed, [
  ['R9293-8', 'S 0:0(0) win 100', 'R. 0:0(0) ack 1', 'CLOSED', 'closed-rst'],
  ['R9293-8 SYN, FIN and data count', 'SF 0:3(3) win 100', 'R. 0:0(0) ack 5', 'CLOSED', 'closed-rst'],
  ['R9293-9', '. 5:5(0) ack 77 win 100', 'R 77:77(0)', 'CLOSED', 'closed-rst'],
  ['R9293-10', 'R 5:5(0) win 0', '', 'CLOSED', 'closed-rst-in'],
  ['R9293-10', 'R. 5:5(0) ack 7 win 0', '', 'CLOSED', 'closed-rst-in'],
]);

table('LISTEN (3.10.7.2)', reach.listening, [
  ['R9293-11', 'R 0:0(0) win 0', '', 'CLOSED', 'listen-rst-in'],
  ['R9293-12', '. 1:1(0) ack 9 win 100', 'R 9:9(0)', 'CLOSED', 'listen-ack'],
  ['R9293-12 SYN,ACK', 'S. 0:0(0) ack 9 win 100', 'R 9:9(0)', 'CLOSED', 'listen-ack'],
  ['R9293-13', 'S 0:0(0) win 100 <mss 1000>', 'S. 0:0(0) ack 1', 'SYN-RECEIVED', 'plain'],
  ['R9293-14 no flags', '- 0:0(0) win 100', '', 'CLOSED', 'listen-no-syn'],
  ['R9293-14 FIN', 'F 0:0(0) win 100', '', 'CLOSED', 'listen-no-syn'],
  ['R9293-40 SYN with FIN', 'SF 0:0(0) win 100', '', 'CLOSED', 'listen-syn-fin'],
]);

table('SYN-SENT (3.10.7.3)', reach.synSent, [
  ['R9293-15 ACK of nothing', '. 0:0(0) ack 0 win 100', 'R 0:0(0)', 'SYN-SENT', 'synsent-bad-ack'],
  ['R9293-15 ACK of the unsent', 'S. 0:0(0) ack 2 win 100', 'R 2:2(0)', 'SYN-SENT', 'synsent-bad-ack'],
  ['R9293-15 not for a RST', 'R. 0:0(0) ack 2 win 0', '', 'SYN-SENT', 'synsent-bad-ack-rst'],
  ['R9293-16 refused', 'R. 0:0(0) ack 1 win 0', '', 'CLOSED', 'synsent-refused'],
  ['R5961-4 RST without ACK', 'R 0:0(0) win 0', '', 'SYN-SENT', 'synsent-bad-ack-rst'],
  ['R9293-18', 'S. 0:0(0) ack 1 win 100', '. 1:1(0) ack 1', 'ESTABLISHED', 'plain'],
  ['R9293-18 with data', 'S. 0:5(5) ack 1 win 100', '. 1:1(0) ack 6', 'ESTABLISHED', 'plain'],
  ['R9293-19', '. 0:0(0) ack 1 win 100', '', 'SYN-SENT', 'synsent-no-syn'],
  ['R9293-19 FIN', 'F 0:0(0) win 100', '', 'SYN-SENT', 'synsent-no-syn'],
  ['MUST-10', 'S 0:0(0) win 100', 'S. 0:0(0) ack 1', 'SYN-RECEIVED', 'simultaneous-open'],
]);

table('SYN-RECEIVED', reach.synReceived, [
  ['R9293-22', '. 1:1(0) ack 1 win 100', '', 'ESTABLISHED', 'plain'],
  ['R9293-23 ACK of nothing', '. 1:1(0) ack 0 win 100', 'R 0:0(0)', 'SYN-RECEIVED', 'syn-received-bad-ack'],
  [
    'R9293-23 ACK of the unsent',
    '. 1:1(0) ack 2 win 100',
    'R 2:2(0)',
    'SYN-RECEIVED',
    'syn-received-bad-ack',
  ],
  ['SYN again', 'S 0:0(0) win 65535', 'S. 0:0(0) ack 1', 'SYN-RECEIVED', 'syn-retransmitted'],
  ['R9293-24 another SYN', 'S 100:100(0) win 65535', '. 1:1(0) ack 1', 'SYN-RECEIVED', 'syn-challenge'],
  ['R9293-59 RST', 'R 1:1(0) win 0', '', 'CLOSED', 'rst-syn-received'],
  ['R5961-3 RST in the window', 'R 2:2(0) win 0', '. 1:1(0) ack 1', 'SYN-RECEIVED', 'rst-challenge'],
  ['R5961-1 RST outside', 'R 0:0(0) win 0', '', 'SYN-RECEIVED', 'not-acceptable-rst'],
  ['R9293-25', '- 1:1(0) win 100', '', 'SYN-RECEIVED', 'no-ack-flag'],
  ['R9293-33 FIN with the ACK', 'F. 1:1(0) ack 1 win 100', '. 1:1(0) ack 2', 'CLOSE-WAIT', 'plain'],
  ['data with the ACK', 'P. 1:6(5) ack 1 win 100', '', 'ESTABLISHED', 'plain'],
]);

/** What every synchronized state does with RST, SYN and what lies outside the window. `rcvNxt`, `sndNxt` relative. */
function synchronizedRows(state: string, rcvNxt: number, sndNxt: number): Row[] {
  const ack = `. ${sndNxt}:${sndNxt}(0) ack ${rcvNxt}`;
  const at = (offset: number): string => `${rcvNxt + offset}:${rcvNxt + offset}(0)`;
  return [
    ['R5961-2 RST at RCV.NXT', `R ${at(0)} win 0`, '', 'CLOSED', 'rst'],
    ['SHLD-2 RST with data', `R ${rcvNxt}:${rcvNxt + 3}(3) win 0`, '', 'CLOSED', 'rst'],
    ['R5961-3 RST at RCV.NXT+1', `R ${at(1)} win 0`, ack, state, 'rst-challenge'],
    ['R5961-3 RST at the last octet', `R ${at(W - rcvNxt)} win 0`, ack, state, 'rst-challenge'],
    ['R5961-1 RST left', `R ${at(-1)} win 0`, '', state, 'not-acceptable-rst'],
    ['R5961-1 RST right', `R ${at(W)} win 0`, '', state, 'not-acceptable-rst'],
    ['R5961-6 SYN in the window', `S ${at(10)} win 100`, ack, state, 'syn-challenge'],
    ['R5961-6 SYN outside', `S ${at(W + 5)} win 100`, ack, state, 'syn-challenge'],
    ['R5961-6 SYN,ACK', `S. 0:0(0) ack ${sndNxt} win 100`, ack, state, 'syn-challenge'],
    ['R9293-25', `- ${at(0)} win 100`, '', state, 'no-ack-flag'],
    ['R9293-5 left of the window', `. ${at(-1)} ack ${sndNxt} win 100`, ack, state, 'not-acceptable'],
    ['R9293-5 right of the window', `. ${at(W)} ack ${sndNxt} win 100`, ack, state, 'not-acceptable'],
    ['R9293-26', `. ${at(0)} ack ${sndNxt + 1} win 100`, ack, state, 'ack-unsent'],
    ['R5961-9', `. ${at(0)} ack ${(sndNxt + 2 ** 32 - 70_000) % 2 ** 32} win 100`, ack, state, 'ack-too-old'],
  ];
}

table('ESTABLISHED', reach.established, [
  ...synchronizedRows('ESTABLISHED', 1, 1),
  ['R9293-33', 'F. 1:1(0) ack 1 win 100', '. 1:1(0) ack 2', 'CLOSE-WAIT', 'plain'],
  ['R9293-33 FIN behind data', 'FP. 1:6(5) ack 1 win 100', '. 1:1(0) ack 7', 'CLOSE-WAIT', 'plain'],
  ['R5681-19', '. 11:21(10) ack 1 win 100', '. 1:1(0) ack 1', 'ESTABLISHED', 'out-of-order'],
  ['R9293-31 old and new', '. 0:6(6) ack 1 win 100', '', 'ESTABLISHED', 'plain'],
  ['R9293-67 keep-alive probe', '. 0:0(0) ack 1 win 100', '. 1:1(0) ack 1', 'ESTABLISHED', 'not-acceptable'],
  ['R9293-67 with an octet', '. 0:1(1) ack 1 win 100', '. 1:1(0) ack 1', 'ESTABLISHED', 'duplicate'],
]);

table('FIN-WAIT-1', reach.finWait1, [
  ...synchronizedRows('FIN-WAIT-1', 1, 2),
  ['R9293-34', '. 1:1(0) ack 2 win 100', '', 'FIN-WAIT-2', 'plain'],
  ['R9293-35', 'F. 1:1(0) ack 2 win 100', '. 2:2(0) ack 2', 'TIME-WAIT', 'plain'],
  ['R9293-36', 'F. 1:1(0) ack 1 win 100', '. 2:2(0) ack 2', 'CLOSING', 'plain'],
  ['R9293-42 data still comes', 'P. 1:6(5) ack 1 win 100', '', 'FIN-WAIT-1', 'plain'],
]);

table('FIN-WAIT-2', reach.finWait2, [
  ...synchronizedRows('FIN-WAIT-2', 1, 2),
  ['R9293-37', 'F. 1:1(0) ack 2 win 100', '. 2:2(0) ack 2', 'TIME-WAIT', 'plain'],
  ['FIN behind a hole waits', 'F. 5:5(0) ack 2 win 100', '. 2:2(0) ack 1', 'FIN-WAIT-2', 'out-of-order'],
]);

table('CLOSE-WAIT', reach.closeWait, [
  ...synchronizedRows('CLOSE-WAIT', 2, 1),
  [
    'R9293-41 data behind the FIN',
    '. 2:7(5) ack 1 win 100',
    '. 1:1(0) ack 2',
    'CLOSE-WAIT',
    'data-after-fin',
  ],
  ['FIN again', 'F. 1:1(0) ack 1 win 100', '. 1:1(0) ack 2', 'CLOSE-WAIT', 'duplicate'],
]);

table('CLOSING', reach.closing, [
  ...synchronizedRows('CLOSING', 2, 2),
  ['R9293-36', '. 2:2(0) ack 2 win 100', '', 'TIME-WAIT', 'plain'],
]);

table('LAST-ACK', reach.lastAck, [
  ...synchronizedRows('LAST-ACK', 2, 2),
  ['R9293-38', '. 2:2(0) ack 2 win 100', '', 'CLOSED', 'plain'],
]);

table('TIME-WAIT (rfc9293)', reach.timeWait, [
  ['R9293-39', 'F. 1:1(0) ack 2 win 100', '. 2:2(0) ack 2', 'TIME-WAIT', 'tw-fin-again'],
  ['R9293-53', 'R 2:2(0) win 0', '', 'CLOSED', 'tw-rst-kill'],
  ['R5961-3', 'R 3:3(0) win 0', '. 2:2(0) ack 2', 'TIME-WAIT', 'tw-rst-challenge'],
  ['R5961-1', 'R 1:1(0) win 0', '', 'TIME-WAIT', 'tw-rst-out'],
  ['R5961-6', 'S 9:9(0) win 100', '. 2:2(0) ack 2', 'TIME-WAIT', 'tw-syn-in-window'],
  ['R9293-41', '. 2:7(5) ack 2 win 100', '', 'TIME-WAIT', 'tw-data-new'],
]);

t.test('R9293-47, R9293-43: CLOSE before the handshake is over sends the FIN after it', (t: Test) => {
  const c = new Conversation();
  c.connect();
  c.take();
  c.send(5);
  c.shutdown();
  t.same(c.rest(), []);
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  t.equal(c.mismatch('FP. 1:6(5) ack 1'), '');
  t.equal(c.state, 'FIN-WAIT-1');
  t.end();
});

t.test('R9293-44: a repeated CLOSE sends no second FIN', (t: Test) => {
  const c = new Conversation();
  reach.finWait2(c);
  c.rest();
  c.shutdown();
  c.advance(100);
  t.same(c.rest(), []);
  t.end();
});

for (const policy of ['rfc9293', 'linux', 'freebsd'])
  t.test(`a FIN behind one that waits ends nothing: the stream ends at the first, ${policy}`, (t: Test) => {
    const c = new Conversation({ policy });
    c.established();
    c.inject('F. 11:11(0) ack 1 win 100');
    c.inject('F. 101:101(0) ack 1 win 100');
    c.rest();
    t.equal(c.state, 'ESTABLISHED', 'there is a hole before either');
    c.inject('. 1:11(10) ack 1 win 100');
    t.match(c.take(), /^\. 1:1\(0\) ack 12 /);
    t.equal(c.state, 'CLOSE-WAIT');
    t.end();
  });

for (const policy of ['rfc9293', 'linux'])
  t.test(`text passes over the first of two FINs: the second one counts, ${policy}`, (t: Test) => {
    const c = new Conversation({ policy });
    c.established();
    c.inject('F. 20:20(0) ack 1 win 100');
    c.inject('F. 5:5(0) ack 1 win 100');
    c.rest();
    c.inject('. 1:20(19) ack 1 win 100');
    t.match(c.take(), /^\. 1:1\(0\) ack 21 /);
    t.equal(c.state, 'CLOSE-WAIT');
    t.end();
  });

t.test(
  'linux: text that lies within a segment with FIN takes nothing back, text beyond it does',
  (t: Test) => {
    for (const [length, state] of [
      [1, 'CLOSE-WAIT'],
      [2, 'ESTABLISHED'],
    ] as const) {
      const c = new Conversation({ policy: 'linux' });
      c.established();
      c.inject('F. 5:5(0) ack 1 win 100');
      c.inject(`. 5:${5 + length}(${length}) ack 1 win 100`);
      c.rest();
      c.inject('. 1:5(4) ack 1 win 100');
      t.equal(c.state, state, `${length} octets from the FIN on`);
    }
    t.end();
  },
);

t.test('R9293-58: a half-open connection is found and cleaned up', (t: Test) => {
  const c = new Conversation();
  c.established();
  c.inject('S 50000:50000(0) win 100');
  t.equal(c.mismatch('. 1:1(0) ack 1'), '', 'the peer that lost its state hears an ACK');
  c.inject('R 1:1(0) win 0');
  t.equal(c.state, 'CLOSED', 'and its RST ends the old connection');
  c.inject('S 50000:50000(0) win 100');
  t.match(c.take(), /^S\. /, 'its SYN is taken now (R5961-7)');
  t.end();
});
