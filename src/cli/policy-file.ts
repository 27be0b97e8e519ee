/**
 * A policy from a file of the user's: `--policy ./mine.ts`. TypeScript is checked in full
 * against our own declarations. Every module of the user's that is reached by relative imports
 * is compiled into a private directory, which is removed after the import; there 'timewait'
 * means this very package, wherever the file lies.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type TS from 'typescript';
import { definePolicy, policyMistake, setLabel, type Policy } from '../stack/policies.js';
import { UsageError, lineOf } from './fail.js';
import { pathMistake } from './policy-path.js';

/** Ours, as seen from dist/lib/shared and from dist/src/cli. */
const DECLARATIONS = fileURLToPath(new URL('../../src/index.d.ts', import.meta.url));
const OURS = dirname(DECLARATIONS);
const INDEX = new URL('../index.js', import.meta.url).href;
/** Where the package's own code is in stack traces, without source maps and with them. */
const OWN_CODE = ['..', '../../../src/'].map((path) => new URL(path, import.meta.url).pathname);
/** Most messages of the compiler that are shown. */
const MESSAGES = 20;
/** Globals and modules besides the language's own: what a policy may print with; Node's modules, unchecked. */
const AMBIENT = `interface Console { log(...data: unknown[]): void; warn(...data: unknown[]): void; error(...data: unknown[]): void }
declare var console: Console;
interface ImportMeta { readonly url: string }
declare module 'node:*';
`;

/**
 * The policy that a file exports by default: what `definePolicy` made, what it takes, or an
 * object with all members. Throws a UsageError; compiler messages are its details.
 */
