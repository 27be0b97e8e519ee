/** A replayed flow for people: a ladder of what arrived and what either side answered. */
import { formatNotation, type OptionText, type SegmentText } from '../wire/notation.js';
import { SYN } from '../wire/segment.js';
import { noColours, type Palette } from './colour.js';
import { formatEnd, formatTuple, type End, type Stretch } from './exchange.js';
import { formatLadder, formatSpan, type Rung } from './ladder.js';

interface Answer {
  readonly time: number;
  readonly segment: SegmentText;
  readonly comment: string;
  readonly frame: number;
}

/** What lab/replay makes of a flow. */
export interface ReplayView {
  readonly flow: {
    readonly local: End;
    readonly remote: End;
    readonly stretches: readonly Stretch[];
  };
  readonly lines: readonly (
    | {
        readonly kind: 'arrived';
        readonly packet: {
          readonly time: number;
          readonly frame: number;
          readonly segment: SegmentText | null;
        };
        readonly reason: string;
      }
    | { readonly kind: 'refused'; readonly time: number; readonly message: string }
    | {
        readonly kind: 'answer';
        readonly differs: boolean;
        readonly recorded: Answer | null;
        readonly ours: Answer | null;
      }
  )[];
  readonly recorded: number;
  readonly ours: number;
  readonly same: number;
  readonly late: number;
  readonly hints: readonly string[];
}

/** Lines of the ladder before and behind the first difference. */
const BEFORE = 8;
const BEHIND = 16;

export function formatReplay(
  view: ReplayView,
  options: { readonly palette?: Palette; readonly all: boolean },
): string {
  const palette = options.palette ?? noColours;
  const { flow, lines } = view;
  const first = lines.findIndex(
    (line) => line.kind === 'refused' || (line.kind === 'answer' && line.differs),
  );
  const head = `${palette.strong(formatTuple(flow.local, flow.remote))}: ${summary(view, first < 0)}`;
  const from = options.all || first < 0 ? 0 : Math.max(0, first - BEFORE);
  const to = options.all ? lines.length : first < 0 ? BEFORE + BEHIND : first + BEHIND;
  const rungs = lines.slice(from, to).map((line) => rungOf(line, flow.stretches));
  const left = lines.length - from - rungs.length;
  const more = from + left > 0 ? [palette.dim(`${from} lines before, ${left} behind; --all shows them`)] : [];
  const ladder = formatLadder(rungs, {
    left: formatEnd(flow.remote),
    right: formatEnd(flow.local),
    palette,
    toneOf,
  });
  return [head, ...view.hints.map((hint) => `hint: ${hint}`), ladder, ...more].join('\n');
}

function summary({ recorded, ours, same, late }: ReplayView, alike: boolean): string {
  if (alike) return `${recorded} answers, all as recorded`;
  const apart = late > 0 ? `, ${late} at another time` : '';
  return `${recorded} answers recorded, ${ours} of ours; ${same} the same${apart}`;
}

function rungOf(line: ReplayView['lines'][number], stretches: readonly Stretch[]): Rung {
  switch (line.kind) {
    case 'arrived': {
      const { time, frame, segment } = line.packet;
      const text = segment === null ? 'ICMP error' : formatNotation(arrivedText(segment, stretches));
      return { time, frame, rightward: true, segment: text, comment: line.reason };
    }
    case 'refused':
      return { time: line.time, rightward: false, segment: '', comment: `not possible: ${line.message}` };
    case 'answer': {
      const shown = (line.recorded ?? line.ours)!;
      return {
        time: shown.time,
        ...(line.recorded === null ? {} : { frame: line.recorded.frame }),
        rightward: false,
        segment: formatNotation(answerText(shown.segment, stretches)),
        comment: [verdict(line.recorded, line.ours, line.differs), line.ours?.comment ?? '']
          .filter((text) => text !== '')
          .join('\n'),
      };
    }
  }
}

function verdict(recorded: Answer | null, ours: Answer | null, late: boolean): string {
  if (recorded === null) return 'ours only';
  if (ours === null) return 'recorded only';
  if (!late) return '';
  const apart = ours.time - recorded.time;
  return `ours comes ${formatSpan(Math.abs(apart))} ${apart > 0 ? 'later' : 'earlier'}`;
}

function toneOf(comment: string): 'bad' | undefined {
  return /^(ours|recorded) only|^ours comes|^not possible/.test(comment) ? 'bad' : undefined;
}

/** The newest of the flow's numbers that is not above `seq`. */
function countedFrom(seq: number, issOf: readonly number[]): number {
  const base = issOf.findLast((iss) => ((seq - iss) | 0) >= 0) ?? 0;
  return (seq - base) >>> 0;
}

function arrivedText(segment: SegmentText, stretches: readonly Stretch[]): SegmentText {
  const own = stretches.map(({ remoteIss }) => remoteIss);
  const other = stretches.map(({ localIss }) => localIss);
  return counted(segment, countedFrom(segment.seq, own), other);
}

/** An answer's own number is counted from its ISS already. */
function answerText(segment: SegmentText, stretches: readonly Stretch[]): SegmentText {
  return counted(
    segment,
    segment.seq,
    stretches.map(({ remoteIss }) => remoteIss),
  );
}

/** With numbers as in a ladder and without timestamps, whose values are another clock's. */
function counted(segment: SegmentText, seq: number, acked: readonly number[]): SegmentText {
  const back = (n: number): number => countedFrom(n, acked);
  const options = segment.options
    ?.filter(({ kind }) => kind !== 'TS' || (segment.flags & SYN) !== 0)
    .map((option): OptionText =>
      option.kind === 'sack'
        ? { kind: 'sack', blocks: option.blocks.map(([left, right]) => [back(left), back(right)] as const) }
        : option,
    );
  return {
    ...segment,
    seq,
    ...(segment.ack === undefined ? {} : { ack: back(segment.ack) }),
    ...(options === undefined ? {} : { options }),
  };
}
