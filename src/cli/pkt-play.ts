/** Plays packet scripts from files, on one thread or several; results come back in the order of the files. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { definedNames } from '../conform/profile.js';
import type { OwnEnds, RunResult } from '../conform/result.js';
import { runScript } from '../conform/runner.js';
import { StackTarget } from '../conform/stack-target.js';
import type { Target, TargetSetup } from '../conform/target.js';
import { PcapngWriter } from '../wire/pcapng.js';
import { lineOf } from './fail.js';
import { writeInto } from './folders.js';

export interface PlaySettings {
  readonly profile: string;
  readonly define: readonly string[];
  readonly version: 4 | 6 | null;
  readonly knobs: readonly { readonly name: string; readonly value: number }[];
  readonly allowShell: boolean;
  /** Microseconds; null: as target and script say. */
  readonly tolerance: number | null;
  /** Directory of captures, which is there; '' for none. */
  readonly pcap: string;
}

export interface FileResult extends RunResult {
  readonly file: string;
}

/** Files that a thread takes at a time: few enough to share well, many enough to talk little. */
const PORTION = 16;

/** Another target than the stack: how one is had for a script, and its peers. */
export interface OtherTarget {
  readonly open: (setup: TargetSetup) => Target;
  readonly ends: () => OwnEnds;
}

export async function playFile(
  file: string,
  settings: PlaySettings,
  other: OtherTarget | null = null,
): Promise<FileResult> {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    const failure = { line: 1, column: 1, source: '', message: lineOf(error), expected: '', got: '' };
    return {
      file,
      failure: { ...failure, difference: null, unusable: true },
      segments: [],
      notes: [],
      events: 0,
    };
  }
  const { profile, knobs, version } = settings;
  const blocks: Uint8Array[] = [];
  const writer = settings.pcap === '' ? null : new PcapngWriter('pkt');
  const result = await runScript(
    source,
    {
      defined: definedNames(
        profile,
        settings.define.filter((each) => !each.includes('=')),
      ),
      symbols: symbolsOf(settings.define),
      include: (path) => include(file, path),
      ...(version === null ? {} : { version }),
      ...(other === null ? {} : { ends: other.ends() }),
      ...(settings.tolerance === null ? {} : { tolerance: settings.tolerance }),
      ...(settings.allowShell ? { shell } : {}),
      ...(writer === null
        ? {}
        : {
            capture: (bytes, time, inbound, comment) =>
              void blocks.push(
                writer.packet(
                  bytes,
                  0,
                  bytes.length,
                  Math.floor(time / 1e6),
                  1000 * (time % 1e6),
                  inbound,
                  comment,
                ),
              ),
          }),
    },
    other?.open ?? ((setup) => new StackTarget(setup, { profile, knobs })),
  );
  if (writer !== null) {
    const name = file
      .replace(/^[./]+/, '')
      .replaceAll(/[/\\]/g, '-')
      .replace(/\.pkt$/, '');
    writeInto('--pcap', settings.pcap, `${name}.pcapng`, Buffer.concat([writer.header(), ...blocks]));
  }
  return { file, ...result };
}

/** `NAME=VALUE` of --define. */
function symbolsOf(define: readonly string[]): Map<string, string> {
  return new Map(
    define
      .filter((each) => each.includes('='))
      .map((each) => [each.split('=')[0]!, each.replace(/^[^=]*=/, '')]),
  );
}

/** Files of settings stand beside the scripts. */
function include(script: string, path: string): string | null {
  try {
    return readFileSync(resolve(dirname(script), path), 'utf8');
  } catch {
    return null;
  }
}

function shell(command: string): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', command], (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ status, output: stdout + stderr });
    });
  });
}

export async function playFiles(
  files: readonly string[],
  settings: PlaySettings,
  jobs: number,
): Promise<FileResult[]> {
  const portions = Array.from({ length: Math.ceil(files.length / PORTION) }, (_, i) =>
    files.slice(i * PORTION, (i + 1) * PORTION),
  );
  const done: FileResult[][] = [];
  const threads = Math.min(jobs, portions.length);
  if (threads <= 1) {
    for (const file of files) done.push([await playFile(file, settings)]);
    return done.flat();
  }
  let next = 0;
  const take = (): number => (next < portions.length ? next++ : -1);
  const work = (): Promise<void> => oneThread(settings, portions, take, (i, results) => (done[i] = results));
  await Promise.all(Array.from({ length: threads }, work));
  return done.flat();
}

function oneThread(
  settings: PlaySettings,
  portions: readonly string[][],
  take: () => number,
  keep: (index: number, results: FileResult[]) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { packetScripts: settings } });
    let current = -1;
    const next = (): void => {
      current = take();
      if (current < 0) void worker.terminate().then(() => resolve());
      else worker.postMessage(portions[current]);
    };
    worker.on('message', (results: FileResult[]) => {
      keep(current, results);
      next();
    });
    worker.on('error', reject);
    next();
  });
}

const settings = (workerData as { packetScripts?: PlaySettings } | null)?.packetScripts;
if (!isMainThread && settings !== undefined) {
  parentPort!.on('message', (files: string[]) => {
    void (async () => {
      const results: FileResult[] = [];
      for (const file of files) results.push(await playFile(file, settings));
      parentPort!.postMessage(results);
    })();
  });
}
