/**
 * The import law (docs/architecture.md): arrows between the folders of src/ point
 * one way, the engine touches neither Node nor clocks, and no file imports itself
 * by a detour.
 */
import t from 'tap';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Who may import whom, by folder of src/ (itself always). Exactly one file of a folder is written `folder/file`. */
const law: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  time: [],
  link: ['wire', 'time'],
  tcp: ['wire', 'time'],
  timewait: ['wire', 'time'],
  // The link's contract, never a device.
  stack: ['tcp', 'timewait', 'wire', 'time', 'link/link'],
  // The packet ring is part of the link's contract.
  net: ['stack', 'link', 'time', 'wire/ring'],
  workers: ['net', 'stack', 'link', 'time', 'wire'],
  sim: ['stack', 'link', 'time', 'wire'],
  conform: ['stack', 'wire', 'link', 'time'],
  // Plain result types.
  view: ['wire', 'stack/api'],
  // Labs make packets by hand and read captures.
  lab: ['sim', 'net', 'stack', 'link', 'view', 'wire', 'time'],
  // Anything but tcp's and timewait's insides.
  cli: ['wire', 'time', 'link', 'stack', 'net', 'workers', 'sim', 'lab', 'conform', 'view'],
};
/** Files of src/ itself: these import nothing and are for everybody; others there gather what the package exports. */
const roots = new Set(['seqnum', 'mib', 'reasons', 'nearest']);

/** Packages, each with the files that may use it. What is not here is for the command line alone. */
const packages: readonly (readonly [name: string, users: RegExp])[] = [
  ['ipaddr.js', /^(wire\/address|net\/|cli\/|lab\/|stack\/)/],
  ['raw-socket', /^link\/raw/],
  ['cap', /^link\/pcap/],
  ['fast-check', /^conform\/diff\//],
];
/** Where Node's own modules may be: file sinks, device links, kernel targets, and the folders that face the user. */
const nodeUsers = /^(net\/|workers\/|cli\/|lab\/|link\/(sink|tun|native|packet|raw|pcap)|conform\/kernel)/;
/** Folders in which time, chance and events come from outside. */
const engine = new Set(['wire', 'time', 'timewait', 'tcp', 'stack']);
const forbiddenNames = new Set(
  (
    'Date performance setTimeout setInterval setImmediate queueMicrotask console process globalThis ' +
    'crypto Promise EventEmitter EventTarget'
  ).split(' '),
);

interface SourceFile {
  /** Path below src/ without extension: `wire/ring`. */
  readonly name: string;
  readonly imports: readonly { readonly specifier: string; readonly line: number }[];
  /** What the engine must not do: `Date (line 7)`. */
  readonly impurities: readonly string[];
}

/** Reads what the law needs to know from one file. */
function parse(name: string, text: string): SourceFile {
  const tree = ts.createSourceFile(`${name}.ts`, text, ts.ScriptTarget.ES2022, true);
  const imports: { specifier: string; line: number }[] = [];
  const impurities: string[] = [];
  const lineOf = (node: ts.Node) => tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== null) imports.push({ specifier, line: lineOf(node) });
    const impurity = impurityOf(node);
    if (impurity !== null) impurities.push(`${impurity} (line ${lineOf(node)})`);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { name, imports, impurities };
}

/** Static, re-exporting, dynamic and type imports alike. */
function specifierOf(node: ts.Node): string | null {
  let from: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) from = node.moduleSpecifier;
  else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    from = node.arguments[0];
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) from = node.argument.literal;
  return from !== undefined && ts.isStringLiteral(from) ? from.text : null;
}

function impurityOf(node: ts.Node): string | null {
  if (ts.isAwaitExpression(node) || node.kind === ts.SyntaxKind.AsyncKeyword) return 'async';
  if (!ts.isIdentifier(node)) return null;
  const parent = node.parent;
  // `x.random` counts only on Math; other members and keys may be called what they like.
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
    return node.text === 'random' && parent.expression.getText() === 'Math' ? 'Math.random' : null;
  }
  if (ts.isPropertyAssignment(parent) && parent.name === node) return null;
  return forbiddenNames.has(node.text) ? node.text : null;
}

const folderOf = (name: string) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : '');

/** The file of src/ that a relative specifier names. */
function resolve(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier).replace(/\.js$/, '');
}

/** Why `from` may not import `specifier`; null when it may. */
function objection(from: string, specifier: string): string | null {
  const folder = folderOf(from);
  if (roots.has(from)) return 'imports nothing by law';
  if (specifier.startsWith('node:')) return nodeUsers.test(from) ? null : 'no place for Node modules';
  if (!specifier.startsWith('.')) {
    if (folder === 'cli') return null;
    const entry = packages.find(([name]) => name === specifier);
    if (entry === undefined) return 'only cli may use this package';
    return entry[1].test(from) ? null : 'not among the users of this package';
  }
  if (!specifier.endsWith('.js')) return 'a relative import ends in .js';
  const target = resolve(from, specifier);
  if (target.startsWith('../')) return 'leaves src/';
  if (roots.has(target) || folder === '' || folderOf(target) === folder) return null;
  const allowed = law[folder];
  if (allowed === undefined) return `the law does not know the folder ${folder}`;
  if (allowed.includes(folderOf(target)) || allowed.includes(target)) return null;
  return `${folder} may import only ${allowed.join(', ') || 'its own files'}`;
}

