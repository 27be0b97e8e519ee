/**
 * Makes of dist/src what the package carries and users start: dist/lib, few files in place of many, as each
 * file costs time when it is loaded. Every module is in exactly one of them, so that a program or a policy
 * file that imports `timewait` meets the very modules that the command line runs.
 *
 *   node native/bundle.mjs
 */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const FROM = join(ROOT, 'dist/src');
const TO = join(ROOT, 'dist/lib');

/** What is started or imported by its path: the command, the library, and what threads run. */
const ENTRIES = ['cli/main', 'index', 'cli/worker', 'workers/thread'];
/** What answers the first SYN of `timewait run`. */
const FIRST = join(FROM, 'cli/run.js');
/** CommonJS: Node would have to find out what they export. Other packages stay where they are. */
const INSIDE = ['commander', 'ipaddr.js'];

/**
 * Code that several entries share goes into a file for each set of entries, and whatever is imported
 * by `import()` is an entry: some forty files before the first answer. So each of these also asks for
 * what `run` needs, which then is in the same few sets. They are loaded after it, or with it.
 */
const together = {
  name: 'together',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) =>
      kind === 'dynamic-import' ? { path: join(resolveDir, path), namespace: 'lazy' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'lazy' }, ({ path }) => ({
      contents: `import ${JSON.stringify(FIRST)}; export * from ${JSON.stringify(path)};`,
      resolveDir: FROM,
    }));
  },
};

/** Packages: these inside, others not. When CommonJS requires a module of Node's, that is imported. */
const packages = {
  name: 'packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^.]/ }, ({ path, kind, namespace }) => {
      if (INSIDE.includes(path) || isAbsolute(path)) return undefined;
      if (kind !== 'require-call') return { path, external: true };
      return { path, namespace: namespace === 'required' ? 'imported' : 'required' };
    });
    onLoad({ filter: /./, namespace: 'required' }, ({ path }) => ({
      // To import this one costs 2 ms: Node looks at all it has, its streams too.
      contents: `module.exports = ${path === 'node:process' ? 'process' : `require('${path}').default`};`,
    }));
    onLoad({ filter: /./, namespace: 'imported' }, ({ path }) => ({
      contents: `export { default } from '${path}';`,
    }));
  },
};

rmSync(TO, { recursive: true, force: true });
await build({
  entryPoints: ENTRIES.map((name) => join(FROM, `${name}.js`)),
  outbase: FROM,
  outdir: TO,
  // As deep as src/cli: paths relative to a file lead to the same place from here and from dist/src.
  chunkNames: 'shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  plugins: [together, packages],
});
chmodSync(join(TO, 'cli/main.js'), 0o755);
const licence = (name) =>
  `${name}\n\n${readFileSync(join(ROOT, 'node_modules', name, 'LICENSE'), 'utf8').trim()}\n`;
writeFileSync(
  join(TO, 'LICENSES.txt'),
  `Parts of these packages are in the files beside this one.\n\n${INSIDE.map(licence).join('\n\n')}`,
);
