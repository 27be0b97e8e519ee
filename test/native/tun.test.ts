/** The TUN link against the running kernel: it answers the echo requests that we write. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { TunLink } from '../../src/link/tun.js';
import type { TunOptions } from '../../src/link/tun.js';
import { PacketRing } from '../../src/wire/ring.js';
import { deviceExists, inNamespace, ip } from './namespace.js';
import { echoRequest, isReply, replySequence } from './packets.js';

/** A device that is up, the kernel's side 10.88.0.1/24; closed at the end of the test. */
function up(t: Test, options: TunOptions = {}): TunLink {
  const link = TunLink.open({ name: 'twt%d', ...options });
  t.teardown(() => {
    link.close();
  });
  ip(`addr add 10.88.0.1/24 dev ${link.name}`);
  ip(`link set ${link.name} up`);
  return link;
}

function put(ring: PacketRing, packet: Uint8Array): void {
  ring.bytes.set(packet, ring.tailOffset());
  ring.push(packet.length, 0);
}

/** A ring of requests with sequence numbers first..first + n - 1, its head somewhere in the middle. */
function requests(first: number, n: number, size: number, slots = 128): PacketRing {
  const ring = new PacketRing(slots, 2048);
  ring.head = slots - 3;
  for (let i = 0; i < n; i++) put(ring, echoRequest(first + i, size));
  return ring;
}

/** Takes the packets out of a ring, oldest first. */
function drain(ring: PacketRing): Uint8Array[] {
  const packets = Array.from({ length: ring.count }, (_, i) =>
    ring.bytes.slice(ring.offsetOf(i), ring.offsetOf(i) + ring.lengthOf(i)),
  );
  ring.clear();
  return packets;
}

/** Echo replies that arrive until `n` are there. The kernel answers within the write itself. */
function replies(link: TunLink, ring: PacketRing, n: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let tries = 0; tries < 50 && found.length < n; tries++) {
    link.receive(ring);
    found.push(...drain(ring).filter((packet) => replySequence(packet) >= 0));
  }
  return found;
}

/** Waits until the kernel's own packets on a fresh device are over, so that it is idle. */
async function settle(link: TunLink): Promise<void> {
  const ring = new PacketRing(64, 2048);
  for (let quiet = 0; quiet < 2; quiet++) {
    await delay(50);
    if (link.receive(ring) > 0) quiet = -1;
    ring.clear();
  }
}

/** CPU time in ms that this process uses while `ms` pass with nothing to do. */
async function cpuWhile(ms: number): Promise<number> {
  const before = process.cpuUsage();
  await delay(ms);
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000;
}

