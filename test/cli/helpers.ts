/** Runs the command line as a user would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

export const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

export interface Ran {
  /** null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** What it said so far. */
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<Ran>;
}

export interface RunOptions {
  /** Standard input; default: none. */
  input?: string | Uint8Array;
  env?: NodeJS.ProcessEnv;
  /** Another program that starts it: `setpriv ...`. */
  through?: readonly string[];
}

export function start(args: readonly string[], options: RunOptions = {}): Running {
  const whole = [...(options.through ?? []), process.execPath, main, ...args];
  const child = spawn(whole[0]!, whole.slice(1), {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, TIMEWAIT_CONTROL: undefined, ...options.env },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  if (options.input !== undefined) {
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input);
  }
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...said }));
  });
  return { child, said, ended };
}

export function timewait(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return start(args, options).ended;
}

/** Resolves when `condition` holds; fails the test after ten seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never: ${what}`);
}

/** A directory that goes with the test. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
