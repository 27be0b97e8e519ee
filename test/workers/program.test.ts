/** The steering program, in the kernel: the queue that a packet comes into is that of its owner. */
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { bringUp } from '../../src/lab/namespace.js';
import { TunLink } from '../../src/link/tun.js';
import { IpHeader } from '../../src/wire/ip.js';
import { PacketRing } from '../../src/wire/ring.js';
import { steeringProgram } from '../../src/workers/program.js';
import { Steering, type SteerBy } from '../../src/workers/steering.js';
import { inNamespace } from '../native/namespace.js';
import { KEY } from './several.js';

interface Arrival {
  readonly queue: number;
  readonly owner: number;
}

/** TCP packets that the kernel has put into queues so far: into which, and whose they are. */
function arrivals(queues: readonly TunLink[], steering: Steering): Arrival[] {
  const ring = new PacketRing(256, 66_000);
  const ip = new IpHeader();
  return queues.flatMap((link, queue) => {
    const found: Arrival[] = [];
    while (link.receive(ring) > 0) {
      for (let i = 0; i < ring.count; i++) {
        const at = ring.offsetOf(i);
        ip.load(ring.bytes, at, ring.lengthOf(i));
        if (ip.protocol === 6)
          found.push({ queue, owner: steering.ownerOf(ring.bytes, at, ring.lengthOf(i)) });
      }
      ring.clear();
    }
    return found;
  });
}

if (inNamespace(t, import.meta.url)) {
  for (const by of ['tuple', 'host'] satisfies SteerBy[]) {
    void t.test(`the kernel has the same owner, by ${by}`, async (t: Test) => {
      const steering = new Steering(KEY, 3, by);
      const first = TunLink.open({ name: 'tws%d', multiQueue: true, offload: true });
      t.teardown(() => first.close());
      try {
        first.steer(steeringProgram(steering));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        t.equal(code, 'EPERM', message);
        t.comment('not allowed to load programs here');
        return;
      }
      const others = [1, 2].map(() => TunLink.open({ name: first.name, multiQueue: true, offload: true }));
      t.teardown(() => others.forEach((link) => link.close()));
      const hosts = Array.from({ length: 12 }, (_, i) => [`10.9.1.${i + 1}`, `fd09::1:${i + 1}`]);
      bringUp(
        first.name,
        hosts.flatMap(([v4, v6]) => [`${v4}/16`, `${v6}/64`]),
      );
      const sockets = hosts.flatMap(([v4, v6]) =>
        Array.from({ length: 20 }, (_, i) => [
          connect({ host: '10.9.0.2', localAddress: v4!, port: 1 + i }),
          connect({ host: 'fd09::2', localAddress: v6!, port: 1 + i }),
        ]).flat(),
      );
      for (const socket of sockets) socket.on('error', () => undefined);
      const came: Arrival[] = [];
      for (let tries = 0; came.length < sockets.length && tries < 500; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        came.push(...arrivals([first, ...others], steering));
      }
      sockets.forEach((socket) => socket.destroy());
      t.ok(came.length >= sockets.length, `${came.length} packets`);
      t.same(
        came.filter(({ queue, owner }) => queue !== owner),
        [],
      );
      t.equal(new Set(came.map(({ queue }) => queue)).size, 3);
    });
  }
}
