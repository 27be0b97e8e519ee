/** `timewait pkt run`: scripts in, what failed and why out. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism, constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { paletteFor, type Palette } from '../view/colour.js';
import { formatLadder } from '../view/ladder.js';
import { RunError, UsageError } from './fail.js';
import { makeFolder } from './folders.js';
import { KernelDevice, KernelTarget } from '../conform/kernel-target.js';
import { endOnSignals, environmentLack, insideNamespace, reenter, sysctl } from '../lab/namespace.js';
import { playFile, playFiles, type FileResult, type OtherTarget, type PlaySettings } from './pkt-play.js';

export interface PktFlags {
  target: string;
  profile: string;
  define: string[];
  ipVersion?: string;
  set: { name: string; value: number }[];
  jobs?: number;
  pcap?: string;
  allowShell?: boolean;
  tolerance?: number;
  json?: boolean;
}

/** Scripts below which more than one thread does not pay. */
const WORTH_THREADS = 64;
/** Ports of scripts on the kernel, below the ephemeral ones. */
const FIRST_PORT = 8080;
const PORTS = 20_000;

export async function pktRun(
  paths: readonly string[],
  flags: PktFlags,
  args: readonly string[],
): Promise<number> {
  for (const each of flags.define)
    if (!/^[A-Za-z_]\w*(=|$)/.test(each))
      throw new UsageError(
        `--define ${each}: a name has letters, digits and _, and does not begin with a digit`,
      );
  const files = scriptsIn(paths);
  if (flags.target === 'kernel' && !insideNamespace()) {
    const lack = environmentLack();
    if (lack !== null) throw new RunError(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  if (flags.pcap !== undefined) makeFolder('--pcap', flags.pcap);
  const started = performance.now();
  const jobs = flags.jobs ?? (files.length < WORTH_THREADS ? 1 : availableParallelism());
  const settings = {
    profile: flags.profile,
    define: flags.define,
    version: flags.ipVersion === undefined ? null : flags.ipVersion === '6' ? (6 as const) : (4 as const),
    knobs: flags.set,
    allowShell: flags.allowShell === true,
    tolerance: flags.tolerance ?? null,
    pcap: flags.pcap ?? '',
  };
  const results =
    flags.target === 'kernel'
      ? await playOnKernel(files, settings, flags.jobs ?? 1)
      : await playFiles(files, settings, jobs);
  const seconds = (performance.now() - started) / 1000;
  const failed = results.filter(({ failure }) => failure !== null);
  if (flags.json === true) {
    const all = {
      target: flags.target,
      profile: settings.profile,
      passed: results.length - failed.length,
      failed: failed.length,
    };
    process.stdout.write(`${JSON.stringify({ ...all, scripts: results.map(jsonOf) }, null, 2)}\n`);
  } else
    process.stdout.write(report(results, seconds, paletteFor(process.stdout.isTTY === true, process.env)));
  return failed.length === 0 ? 0 : 1;
}

/**
 * Real time, real calls, ends of its own for each script; `jobs` of them at once. The settings of a
 * script hold for the whole namespace, so only scripts with the same settings meet.
 */
async function playOnKernel(
  files: readonly string[],
  settings: PlaySettings,
  jobs: number,
): Promise<FileResult[]> {
  endOnSignals();
  for (const { name, value } of settings.knobs) sysctl(name, value);
  try {
    setPriority(constants.priority.PRIORITY_HIGHEST);
  } catch {
    // Without the right to it, times are as exact as the machine's load allows
  }
  const device = new KernelDevice();
  let played = 0;
  const other: OtherTarget = {
    open: (setup) => new KernelTarget(device, setup),
    ends: () => {
      const n = ++played;
      const low = n % 65_000;
      return {
        remote: {
          4: `198.18.${low >> 8}.${low & 255}`,
          6: `2001:db8:0:${(n >> 16).toString(16)}::${low.toString(16)}`,
        },
        bindPort: FIRST_PORT + (n % PORTS),
      };
    },
  };
  const results = new Map<string, FileResult>();
  try {
    for (const group of bySettings(files)) {
      const waiting = group.values();
      const work = async (): Promise<void> => {
        for (const file of waiting) results.set(file, await playFile(file, settings, other));
      };
      await Promise.all(Array.from({ length: jobs }, work));
    }
  } finally {
    device.close();
  }
  return files.map((file) => results.get(file)!);
}

/** Scripts grouped by the shell lines they have. */
function bySettings(files: readonly string[]): Iterable<string[]> {
  const groups = new Map<string, string[]>();
  for (const file of files) {
    let text = '';
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      // Playing it will say so.
    }
    const key = (text.match(/`[^`]*`/g) ?? []).join('\n');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  return groups.values();
}

/** Files as given, and all *.pkt below the directories. */
function scriptsIn(paths: readonly string[]): string[] {
  const files = paths.flatMap((path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new UsageError(`no such file or directory: '${path}'`);
    if (!found.isDirectory()) return [path];
    const inside = readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.pkt'))
      .sort()
      .map((name) => join(path, name));
    if (inside.length === 0) throw new UsageError(`no *.pkt files below '${path}'`);
    return inside;
  });
  return [...new Set(files)];
}

function jsonOf({ file, failure, segments, notes }: FileResult): unknown {
  if (failure === null) return { file, passed: true, notes };
  const { line, column, source, message, expected, got, difference, unusable } = failure;
  const where = { line, column, source, message, expected, got, differenceUs: difference, unusable };
  return { file, passed: false, notes, failure: where, segments };
}

function report(results: readonly FileResult[], seconds: number, palette: Palette): string {
  let text = '';
  for (const result of results) if (result.failure !== null) text += failureText(result, palette);
  const notes = new Map<string, number>();
  for (const note of results.flatMap((result) => result.notes)) notes.set(note, (notes.get(note) ?? 0) + 1);
  for (const [note, times] of notes) text += `note: ${note}${times > 1 ? ` (${times} times)` : ''}\n`;
  const passed = results.filter(({ failure }) => failure === null).length;
  const rate = seconds > 0 ? `, ${Math.round(results.length / seconds)} scripts/s` : '';
  return `${text}${passed} of ${results.length} scripts passed in ${seconds.toFixed(2)} s${rate}\n`;
}

function failureText({ file, failure, segments }: FileResult, palette: Palette): string {
  const { line, column, source, message, expected, got } = failure!;
  const lines = [`${palette.strong(`${file}:${line}:${column}`)}: ${message}`];
  if (source !== '') lines.push(`  script    ${source}`);
  if (expected !== '') lines.push(`  expected  ${expected}`);
  if (got !== '') lines.push(`  got       ${got}`);
  const { difference } = failure!;
  if (difference !== null)
    lines.push(`  time      ${Math.abs(difference) / 1000} ms ${difference > 0 ? 'late' : 'early'}`);
  if (segments.length > 0) lines.push(formatLadder(segments, { left: 'script', right: 'stack', palette }));
  return `${lines.join('\n')}\n\n`;
}
