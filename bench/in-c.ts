/** Addons of bench/native, compiled when they are asked for. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Loads bench/native/`name`.c, compiled anew when it is newer than its object. Throws where there is no compiler. */
export function loadC(name: string): unknown {
  const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
  const source = join(root, `bench/native/${name}.c`);
  const object = join(root, `native/build/bench/${name}.node`);
  if (!existsSync(object) || statSync(object).mtimeMs <= statSync(source).mtimeMs) compile(source, object);
  return createRequire(import.meta.url)(object);
}

function compile(source: string, object: string): void {
  mkdirSync(dirname(object), { recursive: true });
  const headers = join(dirname(dirname(realpathSync(process.execPath))), 'include/node');
  const flags = ['-std=gnu11', '-O2', '-fPIC', '-shared', `-I${headers}`];
  const { status } = spawnSync(process.env['CC'] ?? 'cc', [...flags, source, '-o', object], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error(`${source} needs a C compiler`);
}
