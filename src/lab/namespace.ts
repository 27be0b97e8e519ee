/**
 * Private namespaces for work with the real kernel. A Node process has threads and
 * cannot unshare a user namespace itself, so the command starts itself again through
 * unshare(1): new network, new process ids (so that nothing outlives the command),
 * and for an ordinary user a new user namespace in which it is root.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { constants as osConstants } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Socket } from 'node:net';
import { tunAvailable } from '../link/tun-device.js';

/** Set for the process that lives inside, and only for that one: what it starts may make namespaces of its own. */
const INSIDE = 'TIMEWAIT_NAMESPACE';
const inside = process.env[INSIDE] === '1';
delete process.env['TIMEWAIT_NAMESPACE'];

/** Descriptor of the process inside on which it says that it listens for signals. */
const HEARING = 3;

/** Signals that people and supervisors end a command with. */
const ENDING = ['SIGINT', 'SIGTERM'] as const;

export interface Lack {
  /** One line: what is missing. */
  readonly reason: string;
  /** One line: how to get it. */
  readonly cure: string;
}

export function insideNamespace(): boolean {
  return inside;
}

/**
 * The first process of a pid namespace is deaf to signals that it does not listen for,
 * even to Ctrl-C. To be called by it, once: from here on SIGINT and SIGTERM end it, unless
 * somebody else listens for them as well.
 */
export function endOnSignals(): void {
  for (const signal of ENDING) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + osConstants.signals[signal]);
    });
  }
  if (!inside) return;
  writeSync(HEARING, '.');
  closeSync(HEARING);
}

/**
 * Calls `listener` for signals that somebody sent to this process alone. Ctrl-C is none
 * of them: a terminal sends it to all processes in the foreground.
 */
export function onSentSignals(listener: (signal: NodeJS.Signals) => void): void {
  for (const signal of ENDING) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) listener(signal);
    });
  }
}

