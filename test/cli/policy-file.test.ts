/** Policies from files: loaded, checked, refused; the documented one runs. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { choosePolicy } from '../../src/cli/choose-policy.js';
import { UsageError } from '../../src/cli/fail.js';
import { loadPolicyFile } from '../../src/cli/policy-file.js';
import { isPolicyPath } from '../../src/cli/policy-path.js';
import { createNetwork, memoryLink, policyNamed, type Policy, type PolicyFailure } from '../../src/index.js';
import { lack, summaryOf } from '../kernel/cli.js';
import { Conversation } from '../support/conversation.js';
import { folder, timewait } from './helpers.js';

const EXAMPLE = fileURLToPath(new URL('../../../docs/examples/mine.ts', import.meta.url));
const PAGE = fileURLToPath(new URL('../../../docs/own-policy.md', import.meta.url));

/** Files of a directory that goes with the test; the path of the first. */
function files(t: Test, texts: Readonly<Record<string, string>>): string {
  const directory = folder(t);
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text);
  return join(directory, Object.keys(texts)[0]!);
}

/** The error that loading ends with. */
async function refused(path: string): Promise<UsageError> {
  const error = await loadPolicyFile(path).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UsageError)) throw new Error(`no UsageError: ${String(error)}`);
  return error;
}

/** Lifetime that a policy gives to any record. */
const life = (policy: Policy): number => policy.lifetime({} as never, {} as never, false);

t.test('the documented policy: page and file are the same', async (t) => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readFileSync(PAGE, 'utf8'))?.[1];
  t.equal(shown, readFileSync(EXAMPLE, 'utf8'));
});

t.test('the documented policy runs: a conversation', async (t) => {
  const c = new Conversation();
  c.stack.usePolicy(await loadPolicyFile(EXAMPLE));
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  t.equal(c.state, 'TIME-WAIT');
  c.rest();
  c.inject('S 2:2(0) win 65535 <mss 1460>');
  t.equal(c.reason, 'lab-low-syn', 'a SYN at RCV.NXT');
  t.same(c.rest(), [], 'gets no answer');
  c.advance(4999);
  t.equal(c.state, 'TIME-WAIT');
  c.advance(1);
  t.equal(c.state, 'CLOSED', 'after five seconds');
  c.ourIss = null;
  c.inject('S 2:2(0) win 65535 <mss 1460>');
  t.equal(c.state, 'SYN-RECEIVED');

  const again = new Conversation();
  again.stack.usePolicy(await loadPolicyFile(EXAMPLE));
  again.established();
  again.close();
  again.inject('. 1:1(0) ack 2 win 65535');
  again.inject('F. 1:1(0) ack 2 win 65535');
  again.inject('S 3:3(0) win 65535 <mss 1460>');
  t.equal(again.reason, 'tw-syn-accepted-linux', 'the rest is Linux');
});

t.test('the documented policy runs: the command line', { skip: lack() }, async (t) => {
  // A busy machine stops any process for longer than 5 ms
  const args = [
    'run',
    '--policy',
    EXAMPLE,
    '--hook-limit',
    '10000',
    '--http',
    '80',
    '--close-first',
    '--json',
    '--',
  ];
  const get = 'curl -s -o /dev/null http://10.77.0.2/';
  const ran = await timewait([...args, 'sh', '-c', `${get} && ${get}`]);
  t.equal(ran.status, 0, ran.stderr);
  t.equal(ran.stderr, '');
  const summary = summaryOf(ran) as ReturnType<typeof summaryOf> & { policy: string };
  t.equal(summary.policy, 'mine');
  t.equal(summary.connections.accepted, 2);
  const counts = Object.fromEntries(summary.decisions.map(({ reason, count }) => [reason, count]));
  t.equal(counts['tw-enter'], 2);
});

