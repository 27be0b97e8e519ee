/**
 * Makes a clone ready to run: installs the dependencies, builds the addon, compiles
 * the TypeScript, each only when it is not up to date. Needs nothing but Node and npm
 * (and for the addon a C compiler), so it can run before anything is installed.
 *
 *   node native/prepare.mjs          all three steps; ends with 1 when installing or compiling fails
 *   node native/prepare.mjs addon    the addon and the plug-in for packetdrill only; what hinders it is said in one line, never an error
 *   node native/prepare.mjs compile  the TypeScript only, and only when everything is installed: npm asks for it after an installation
 *   node native/prepare.mjs prebuild all three steps, and the addon put where the package carries it (docs/building.md)
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  copyFileSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCES = ['addon.c', 'checksum.c', 'memory.c', 'packet.c', 'queue.c', 'syscall.c', 'tun.c'];
const HEADERS = ['addon.h', 'queue.h'];
const PLUGIN_SOURCES = ['channel.c', 'memory.c', 'plugin.c', 'settings.c'];
const PLUGIN_HEADERS = ['channel.h', 'interface.h', 'memory.h', 'protocol.h', 'settings.h'];
const PLUGIN = 'native/build/Release/timewait_packetdrill.so';
const ADDON = 'native/build/Release/timewait_native.node';
/** Where and under which names node-gyp-build would look; Node-API: one binary for every version of Node. */
const PREBUILDS = `native/prebuilds/linux-${process.arch}`;
const LIBC = process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
const PREBUILT = `${PREBUILDS}/node.napi.${LIBC}.node`;
const FLAGS = '-std=c11 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra'.split(' ');
const DEFINES = ['-DNAPI_VERSION=8', '-D_GNU_SOURCE', '-DBUILDING_NODE_EXTENSION'];

const [mode] = process.argv.slice(2);
const at = (...parts) => join(ROOT, ...parts);
const say = (text) => process.stderr.write(`timewait: ${text}\n`);
const readText = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
const digest = (text) => createHash('sha256').update(text).digest('hex');

/** All files below a directory of the project, relative to the project. */
function filesBelow(directory) {
  if (!existsSync(at(directory))) return [];
  return readdirSync(at(directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

/** The directory that has include/node/node_api.h for the Node that runs this, or null. */
function headersRoot() {
  const candidates = [
    process.env.npm_package_config_node_gyp_nodedir,
    process.env.npm_config_nodedir,
    dirname(dirname(realpathSync(process.execPath))),
    dirname(dirname(process.execPath)),
    process.config.variables.node_prefix,
  ];
  const complete = (root) =>
    ['node_api.h', 'uv.h'].every((name) => existsSync(join(root, 'include/node', name)));
  return candidates.find((root) => root && complete(root)) ?? null;
}

/** Environment for npm: headers beside node instead of a download, and a cache that can be written. */
function npmEnvironment() {
  const env = { ...process.env };
  const headers = headersRoot();
  if (headers !== null) env.npm_package_config_node_gyp_nodedir = headers;
  let existing = resolve(env.npm_config_cache ?? join(env.HOME ?? '/nonexistent', '.npm'));
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
    return { env, remove: null };
  } catch {
    env.npm_config_cache = mkdtempSync(join(tmpdir(), 'timewait-npm-'));
    return { env, remove: env.npm_config_cache };
  }
}

/**
 * npm notes what it installed in node_modules/.package-lock.json, at the very end of
 * an installation. The lock asks for something else: install. Optional packages may
 * be missing (no libpcap, another platform).
 */
function installed() {
  const note = readText(at('node_modules/.package-lock.json'));
  if (note === '') return false;
  const there = JSON.parse(note).packages;
  const wanted = JSON.parse(readText(at('package-lock.json'))).packages;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const found = there[path];
    return found === undefined ? optional === true : found.version === version;
  });
}

function install() {
  if (installed()) return;
  say('installing dependencies (npm ci)');
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const { env, remove } = npmEnvironment();
  const done = spawnSync(command, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (remove !== null) rmSync(remove, { recursive: true, force: true });
  if (done.status !== 0) {
    say(`npm ci failed${done.error ? ` (${done.error.message})` : ''}`);
    process.exit(1);
  }
}

/** Runs a build command; null when it worked, else the line that says most about the failure. */
function attempt(command, args, cwd) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (done.error) return done.error.code === 'ENOENT' ? `${command} not found` : done.error.message;
  if (done.status === 0) return null;
  const lines = `${done.stderr}\n${done.stdout}`.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /error/i.test(line)) ?? lines[0] ?? `${command} failed`;
}

/** With headers beside node one call of the compiler is all it takes. */
function compileDirectly(headers) {
  const sources = SOURCES.map((name) => at('native/src', name));
  return compileObject(ADDON, [...DEFINES, `-I${join(headers, 'include/node')}`, ...sources]);
}

/** One call of the C compiler; null, or what hindered it. */
function compileObject(path, args) {
  const [compiler, ...own] = (process.env.CC || 'cc').split(' ');
  mkdirSync(at(dirname(path)), { recursive: true });
  const draft = at(`${path}.${process.pid}`);
  const problem = attempt(compiler, [...own, ...FLAGS, ...args, '-o', draft], ROOT);
  // Renamed into place: a process that has the old one loaded keeps it whole.
  if (problem === null) renameSync(draft, at(path));
  else rmSync(draft, { force: true });
  return problem;
}

