/** Paths of policies among their names; apart from the loader, which brings a compiler. */
import { existsSync, statSync } from 'node:fs';

/** A path, not the name of a policy? */
export function isPolicyPath(text: string): boolean {
  return text.includes('/') || /\.(ts|mts|js|mjs)$/.test(text);
}

/** null, or what keeps `path` from being loaded, in one line. */
export function pathMistake(path: string): string | null {
  if (!/\.(ts|mts|js|mjs)$/.test(path)) return 'a policy file ends in .ts, .mts, .js or .mjs';
  if (!existsSync(path)) return 'no such file';
  return statSync(path).isFile() ? null : 'not a file';
}
