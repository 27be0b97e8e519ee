/** `timewait diff`: random conversations with the running kernel and with our stack, and where they part. */
import { readFileSync } from 'node:fs';
import type { DiffCase, StepSeen } from '../conform/diff/case.js';
import { firstDifference, signature } from '../conform/diff/compare.js';
import { parseDeviations, type Deviation } from '../conform/diff/deviations.js';
import { sequence } from '../conform/diff/generate.js';
import { Tuples, inManner, play } from '../conform/diff/play.js';
import { scriptOf } from '../conform/diff/script.js';
import { Search, type Finding, type SearchResult } from '../conform/diff/search.js';
import { StackSide } from '../conform/diff/stack-side.js';
import { caseText, eventText, parseCase } from '../conform/diff/words.js';
import { KernelSide } from '../conform/kernel-diff.js';
import { endOnSignals, environmentLack, insideNamespace, reenter } from '../lab/namespace.js';
import { RunError, UsageError, lineOf } from './fail.js';
import { makeFolder, writeInto } from './folders.js';

export interface DiffFlags {
  seeds: number;
  seed: number;
  events: number;
  profile: string;
  minutes?: number;
  json?: boolean;
  out?: string;
  case?: string;
}

/** Conversations at once: as many as the kernel takes in a step without packets waiting. */
const BATCH = 400;
const FINDINGS = 150;

export async function diff(flags: DiffFlags, args: readonly string[]): Promise<number> {
  if (!insideNamespace()) {
    const lack = environmentLack();
    if (lack !== null) throw new RunError(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  endOnSignals();
  if (flags.case !== undefined) return replay(flags, caseOf(flags, flags.case));
  // Not after minutes of search.
  if (flags.out !== undefined) makeFolder('--out', flags.out);
  const deviations = known();
  const started = performance.now();
  const end = flags.minutes === undefined ? Infinity : started + 60_000 * flags.minutes;
  const judge = new KernelSide();
  const progress = (played: number, differing: number): void => {
    if (process.stderr.isTTY === true) process.stderr.write(`\r${played} played, ${differing} differ `);
  };
  const result = await new Search({
    judge,
    subject: () => new StackSide(flags.profile),
    deviations,
    seeds: flags.seeds,
    events: flags.events,
    seed: flags.seed,
    batch: BATCH,
    findings: FINDINGS,
    over: () => performance.now() > end,
    progress,
  }).run();
  judge.close();
  if (process.stderr.isTTY === true) process.stderr.write('\r\u001b[K');
  const seconds = (performance.now() - started) / 1000;
  const files = flags.out === undefined ? [] : writeScripts(flags.out, result.findings);
  const output = flags.json === true ? jsonOf(flags, result, seconds, files) : report(result, seconds, files);
  process.stdout.write(output);
  return result.findings.some(({ deviation }) => deviation === null) || result.unexamined > 0 ? 1 : 0;
}

/** `--case`: in words, or the number of one of the sequence. */
function caseOf({ seed, events }: DiffFlags, text: string): DiffCase {
  if (/^\d+$/.test(text)) return sequence(seed, events)(Number(text));
  try {
    return parseCase(text);
  } catch (error) {
    throw new UsageError(`--case: ${lineOf(error)}`);
  }
}

/** One case on both sides, step by step. */
async function replay(flags: DiffFlags, one: DiffCase): Promise<number> {
  const judge = new KernelSide();
  const subject = new StackSide(flags.profile);
  const ends = [new Tuples().next(one.version)];
  const manner = inManner();
  const [expected] = await play(judge, [one], ends, manner);
  const [got] = await play(subject, [one], ends, manner);
  judge.close();
  const difference = firstDifference(expected!, got!);
  const steps = one.events.map((event, i) => ({
    event: eventText(event),
    kernel: expected!.steps[i]!,
    ours: got!.steps[i]!,
  }));
  if (flags.json === true) {
    const state = difference === null ? '' : (got!.steps[difference.step - 1]?.state ?? 'CLOSED');
    const words = difference === null ? null : signature(one, difference, state, [judge.name, subject.name]);
    const all = { case: caseText(one), signature: words, difference, steps };
    process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  } else process.stdout.write(`${caseText(one)}\n${steps.map(stepText).join('')}`);
  return difference === null ? 0 : 1;
}

function stepText({ event, kernel, ours }: { event: string; kernel: StepSeen; ours: StepSeen }): string {
  const words = ({ call, replies, windows, state, error }: StepSeen): string =>
    [call, ...replies.map((reply, i) => `${reply} win ${windows[i]!}`), state, error === '-' ? '' : error]
      .filter((word) => word !== '')
      .join(', ');
  return `${event}\n    kernel  ${words(kernel)}\n    ours    ${words(ours)}\n`;
}

function known(): Deviation[] {
  const path = new URL('../../../test/deviations.json', import.meta.url);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  try {
    return parseDeviations(text);
  } catch (error) {
    throw new RunError(`test/deviations.json: ${lineOf(error)}`);
  }
}

function writeScripts(folder: string, findings: readonly Finding[]): string[] {
  return findings.map((finding, i) =>
    writeInto('--out', folder, `${finding.deviation?.id ?? 'difference'}-${i + 1}.pkt`, scriptOf(finding)),
  );
}

function report(result: SearchResult, seconds: number, files: readonly string[]): string {
  const lines: string[] = [];
  for (const [i, { one, signature, deviation, count, number }] of result.findings.entries()) {
    lines.push(
      `${deviation === null ? 'DIFFERENCE' : `known (${deviation.id})`}, ${count} times: ${signature}`,
    );
    if (deviation === null) lines.push(`  ${caseText(one)}`, `  found in --case ${number}`);
    else lines.push(`  ${deviation.reason}`);
    if (files[i] !== undefined) lines.push(`  ${files[i]}`);
  }
  if (result.unseen.length > 0) lines.push(`deviations not seen: ${result.unseen.join(', ')}`);
  const unexplained = result.findings.filter(({ deviation }) => deviation === null).length;
  const rest = result.unexamined > 0 ? `, ${result.unexamined} kinds not examined` : '';
  const unsteady = result.unsteady > 0 ? `, ${result.unsteady} did not show again` : '';
  lines.push(
    `${result.played} sequences in ${seconds.toFixed(1)} s, ${result.differing} differ: ${unexplained} unexplained kinds${rest}${unsteady}`,
  );
  return `${lines.join('\n')}\n`;
}

function jsonOf(flags: DiffFlags, result: SearchResult, seconds: number, files: readonly string[]): string {
  const findings = result.findings.map(({ one, difference, signature, deviation, count, number }, i) => ({
    signature,
    kind: difference.kind,
    kernel: difference.judge,
    ours: difference.subject,
    count,
    number,
    events: one.events.length,
    case: caseText(one),
    deviation: deviation?.id ?? null,
    script: files[i] ?? null,
  }));
  const { played, differing, unsteady, unexamined, unseen } = result;
  const all = {
    profile: flags.profile,
    seed: flags.seed,
    played,
    differing,
    unsteady,
    unexamined,
    unseen,
    seconds,
  };
  return `${JSON.stringify({ ...all, findings }, null, 2)}\n`;
}
