/** `timewait explain`: the decisions on one tuple, as a ladder with reasons, from a capture. */
import { readFileSync } from 'node:fs';
import { nearest } from '../stack/knobs.js';
import { paletteFor, type Palette } from '../view/colour.js';
import { Gatherer, formatTuple, type End, type Exchange } from '../view/exchange.js';
import {
  explainedSegments,
  formatExchange,
  formatTuples,
  summarizeTuple,
  type ExplainLook,
} from '../view/explain.js';
import { walkCapture, type CaptureEnd } from '../wire/capture-file.js';
import { RunError, UsageError, lineOf } from './fail.js';
import { isEnd, isTuple, type EndPattern, type TuplePattern } from './tuple.js';

export interface ExplainFlags {
  tuple?: TuplePattern;
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
  if (file === undefined) throw new UsageError('missing FILE, a capture (pcapng or pcap)');
  return explainFile(read(file, flags), flags);
}

function explainFile(capture: Capture, flags: ExplainFlags): number {
  if (capture.note !== '') warn(`${capture.file}: ${capture.note}; what is before that is explained`);
  if (capture.unknownLinks.length > 0)
    warn(`${capture.file}: packets of link type ${capture.unknownLinks.join(', ')} cannot be read`);
  const { exchanges } = capture;
  const one = new Set(exchanges.map(({ local, remote }) => formatTuple(local, remote))).size === 1;
  const whole = one || flags.all === true;
  if (flags.json === true) {
    say(JSON.stringify(jsonOf(capture, whole)));
    return 0;
  }
  const look = lookOf();
  say(headOf(capture));
  if (exchanges.length === 0) return 0;
  if (!whole) {
    say('');
    say(formatTuples(summaries(capture), look.palette));
    say('');
    say(
      `${exchanges.length} tuples. One of them: --tuple ${summaries(capture)[0]!.tuple}, or a port, or an address; all of them: --all`,
    );
    return 0;
  }
  for (const exchange of exchanges) sayExchange(capture, exchange, look);
  if (exchanges.every(({ seen }) => seen.every(({ comment }) => comment === '')))
    say('\nNo packet of it carries a reason.');
  return 0;
}

function sayExchange(capture: Capture, exchange: Exchange, look: ExplainLook): void {
  const { state, tuple, section } = summarizeTuple(exchange, capture.start);
  const palette = look.palette!;
  const where = capture.exchanges.some((other) => other.section !== exchange.section)
    ? `, section ${section} of the file`
    : '';
  say('');
  say(`${palette.strong(tuple)}${where}: ${state}`);
  say(formatExchange(exchange, look));
}

function headOf({ file, format, packets, segments, start }: Capture): string {
  const from = Number.isNaN(start) ? '' : `, from ${new Date(start).toISOString()}`;
  return `${file}: ${format}, ${count(packets, 'packet')}, ${segments} of TCP${from}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function summaries(capture: Capture): ReturnType<typeof summarizeTuple>[] {
  return capture.exchanges.map((exchange) => summarizeTuple(exchange, capture.start));
}

/** The shape stands in docs/cli.md. */
function jsonOf(capture: Capture, whole: boolean): object {
  const { file, format, note, packets, segments, start, exchanges } = capture;
  return {
    file,
    format,
    note: note === '' ? null : note,
    packets,
    segments,
    start: Number.isNaN(start) ? null : new Date(start).toISOString(),
    tuples: exchanges.map((exchange) => ({
      ...summarizeTuple(exchange, start),
      local: exchange.local,
      remote: exchange.remote,
      ...(whole ? { ladder: explainedSegments(exchange) } : {}),
    })),
  };
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
  const exchanges = gatherer.exchanges();
  if (tuple !== undefined && exchanges.length === 0) throw unknownTuple(file, tuple, gatherer.others());
  const { packets, segments, start, unknownLinks } = gatherer;
  return { ...end, file, packets, segments, start, unknownLinks: [...unknownLinks], exchanges };
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
  const { stdout } = process;
  const palette = paletteFor(stdout.isTTY === true, process.env);
  return stdout.isTTY === true ? { palette, columns: stdout.columns } : { palette };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function warn(text: string): void {
  process.stderr.write(`timewait: ${text}\n`);
}
