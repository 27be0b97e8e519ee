/** Captures of other machines, judged by a policy: the record, the verdicts, where the stories part. */
import t from 'tap';
import { judge, judgementText, tally, timeWaitSide, type Judgement } from '../../src/lab/explain.js';
import { exchangesOf, packetsOf, type CaptureOptions } from '../support/capture.js';

/** A connection that the server closed; both ISNs near the wrap, windows scaled, no timestamps. */
const closed = [
  '0 > S 4294967290:4294967290(0) win 65535 <mss 1460,wscale 7>',
  '10 < S. 4294967200:4294967200(0) ack 4294967291 win 65535 <mss 1460,wscale 2>',
  '20 > . 4294967291:4294967291(0) ack 4294967201 win 512',
  '21 < P. 4294967201:5(100) ack 4294967291 win 1000',
  '22 < F. 5:5(0) ack 4294967291 win 1000',
  '30 > F. 4294967291:4294967291(0) ack 6 win 512',
  '31 < . 6:6(0) ack 4294967292 win 1000',
];
/** RCV.NXT of the server then, and its SND.NXT. */
const RCV_NXT = 4294967292;
const SND_NXT = 6;

const stamped = closed.map((line) =>
  line.includes('<mss')
    ? line.replace('>', '>').replace('wscale', `TS val ${line.includes('S.') ? 9000 : 100} ecr 0,wscale`)
    : `${line} <TS val ${line.includes(' < ') ? 9000 : 130} ecr 1>`,
);

interface Given extends CaptureOptions {
  policy?: string;
  knobs?: { name: string; value: number }[];
  keepSide?: boolean;
}

function judged(lines: readonly string[], given: Given = {}): Judgement {
  const [exchange] = exchangesOf(packetsOf(lines, given));
  return judge(exchange!, {
    policy: given.policy ?? 'rfc9293',
    knobs: given.knobs ?? [],
    ...(given.keepSide === undefined ? {} : { keepSide: given.keepSide }),
  });
}

/** `would/shows reason` of each verdict, in order. */
function verdicts(lines: readonly string[], given: Given = {}): string[] {
  return [...judged(lines, given).verdicts.values()].map(
    ({ would, shows, reason, apart, record }) =>
      `${would}/${shows} ${reason.split(':')[0]}${apart ? ' apart' : ''}${record ? '' : ' gone'}`,
  );
}

const syn = (ms: number, seq: number, options = ''): string =>
  `${ms} > S ${seq >>> 0}:${seq >>> 0}(0) win 100${options}`;
const synAck = (ms: number, seq: number, options = ''): string =>
  `${ms} < S. 77:77(0) ack ${(seq + 1) >>> 0} win 100${options}`;

t.test('the end that closed first is judged, on either side, whichever family', async (t) => {
  for (const given of [
    {},
    { client: 'fd00::1', server: 'fd00::2' },
    { client: '127.0.0.1', server: '127.0.0.1' },
  ]) {
    const judgement = judged(closed, given);
    t.equal(judgement.exchange.local.port, 80);
    t.same([...judgement.entries], [[6, { lifetime: 240_000 }]]);
  }
  const mirrored = closed.map((line) =>
    line.includes(' > ') ? line.replace(' > ', ' < ') : line.replace(' < ', ' > '),
  );
  t.equal(judged(mirrored).exchange.local.port, 4000);
  t.equal(timeWaitSide(exchangesOf(packetsOf(closed.slice(0, 6)))[0]!), null, 'the last ACK is missing');
  t.equal(judged(closed.slice(0, 6)).entries.size, 0);
});

t.test('the policies at a SYN above and below RCV.NXT', async (t) => {
  const above = [...closed, syn(1000, RCV_NXT + 100), synAck(1001, RCV_NXT + 100)];
  t.same(verdicts(above), ['ACK/SYN,ACK tw-syn-in-window apart']);
  t.same(verdicts(above, { policy: 'freebsd' }), ['SYN,ACK/SYN,ACK tw-syn-accepted']);
  t.same(verdicts(above, { policy: 'linux' }), ['SYN,ACK/SYN,ACK tw-syn-accepted-linux']);
  const below = [...closed, syn(1000, RCV_NXT - 100)];
  t.same(verdicts(below, { policy: 'freebsd' }), ['nothing/nothing tw-syn-low']);
  t.same(verdicts(below, { policy: 'linux' }), ['ACK/nothing tw-syn-low-linux']);
});

