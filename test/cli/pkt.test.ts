/** `timewait pkt run` as a user runs it. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPcapng } from '../../src/wire/pcapng.js';
import { timewait } from './helpers.js';

const passing = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1460>
+0 > S. 0:0(0) ack 1 <...>
`;
const failing = `${passing}+.1 < R 1:1(0)\n+0 > R 1:1(0)\n`;

function scripts(dir: string, texts: Record<string, string>): string {
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(join(dir, name, '..'), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

t.test('all pass: one line, status 0', async (t) => {
  const dir = scripts(t.testdir(), { 'a.pkt': passing, 'deep/b.pkt': passing, 'notes.txt': 'no script' });
  const { status, stdout, stderr } = await timewait(['pkt', 'run', dir]);
  t.equal(stderr, '');
  t.match(stdout, /^2 of 2 scripts passed in [\d.]+ s, \d+ scripts\/s\n$/);
  t.equal(status, 0);
});

t.test('a failure: the line, expected, got, a ladder, status 1', async (t) => {
  const dir = scripts(t.testdir(), { 'a.pkt': passing, 'b.pkt': failing });
  const { status, stdout } = await timewait(['pkt', 'run', dir]);
  t.equal(status, 1);
  t.match(stdout, /b\.pkt:7:1: expected a segment, nothing was sent\n {2}script {4}\+0 > R 1:1\(0\)\n/);
  t.match(stdout, / {2}expected {2}R 1:1\(0\)\n {2}got {7}nothing\n/);
  t.match(stdout, /\|-- S 0:0\(0\) win 65535 <mss 1460> -+>\|/);
  t.match(stdout, /\n1 of 2 scripts passed/);
});

t.test('an error of syntax: line and column, status 1', async (t) => {
  const dir = scripts(t.testdir(), { 'a.pkt': '0 < S 0:0(0) win 1\n+0 < X 0:0(0)\n' });
  const { status, stdout } = await timewait(['pkt', 'run', join(dir, 'a.pkt')]);
  t.match(stdout, /a\.pkt:2:6: found 'X 0:0\(0\)'; expected flags of S F R P/);
  t.equal(status, 1);
});

t.test('a name for #ifdef that is none', async (t) => {
  const dir = scripts(t.testdir(), { 'a.pkt': passing });
  const { status, stderr } = await timewait(['pkt', 'run', dir, '--define', '1x=3']);
  t.match(stderr, /--define 1x=3: a name has letters, digits and _, and does not begin with a digit\n/);
  t.equal(status, 2);
});

t.test('JSON, captures, knobs and names for #ifdef', async (t) => {
  const text = `#ifdef special\n${passing.replace('<...>', '<mss 1460>')}#endif\n+.1 < R 1:1(0)\n+0 > R 1:1(0)\n`;
  const dir = scripts(t.testdir(), { 'a.pkt': text });
  const captures = join(dir, 'captures');
  const more = [
    '--define',
    'special',
    '--set',
    'tcp_sack=0',
    '--pcap',
    captures,
    '--json',
    '--profile',
    'bsd',
  ];
  const { status, stdout } = await timewait(['pkt', 'run', join(dir, 'a.pkt'), ...more]);
  t.equal(status, 1);
  t.match(JSON.parse(stdout), {
    target: 'stack',
    passed: 0,
    failed: 1,
    scripts: [
      { passed: false, failure: { line: 9, expected: 'R 1:1(0)', got: 'nothing' }, segments: [{}, {}, {}] },
    ],
  });
  const [file] = readdirSync(captures);
  t.match(file, /a\.pcapng$/);
  t.equal(readPcapng(readFileSync(join(captures, file!)))!.length, 3);
});

const tshark = spawnSync('tshark', ['--version']);
const missing = tshark.status === 0 ? false : 'tshark is not installed (Debian: apt-get install tshark)';

t.test(
  'tshark reads the capture: whole packets, right checksums, reasons as comments',
  { skip: missing },
  async (t) => {
    const captures = t.testdir();
    await timewait(['pkt', 'run', '--pcap', captures, 'test/conformance/scripts/time-wait-rfc1337.pkt']);
    const [file] = readdirSync(captures);
    const fields = ['frame.time_relative', 'ip.src', 'tcp.flags.str', 'tcp.checksum.status', 'frame.comment'];
    const args = ['-r', join(captures, file!), '-o', 'tcp.check_checksum:TRUE', '-T', 'fields'];
    const { status, stdout, stderr } = spawnSync('tshark', [...args, ...fields.flatMap((f) => ['-e', f])], {
      encoding: 'utf8',
    });
    t.equal(status, 0, stderr);
    const packets = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    t.equal(packets.length, 12);
    t.ok(
      packets.every(([, , , checksum]) => checksum === '1'),
      'checksums are good',
    );
    const [time, from, flags, , comment] = packets[9]!;
    t.match([Number(time), from, flags], [0.4, '192.0.2.1', /R/]);
    t.equal(comment, 'tw-rst-ignored: dropped: RST is ignored in TIME-WAIT [RFC 1337 3 (F1)]');
  },
);

t.test('shell lines run only when allowed', async (t) => {
  const dir = scripts(t.testdir(), { 'a.pkt': '0 `test 1 = 1`\n+0 `false`\n' });
  const refused = await timewait(['pkt', 'run', dir]);
  t.match(refused.stdout, /a\.pkt:1:1: shell lines are not run without --allow-shell: 'test 1 = 1'/);
  const allowed = await timewait(['pkt', 'run', dir, '--allow-shell']);
  t.match(allowed.stdout, /a\.pkt:2:1: 'false' ended with status 1/);
});

t.test('threads change nothing', async (t) => {
  const texts = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `${String(i).padStart(2, '0')}.pkt`,
      i % 7 === 3 ? failing : passing,
    ]),
  );
  const dir = scripts(t.testdir(), texts);
  const one = await timewait(['pkt', 'run', dir, '--json', '--jobs', '1']);
  const three = await timewait(['pkt', 'run', dir, '--json', '--jobs', '3']);
  t.equal(one.status, 1);
  t.same(JSON.parse(three.stdout), JSON.parse(one.stdout));
});