if (inNamespace(t, import.meta.url, ['--expose-gc'])) {
  t.test(
    'a batch goes out in one call and its answers come in, in order, across the end of the ring',
    async (t) => {
      const link = up(t);
      const ring = new PacketRing(128, 2048);
      ring.head = 100;
      for (const size of [0, 1, 56, 1400]) {
        const tx = requests(7, 90, size);
        t.equal(link.transmit(tx), 90, `${size} bytes: all taken`);
        t.equal(tx.count, 0);
        const found = replies(link, ring, 90);
        ring.head = 100;
        t.equal(found.length, 90);
        t.ok(
          found.every((packet, i) => isReply(packet, 7 + i, size)),
          'each as the kernel must answer it',
        );
      }
      t.same(link.counters, { oversize: 0, refused: 0 });
    },
  );

  t.test('receive keeps what is in the ring and clears reasons', async (t) => {
    const link = up(t);
    await settle(link);
    const ring = new PacketRing(4, 2048);
    put(ring, Uint8Array.of(1, 2, 3));
    ring.reasons.fill(99);
    link.transmit(requests(1, 2, 8));
    t.equal(link.receive(ring), 2);
    t.equal(ring.count, 3);
    t.same([...ring.reasons], [99, 0, 0, 99]);
    const [kept, first, second] = drain(ring);
    t.same([...kept!], [1, 2, 3]);
    t.ok(isReply(first!, 1, 8) && isReply(second!, 2, 8));
    t.equal(link.receive(ring), 0, 'nothing waits: 0, not an error');
  });

  t.test('a full ring: the rest waits, the listener rests, nothing is lost', async (t) => {
    const link = up(t);
    await settle(link);
    const ring = new PacketRing(16, 2048);
    link.transmit(requests(1, 40, 8));
    let calls = 0;
    link.onReadable(() => {
      calls++;
      link.receive(ring);
    });
    const cpu = await cpuWhile(200);
    t.equal(ring.count, 16);
    t.ok(calls >= 1 && calls < 5, `called ${calls} times`);
    t.ok(cpu < 60, `${cpu.toFixed(1)} ms of CPU in 200 ms`);
    const found = drain(ring);
    while (link.receive(ring) > 0) found.push(...drain(ring));
    t.same(
      found.map(replySequence),
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    const before = calls;
    link.transmit(requests(100, 1, 8));
    await delay(30);
    t.ok(calls > before, 'awake again');
    t.equal(ring.count, 1);
  });

  t.test('a listener that does not receive is not called in a loop', async (t) => {
    const link = up(t);
    await settle(link);
    let calls = 0;
    link.onReadable(() => calls++);
    link.transmit(requests(1, 3, 8));
    const cpu = await cpuWhile(200);
    t.equal(calls, 1);
    t.ok(cpu < 60, `${cpu.toFixed(1)} ms of CPU in 200 ms`);
    const ring = new PacketRing(2, 2048);
    t.equal(link.receive(ring), 2);
    await delay(20);
    t.equal(calls, 2, 'one packet is still there: told again after receive');
  });

  t.test('an idle link uses no CPU', async (t) => {
    const link = up(t);
    const ring = new PacketRing(64, 2048);
    await settle(link);
    let calls = 0;
    link.onReadable(() => {
      calls++;
      link.receive(ring);
      ring.clear();
    });
    const cpu = await cpuWhile(300);
    t.ok(calls < 5, `called ${calls} times`);
    t.ok(cpu < 60, `${cpu.toFixed(1)} ms of CPU in 300 ms`);
    link.onReadable(null);
    link.transmit(requests(1, 1, 8));
    const before = calls;
    await delay(30);
    t.equal(calls, before, 'nobody listens any more');
  });

  t.test('packets that do not fit are counted and the next one comes through', async (t) => {
    const link = up(t);
    await settle(link);
    link.transmit(requests(1, 1, 1000));
    link.transmit(requests(2, 1, 472));
    const ring = new PacketRing(8, 500);
    const found = replies(link, ring, 1);
    t.equal(found.length, 1);
    t.ok(isReply(found[0]!, 2, 472), 'exactly one slot long still fits');
    t.equal(link.counters.oversize, 1);
    const tx = new PacketRing(8, 500);
    for (const length of [0, -5, 501, 2 ** 31 - 1]) tx.push(length, 0);
    put(tx, echoRequest(9, 8));
    t.equal(link.transmit(tx), 5, 'impossible lengths are dropped');
    t.equal(link.counters.oversize, 5);
    t.ok(isReply(replies(link, ring, 1)[0]!, 9, 8));
  });

  t.test('what the kernel refuses is lost and counted, never thrown', async (t) => {
    const link = up(t);
    await settle(link);
    const tx = new PacketRing(8, 500);
    put(tx, new Uint8Array(40));
    put(tx, Uint8Array.of(0xff));
    put(tx, echoRequest(3, 8));
    t.equal(link.transmit(tx), 3);
    t.equal(link.counters.refused, 2);
    t.ok(isReply(replies(link, new PacketRing(8, 500), 1)[0]!, 3, 8));
    ip(`link set ${link.name} down`);
    put(tx, echoRequest(4, 8));
    t.equal(link.transmit(tx), 1, 'an interface that is down is a cut wire');
    t.equal(link.counters.refused, 3);
  });

  t.test('closing: from the listener, twice, and what a closed link does', async (t) => {
    const link = up(t);
    await settle(link);
    const ring = new PacketRing(8, 2048);
    let calls = 0;
    link.onReadable(() => {
      calls++;
      link.close();
    });
    link.transmit(requests(1, 3, 8));
    await delay(30);
    t.equal(calls, 1);
    t.ok(link.closed);
    t.notOk(deviceExists(link.name), 'the device is gone at once');
    link.close();
    t.equal(link.receive(ring), 0);
    const tx = requests(1, 1, 8);
    t.equal(link.transmit(tx), 0);
    t.equal(tx.count, 1);
    link.onReadable(() => t.fail('closed'));
    link.ref();
    link.unref();
    t.same(link.counters, { oversize: 0, refused: 0 }, 'counters stay');
    const again = TunLink.open({ name: link.name });
    t.equal(again.name, link.name, 'the name is free again');
    again.close();
  });

  t.test('a listener that throws is an uncaught exception of the process, and is called again', async (t) => {
    const link = up(t);
    await settle(link);
    const ring = new PacketRing(8, 2048);
    let calls = 0;
    const caught: unknown[] = [];
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => caught.push(error));
    t.teardown(() => {
      process.removeAllListeners('uncaughtException');
      for (const listener of before) process.on('uncaughtException', listener);
    });
    link.onReadable(() => {
      calls++;
      link.receive(ring);
      throw new Error(`call ${calls}`);
    });
    for (let i = 0; i < 2; i++) {
      link.transmit(requests(i, 1, 8));
      await delay(30);
    }
    t.same(caught.map(String), ['Error: call 1', 'Error: call 2']);
  });

  t.test('a device that is taken away: told once, then ENODEV', async (t) => {
    const link = up(t);
    await settle(link);
    const ring = new PacketRing(8, 2048);
    const errors: unknown[] = [];
    link.onReadable(() => {
      try {
        link.receive(ring);
        ring.clear();
      } catch (error) {
        errors.push(error);
      }
    });
    ip(`link del ${link.name}`);
    const cpu = await cpuWhile(200);
    t.match(errors, [
      { code: 'ENODEV', syscall: 'read', errno: -19, message: `read ENODEV: no such device, ${link.name}` },
    ]);
    t.equal(errors.length, 1);
    t.ok(cpu < 60, `${cpu.toFixed(1)} ms of CPU in 200 ms`);
    t.throws(() => link.transmit(requests(1, 1, 8)), { code: 'ENODEV', syscall: 'write' });
    link.close();
  });

  t.test('busy names, several queues of one name', async (t) => {
    const link = TunLink.open({ name: 'twbusy' });
    t.throws(() => TunLink.open({ name: 'twbusy' }), {
      code: 'EBUSY',
      syscall: 'ioctl',
      errno: -16,
      message: /, twbusy$/,
    });
    link.close();
    const first = up(t, { name: 'twmany', multiQueue: true });
    const second = TunLink.open({ name: 'twmany', multiQueue: true });
    t.teardown(() => {
      second.close();
    });
    t.equal(second.name, 'twmany');
    second.transmit(requests(5, 1, 8));
    const ring = new PacketRing(64, 2048);
    const found = [...replies(first, ring, 1), ...replies(second, ring, 1)];
    t.same(found.map(replySequence), [5], 'the answer comes on one of the queues');
    first.close();
    t.ok(deviceExists('twmany'), 'it lives as long as a queue');
    second.close();
    t.notOk(deviceExists('twmany'));
  });

  t.test(
    'an abandoned link is closed by the garbage collector, one that is listened to is not',
    async (t) => {
      const listened = TunLink.open({ name: 'twkeep' });
      listened.onReadable(() => undefined);
      t.teardown(() => {
        listened.close();
      });
      (() => TunLink.open({ name: 'twlost' }))();
      for (let i = 0; i < 20 && deviceExists('twlost'); i++) {
        globalThis.gc!();
        await delay(10);
      }
      t.notOk(deviceExists('twlost'));
      t.ok(deviceExists('twkeep'));
    },
  );

  t.test('the event loop: a link that is listened to keeps it alive, unless unref', async (t) => {
    const script = `
      const { TunLink } = await import(${JSON.stringify(new URL('../../src/link/tun.js', import.meta.url).href)});
      const link = TunLink.open({ name: process.argv[1] });
      link.onReadable(() => {});
      if (process.argv[2] !== 'ref') link.unref();
      if (process.argv[2] === 'both') link.ref();
      process.stdout.write('open');
    `;
    const start = async (name: string, mode: string) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, name, mode], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      return child;
    };
    const [held, unheld, both] = await Promise.all([
      start('twref', 'ref'),
      start('twunref', 'unref'),
      start('twboth', 'both'),
    ]);
    if (unheld.exitCode === null) await once(unheld, 'exit');
    t.equal(unheld.exitCode, 0, 'unref: it ends by itself');
    await delay(100);
    t.equal(held.exitCode, null, 'ref: it stays');
    t.equal(both.exitCode, null, 'ref after unref: it stays');
    held.kill();
    both.kill();
    await Promise.all([held, both].map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
    t.notOk(['twref', 'twunref', 'twboth'].some(deviceExists), 'devices end with their process');
  });
}
