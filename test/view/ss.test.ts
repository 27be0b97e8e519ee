/** The ss view against what iproute2's own ss printed for the same sockets. */
import t from 'tap';
import type { Endpoint, SocketRow } from '../../src/stack/api.js';
import { formatSocketSummary, formatSockets, selectSockets, ssTime } from '../../src/view/ss.js';

function end(text: string): Endpoint {
  const colon = text.lastIndexOf(':');
  const address = text.slice(0, colon);
  return { address, port: Number(text.slice(colon + 1)), family: address.includes(':') ? 6 : 4 };
}

interface Extra {
  queues?: [recv: number, send: number];
  timer?: [name: string, left: number, retransmits?: number];
}

function row(state: string, local: string, remote: string | null, { queues, timer }: Extra = {}): SocketRow {
  return {
    state,
    local: end(local),
    remote: remote === null ? null : end(remote),
    recvQ: queues?.[0] ?? 0,
    sendQ: queues?.[1] ?? 0,
    timer: timer?.[0] ?? '',
    timerLeft: timer?.[1] ?? 0,
    retransmits: timer?.[2] ?? 0,
  };
}

/** The sockets of one Linux 6.1 namespace, as ss 6.1.0 found them. */
const rows: readonly SocketRow[] = [
  row('LISTEN', '127.0.0.1:80', null, { queues: [0, 5] }),
  row('LISTEN', '0.0.0.0:7', null, { queues: [1, 4096] }),
  row('ESTABLISHED', '127.0.0.1:80', '127.0.0.1:59686'),
  row('ESTABLISHED', '127.0.0.1:59686', '127.0.0.1:80', { queues: [300, 0] }),
  row('CLOSE-WAIT', '127.0.0.1:59698', '127.0.0.1:80', { queues: [1, 0] }),
  row('TIME-WAIT', '127.0.0.1:80', '127.0.0.1:59708', { timer: ['timewait', 59_200] }),
  row('FIN-WAIT-2', '127.0.0.1:80', '127.0.0.1:59698', { timer: ['timewait', 59_999] }),
  row('LISTEN', ':::8080', null, { queues: [0, 128] }),
  row('ESTABLISHED', '::1:38954', '::1:8080'),
  row('ESTABLISHED', '::1:8080', '::1:38954', { timer: ['keepalive', 7_199_000] }),
  row('TIME-WAIT', '::1:8080', '::1:38962', { timer: ['timewait', 59_000] }),
];

/** `|` marks the end of the line: ss pads its last column. */
const text = (lines: string): string => lines.trim().replaceAll('|\n', '\n').replace(/\|$/, '');

t.test('ss -tan', async (t) => {
  t.equal(
    formatSockets(selectSockets(rows, { all: true }), {}),
    text(`
State      Recv-Q Send-Q Local Address:Port  Peer Address:Port Process|
LISTEN     0      5          127.0.0.1:80         0.0.0.0:*           |
LISTEN     1      4096         0.0.0.0:7          0.0.0.0:*           |
ESTAB      0      0          127.0.0.1:80       127.0.0.1:59686       |
ESTAB      300    0          127.0.0.1:59686    127.0.0.1:80          |
CLOSE-WAIT 1      0          127.0.0.1:59698    127.0.0.1:80          |
TIME-WAIT  0      0          127.0.0.1:80       127.0.0.1:59708       |
FIN-WAIT-2 0      0          127.0.0.1:80       127.0.0.1:59698       |
LISTEN     0      128             [::]:8080          [::]:*           |
ESTAB      0      0              [::1]:38954        [::1]:8080        |
ESTAB      0      0              [::1]:8080         [::1]:38954       |
TIME-WAIT  0      0              [::1]:8080         [::1]:38962       |`),
  );
});

t.test('ss -tno', async (t) => {
  t.equal(
    formatSockets(selectSockets(rows, {}), { timers: true }),
    text(`
State      Recv-Q Send-Q Local Address:Port  Peer Address:Port Process                    |
ESTAB      0      0          127.0.0.1:80       127.0.0.1:59686                           |
ESTAB      300    0          127.0.0.1:59686    127.0.0.1:80                              |
CLOSE-WAIT 1      0          127.0.0.1:59698    127.0.0.1:80                              |
FIN-WAIT-2 0      0          127.0.0.1:80       127.0.0.1:59698 timer:(timewait,59sec,0)  |
ESTAB      0      0              [::1]:38954        [::1]:8080                            |
ESTAB      0      0              [::1]:8080         [::1]:38954 timer:(keepalive,119min,0)|`),
  );
});