t.test('RCV.NXT and the scaled window are those of the capture, to the octet', async (t) => {
  // The server's shift counts: its last window is 1000 * 2^2 octets.
  const rst = (seq: number): string[] => [...closed, `500 > R ${seq >>> 0}:${seq >>> 0}(0) win 0`];
  t.same(verdicts(rst(RCV_NXT)), ['nothing/nothing tw-rst-kill']);
  t.same(verdicts(rst(RCV_NXT - 1)), ['nothing/nothing tw-rst-out']);
  t.same(verdicts(rst(RCV_NXT + 1)), ['ACK/nothing tw-rst-challenge']);
  t.same(verdicts(rst(RCV_NXT + 3999)), ['ACK/nothing tw-rst-challenge']);
  t.same(verdicts(rst(RCV_NXT + 4000)), ['nothing/nothing tw-rst-out']);
  t.same(verdicts(rst(RCV_NXT), { knobs: [{ name: 'net.ipv4.tcp_rfc1337', value: 1 }] }), [
    'nothing/nothing tw-rst-ignored',
  ]);
  const ack = (number: number): string[] => [
    ...closed,
    `500 > . ${RCV_NXT}:${RCV_NXT}(0) ack ${number} win 5`,
    `501 < . 6:6(0) ack ${RCV_NXT} win 5`,
  ];
  t.same(verdicts(ack(SND_NXT)), ['nothing/ACK tw-ack']);
  t.same(verdicts(ack(SND_NXT + 1)), ['ACK/ACK tw-not-acceptable'], 'SND.NXT as well');
});

t.test('timestamps: TS.Recent is the last one that came in order', async (t) => {
  const at = (val: number): string[] => [...stamped, syn(1000, RCV_NXT - 100, ` <TS val ${val} ecr 0>`)];
  t.same(verdicts(at(131), { policy: 'linux' }), ['SYN,ACK/nothing tw-syn-accepted-linux apart']);
  t.same(verdicts(at(130), { policy: 'linux' }), ['ACK/nothing tw-syn-low-linux']);
  t.same(verdicts(at(129), { policy: 'linux' }), ['ACK/nothing tw-paws-linux']);
  const duplicate = '30.5 > . 4294967280:4294967280(0) ack 6 win 512 <TS val 999 ecr 1>';
  const stale = [
    ...stamped.slice(0, 6),
    duplicate,
    stamped[6]!,
    syn(1000, RCV_NXT - 100, ' <TS val 131 ecr 0>'),
  ];
  t.same(
    verdicts(stale, { policy: 'linux' }),
    ['SYN,ACK/nothing tw-syn-accepted-linux apart'],
    'an old segment has no say',
  );
  const mixed = [...closed.slice(0, 1), ...stamped.slice(1), syn(1000, RCV_NXT - 100, ' <TS val 999 ecr 0>')];
  t.same(
    verdicts(mixed, { policy: 'linux' }),
    ['ACK/nothing tw-syn-low-linux'],
    'one end did not offer them',
  );
});

t.test('time passes as in the capture', async (t) => {
  const late = (ms: number): string[] => [...closed, syn(ms, RCV_NXT - 100), synAck(ms + 1, RCV_NXT - 100)];
  t.same(verdicts(late(31 + 59_999), { policy: 'linux' }), ['ACK/SYN,ACK tw-syn-low-linux apart']);
  t.same(verdicts(late(31 + 60_000), { policy: 'linux' }), ['SYN,ACK/SYN,ACK  gone']);
  t.same(
    judged(closed, { policy: 'linux-recycle' }).entries.get(6),
    { lifetime: 60_000 },
    'no timestamps: 60 s',
  );
  // A round trip of 20 ms: RTO 220 ms, three and a half of them.
  t.same(judged(stamped, { policy: 'linux-recycle' }).entries.get(6), { lifetime: 770 });
  // 300 ms: RTO 300 + 2 * 300.
  const far = stamped.map((line) =>
    line.replace(/^(20|21|22|30|31) /, (_, ms: string) => `${Number(ms) + 280} `),
  );
  t.same(judged(far, { policy: 'linux-recycle' }).entries.get(6), { lifetime: 3150 });
});

