/**
 * Two real kernels behind one NAT: under tcp_tw_recycle the one whose timestamps are behind
 * does not get in; under any other Linux both do. Then the NAT itself, with two machines that
 * have the same address and use the same port.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import t, { type Test } from 'tap';
import {
  TWO_KERNELS,
  TwoKernels,
  playTwoKernels,
  type Source,
  type TwoKernelsResult,
} from '../../src/lab/two-kernels.js';
import { Machine } from '../../src/lab/machine.js';
import { inNamespace } from '../native/namespace.js';

/** The network namespaces of the processes we have started, by process; other than our own. */
function namespaces(): Map<number, string> {
  const found = new Map<number, string>();
  const ours = readlinkSync('/proc/self/ns/net');
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
      const link = readlinkSync(`/proc/${pid}/ns/net`);
      if (Number(parent?.[1]) === process.pid && link !== ours) found.set(Number(pid), link);
    } catch {
      // It ended meanwhile, or is not ours to look at.
    }
  }
  return found;
}

/** None is left soon. */
async function vanished(): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if (namespaces().size === 0) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

/** What holds whatever the policy: who came, how, and with which clock. */
function common(t: Test, result: TwoKernelsResult): void {
  const { first, behind, ahead } = result;
  t.match(first, { accepted: true, side: 0, reason: '' });
  t.same([behind.side, ahead.side], [1, 1]);
  t.ok(((behind.tsVal! - first.tsVal!) | 0) < 0, `behind: ${behind.tsVal} after ${first.tsVal}`);
  t.ok(((ahead.tsVal! - first.tsVal!) | 0) > 0, `ahead: ${ahead.tsVal} after ${first.tsVal}`);
  const hosts = [first, behind, ahead].map(({ seen }) => seen.split(':')[0]);
  t.same(new Set(hosts), new Set([TWO_KERNELS.outside]), 'one address to the server');
  t.match(ahead, { accepted: true, reason: '' }, 'a clock that is ahead always gets in');
}

if (inNamespace(t, import.meta.url)) {
  void t.test('recycle: the slower clock is refused, without a word', async (t) => {
    const result = await playTwoKernels({ policy: 'recycle' });
    common(t, result);
    t.match(result.behind, { accepted: false, error: 'ETIMEDOUT', reason: 'recycle-host-stamp' });
    t.ok(result.behind.syns >= 2, `the kernel tried ${result.behind.syns} times: silence, no reset`);
    t.equal(result.pawsPassive, result.behind.syns, 'TcpExtPAWSPassive counts each');
    t.ok(await vanished(), 'the namespaces are gone');
  });

  for (const policy of ['reuse', 'linux']) {
    void t.test(`${policy}: both get in`, async (t) => {
      const result = await playTwoKernels({ policy });
      common(t, result);
      t.match(result.behind, { accepted: true, error: '', reason: '' });
      t.equal(result.pawsPassive, 0);
    });
  }

  void t.test('the same address and the same port on both machines', async (t) => {
    const both = await TwoKernels.start({ policy: 'linux' });
    t.teardown(() => both.close());
    const source = (side: 0 | 1): Source => ({ side, localAddress: '192.168.1.2', localPort: 40_000 });
    const [a, b] = [await both.attempt(source(0), 5000), await both.attempt(source(1), 5000)];
    t.match(a, { accepted: true, seen: `${TWO_KERNELS.outside}:40000` });
    t.match(b, { accepted: true, seen: `${TWO_KERNELS.outside}:1024` }, 'its own port was taken');
    t.equal(both.nat.counters.clashes, 1);
    t.same(
      both.nat.flows(both.now()).map(({ side, state }) => [side, state]),
      [
        [0, 'TIME_WAIT'],
        [1, 'TIME_WAIT'],
      ],
    );
  });

  void t.test('namespaces vanish when something fails', async (t) => {
    await t.rejects(playTwoKernels({ policy: 'no such policy' }));
    await t.rejects(Machine.start('twm9', ['not an address']), { message: /^ip .*rather than "not"/ });
    const machine = await Machine.start('twm8', ['192.168.1.2/24']);
    t.equal(namespaces().size, 1, 'one, while it runs');
    const waiting = machine.connect({
      host: '10.9.9.9',
      port: 1,
      localAddress: '192.168.1.2',
      localPort: 0,
      limit: 60_000,
    });
    machine.close();
    await t.rejects(waiting, { message: /^machine twm8 ended: SIGKILL$/ });
    t.ok(await vanished());
  });
}
