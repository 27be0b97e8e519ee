/** From packets to exchanges: who is the local end, where connections begin, what captures leave out. */
import t from 'tap';
import { rungsOfExchange } from '../../src/view/capture.js';
import { Gatherer, formatTuple, turned, type Exchange } from '../../src/view/exchange.js';
import { formatExchange, summarizeTuple } from '../../src/view/explain.js';
import { captured, exchangesOf, packetsOf } from '../support/capture.js';

const one = (lines: readonly string[], options = {}): Exchange => {
  const found = exchangesOf(packetsOf(lines, options));
  if (found.length !== 1) throw new Error(`${found.length} tuples`);
  return found[0]!;
};
const segments = (exchange: Exchange): string[] =>
  rungsOfExchange(exchange).map(({ segment, rightward }) => `${rightward ? '>' : '<'} ${segment}`);
const stateOf = (...lines: string[]): string => summarizeTuple(one(lines), 0).state;

const handshake = [
  '0 > S 4294967290:4294967290(0) win 100 <mss 1460,TS val 1000 ecr 0>',
  '1 < S. 500:500(0) ack 4294967291 win 200 <mss 1460,TS val 7000 ecr 1000>',
  '2 > . 4294967291:4294967291(0) ack 501 win 100 <TS val 1002 ecr 7000>',
];
const serverCloses = [
  '10 < F. 501:501(0) ack 4294967291 win 200',
  '11 > F. 4294967291:4294967291(0) ack 502 win 100',
  '12 < . 502:502(0) ack 4294967292 win 200',
];

t.test('numbers and timestamps count from the first ones, over the wrap', async (t) => {
  t.same(segments(one(handshake)), [
    '> S 0:0(0) win 100 <mss 1460,TS val 0 ecr 0>',
    '< S. 0:0(0) ack 1 win 200 <mss 1460,TS val 0 ecr 0>',
    '> . 1:1(0) ack 1 win 100 <TS val 2 ecr 0>',
  ]);
  t.same(
    rungsOfExchange(one(handshake), { stamps: 'none' }).map(({ segment }) => segment)[2],
    '. 1:1(0) ack 1 win 100',
  );
});

t.test('a capture that begins in the middle', async (t) => {
  t.same(segments(one(['0 < P. 900:910(10) ack 70 win 5', '1 > . 70:70(0) ack 910 win 6'])), [
    '< P. 1:11(10) ack 1 win 5',
    '> . 1:1(0) ack 11 win 6',
  ]);
  t.same(segments(one(['0 > S 900:900(0) win 5', '1 < R. 0:0(0) ack 901 win 0'])), [
    '> S 0:0(0) win 5',
    '< R. 0:0(0) ack 1 win 0',
  ]);
});

t.test('the SYN that is answered begins a connection, those that were refused do not', async (t) => {
  const lines = [
    ...handshake,
    ...serverCloses,
    '50 > S 1000:1000(0) win 100',
    '51 < . 502:502(0) ack 4294967292 win 200',
    '1051 > S 1000:1000(0) win 100',
    '1051 < S. 9000:9000(0) ack 1001 win 200',
    '1052 < S. 9000:9000(0) ack 1001 win 200',
    '1053 > . 1001:1001(0) ack 9001 win 100',
  ];
  const exchange = one(lines);
  t.same(
    exchange.stretches.map(({ start }) => start),
    [0, 8],
  );
  const shown = segments(exchange);
  t.equal(shown[6], '> S 1006:1006(0) win 100', 'in the numbers of the old connection');
  t.equal(shown[8], '> S 0:0(0) win 100');
  t.equal(shown[11], '> . 1:1(0) ack 1 win 100');
  t.match(rungsOfExchange(exchange)[8]?.heading, /connection 2 of this tuple: its SYN is 1004 above the end/);
  const text = formatExchange(exchange);
  t.match(text, /\n +: {3}1\.00 s later\n/, 'the silence');
  t.equal(summarizeTuple(exchange, 0).state, 'TIME-WAIT at 10.0.0.2:80, SYN refused; reopened: open');
});

t.test('what became of it', async (t) => {
  t.equal(stateOf('0 > S 1:1(0) win 5'), 'SYN unanswered');
  t.equal(stateOf('0 > S 1:1(0) win 5', '1000 > S 1:1(0) win 5'), '2 SYNs unanswered');
  t.equal(stateOf('0 > S 1:1(0) win 5', '1 < R. 0:0(0) ack 2 win 0'), 'SYN refused (RST)');
  t.equal(stateOf('0 > S 1:1(0) win 5', ...handshake), 'SYN unanswered; opened: open');
  t.equal(
    stateOf('0 > P. 1:11(10) ack 7 win 5', '1 > S 99:99(0) win 5', ...handshake),
    'open; reopened: open',
    'an old connection was there',
  );
  t.equal(stateOf(...handshake), 'open');
  t.equal(stateOf(...handshake, serverCloses[0]!), 'closing');
  t.equal(stateOf(...handshake, ...serverCloses), 'TIME-WAIT at 10.0.0.2:80');
  t.equal(stateOf(...handshake, '5 > R 4294967291:4294967291(0) win 0'), 'reset by 10.0.0.1:4000');
  const simultaneous = [
    '10 < F. 501:501(0) ack 4294967291 win 200',
    '10 > F. 4294967291:4294967291(0) ack 501 win 100',
    '11 < . 502:502(0) ack 4294967292 win 200',
    '11 > . 4294967292:4294967292(0) ack 502 win 100',
  ];
  t.equal(stateOf(...handshake, ...simultaneous.slice(0, 2)), 'closing');
  t.equal(stateOf(...handshake, ...simultaneous.slice(0, 3)), 'closing', 'one FIN is not acknowledged');
  t.equal(stateOf(...handshake, ...simultaneous), 'TIME-WAIT at 10.0.0.2:80 and 10.0.0.1:4000');
});

