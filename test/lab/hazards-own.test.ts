/** A policy of one's own meets the hazards as the built-in ones do. */
import t from 'tap';
import { fileURLToPath } from 'node:url';
import { timewait } from '../cli/helpers.js';

const MINE = fileURLToPath(new URL('../../../docs/examples/mine.ts', import.meta.url));

void t.test('timewait hazards --profile FILE: beside a profile, the same twice', async (t) => {
  const args = ['hazards', '--profile', MINE, 'linux', '--hazard', 'nat-isn', 'ghost-data', '--json'];
  const [one, two] = [await timewait(args), await timewait(args)];
  t.equal(one.status, 0, one.stderr);
  t.equal(one.stdout, two.stdout);
  const { cells, profiles, scores } = JSON.parse(one.stdout) as {
    cells: { profile: string; hazard: string; kind: string; value: number; reason: string }[];
    profiles: { name: string }[];
    scores: { points: Record<string, number | null> }[];
  };
  t.same(
    profiles.map(({ name }) => name),
    ['mine', 'linux'],
  );
  const cell = (profile: string, hazard: string) =>
    cells.find((each) => each.profile === profile && each.hazard === hazard)!;
  t.equal(cell('mine', 'nat-isn').reason, 'lab-low-syn', 'with a reason of its own');
  t.ok(cell('mine', 'nat-isn').value > cell('linux', 'nat-isn').value, 'silence costs more than an ACK');
  t.equal(cell('mine', 'ghost-data').kind, 'corrupts', 'five seconds are too short');
  t.equal(scores[0]!.points['capacity'], null, 'no hazard of that axis was played');
});

void t.test('timewait hazards --set: what a profile does not read is said, the rest holds', async (t) => {
  const knob = 'net.inet.tcp.msl';
  const args = ['hazards', '--profile', 'linux', 'freebsd', '--hazard', 'nat-isn', '--jobs', '1'];
  const ran = await timewait([...args, '--set', `${knob}=5000`]);
  t.equal(ran.status, 0);
  const [line, ...more] = ran.stderr.trimEnd().split('\n');
  t.match(line, `timewait: warning: ${knob} has no effect under linux; policies that read it: freebsd, `);
  t.same(more, [], 'freebsd reads it');
});