/** Without, node-gyp knows where to get them. */
function compileWithGyp() {
  const npm = process.env.npm_execpath;
  const gyp = [
    process.env.npm_config_node_gyp,
    at('node_modules/node-gyp/bin/node-gyp.js'),
    npm && join(dirname(npm), '../node_modules/node-gyp/bin/node-gyp.js'),
    join(
      dirname(realpathSync(process.execPath)),
      '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js',
    ),
  ].find((path) => path && existsSync(path));
  if (gyp === undefined) return "neither Node's headers nor node-gyp found";
  return attempt(process.execPath, [gyp, 'rebuild', '--loglevel=error'], at('native'));
}

/** What the addon is made from. */
function addonStamp() {
  const sources = [...HEADERS, ...SOURCES, '../binding.gyp'].map((name) => readText(at('native/src', name)));
  return digest([...sources, ...FLAGS, ...DEFINES, process.arch].join('\0'));
}

/** The package brought an addon made from these sources, and it loads here: nothing need be compiled. */
function prebuiltLoads(stamp) {
  if (!existsSync(at(PREBUILT)) || readText(at(`${PREBUILT}.stamp`)) !== stamp) return false;
  try {
    createRequire(import.meta.url)(at(PREBUILT));
    return true;
  } catch {
    return false;
  }
}

/** For `npm pack`. */
function prebuild() {
  const stamp = addonStamp();
  if (!existsSync(at(ADDON)) || readText(at('native/build/stamp')) !== stamp) {
    say('no addon to pack: it needs a C compiler');
    process.exit(1);
  }
  mkdirSync(at(PREBUILDS), { recursive: true });
  copyFileSync(at(ADDON), at(PREBUILT));
  writeFileSync(at(`${PREBUILT}.stamp`), stamp);
}

function buildAddon() {
  if (process.platform !== 'linux') return say('the native addon is for Linux only; no TUN devices here');
  const stamp = addonStamp();
  if (existsSync(at(ADDON)) && readText(at('native/build/stamp')) === stamp) return;
  if (mode === 'addon' && prebuiltLoads(stamp)) return;
  const headers = headersRoot();
  const problem = headers === null ? compileWithGyp() : compileDirectly(headers);
  if (problem === null) {
    writeFileSync(at('native/build/stamp'), stamp);
    say('built the native addon');
  } else {
    say(
      `the native addon was not built (${problem.trim()}): install a C compiler, make and python3 for TUN devices`,
    );
  }
}

/** The object for packetdrill's --so_filename; nothing else needs it. */
function buildPlugin() {
  if (process.platform !== 'linux') return;
  const sources = [...PLUGIN_HEADERS, ...PLUGIN_SOURCES].map((name) =>
    readText(at('native/packetdrill', name)),
  );
  const stamp = digest([...sources, ...FLAGS, process.arch].join('\0'));
  if (existsSync(at(PLUGIN)) && readText(at('native/build/stamp-packetdrill')) === stamp) return;
  const files = PLUGIN_SOURCES.map((name) => at('native/packetdrill', name));
  const problem = compileObject(PLUGIN, ['-D_GNU_SOURCE', '-pthread', ...files]);
  if (problem === null) {
    writeFileSync(at('native/build/stamp-packetdrill'), stamp);
    say('built the plug-in for packetdrill');
  } else {
    say(`the plug-in for packetdrill was not built (${problem.trim()}): it needs a C compiler`);
  }
}

/** What was compiled from a source that is no more must not run as a test. */
function removeOrphans() {
  for (const file of ['src', 'test', 'bench'].flatMap((folder) => filesBelow(`dist/${folder}`))) {
    const stem = /^dist\/(.*?)\.(?:js|js\.map|d\.ts)$/.exec(file)?.[1];
    if (stem !== undefined && ![stem, `${stem}.ts`].some((source) => existsSync(at(source))))
      rmSync(at(file));
  }
}

/** Runs a program of Node's to its end. */
function build(args, failure) {
  if (spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' }).status === 0) return;
  say(failure);
  process.exit(1);
}

function compile() {
  const inputs = ['src', 'test', 'bench'].flatMap(filesBelow).filter((file) => /\.(ts|wat)$/.test(file));
  const tools = ['native/wat.mjs', 'native/bundle.mjs', 'tsconfig.json', 'package-lock.json'];
  const marks = [...inputs, ...tools].map((file) => {
    const { mtimeMs, size } = statSync(at(file));
    return `${file} ${mtimeMs} ${size}`;
  });
  const stamp = digest(marks.join('\n'));
  if (readText(at('dist/.stamp')) === stamp) return;
  say('compiling');
  for (const source of inputs.filter((file) => file.endsWith('.wat')))
    build(['native/wat.mjs', source, `dist/${source}.js`], `${source} does not compile`);
  const incremental = ['--incremental', '--tsBuildInfoFile', 'dist/.tsbuildinfo'];
  build(
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', ...incremental],
    'the TypeScript does not compile',
  );
  removeOrphans();
  build(['native/bundle.mjs'], 'the package cannot be bundled');
  writeFileSync(at('dist/.stamp'), stamp);
}

if (mode === 'addon') {
  buildAddon();
  buildPlugin();
} else if (mode === 'compile') {
  if (installed()) compile();
} else {
  install();
  buildAddon();
  buildPlugin();
  compile();
  if (mode === 'prebuild') prebuild();
}
