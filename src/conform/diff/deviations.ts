/** Differences that are known: patterns with a reason, from test/deviations.json. */

export interface Deviation {
  readonly id: string;
  /** A regular expression for the signature of the shortest case. */
  readonly pattern: RegExp;
  /** Only when the case shows no such difference without this. */
  readonly without: Mechanism | null;
  readonly reason: string;
}

/**
 * What can be taken out of a case without changing what it says: `header-prediction`, by an option
 * that was not agreed on, so that no segment looks as the kernel predicts the next one.
 */
export const mechanisms = ['header-prediction'] as const;
export type Mechanism = (typeof mechanisms)[number];

/** The `diff` part of the file: `[{ "id": ..., "pattern": ..., "reason": ... }]`. Throws RangeError with the entry that is wrong. */
export function parseDeviations(text: string): Deviation[] {
  const parsed = JSON.parse(text) as { diff?: unknown };
  const entries = parsed.diff ?? [];
  if (!Array.isArray(entries)) throw new RangeError('diff: not a list');
  return entries.map((entry: unknown, i) => {
    const { id, pattern, without, reason } = (entry ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || typeof pattern !== 'string' || typeof reason !== 'string')
      throw new RangeError(`diff[${i}]: id, pattern and reason must be texts`);
    const mechanism = without === undefined ? null : mechanisms.find((name) => name === without);
    if (mechanism === undefined)
      throw new RangeError(`diff[${i}] (${id}): without takes ${mechanisms.join(', ')}`);
    try {
      return { id, pattern: new RegExp(pattern), without: mechanism, reason };
    } catch {
      throw new RangeError(`diff[${i}] (${id}): not a regular expression: ${pattern}`);
    }
  });
}

/** Those that may explain it, in the file's order. */
export function candidates(deviations: readonly Deviation[], signature: string): Deviation[] {
  return deviations.filter(({ pattern }) => pattern.test(signature));
}
