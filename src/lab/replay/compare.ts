/** Recorded answers beside ours, flow by flow: which are the same, which came later, which only one side has. */
import type { OptionText, SegmentText } from '../../wire/notation.js';
import { PSH, SYN } from '../../wire/segment.js';

/** One answer, numbers counted from the ISS of either side. */
export interface Answer {
  /** ms since the first packet of the recording. */
  readonly time: number;
  readonly segment: SegmentText;
  /** Of ours: why it was sent, '' when nothing is known. Of a recorded one: its comment. */
  readonly comment: string;
  /** Packet number in the file; of ours: of the packet that the replay was at. */
  readonly frame: number;
}

export interface Pair {
  readonly recorded: Answer | null;
  readonly ours: Answer | null;
}

/** Answers of one side that are looked through for the next common one. */
const REACH = 64;

export function stampOf(segment: SegmentText): number | null {
  for (const option of segment.options ?? []) if (option.kind === 'TS') return option.val;
  return null;
}

/**
 * In order; greedy: where the two part, the nearest place at which they meet again within REACH answers.
 * Text and flags, sequence and acknowledgment number, SACK blocks, MSS and which options there are count.
 * What depends on the machine (window, shift, values of timestamps) and PSH, which follows from how the
 * program wrote, does not.
 */
export function align(recorded: readonly Answer[], ours: readonly Answer[]): Pair[] {
  const left = recorded.map(({ segment }) => keyOf(segment));
  const right = ours.map(({ segment }) => keyOf(segment));
  const pairs: Pair[] = [];
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    const [skipLeft, skipRight] = nextCommon(left, right, i, j);
    for (let k = 0; k < skipLeft; k++) pairs.push({ recorded: recorded[i++]!, ours: null });
    for (let k = 0; k < skipRight; k++) pairs.push({ recorded: null, ours: ours[j++]! });
    if (i < left.length && j < right.length && left[i] === right[j])
      pairs.push({ recorded: recorded[i++]!, ours: ours[j++]! });
  }
  return pairs;
}

/** How many of either side stand before the next common answer; all that are left when there is none. */
function nextCommon(
  left: readonly string[],
  right: readonly string[],
  i: number,
  j: number,
): [number, number] {
  for (let both = 0; both <= REACH; both++)
    for (let skip = 0; skip <= both; skip++) {
      const [a, b] = [i + skip, j + both - skip];
      if (a < left.length && b < right.length && left[a] === right[b]) return [skip, both - skip];
    }
  // None near: one step on, so that a long flow still finds the next
  if (i < left.length && j < right.length) return [1, 1];
  return [left.length - i, right.length - j];
}

function keyOf({ flags, seq, length, ack, options = [] }: SegmentText): string {
  const told = options.map((option) => optionKey(option, (flags & SYN) !== 0)).filter((key) => key !== '');
  return `${flags & ~PSH} ${seq} ${length} ${ack ?? '-'} ${told.sort().join()}`;
}

function optionKey(option: OptionText, syn: boolean): string {
  switch (option.kind) {
    case 'nop':
    case 'eol':
      return '';
    case 'mss':
      return syn ? `mss ${option.value}` : '';
    case 'sack':
      return `sack ${option.blocks.map((edges) => edges.join(':')).join(' ')}`;
    default:
      return option.kind;
  }
}

/** A pair that a user is to look at; `tolerance` in ms. */
export function differs({ recorded, ours }: Pair, tolerance: number): boolean {
  return recorded === null || ours === null || Math.abs(ours.time - recorded.time) > tolerance;
}