export async function loadPolicyFile(path: string): Promise<Policy> {
  const mistake = pathMistake(path);
  if (mistake !== null) throw new UsageError(`${path}: ${mistake}`);
  const { default: ts } = await import('typescript');
  const compiled = compile(ts, resolve(path));
  const found = mistakes(ts, compiled.program).map((each) => messageOf(ts, each));
  if (found.length > 0) {
    const more = found.length > MESSAGES ? [`and ${found.length - MESSAGES} more`] : [];
    throw new UsageError(
      `${path}: ${found.length === 1 ? 'an error' : `${found.length} errors`} found by the compiler`,
      [...found.slice(0, MESSAGES), ...more],
    );
  }
  const directory = mkdtempSync(join(tmpdir(), 'timewait-policy-'));
  try {
    return policyOf(path, await importFrom(path, emit(ts, compiled, resolve(path), directory)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Compiled {
  readonly program: TS.Program;
  /** Finds modules. */
  readonly host: TS.ModuleResolutionHost;
}

/** Where there is no TypeScript, only the syntax is checked, and no declaration is read. */
function compile(ts: typeof TS, path: string, typed = isTypeScript(path)): Compiled {
  const options: TS.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    types: [],
    ...(typed ? { lib: ['lib.es2023.d.ts'], paths: { timewait: [DECLARATIONS] } } : { noLib: true }),
    strict: true,
    skipLibCheck: true,
    allowJs: true,
    checkJs: false,
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: true,
    inlineSourceMap: true,
    outDir: join(dirname(path), '.timewait-never-written'),
  };
  const ambient = join(dirname(path), 'timewait-ambient.d.ts');
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.getCurrentDirectory = () => dirname(path);
  host.fileExists = (name) => name === ambient || (fileExists.call(host, name) && !describesScript(name));
  host.readFile = (name) => (name === ambient ? AMBIENT : readFile.call(host, name));
  host.getSourceFile = (name, ...rest) =>
    name === ambient
      ? ts.createSourceFile(name, AMBIENT, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, name, ...rest);
  const program = ts.createProgram([path, ambient], options, host);
  const found = program.getSourceFiles().some((file) => isOwn(program, file) && isTypeScript(file.fileName));
  return !typed && found ? compile(ts, path, true) : { program, host };
}

/** Declarations beside a script of the user's: the script itself must be read, for its imports. */
function describesScript(name: string): boolean {
  const script = name.replace(/\.d\.(m?)ts$/, '.$1js');
  return script !== name && !name.includes('/node_modules/') && !name.startsWith(OURS) && existsSync(script);
}

/** What the compiler has to say. */
function mistakes(ts: typeof TS, program: TS.Program): readonly TS.Diagnostic[] {
  return program.getCompilerOptions().noLib === true
    ? program.getSyntacticDiagnostics()
    : ts.getPreEmitDiagnostics(program);
}

/** `mine.ts:7:3: error TS2322: ...`, in one line. */
function messageOf(ts: typeof TS, { file, start, code, messageText }: TS.Diagnostic): string {
  const text = `error TS${code}: ${ts.flattenDiagnosticMessageText(messageText, ' ').replace(/\s+/g, ' ')}`;
  if (file === undefined || start === undefined) return text;
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  return `${relative(process.cwd(), file.fileName)}:${line + 1}:${character + 1}: ${text}`;
}

/** Writes the user's modules into `directory`; the path of the first. */
function emit(ts: typeof TS, { program, host }: Compiled, entry: string, directory: string): string {
  const sources = program
    .getSourceFiles()
    .filter((file) => isOwn(program, file) && (isTypeScript(file.fileName) || isModule(ts, file)));
  const outputs = new Map(
    sources.map(({ fileName }, i) => [
      fileName,
      join(directory, `${i}-${basename(fileName).replace(/\.[^.]*$/, '')}.mjs`),
    ]),
  );
  for (const source of sources) {
    const write = (name: string, text: string): void => {
      if (/\.m?js$/.test(name)) writeFileSync(outputs.get(source.fileName)!, placed(text, source.fileName));
    };
    const retarget = (specifier: string): string => {
      const { fileName } = source;
      const { resolvedModule } = ts.resolveModuleName(
        specifier,
        fileName,
        program.getCompilerOptions(),
        host,
      );
      return targetOf(fileName, specifier, outputs.get(resolvedModule?.resolvedFileName ?? ''));
    };
    program.emit(source, write, undefined, false, { after: [rewriter(ts, source.fileName, retarget)] });
  }
  const output = outputs.get(entry);
  if (output === undefined)
    throw new UsageError(`${entry}: no ES module: it exports nothing with \`export default\``);
  return output;
}

/** A file of the user's, not a declaration nor part of a package. */
function isOwn(program: TS.Program, file: TS.SourceFile): boolean {
  return !file.isDeclarationFile && !program.isSourceFileFromExternalLibrary(file);
}

function isTypeScript(name: string): boolean {
  return /\.[mc]?tsx?$/.test(name);
}

/** Has it import or export? What has neither is CommonJS, and stays where it is. */
function isModule(ts: typeof TS, file: TS.SourceFile): boolean {
  return file.statements.some(
    (each) =>
      ts.isImportDeclaration(each) ||
      ts.isExportDeclaration(each) ||
      ts.isExportAssignment(each) ||
      (ts.canHaveModifiers(each) &&
        ts.getModifiers(each)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)),
  );
}

/** What a specifier of the user's must become where the compiled file lies. */
function targetOf(from: string, specifier: string, output: string | undefined): string {
  if (specifier === 'timewait') return INDEX;
  if (specifier.startsWith('node:') || specifier.includes('://')) return specifier;
  if (!/^\.{0,2}\//.test(specifier)) return ofPackage(from, specifier);
  return pathToFileURL(output ?? resolve(dirname(from), specifier)).href;
}

function ofPackage(from: string, specifier: string): string {
  try {
    const path = createRequire(from).resolve(specifier);
    return path.startsWith('/') ? pathToFileURL(path).href : specifier;
  } catch {
    return specifier;
  }
}

/** Gives imports their new targets, and `import.meta.url` the file's own. */
function rewriter(
  ts: typeof TS,
  from: string,
  retarget: (specifier: string) => string,
): TS.TransformerFactory<TS.SourceFile> {
  const literal = (node: TS.Expression): TS.Expression =>
    ts.isStringLiteralLike(node) ? ts.factory.createStringLiteral(retarget(node.text)) : node;
  return (context) => {
    const { factory } = context;
    const visit = (node: TS.Node): TS.Node => {
      if (ts.isImportDeclaration(node)) {
        const target = literal(node.moduleSpecifier);
        return factory.updateImportDeclaration(
          node,
          node.modifiers,
          node.importClause,
          target,
          node.attributes,
        );
      }
      if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
        const target = literal(node.moduleSpecifier);
        return factory.updateExportDeclaration(
          node,
          node.modifiers,
          node.isTypeOnly,
          node.exportClause,
          target,
          node.attributes,
        );
      }
      if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const [target, ...rest] = node.arguments;
        if (target !== undefined)
          return factory.updateCallExpression(node, node.expression, undefined, [literal(target), ...rest]);
      }
      if (
        ts.isPropertyAccessExpression(node) &&
        ts.isMetaProperty(node.expression) &&
        node.name.text === 'url'
      )
        return factory.createStringLiteral(pathToFileURL(from).href);
      return ts.visitEachChild(node, visit, context);
    };
    return (file) => ts.visitEachChild(file, visit, context);
  };
}

/** The source map names the file by its full path: traces point into it. */
function placed(text: string, path: string): string {
  return text.replace(
    /(\/\/# sourceMappingURL=data:application\/json;base64,)([\w+/=]+)\s*$/,
    (_all, head, map) => {
      const parsed = JSON.parse(Buffer.from(String(map), 'base64').toString()) as object;
      const moved = { ...parsed, sourceRoot: '', sources: [pathToFileURL(path).href] };
      return `${String(head)}${Buffer.from(JSON.stringify(moved)).toString('base64')}\n`;
    },
  );
}

async function importFrom(path: string, output: string): Promise<Readonly<Record<string, unknown>>> {
  // Lines in reports are those of the user's file
  process.setSourceMapsEnabled(true);
  try {
    return (await import(pathToFileURL(output).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`${path}: ${failureOf(error, output)}`);
  }
}

/** What an import threw, and where in the user's files; without the place of the compiled file. */
function failureOf(error: unknown, output: string): string {
  const text = lineOf(error).replace(` imported from ${output}`, '');
  const frames = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  const isOurs = (line: string): boolean => OWN_CODE.some((folder) => line.includes(folder));
  const frame = frames.find((line) => /:\d+:\d+\)?$/.test(line) && !line.includes('node:') && !isOurs(line));
  const place = /([^\s/()]+:\d+):\d+\)?$/.exec(frame ?? '')?.[1];
  return place === undefined ? text : `${text} (${place})`;
}

function policyOf(path: string, module: Readonly<Record<string, unknown>>): Policy {
  const { default: exported } = module;
  if (exported === undefined)
    throw new UsageError(`${path}: no default export: \`export default definePolicy({ name, ... })\``);
  let policy = exported as Policy;
  if (policyMistake(policy) !== null) {
    try {
      policy = definePolicy(exported as Policy);
    } catch (error) {
      throw new UsageError(`${path}: the default export is no policy: ${lineOf(error)}`);
    }
  }
  setLabel(policy, basename(path));
  return policy;
}