t.test(
  'a hook that throws on the command line: a line about it, and the run goes on',
  { skip: lack() },
  async (t) => {
    const path = files(t, {
      'throws.ts': `import { definePolicy } from 'timewait';
export default definePolicy({
  name: 'throws',
  lifetime(record) {
    const none: number[] = [];
    return none[record.rto]!.valueOf();
  },
});
`,
    });
    const args = ['run', '--policy', path, '--http', '80', '--close-first', '--json', '--'];
    const get = 'curl -s -o /dev/null http://10.77.0.2/';
    const ran = await timewait([...args, 'sh', '-c', `${get} && ${get}`]);
    t.equal(ran.status, 0);
    const [first, second, ...more] = ran.stderr.trimEnd().split('\n');
    t.match(
      first,
      /^timewait: policy throws\.ts: lifetime threw TypeError: .* \(throws\.ts:6\); rfc9293 answered this question$/,
    );
    t.equal(second, 'timewait: policy throws.ts: lifetime threw 2 times in all');
    t.same(more, []);
    t.equal(summaryOf(ran).timeWait.stack, 2, 'TIME-WAIT as RFC 9293 has it');
  },
);

t.test('relative imports, of any kind, from a directory outside of everything', async (t) => {
  const path = files(t, {
    'mine.ts': `import { definePolicy, type RecordFacts } from 'timewait';
import { seconds } from './units.js';
import { half } from './half.ts';
import three from './three.cjs';
import { readFileSync } from 'node:fs';
export * from './units.js';
const { two } = await import('./two.mjs');
const text: string = readFileSync(import.meta.url.slice(7).replace('mine.ts', 'number.txt'), 'utf8');
if (text === '') console.log('empty');
export default definePolicy({
  name: 'mine',
  lifetime: (record: RecordFacts) => half(seconds(two)) + three + Number(text) + (record.rto ?? 0),
});
`,
    'units.ts': `export const seconds = (n: number): number => n * 1000;\n`,
    'half.ts': `import type { Policy } from 'timewait';
export type { Policy };
export function half(n: number): number { return n / 2; }
`,
    'two.mjs': `import { act } from 'timewait';\nexport const two = act.pass === 0 ? 2 : 3;\n`,
    'two.d.mts': `export const two: number;\n`,
    'three.cjs': `module.exports = 3;\n`,
    'number.txt': '400',
  });
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('timewait-policy-'));
  t.equal(life(await loadPolicyFile(path)), 1403);
  const after = readdirSync(tmpdir()).filter((name) => name.startsWith('timewait-policy-'));
  t.same(
    after.filter((name) => !before.includes(name)),
    [],
    'nothing is left in the temporary directory',
  );
});

t.test('JavaScript: as an ES module whatever package it lies in; definePolicy may be left out', async (t) => {
  const path = files(t, {
    'plain.js': `import { serial } from 'timewait';
import { five } from './five.js';
export default { name: 'plain', base: 'bsd', lifetime: () => serial.add(five, 1) };
`,
    'five.js': `import { act } from 'timewait';\nexport const five = 5 + act.pass;\n`,
    'package.json': '{"type":"commonjs"}',
  });
  const policy = await loadPolicyFile(path);
  t.equal(life(policy), 6);
  t.equal(policy.onPressure(1, {} as never), policyNamed('bsd').onPressure(1, {} as never));
  const whole = files(t, {
    'whole.mjs': `import { policyNamed } from 'timewait'; export default policyNamed('linux');`,
  });
  t.equal(await loadPolicyFile(whole), policyNamed('linux'), 'the same package, the same objects');
});

