/** Ladders: from captured packets to text. */
import t from 'tap';
import { CaptureLink } from '../../src/link/capture.js';
import { memoryLink } from '../../src/link/memory.js';
import { MemorySink } from '../../src/link/sink.js';
import { ManualClock } from '../../src/time/clock.js';
import { PacketRing } from '../../src/wire/ring.js';
import { readPcapng } from '../../src/wire/pcapng.js';
import { Reason } from '../../src/reasons.js';
import { rungsOf } from '../../src/view/capture.js';
import { colours } from '../../src/view/colour.js';
import { formatLadder, formatSpan, type Rung } from '../../src/view/ladder.js';
import { width } from '../../src/view/table.js';
import { packet } from '../lab/packets.js';
import { send } from '../link/packets.js';

const PEER = '10.0.0.1';
const US = '10.0.0.2';

const rungs: Rung[] = [
  { time: 0, rightward: true, segment: 'S 0:0(0) win 1', comment: '' },
  { time: 0.25, rightward: false, segment: 'S. 0:0(0) ack 1 win 2', comment: '' },
  { time: 99.96, rightward: true, segment: '. 1:1(0) ack 1 win 1', comment: 'why: because [RFC 1]' },
  { time: 240_000, rightward: true, segment: 'R 1:1(0)', comment: '' },
];

t.test('a ladder', async (t) => {
  t.same(formatLadder(rungs, { left: 'peer', right: 'us' }).split('\n'), [
    '       ms  peer                         us',
    '      0.0  |-- S 0:0(0) win 1 ---------->|',
    '      0.3  |<- S. 0:0(0) ack 1 win 2 ----|',
    '    100.0  |-- . 1:1(0) ack 1 win 1 ---->|',
    '           |   why: because [RFC 1]',
    '   240000  |-- R 1:1(0) ---------------->|',
  ]);
});

t.test(
  'a ladder from a file: packet numbers, silence, lines of their own, what no segment caused',
  async (t) => {
    const long = 'because: a reason that goes on and on [RFC 1]';
    const some: Rung[] = [
      { time: 0, rightward: true, segment: 'S 0:0(0) win 1', comment: 'one\ntwo', frame: 9 },
      { time: 999, rightward: true, segment: 'S 0:0(0) win 1', comment: '', frame: 10 },
      { time: 1999, rightward: false, segment: '. 1:1(0)', comment: long, frame: 11, heading: 'news' },
      { time: 2000, rightward: true, segment: '', comment: 'over' },
    ];
    t.same(formatLadder(some, { left: 'a', right: 'b', gap: 1000, columns: 50 }).split('\n'), [
      '       ms    #  a                      b',
      '      0.0    9  |-- S 0:0(0) win 1 --->|',
      '                |   one',
      '                |   two',
      '      999   10  |-- S 0:0(0) win 1 --->|',
      '                :   1.00 s later',
      '                = news',
      '     1999   11  |<- . 1:1(0) ----------|',
      '                |   because: a reason that goes',
      '                |     on and on [RFC 1]',
      '     2000       |   over',
    ]);
    const painted = formatLadder(some, {
      left: 'a',
      right: 'b',
      palette: colours,
      toneOf: (line) => (line === 'two' ? 'bad' : line === 'over' ? 'good' : undefined),
    });
    t.match(painted, colours.bad('two'));
    t.match(painted, colours.good('over'));
    t.match(painted, colours.dim('one'));
  },
);

t.test('spans of time', async (t) => {
  const cases: [number, string][] = [
    [0, '0.0 ms'],
    [9.94, '9.9 ms'],
    [999, '999 ms'],
    [1000, '1.00 s'],
    [59_990, '59.99 s'],
    [59_999, '1 min 0 s'],
    [240_000, '4 min 0 s'],
    [3_600_000, '1 h 0 min'],
    [7_500_000, '2 h 5 min'],
  ];
  for (const [ms, text] of cases) t.equal(formatSpan(ms), text);
});

t.test('all arrows are as long as the widest needs, or as wanted', async (t) => {
  for (const options of [
    { left: 'a', right: 'b' },
    { left: 'a', right: 'b', width: 60 },
    { left: 'a name that is longer than the segments', right: 'and another one' },
    { left: 'a', right: 'b', palette: colours },
  ]) {
    const lines = formatLadder(rungs, options).split('\n');
    const arrows = lines.filter((line) => /[|]$/.test(line));
    t.equal(arrows.length, 4);
    t.equal(new Set(arrows.map(width)).size, 1, 'they end in one column');
    t.equal(width(lines[0]!), width(arrows[0]!), 'and so does the head');
  }
  t.match(formatLadder([], { left: 'a', right: 'b' }), /a +b$/, 'nothing happened');
});

/** A capture of one exchange: half a connection, one packet of another port, one that is no TCP. */
function captured(): Uint8Array {
  const clock = new ManualClock(0, 1_700_000_000);
  const [far, near] = memoryLink();
  const sink = new MemorySink();
  const link = new CaptureLink(near, sink, clock);
  const ring = new PacketRing(16, 1500);
  const arrive = (bytes: Uint8Array, reason = 0): void => {
    send(far, bytes);
    link.receive(ring);
    ring.reasons[ring.slotOf(ring.count - 1)] = reason;
    link.settle(ring);
    ring.clear();
  };
  arrive(packet(PEER, 4000, US, 80, 'S 4294967295:4294967295(0) win 100 <mss 1460>'));
  clock.advance(5);
  send(link, packet(US, 80, PEER, 4000, 'S. 1000:1000(0) ack 0 win 200'));
  arrive(packet(PEER, 4001, US, 80, 'S 5:5(0) win 100'));
  const udp = packet(PEER, 4000, US, 80, 'S 5:5(0) win 100');
  udp[9] = 17;
  arrive(udp);
  clock.advance(55);
  arrive(packet(PEER, 4000, US, 80, 'S 50:50(0) win 100'), Reason['tw-syn-low']);
  return sink.bytes();
}

t.test(
  'rungs of a capture: one connection, numbers from its first SYNs, times from its first segment',
  async (t) => {
    const packets = readPcapng(captured());
    t.ok(packets);
    const found = rungsOf(packets!, 80, 4000);
    t.same(
      found.map(({ rightward, segment }) => `${rightward ? '>' : '<'} ${segment}`),
      ['> S 0:0(0) win 100 <mss 1460>', '< S. 0:0(0) ack 1 win 200', '> S 51:51(0) win 100'],
    );
    t.same(
      found.map(({ time }) => Math.round(time)),
      [0, 5, 60],
    );
    t.same(
      found.map(({ comment }) => comment.split(':')[0]),
      ['', '', 'tw-syn-low'],
    );
    t.same(rungsOf(packets!, 81, 4000), []);
  },
);
