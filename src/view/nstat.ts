/** What `nstat` prints (iproute2): one counter a line, names as the kernel has them. */

export interface NstatOptions {
  /** -z: counters that are zero as well. */
  readonly zero?: boolean;
  /** Shell patterns; none: all counters. */
  readonly patterns?: readonly string[];
}

/** `*` and `?` as the shell means them. */
function matches(name: string, pattern: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'i').test(name);
}

/** The counters that the options ask for. Naming one shows it even at zero, as nstat does. */
export function selectCounters(
  counters: Readonly<Record<string, number>>,
  options: NstatOptions,
): Record<string, number> {
  const patterns = options.patterns ?? [];
  const chosen = Object.entries(counters).filter(([name, value]) => {
    if (patterns.length > 0) return patterns.some((pattern) => matches(name, pattern));
    return options.zero === true || value !== 0;
  });
  return Object.fromEntries(chosen);
}

export function formatCounters(counters: Readonly<Record<string, number>>): string {
  const lines = Object.entries(counters).map(
    ([name, value]) => `${name.padEnd(32)}${String(value).padEnd(16)}${'0.0'.padStart(6)}`,
  );
  return ['#kernel', ...lines].join('\n');
}
