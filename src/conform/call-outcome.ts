/** What a call of a script comes to: a result, or a wait; and how its arguments are read. */
import type { Value } from './script.js';
import type { CallResult } from './target.js';

/** A call that blocks: asked again after everything that happens, until it answers. */
export interface Blocked {
  /** The result, or null: goes on waiting. */
  retry(): CallResult | null;
  /** When the wait is over whatever happens, microseconds of the script; Infinity for never. */
  readonly deadline: number;
  expired(): CallResult;
}

export type Outcome = CallResult | Blocked;

export function isBlocked(outcome: Outcome): outcome is Blocked {
  return 'retry' in outcome;
}

export const NOTHING: ReadonlyMap<number, Value> = new Map();
export const done = (value: number, outputs = NOTHING): CallResult => ({ value, errno: '', outputs });
export const failed = (errno: string): CallResult => ({ value: -1, errno, outputs: NOTHING });

export function int(value: Value | undefined, otherwise = 0): number {
  return value?.kind === 'number' ? value.value : otherwise;
}

export function field(value: Value | undefined, name: string): Value | undefined {
  return value?.kind === 'record' ? value.fields.get(name) : undefined;
}
