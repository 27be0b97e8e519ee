/** What the TUN link says when it cannot open: errno names, and one line with the cure. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import t from 'tap';
import { native } from '../../src/link/native.js';
import { tunAvailable } from '../../src/link/tun-device.js';
import { TunLink } from '../../src/link/tun.js';

const moduleOf = (name: string): string =>
  JSON.stringify(new URL(`../../src/link/${name}.js`, import.meta.url).href);

/** Prints as JSON what tunAvailable says and what opening a device throws. */
const SCRIPT = `
  const { TunLink } = await import(${moduleOf('tun')});
  const { tunAvailable } = await import(${moduleOf('tun-device')});
  const said = {};
  if (process.argv[1] === 'nobody') {
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
  }
  said.available = tunAvailable();
  try {
    TunLink.open({ name: 'twt%d' }).close();
  } catch ({ code, errno, syscall, message }) {
    said.error = { code, errno, syscall, message };
  }
  console.log(JSON.stringify(said));
`;

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Runs SCRIPT, below another command if one is given. */
function ask(prefix: string[], ...args: string[]): unknown {
  const [command, ...rest] = [...prefix, process.execPath, '--input-type=module', '-e', SCRIPT, ...args];
  const done = spawnSync(command!, rest, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout);
}

t.test('mtu out of range', async (t) => {
  for (const mtu of [0, 67, 65536, 1.5, NaN, -1]) {
    t.throws(() => TunLink.open({ mtu }), {
      name: 'RangeError',
      message: `mtu must be an integer from 68 to 65535, got ${mtu}`,
    });
  }
});

t.test('a name that the kernel would refuse', async (t) => {
  for (const name of ['a/b', 'a:b', 'a b', '..', 'tw%s', 7 as never])
    t.throws(() => TunLink.open({ name }), {
      name: 'RangeError',
      message: `name must be up to 15 bytes without '/', ':' or white space, '%' only as '%d', got '${name}'`,
    });
});

const loaded = native();
if (!loaded.ok) {
  t.test('no addon: one line with the cure', async (t) => {
    t.throws(() => TunLink.open(), { code: 'ERR_NO_ADDON', message: `${loaded.reason}: ${loaded.cure}` });
  });
} else {
  // Root with the device file at its usual mode 0600, or an ordinary user: either way the answer is known from outside.
  const open = (() => {
    try {
      accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
      return true;
    } catch {
      return false;
    }
  })();

  t.test(
    'without privilege: EACCES or EPERM by name',
    { skip: !existsSync('/dev/net/tun') && 'no /dev/net/tun' },
    async (t) => {
      const said = ask([], isRoot() ? 'nobody' : 'as is') as { available: object; error?: { code: string } };
      if (said.error?.code === 'EACCES') {
        t.match(said, {
          available: {
            ok: false,
            reason: '/dev/net/tun may not be opened by this user',
            cure: 'chmod 0666 /dev/net/tun or run as root',
          },
          error: { errno: -13, syscall: 'open', message: 'open EACCES: permission denied, /dev/net/tun' },
        });
      } else {
        t.match(said, {
          available: { ok: true },
          error: {
            code: 'EPERM',
            errno: -1,
            syscall: 'ioctl',
            message: 'ioctl EPERM: operation not permitted, twt%d',
          },
        });
      }
    },
  );

  const flags = [
    ['-m', '-n'],
    ['-U', '-r', '-m', '-n'],
  ].find(
    (tried) => spawnSync('unshare', [...tried, 'sh', '-c', 'mount -t tmpfs none /dev/net']).status === 0,
  );

  t.test(
    'no device file: ENOENT, modprobe tun',
    { skip: flags === undefined && 'no mount namespace may be made, or no /dev/net' },
    async (t) => {
      const hide = ['unshare', ...flags!, 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
      t.match(ask(hide), {
        available: { ok: false, reason: '/dev/net/tun does not exist', cure: 'modprobe tun' },
        error: {
          code: 'ENOENT',
          errno: -2,
          syscall: 'open',
          message: 'open ENOENT: no such file or directory, /dev/net/tun',
        },
      });
    },
  );

  t.test(
    'a device file without a driver behind it',
    { skip: flags?.[0] !== '-m' && 'needs mknod' },
    async (t) => {
      const replace = [
        'unshare',
        ...flags!,
        'sh',
        '-c',
        'mount -t tmpfs none /dev/net && mknod /dev/net/tun c 10 254 && exec "$@"',
        'sh',
      ];
      t.match(ask(replace), {
        available: { ok: false, reason: 'the kernel has no TUN driver loaded', cure: 'modprobe tun' },
        error: { code: /^(ENODEV|ENXIO)$/, syscall: 'open' },
      });
    },
  );

  t.test('tunAvailable agrees with the device file', async (t) => {
    t.equal(tunAvailable().ok, open);
  });
}