t.test(
  'a mistake that the compiler finds: its messages with file, line and column, exit status 2',
  async (t) => {
    const path = files(t, {
      'bad.ts': `import { definePolicy } from 'timewait';
import { words } from './words.js';
export default definePolicy({ name: 'bad', lifetime: () => 'long' });
const n: number = words;
`,
      'words.ts': `export const words: string = 5;\n`,
    });
    const { status, stdout, stderr } = await timewait(['serve', '--policy', path]);
    t.equal(status, 2);
    t.equal(stdout, '');
    const lines = stderr.trimEnd().split('\n');
    t.equal(lines.length, 4, stderr);
    t.ok(
      lines.some((line) => /bad\.ts:3:\d+: error TS2322: Type '\(\) => string' is not assignable/.test(line)),
    );
    t.ok(
      lines.some((line) =>
        /bad\.ts:4:7: error TS2322: Type 'string' is not assignable to type 'number'/.test(line),
      ),
    );
    t.ok(
      lines.some((line) => /words\.ts:1:14: error TS2322/.test(line)),
      'in helper files too',
    );
    t.match(lines[3], /^timewait: --policy \S+bad\.ts: 3 errors found by the compiler$/);
    const unknown = await refused(
      files(t, {
        'x.ts': `import { definePolicy } from 'timewait';\nexport default definePolicy({ name: 'x', lifetme: () => 1 });\n`,
      }),
    );
    t.match(unknown.details, [/x\.ts:2:\d+: error TS2561: .*'lifetme' does not exist.*'lifetime'/]);
    const syntax = await refused(files(t, { 'x.js': 'export default {\n  name: = 5\n};\n' }));
    t.match(syntax.details[0], /x\.js:2:9: error TS1109/);
    const many = await refused(files(t, { 'x.ts': 'x;\n'.repeat(30) }));
    t.equal(many.details.length, 21);
    t.equal(many.details[20], 'and 10 more');
  },
);

const DEFINE = `import { definePolicy } from 'timewait';\n`;

