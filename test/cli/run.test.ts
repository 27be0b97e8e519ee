/** `timewait run`: whose exit status, what it prints, and that nothing outlives it. Transfers and captures: test/kernel/run.test.ts. */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { environmentLack } from '../../src/lab/namespace.js';
import type { RunSummary } from '../../src/view/summary.js';
import { folder, start, timewait, until } from './helpers.js';

const found = environmentLack();
const skip = found === null ? false : `${found.reason}: ${found.cure}`;

t.test('the exit status is that of the command', { skip }, async (t) => {
  const scripts: [string, number][] = [
    ['exit 0', 0],
    ['exit 3', 3],
    ['exit 255', 255],
    ['kill -TERM $$', 128 + 15],
    ['kill -KILL $$', 128 + 9],
    ['kill -SEGV $$', 128 + 11],
  ];
  for (const [script, status] of scripts) {
    const ran = await timewait(['run', '--json', '--', 'sh', '-c', script]);
    t.equal(ran.status, status, `${script}: ${ran.stderr}`);
    t.equal((JSON.parse(ran.stdout) as { status: number }).status, status, 'and the summary says so');
  }
});

t.test("options behind the command are the command's, with and without --", { skip }, async (t) => {
  for (const dashes of [['--'], []]) {
    const ran = await timewait(['run', '--json', ...dashes, 'echo', '--json', '-a', '--', 'x']);
    t.equal(ran.status, 0, ran.stderr);
    t.equal(ran.stdout.split('\n')[0], '--json -a -- x');
  }
});

t.test('a command that cannot be started: one line, status 1, no waiting', { skip }, async (t) => {
  const plain = join(folder(t), 'plain');
  writeFileSync(plain, 'no program', { mode: 0o644 });
  for (const command of ['/nonexistent/program', plain]) {
    const { status, stdout, stderr } = await timewait(['run', '--http', '80', '--', command]);
    t.equal(status, 1);
    t.equal(stdout, '');
    t.match(stderr, new RegExp(`^timewait: ${command}: [^\\n]+\\n$`));
  }
});

t.test(
  'settings that contradict each other are told, one line each, and the stack runs',
  { skip },
  async (t) => {
    const contradicting = ['--policy', 'reuse', '--set', 'tcp_timestamps=0', '--set', 'TcpTimedWaitDelay=5'];
    const { status, stderr } = await timewait(['run', '--json', ...contradicting, '--', 'true']);
    t.equal(status, 0, stderr);
    const lines = stderr.split('\n').filter((line) => line.startsWith('timewait: warning: '));
    t.equal(lines.length, 2, stderr);
    t.match(lines[0], /TcpTimedWaitDelay has no effect under reuse; policies that read it: .*windows-2003/);
    t.match(lines[1], /tcp_tw_reuse=1 without net\.ipv4\.tcp_timestamps/);
    const quiet = await timewait(['run', '--json', '--policy', 'recycle', '--', 'true']);
    t.equal(quiet.status, 0);
    t.notMatch(quiet.stderr, /warning/, 'nothing set by hand');
  },
);

t.test('a capture that cannot be written: one line, status 1', { skip }, async (t) => {
  const { status, stdout, stderr } = await timewait(['run', '--pcap', '/nonexistent/x', '--', 'true']);
  t.equal(status, 1);
  t.equal(stdout, '');
  t.match(stderr, /^timewait: --pcap \/nonexistent\/x: [^\n]+\n$/);
});

t.test(
  'the command has the kernel side, its input and output, and sees no other network',
  { skip },
  async (t) => {
    const script =
      'cat; ip -o addr show dev tw0; ls /sys/class/net 2>/dev/null | wc -l; ip -o link show | wc -l';
    const ran = await timewait(['run', '--json', '--', 'sh', '-c', script], { input: 'what came in\n' });
    t.equal(ran.status, 0, ran.stderr);
    const lines = ran.stdout.trimEnd().split('\n');
    t.equal(lines[0], 'what came in');
    t.match(ran.stdout, /inet 10\.77\.0\.1\/24 /);
    t.match(ran.stdout, /inet6 fd77::1\/64 /);
    t.equal(lines.at(-2), '2', 'lo and tw0');
  },
);

