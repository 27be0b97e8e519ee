/** Runs the tests that name requirements and reads from their TAP which title came to what. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Parser } from 'tap-parser';
import { idsIn, root } from './table.js';

export type Outcome = 'passes' | 'fails' | 'skipped';

/** A test, or a point of a table, whose title names requirements. */
export interface Titled {
  /** The source, below the project's folder. */
  readonly path: string;
  /** Titles from the outermost test to this one. */
  readonly titles: readonly string[];
  /** What the last of the titles names and no title before it. */
  readonly ids: readonly string[];
  readonly outcome: Outcome;
}

const TIMEOUT = 240_000;

/** Compiled tests that name an id. Those with the kernel as peer do not count: their result is the machine's. */
export function filesThatName(): string[] {
  const folder = join(root, 'dist/test');
  return (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.test.js') && !name.startsWith('kernel/'))
    .filter((name) => name !== 'matrix.test.js')
    .filter((name) => idsIn(readFileSync(join(folder, name), 'utf8')).length > 0)
    .sort();
}

/** Runs one compiled test file. Rejects when it does not come to an end of its own. */
function runFile(name: string): Promise<Titled[]> {
  return new Promise((done, fail) => {
    const path = `test/${name.replace(/\.js$/, '.ts')}`;
    const found: Titled[] = [];
    const parser = new Parser();
    follow(parser, path, [], found);
    const child = spawn(process.execPath, [join(root, 'dist/test', name)], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, TAP: '1', TAP_BAIL: '0' },
      timeout: TIMEOUT,
    });
    child.stdout.pipe(parser);
    child.on('error', fail);
    child.on('close', (_, signal) => {
      if (signal === null) done(found);
      else fail(new Error(`${path} was ended by ${signal}`));
    });
  });
}

/** Writes down every point below `parser` that names an id which no title above it names. */
function follow(parser: Parser, path: string, above: readonly string[], found: Titled[]): void {
  const known = new Set(above.flatMap(idsIn));
  parser.on('assert', ({ name, ok, skip, todo }) => {
    const ids = idsIn(name).filter((id) => !known.has(id));
    if (ids.length === 0) return;
    const outcome = skip !== false || todo !== false ? 'skipped' : ok ? 'passes' : 'fails';
    found.push({ path, titles: [...above, name], ids, outcome });
  });
  parser.on('child', (child: Parser) => follow(child, path, [...above, child.name], found));
}

/** Everything titled, file by file. */
export async function runTitled(names = filesThatName()): Promise<Titled[]> {
  const all: Titled[][] = names.map(() => []);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < names.length; i = next++) all[i] = await runFile(names[i]!);
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, work));
  return all.flat();
}
