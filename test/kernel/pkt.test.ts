/** Packet scripts on the running kernel: real system calls, real time, a TUN device in a private namespace. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { optionScripts } from '../conform/option-scripts.js';
import { lack, timewait } from './cli.js';

/** Machines that run tests are busy: what matters here is what is said, not when. */
const SLACK = '--tolerance_usecs=200000\n';

const SERVER = `
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+.01 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <...>
+.01 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
+0 %{ assert tcpi_state == 1, tcpi_state }%
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+.01 < . 1:1(0) ack 1001 win 257
+0...0.05 read(4, ..., 100) = 5
+.05 < P. 1:6(5) ack 1001 win 257
+0 > . 1001:1001(0) ack 6
+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 read(4, ..., 100) = -1 EAGAIN (Resource temporarily unavailable)
+0 close(4) = 0
+0 > F. 1001:1001(0) ack 6
+.01 < F. 6:6(0) ack 1002 win 257
+0 > . 1002:1002(0) ack 7
`;

/** The RFC 1337 knob through a setting of the script: a RST at RCV.NXT is ignored, and a repeated FIN still answered. */
const PROTECTED = `
0 \`sysctl -q net.ipv4.tcp_rfc1337=1\`
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+.01 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+.01 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+.01 < F. 1:1(0) ack 2 win 257
+0 > . 2:2(0) ack 2
+.01 < R 2:2(0) win 0
+.01 < F. 1:1(0) ack 2 win 257
+0 > . 2:2(0) ack 2
`;

void t.test(
  'scripts hold on the kernel, and a wrong one fails with both sides shown',
  { skip: lack() },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const write = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, SLACK + text);
      return path;
    };
    const good = [write('server.pkt', SERVER), write('again.pkt', SERVER), write('protected.pkt', PROTECTED)];
    for (const version of ['4', '6']) {
      const ran = await timewait(['pkt', 'run', '--target', 'kernel', '--ip-version', version, ...good]);
      t.equal(ran.status, 0, `IPv${version}: ${ran.stdout}${ran.stderr}`);
      t.match(ran.stdout, /3 of 3 scripts passed/);
    }
    const wrong = write('wrong.pkt', PROTECTED.replace('tcp_rfc1337=1', 'tcp_rfc1337=0'));
    const ran = await timewait(['pkt', 'run', '--target', 'kernel', wrong]);
    t.equal(ran.status, 1);
    t.match(ran.stdout, /expected {2}\. 2:2\(0\) ack 2/);
    t.match(ran.stdout, /got {7}R 2:2\(0\)/, 'without it the record was assassinated');
  },
);

void t.test('socket options: the scripts of our stack hold on the kernel', { skip: lack() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const scripts = Object.values(optionScripts);
  const paths = scripts.map((_, i) => join(folder, `option-${i}.pkt`));
  for (const [i, path] of paths.entries()) writeFileSync(path, `${scripts[i]!}\n`);
  await passOnKernel(t, ['--tolerance', '200000'], paths, paths.length);
});

/** All of `count` scripts below `paths`, eight at once. */
async function passOnKernel(
  t: Test,
  options: readonly string[],
  paths: readonly string[],
  count: number,
): Promise<void> {
  const args = ['pkt', 'run', '--target', 'kernel', ...options];
  const ran = await timewait([...args, '--jobs', '8', ...paths]);
  t.match(ran.stdout, new RegExp(`of ${count} scripts passed`, 'm'), options.join(' '));
  if (ran.status === 0) return;
  // A busy machine stretches the time between two lines, and what it means: once more, one by one.
  const failed = [...ran.stdout.matchAll(/^(\S+\.pkt):\d+:\d+: /gm)].map(([, file]) => file!);
  const again = await timewait([...args, ...failed]);
  t.equal(again.status, 0, again.stdout);
}

/** States whose rows of the table the kernel answers as the linux profile does, request sockets and SYN-SENT aside. */
const SYNCHRONIZED =
  /-(established|fin-wait-1|fin-wait-2|close-wait|closing|last-ack|time-wait)-[a-z]+-?[a-z]*\.pkt$/;

void t.test('the table of states and events: a part of it on the kernel', { skip: lack() }, async (t) => {
  const folder = 'test/conformance';
  const all = readdirSync(folder).filter((name) => SYNCHRONIZED.test(name));
  const parts = [
    ['--ip-version', '4'],
    ['--define', 'timestamps', '--ip-version', '6'],
  ];
  for (const [k, args] of parts.entries()) {
    const some = all.filter((_, i) => i % 4 === 2 * k).map((name) => join(folder, name));
    const ran = await timewait(['pkt', 'run', '--target', 'kernel', '--jobs', '8', ...args, ...some]);
    t.match(ran.stdout, new RegExp(`^${some.length} of ${some.length} scripts passed`, 'm'), args.join(' '));
    t.equal(ran.status, 0, ran.stdout);
  }
});

void t.test('scripts of one story each: all of them on the kernel', { skip: lack() }, async (t) => {
  const folder = 'test/conformance/scripts';
  const count = readdirSync(folder).length;
  for (const version of ['4', '6'])
    await passOnKernel(t, ['--tolerance', '300000', '--ip-version', version], [folder], count);
});
