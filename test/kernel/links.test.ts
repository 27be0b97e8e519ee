/** Every link with the real kernel at the other end, and what a killed process leaves: nothing. */
import { createHash, randomUUID } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { helper, lacking, main, summaryOf, timewait } from './cli.js';
import { which } from '../../src/lab/namespace.js';

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];

const SIZE = 8_000_000;
const COUNT = 200;
const HOSTS = ['10.77.0.2', 'fd77::2'];

const links = ['packet', 'pcap', 'raw'];
const cases = [...links.map((link) => [link]), ['packet', '--trust-checksums']];

const bytes = Buffer.alloc(SIZE).map((_, i) => i % 251);
const sha = createHash('sha256').update(bytes).digest('hex');

for (const [link = '', ...options] of cases) {
  const name = [link, ...options].join(' ');
  t.test(`${name}: connections and bulk, IPv4 and IPv6`, { skip: lacking(link) }, async (t) => {
    const folder = temporary(t);
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

/** What is killed: a link, and whether several engines share it. */
const killed = [['tun'], ['tun', '--workers', '2'], ...links.map((link) => [link])];

/** A folder for temporary files, of which none may be left. */
function temporary(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

t.test('killed at any moment: no process, and so no namespace, device or rule stays', async (t) => {
  const TMPDIR = temporary(t);
  for (const [link = '', ...options] of killed) {
    const skip = lacking(link);
    if (skip !== false) {
      t.comment(skip);
      continue;
    }
    const name = [link, ...options].join(' ');
    for (const after of [100, 350, 800]) {
      const mark = `TIMEWAIT_MARK=${randomUUID()}`;
      const [key = '', value = ''] = mark.split('=');
      const child = spawn(
        process.execPath,
        [main, 'run', '--link', link, ...options, '--http', '80', '--', 'sleep', '60'],
        {
          stdio: 'ignore',
          env: { ...process.env, TMPDIR, [key]: value },
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
      t.same(left, [], `${name}, after ${after} ms`);
      t.same([...outside(), ...readdirSync(TMPDIR)], [], `${name}, after ${after} ms: nothing out here`);
    }
  }
});

/** What a killed `serve` leaves in the namespace that it ran in, which is not ours. */
const AFTERMATH = `
SAID=$TMPDIR/said
ip link set lo up
case $LINK in
tun) ;;
*) ip link add tw0 type veth peer name tw1 && ip link set tw0 up && ip link set tw1 up && ip addr add 10.77.0.2/24 dev tw0 ;;
esac
devices() { ip -o link | cut -d: -f2 | sort | tr -d '\\n'; }
before=$(devices)
"$NODE" "$MAIN" serve --http 80 $OPTIONS --no-detect 2>"$SAID" &
pid=$!
if [ "$WHEN" = ready ]; then
  for i in $(seq 200); do grep -q policy "$SAID" && break; sleep 0.05; done
  grep -q policy "$SAID" || cat "$SAID"
  echo "while: $(nft list tables 2>/dev/null | sed 's/[0-9]*$//' | tr '\\n' ' ')"
else sleep "$WHEN"; fi
kill -9 $pid; wait $pid 2>/dev/null
for i in $(seq 100); do [ -z "$(nft list tables 2>/dev/null)" ] && [ "$(devices)" = "$before" ] && break; sleep 0.05; done
rm -f "$SAID"
echo "tables: $(nft list tables 2>/dev/null)"
[ "$(devices)" = "$before" ] && echo 'devices: the same' || echo "devices: $(devices), before $before"
`;

t.test('serve, killed in a namespace that lives on: no table, no device stays', async (t) => {
  const TMPDIR = temporary(t);
  for (const [link = '', ...more] of killed) {
    const skip = lacking(link) || (process.getuid?.() === 0 ? false : 'serve needs root');
    if (skip !== false) {
      t.comment(skip);
      continue;
    }
    const options = link === 'tun' ? more.join(' ') : `--link ${link}:tw0 --local 10.77.0.2/24`;
    const name = [link, ...more].join(' ');
    for (const when of ['ready', '0.15', '0.4']) {
      const env = {
        ...process.env,
        NODE: process.execPath,
        MAIN: main,
        TMPDIR,
        LINK: link,
        OPTIONS: options,
        WHEN: when,
      };
      const ran = spawnSync('unshare', ['--net', 'sh', '-c', AFTERMATH], { encoding: 'utf8', env });
      const during = when !== 'ready' ? '' : `while: ${link === 'raw' ? 'table inet timewait_ ' : ''}\n`;
      t.equal(ran.stdout, `${during}tables: \ndevices: the same\n`, `${name}, ${when}: ${ran.stderr}`);
      t.same(readdirSync(TMPDIR), [], `${name}, ${when}: no file stays`);
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