/** Name and text of a file, what is said about it. */
const bad: readonly (readonly [name: string, text: string, message: RegExp])[] = [
  ['none.ts', 'export const policy = 1;\n', /none\.ts: no default export: `export default definePolicy/],
  ['none.js', 'export const policy = 1;\n', /none\.js: no default export/],
  ['common.js', 'module.exports = {};\n', /common\.js: no ES module/],
  [
    'five.ts',
    'export default 5;\n',
    /five\.ts: the default export is no policy: definePolicy takes an object, got 5/,
  ],
  ['f.js', 'export default () => 5;\n', /f\.js: the default export is no policy: .*got a function/],
  [
    'typo.js',
    "export default { name: 'x', lifetme: () => 5 };\n",
    /unknown member 'lifetme', nearest: lifetime/,
  ],
  [
    'typo2.mjs',
    `${DEFINE}export default definePolicy({ name: 'x', lifetme: () => 5 });\n`,
    /typo2\.mjs: policy "x": unknown member 'lifetme', nearest: lifetime.* \(typo2\.mjs:2\)$/,
  ],
  [
    'base.mts',
    `${DEFINE}export default definePolicy({ name: 'x', base: 'linus' });\n`,
    /base\.mts: policy "x": base: unknown policy "linus", nearest: linux/,
  ],
  [
    'throws.ts',
    "export default {};\nthrow new RangeError('over\\nthere');\n",
    /throws\.ts: over \(throws\.ts:2\)$/,
  ],
  [
    'missing.js',
    "import x from 'no-such-package';\nexport default x;\n",
    /missing\.js: Cannot find package 'no-such-package'$/,
  ],
];

t.test('what is no policy: one line, exit status 2', async (t) => {
  for (const [name, text, message] of bad) {
    const error = await refused(files(t, { [name]: text }));
    t.match(error.message, message);
    t.notMatch(error.message, /\n/);
    t.same(error.details, []);
  }
  const { status, stderr } = await timewait([
    'connect',
    '--policy',
    files(t, { 'none.ts': 'export {};\n' }),
    '10.0.0.1',
    '9',
  ]);
  t.equal(status, 2);
  t.match(stderr, /^timewait: --policy \S+none\.ts: no default export[^\n]+\n$/);
});

t.test('names and paths on the command line', async (t) => {
  const directory = folder(t);
  mkdirSync(join(directory, 'd.ts'));
  writeFileSync(join(directory, 'text.txt'), '');
  for (const path of ['./x', '/x', 'a/b.ts', 'x.ts', 'x.mts', 'x.js', 'x.mjs', '../x.ts'])
    t.ok(isPolicyPath(path), path);
  for (const name of ['linux', 'bsd-4.4', 'x.tsx', 'windows-nt4', '']) t.notOk(isPolicyPath(name), name);
  const rows: readonly (readonly [string[], ...RegExp[]])[] = [
    [['--policy', 'linus'], /--policy/, /nearest: linux/],
    [['--policy', './nosuch.ts'], /--policy/, /'\.\/nosuch\.ts'/, /no such file/],
    [['--policy', 'nosuch.mjs'], /no such file/],
    [['--policy', join(directory, 'd.ts')], /not a file/],
    [['--policy', join(directory, 'text.txt')], /ends in \.ts, \.mts, \.js or \.mjs/],
    [['--hook', 'mayReopen'], /--hook/, /HOOK=POLICY/],
    [['--hook', 'mayReopn=bsd'], /unknown hook 'mayReopn', nearest: mayReopen/],
    [['--hook', 'name=bsd'], /unknown hook 'name'/],
    [['--hook', 'mayReopen=bds'], /unknown policy, nearest: bsd/],
    [['--hook', 'mayReopen=./nosuch.ts'], /no such file/],
    [['--hook-limit', '0'], /--hook-limit/, /0\.1 to 60000/],
    [['--hook-limit', '5ms'], /--hook-limit/, /0\.1 to 60000/],
  ];
  for (const [options, ...messages] of rows) {
    const { status, stderr } = await timewait(['run', ...options, '--', 'true']);
    t.equal(status, 2, options.join(' '));
    t.match(stderr, /^timewait: [^\n]+\n$/, 'one line');
    for (const message of messages) t.match(stderr, message);
  }
  const used = await timewait(['policies', '--control', '/nonexistent', '--use', EXAMPLE]);
  t.equal(used.status, 2);
  t.match(used.stderr, /chosen at the start: --policy <file>/);
});

t.test('--hook: single rules, by name and from files', async (t) => {
  const flags = { policy: 'linux', hook: [] as [never, string][] };
  t.equal(await choosePolicy(flags), 'linux', 'a name stays a name');
  const path = files(t, {
    'mine.ts': `${DEFINE}export default definePolicy({ name: 'mine', lifetime: () => 777 });\n`,
  });
  const policy = (await choosePolicy({
    policy: 'linux',
    hook: [
      ['lifetime', path],
      ['mayBind', 'bsd'],
      ['mayBind', path],
    ],
  })) as Policy;
  t.equal(life(policy), 777);
  t.equal(policy.name, 'linux+lifetime=mine+mayBind=mine', 'the last of the same hook counts');
  const c = new Conversation();
  c.stack.usePolicy(policy);
  t.match(policy.knobs, policyNamed('linux').knobs, 'presets of the base');
  const broken = files(t, { 'broken.ts': 'export default 5;\n' });
  await t.rejects(
    choosePolicy({ policy: 'linux', hook: [['lifetime', broken]] }),
    /^--hook lifetime=\S+broken\.ts: the default/,
  );
});

t.test('a network: the policy as an object, its failures as events', async (t) => {
  const [link] = memoryLink();
  const path = files(t, {
    'mine.ts': `${DEFINE}export default definePolicy({ name: 'mine', base: 'linux', mayBind() { throw new Error('no'); } });\n`,
  });
  const network = createNetwork({
    stack: { addresses: ['10.0.0.2/24'] },
    link,
    policy: await loadPolicyFile(path),
  });
  t.teardown(() => network.close());
  t.equal(network.timeWait.policy, 'mine');
  t.equal(network.knob('net.ipv4.tcp_tw_reuse'), 2, 'with the presets of its base');
  t.same(network.timeWait.failures, []);
  t.throws(() => (network.timeWait.policy = {} as Policy), /policy: no policy: name is missing/);
  t.throws(() => (network.timeWait.policy = 'linus'), /nearest: linux/);
  t.equal(network.timeWait.policy, 'mine', 'a mistake changes nothing');
  const told: PolicyFailure[] = [];
  network.on('policyError', (failure) => told.push(failure));
  network.timeWait.policy = { ...(await loadPolicyFile(path)), name: 'copy', capacity: () => NaN };
  t.equal(network.timeWait.policy, 'copy');
  network.timeWait.policy = 'bsd';
  t.equal(network.timeWait.policy, 'freebsd');
  t.same(told, []);
});
