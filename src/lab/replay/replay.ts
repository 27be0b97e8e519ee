/**
 * `timewait replay`: one end of a recorded conversation is our stack, and its answers are compared with
 * the recorded ones. docs/replay.md is for users.
 */
import { formatNotation, type SegmentText } from '../../wire/notation.js';
import { align, differs, stampOf, type Answer, type Pair } from './compare.js';
import { play, type PlayOptions } from './play.js';
import type { Flow, Recorded, Recording } from './recording.js';
import { Translation } from './translate.js';
import { SYN } from '../../wire/segment.js';

/** One line of a replayed flow, in the order of time. */
export type Line =
  | { readonly kind: 'arrived'; readonly packet: Recorded; readonly reason: string }
  | { readonly kind: 'refused'; readonly time: number; readonly message: string }
  | ({ readonly kind: 'answer'; readonly differs: boolean } & Pair);

export interface ReplayedFlow {
  readonly flow: Flow;
  readonly lines: readonly Line[];
  /** Answers recorded, of ours, and those that both have at the same time. */
  readonly recorded: number;
  readonly ours: number;
  readonly same: number;
  readonly late: number;
  /** What the user may have to set for the two to be alike. */
  readonly hints: readonly string[];
}

export function replay(recording: Recording, options: PlayOptions): ReplayedFlow[] {
  const played = play(recording, options);
  return recording.flows.map((flow) => {
    const { answers, reasons, refused } = played.get(flow)!;
    const recorded = answersOf(flow);
    const pairs = align(recorded, answers);
    const both = pairs.filter((pair) => pair.recorded !== null && pair.ours !== null);
    const late = both.filter((pair) => differs(pair, options.tolerance)).length;
    return {
      flow,
      lines: linesOf(flow, pairs, reasons, refused, options.tolerance),
      recorded: recorded.length,
      ours: answers.length,
      same: both.length - late,
      late,
      hints: hintsOf(recorded, answers),
    };
  });
}

/** The recorded answers; what an interface was to cut into segments (TSO) is cut here. */
function answersOf(flow: Flow): Answer[] {
  const numbers = new Translation(flow);
  let mss = Infinity;
  const answers: Answer[] = [];
  for (const { inbound, segment, time, frame, comment } of flow.seen) {
    if (segment === null) continue;
    if (inbound) {
      if ((segment.flags & SYN) !== 0) mss = mssOf(segment);
      continue;
    }
    const seq = numbers.relativeRecorded(segment.seq);
    const room = mss - (stampOf(segment) === null ? 0 : 12);
    for (let at = 0; at === 0 || at < segment.length; at += room) {
      const last = at + room >= segment.length;
      const length = last ? segment.length - at : room;
      // FIN and PSH stand on the last piece
      const flags = last ? segment.flags : segment.flags & ~0x09;
      answers.push({ time, frame, comment, segment: { ...segment, seq: seq + at, length, flags } });
      if (last) break;
    }
  }
  return answers;
}

function mssOf(segment: SegmentText): number {
  for (const option of segment.options ?? []) if (option.kind === 'mss') return Math.max(64, option.value);
  return Infinity;
}

function linesOf(
  flow: Flow,
  pairs: readonly Pair[],
  reasons: ReadonlyMap<number, string>,
  refused: ReadonlyMap<number, string>,
  tolerance: number,
): Line[] {
  const lines: { at: number; line: Line }[] = [];
  flow.seen.forEach((packet, i) => {
    const at = packet.frame;
    if (packet.inbound) lines.push({ at, line: { kind: 'arrived', packet, reason: reasons.get(i) ?? '' } });
    const message = refused.get(i);
    if (message !== undefined) lines.push({ at, line: { kind: 'refused', time: packet.time, message } });
  });
  for (const pair of pairs) {
    const at = pair.recorded?.frame ?? pair.ours!.frame + 0.5;
    lines.push({ at, line: { kind: 'answer', ...pair, differs: differs(pair, tolerance) } });
  }
  return lines.sort((a, b) => a.at - b.at).map(({ line }) => line);
}

/** Options of the SYNs that one side has and the other has not. */
function hintsOf(recorded: readonly Answer[], ours: readonly Answer[]): string[] {
  const theirs = recorded.find(({ segment }) => (segment.flags & SYN) !== 0)?.segment.options;
  const own = ours.find(({ segment }) => (segment.flags & SYN) !== 0)?.segment.options;
  if (theirs === undefined || own === undefined) return [];
  const knobs = {
    TS: 'net.ipv4.tcp_timestamps',
    sackOK: 'net.ipv4.tcp_sack',
    wscale: 'net.ipv4.tcp_window_scaling',
  };
  return Object.entries(knobs).flatMap(([kind, knob]) => {
    const [recordedHas, oursHas] = [theirs, own].map((list) => list.some((option) => option.kind === kind));
    if (recordedHas === oursHas) return [];
    return [
      `the recorded SYN has ${oursHas ? 'no ' : ''}${kind}, ours has ${oursHas ? 'it' : 'none'}: --set ${knob}=${oursHas ? 0 : 1}`,
    ];
  });
}

/** An answer in notation. */
export function answerText({ segment }: Answer): string {
  return formatNotation(segment);
}
