/**
 * `sockstat -4 -P tcp -s | grep -c TIME_WAIT | grep 1`: questions that scripts ask about the
 * system, as a listing of the target's and filters over its lines. No program is run.
 */

export interface Listing {
  readonly program: 'sockstat' | 'ss' | 'nstat' | 'proc';
  /** Of /proc/net: 'tcp', 'tcp6'. */
  readonly files: readonly string[];
  /** 4, 6, or 0 for both. */
  readonly version: 0 | 4 | 6;
  /** Rows of this port only; 0 for all. */
  readonly port: number;
}

type Filter =
  | {
      readonly kind: 'grep';
      readonly pattern: RegExp;
      readonly inverted: boolean;
      readonly counts: boolean;
    }
  | { readonly kind: 'count' };

export interface Pipeline {
  readonly listing: Listing;
  readonly filters: readonly Filter[];
}

const SILENT = /\s*[\d&]?>+\s*(?:\/dev\/null|&\d)/g;

/** null for anything else. */
export function parsePipeline(command: string): Pipeline | null {
  const stages = command.replace(SILENT, '').split('|').map(wordsOf);
  const first = stages[0]!;
  const filters: (Filter | null)[] = stages.slice(1).map(filterOf);
  let listing = listingOf(first);
  if (listing === null && /^e?grep$/.test(first[0] ?? '') && first.length > 2) {
    // grep PATTERN FILE...
    const files = first.filter((word) => word.startsWith('/proc/net/'));
    const pattern = first.filter((word) => !word.startsWith('/proc/net/'));
    listing = procOf(files);
    filters.unshift(filterOf(pattern));
  }
  if (listing === null || filters.some((filter) => filter === null)) return null;
  return { listing, filters: filters as Filter[] };
}

function wordsOf(stage: string): string[] {
  const words = stage.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replace(/["']/g, ''));
}

function procOf(files: readonly string[]): Listing | null {
  const names = files.map((file) => file.replace('/proc/net/', ''));
  if (names.length === 0 || !names.every((name) => name === 'tcp' || name === 'tcp6')) return null;
  return { program: 'proc', files: names, version: 0, port: 0 };
}

function listingOf(words: readonly string[]): Listing | null {
  const program = (words[0] ?? '').replace(/^.*\//, '');
  if (program === 'cat') return procOf(words.slice(1));
  if (program !== 'sockstat' && program !== 'ss' && program !== 'nstat') return null;
  const at = words.indexOf('-p');
  const port = program === 'sockstat' && at > 0 ? Number(words[at + 1]) || 0 : 0;
  const version = words.includes('-4') ? 4 : words.includes('-6') ? 6 : 0;
  return { program, files: [], version, port };
}

function filterOf(words: readonly string[]): Filter | null {
  const program = words[0];
  if (program === 'wc' && words[1] === '-l') return { kind: 'count' };
  if (program !== 'grep' && program !== 'egrep') return null;
  const flags = words
    .slice(1)
    .filter((word) => /^-[a-zA-Z]+$/.test(word))
    .join('');
  const [pattern, ...more] = words.slice(1).filter((word) => !/^-[a-zA-Z]+$/.test(word));
  if (pattern === undefined || more.length > 0 || /[^-cqviEFw]/.test(flags)) return null;
  const extended = program === 'egrep' || flags.includes('E');
  return {
    kind: 'grep',
    pattern: patternOf(pattern, extended, flags),
    inverted: flags.includes('v'),
    counts: flags.includes('c'),
  };
}

/** Basic expressions have no + ? | ( ) { }; a word boundary for -w. */
function patternOf(pattern: string, extended: boolean, flags: string): RegExp {
  const special = flags.includes('F') ? /[.*+?^${}()|[\]\\]/g : extended ? /(?!)/g : /[+?{}()|]/g;
  const source = pattern.replace(special, '\\$&');
  try {
    return new RegExp(flags.includes('w') ? `\\b(?:${source})\\b` : source, flags.includes('i') ? 'i' : '');
  } catch {
    return new RegExp(pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  }
}

/** What is printed, and whether the last command found something. */
export function runPipeline(
  { filters }: Pipeline,
  lines: readonly string[],
): { found: boolean; output: string } {
  let now = [...lines];
  let found = true;
  for (const filter of filters) {
    if (filter.kind === 'count') {
      now = [String(now.length)];
      found = true;
      continue;
    }
    now = now.filter((line) => filter.pattern.test(line) !== filter.inverted);
    found = now.length > 0;
    if (filter.counts) now = [String(now.length)];
  }
  return { found, output: now.join('\n') };
}
