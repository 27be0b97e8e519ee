/** Differences that are known: patterns with a reason, from test/deviations.json. */

export interface Deviation {
  readonly id: string;
  /** A regular expression for the signature of the shortest case. */
  readonly pattern: RegExp;
  /** Only when the case shows no such difference without this. */
  readonly without: Mechanism | null;
  /** For the case as far as the difference; null: any. */
  readonly story: RegExp | null;
  readonly reason: string;
  /** A case that shows it, in words. */
  readonly example: string;
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
    const { id, pattern, story, without, reason, example } = (entry ?? {}) as Record<string, unknown>;
    if (![id, pattern, reason, example, story ?? ''].every((value) => typeof value === 'string'))
      throw new RangeError(`diff[${i}]: id, pattern, reason, example and story must be texts`);
    const name = String(id);
    const mechanism = without === undefined ? null : mechanisms.find((known) => known === without);
    if (mechanism === undefined)
      throw new RangeError(`diff[${i}] (${name}): without takes ${mechanisms.join(', ')}`);
    const expression = (value: unknown): RegExp => {
      try {
        return new RegExp(String(value));
      } catch {
        throw new RangeError(`diff[${i}] (${name}): not a regular expression: ${String(value)}`);
      }
    };
    return {
      id: name,
      pattern: expression(pattern),
      story: story === undefined ? null : expression(story),
      without: mechanism,
      reason: String(reason),
      example: String(example),
    };
  });
}

/** Those that may explain a difference, in the file's order. `story`: the case up to it, in words. */
export function candidates(deviations: readonly Deviation[], signature: string, story: string): Deviation[] {
  return deviations.filter((one) => one.pattern.test(signature) && one.story?.test(story) !== false);
}