/** The program's path, or null when it is not in PATH (sbin included: ordinary users often lack it). */
export function which(program: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

function readNumber(path: string): number | null {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : null;
}

/** What this system lacks for namespaces, with a TUN device unless said otherwise; null when nothing. */
export function environmentLack(withTun = true): Lack | null {
  const tun = tunAvailable();
  if (withTun && !tun.ok) return tun;
  return programLack() ?? namespaceLack();
}

/** A program that is not there. */
export function programLack(): Lack | null {
  if (which('ip') === null)
    return { reason: 'ip(8) is not installed', cure: 'apt-get install iproute2 (dnf install iproute)' };
  if (which('unshare') === null)
    return {
      reason: 'unshare(1) is not installed',
      cure: 'apt-get install util-linux (dnf install util-linux)',
    };
  return null;
}

/** What refuses namespaces, found by trying. */
export function namespaceLack(): Lack | null {
  const tried = spawnSync(which('unshare')!, [...unshareArguments(), 'true'], { encoding: 'utf8' });
  if (tried.status === 0) return null;
  if (readNumber('/proc/sys/kernel/unprivileged_userns_clone') === 0) {
    return {
      reason: 'user namespaces are switched off',
      cure: 'sysctl -w kernel.unprivileged_userns_clone=1, or run as root',
    };
  }
  // Fedora's and Red Hat's way of switching them off.
  if (readNumber('/proc/sys/user/max_user_namespaces') === 0) {
    return {
      reason: 'user namespaces are switched off',
      cure: 'sysctl -w user.max_user_namespaces=15000, or run as root',
    };
  }
  if (readNumber('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === 1) {
    return {
      reason: 'AppArmor refuses user namespaces',
      cure: 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root',
    };
  }
  const said = tried.stderr.trim().split('\n')[0] ?? '';
  return {
    reason: `namespaces are refused here (${said})`,
    cure: 'run as root; in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined --device /dev/net/tun',
  };
}

function unshareArguments(): string[] {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  return [...user, '--net', '--pid', '--fork', '--kill-child'];
}

/**
 * Runs this very command again inside new namespaces; its exit status. The inner
 * process is killed when this one goes, however it goes, and everything in its
 * namespaces with it.
 */
export function reenter(args: readonly string[]): Promise<number> {
  const command = [
    which('unshare') ?? 'unshare',
    ...unshareArguments(),
    process.execPath,
    ...process.execArgv,
    process.argv[1]!,
    ...args,
  ];
  const setpriv = which('setpriv');
  // unshare kills its child; setpriv sees to it that unshare does not outlive us.
  const whole = setpriv === null ? command : [setpriv, '--pdeathsig', 'KILL', ...command];
  return new Promise((resolve, reject) => {
    const child = spawn(whole[0]!, whole.slice(1), {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
      env: { ...process.env, [INSIDE]: '1' },
    });
    let hears = false;
    const hearing = child.stdio[HEARING] as Socket;
    hearing.once('data', () => (hears = true)).on('error', () => undefined);
    hearing.unref();
    let sent: NodeJS.Signals = 'SIGKILL';
    onSentSignals((signal) => {
      sent = signal;
      const pass = (): void => passOn(child.pid, hears ? signal : null);
      // What it said just now has not been read yet
      if (hears) pass();
      else setTimeout(pass, MOMENT);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      resolve(signal === null ? (code ?? 1) : 128 + osConstants.signals[sent]),
    );
  });
}

/** ms */
const MOMENT = 50;

/**
 * unshare(1) keeps SIGINT and SIGTERM from itself, so they go to its child. If that cannot be found, or there is no
 * signal that it would hear (null), both are ended.
 */
function passOn(unshare: number | undefined, signal: NodeJS.Signals | null): void {
  if (unshare === undefined) return;
  try {
    const inner = signal === null ? 0 : childOf(unshare);
    process.kill(inner > 0 ? inner : unshare, inner > 0 ? signal! : 'SIGKILL');
  } catch (error) {
    // ESRCH: it has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') process.kill(unshare, 'SIGKILL');
  }
}

/** The first child of a process; 0: there is none. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ')[0]);
}

/** Runs a program to its end; throws one line with what it said when it fails. */
export function must(program: string, ...args: string[]): string {
  const done = spawnSync(which(program) ?? program, args, { encoding: 'utf8' });
  if (done.status === 0) return done.stdout;
  const said = done.error?.message ?? done.stderr.trim().split('\n')[0];
  throw new Error(`${program} ${args.join(' ')}: ${said}`);
}

/** Writes a setting of the namespace's own kernel side; false when this kernel has none of that name. */
export function sysctl(name: string, value: string | number): boolean {
  const path = join('/proc/sys', ...name.split('.').map((part) => part.replace('/', '.')));
  try {
    writeFileSync(path, String(value));
    return true;
  } catch {
    return false;
  }
}

/**
 * Lines for ip(8), in one process: a start of it costs more than what it does. `prefix` is put before it.
 * Throws one line, as `must` does.
 */
export function ip(lines: readonly string[], prefix: readonly string[] = []): void {
  const [program, ...args] = [...prefix, which('ip') ?? 'ip', '-batch', '-'];
  const done = spawnSync(program!, args, { encoding: 'utf8', input: `${lines.join('\n')}\n` });
  if (done.status === 0) return;
  const said = done.error?.message ?? done.stderr.trim().split('\n')[0];
  const failed = /^Command failed -:(\d+)$/m.exec(done.stderr);
  throw new Error(`ip ${failed === null ? '-batch' : lines[Number(failed[1]) - 1]}: ${said}`);
}

/** Has `device` these addresses, with prefix length and without duplicate address detection, and brings it up: lines for `ip`. */
export function addressing(device: string, addresses: readonly string[]): string[] {
  return [
    'link set lo up',
    ...addresses.map((each) => `addr add ${each} dev ${device}${each.includes(':') ? ' nodad' : ''}`),
    `link set ${device} up`,
  ];
}

/**
 * Packets that wait in a TUN device while the process does something else: 40 ms of 500,000 a second, and
 * at most 46 MB of the kernel's as long as none of them is a large one.
 */
export const TUN_QUEUE = 20_000;

/** The kernel's side of a TUN device. */
export function bringUp(device: string, addresses: readonly string[]): void {
  ip([`link set ${device} txqueuelen ${TUN_QUEUE}`, ...addressing(device, addresses)]);
}
