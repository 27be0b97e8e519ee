/**
 * A hazard: one scripted situation in the virtual internet, and what was measured when
 * a profile met it. Nothing here is an opinion: every cell comes from a run that can be
 * repeated from its seed.
 */
import type { ReasonId } from '../../reasons.js';
import type { Stage } from './stage.js';

export type Axis = 'integrity' | 'availability' | 'capacity' | 'memory';

/**
 * What happened. `safe`: nothing went wrong. `corrupts`: bytes of an old connection were
 * delivered in a new one. `killed`: TIME-WAIT ended before its time.
 * `unprotected`: `value` connections got no TIME-WAIT. `refuses`: the
 * program got an error or nothing for as long as the run watched. `delays`: it got
 * through after `value` seconds. `loses`: `value` bytes that were sent never arrived.
 * `error`: the peer saw an error although its data had arrived. `capacity`: `value`
 * connections a second. `records`: `value` records held.
 */
export type Kind =
  | 'safe'
  | 'corrupts'
  | 'killed'
  | 'unprotected'
  | 'refuses'
  | 'delays'
  | 'loses'
  | 'error'
  | 'capacity'
  | 'records';

export interface Outcome {
  readonly kind: Kind;
  /** Seconds, bytes, connections per second or records, as `kind` says; null when it has none. */
  readonly value: number | null;
  /** Share of the axis' points, 0..1 (docs/hazards.md has the formulas). */
  readonly points: number;
  /** What was measured, one line. */
  readonly note: string;
  /** The decision of the host under test that made the difference, '' when none did. */
  readonly reason: ReasonId | '';
}

export interface Hazard {
  /** Name on the command line. */
  readonly name: string;
  readonly title: string;
  readonly axis: Axis;
  /** The situation, what is measured, when it counts as safe: for the generated page. */
  readonly text: string;
  /** Rows of the founding texts' claims that it touches. */
  readonly claims: readonly number[];
  play(stage: Stage): Outcome;
}

const MOST_DELAY = 240;

export function safe(note: string, reason: ReasonId | '' = ''): Outcome {
  return { kind: 'safe', value: null, points: 1, note, reason };
}

/** Old bytes came through. */
export function corrupts(bytes: number, note: string, reason: ReasonId | '' = ''): Outcome {
  return { kind: 'corrupts', value: bytes, points: 0, note, reason };
}

/** TIME-WAIT was cut short after `lived` of `due` ms. */
export function killed(lived: number, due: number, note: string, reason: ReasonId | ''): Outcome {
  const missing = Math.max(0, due - lived) / 1000;
  return { kind: 'killed', value: missing, points: 0, note, reason };
}

/** Through after `ms`; up to 100 ms is no delay. Points fall with the logarithm: 1 at 0.1 s, 0 at 240 s. */
export function delays(ms: number, note: string, reason: ReasonId | ''): Outcome {
  if (ms <= 100) return safe(note, reason);
  const seconds = ms / 1000;
  const points = Math.max(0, 1 - Math.log(seconds / 0.1) / Math.log(MOST_DELAY / 0.1));
  return { kind: 'delays', value: seconds, points, note, reason };
}

/** Not served within the time the run watched. */
export function refuses(note: string, reason: ReasonId | '', points = 0): Outcome {
  return { kind: 'refuses', value: null, points, note, reason };
}

/** `count` of `all` connections have no TIME-WAIT. */
export function unprotected(count: number, all: number, note: string, reason: ReasonId | ''): Outcome {
  return { kind: 'unprotected', value: count, points: 1 - count / all, note, reason };
}

export function loses(bytes: number, note: string, reason: ReasonId | '' = ''): Outcome {
  return { kind: 'loses', value: bytes, points: 0, note, reason };
}

export function peerError(note: string, reason: ReasonId | ''): Outcome {
  return { kind: 'error', value: null, points: 0, note, reason };
}

/** `perSecond` connections, of `wanted` that count as enough. */
export function capacity(perSecond: number, wanted: number, note: string, reason: ReasonId | ''): Outcome {
  return { kind: 'capacity', value: perSecond, points: Math.min(1, perSecond / wanted), note, reason };
}

/** `count` records; `usual` of them cost nothing in points. */
export function records(count: number, usual: number, note: string): Outcome {
  const points = count <= usual ? 1 : usual / count;
  return { kind: 'records', value: count, points, note, reason: '' };
}

/** The cell of the matrix. */
export function cellText({ kind, value }: Outcome): string {
  switch (kind) {
    case 'corrupts':
      return `corrupts ${number(value!)} B`;
    case 'killed':
      return `killed ${number(value!)} s early`;
    case 'unprotected':
      return `${number(value!)} unprotected`;
    case 'delays':
      return `delays ${number(value!)} s`;
    case 'loses':
      return `loses ${number(value!)} B`;
    case 'error':
      return 'error to peer';
    case 'capacity':
      return `${number(value!)}/s`;
    case 'records':
      return `${number(value!)} records`;
    default:
      return kind;
  }
}

/** Three digits or whole, with thousands marked. */
export function number(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(2)));
}
