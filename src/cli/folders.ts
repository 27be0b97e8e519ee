/** Folders and files that options ask for; errors become one line that names the option. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RunError, UsageError, lineOf } from './fail.js';

/** Makes `folder`, which `option` names, and what is missing above it. Node's own `recursive` never ends below /proc. */
export function makeFolder(option: string, folder: string): void {
  const missing: string[] = [];
  for (let path = folder; !existsSync(path) && dirname(path) !== path; path = dirname(path))
    missing.push(path);
  try {
    for (const path of missing.reverse()) makeOne(path);
  } catch (error) {
    throw new RunError(`${option} ${folder}: ${lineOf(error)}`);
  }
  if (!isFolder(folder)) throw new UsageError(`${option} ${folder}: a file has that name; name a directory`);
}

/** Somebody else may have made it meanwhile. */
function makeOne(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isFolder(path)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Writes a file into a folder that `option` names; its path. */
export function writeInto(option: string, folder: string, name: string, data: string | Uint8Array): string {
  const path = join(folder, name);
  try {
    writeFileSync(path, data);
  } catch (error) {
    throw new RunError(`${option} ${folder}: ${lineOf(error)}`);
  }
  return path;
}
