/**
 * Plays the suite on several threads, a profile at a time. The result does not depend on
 * how many there are: cells come back in the order of profiles and hazards.
 */
import { availableParallelism } from 'node:os';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { findHazard, playHazard, type Cell } from './suite.js';

export interface PoolOptions {
  readonly profiles: readonly string[];
  readonly hazards: readonly string[];
  readonly seed: number;
  readonly knobs: Readonly<Record<string, number>>;
  /** Threads; default the number of processors. */
  readonly jobs?: number;
  /** Told after each profile. */
  readonly progress?: (done: number, all: number) => void;
}

type Task = Pick<PoolOptions, 'hazards' | 'seed' | 'knobs'>;

function playProfile(profile: string, { hazards, seed, knobs }: Task): Cell[] {
  return hazards.map((name) => {
    const hazard = findHazard(name);
    if (typeof hazard === 'string') throw new RangeError(hazard);
    return playHazard(hazard, { profile, seed, knobs }).cell;
  });
}

export async function playAll(options: PoolOptions): Promise<Cell[]> {
  const { profiles, hazards, seed, knobs, progress } = options;
  const jobs = Math.min(options.jobs ?? availableParallelism(), profiles.length);
  const done = new Map<string, Cell[]>();
  const task: Task = { hazards, seed, knobs };
  if (jobs <= 1) {
    for (const profile of profiles) {
      done.set(profile, playProfile(profile, task));
      progress?.(done.size, profiles.length);
    }
  } else {
    const waiting = [...profiles];
    const work = (): Promise<void> =>
      oneThread(task, waiting, (profile, cells) => {
        done.set(profile, cells);
        progress?.(done.size, profiles.length);
      });
    await Promise.all(Array.from({ length: jobs }, work));
  }
  return profiles.flatMap((profile) => done.get(profile)!);
}

/** One thread, which takes profiles until none waits. */
function oneThread(
  task: Task,
  waiting: string[],
  take: (profile: string, cells: Cell[]) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { hazards: true, task } });
    let current = '';
    const next = (): void => {
      const profile = waiting.shift();
      if (profile === undefined) {
        void worker.terminate().then(() => resolve());
        return;
      }
      current = profile;
      worker.postMessage(profile);
    };
    worker.on('message', (cells: Cell[]) => {
      take(current, cells);
      next();
    });
    worker.on('error', (error) => {
      waiting.length = 0;
      reject(error);
    });
    next();
  });
}

const data = workerData as { hazards?: boolean; task?: Task } | null;
if (!isMainThread && data?.hazards === true && data.task !== undefined) {
  const { task } = data;
  parentPort!.on('message', (profile: string) => parentPort!.postMessage(playProfile(profile, task)));
}
