/** `timewait hazards`: what each profile lets through, measured. */
import type { Hazard } from '../lab/hazards/hazard.js';
import type { Profile } from '../lab/hazards/stage.js';
import { guardPolicy, policyNamed, warnings } from '../stack/policies.js';
import { isPolicyPath } from './policy-path.js';
import { playAll } from '../lab/hazards/pool.js';
import { formatReport, makeReport, reportJson } from '../lab/hazards/report.js';
import { hazards as allHazards, findHazard, playHazard } from '../lab/hazards/suite.js';
import { policies } from '../stack/catalogue.js';
import { Knobs, nearest } from '../stack/knobs.js';
import { paletteFor } from '../view/colour.js';
import { formatTable } from '../view/table.js';
import { UsageError } from './fail.js';
import { makeFolder, writeInto } from './folders.js';
import { terminalWidth } from './terminal.js';

export interface HazardFlags {
  profile: string[];
  hazard: string[];
  seed: number;
  set: { name: string; value: number }[];
  jobs?: number;
  pcap?: string;
  json?: boolean;
  list?: boolean;
}

export async function hazards(flags: HazardFlags): Promise<number> {
  if (flags.list === true) {
    say(
      formatTable(
        [{ title: 'hazard' }, { title: 'axis' }, { title: 'what happens' }],
        allHazards.map(({ name, axis, title }) => [name, axis, title]),
      ),
    );
    return 0;
  }
  const profiles = await chosenProfiles(flags.profile);
  const chosen = chosenHazards(flags.hazard);
  const knobs = Object.fromEntries(flags.set.map(({ name, value }) => [name, value]));
  if (flags.profile.length > 0 && !flags.profile.includes('all')) warnOfKnobs(profiles, knobs);
  if (flags.pcap !== undefined) writeTraces(flags.pcap, profiles, chosen, flags.seed, knobs);
  const showProgress = process.stderr.isTTY === true && flags.json !== true;
  const cells = await playAll({
    profiles: profiles.flatMap(({ profile }) => (typeof profile === 'string' ? [profile] : [])),
    hazards: chosen.map(({ name }) => name),
    seed: flags.seed,
    knobs,
    ...(flags.jobs === undefined ? {} : { jobs: flags.jobs }),
    ...(showProgress
      ? { progress: (done: number, all: number) => void process.stderr.write(`\r${done} of ${all} profiles`) }
      : {}),
  });
  if (showProgress) process.stderr.write('\r\u001b[K');
  // Policies of one's own cannot be sent to other threads.
  for (const { profile } of profiles) {
    if (typeof profile === 'string') continue;
    for (const hazard of chosen) cells.push(playHazard(hazard, { profile, seed: flags.seed, knobs }).cell);
  }
  const report = makeReport(flags.seed, profiles, chosen, cells);
  const palette = paletteFor(process.stdout.isTTY === true, process.env);
  say(flags.json === true ? reportJson(report) : formatReport(report, palette, terminalWidth()));
  return 0;
}

/** As a stack warns: what is set, and these profiles will not do as hoped. Of all profiles some never read a knob. */
function warnOfKnobs(profiles: readonly Chosen[], set: Readonly<Record<string, number>>): void {
  for (const { profile } of profiles) {
    const policy = typeof profile === 'string' ? policyNamed(profile) : profile;
    const values = new Knobs();
    values.preset(policy.knobs);
    for (const [name, value] of Object.entries(set)) values.set(name, value);
    for (const line of warnings(policy, (name) => values.get(name), values.setByUser))
      process.stderr.write(`timewait: warning: ${line}\n`);
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

interface Chosen {
  readonly name: string;
  readonly title: string;
  readonly profile: Profile;
}

/** No name or `all`: every profile, in the order of `timewait policies`; paths are policies of one's own. */
async function chosenProfiles(names: readonly string[]): Promise<Chosen[]> {
  const all = policies.map(({ name, title }): Chosen => ({ name, title, profile: name }));
  const chosen: Chosen[] = [];
  for (const name of names.length === 0 ? ['all'] : names) {
    if (name === 'all') chosen.push(...all);
    else if (isPolicyPath(name)) chosen.push(await ownPolicy(name));
    else chosen.push(builtIn(name));
  }
  return chosen.filter(({ name }, i) => chosen.findIndex((other) => other.name === name) === i);
}

function builtIn(name: string): Chosen {
  const found = policies.find((policy) => policy.name === name || policy.aliases.includes(name));
  if (found !== undefined) return { name: found.name, title: found.title, profile: found.name };
  const names = policies.flatMap((policy) => [policy.name, ...policy.aliases]);
  throw new UsageError(`--profile: unknown policy '${name}', nearest: ${nearest(name, names).join(', ')}`);
}

/** Guarded without a stopwatch: a run must not depend on how fast the machine is. */
async function ownPolicy(path: string): Promise<Chosen> {
  try {
    const { loadPolicyFile } = await import('./policy-file.js');
    const report = ({ message }: { message: string }): void =>
      void process.stderr.write(`timewait: ${message}\n`);
    const { policy } = guardPolicy(await loadPolicyFile(path), { report });
    return { name: policy.name, title: policy.title, profile: policy };
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`--profile ${error.message}`, error.details);
    throw error;
  }
}

function chosenHazards(names: readonly string[]): readonly Hazard[] {
  if (names.length === 0) return allHazards;
  const chosen = names.map((name) => {
    const found = findHazard(name);
    if (typeof found === 'string') throw new UsageError(`--hazard: ${found}`);
    return found;
  });
  return allHazards.filter((hazard) => chosen.includes(hazard));
}

/** One file for each profile and hazard: what the host under test saw, with its reasons. */
function writeTraces(
  directory: string,
  profiles: readonly Chosen[],
  chosen: readonly Hazard[],
  seed: number,
  knobs: Readonly<Record<string, number>>,
): void {
  makeFolder('--pcap', directory);
  for (const { name: label, profile } of profiles) {
    for (const hazard of chosen) {
      const { traces } = playHazard(hazard, { profile, seed, knobs, trace: true });
      traces.forEach((trace, i) => {
        const name = `${label}-${hazard.name}${traces.length > 1 ? `-${i + 1}` : ''}.pcapng`;
        writeInto('--pcap', directory, name, trace);
      });
    }
  }
}
