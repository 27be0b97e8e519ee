/** Where two observations of one case part, in words that group equal causes. */
import type { DiffCase, Observation, StepSeen } from './case.js';
import { comparedInfo } from './info.js';
import { eventText } from './words.js';

export type DifferenceKind = 'call' | 'reply' | 'state' | 'error' | 'window' | 'info' | 'counter';

export interface Difference {
  readonly kind: DifferenceKind;
  /** Step at which it shows. */
  readonly step: number;
  readonly judge: string;
  readonly subject: string;
}

const listed = (items: readonly (string | number)[], none: string): string =>
  items.length === 0 ? none : items.join(', ');

/** What is compared of a step: both sides in words, null where they agree. */
type Aspect = readonly [DifferenceKind, (a: StepSeen, b: StepSeen) => readonly [string, string] | null];

const aspect = (kind: DifferenceKind, words: (seen: StepSeen) => string): Aspect => [
  kind,
  (a, b) => {
    const both = [words(a), words(b)] as const;
    return both[0] === both[1] ? null : both;
  },
];

export type Numbers = ReadonlyMap<string, number>;

/** Those of `names` that differ, with their values. */
function unequal(names: readonly string[], a: Numbers, b: Numbers): readonly [string, string] | null {
  const wrong = names.filter((name) => a.get(name) !== b.get(name));
  const words = (values: Numbers): string =>
    wrong.map((name) => `${name} ${values.get(name) ?? '-'}`).join(', ');
  return wrong.length === 0 ? null : [words(a), words(b)];
}

/** The state is the same on both sides. */
function differingInfo(a: StepSeen, b: StepSeen): readonly [string, string] | null {
  return a.info === null || b.info === null ? null : unequal(comparedInfo(a.state), a.info, b.info);
}

/**
 * In ranks: a difference of a later rank counts only where the earlier ones show none in the whole
 * case, so that another window, which says little, does not hide what was said otherwise.
 */
const RANKS: readonly (readonly Aspect[])[] = [
  [
    aspect('call', ({ call }) => call),
    aspect('reply', ({ replies }) => listed(replies, 'nothing')),
    aspect('state', ({ state }) => state),
    aspect('error', ({ error }) => error || 'none'),
  ],
  [aspect('window', ({ windows }) => listed(windows, 'none'))],
  [['info', (a, b) => differingInfo(a, b)]],
];

/** 0 for what outranks all else. */
export function rankOf(kind: DifferenceKind): number {
  const rank = RANKS.findIndex((aspects) => aspects.some(([name]) => name === kind));
  return rank < 0 ? RANKS.length : rank;
}

/** Counters of one case that differ, the last of the ranks; `step` is its last. */
export function counterDifference(step: number, judge: Numbers, subject: Numbers): Difference | null {
  const words = unequal([...judge.keys()], judge, subject);
  return words === null ? null : { kind: 'counter', step, judge: words[0], subject: words[1] };
}

/**
 * The first difference, or null. Compared at each step: what a call returned; of every segment sent
 * the flags (but PSH), relative SEQ and ACK, length, whether it carries a timestamp, whether the
 * window is closed, and how a new ISN follows from the old connection; the state; SO_ERROR once
 * the connection is over; the window field; TCP_INFO.
 */
export function firstDifference(judge: Observation, subject: Observation): Difference | null {
  for (const aspects of RANKS)
    for (const [step, seen] of judge.steps.entries())
      for (const [kind, parting] of aspects) {
        const words = parting(seen, subject.steps[step]!);
        if (words !== null) return { kind, step, judge: words[0], subject: words[1] };
      }
  return null;
}

/** `reply in TIME-WAIT to < S seq next: kernel . 1 ack 1; linux nothing`: what patterns of deviations are matched with. */
export function signature(
  one: DiffCase,
  difference: Difference,
  state: string,
  names: readonly [judge: string, subject: string],
): string {
  const { kind, step, judge, subject } = difference;
  const event = one.events[step];
  const stamps = one.timestamps ? 'timestamps' : 'no timestamps';
  return `${kind} in ${state} (${one.side}, ${stamps}) to ${event === undefined ? 'nothing' : eventText(event)}: ${names[0]} ${judge}; ${names[1]} ${subject}`;
}

/** Signatures that differ in numbers only belong together. */
export function groupOf(text: string): string {
  return text.replace(/\((server|client), /, '(').replace(/-?\d+/g, 'n');
}
