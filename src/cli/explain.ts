/** `timewait explain`: the decisions on one tuple, as a ladder with reasons, from a capture. */
import { readFileSync } from 'node:fs';
import { judge, judgementText, tally, type Judgement } from '../lab/explain.js';
import { guardPolicy, type Policy, type RuleName } from '../stack/policies.js';
import { nearest } from '../stack/knobs.js';
import { paletteFor, type Palette } from '../view/colour.js';
import {
  Gatherer,
  exchangeOfLog,
  formatEnd,
  formatTuple,
  type End,
  type Exchange,
  type Seen,
} from '../view/exchange.js';
import {
  explainedSegments,
  formatExchange,
  formatTuples,
  summarizeTuple,
  type ExplainLook,
  type TupleSummary,
} from '../view/explain.js';
import { walkCapture, type CaptureEnd } from '../wire/capture-file.js';
import { parseNotation } from '../wire/notation-parse.js';
import { choosePolicy } from './choose-policy.js';
import { ask, type Explained } from './control.js';
import { RunError, UsageError, lineOf } from './fail.js';
import { terminalWidth } from './terminal.js';
import type { RememberedDecision } from './memory.js';
import { isEnd, isTuple, type EndPattern, type TuplePattern } from './tuple.js';

export interface ExplainFlags {
  /** A name or a path. */
  policy?: string;
  hook: [RuleName, string][];
  set: { name: string; value: number }[];
  tuple?: TuplePattern;
  control?: string;
  side?: EndPattern;
  all?: boolean;
  json?: boolean;
}

/** What was read of a file. */
interface Capture extends CaptureEnd {
  readonly file: string;
  readonly packets: number;
  readonly segments: number;
  /** ms since 1970, NaN without packets. */
  readonly start: number;
  readonly unknownLinks: readonly number[];
  readonly exchanges: readonly Exchange[];
}

export async function explain(file: string | undefined, flags: ExplainFlags): Promise<number> {
  const control = flags.control ?? (file === undefined ? process.env['TIMEWAIT_CONTROL'] : undefined);
  if (file !== undefined && control !== undefined)
    throw new UsageError('FILE or --control, not both: a capture, or a running stack');
  if (control !== undefined) return explainRunning(control, flags);
  if (file === undefined)
    throw new UsageError(
      'missing FILE, a capture (pcapng or pcap), or --control <socket> of a running stack',
    );
  if (flags.set.length > 0 && flags.policy === undefined)
    throw new UsageError('--set is about the policy that judges: say which with --policy <name>');
  if (flags.hook.length > 0 && flags.policy === undefined)
    throw new UsageError('--hook changes the policy that judges: say which with --policy <name>');
  return explainFile(read(file, flags), flags, await policyOf(flags));
}

/** What a running stack remembers; it knows the segments it decided on, not the ordinary ones. */
async function explainRunning(control: string, flags: ExplainFlags): Promise<number> {
  if (flags.policy !== undefined || flags.hook.length > 0 || flags.side !== undefined)
    throw new UsageError('--policy and --side are about captures, not about --control');
  const { tuple } = flags;
  const answer = await ask<Explained>(control, {
    command: 'explain',
    ...(tuple === undefined ? {} : { tuple: tuple.text }),
  });
  const logs = logsOf(answer.decisions);
  if (!answer.remembering)
    warn('decisions are remembered from now on: ask again (`timewait serve --remember` begins at once)');
  else if (tuple !== undefined && logs.length === 0) {
    if (answer.tuples.length === 0) throw new RunError('no decisions on any tuple are remembered');
    const near = nearest(tuple.text, answer.tuples).join(', ');
    throw new RunError(`--tuple ${tuple.text}: no decision on it is remembered; nearest: ${near}`);
  }
  const start = answer.decisions[0]?.at ?? NaN;
  const whole = logs.length === 1 || flags.all === true;
  if (flags.json === true) {
    const { policy, remembering, forgotten } = answer;
    const tuples = logs.map((log) => logJson(log, start, whole));
    say(JSON.stringify({ control, policy, remembering, forgotten, start: isoOf(start), tuples }));
    return 0;
  }
  const lost = answer.forgotten > 0 ? `, ${answer.forgotten} older ones are forgotten` : '';
  say(`${control}: policy ${answer.policy}, ${count(answer.decisions.length, 'decision')} remembered${lost}`);
  const look = { ...lookOf(), raw: true };
  if (!whole && logs.length > 0) {
    const rows = logs.map(({ exchange, states }) => ({
      ...summarizeTuple(exchange, start),
      state: `met ${states.at(-1) ?? 'nothing'}`,
    }));
    sayTable(rows, look);
  }
  for (const { exchange, states } of whole ? logs : []) {
    say(`\n${look.palette.strong(formatTuple(exchange.local, exchange.remote))}`);
    say(
      formatExchange(exchange, look, (i) =>
        exchange.seen[i]!.segment === null ? '' : `  it met ${states[i]}`,
      ),
    );
  }
  return 0;
}

