/** `timewait explain` on captures of the virtual demo: what people read, what programs read, what tshark shows. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { folder, timewait } from './helpers.js';

const directory = folder(t);
const demo = join(directory, 'demo.pcapng');

t.before(async () => {
  const ran = await timewait(['demo', '--virtual', '--json', '--pcap', demo]);
  if (ran.status !== 0) throw new Error(ran.stderr);
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
  t.match(text, /^10\.77\.0\.2:8080-10\.77\.0\.1:40000 +2 .*SYN refused; reopened.*tw-rst-kill$/m);
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
    lines.some((line) => /: {3}1\.00 s later$/.test(line)),
    'the second that the client waited',
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

t.test('what cannot be explained: one line', async (t) => {
  const nothing = join(directory, 'nothing');
  writeFileSync(nothing, '');
  const text = join(directory, 'text');
  writeFileSync(text, 'GET / HTTP/1.1\r\n');
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
  ];
  for (const [args, status, line] of cases) {
    const ran = await timewait(['explain', ...args]);
    t.equal(ran.status, status, args.join(' '));
    t.equal(ran.stdout, '');
    t.match(ran.stderr, /^timewait: [^\n]+\n$/);
    t.match(ran.stderr, line);
  }
});
