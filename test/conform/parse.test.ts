import t from 'tap';
import fc from 'fast-check';
import { parseCode } from '../../src/conform/code.js';
import { evaluate } from '../../src/conform/evaluate.js';
import { parseScript } from '../../src/conform/parse.js';
import { Reader } from '../../src/conform/reader.js';
import type { CallEvent, Script, ScriptEvent } from '../../src/conform/script.js';
import { formatValue } from '../../src/conform/values.js';
import { formatNotation } from '../../src/wire/notation.js';

function script(text: string, ...defined: string[]): Script {
  const parsed = parseScript(text, new Set(defined));
  if ('error' in parsed) throw new Error(`${parsed.line}:${parsed.column}: ${parsed.error}`);
  return parsed;
}
const one = (text: string): ScriptEvent => script(text).events[0]!;
const call = (text: string): CallEvent => one(`0 ${text}`) as CallEvent;

t.test('every form of time', async (t) => {
  const forms: [text: string, at: number | null, relative: boolean, until: number | null, spans: boolean][] =
    [
      ['0', 0, false, null, false],
      ['0.5', 500_000, false, null, false],
      ['.25', 250_000, false, null, false],
      ['+0', 0, true, null, false],
      ['+.1', 100_000, true, null, false],
      ['+0.000001', 1, true, null, false],
      ['*', null, false, null, false],
      ['0.1~0.2', 100_000, false, 200_000, false],
      ['+0.1~+0.2', 100_000, true, 200_000, false],
      ['+.01...0.011', 10_000, true, 11_000, true],
      ['+0...0.2', 0, true, 200_000, true],
      ['1...2', 1_000_000, false, 2_000_000, true],
    ];
  for (const [text, at, relative, until, spans] of forms)
    t.same(one(`${text} > . 1:1(0) ack 1`).time, { at, relative, until, spans }, text);
});

t.test('segments, on one line or more', async (t) => {
  const events = script(`
0 < S 0:1000(1000) win 65535 <mss 1460,sackOK,
     TS val 1 ecr 0,nop,wscale 8>
+0 > S. 0:0(0) ack 1 <...>   // any options
+0 > [ect0] P. 1:11(10) ack 1
     <nop,nop,TS val 5 ecr 1>
+0 < - 1:1(0) ack 7 win 5
`).events;
  t.same(
    events.map((event) =>
      event.kind === 'segment' ? `${event.line} ${event.inbound} ${formatNotation(event.segment)}` : '',
    ),
    [
      '2 true S 0:1000(1000) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 8>',
      '4 false S. 0:0(0) ack 1 <...>',
      '5 false [ect0] P. 1:11(10) ack 1 <nop,nop,TS val 5 ecr 1>',
      '7 true - 1:1(0) ack 7 win 5',
    ],
  );
  t.equal(events[1]!.source, '+0 > S. 0:0(0) ack 1 <...>');
});

t.test('ICMP', async (t) => {
  const { type, code, mtu, quoted } = one(
    '1 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]',
  ) as never;
  t.same([type, code, mtu, quoted], ['unreachable', 'frag_needed', 1200, { seq: 1, length: 1000 }]);
});

t.test('calls and their arguments', async (t) => {
  const written: [text: string, args: string[], result: string, errno: string][] = [
    ['socket(..., SOCK_STREAM, IPPROTO_TCP) = 3', ['...', '1', '6'], '3', ''],
    ['fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0', ['3', '4', '2050'], '0', ''],
    ['fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)', ['3', '3'], '2', ''],
    [
      'connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)',
      ['3', '...', '...'],
      '-1',
      'EINPROGRESS',
    ],
    ['read(4, ..., 1000) = -1 EWOULDBLOCK', ['4', '...', '1000'], '-1', 'EAGAIN'],
    ['setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0', ['3', '1', '2', '[1]', '4'], '0', ''],
    [
      'setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0',
      ['3', '1', '13', '{onoff=1, linger=0}', '8'],
      '0',
      '',
    ],
    [
      'epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLET, fd=4}) = 0',
      ['5', '1', '4', '{events=2147483649, fd=4}'],
      '0',
      '',
    ],
    [
      'poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, 0) = 1',
      ['[{fd=3, events=1, revents=1}]', '1', '0'],
      '1',
      '',
    ],
    ['writev(4, [{..., 1000}, {"ab", 2}], 2) = 1002', ['4', '[{..., 1000}, {"ab", 2}]', '2'], '1002', ''],
    [
      'sendmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0}, MSG_NOSIGNAL) = 10',
      ['4', '{msg_name=..., msg_iov=[{..., 10}], msg_flags=0}', '16384'],
      '10',
      '',
    ],
    [
      'bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("10.0.0.1")}, ...) = 0',
      ['3', '{sa_family=2, sin_port=80, sin_addr="10.0.0.1"}', '...'],
      '0',
      '',
    ],
  ];
  for (const [text, args, result, errno] of written) {
    const parsed = call(text);
    t.same(
      [parsed.args.map(formatValue), formatValue(parsed.result), parsed.errno],
      [args, result, errno],
      text,
    );
  }
});