/** The decisions on one tuple, and the state that each of them met. */
interface Log {
  readonly exchange: Exchange;
  readonly states: readonly string[];
}

function logJson({ exchange, states }: Log, start: number, whole: boolean): object {
  const { tuple, packets, first, last, decisions } = summarizeTuple(exchange, start);
  const ladder = explainedSegments(exchange, true).map(({ time, segment, comment, reasons }, i) => ({
    time,
    segment,
    state: states[i],
    comment,
    reasons,
  }));
  const { local, remote } = exchange;
  const short = { tuple, count: packets, first, last, state: states.at(-1) ?? '', decisions, local, remote };
  return whole ? { ...short, ladder } : short;
}

function logsOf(decisions: readonly RememberedDecision[]): Log[] {
  const tuples = new Map<string, { local: End; remote: End; seen: Seen[]; states: string[] }>();
  for (const { at, local, remote, comment, state, segment } of decisions) {
    const key = formatTuple(local, remote);
    const tuple = tuples.get(key) ?? { local, remote, seen: [], states: [] };
    tuples.set(key, tuple);
    const parsed = parseNotation(segment);
    tuple.seen.push({
      frame: 0,
      at,
      inbound: true,
      segment: 'error' in parsed ? null : parsed,
      comment,
    });
    tuple.states.push(state);
  }
  return [...tuples.values()].map(({ local, remote, seen, states }) => ({
    exchange: exchangeOfLog(local, remote, seen),
    states,
  }));
}

function sayTable(rows: readonly TupleSummary[], look: ExplainLook): void {
  say(`\n${formatTuples(rows, look)}\n`);
  say(
    `${rows.length} tuples. One of them: --tuple ${rows[0]!.tuple}, or a port, or an address; all of them: --all`,
  );
}

function isoOf(ms: number): string | null {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : null;
}

function explainFile(capture: Capture, flags: ExplainFlags, policy: string | Policy | null): number {
  if (capture.note !== '') warn(`${capture.file}: ${capture.note}; what is before that is explained`);
  if (capture.unknownLinks.length > 0)
    warn(`${capture.file}: packets of link type ${capture.unknownLinks.join(', ')} cannot be read`);
  const { exchanges } = capture;
  const judgements = judgeAll(capture, flags, policy);
  const one = new Set(exchanges.map(({ local, remote }) => formatTuple(local, remote))).size === 1;
  const whole = one || flags.all === true;
  if (flags.json === true) {
    say(JSON.stringify(jsonOf(capture, whole, judgements)));
    return 0;
  }
  const look = lookOf();
  say(headOf(capture));
  if (exchanges.length === 0) return 0;
  if (!whole) {
    sayTable(summaries(capture, judgements), look);
    return 0;
  }
  exchanges.forEach((exchange, i) => sayExchange(capture, exchange, judgements?.[i], look));
  if (judgements === null && exchanges.every(({ seen }) => seen.every(({ comment }) => comment === '')))
    say('\nNo packet of it carries a reason: --policy NAME says what a policy would have done.');
  return 0;
}

/** The policy asked for, null for none. Guarded without a stopwatch: verdicts must not depend on the machine. */
async function policyOf({ policy, hook }: ExplainFlags): Promise<string | Policy | null> {
  if (policy === undefined) return null;
  const chosen = await choosePolicy({ policy, hook });
  if (typeof chosen === 'string') return chosen;
  return guardPolicy(chosen, { report: ({ message }) => warn(message) }).policy;
}

/** What the policy says of each tuple; null when none was asked for. */
function judgeAll(
  { exchanges }: Capture,
  { set, side }: ExplainFlags,
  policy: string | Policy | null,
): Judgement[] | null {
  if (policy === null) return null;
  return exchanges.map((exchange) => {
    // An end that was named is judged whoever closed first.
    const keepSide = side !== undefined && isEnd(side, exchange.local) !== isEnd(side, exchange.remote);
    return judge(exchange, { policy, knobs: set, keepSide });
  });
}

function sayExchange(
  capture: Capture,
  recorded: Exchange,
  judgement: Judgement | undefined,
  look: ExplainLook,
): void {
  const exchange = judgement?.exchange ?? recorded;
  const { state, tuple, section } = summarizeTuple(exchange, capture.start);
  const palette = look.palette!;
  const where = capture.exchanges.some((other) => other.section !== exchange.section)
    ? `, section ${section} of the file`
    : '';
  say('');
  say(`${palette.strong(tuple)}${where}: ${state}`);
  say(formatExchange(exchange, look, (i) => (judgement === undefined ? '' : judgementText(judgement, i))));
  if (judgement === undefined) return;
  const { judged, differ } = tally(judgement);
  say(
    judgement.entries.size === 0
      ? `No verdict: the capture does not show how ${formatEnd(exchange.local)} came into TIME-WAIT.`
      : `${judgement.policy}: ${count(judged, 'segment')} judged, ${differ} answered otherwise than the capture shows.`,
  );
}

