/** Where two observations of one case part, in words that group equal causes. */
import type { DiffCase, Observation } from './case.js';
import { eventText } from './words.js';

export type DifferenceKind = 'reply' | 'call' | 'state' | 'error';

export interface Difference {
  readonly kind: DifferenceKind;
  /** Step at which it shows. */
  readonly step: number;
  readonly judge: string;
  readonly subject: string;
}

const listed = (replies: readonly string[]): string =>
  replies.length === 0 ? 'nothing' : replies.join(', ');

/**
 * The first difference, or null. Compared at each step: what a call returned; of every segment sent
 * the flags (but PSH), relative SEQ and ACK, length, whether it carries a timestamp, whether the
 * window is closed, and how a new ISN follows from the old connection; the state; and SO_ERROR once
 * the connection is over.
 */
export function firstDifference(judge: Observation, subject: Observation): Difference | null {
  for (const [step, seen] of judge.steps.entries()) {
    const other = subject.steps[step]!;
    if (seen.call !== other.call) return { kind: 'call', step, judge: seen.call, subject: other.call };
    const [a, b] = [listed(seen.replies), listed(other.replies)];
    if (a !== b) return { kind: 'reply', step, judge: a, subject: b };
    if (seen.state !== other.state) return { kind: 'state', step, judge: seen.state, subject: other.state };
    if (seen.error !== other.error)
      return { kind: 'error', step, judge: seen.error || 'none', subject: other.error || 'none' };
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
