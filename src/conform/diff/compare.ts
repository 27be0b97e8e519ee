/** Where two observations of one case part, in words that group equal causes. */
import type { DiffCase, Observation, StepSeen } from './case.js';
import { eventText } from './words.js';

export type DifferenceKind = 'call' | 'reply' | 'state' | 'error' | 'window';

export interface Difference {
  readonly kind: DifferenceKind;
  /** Step at which it shows. */
  readonly step: number;
  readonly judge: string;
  readonly subject: string;
}

const listed = (items: readonly (string | number)[], none: string): string =>
  items.length === 0 ? none : items.join(', ');

/** What is compared of a step, in words. */
type Aspect = readonly [DifferenceKind, (seen: StepSeen) => string];

/**
 * In ranks: a difference of a later rank counts only where the earlier ones show none in the whole
 * case, so that another window, which says little, does not hide what was said otherwise.
 */
const RANKS: readonly (readonly Aspect[])[] = [
  [
    ['call', ({ call }) => call],
    ['reply', ({ replies }) => listed(replies, 'nothing')],
    ['state', ({ state }) => state],
    ['error', ({ error }) => error || 'none'],
  ],
  [['window', ({ windows }) => listed(windows, 'none')]],
];

/** 0 for what outranks all else. */
export function rankOf(kind: DifferenceKind): number {
  return RANKS.findIndex((aspects) => aspects.some(([name]) => name === kind));
}

/**
 * The first difference, or null. Compared at each step: what a call returned; of every segment sent
 * the flags (but PSH), relative SEQ and ACK, length, whether it carries a timestamp, whether the
 * window is closed, and how a new ISN follows from the old connection; the state; SO_ERROR once
 * the connection is over; the window field.
 */
export function firstDifference(judge: Observation, subject: Observation): Difference | null {
  for (const aspects of RANKS)
    for (const [step, seen] of judge.steps.entries())
      for (const [kind, words] of aspects) {
        const [a, b] = [words(seen), words(subject.steps[step]!)];
        if (a !== b) return { kind, step, judge: a, subject: b };
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
