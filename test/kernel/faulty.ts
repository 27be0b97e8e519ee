/** A build with one fault in it: a copy of the compiled program, one comparison of one module turned round. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const compiled = fileURLToPath(new URL('../../src', import.meta.url));

export interface Faulty {
  readonly main: string;
  /** Where it lies, and what belongs to it may be put. */
  readonly folder: string;
  remove(): void;
}

/** Throws Error when `correct` does not stand exactly once in the module. */
export function withFault(module: string, correct: string, wrong: string): Faulty {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  const source = join(folder, 'dist/src');
  cpSync(compiled, source, { recursive: true });
  for (const name of ['package.json', 'node_modules', 'native', 'test'])
    symlinkSync(resolve(name), join(folder, name));
  const path = join(source, module);
  const parts = readFileSync(path, 'utf8').split(correct);
  if (parts.length !== 2) throw new Error(`${module}: '${correct}' stands there ${parts.length - 1} times`);
  writeFileSync(path, parts.join(wrong));
  return { main: join(source, 'cli/main.js'), folder, remove: () => rmSync(folder, { recursive: true }) };
}
