/** Differences that are known: patterns with a reason, from test/deviations.json. */

export interface Deviation {
  readonly id: string;
  /** A regular expression for the signature of the shortest case. */
  readonly pattern: RegExp;
  readonly reason: string;
}

/** The `diff` part of the file: `[{ "id": ..., "pattern": ..., "reason": ... }]`. Throws RangeError with the entry that is wrong. */
export function parseDeviations(text: string): Deviation[] {
  const parsed = JSON.parse(text) as { diff?: unknown };
  const entries = parsed.diff ?? [];
  if (!Array.isArray(entries)) throw new RangeError('diff: not a list');
  return entries.map((entry: unknown, i) => {
    const { id, pattern, reason } = (entry ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || typeof pattern !== 'string' || typeof reason !== 'string')
      throw new RangeError(`diff[${i}]: id, pattern and reason must be texts`);
    try {
      return { id, pattern: new RegExp(pattern), reason };
    } catch {
      throw new RangeError(`diff[${i}] (${id}): not a regular expression: ${pattern}`);
    }
  });
}

export function explanation(deviations: readonly Deviation[], signature: string): Deviation | null {
  return deviations.find(({ pattern }) => pattern.test(signature)) ?? null;
}
