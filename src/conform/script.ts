/**
 * A packet script as data: what the parser makes of a file, and what the runner plays.
 * Times are whole microseconds. Lines and columns count from 1.
 */
import type { SegmentText } from '../wire/notation.js';
import type { Statement } from './code.js';
import type { Position, Positions } from './reader.js';

export interface ScriptError extends Position {
  /** What was expected and what was found. */
  readonly error: string;
}

/**
 * When an event happens. `at` counts from the start of the script, or from the event before
 * it when `relative`; null is `*`: whenever it happens. `until` counts as `at` does: the end of
 * a range (`0.1~0.2`), or, for a call that blocks, of the call (`0.1...0.2`).
 */
export interface EventTime {
  readonly at: number | null;
  readonly relative: boolean;
  readonly until: number | null;
  /** Written with `...`. */
  readonly spans: boolean;
}

/** An argument of a call, or what a call gives back. */
export type Value =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string }
  /** `...` */
  | { readonly kind: 'any' }
  /** `[a, b]` */
  | { readonly kind: 'list'; readonly items: readonly Value[] }
  /** `{name=a, other=b}`, or `{a, b}` with names '0', '1'. */
  | { readonly kind: 'record'; readonly fields: ReadonlyMap<string, Value> };

interface EventBase extends Position {
  readonly time: EventTime;
  /** As written, on one line. */
  readonly source: string;
}

export interface SegmentEvent extends EventBase {
  readonly kind: 'segment';
  readonly inbound: boolean;
  readonly segment: SegmentText;
}

/** An ICMP error about a segment of ours; numbers of the quoted segment count as in segments. */
export interface IcmpEvent extends EventBase {
  readonly kind: 'icmp';
  /** 'unreachable' and so on: see icmp.ts. */
  readonly type: string;
  readonly code: string;
  readonly mtu: number;
  readonly quoted: { readonly seq: number; readonly length: number } | null;
}

export interface CallEvent extends EventBase {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Value[];
  /** What it returns; `any` for `...`. */
  readonly result: Value;
  /** '' when none is written. */
  readonly errno: string;
}

export interface ShellEvent extends EventBase {
  readonly kind: 'shell';
  readonly command: string;
}

export interface CodeEvent extends EventBase {
  readonly kind: 'code';
  readonly statements: readonly Statement[];
}

export type ScriptEvent = SegmentEvent | IcmpEvent | CallEvent | ShellEvent | CodeEvent;

export interface Script {
  /** Leading `--name=value` lines; '' for an option without a value. */
  readonly options: ReadonlyMap<string, string>;
  readonly events: readonly ScriptEvent[];
  /** Places of the text that was parsed. */
  readonly positions: Positions;
}
