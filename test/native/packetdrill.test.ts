/**
 * The plug-in for packetdrill, from C to the stack and back: native/packetdrill/driver.c loads it as the
 * tool does and makes the tool's calls. Minutes of the script's time pass in milliseconds.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { pluginPath } from '../../src/cli/packetdrill-server.js';
import { folder, timewait, type Ran } from '../cli/helpers.js';
import { inNamespace } from './namespace.js';

const skip = existsSync(pluginPath()) ? false : 'the plug-in was not built: it needs a C compiler on Linux';

const source = fileURLToPath(new URL('../../../native/packetdrill/driver.c', import.meta.url));

function compiled(t: Test): string {
  const path = join(folder(t), 'driver');
  const [compiler, ...own] = (process.env.CC || 'cc').split(' ');
  const flags = ['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-pthread'];
  execFileSync(compiler!, [...own, ...flags, source, '-o', path, '-ldl'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return path;
}

function drive(driver: string, flags: string, ...more: string[]): Promise<Ran> {
  return timewait(['packetdrill-server', '--', driver, '{}', flags, ...more]);
}

if (inNamespace(t, import.meta.url)) {
  void t.test('a connection as the tool plays it', { skip }, async (t) => {
    const began = performance.now();
    const { status, stdout, stderr } = await drive(compiled(t), 'profile=linux,sysctl=ignore');
    t.same([status, stderr], [0, '']);
    t.same(stdout.trimEnd().split('\n'), [
      'accept sleeps',
      'SYN-ACK: flags 12, data 0, ack +1, at 0.100',
      'accepted 192.0.2.1:41000 at 0.200',
      'TCP_INFO: 104 bytes, state 1, mss 536, cwnd 10, wscale 0/0',
      'read sleeps',
      // It ends when the bytes arrive, although the clock is at 5 s when the tool asks
      'read 1000 at 0.300',
      'ACK: flags 10, data 0, ack +1001, at 0.300',
      'poll timed out at 7.000',
      'data: flags 18, data 500, ack +1001, at 7.000',
      ...['7.299', '7.899', '9.099', '11.499', '16.299', '25.899', '45.099'].map(
        (time) => `again: flags 18, data 500, ack +1001, at ${time}`,
      ),
      'queued 0',
      'FIN: flags 11, data 0, ack +1001, at 45.099',
    ]);
    t.ok(performance.now() - began < 15_000, 'without waiting 45 seconds');
  });

  void t.test('sysctls of the namespace count from the next call on', { skip }, async (t) => {
    const driver = compiled(t);
    const { status, stdout } = await drive(driver, 'profile=linux', 'sysctl');
    t.equal(status, 0);
    t.same(stdout.trimEnd().split('\n'), [
      'SYN with tcp_timestamps=1: 40 bytes',
      'SYN with tcp_timestamps=0: 32 bytes',
    ]);
  });

  void t.test('what cannot be is said in one line', { skip }, async (t) => {
    const driver = compiled(t);
    const line = (ran: Ran): [number | null, string] => [ran.status, ran.stderr];
    t.same(line(await drive(driver, 'profile=linus')), [
      1,
      'timewait packetdrill plug-in: the server refuses: profile=linus: unknown policy, nearest: linux, xnu, macos\n',
    ]);
    t.same(line(await drive(driver, 'socket=/nowhere/at/all')), [
      1,
      'timewait packetdrill plug-in: no server: /nowhere/at/all (No such file or directory); is `timewait packetdrill-server` running?\n',
    ]);
    const { status, stderr } = await timewait(['packetdrill-server']);
    t.same([status, stderr.trimEnd().split('\n').length], [2, 1]);
    t.match(stderr, /--socket PATH/);
    t.equal((await timewait(['packetdrill-server', '--', 'false'])).status, 1, "the command's own status");
  });
}