/** All breaches of the law, one line each. */
function breaches(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { name, imports, impurities } of files) {
    for (const { specifier, line } of imports) {
      const why = objection(name, specifier);
      if (why !== null) found.push(`src/${name}.ts:${line} imports ${specifier}: ${why}`);
    }
    if (!engine.has(folderOf(name))) continue;
    for (const impurity of impurities)
      found.push(`src/${name}.ts uses ${impurity}: the engine is told such things`);
  }
  return found;
}

/** Circles of imports, type-only ones included: each as `a -> b -> a`. */
function circles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map(({ name, imports }) => [
      name,
      imports
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => resolve(name, specifier)),
    ]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (name: string): void => {
    const at = path.indexOf(name);
    if (at >= 0) found.push([...path.slice(at), name].join(' -> '));
    if (at >= 0 || done.has(name)) return;
    path.push(name);
    for (const target of edges.get(name) ?? []) walk(target);
    path.pop();
    done.add(name);
  };
  for (const name of edges.keys()) walk(name);
  return found;
}

/** The project's src/, wherever the compiled test lies. */
function sourceRoot(): string {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let dir = start; dir !== dirname(dir); dir = dirname(dir)) {
      if (existsSync(join(dir, 'src', 'seqnum.ts'))) return join(dir, 'src');
    }
  }
  throw new Error('src/ not found above the test nor above the working directory');
}

function readAll(): SourceFile[] {
  const root = sourceRoot();
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .sort()
    .map((path) => parse(path.slice(0, -3), readFileSync(join(root, path), 'utf8')));
}

t.test('src/ keeps the import law', async (t) => {
  const files = readAll();
  t.ok(files.length > 20, `${files.length} files read`);
  const known = new Set(files.map(({ name }) => name));
  for (const root of roots) t.ok(known.has(root), `src/${root}.ts`);
  t.same(breaches(files), []);
});

t.test('no file imports itself by a detour', async (t) => {
  t.same(circles(readAll()), []);
});

const one = (name: string, text: string) => breaches([parse(name, text)]);

t.test('the law notices a breach of each kind', async (t) => {
  const broken: [name: string, text: string][] = [
    ['seqnum', "import { Mib } from './mib.js'"],
    ['wire/ip', "import type { Clock } from '../time/clock.js'"],
    ['wire/ip', "export * from '../link/link.js'"],
    ['tcp/input', "import { verdict } from '../timewait/policy.js'"],
    ['timewait/table', "import type { Tcb } from '../tcp/tcb.js'"],
    ['stack/stack', "import { memoryLink } from '../link/memory.js'"],
    ['link/faults', "const stack = await import('../stack/stack.js')"],
    ['net/driver', "type Tcb = import('../tcp/tcb.js').Tcb"],
    ['cli/main', "import { Tcb } from '../tcp/tcb.js'"],
    ['view/table', "import { Stack } from '../stack/stack.js'"],
    ['wire/ip', "import fs from 'node:fs'"],
    ['link/memory', "import fs from 'node:fs'"],
    ['tcp/input', "import BN from 'bn.js'"],
    ['tcp/input', "import ip from 'ipaddr.js'"],
    ['wire/ip', "import { x } from './ring'"],
    ['wire/ip', "import { x } from '../../test/x.js'"],
    ['new/file', "import { x } from '../wire/ring.js'"],
    ['tcp/rto', 'const now = Date.now()'],
    ['tcp/rto', 'const now = new Date()'],
    ['stack/stack', 'const x = Math.random()'],
    ['wire/ip', 'console.log(1)'],
    ['timewait/table', 'setTimeout(f, 1)'],
    ['time/wheel', 'const t = performance.now()'],
    ['stack/stack', 'function f(): Promise<void> { return g() }'],
    ['stack/stack', 'async function f() {}'],
    ['stack/stack', 'class Stack extends EventEmitter {}'],
    ['tcp/tcb', 'const now = globalThis.Date.now()'],
  ];
  for (const [name, text] of broken) t.equal(one(name, text).length, 1, `src/${name}.ts: ${text}`);
});

t.test('the law lets through what it allows', async (t) => {
  const fine: [name: string, text: string][] = [
    ['wire/address', "import ip from 'ipaddr.js'"],
    ['wire/ip', "import { add } from '../seqnum.js'; import { load } from './tcp.js'"],
    ['tcp/input', "import { Reason } from '../reasons.js'; import { TimerWheel } from '../time/wheel.js'"],
    ['stack/stack', "import type { Link } from '../link/link.js'"],
    [
      'net/driver',
      "import { PacketRing } from '../wire/ring.js'; import { EventEmitter } from 'node:events'",
    ],
    ['net/real-clock', 'performance.now()'],
    ['link/sink', "import { openSync } from 'node:fs'"],
    [
      'stack/stack',
      '// no Date, no setTimeout\nconst text = "Math.random() console"; row.performance = facts.random()',
    ],
    ['cli/main', "import { Command } from 'commander'; import { connect } from '../net/index.js'"],
  ];
  for (const [name, text] of fine) t.same(one(name, text), [], `src/${name}.ts: ${text}`);
});

t.test('circles are found, whatever kind of import closes them', async (t) => {
  const files = [
    parse('wire/a', "import './b.js'"),
    parse('wire/b', "import type { C } from '../time/c.js'"),
    parse('time/c', "export { a } from '../wire/a.js'"),
    parse('wire/d', "import './a.js'"),
  ];
  t.same(circles(files), ['wire/a -> wire/b -> time/c -> wire/a']);
  t.same(circles([parse('wire/e', "import './e.js'")]), ['wire/e -> wire/e']);
});
