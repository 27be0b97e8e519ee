/** `timewait hazards`: what each profile lets through, measured. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Hazard } from '../lab/hazards/hazard.js';
import { playAll } from '../lab/hazards/pool.js';
import { formatReport, makeReport, reportJson } from '../lab/hazards/report.js';
import { hazards as allHazards, findHazard, playHazard } from '../lab/hazards/suite.js';
import { policies } from '../stack/catalogue.js';
import { nearest } from '../stack/knobs.js';
import { paletteFor } from '../view/colour.js';
import { formatTable } from '../view/table.js';
import { RunError, UsageError, lineOf } from './fail.js';

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
  const profiles = chosenProfiles(flags.profile);
  const chosen = chosenHazards(flags.hazard);
  const knobs = Object.fromEntries(flags.set.map(({ name, value }) => [name, value]));
  if (flags.pcap !== undefined) writeTraces(flags.pcap, profiles, chosen, flags.seed, knobs);
  const showProgress = process.stderr.isTTY === true && flags.json !== true;
  const cells = await playAll({
    profiles,
    hazards: chosen.map(({ name }) => name),
    seed: flags.seed,
    knobs,
    ...(flags.jobs === undefined ? {} : { jobs: flags.jobs }),
    ...(showProgress
      ? { progress: (done: number, all: number) => void process.stderr.write(`\r${done} of ${all} profiles`) }
      : {}),
  });
  if (showProgress) process.stderr.write('\r\u001b[K');
  const titled = profiles.map((name) => ({
    name,
    title: policies.find((policy) => policy.name === name)?.title ?? '',
  }));
  const report = makeReport(flags.seed, titled, chosen, cells);
  const palette = paletteFor(process.stdout.isTTY === true, process.env);
  say(flags.json === true ? reportJson(report) : formatReport(report, palette));
  return 0;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** No name or `all`: every profile, in the order of `timewait policies`. */
function chosenProfiles(names: readonly string[]): string[] {
  const all = policies.map(({ name }) => name);
  if (names.length === 0 || names.includes('all')) return all;
  const chosen = names.map((name) => {
    const found = policies.find((policy) => policy.name === name || policy.aliases.includes(name));
    if (found === undefined)
      throw new UsageError(`--profile: unknown policy '${name}', nearest: ${nearest(name, all).join(', ')}`);
    return found.name;
  });
  return [...new Set(chosen)];
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
  profiles: readonly string[],
  chosen: readonly Hazard[],
  seed: number,
  knobs: Readonly<Record<string, number>>,
): void {
  try {
    mkdirSync(directory, { recursive: true });
    for (const profile of profiles) {
      for (const hazard of chosen) {
        const { traces } = playHazard(hazard, { profile, seed, knobs, trace: true });
        traces.forEach((trace, i) => {
          const name = `${profile}-${hazard.name}${traces.length > 1 ? `-${i + 1}` : ''}.pcapng`;
          writeFileSync(join(directory, name), trace);
        });
      }
    }
  } catch (error) {
    if (error instanceof Error && 'syscall' in error)
      throw new RunError(`--pcap ${directory}: ${lineOf(error)}`);
    throw error;
  }
}
