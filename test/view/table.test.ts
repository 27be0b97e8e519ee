/** Tables, ladders and the summary of a run. */
import t from 'tap';
import { colours, noColours, paletteFor } from '../../src/view/colour.js';
import { formatLadder } from '../../src/view/ladder.js';
import { formatSummary, type RunSummary } from '../../src/view/summary.js';
import { formatTable } from '../../src/view/table.js';

t.test('columns as wide as their widest cell, numbers to the right, no space at the end', async (t) => {
  t.equal(
    formatTable(
      [{ title: 'name' }, { title: 'n', right: true }, { title: 'text' }],
      [
        ['a', '1', 'one'],
        ['longer', '1000', ''],
      ],
    ),
    ['name       n  text', '------  ----  ----', 'a          1  one', 'longer  1000'].join('\n'),
  );
});

t.test('too wide: what may be broken is, at blanks, and shares the room', async (t) => {
  const columns = [
    { title: 'n', right: true },
    { title: 'what', wraps: true },
    { title: 'source', wraps: true },
  ];
  const row = ['7', 'dropped silently: SYN at or below RCV.NXT', 'FreeBSD tcp_twcheck; RFC 1122 4.2.2.13'];
  t.equal(
    formatTable(columns, [row, ['12', 'kept', '']], 54),
    [
      ' n  what                      source',
      '--  ------------------------  ------------------------',
      ' 7  dropped silently: SYN at  FreeBSD tcp_twcheck; RFC',
      '    or below RCV.NXT          1122 4.2.2.13',
      '12  kept',
    ].join('\n'),
  );
  t.equal(formatTable(columns, [row], 200), formatTable(columns, [row]), 'it fits: as it was');
  const uneven = formatTable(columns, [['7', 'kept', row[1]!]], 40).split('\n');
  t.equal(uneven[2], '7  kept  dropped silently: SYN at or', 'a short column leaves its room to the other');
  t.ok(formatTable(columns, [row], 10).split('\n').length < 6, 'no narrower than 20 columns');
});

t.test('colours take no room', async (t) => {
  const plain = formatTable([{ title: 'x' }, { title: 'y' }], [['no', 'z']]);
  const painted = formatTable([{ title: 'x' }, { title: 'y' }], [[colours.bad('no'), 'z']]);
  t.not(painted, plain);
  t.equal(painted.replaceAll('\u001b[31m', '').replaceAll('\u001b[0m', ''), plain);
});

t.test('colours on terminals, unless NO_COLOR', async (t) => {
  t.equal(paletteFor(true, {}), colours);
  t.equal(paletteFor(true, { NO_COLOR: '' }), colours, 'set to nothing is not set (no-color.org)');
  t.equal(paletteFor(true, { NO_COLOR: '1' }), noColours);
  t.equal(paletteFor(false, {}), noColours);
});

t.test('a ladder: all lines end at the right rail', async (t) => {
  const lines = formatLadder(
    [
      { time: 0, rightward: true, segment: 'S 0:0(0) win 64240', comment: '' },
      { time: 0.52, rightward: false, segment: 'R. 0:0(0) ack 1', comment: 'closed-rst: no listener' },
      { time: 1234.5, rightward: true, segment: 'S 0:0(0) win 64240', comment: '' },
    ],
    { left: 'client', right: 'timewait', width: 40 },
  ).split('\n');
  t.match(lines[0], /^ {7}ms {2}client +timewait$/);
  t.match(lines[1], /^ {6}0\.0 {2}\|-- S 0:0\(0\) win 64240 -+>\|$/);
  t.match(lines[2], /^ {6}0\.5 {2}\|<- R\. 0:0\(0\) ack 1 -+-\|$/);
  t.match(lines[3], /\| {3}closed-rst: no listener$/);
  t.match(lines[4], /^ {5}123[45] {2}\|-- S/);
  t.same(new Set([lines[0], lines[1], lines[2], lines[4]].map((line) => line?.length)).size, 1);
});

const summary: RunSummary = {
  policy: 'bsd',
  command: ['curl', 'http://10.77.0.2/'],
  status: 7,
  seconds: 1.234,
  connections: { accepted: 3, opened: 1, errors: { ECONNRESET: 2, ETIMEDOUT: 1 } },
  bytes: { in: 146, out: 314 },
  timeWait: { stack: 2, kernel: 5 },
  states: { ESTABLISHED: 1, 'TIME-WAIT': 2 },
  segments: { in: 11, out: 9, retransmitted: 4 },
  losses: {},
  decisions: [{ reason: 'tw-enter', count: 2, text: 'entered TIME-WAIT', source: 'RFC 9293 3.10.7.4' }],
  pcap: '/tmp/x.pcapng',
};

t.test('the summary says everything there is', async (t) => {
  const text = formatSummary(summary);
  for (const part of [
    'curl http://10.77.0.2/',
    'exit status 7 after 1.23 s',
    'bsd',
    '3 accepted, 1 opened, errors: ECONNRESET 2, ETIMEDOUT 1',
    '146 in, 314 out',
    '11 in, 9 out, 4 retransmitted',
    "2 on our side, 5 on the kernel's",
    'ESTABLISHED 1, TIME-WAIT 2',
    '/tmp/x.pcapng',
  ]) {
    t.ok(text.includes(part), part);
  }
  t.match(text, /^ +2 {2}tw-enter {2}entered TIME-WAIT {2}RFC 9293 3\.10\.7\.4$/m);
  const quiet = formatSummary({
    ...summary,
    connections: { ...summary.connections, errors: {} },
    states: {},
    decisions: [],
    pcap: null,
  });
  t.match(quiet, /no errors/);
  t.match(quiet, /states +none/);
  t.notMatch(quiet, /capture|decisions/);
});