function headOf({ file, format, packets, segments, start }: Capture): string {
  const from = Number.isNaN(start) ? '' : `, from ${isoOf(start)}`;
  return `${file}: ${format}, ${count(packets, 'packet')}, ${segments} of TCP${from}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function summaries(capture: Capture, judgements: readonly Judgement[] | null): TupleSummary[] {
  return capture.exchanges.map((exchange, i) => {
    const judgement = judgements?.[i];
    const summary = summarizeTuple(judgement?.exchange ?? exchange, capture.start);
    if (judgement === undefined) return summary;
    const { judged, differ } = tally(judgement);
    const { policy } = judgement;
    return { ...summary, verdicts: judged === 0 ? '' : `${policy}: ${differ} of ${judged} otherwise` };
  });
}

/** The shape stands in docs/cli.md. */
function jsonOf(capture: Capture, whole: boolean, judgements: readonly Judgement[] | null): object {
  const { file, format, note, packets, segments, start } = capture;
  return {
    file,
    format,
    note: note === '' ? null : note,
    packets,
    segments,
    start: isoOf(start),
    tuples: capture.exchanges.map((exchange, i) => tupleJson(exchange, start, whole, judgements?.[i])),
  };
}

function tupleJson(
  recorded: Exchange,
  start: number,
  whole: boolean,
  judgement: Judgement | undefined,
): object {
  const exchange = judgement?.exchange ?? recorded;
  return {
    ...summarizeTuple(exchange, start),
    local: exchange.local,
    remote: exchange.remote,
    ...(judgement === undefined ? {} : { policy: judgement.policy, ...tally(judgement) }),
    ...(whole ? { ladder: ladderOf(exchange, judgement) } : {}),
  };
}

function ladderOf(exchange: Exchange, judgement: Judgement | undefined): object[] {
  return explainedSegments(exchange).map((segment, i) => {
    const verdict = judgement?.verdicts.get(i);
    const entry = judgement?.entries.get(i);
    return {
      ...segment,
      ...(entry === undefined ? {} : { timeWait: entry }),
      ...(verdict === undefined ? {} : { verdict }),
    };
  });
}

/** Reads the file and chooses the tuples. `-` is standard input. */
function read(file: string, flags: ExplainFlags): Capture {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file === '-' ? 0 : file);
  } catch (error) {
    throw new RunError(`${file}: ${lineOf(error)}`);
  }
  const { tuple, side } = flags;
  const gatherer = new Gatherer({
    ...(tuple === undefined ? {} : { wanted: (a: End, b: End) => isTuple(tuple, a, b) }),
    ...(side === undefined ? {} : { side: (end: End) => isEnd(side, end) }),
  });
  const end = walkCapture(bytes, (packet, original, section) => gatherer.take(packet, original, section));
  if (end === null) throw new RunError(`${file}: ${whatItIs(bytes)}`);
  if (end.note !== '' && gatherer.packets === 0) throw new RunError(`${file}: ${end.note}`);
  const exchanges = gatherer.exchanges();
  if (tuple !== undefined && exchanges.length === 0) throw unknownTuple(file, tuple, gatherer.others());
  if (side !== undefined && exchanges.length > 0) checkSide(file, side, exchanges);
  const { packets, segments, start, unknownLinks } = gatherer;
  return { ...end, file, packets, segments, start, unknownLinks: [...unknownLinks], exchanges };
}

/** An end that no tuple has would choose nothing. */
function checkSide(file: string, side: EndPattern, exchanges: readonly Exchange[]): void {
  const ends = exchanges.flatMap(({ local, remote }) => [local, remote]);
  if (ends.some((end) => isEnd(side, end))) return;
  const { address, port } = side;
  const named = port === null ? address : address === null ? port : formatEnd({ address, port });
  const there = [...new Set(ends.map((end) => (port === null ? end.address : formatEnd(end))))];
  const more = there.length > 5 ? ` and ${there.length - 5} more` : '';
  throw new UsageError(
    `--side ${named}: no such end in ${file}; it has ${there.slice(0, 5).join(', ')}${more}`,
  );
}

function whatItIs(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'empty, no capture';
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'compressed with gzip: gunzip it first';
  return 'no capture: neither pcapng nor pcap';
}

function unknownTuple(file: string, tuple: TuplePattern, others: readonly (readonly [End, End])[]): Error {
  if (others.length === 0) return new RunError(`${file}: no TCP segments at all`);
  const names = others.flatMap(([a, b]) => [formatTuple(a, b), formatTuple(b, a)]);
  const near = nearest(tuple.text, [...new Set(names)]);
  return new RunError(`--tuple ${tuple.text}: not in ${file}; nearest: ${near.join(', ')}`);
}

function lookOf(): { palette: Palette; columns?: number } {
  const palette = paletteFor(process.stdout.isTTY === true, process.env);
  const columns = terminalWidth();
  return columns === undefined ? { palette } : { palette, columns };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function warn(text: string): void {
  process.stderr.write(`timewait: ${text}\n`);
}
