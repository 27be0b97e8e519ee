/** All hazards, and playing them: profile by profile, each from the one seed. */
import { nearest } from '../../stack/knobs.js';
import { assassination } from './assassination.js';
import { capacities } from './capacity.js';
import { clocks } from './clocks.js';
import { ghosts } from './ghosts.js';
import type { Hazard, Outcome } from './hazard.js';
import { lifecycle } from './lifecycle.js';
import { nats } from './nat.js';
import { Stage, type Profile, type StageOptions } from './stage.js';

export const hazards: readonly Hazard[] = [
  ...ghosts,
  ...assassination,
  ...lifecycle,
  ...nats,
  ...clocks,
  ...capacities,
];

export interface Cell extends Outcome {
  readonly profile: string;
  readonly hazard: string;
  readonly seed: number;
}

export interface Played {
  readonly cell: Cell;
  /** What the host under test saw, as pcapng files, when packets were asked for. */
  readonly traces: readonly Uint8Array[];
}

export const DEFAULT_SEED = 1;

/** One profile meets one hazard. Same arguments, same result. */
export function playHazard(hazard: Hazard, options: StageOptions): Played {
  const stage = new Stage(options);
  const outcome = hazard.play(stage);
  const cell = { profile: stage.profileName, hazard: hazard.name, seed: options.seed, ...outcome };
  return { cell, traces: stage.traces.map((trace) => trace.pcapng('subject')) };
}

/** The hazard of this name, or the message that names the nearest. */
export function findHazard(name: string): Hazard | string {
  const found = hazards.find((hazard) => hazard.name === name);
  if (found !== undefined) return found;
  return `unknown hazard '${name}', nearest: ${nearest(
    name,
    hazards.map((hazard) => hazard.name),
  ).join(', ')}`;
}

export type { Profile };
