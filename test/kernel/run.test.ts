/** `timewait run` with the real kernel as the client: connections, transfers, captures. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { helper, lack, summaryOf, timewait } from './cli.js';

const skip = lack();
const MB = 1_000_000;

/** What GET /bytes/N sends: byte i is i mod 251. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = i % 251;
  return bytes;
}

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

for (const host of ['10.77.0.2', '[fd77::2]']) {
  t.test(`curl, one connection after the other, ${host}`, { skip }, async (t) => {
    const script = `for i in $(seq 100); do curl -g -sf -H "Connection: close" http://${host}/ >/dev/null || exit 1; done`;
    const ran = await timewait(['run', '--json', '--http', '80', '--', 'sh', '-c', script]);
    t.equal(ran.status, 0, ran.stderr);
    const summary = summaryOf(ran);
    t.equal(summary.connections.accepted, 100);
    t.same(summary.connections.errors, {});
    // Both ends close; who is first keeps TIME-WAIT, and both do when the FINs cross.
    t.ok(
      summary.timeWait.stack + summary.timeWait.kernel >= 100,
      'every closing left TIME-WAIT on at least one side',
    );
  });
}

t.test('20,000 connections from 64 concurrent clients', { skip }, async (t) => {
  const clients = ['node', helper('clients'), '10.77.0.2', '7', '20000', '64', '20000'];
  // On a loaded machine the kernel repeats a FIN, hears two ACKs and answers the second with a RST: without
  // RFC 1337's protection that would end a record, as the RFC wants it.
  const safe = ['--set', 'net.ipv4.tcp_rfc1337=1'];
  const ran = await timewait(['run', '--json', '--echo', '7', '--close-first', ...safe, '--', ...clients]);
  t.equal(ran.status, 0, ran.stderr);
  const said = JSON.parse(ran.stdout.split('\n')[0] ?? '') as { done: number; bytes: number; errors: object };
  t.same(said, { done: 20_000, bytes: 40_000, errors: {} });
  const summary = summaryOf(ran);
  t.equal(summary.connections.accepted, 20_000);
  t.equal(summary.timeWait.stack, 20_000, 'as many records as closings');
  t.equal(summary.timeWait.kernel, 0);
});

t.test('bulk both ways, equal bytes', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const upload = join(folder, 'up');
  writeFileSync(upload, pattern(40 * MB));
  const script = (host: string, size: number): string =>
    `curl -g -sf http://${host}/bytes/${size} | sha256sum && curl -g -sf -T ${upload} http://${host}/sink`;
  const cases: [string, string, string[], number][] = [
    ['plain, IPv4', '10.77.0.2', [], 100 * MB],
    ['plain, IPv6', '[fd77::2]', [], 40 * MB],
    [
      '2 % loss, reordering, duplication, 4 MB window',
      '10.77.0.2',
      ['--faults', 'loss=2%,reorder=2%,dup=1%,seed=11', '--set', 'tcp_rmem=4194304'],
      40 * MB,
    ],
    ['corruption', '10.77.0.2', ['--faults', 'corrupt=0.5%,seed=12'], 10 * MB],
    [
      'without SACK and timestamps, 1 % loss',
      '10.77.0.2',
      ['--faults', 'loss=1%,seed=13', '--set', 'tcp_sack=0', '--set', 'tcp_timestamps=0'],
      10 * MB,
    ],
  ];
  for (const [name, host, options, size] of cases) {
    const ran = await timewait([
      'run',
      '--json',
      '--http',
      '80',
      ...options,
      '--',
      'sh',
      '-c',
      script(host, size),
    ]);
    t.equal(ran.status, 0, `${name}: ${ran.stderr}`);
    const [down = '', up = ''] = ran.stdout.split('\n');
    t.equal(down.split(' ')[0], sha(pattern(size)), `${name}: down`);
    t.same(JSON.parse(up), { length: 40 * MB, sha256: sha(pattern(40 * MB)) }, `${name}: up`);
  }
});

t.test('tshark reads the capture and finds nothing wrong', { skip: skip || noTshark() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'run.pcapng');
  const script =
    'curl -sf http://10.77.0.2/bytes/300000 >/dev/null; curl -g -sf http://[fd77::2]/ >/dev/null; curl -s http://10.77.0.2:81/; true';
  const ran = await timewait([
    'run',
    '--json',
    '--http',
    '80',
    '--close-first',
    '--pcap',
    file,
    '--',
    'sh',
    '-c',
    script,
  ]);
  t.equal(ran.status, 0, ran.stderr);
  const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
  const bad = tshark([
    '-r',
    file,
    ...checks,
    '-Y',
    '_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0',
  ]);
  t.equal(bad.stdout, '', 'no malformed packet, no bad checksum');
  t.notMatch(bad.stderr, /cut short|isn't a capture file|appears to be damaged/i);
  const comments = tshark(['-r', file, '-T', 'fields', '-e', 'frame.comment']).stdout;
  t.match(comments, /closed-rst: answered RST: no connection and no listener \[RFC 9293 3.10.7.1\]/);
  t.match(comments, /tw-enter/);
});

function tshark(args: string[]): { stdout: string; stderr: string } {
  const done = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  return { stdout: done.stdout, stderr: done.stderr };
}

function noTshark(): string | false {
  return spawnSync('tshark', ['-v']).error === undefined
    ? false
    : 'tshark is not installed: apt-get install tshark';
}
