/** Every link with the real kernel at the other end, and what a killed process leaves: nothing. */
import { createHash, randomUUID } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { helper, lack, main, summaryOf, timewait } from './cli.js';
import { which } from '../../src/lab/namespace.js';

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];

const SIZE = 8_000_000;
const COUNT = 200;
const HOSTS = ['10.77.0.2', 'fd77::2'];

/** Why a link cannot be tested here, or false. */
function lacking(link: string): string | false {
  const found = lack();
  if (found !== false) return found;
  const wanted = link === 'pcap' ? 'cap' : link === 'raw' ? 'raw-socket' : null;
  if (link === 'raw' && which('nft') === null) return 'nft is not installed: apt-get install nftables';
  if (wanted === null) return false;
  try {
    createRequire(import.meta.url)(wanted);
    return false;
  } catch {
    return `the package ${wanted} is not installed: it needs a C++ compiler${wanted === 'cap' ? ' and libpcap-dev' : ''}`;
  }
}

const links = ['packet', 'pcap', 'raw'];
const cases = [...links.map((link) => [link]), ['packet', '--trust-checksums']];

const bytes = Buffer.alloc(SIZE).map((_, i) => i % 251);
const sha = createHash('sha256').update(bytes).digest('hex');

for (const [link = '', ...options] of cases) {
  const name = [link, ...options].join(' ');
  t.test(`${name}: connections and bulk, IPv4 and IPv6`, { skip: lacking(link) }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const upload = join(folder, 'up');
    writeFileSync(upload, bytes);
    const script = HOSTS.flatMap((host) => {
      const url = host.includes(':') ? `http://[${host}]` : `http://${host}`;
      return [
        `node ${helper('clients')} ${host} 7 ${COUNT} 16`,
        `curl -g -sf ${url}/bytes/${SIZE} | sha256sum`,
        `curl -g -sf -T ${upload} ${url}/sink`,
      ];
    }).join(' && ');
    const services = ['--http', '80', '--echo', '7', '--close-first'];
    const ran = await timewait([
      'run',
      '--json',
      '--link',
      link,
      ...options,
      ...services,
      '--',
      'sh',
      '-c',
      script,
    ]);
    t.equal(ran.status, 0, ran.stderr);
    const lines = ran.stdout.split('\n');
    for (const [i, host] of HOSTS.entries()) {
      const [made = '', down = '', up = ''] = lines.slice(3 * i, 3 * i + 3);
      t.same(JSON.parse(made), { done: COUNT, bytes: 2 * COUNT, errors: {} }, host);
      t.equal(down.split(' ')[0], sha, `${host}: down`);
      t.same(JSON.parse(up), { length: SIZE, sha256: sha }, `${host}: up`);
    }
    t.equal(summaryOf(ran).connections.accepted, HOSTS.length * (COUNT + 2));
  });
}

const offloads = lacking('packet') || (which('ethtool') === null ? 'ethtool is not installed' : false);
t.test('offloads that are left on are named, with what cures it', { skip: offloads }, async (t) => {
  // The other end switches its own checksums on again.
  const script = 'ethtool -K tw1 tx on >/dev/null; curl -s -m 2 http://10.77.0.2/';
  const ran = await timewait(['run', '--json', '--link', 'packet', '--http', '80', '--', 'sh', '-c', script]);
  t.equal(ran.status, 28, 'curl gives up');
  t.match(ran.stderr, /ethtool -K IFACE tx off.*--trust-checksums/);
  t.equal(ran.stderr.match(/trust-checksums/g)?.length, 1, 'said once');
  t.ok(summaryOf(ran).decisions.some(({ reason }) => reason === 'tcp-checksum'));
});

/** Processes that have the mark in their environment. */
function marked(mark: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'latin1').includes(mark);
    } catch {
      return false;
    }
  });
}

/** What there is of devices and nftables tables out here. */
function outside(): string[] {
  const devices = readFileSync('/proc/self/net/dev', 'utf8').match(/^\s*tw\d+:/gm) ?? [];
  const tables =
    which('nft') === null ? '' : spawnSync(which('nft')!, ['list', 'tables'], { encoding: 'utf8' }).stdout;
  return [...devices, ...(tables.match(/timewait\S*/g) ?? [])];
}

t.test('killed at any moment: no process, and so no namespace, device or rule stays', async (t) => {
  for (const link of ['tun', ...links]) {
    const skip = lacking(link);
    if (skip !== false) {
      t.comment(skip);
      continue;
    }
    for (const after of [100, 350, 800]) {
      const mark = `TIMEWAIT_MARK=${randomUUID()}`;
      const [key = '', value = ''] = mark.split('=');
      const child = spawn(
        process.execPath,
        [main, 'run', '--link', link, '--http', '80', '--', 'sleep', '60'],
        {
          stdio: 'ignore',
          env: { ...process.env, [key]: value },
        },
      );
      await sleep(after);
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      let left = marked(mark);
      for (let tries = 0; left.length > 0 && tries < 150; tries++) {
        await sleep(20);
        left = marked(mark);
      }
      t.same(left, [], `${link}, after ${after} ms`);
      t.same(outside(), [], `${link}, after ${after} ms: nothing out here`);
    }
  }
});

t.test('an ordinary user may have all that go without TUN', { skip: ordinary() }, async (t) => {
  for (const link of links) {
    const skip = lacking(link);
    if (skip !== false) {
      t.comment(skip);
      continue;
    }
    const command = [
      process.execPath,
      main,
      'run',
      '--link',
      link,
      '--http',
      '80',
      '--',
      'curl',
      '-sf',
      'http://10.77.0.2/',
    ];
    const ran = spawnSync('setpriv', [...NOBODY, ...command], { encoding: 'utf8', cwd: '/' });
    t.equal(ran.status, 0, `${link}: ${ran.stderr}`);
    t.match(ran.stdout, /a TCP stack in user space/);
  }
});

/** Why nobody cannot be tried here, or false. */
function ordinary(): string | false {
  if (process.getuid?.() !== 0) return 'everything here ran as an ordinary user';
  if (which('setpriv') === null) return 'setpriv is not installed: apt-get install util-linux';
  const seen = spawnSync('setpriv', [...NOBODY, 'test', '-r', main]);
  if (seen.status !== 0) return `an ordinary user cannot read ${main}`;
  const may = spawnSync('setpriv', [...NOBODY, 'unshare', '-Urn', 'true']);
  return may.status === 0 ? false : 'an ordinary user may not make user namespaces here';
}
