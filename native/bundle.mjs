/**
 * Makes of dist/src what the package carries and users start: dist/lib, few files in place of many, as each
 * file costs time when it is loaded. Every module is in exactly one of them, so that a program or a policy
 * file that imports `timewait` meets the very modules that the command line runs.
 *
 *   node native/bundle.mjs
 */
import { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';

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

const K = ts.SyntaxKind;
const CHANGES = new Set([K.PlusPlusToken, K.MinusMinusToken]);

/**
 * The bundler writes `var` where a module has `const`, and V8 writes only constants into the code of those
 * who use them: whatever is never assigned again becomes one. Only a word changes, so the map stays right.
 */
function withConstants(text) {
  const tree = ts.createSourceFile('chunk.js', text, ts.ScriptTarget.ES2022, true);
  const assigned = new Set();
  const targets = (node) => {
    if (ts.isIdentifier(node)) assigned.add(node.text);
    else if (!ts.isPropertyAccessExpression(node) && !ts.isElementAccessExpression(node))
      ts.forEachChild(node, targets);
  };
  const visit = (node) => {
    if (ts.isBinaryExpression(node) && ts.isAssignmentOperator(node.operatorToken.kind)) targets(node.left);
    else if (
      (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) &&
      CHANGES.has(node.operator)
    )
      targets(node.operand);
    else if (
      (ts.isForInStatement(node) || ts.isForOfStatement(node)) &&
      !ts.isVariableDeclarationList(node.initializer)
    )
      targets(node.initializer);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  const bound = (name) =>
    ts.isIdentifier(name)
      ? [name.text]
      : name.elements.flatMap((element) => (element.name ? bound(element.name) : []));
  const places = tree.statements.flatMap((statement) => {
    if (
      !ts.isVariableStatement(statement) ||
      (statement.declarationList.flags & ts.NodeFlags.BlockScoped) !== 0
    )
      return [];
    const { declarations } = statement.declarationList;
    const constant = declarations.every(
      ({ name, initializer }) => initializer !== undefined && !bound(name).some((each) => assigned.has(each)),
    );
    return constant ? [statement.getStart()] : [];
  });
  let done = '';
  let from = 0;
  for (const place of places) {
    done += `${text.slice(from, place)}const`;
    from = place + 'var'.length;
  }
  return done + text.slice(from);
}

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
for (const file of readdirSync(TO, { recursive: true })) {
  if (!file.endsWith('.js')) continue;
  const path = join(TO, file);
  writeFileSync(path, withConstants(readFileSync(path, 'utf8')));
}
chmodSync(join(TO, 'cli/main.js'), 0o755);
const licence = (name) =>
  `${name}\n\n${readFileSync(join(ROOT, 'node_modules', name, 'LICENSE'), 'utf8').trim()}\n`;
writeFileSync(
  join(TO, 'LICENSES.txt'),
  `Parts of these packages are in the files beside this one.\n\n${INSIDE.map(licence).join('\n\n')}`,
);
