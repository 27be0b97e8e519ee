/**
 * Two real kernels behind one NAT, and a server of two engines that the kernel routes to. A policy with a memory
 * per host remembers as one kernel does, whichever engines the flows would have had by their tuples.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { bringUp, ip, sysctl } from '../../src/lab/namespace.js';
import {
  TWO_KERNELS,
  TwoKernels,
  natSources,
  playBehindNat,
  type Serve,
  type TwoKernelsResult,
} from '../../src/lab/two-kernels.js';
import type { Link } from '../../src/link/link.js';
import { TunLink } from '../../src/link/tun.js';
import { keepsHosts, policyNamed } from '../../src/stack/policies.js';
import { parseAddress } from '../../src/wire/address.js';
import { PacketRing } from '../../src/wire/ring.js';
import { Steering } from '../../src/workers/steering.js';
import { Workers } from '../../src/workers/workers.js';
import { inNamespace } from '../native/namespace.js';
import type { Told } from '../workers/nat-server.js';

/** A wire between two links. */
function join(a: Link, b: Link): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const ring = new PacketRing(16, Math.max(a.mtu, b.mtu));
    from.onReadable(() => {
      while (from.receive(ring) > 0) {
        to.transmit(ring);
        from.settle(ring);
        ring.clear();
      }
    });
    from.ref();
  }
}

/** The owner of a client's flow by its tuple, whatever these workers are steered by. */
function ownerByTuple(workers: Workers, port: number): number {
  const steering = new Steering(workers['steering'].key, workers.count, 'tuple');
  const words = (address: string): [number, number, number, number] =>
    parseAddress(address)!.words as unknown as [number, number, number, number];
  const [server, outside] = [words(TWO_KERNELS.server), words(TWO_KERNELS.outside)];
  return steering.ownerOfTuple(...server, ...outside, TWO_KERNELS.port, port);
}

interface Played extends TwoKernelsResult {
  /** Connections that each engine accepted. */
  readonly shares: readonly number[];
}

/** The first client's flow is worker 0's by its tuple, those of the other machine are worker 1's. */
async function play(t: Test, policy: string): Promise<Played> {
  let workers: Workers | null = null;
  const told = async (): Promise<Told[]> => (await workers!.ask('told')) as Told[];
  const serve: Serve = async (outside) => {
    const started = await Workers.start({
      workers: 2,
      program: new URL('../workers/nat-server.js', import.meta.url),
      data: { policy },
      device: 'twn%d',
      steerBy: keepsHosts(policyNamed(policy)) ? 'host' : 'tuple',
      prepare: (device) => bringUp(device, ['10.77.0.1/24']),
    });
    workers = started;
    // The kernel in between is a router.
    const wan = TunLink.open({ name: 'wan%d' });
    bringUp(wan.name, []);
    ip([`route add ${TWO_KERNELS.outside} dev ${wan.name}`]);
    t.ok(sysctl('net.ipv4.ip_forward', 1));
    join(outside, wan);
    return {
      async decided() {
        await sleep(20);
        return (await told()).flatMap(({ decisions }) => decisions);
      },
      counter: async (name) => (await started.counters())[name]!,
      async close() {
        wan.close();
        await started.close();
      },
    };
  };
  const both = await TwoKernels.start({ policy }, serve);
  try {
    let port = 40_000;
    const sources = natSources((side) => {
      do port++;
      while (ownerByTuple(workers!, port) !== side);
      return port;
    });
    const result = await playBehindNat(both, { policy }, sources);
    return { ...result, shares: (await told()).map(({ accepted }) => accepted) };
  } finally {
    await both.close();
  }
}

function common(t: Test, { first, behind, ahead }: Played): void {
  t.match(first, { accepted: true, side: 0, reason: '' });
  t.match([behind, ahead], [{ side: 1 }, { side: 1 }]);
  t.ok(((behind.tsVal! - first.tsVal!) | 0) < 0, `behind: ${behind.tsVal} after ${first.tsVal}`);
  t.match(ahead, { accepted: true, reason: '' });
}

if (inNamespace(t, import.meta.url)) {
  void t.test('recycle: the slower clock is refused, though its flow were another engine’s', async (t) => {
    const result = await play(t, 'recycle');
    common(t, result);
    t.match(result.behind, { accepted: false, error: 'ETIMEDOUT', reason: 'recycle-host-stamp' });
    t.equal(result.pawsPassive, result.behind.syns, 'TcpExtPAWSPassive counts each');
    t.same([...result.shares].sort(), [0, 2], 'all of the host came to one engine');
  });

  for (const policy of ['linux', 'reuse']) {
    void t.test(`${policy}: both get in, each to its engine`, async (t) => {
      const result = await play(t, policy);
      common(t, result);
      t.match(result.behind, { accepted: true, error: '', reason: '' });
      t.equal(result.pawsPassive, 0);
      t.same(result.shares, [1, 2]);
    });
  }
}
