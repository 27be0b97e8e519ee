/** What `run` and `serve` say at their end. */
import t from 'tap';
import { formatSummary, type RunSummary } from '../../src/view/summary.js';

const summary: RunSummary = {
  policy: 'bsd',
  command: ['curl', 'http://10.77.0.2/'],
  status: 0,
  seconds: 1.234,
  connections: { accepted: 3, opened: 0, errors: {} },
  bytes: { in: 240, out: 480 },
  timeWait: { stack: 1, kernel: 2 },
  states: { 'TIME-WAIT': 1 },
  segments: { in: 18, out: 15, retransmitted: 0 },
  losses: {},
  decisions: [],
  pcap: null,
};

t.test('a run without decisions', async (t) => {
  t.same(formatSummary(summary).split('\n'), [
    '',
    'command      curl http://10.77.0.2/',
    '             exit status 0 after 1.23 s',
    'policy       bsd',
    'connections  3 accepted, 0 opened, no errors',
    'bytes        240 in, 480 out',
    'segments     18 in, 15 out, 0 retransmitted',
    "TIME-WAIT    1 on our side, 2 on the kernel's",
    'states       TIME-WAIT 1',
  ]);
});

t.test('errors, decisions and the capture', async (t) => {
  const text = formatSummary({
    ...summary,
    connections: { accepted: 3, opened: 1, errors: { ECONNRESET: 2, ETIMEDOUT: 1 } },
    states: {},
    decisions: [
      { reason: 'tw-syn-accepted', count: 120, text: 'accepted: new connection', source: 'RFC 1122' },
      { reason: 'tw-enter', count: 3, text: 'entered TIME-WAIT', source: 'RFC 9293' },
    ],
    pcap: 'out.pcapng',
  });
  t.match(text, '3 accepted, 1 opened, errors: ECONNRESET 2, ETIMEDOUT 1');
  t.match(text, 'states       none');
  t.match(text, 'capture      out.pcapng');
  t.same(
    text
      .split('\n')
      .slice(-3)
      .map((line) => line.trim().split(/ {2,}/)),
    [
      ['---------', '---------------', '------------------------', '--------'],
      ['120', 'tw-syn-accepted', 'accepted: new connection', 'RFC 1122'],
      ['3', 'tw-enter', 'entered TIME-WAIT', 'RFC 9293'],
    ],
  );
});