t.test('services, policy, knobs and faults reach the stack; the summary tells', { skip }, async (t) => {
  const folderPath = folder(t);
  const client = `
    const net = require('node:net');
    let left = 20;
    const next = () => {
      if (left-- === 0) return;
      const socket = net.connect(7, '10.77.0.2', () => socket.write('x'));
      socket.resume().on('close', next).on('error', () => process.exit(9));
    };
    next();`;
  const args = ['--echo', '7', '--close-first', '--policy', 'bsd', '--set', 'net.inet.tcp.msl=600000'];
  const faults = ['--faults', 'loss=10%,seed=3'];
  const pcap = join(folderPath, 'x.pcapng');
  const ran = await timewait([
    'run',
    '--json',
    ...args,
    ...faults,
    '--pcap',
    pcap,
    '--',
    'node',
    '-e',
    client,
  ]);
  t.equal(ran.status, 0, ran.stderr);
  const summary = JSON.parse(ran.stdout) as RunSummary;
  t.match(summary, { policy: 'bsd', connections: { accepted: 20, errors: {} }, pcap });
  // A closing whose FIN was lost goes on when the command has ended, so not all need be records yet.
  t.ok(summary.timeWait.stack >= 15, `${summary.timeWait.stack} in TIME-WAIT`);
  t.ok(
    summary.decisions.some(({ reason, count }) => reason === 'tw-enter' && count >= summary.timeWait.stack),
  );
  t.ok(readFileSync(pcap).length > 20 * 8 * 60, 'a capture of them all');
  // Without --json the same in words, behind what the command printed.
  const words = await timewait(['run', '--echo', '7', '--close-first', '--', 'node', '-e', client]);
  t.equal(words.status, 0, words.stderr);
  t.match(words.stdout, /^command +node -e/m);
  t.match(words.stdout, /^connections +20 accepted, 0 opened, no errors$/m);
  t.match(words.stdout, /^TIME-WAIT +20 on our side, 0 on the kernel's$/m);
});

/** Network namespaces that processes of this machine are in, and the processes with the mark on their command line. */
function census(mark: string): { namespaces: Set<string>; processes: string[]; devices: string } {
  const namespaces = new Set<string>();
  const processes: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      if (!line.includes(mark)) continue;
      processes.push(`${pid} ${line}`);
      namespaces.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      continue;
    }
  }
  return { namespaces, processes, devices: spawnSync('ip', ['-o', 'link'], { encoding: 'utf8' }).stdout };
}

for (const [signal, status] of [
  ['SIGKILL', null],
  ['SIGTERM', 128 + 15],
  ['SIGINT', 128 + 2],
] as const) {
  t.test(`${signal} to the outer process leaves no process, device or namespace`, { skip }, async (t) => {
    // A number that is on no other command line.
    const mark = `4${process.pid}${signal.length}`;
    const ours = readlinkSync('/proc/self/ns/net');
    const before = spawnSync('ip', ['-o', 'link'], { encoding: 'utf8' }).stdout;
    // The child that the command leaves in the background must go as well.
    const script = `sleep ${mark} & echo ready; exec sleep ${mark}`;
    const running = start(['run', '--http', '80', '--', 'sh', '-c', script]);
    t.teardown(() => running.child.kill('SIGKILL'));
    await until('the command runs', () => running.said.stdout.includes('ready'));
    const during = census(mark);
    t.ok(during.processes.length >= 4, during.processes.join('\n'));
    t.ok(during.namespaces.size >= 2, 'a namespace of its own');
    t.equal(during.devices, before, 'and none of it in ours');
    running.child.kill(signal);
    await until('all gone', () => census(mark).processes.length === 0);
    const after = census(mark);
    t.same(after.processes, []);
    t.same([...after.namespaces], []);
    t.equal(after.devices, before);
    t.equal(readlinkSync('/proc/self/ns/net'), ours);
    t.equal((await running.ended).status, status);
  });
}

t.test('SIGTERM while the inner process starts, which does not listen yet', { skip }, async (t) => {
  const mark = `5${process.pid}`;
  const running = start(['diff', '--seeds', mark, '--minutes', '1']);
  t.teardown(() => running.child.kill('SIGKILL'));
  // Ours, unshare and its child.
  await until('it is there', () => census(mark).processes.length >= 3);
  await new Promise((resolve) => setTimeout(resolve, 100));
  running.child.kill('SIGTERM');
  await until('all gone', () => census(mark).processes.length === 0);
  t.equal((await running.ended).status, 128 + 15);
});

t.test('a system that refuses namespaces: what refuses them, and the cure', async (t) => {
  const place = folder(t);
  writeFileSync(join(place, 'unshare'), '#!/bin/sh\necho "unshare: not here" >&2\nexit 1\n', { mode: 0o755 });
  const path = `${place}:${process.env['PATH'] ?? ''}`;
  const { status, stdout, stderr } = await timewait(['run', '--', 'true'], { env: { PATH: path } });
  t.equal(status, 1);
  t.equal(stdout, '');
  t.match(stderr, /^timewait: \S[^\n]*: [^\n]*run as root[^\n]*\n$/m);
});

t.test('an option that means nothing on the link is said to', { skip }, async (t) => {
  const ran = await timewait(['run', '--mac', '02:00:00:00:00:01', '--trust-checksums', '--', 'true']);
  t.equal(ran.status, 0, ran.stderr);
  t.match(ran.stderr, /^timewait: warning: --mac means nothing on --link tun, only on packet, pcap$/m);
  t.match(ran.stderr, /^timewait: warning: --trust-checksums means nothing on --link tun/m);
});
