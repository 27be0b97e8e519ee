/** What package.json promises. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t from 'tap';

/** The nearest directory above that is the repository itself: package.json beside src/. */
function findRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!(existsSync(join(directory, 'package.json')) && existsSync(join(directory, 'src/wire/ring.ts')))) {
    const above = dirname(directory);
    if (above === directory) return process.cwd();
    directory = above;
  }
  return directory;
}

interface Manifest {
  name: string;
  type: string;
  license: string;
  engines: Record<string, string>;
  bin: { timewait: string };
  exports: Record<string, unknown>;
  files: string[];
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  overrides: Record<string, string>;
}

interface Lock {
  packages: Record<
    string,
    { version?: string; optional?: boolean; dev?: boolean; engines?: { node?: string } }
  >;
}

const ROOT = findRoot();
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as Lock;

t.test('who we are', async (t) => {
  t.match(manifest, { name: 'timewait', type: 'module', license: 'MIT', engines: { node: '>=20' } });
  t.match(read('LICENSE'), /^MIT License\n/);
});

t.test('bin and exports come from sources that exist and are in the package', async (t) => {
  const sourceOf = (output: string) =>
    output.replace(/^(\.\/)?dist\/(lib|src)\//, 'src/').replace(/(\.d\.ts|\.js)$/, '.ts');
  t.equal(manifest.bin.timewait, 'dist/lib/cli/main.js');
  const entry = manifest.exports['.'] as { types: string; default: string };
  t.same(Object.keys(entry)[0], 'types', 'the condition that must come first');
  for (const output of [manifest.bin.timewait, entry.types, entry.default]) {
    t.ok(existsSync(join(ROOT, sourceOf(output))), `${output} from ${sourceOf(output)}`);
  }
  t.match(read(sourceOf(manifest.bin.timewait)), /^#!\/usr\/bin\/env node\n/);
  t.equal(manifest.exports['./package.json'], './package.json');
});

t.test('every module is in one file of dist/lib, and what files there name is where they say', async (t) => {
  const lib = join(ROOT, 'dist/lib');
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.js'),
  );
  const places = new Map<string, string[]>();
  let named = 0;
  for (const file of files) {
    const map = JSON.parse(readFileSync(join(lib, `${file}.map`), 'utf8')) as { sources: string[] };
    for (const source of map.sources) {
      const path = normalize(join(lib, dirname(file), source));
      places.set(path, [...(places.get(path) ?? []), file]);
    }
    const text = readFileSync(join(lib, file), 'utf8');
    for (const [, path] of text.matchAll(/new URL\("([^"]+)", import\.meta\.url\)/g)) {
      named++;
      // What the addon's step makes need not be there
      if (path!.includes('native/build/')) continue;
      t.ok(existsSync(new URL(path!, pathToFileURL(join(lib, file)))), `${file}: ${path}`);
    }
  }
  t.ok(named > 4, `${named} paths`);
  const twice = [...places].filter(([, where]) => where.length > 1);
  t.same(twice, [], 'no module is there twice');
  for (const name of ['src/stack/stack.ts', 'src/workers/thread.ts', 'node_modules/commander/lib/command.js'])
    t.equal(places.get(join(ROOT, name))?.length, 1, name);
  const packages = new Set<string>();
  for (const path of places.keys()) {
    const name = /node_modules\/([^/]+)\//.exec(path)?.[1];
    if (name !== undefined) packages.add(name);
  }
  const licences = readFileSync(join(lib, 'LICENSES.txt'), 'utf8');
  for (const name of packages)
    t.ok(licences.includes(read(join('node_modules', name, 'LICENSE')).trim()), `the licence of ${name}`);
});

t.test('the addon can be built from what is packed', async (t) => {
  for (const name of ['native/binding.gyp', 'native/prepare.mjs', 'native/src']) {
    t.ok(manifest.files.includes(name) && existsSync(join(ROOT, name)), name);
  }
  const gyp = JSON.parse(read('native/binding.gyp')) as {
    targets: { target_name: string; sources: string[] }[];
  };
  const sources = readdirSync(join(ROOT, 'native/src')).filter((name) => name.endsWith('.c'));
  t.same(
    gyp.targets[0]?.sources,
    sources.sort().map((name) => `src/${name}`),
    'binding.gyp names every source',
  );
  for (const name of sources) t.match(read('native/prepare.mjs'), `'${name}'`, `prepare.mjs names ${name}`);
  t.equal(gyp.targets[0]?.target_name, 'timewait_native');
  t.equal(manifest.scripts.install, 'node native/prepare.mjs addon');
});

t.test('raw-socket and cap are optional, and nothing that runs is a development dependency', async (t) => {
  t.same(Object.keys(manifest.optionalDependencies).sort(), ['cap', 'raw-socket']);
  t.ok(lock.packages['node_modules/cap']?.optional && lock.packages['node_modules/raw-socket']?.optional);
  const nan = Object.keys(lock.packages).filter((path) => /(^|\/)nan$/.test(path));
  t.same(nan, ['node_modules/nan'], 'one nan for both');
  const [major, minor] = lock.packages['node_modules/nan']!.version!.split('.').map(Number);
  t.ok(major === 2 && minor! >= 30, 'with the fixes for Node 24');
  const allowed = new Set([
    ...Object.keys(manifest.dependencies),
    ...Object.keys(manifest.optionalDependencies),
  ]);
  const foreign = new Set<string>();
  for (const file of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    for (const [, name] of read(join('src', file)).matchAll(/from '([^.'][^']*)';/g)) {
      if (!name!.startsWith('node:') && !allowed.has(name!)) foreign.add(`${file}: ${name}`);
    }
  }
  t.same([...foreign], []);
});

t.test('every dependency that runs works with the oldest Node promised', async (t) => {
  for (const name of Object.keys(manifest.dependencies)) {
    const wanted = lock.packages[`node_modules/${name}`]?.engines?.node ?? '>=0';
    t.ok(Number(/^>=\s*(\d+)/.exec(wanted)?.[1]) <= 20, `${name} wants ${wanted}`);
  }
});

t.test('the lock belongs to the manifest', async (t) => {
  const own = lock.packages[''] as unknown as Manifest;
  for (const key of ['dependencies', 'optionalDependencies', 'devDependencies'] as const) {
    t.same(own[key], manifest[key], key);
  }
});

t.test('the scripts: start, test, and what they are made of', async (t) => {
  t.equal(manifest.scripts.start, 'node native/prepare.mjs && node dist/lib/cli/main.js demo');
  t.equal(manifest.scripts.test, 'node native/prepare.mjs && node test/run.mjs');
  t.equal(
    manifest.scripts['prepare'],
    'node native/prepare.mjs compile',
    'a clone is built when it is installed',
  );
  t.match(read('.ci/run'), /\nexec npm test\n$/);
  t.match(read('.npmrc'), /^update-notifier=false$/m, 'no notice of npm comes behind the summary');
  for (const name of ['build', 'lint', 'format', 'typecheck']) t.type(manifest.scripts[name], 'string', name);
  t.equal(spawnSync('bash', ['-n', join(ROOT, '.ci/run')]).status, 0, '.ci/run is a script bash can read');
  t.equal(spawnSync(process.execPath, ['--check', join(ROOT, 'native/prepare.mjs')]).status, 0);
});
