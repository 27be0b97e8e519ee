/**
 * Runs a test file inside a private network namespace, where TUN devices may be made
 * and nothing of the host's network is seen. The namespace ends with the process.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { tunAvailable } from '../../src/link/tun-device.js';

/** Set inside, so that the file knows where it runs. */
const MARK = 'TIMEWAIT_TEST_NAMESPACE';

function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** The `unshare` flags that give a network namespace here, or why there is none. */
export function namespaceFlags(): string[] | string {
  const tun = tunAvailable();
  if (!tun.ok) return `${tun.reason}: ${tun.cure}`;
  if (!works('ip', '-V')) return 'ip(8) not found: apt-get install iproute2';
  const flags = [['-n'], ['-U', '-r', '-n']].find((tried) => works('unshare', ...tried, 'true'));
  return (
    flags ?? 'no network namespace may be made: sysctl kernel.unprivileged_userns_clone=1, or run as root'
  );
}

/**
 * Call first in a test file: `if (inNamespace(t, import.meta.url)) { ...tests... }`.
 * Outside it starts the same file again within a namespace (its tests become
 * subtests), or skips the file with the reason why the system cannot.
 */
export function inNamespace(t: Test, url: string, nodeArguments: string[] = []): boolean {
  if (process.env[MARK] === '1') return true;
  const flags = namespaceFlags();
  if (typeof flags === 'string') {
    t.plan(0, flags);
    return false;
  }
  const command = [...flags, process.execPath, ...nodeArguments, fileURLToPath(url)];
  t.spawn('unshare', command, { env: { ...process.env, [MARK]: '1' } }, 'in a private namespace');
  return false;
}

/** ip(8) with the arguments of one line. */
export function ip(line: string): void {
  execFileSync('ip', line.split(' '), { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Whether this namespace has a network device of the name. */
export function deviceExists(name: string): boolean {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n');
  return lines.some((line) => line.trimStart().startsWith(`${name}:`));
}
