/** Every kind of mistake in a script: its line, its column, what was found there and what is allowed. */
import t from 'tap';
import { parseScript } from '../../src/conform/parse.js';
import { run } from './run.js';

const table: readonly (readonly [script: string, message: string])[] = [
  ['0 < S 0:0(0) win 1\n+0 > X. 0:0(0)', "2:6: found 'X. 0:0(0)'; expected flags of S F R P . U E W, or '-'"],
  ['0 < S 0:1(0)', "1:9: found '1(0)'; expected the end 0 (0 + 0)"],
  [
    '0 < S 0:0(0) <mss 1460,\n  bogus 3>',
    "2:3: found 'bogus 3>'; expected an option: mss, nop, eol, wscale, sackOK, TS, sack, FO, FOEXP, md5, tw-holder, option-N",
  ],
  ['0 < . ...(0) ack 1', "1:7: found '...'; expected numbers: '...' is for segments that are to be sent (>)"],
  ['x', "1:1: found 'x'; expected a time: +0.1, 0.5, .1~.2, +0...0.2 or *"],
  ['0 read(3, ..., 10) 5', "1:20: found '5'; expected '=' and what the call returns"],
  [
    '0 read(3, NOSUCH, 10) = 5',
    "1:11: found 'NOSUCH, 10) = 5'; expected a constant that is known here, such as NULL, ENOSYS, ENOTSOCK",
  ],
  [
    '0 read(3) = -1 ENOSUCH',
    "1:16: found 'ENOSUCH'; expected the name of an errno, such as ENOSYS, ENOTSOCK, ENOBUFS",
  ],
  [
    '0 acept(3, ..., ...) = 4',
    "1:3: found 'acept(3, ..., ..'; expected a call that is known here, such as accept, accept4, socket",
  ],
  ['', '1:1: found the end of the file; expected at least one event'],
  ['0 read(3, [1, 2) = 5', "1:16: found ') = 5'; expected ',' or ']'"],
  ['0 `ls', '1:6: found the end of the file; expected the closing back-quote'],
  ['#ifdef a\n0 < R 0:0(0)', '1:1: found the end of the file; expected an #endif for this'],
  ['\n#else', "2:1: found '#else'; expected it behind an #ifdef or #ifndef, once"],
  ['#if 1\n#endif', "1:1: found '#if'; expected #ifdef, #ifndef, #else or #endif"],
  [
    '0 %{ import os }%',
    "1:6: found 'import os }%'; expected assert, print, pass or NAME = (code is not run)",
  ],
  [
    '0 %{ assert open("x") }%',
    `1:13: found 'open("x") }%'; expected one of abs, min, max, int, float, round, len, sum, str: no other function is known`,
  ],
  ['0 %{ assert x }', "1:15: found '}'; expected an operator, the end of the statement or '}%'"],
  ['0.2~0.1 < R 0:0(0)', "1:8: found ' < R 0:0(0)'; expected an end that is not before the start"],
  [
    '0 < icmp nosuch',
    "1:10: found 'nosuch'; expected an ICMP type: unreachable, source_quench, redirect, time_exceeded, parameter_problem, packet_too_big",
  ],
  ['0 > icmp unreachable', "1:5: found 'icmp unreachable'; expected a TCP segment: ICMP goes inbound only"],
  ['0 < S 0:0(0) win 70000', "1:18: found '70000'; expected a window of at most 65535"],
  ['0 < S 0:0(0) win', '1:17: found the end; expected a window'],
  ['0 < S 0:0 win 3', "1:10: found ' win 3'; expected '('"],
  ['0 < S 0(0)', "1:8: found '(0)'; expected ':'"],
  ['0 < S 5000000000:5(0)', "1:7: found '5000000000:5'; expected a sequence number of at most 4294967295"],
  ['0 < . 1:1(0) ack', '1:17: found the end; expected an acknowledgment number'],
  ['0 < . 1:1(0) ack 1 <mss 1460', "1:29: found the end; expected ',' or '>'"],
  ['0 < . 1:1(0) ack 1 <TS 5>', "1:24: found '5>'; expected 'val'"],
  ['0 < . 1:1(0) ack 1 <sack 5>', "1:27: found '>'; expected ':'"],
  ['0 < . 1:1(0) ack 1 <mss 1460 nop>', "1:30: found 'nop>'; expected ',' or '>'"],
  [
    '0 < . 1:1(0) ack 1 extra',
    "1:20: found 'extra'; expected 'win', 'urg', '<' and options, '/udp(' or the end of the segment",
  ],
  [
    '0 < . 1:1(0) win 3 ack 1',
    "1:20: found 'ack 1'; expected 'urg', '<' and options, '/udp(' or the end of the segment",
  ],
  [
    '0 < [ect3] . 1:1(0)',
    "1:6: found 'ect3] . 1:1('; expected noecn, ect0, ect1, ect01, ce, tos, tclass, ttl or hlim",
  ],
  ['0 < [tos 300] . 1:1(0)', "1:10: found '300] . 1:1(0'; expected a TOS octet of at most 255"],
  ['0 < . 1:1(0) ack 1 <wscale 300>', "1:28: found '300>'; expected a shift of at most 255"],
  ['+ < . 1:1(0)', "1:3: found '< . 1:1(0)'; expected a time: +0.1, 0.5, .1~.2, +0...0.2 or *"],
  [
    '0',
    '1:2: found the end of the file; expected an event: < or > and a packet, a call, `shell` or %{ code }%',
  ],
  ['0 read', "1:7: found the end of the file; expected '(' and the call's arguments"],
  [
    '0 read(',
    '1:8: found the end of the file; expected a value: a number, a name, "text", [list], {struct} or ...',
  ],
  ['0 read(3, "abc', `1:11: found '"abc'; expected the closing quote`],
  [
    '0 read(3) = ',
    '1:13: found the end of the file; expected a value: a number, a name, "text", [list], {struct} or ...',
  ],
  ['0 read(3) = 0 )', "1:15: found ')'; expected the end of the line"],
  ['0 read(3) = 0 (abc', "1:19: found the end of the file; expected ')'"],
  [
    '0 read(3,,4) = 0',
    `1:10: found ',4) = 0'; expected a value: a number, a name, "text", [list], {struct} or ...`,
  ],
  ['0 setsockopt(3, {a=1, a=2}) = 0', "1:23: found 'a=2}) = 0'; expected another field: 'a' was given"],
  ['0 {', "1:3: found '{'; expected an event: < or > and a packet, a call, `shell` or %{ code }%"],
  ['0 %{ }% x', "1:9: found 'x'; expected the end of the line"],
  ['0 < icmp unreachable nosuch', "1:22: found 'nosuch'; expected an ICMP code, such as host, net, no_route"],
  ['0 < icmp unreachable frag_needed mtu x', "1:38: found 'x'; expected an MTU"],
  [
    '0 < icmp unreachable frag_needed mtu 1 [1:2]',
    "1:41: found '1:2]'; expected the quoted segment as 1:1001(1000)",
  ],
  ['--=x', "1:3: found '=x'; expected the name of an option"],
  ['--mtu=\n', '1:7: found the end of the line; expected a value'],
  ['/* never closed\n0 < R 0:0(0)', "1:1: found the end of the file; expected '*/' for this"],
  ['#endif', "1:1: found '#endif'; expected it behind an #ifdef or #ifndef"],
  ['#ifdef\n#endif', "1:1: found '#ifdef'; expected #ifdef and one name"],
  ['0 %{ assert (1 }%', "1:16: found '}%'; expected ',' or ')'"],
  ['0 %{ assert 1 = 2 }%', "1:15: found '= 2 }%'; expected an operator, the end of the statement or '}%'"],
  ['0 %{ tcpi_x.y }%', "1:6: found 'tcpi_x.y }%'; expected assert, print, pass or NAME = (code is not run)"],
  ['0~+1 > . 1:1(0)', "1:4: found '1 > . 1:1(0)'; expected a time without '+'"],
  ['0...x read(3) = 0', "1:5: found 'x read(3) = 0'; expected a time: +0.1, 0.5, .1~.2, +0...0.2 or *"],
  [
    '0 < . 1:1(0) ack 1 <mss 1,mss 2,TS val 1 ecr 1,TS val 1 ecr 1,TS val 1 ecr 1,TS val 1 ecr 1>',
    "1:78: found 'TS val 1 ecr'; expected at most 40 bytes of options",
  ],
  ['+0 > S. 0:0(0) ack 1 <FO xyz>', "1:26: found 'xyz>'; expected ',' or '>'"],
  [
    '0 socket(..., SOCK_STRAEM, 0) = 3',
    "1:15: found 'SOCK_STRAEM, 0) '; expected a constant that is known here, such as SOCK_STREAM, SOCK_DGRAM, SOCK_RAW",
  ],
  ['-1 < . 1:1(0)', "1:1: found '-1 < . 1:1(0)'; expected a time: +0.1, 0.5, .1~.2, +0...0.2 or *"],
  [
    '0 < S 0:0(0) win 1 <wscal 7>',
    "1:21: found 'wscal 7>'; expected an option: mss, nop, eol, wscale, sackOK, TS, sack, FO, FOEXP, md5, tw-holder, option-N",
  ],
  ['0 <', "1:4: found the end; expected flags of S F R P . U E W, or '-'"],
  ['0 < S', '1:6: found the end; expected a sequence number'],
  [
    '0 > S. 0:0(0) ak 1',
    "1:15: found 'ak 1'; expected 'ack', 'win', 'urg', '<' and options, '/udp(' or the end of the segment",
  ],
  [
    '0 write(4, ..., 1000) = 1000 EAGIAN',
    "1:30: found 'EAGIAN'; expected the name of an errno, such as EAGAIN, EIO, EACCES",
  ],
];