t.test('a tuple that is used again and again', async (t) => {
  const lines = Array.from({ length: 5 }, (_, k) => [
    `${k} > S ${1000 * k}:${1000 * k}(0) win 5`,
    `${k} < S. 7:7(0) ack ${1000 * k + 1} win 5`,
  ]).flat();
  const { connections, state } = summarizeTuple(one(lines), 0);
  t.equal(connections, 5);
  t.equal(state, 'open; reopened 4 times, the last: open');
});

t.test('a hundred thousand packets', async (t) => {
  const [first] = packetsOf(['0 > . 1:1(0) ack 1 win 5']);
  const exchange = exchangesOf(Array.from({ length: 150_000 }, () => first!))[0]!;
  t.equal(formatExchange(exchange).split('\n').length, 150_001);
});

t.test('who is the local end: as recorded, as asked, or who was connected to', async (t) => {
  t.equal(one(handshake).local.port, 80);
  t.equal(one(handshake.slice(1)).local.port, 80, 'SYN,ACK');
  t.equal(one(['0 < . 1:1(0) ack 1 win 1']).local.port, 80, 'the lower port');
  const recorded = packetsOf(handshake).map((packet, i) => ({ ...packet, inbound: i === 1 }));
  t.equal(exchangesOf(recorded)[0]?.local.port, 4000);
  const asked = exchangesOf(packetsOf(handshake), { side: ({ address }) => address === '10.0.0.1' });
  t.equal(asked[0]?.local.port, 4000);
  const back = turned(asked[0]!);
  t.equal(formatTuple(back.local, back.remote), '10.0.0.2:80-10.0.0.1:4000');
  t.same(segments(back), segments(one(handshake)));
});

t.test('IPv6', async (t) => {
  const { local, remote, family } = one(handshake, { client: 'fd00::1', server: 'fd00::2' });
  t.equal(formatTuple(local, remote), '[fd00::2]:80-[fd00::1]:4000');
  t.equal(family, 6);
});

t.test('packets cut short and headers that the interface fills in later', async (t) => {
  const packet = captured(0, true, 'P. 1:1001(1000) ack 1 win 5 <TS val 1 ecr 2>');
  const whole = '> P. 1:1001(1000) ack 1 win 5 <TS val 0 ecr 0>';
  const shows = (bytes: Uint8Array, original = packet.bytes.length): string[] => {
    const gatherer = new Gatherer();
    gatherer.take({ ...packet, bytes }, original, 0);
    return gatherer.exchanges().flatMap(segments);
  };
  t.same(shows(packet.bytes), [whole]);
  t.same(shows(packet.bytes.subarray(0, 60)), [whole], 'a snap length of 60 bytes');
  t.same(shows(packet.bytes.subarray(0, 15)), [], 'not even an IP header');
  const offloaded = packet.bytes.slice();
  offloaded.fill(0, 10, 12);
  offloaded.fill(0, 36, 38);
  t.same(shows(offloaded), [whole], 'checksums left to the interface');
  offloaded.fill(0, 2, 4);
  t.same(shows(offloaded), [whole], 'and the length as well');
  const wrong = packet.bytes.slice();
  wrong[10]! ^= 0x55;
  t.same(shows(wrong), [], 'a wrong header checksum is a broken packet');
  t.same(shows(packet.bytes.subarray(0, 100), 100), [], 'shorter than it says, and nobody cut it');
});

t.test('comments of files cannot drive the terminal', async (t) => {
  const packets = packetsOf(handshake).map((packet) => ({
    ...packet,
    comment: 'a\u001b[2Jb\u009bc\rd\nsecond line',
  }));
  const text = formatExchange(exchangesOf(packets)[0]!);
  t.match(text, /\| {3}a\?\[2Jb\?c\?d\n +\| {3}second line\n/);
  // eslint-disable-next-line no-control-regex
  t.notMatch(text, /[\u0000-\u0009\u000b-\u001f\u0080-\u009f]/);
});

t.test('a narrow terminal: timestamps go, long reasons are broken', async (t) => {
  const packets = packetsOf(handshake).map((packet) => ({
    ...packet,
    comment: `x: ${'word '.repeat(30)}[RFC 1]`,
  }));
  const exchange = exchangesOf(packets)[0]!;
  const narrow = formatExchange(exchange, { columns: 70 });
  t.notMatch(narrow, /TS val/);
  t.match(narrow, /Timestamps do not fit/);
  for (const line of narrow.split('\n').slice(0, -1)) t.ok(line.length <= 70, `${line.length}: ${line}`);
  t.match(formatExchange(exchange, { columns: 200 }), /TS val/);
  t.match(formatExchange(exchange), /(word ){30}/);
});
