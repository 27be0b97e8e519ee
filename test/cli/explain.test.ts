/**
 * `timewait explain` on captures of the virtual demo and on a running stack: what people
 * read, what programs read, what tshark shows.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ControlSession } from '../../src/cli/control-session.js';
import { serveControl } from '../../src/cli/control.js';
import { SERVER, listen, pair } from '../net/helpers.js';
import { folder, start, timewait } from './helpers.js';

const directory = folder(t);
const demo = join(directory, 'demo.pcapng');

t.before(async () => {
  const ran = await timewait(['demo', '--virtual', '--json', '--pcap', demo]);
  if (ran.status !== 0) throw new Error(ran.stderr);
});

t.test('demo --virtual: a link is said to mean nothing', async (t) => {
  const ran = await timewait(['demo', '--virtual', '--link', 'packet', '--json', '--pcap', `${demo}.again`]);
  t.equal(ran.status, 0);
  t.equal(ran.stderr, 'timewait: warning: --link packet means nothing with --virtual\n');
});

async function explain(...args: string[]): Promise<string> {
  const ran = await timewait(['explain', ...args]);
  t.equal(ran.status, 0, ran.stderr);
  return ran.stdout;
}

interface Json {
  note: string | null;
  packets: number;
  tuples: {
    tuple: string;
    section: number;
    connections: number;
    state: string;
    decisions: Record<string, number>;
    ladder?: { packet: number; inbound: boolean; segment: string; comment: string; reasons: string[] }[];
  }[];
}

async function json(...args: string[]): Promise<Json> {
  return JSON.parse(await explain(...args, '--json')) as Json;
}

t.test('several tuples: a table, and how to choose', async (t) => {
  const text = await explain(demo);
  t.match(
    text,
    /^10\.77\.0\.2:8080-10\.77\.0\.1:40000 +2 .* killed by a RST, SYN refused; reopened.*tw-rst-kill$/m,
  );
  t.match(text, /--tuple .*--all/);
  t.notMatch(text, /\|--/, 'no ladder');
});

t.test('one tuple: its ladder, the reasons under the arrows', async (t) => {
  const lines = (await explain(demo, '--tuple', '40000-8080')).split('\n');
  const kill = lines.findIndex((line) => line.includes('tw-rst-kill: TIME-WAIT assassinated'));
  t.match(lines[kill - 1], /^ +60\.0 +\d+ {2}\|-- R 2:2\(0\) win 0 -+>\|$/, 'under the RST that did it');
  t.match(
    lines.slice(kill).find((line) => line.includes('= connection 2')),
    /937498 above the end/,
  );
  t.match(
    lines.slice(kill).find((line) => /\d {2}\|-- S /.test(line)),
    /S 0:0\(0\)/,
    'numbers start again',
  );
  t.ok(
    lines.some((line) => /: {3}2\.00 s later$/.test(line)),
    'what the client waited behind its early SYN',
  );
});

const tshark = spawnSync('tshark', ['--version']);
const missing = tshark.status === 0 ? false : 'tshark is not installed (Debian: apt-get install tshark)';

t.test('the comments that tshark shows are what explain prints', { skip: missing }, async (t) => {
  const { tuples, packets } = await json(demo, '--all');
  const ours = tuples.flatMap((tuple) => tuple.ladder!);
  t.equal(ours.length, packets);
  const args = ['-r', demo, '-T', 'fields', '-e', 'frame.number', '-e', 'frame.comment'];
  const shown = spawnSync('tshark', args, { encoding: 'utf8' });
  t.equal(shown.status, 0, shown.stderr);
  const theirs = new Map(
    shown.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t') as [string, string]),
  );
  t.equal(theirs.size, packets);
  const text = await explain(demo, '--all');
  let reasons = 0;
  for (const { packet, comment } of ours) {
    t.equal(theirs.get(String(packet)) ?? '', comment, `packet ${packet}`);
    if (comment === '') continue;
    reasons++;
    t.ok(text.includes(`|   ${comment}\n`), comment);
  }
  t.ok(reasons > 30, `${reasons} comments`);
});

t.test('a capture that is still being written: up to the cut, and a note', async (t) => {
  const whole = readFileSync(demo);
  const cut = join(directory, 'cut.pcapng');
  writeFileSync(cut, whole.subarray(0, 4001));
  const { note, packets } = await json(cut);
  t.match(note, /ends in the middle of a block/);
  t.ok(packets > 10, `${packets} packets`);
  const ran = await timewait(['explain', cut]);
  t.equal(ran.status, 0);
  t.match(ran.stderr, /^timewait: .*cut\.pcapng: the file ends in the middle .* explained\n$/);
});

t.test('classic pcap, and from standard input', async (t) => {
  const [first] = (await json(demo, '--tuple', '40002-8080')).tuples;
  const packets: Buffer[] = [Buffer.from('d4c3b2a1020004000000000000000000ffff000065000000', 'hex')];
  // Raw IP out of the enhanced packet blocks of ours.
  const file = readFileSync(demo);
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== 6) continue;
    const length = file.readUInt32LE(at + 20);
    const head = Buffer.alloc(16);
    head.writeUInt32LE(1_700_000_000, 0);
    head.writeUInt32LE(length, 8);
    head.writeUInt32LE(length, 12);
    packets.push(head, file.subarray(at + 28, at + 28 + length));
  }
  const ran = await start(['explain', '-', '--tuple', '40002', '--json'], { input: Buffer.concat(packets) })
    .ended;
  t.equal(ran.status, 0, ran.stderr);
  const read = JSON.parse(ran.stdout) as Json & { format: string };
  t.equal(read.format, 'pcap');
  t.equal(read.tuples[0]?.tuple, first?.tuple);
  t.same(read.tuples[0]?.decisions, {}, 'no comments in this format');
});

t.test('--policy: what another policy would have done', async (t) => {
  const text = await explain(demo, '--tuple', '40000-8080', '--policy', 'freebsd');
  t.match(
    text,
    /freebsd would answer SYN,ACK; the capture shows ACK\n +\| {5}tw-syn-accepted: accepted: .*\[FreeBSD/,
  );
  t.match(text, /^freebsd: 1 segment judged, 1 answered otherwise than the capture shows\.$/m);
  const own = (await explain(demo, '--tuple', '40000-8080', '--policy', 'rfc9293')).split('\n');
  const killed = own.findIndex((line) => line.includes('TIME-WAIT was gone by then'));
  t.match(
    own[killed - 1],
    /would answer SYN,ACK; the capture shows silence$/,
    'rfc1337=1 ruled, 0 would not have',
  );
  const knob = await explain(demo, '--tuple', '40000-8080', '--policy', 'rfc9293', '--set', 'tcp_rfc1337=1');
  t.notMatch(
    knob.split('section 2')[0],
    /; the capture shows (ACK|silence)/,
    'the same knob, the same answers',
  );
  t.match(await explain(demo, '--policy', 'linux'), /linux: \d of \d otherwise$/m, 'in the table');
  const { tuples } = await json(demo, '--tuple', '40000-8080', '--policy', 'freebsd');
  t.match(tuples[0], {
    policy: 'freebsd',
    judged: 1,
    differ: 1,
    ladder: [
      {},
      {},
      {},
      {},
      {},
      { timeWait: { lifetime: 60_000 } },
      { verdict: { would: 'SYN,ACK', shows: 'ACK' } },
    ],
  });
});

t.test('--policy with a file, and --hook', async (t) => {
  const file = join(directory, 'mine.mjs');
  const text = `import { act, definePolicy, reason } from 'timewait';
const why = reason('lab-deaf', 'dropped silently: this lab hears nothing', 'our lab');
export default definePolicy({ name: 'deaf', lifetime: () => 5000, segmentArrives: () => act.silent(why) });
`;
  writeFileSync(file, text);
  const own = await explain(demo, '--tuple', '40000-8080', '--policy', file);
  t.match(own, /TIME-WAIT begins: deaf keeps it for 5\.00 s/);
  t.match(own, /deaf would stay silent; the capture shows ACK\n.*lab-deaf: dropped silently: .*\[our lab\]/);
  const hooked = await explain(
    demo,
    '--tuple',
    '40000-8080',
    '--policy',
    'rfc9293',
    '--hook',
    'segmentArrives=freebsd',
  );
  t.match(hooked, /segmentArrives=freebsd would answer SYN,ACK; the capture shows ACK/);
});

t.test('our stack, judged by the policy that it ran, answers as it did', async (t) => {
  const text = await explain(demo, '--policy', 'freebsd');
  const rows = text.split('\n').filter((line) => / (3|4) +\d+ +0\.0 ms/.test(line));
  t.equal(rows.length, 2, 'the scenes of bsd');
  for (const row of rows) t.match(row, /freebsd: 0 of 1 otherwise$/);
});

t.test('--control: what a running stack remembers', async (t) => {
  const { client, server, close } = pair();
  const path = join(folder(t), 'control');
  const control = await serveControl(new ControlSession(server), path);
  t.teardown(() => {
    control.close();
    close();
  });
  const ask = (...args: string[]): ReturnType<typeof timewait> =>
    timewait(['explain', '--control', path, ...args]);
  const before = await ask();
  t.equal(before.status, 0);
  t.match(before.stderr, /remembered from now on: ask again/);
  t.match(before.stdout, /policy rfc9293, 0 decisions remembered/);
  t.match((await ask('--tuple', '4444')).stderr, /no decisions on any tuple are remembered\n$/);

  const port = await listen(
    server.createServer((socket) => socket.on('data', () => socket.end()).on('error', () => undefined)),
  );
  const connection = async (): Promise<void> => {
    const socket = client.connect({ host: SERVER, port, localPort: 4444 });
    socket.on('error', () => undefined);
    socket.resume();
    socket.write('bye');
    await new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await connection();
  await connection();
  const { stdout, stderr, status } = await ask();
  t.equal(status, 0, stderr);
  t.equal(stderr, '');
  const reason = 'tw-syn-in-window: answered challenge ACK: SYN in TIME-WAIT';
  t.match(
    stdout,
    new RegExp(`\\|-- S \\d+:\\d+\\(0\\) win .*>\\|\\n +\\| {3}${reason} .*\\n.*it met TIME-WAIT`),
  );
  t.match(stdout, /tw-rst-kill: TIME-WAIT assassinated/);
  const data = JSON.parse((await ask('--tuple', `${SERVER}:${port}-4444`, '--json')).stdout) as {
    remembering: boolean;
    tuples: { ladder: { state: string; reasons: string[] }[] }[];
  };
  t.equal(data.remembering, true);
  t.same(
    data.tuples[0]?.ladder.map(({ reasons }) => reasons.join()),
    ['tw-enter', 'tw-syn-in-window', 'tw-rst-kill', 'tw-enter'],
  );
  const unknown = await ask('--tuple', '4445');
  t.equal(unknown.status, 1);
  t.match(unknown.stderr, /no decision on it is remembered; nearest: 10\.77\.0\.2:\d+-10\.77\.0\.1:4444\n$/);
});

t.test('--control of a stack that remembers from the start', async (t) => {
  const { client, server, close } = pair();
  const path = join(folder(t), 'control');
  const control = await serveControl(new ControlSession(server, true), path);
  t.teardown(() => {
    control.close();
    close();
  });
  const socket = client.connect({ host: SERVER, port: 9 });
  await new Promise((resolve) => socket.once('error', resolve));
  const ran = await timewait(['explain'], { env: { TIMEWAIT_CONTROL: path } });
  t.equal(ran.stderr, '');
  t.match(ran.stdout, /closed-rst: answered RST: no connection and no listener/);
});

t.test('what cannot be explained: one line', async (t) => {
  const nothing = join(directory, 'nothing');
  writeFileSync(nothing, '');
  const text = join(directory, 'text');
  writeFileSync(text, 'GET / HTTP/1.1\r\n');
  const begun = join(directory, 'begun');
  writeFileSync(begun, readFileSync(demo).subarray(0, 10));
  const cases: [args: string[], status: number, line: RegExp][] = [
    [[], 2, /FILE/],
    [[join(directory, 'missing')], 1, /missing: ENOENT/],
    [[directory], 1, /EISDIR/],
    [[nothing], 1, /empty, no capture/],
    [[text], 1, /no capture: neither pcapng nor pcap/],
    [[demo, '--tuple', '10.77.0.1:40003'], 1, /not in .*nearest: .*10\.77\.0\./],
    [[demo, '--tuple', '1-2-3'], 2, /a tuple is END-END/],
    [[demo, '--tuple', '10.77.0.1:70000'], 2, /a tuple is END-END/],
    [[demo, '--side', 'nobody'], 2, /an end is/],
    [
      [demo, '--side', '10.9.9.9'],
      2,
      /--side 10\.9\.9\.9: no such end in \S+; it has 10\.77\.0\.2, 10\.77\.0\.1/,
    ],
    [[demo, '--side', '10.77.0.2:9'], 2, /--side 10\.77\.0\.2:9: .* it has 10\.77\.0\.2:8080, /],
    [[begun], 1, /begun: the file ends in the middle of a block/],
    [[demo, '--policy', 'lunix'], 2, /unknown policy, nearest: linux/],
    [[demo, '--set', 'tcp_rfc1337=1'], 2, /--policy/],
    [[demo, '--hook', 'segmentArrives=linux'], 2, /--policy/],
    [[demo, '--control', '/nowhere'], 2, /not both/],
    [['--control', join(directory, 'nowhere')], 1, /no stack answers/],
    [['--control', join(directory, 'nowhere'), '--policy', 'linux'], 2, /about captures/],
  ];
  for (const [args, status, line] of cases) {
    const ran = await timewait(['explain', ...args]);
    t.equal(ran.status, status, args.join(' '));
    t.equal(ran.stdout, '');
    t.match(ran.stderr, /^timewait: [^\n]+\n$/);
    t.match(ran.stderr, line);
  }
});