t.test('wrong scripts: line, column, what was found; what is allowed', async (t) => {
  for (const [text, message] of table) {
    const parsed = parseScript(text);
    t.equal('error' in parsed ? `${parsed.line}:${parsed.column}: ${parsed.error}` : 'parses', message, text);
  }
});

t.test('every message says both', async (t) => {
  for (const [, message] of table) t.match(message, /^\d+:\d+: found .+; expected .+$/);
});

t.test('a place behind sections, comments and long lines is that of the file', async (t) => {
  const before = '/* two\n lines */\n#ifdef linux\n0 bad\n#else\n// nothing\n#endif\n';
  t.match(parseScript(`${before}+0 < S 0:0(0) <mss 1,\n     nop,\n     nap>`), { line: 10, column: 6 });
  const defined = parseScript('--define=LONG=4096\n0 read(3, ..., LONG) = ]', new Set());
  t.match(defined, { line: 2 }, 'a word that stands for another moves what is behind it, not its line');
});

t.test('what the parser cannot know is said when the line is played', async (t) => {
  const wrong = async (text: string): Promise<string> => {
    const { failure } = await run(text);
    return `${failure?.line}:${failure?.column}: ${failure?.message}`;
  };
  t.equal(
    await wrong('0 socket(..., SOCK_STREAM, 0) = 3\n* close(3) = 0'),
    "2:1: '*' is for expected segments only",
  );
  t.equal(await wrong('--mtu=x\n'), "1:1: --mtu takes an integer from 68 to 65535, got 'x'");
  t.match(await wrong('0 < icmp unreachable no_route'), /^1:1: ICMP for IPv4 has no 'unreachable no_route'/);
});
