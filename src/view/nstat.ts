/** What `nstat` prints (iproute2): one counter a line, names as the kernel has them. */

export interface NstatOptions {
  /** -z: counters that are zero as well. */
  readonly zero?: boolean;
  /** Shell patterns, any case; none: all counters. */
  readonly patterns?: readonly string[];
}

/** `*`, `?` and `[a-c]` as the shell means them, in any case (fnmatch(3) with FNM_CASEFOLD). */
function expressionOf(pattern: string): RegExp {
  const parts = pattern.match(/\[!?\]?[^\]]*\]|[^]/g) ?? [];
  const source = parts.map((part) => {
    if (part === '*') return '.*';
    if (part === '?') return '.';
    if (part.length === 1) return part.replace(/[.+^${}()|[\]\\]/, '\\$&');
    const inner = part.slice(1, -1);
    const negated = inner.startsWith('!');
    return `[${negated ? '^' : ''}${inner.slice(negated ? 1 : 0).replace(/[\\\]^[]/g, '\\$&')}]`;
  });
  try {
    return new RegExp(`^${source.join('')}$`, 'i');
  } catch {
    // A range that runs backwards matches nothing.
    return /(?!)/;
  }
}

/** The counters that the options ask for, in their order. As in nstat, a pattern alone does not show zeros. */
export function selectCounters(
  counters: Readonly<Record<string, number>>,
  options: NstatOptions,
): Record<string, number> {
  const expressions = (options.patterns ?? []).map(expressionOf);
  const chosen = Object.entries(counters).filter(
    ([name, value]) =>
      (options.zero === true || value !== 0) &&
      (expressions.length === 0 || expressions.some((expression) => expression.test(name))),
  );
  return Object.fromEntries(chosen);
}

/** Name, value and rate. The rate is that of nstat's daemon, which we have none of: 0.0, as nstat without it. */
export function formatCounters(counters: Readonly<Record<string, number>>): string {
  const lines = Object.entries(counters).map(
    ([name, value]) => `${name.padEnd(32)}${String(value).padEnd(16)}${'0.0'.padStart(6)}`,
  );
  return ['#kernel', ...lines].join('\n');
}
