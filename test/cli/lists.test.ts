/** `timewait policies` and `timewait knobs`. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { knobs, policies } from '../../src/stack/catalogue.js';
import { timewait } from './helpers.js';

t.test('policies: one line each', async (t) => {
  const { status, stdout } = await timewait(['policies']);
  t.equal(status, 0);
  for (const { name, title, source } of policies) {
    const line = stdout.split('\n').find((text) => text.startsWith(`${name} `));
    t.ok(line?.includes(title), `${name}: what it is`);
    t.ok(line?.includes(source), `${name}: where it comes from`);
  }
  t.equal(stdout.trim().split('\n').length, policies.length + 2);
});

t.test('policies --json', async (t) => {
  const { status, stdout } = await timewait(['policies', '--json']);
  t.equal(status, 0);
  const said = JSON.parse(stdout) as { policies: { name: string }[] };
  t.same(
    said.policies.map(({ name }) => name),
    policies.map(({ name }) => name),
  );
});

t.test('policies NAME: a page, also of a file of the user', async (t) => {
  const mine = fileURLToPath(new URL('../../../docs/examples/mine.ts', import.meta.url));
  const { status, stdout } = await timewait(['policies', 'rfc1337', mine]);
  t.equal(status, 0);
  t.match(stdout, /^rfc1337: [^]*^mine: as linux, but for lifetime, segmentArrives$/m);
  t.match(stdout, /^ {2}timewait_dialect=1$/m, 'what its base presets');
  const missing = await timewait(['policies', './no-such.ts']);
  t.same([missing.status, missing.stderr], [2, 'timewait: ./no-such.ts: no such file\n']);
});

t.test('knobs: name, default, unit, range and text, one line each', async (t) => {
  const { status, stdout } = await timewait(['knobs']);
  t.equal(status, 0);
  const lines = stdout.trim().split('\n');
  t.equal(lines.length, knobs.length + 2);
  for (const knob of knobs) {
    const line = lines.find((text) => text.startsWith(`${knob.name} `)) ?? '';
    const words = line.split(/ {2,}/);
    t.ok(words.includes(String(knob.default)), `${knob.name}: default`);
    t.ok(words.includes(`${knob.min}..${knob.max}`), `${knob.name}: range`);
    if (knob.unit !== '') t.ok(words.includes(knob.unit), `${knob.name}: unit`);
    t.ok(line.endsWith(knob.text), `${knob.name}: text`);
  }
  t.match(stdout, /^net\.ipv4\.tcp_rfc1337 +0 +0\.\.1 +1: RST is ignored in TIME-WAIT/m);
});

t.test("knobs with words: names, other systems' names for them, and what they do", async (t) => {
  const { status, stdout } = await timewait(['knobs', 'MaxUserPort', 'assassinate']);
  t.equal(status, 0);
  t.match(stdout, /^net\.ipv4\.ip_local_port_range\.max /m);
  t.match(stdout, /^net\.ipv4\.tcp_rfc1337 /m);
  t.notMatch(stdout, /^net\.ipv4\.tcp_sack /m);
  t.match(stdout, /^MaxUserPort +net\.ipv4\.ip_local_port_range\.max +Windows/m);
  const { knobs: chosen } = JSON.parse((await timewait(['knobs', 'SACK', '--json'])).stdout) as {
    knobs: { name: string }[];
  };
  t.ok(chosen.length > 1 && chosen.length < knobs.length);
  t.ok(chosen.some(({ name }) => name === 'net.ipv4.tcp_dsack'));
});

t.test('knobs --json', async (t) => {
  const { status, stdout } = await timewait(['knobs', '--json']);
  t.equal(status, 0);
  t.same(JSON.parse(stdout), { knobs });
});