t.test('shell lines, code, comments, options', async (t) => {
  const parsed = script(`#!/usr/bin/env x
// a comment
--ip_version=ipv6
--tolerance_usecs=4000
/* more
   lines */
0 \`sysctl -q net.ipv4.tcp_sack=0 // kept
sysctl x=1\`
+0 %{
assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd  # Python
assert (1 <= tcpi_unacked < 5 or
        not tcpi_lost)
}%
`);
  t.same(
    [...parsed.options],
    [
      ['ip_version', 'ipv6'],
      ['tolerance_usecs', '4000'],
    ],
  );
  t.same(
    parsed.events.map(({ kind, line }) => [kind, line]),
    [
      ['shell', 7],
      ['code', 9],
    ],
  );
  const [shell, code] = parsed.events as never as [{ command: string }, { statements: unknown[] }];
  t.match(shell.command, /\/\/ kept\nsysctl/);
  t.equal(code.statements.length, 2);
});

t.test('shell lines that prepare a run need no time', async (t) => {
  const { kind, time } = one('// first\n`../common/defaults.sh`\n+0 < R 0:0(0)');
  t.same([kind, time.at], ['shell', 0]);
  t.match(script('0 < R 0:0(0)\n`ls`').events[1], { kind: 'shell', time: { at: 0, relative: true } });
  t.match(parseScript('0 < R 0:0(0)\n`ls`\n0 < R 0:0(0)'), { line: 2, column: 1 });
});

t.test('sections', async (t) => {
  const text = `#ifdef linux
0 > R 0:0(0)
#ifndef deep
+1 > R 1:1(0)
#endif
#else
0 > R 2:2(0)
#endif
`;
  const seqs = (...defined: string[]): unknown =>
    script(text, ...defined).events.map((event) => event.kind === 'segment' && event.segment.seq);
  t.same(seqs('linux'), [0, 1]);
  t.same(seqs('linux', 'deep'), [0]);
  t.same(seqs(), [2]);
});

t.test('code counts as Python does', async (t) => {
  const names: Record<string, number> = { x: 7, y: -3 };
  const value = (text: string): unknown => {
    const [statement] = parseCode(new Reader(`assert ${text} }%`));
    return statement!.kind === 'assert' && evaluate(statement!.condition, (name) => names[name] ?? null);
  };
  const cases: [text: string, value: number][] = [
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['y // 2', -2],
    ['y % 5', 2],
    ['-x - -y', -10],
    ['1 < x < 10', 1],
    ['1 < x < 5', 0],
    ['x == 7 and y', -3],
    ['x == 8 or y == -3', 1],
    ['not x == 7', 0],
    ['x & 3 | 8', 11],
    ['1 << 4 >> 1', 8],
    ['min(x, 3) + abs(y)', 6],
    ['x / 2', 3.5],
  ];
  for (const [text, expected] of cases) t.equal(value(text), expected, text);
});

t.test('whatever the text: a script or an error with a place, no exception', async (t) => {
  const piece = fc.constantFrom(
    ...'0 |+.1 |* |...|~|< |> |S. |0:0(0)| ack 1| win 5|<mss 1>|<|>|\n|read(|)|=|3|-1|EAGAIN|`|%{|}%|assert |tcpi_x|==|(|[|]|{|}|,|"|#ifdef a\n|#endif\n|#else\n|//|/*|*/|icmp |--a=b|and |not |+|-|%'.split(
      '|',
    ),
  );
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(fc.oneof(text, fc.string()), (each) => {
      const parsed = parseScript(each);
      return 'events' in parsed || (parsed.line >= 1 && parsed.column >= 1 && parsed.error !== '');
    }),
    { numRuns: 5000 },
  );
  t.pass();
});
