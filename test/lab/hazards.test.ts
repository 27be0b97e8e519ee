/**
 * The hazard suite: its cells agree with what is known, one seed gives one result, and
 * docs/hazards.md is what it says today. The whole suite is played once, here.
 */
import t from 'tap';
import { readFileSync } from 'node:fs';
import { hazardPage, profilePage } from '../../src/cli/pages.js';
import { balancerRate, clientRate } from '../../src/lab/hazards/capacity.js';
import { Stage } from '../../src/lab/hazards/stage.js';
import { findHazard, hazards, playHazard, type Cell } from '../../src/lab/hazards/suite.js';
import { policies } from '../../src/stack/catalogue.js';
import { readPcapng } from '../../src/wire/pcapng.js';
import { claims, type Look } from './claims.js';

const played = new Map<string, Cell>();

const look: Look = (name, profile, knobs = {}) => {
  const key = `${name} ${profile} ${JSON.stringify(knobs)}`;
  let cell = played.get(key);
  if (cell === undefined) {
    const hazard = findHazard(name);
    if (typeof hazard === 'string') throw new RangeError(hazard);
    cell = playHazard(hazard, { profile, seed: 1, knobs }).cell;
    played.set(key, cell);
  }
  return cell;
};

void t.test('the suite agrees with the verdicts on the claims it touches', (t) => {
  for (const { row, claim, verdict, check } of claims)
    t.equal(check(look), '', `${row}: ${claim} (${verdict})`);
  const checked = new Set(claims.map(({ row }) => row));
  for (const { name, claims: touched } of hazards) {
    for (const row of touched) t.ok(checked.has(row), `claim ${row}, which ${name} touches, is checked`);
  }
  t.end();
});

/** Ports and rates are a quarter of the real ones; `scale: 1` gives the same numbers and takes half a minute. */
void t.test('the founding situations', (t) => {
  const balancer = (profile: string): number =>
    balancerRate(new Stage({ profile, seed: 1 }), { scale: 4 }).value!;
  const strict = balancer('rfc9293');
  t.ok(strict > 262 && strict < 270, `64,512 ports against strict 240 s: ${strict.toFixed(1)}/s, about 269`);
  t.ok(balancer('bsd') > 600, 'against bsd more than 600/s');
  t.ok(balancer('windows-2003') > 600, 'against windows-2003 more than 600/s');
  const client = clientRate(new Stage({ profile: 'linux', seed: 1 }), { scale: 8 }).value!;
  t.ok(client > 460 && client < 475, `28,232 ports at 60 s: ${client.toFixed(1)}/s, about 470`);
  t.end();
});

void t.test('records at 1,000 closings a second: rate times length, no more than the table holds', (t) => {
  const held = (profile: string): number => look('steady-state', profile).value!;
  t.ok(Math.abs(held('linux-recycle') - 715) < 20, `3.5 RTO, 0.715 s: ${held('linux-recycle')}`);
  t.equal(held('lwip'), 5, 'MEMP_NUM_TCP_PCB');
  t.equal(held('windows-nt4'), 1000, 'MaxFreeTWTcbs');
  t.end();
});

void t.test('one seed, the same cells and packets; every cell has a finite value and a note', (t) => {
  for (const profile of ['linux-recycle', 'freebsd', 'rfc6191']) {
    for (const hazard of hazards) {
      if (hazard.axis === 'capacity') continue;
      const [one, two] = [1, 2].map(() => playHazard(hazard, { profile, seed: 7, knobs: {}, trace: true }));
      t.same(one!.cell, two!.cell, `${profile} ${hazard.name}`);
      t.ok(one!.traces.every((trace, i) => Buffer.compare(trace, two!.traces[i]!) === 0));
      const { value, points, note } = one!.cell;
      t.ok((value === null || Number.isFinite(value)) && points >= 0 && points <= 1 && note !== '');
    }
  }
  t.end();
});

void t.test('a trace shows what happened, with the reason of the cell', (t) => {
  const hazard = findHazard('assassination-rst');
  if (typeof hazard === 'string') throw new RangeError(hazard);
  const { cell, traces } = playHazard(hazard, { profile: 'linux', seed: 1, knobs: {}, trace: true });
  const comments = traces.flatMap((trace) => readPcapng(trace)!.map(({ comment }) => comment));
  t.ok(
    comments.some((comment) => comment.startsWith(`${cell.reason}: `)),
    cell.reason,
  );
  t.end();
});

void t.test('docs/hazards.md and docs/profiles.md are what `npm run docs` writes today', async (t) => {
  const stale = 'stale: run `npm run docs`';
  const read = (name: string): string =>
    readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
  t.ok(read('profiles.md') === profilePage(), `profiles.md ${stale}`);
  t.ok(read('hazards.md') === (await hazardPage()), `hazards.md ${stale}`);
  for (const { name } of policies) t.ok(read('hazards.md').includes(`### ${name}\n`), name);
});