t.test('after a killed TIME-WAIT the listener answers, as in the demo', async (t) => {
  const lines = [
    ...closed,
    syn(100, RCV_NXT + 9999),
    `101 < . 6:6(0) ack ${RCV_NXT} win 1000`,
    `102 > R ${RCV_NXT}:${RCV_NXT}(0) win 0`,
    syn(1100, RCV_NXT + 9999),
    synAck(1101, RCV_NXT + 9999),
  ];
  t.same(verdicts(lines), ['ACK/ACK tw-syn-refused', 'nothing/nothing tw-rst-kill', 'SYN,ACK/SYN,ACK  gone']);
});

t.test('where the stories part nothing is judged until TIME-WAIT comes again', async (t) => {
  const base = RCV_NXT + 1000;
  const next = (seq: number): string => String(seq >>> 0);
  const again = [
    syn(1000, base),
    synAck(1001, base),
    `1002 > . ${next(base + 1)}:${next(base + 1)}(0) ack 78 win 100`,
    `1003 < F. 78:78(0) ack ${next(base + 1)} win 100`,
    `1004 > F. ${next(base + 1)}:${next(base + 1)}(0) ack 79 win 100`,
    `1005 < . 79:79(0) ack ${next(base + 2)} win 100`,
    `2000 > R ${next(base + 2)}:${next(base + 2)}(0) win 0`,
  ];
  const judgement = judged([...closed, ...again]);
  t.same([...judgement.verdicts.keys()], [7, 13]);
  t.same([...judgement.entries.keys()], [6, 12]);
  t.match(judgement.verdicts.get(13)?.reason, /^tw-rst-kill/, 'with the numbers of the new connection');
  t.same(tally(judgement), { judged: 2, differ: 1 });
  t.match(judgementText(judgement, 7), /^rfc9293 would answer ACK; the capture shows SYN,ACK\n {2}tw-syn-/);
  t.match(judgementText(judgement, 7), /no verdict before the next TIME-WAIT$/);
  t.equal(judgementText(judgement, 12), 'TIME-WAIT begins: rfc9293 keeps it for 4 min 0 s');
  t.equal(judgementText(judgement, 9), '');
});

t.test('policies that keep none, own connect(), a side that is asked for', async (t) => {
  const none = judged([...closed, syn(1000, RCV_NXT - 5)], { policy: 'none' });
  t.same([...none.entries.values()], [{ lifetime: null }]);
  t.match(judgementText(none, 6), /keeps no TIME-WAIT/);
  t.equal([...none.verdicts.values()][0]?.would, 'SYN,ACK');
  // The client closes first and opens again from the same port.
  const client = [
    '0 > S 0:0(0) win 10 <mss 1460>',
    '1 < S. 0:0(0) ack 1 win 10 <mss 1460>',
    '2 > F. 1:1(0) ack 1 win 10',
    '3 < F. 1:1(0) ack 2 win 10',
    '4 > . 2:2(0) ack 2 win 10',
    '1000 > S 900:900(0) win 10',
    '1001 < S. 900:900(0) ack 901 win 10',
  ];
  const own = judged(client);
  t.equal(own.exchange.local.port, 4000);
  t.same([...own.opens], [5]);
  t.equal(own.verdicts.size, 0);
  t.match(judgementText(own, 5), /its own connect\(\)/);
  t.equal(judged(client, { keepSide: true }).entries.size, 0, 'the server was asked for: it holds nothing');
});

t.test('unknown policies and knobs are named', async (t) => {
  t.throws(() => judged(closed, { policy: 'lunix' }), /unknown policy 'lunix'.*linux/);
  t.throws(() => judged(closed, { knobs: [{ name: 'nonsense', value: 1 }] }), /nonsense/);
});
