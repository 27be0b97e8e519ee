/** Facts for hooks as plain frozen objects, segments by their distance from the record, verdicts as text. */
import type { Test } from 'tap';
import { knobs } from '../../src/stack/knobs.js';
import {
  ACCEPT,
  BECOME_TIME_WAIT,
  CHALLENGE,
  DELETE,
  KEEP,
  LIMITED,
  REFRESH,
  REPLY_ACK,
  REPLY_RST,
  RESTART,
  REVERTIBLE,
  fateOf,
  reasonOf,
  replyOf,
  type HostStamp,
  type Policy,
  type PolicyContext,
  type RecordFacts,
} from '../../src/timewait/policy.js';
import { reasonText } from '../../src/reasons.js';
import { ACK, FIN, PSH, RST, SYN, URG, Segment } from '../../src/wire/segment.js';

/** Receive window of the record, bytes. */
export const RW = 20_000;
export const HALF = 2 ** 31;
/** What the clock shows (int32 ms). */
export const NOW = 500_000;

export interface Base {
  readonly rn: number;
  readonly sn: number;
  readonly ts: number;
}

/** RCV.NXT, SND.NXT and TS.Recent in the middle, at the change of sign, and at the wrap. */
export const bases: readonly Base[] = [
  { rn: 1_000_000, sn: 2_000_000, ts: 700_000 },
  { rn: 0, sn: 0, ts: 1 },
  { rn: -1, sn: -2, ts: -1 },
  { rn: 0x7fffffff, sn: -0x80000000, ts: 0x7fffffff },
  { rn: -0x80000000, sn: 0x7fffffff, ts: -0x80000000 },
  { rn: -RW, sn: 1, ts: -1000 },
];

export function record(base: Base, over: Partial<RecordFacts> = {}): RecordFacts {
  return Object.freeze({
    sndNxt: base.sn,
    rcvNxt: base.rn,
    rcvWnd: RW,
    hasTimestamp: false,
    tsRecent: base.ts,
    tsRecentAt: NOW - 10_000,
    enteredAt: NOW - 5000,
    expiresAt: NOW + 55_000,
    rto: 200,
    finWait2: false,
    userClosed: true,
    reuseAddress: false,
    reusePort: false,
    boundPort: false,
    localPeer: false,
    nearPeer: false,
    active: false,
    holder: 0,
    word: 0,
    ...over,
  });
}

export interface Surroundings {
  readonly now?: number;
  readonly knobs?: Readonly<Record<string, number>>;
  readonly listener?: boolean;
  readonly host?: HostStamp;
  readonly connections?: number;
}

/** The knobs are the registry's defaults, the policy's presets, then `knobs`. */
export function context(policy: Policy, over: Surroundings = {}): PolicyContext {
  return Object.freeze({
    now: (over.now ?? NOW) | 0,
    knob(name: string): number {
      const known = knobs.find((knob) => knob.name === name);
      if (known === undefined) throw new RangeError(`nobody registered ${name}`);
      return over.knobs?.[name] ?? policy.knobs?.[name] ?? known.default;
    },
    hasListener: () => over.listener ?? true,
    host: over.host ?? Object.freeze({ known: false, tsRecent: 0, tsRecentAt: 0 }),
    random: () => 4,
    connections: over.connections ?? 0,
  });
}

const flagBits: Readonly<Record<string, number>> = {
  S: SYN,
  F: FIN,
  R: RST,
  P: PSH,
  U: URG,
  '.': ACK,
  '-': 0,
};

/** A segment relative to a base. */
export interface Shape {
  /** Letters of the notation: `S.` is SYN,ACK; `-` none. */
  readonly flags: string;
  /** SEG.SEQ - RCV.NXT. */
  readonly at: number;
  /** Payload, bytes. */
  readonly length?: number;
  /** SEG.ACK - SND.NXT. */
  readonly ack?: number;
  /** TSval - TS.Recent; left out: no timestamps option. */
  readonly ts?: number;
}

export function segment(base: Base, shape: Shape): Segment {
  const s = new Segment();
  for (const letter of shape.flags) s.flags |= flagBits[letter]!;
  s.seq = (base.rn + shape.at) | 0;
  s.ack = (base.sn + (shape.ack ?? 0)) | 0;
  s.payloadLength = shape.length ?? 0;
  s.wnd = 1000;
  if (shape.ts !== undefined) {
    s.hasTimestamp = true;
    s.tsVal = (base.ts + shape.ts) | 0;
  }
  return s;
}

const fates = new Map([
  [KEEP, 'keep'],
  [RESTART, 'restart'],
  [DELETE, 'delete'],
  [ACCEPT, 'accept'],
  [BECOME_TIME_WAIT, 'become-time-wait'],
]);

/** `ACK limited restart tw-fin-again`: reply, its limit, fate, refresh, reason; `-` is no reply. */
export function show(verdict: number): string {
  const reply = replyOf(verdict);
  const words = [reply === REPLY_ACK ? 'ACK' : reply === REPLY_RST ? 'RST' : '-'];
  if ((verdict & LIMITED) !== 0) words.push('limited');
  if ((verdict & CHALLENGE) !== 0) words.push('challenge');
  words.push(fates.get(fateOf(verdict)) ?? `fate ${fateOf(verdict)}`);
  if ((verdict & REFRESH) !== 0) words.push('refresh');
  if ((verdict & REVERTIBLE) !== 0) words.push('revertible');
  words.push(reasonText(reasonOf(verdict)).id);
  return words.join(' ');
}

/** One row: what arrives, and the verdict as `show` writes it. */
export type Row = readonly [title: string, shape: Shape, expected: string];

export interface Setting extends Surroundings {
  readonly record?: Partial<RecordFacts>;
}

/** Holds every row against the policy, at every base. */
export function holds(test: Test, policy: Policy, rows: readonly Row[], setting: Setting = {}): void {
  for (const [title, shape, expected] of rows) {
    for (const base of bases) {
      const facts = record(base, setting.record);
      const got = show(policy.segmentArrives(facts, segment(base, shape), context(policy, setting)));
      test.equal(got, expected, `${title} (RCV.NXT ${base.rn >>> 0})`);
    }
  }
}
