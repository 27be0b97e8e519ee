/** One measurement in a process of its own: what to measure comes as the argument, the result goes back by IPC. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { INLINING } from '../src/cli/inlining.js';
import { measureAllocation, type Allocations } from './allocation.js';
import { measureEngine, measureIdle, type EngineRun, type IdleRun } from './engine.js';
import { measureFlood, type FloodRun } from './flood.js';
import { measureLookUp, type LookUpRun } from './look-up.js';
import { measureMicro, type MicroRun } from './micro.js';
import { measurePauses, type PauseRun } from './pause.js';
import { measurePorts, type PortsRun } from './ports.js';
import { measureTable, type TableRun } from './table.js';
import { measureText, type TextAllocations } from './text.js';
import { measureAlone, measureTogether, type VerdictRun } from './verdict.js';

export type Job =
  | { readonly part: 'table'; readonly name: string; readonly records: number }
  | { readonly part: 'alone'; readonly name: string; readonly records: number }
  | { readonly part: 'together'; readonly records: number }
  | { readonly part: 'allocation' }
  | { readonly part: 'text' }
  | { readonly part: 'ports' }
  | { readonly part: 'look-up'; readonly records: number }
  | { readonly part: 'pause'; readonly records: number }
  | { readonly part: 'micro' }
  | { readonly part: 'engine' }
  | { readonly part: 'idle'; readonly connections: number }
  | { readonly part: 'flood'; readonly seconds: number };

export interface Results {
  readonly table: TableRun;
  readonly alone: VerdictRun;
  readonly together: Record<string, VerdictRun>;
  readonly allocation: Record<string, Allocations>;
  readonly text: TextAllocations;
  readonly ports: PortsRun[];
  readonly 'look-up': LookUpRun;
  readonly pause: PauseRun;
  readonly micro: MicroRun;
  readonly engine: EngineRun;
  readonly idle: IdleRun;
  readonly flood: FloodRun;
}

/** The references need the heap; `run` and `serve` inline as much. */
const FLAGS = ['--expose-gc', '--max-old-space-size=4096', INLINING];

/** In the parent: runs the job in a new process. Rejects with one line when it failed. */
export function inChild<J extends Job>(job: J): Promise<Results[J['part']]> {
  return new Promise((done, failed) => {
    const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(job)], {
      execArgv: FLAGS,
      // benny greets on stdout
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let result: Results[J['part']] | undefined;
    child.on('message', (message) => {
      result = message as Results[J['part']];
    });
    child.on('error', failed);
    child.on('close', (code, signal) => {
      if (code === 0 && result !== undefined) done(result);
      else failed(new Error(`the process of ${JSON.stringify(job)} ended with ${signal ?? code}`));
    });
  });
}

async function run(job: Job): Promise<unknown> {
  switch (job.part) {
    case 'table':
      return measureTable(job.name, job.records);
    case 'alone':
      return measureAlone(job.name, job.records);
    case 'together':
      return measureTogether(job.records);
    case 'allocation':
      return measureAllocation();
    case 'text':
      return measureText();
    case 'ports':
      return measurePorts();
    case 'look-up':
      return measureLookUp(job.records);
    case 'pause':
      return measurePauses(job.records);
    case 'micro':
      return measureMicro();
    case 'engine':
      return measureEngine();
    case 'idle':
      return measureIdle(job.connections);
    case 'flood':
      return measureFlood(job.seconds);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.send!(await run(JSON.parse(process.argv[2]!) as Job));
  process.disconnect();
}