t.test('ss -tln: as narrow as ss makes it', async (t) => {
  t.equal(
    formatSockets(selectSockets(rows, { listening: true }), {}),
    text(`
State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess|
LISTEN 0      5          127.0.0.1:80        0.0.0.0:*          |
LISTEN 1      4096         0.0.0.0:7         0.0.0.0:*          |
LISTEN 0      128             [::]:8080         [::]:*          |`),
  );
});

t.test('-4 and -6', async (t) => {
  t.equal(selectSockets(rows, { all: true, family: 6 }).length, 4);
  t.equal(selectSockets(rows, { all: true, family: 4 }).length, 7);
  t.same(
    selectSockets(rows, { family: 6 }).map(({ state }) => state),
    ['ESTABLISHED', 'ESTABLISHED'],
  );
});

t.test('states in the words of ss; plain ss leaves out what has no connection', async (t) => {
  const states = [
    ['CLOSED', 'UNCONN', false],
    ['LISTEN', 'LISTEN', false],
    ['SYN-SENT', 'SYN-SENT', true],
    ['SYN-RECEIVED', 'SYN-RECV', false],
    ['ESTABLISHED', 'ESTAB', true],
    ['FIN-WAIT-1', 'FIN-WAIT-1', true],
    ['FIN-WAIT-2', 'FIN-WAIT-2', true],
    ['CLOSE-WAIT', 'CLOSE-WAIT', true],
    ['CLOSING', 'CLOSING', true],
    ['LAST-ACK', 'LAST-ACK', true],
    ['TIME-WAIT', 'TIME-WAIT', false],
  ] as const;
  for (const [state, word, shown] of states) {
    const one = row(state, '10.77.0.2:80', '10.77.0.1:1024');
    t.equal(formatSockets([one], {}).split('\n')[1]?.split(' ')[0], word);
    t.equal(selectSockets([one], {}).length, shown ? 1 : 0, `plain ss and ${state}`);
    t.equal(selectSockets([one], { all: true }).length, 1, `ss -a and ${state}`);
  }
});

t.test('a terminal: the whole width, columns in line', async (t) => {
  const narrow = formatSockets(rows, {}).split('\n');
  for (const width of [80, 81, 120, 199]) {
    const lines = formatSockets(rows, { width }).split('\n');
    for (const line of lines) t.equal(line.length, width);
    t.same(
      lines.map((line) => line.trim().split(/\s+/)),
      narrow.map((line) => line.trim().split(/\s+/)),
      'the same words',
    );
  }
  t.equal(formatSockets(rows, { width: 20 }), narrow.join('\n'), 'too narrow: as into a pipe');
});

t.test('no sockets: the head alone', async (t) => {
  t.equal(formatSockets([], {}), 'State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess');
});

t.test('times', async (t) => {
  const times: [number, string][] = [
    [0, ''],
    [5, '005ms'],
    [200, '200ms'],
    [1000, '1sec'],
    [1234, '1.234ms'],
    [9120, '9.120ms'],
    [10_500, '10sec'],
    [59_999, '59sec'],
    [60_000, '1min'],
    [90_700, '1min30sec'],
    [599_000, '9min59sec'],
    [659_000, '10min'],
    [7_200_000, '120min'],
  ];
  for (const [ms, expected] of times) t.equal(ssTime(ms), expected, `${ms} ms`);
});

t.test('timer with retransmissions', async (t) => {
  const syn = row('SYN-SENT', '10.77.0.2:40000', '10.77.0.1:81', {
    queues: [0, 1],
    timer: ['on', 3400, 2],
  });
  t.match(formatSockets([syn], { timers: true }), /SYN-SENT 0 +1 .* timer:\(on,3\.400ms,2\)$/);
});

t.test('ss -s', async (t) => {
  const counts = { LISTEN: 3, ESTABLISHED: 6, 'FIN-WAIT-2': 1, 'CLOSE-WAIT': 1, 'TIME-WAIT': 3, CLOSED: 0 };
  t.equal(
    formatSocketSummary({ counts, orphans: 0, live: { v4: 7, v6: 3 } }),
    text(`
Total: 10
TCP:   14 (estab 6, closed 4, orphaned 0, timewait 4)

Transport Total     IP        IPv6
TCP\t  10        7         3        |
INET\t  10        7         3        |

LISTEN     3
ESTAB      6
FIN-WAIT-2 1
CLOSE-WAIT 1
TIME-WAIT  3`),
    'a FIN-WAIT-2 that is only a record counts as timewait, as the kernel counts it',
  );
  t.match(formatSocketSummary({ counts: {}, orphans: 0, live: { v4: 0, v6: 0 } }), /^Total: 0\nTCP: {3}0 \(/);
});
