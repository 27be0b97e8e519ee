/** The driver: coalescing, busy and failing links, exceptions of users, closing, fairness. */
import { once } from 'node:events';
import { setImmediate as pass, setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Link } from '../../src/link/link.js';
import type { PacketRing } from '../../src/wire/ring.js';
import {
  closed,
  collect,
  connected,
  digest,
  failure,
  listen,
  pair,
  pattern,
  SERVER,
  virtualPair,
} from './helpers.js';

/** A link around a link. */
class Wrapped implements Link {
  readonly name = 'wrapped';
  readonly mtu: number;
  sent = 0;
  constructor(protected readonly inner: Link) {
    this.mtu = inner.mtu;
  }
  receive(ring: PacketRing): number {
    return this.inner.receive(ring);
  }
  settle(ring: PacketRing): void {
    this.inner.settle(ring);
  }
  transmit(ring: PacketRing): number {
    const sent = this.inner.transmit(ring);
    this.sent += sent;
    return sent;
  }
  onReadable(listener: (() => void) | null): void {
    this.inner.onReadable(listener);
  }
  ref(): void {}
  unref(): void {}
  close(): void {
    this.inner.close();
  }
}

/** Takes a few packets of a ring at a time, often none. */
class Reluctant extends Wrapped {
  calls = 0;
  override transmit(ring: PacketRing): number {
    this.calls++;
    if (this.calls % 3 !== 0) return 0;
    const few: PacketRing = Object.create(ring) as PacketRing;
    const count = Math.min(ring.count, 5);
    few.count = count;
    few.head = ring.head;
    few.drop = (): void => {};
    this.inner.transmit(few);
    ring.drop(count);
    this.sent += count;
    return count;
  }
}

/** Has packets at once, and says so once. */
class Burst extends Wrapped {
  left = 0;
  private listener: (() => void) | null = null;
  override onReadable(listener: (() => void) | null): void {
    this.listener = listener;
  }
  override receive(ring: PacketRing): number {
    const count = Math.min(ring.free, this.left);
    for (let i = 0; i < count; i++) {
      ring.bytes.fill(0, ring.tailOffset(), ring.tailOffset() + 20);
      ring.push(20, 0);
    }
    this.left -= count;
    return count;
  }
  raise(count: number): void {
    this.left = count;
    this.listener?.();
  }
}

/** Fails when told. */
class Failing extends Wrapped {
  broken = false;
  override receive(ring: PacketRing): number {
    if (this.broken) throw Object.assign(new Error('read EIO'), { code: 'EIO' });
    return super.receive(ring);
  }
}

void t.test('several writes of one pass share segments', async (t) => {
  let link: Wrapped | null = null;
  const networks = pair({ wrap: (inner) => (link = new Wrapped(inner)) });
  const { near, far } = await connected(networks, { client: { noDelay: true } });
  await sleep(20);
  const before = link!.sent;
  for (let i = 0; i < 100; i++) near.write('x');
  let received = 0;
  far.on('data', (chunk: Buffer) => (received += chunk.length));
  while (received < 100) await pass();
  t.ok(link!.sent - before <= 2, `100 writes left in ${link!.sent - before} packets`);
  networks.close();
});

void t.test('a busy link loses nothing and delays nobody for long', async (t) => {
  let link: Reluctant | null = null;
  const networks = pair({ wrap: (inner) => (link = new Reluctant(inner)) });
  const { near, far } = await connected(networks);
  const data = pattern(1_000_000, 23);
  near.end(data);
  const got = await collect(far);
  t.equal(digest(got), digest(data));
  t.ok(link!.calls > 2 * (link!.sent / 5), 'it was busy most of the time');
  t.equal(networks.client.stack.counters.get('TcpRetransSegs'), 0, 'nothing had to be sent twice');
  networks.close();
});

void t.test('a link that fails ends the network, the sockets with its error', async (t) => {
  let link: Failing | null = null;
  const networks = pair({ wrap: (inner) => (link = new Failing(inner)) });
  const { near, far } = await connected(networks);
  const failed = failure(near);
  const reported = once(networks.client, 'error') as Promise<[NodeJS.ErrnoException]>;
  link!.broken = true;
  far.write('this raises the interrupt');
  t.equal((await failed).code, 'EIO');
  t.equal((await reported)[0].code, 'EIO');
  t.equal(networks.client.driver.closed, true);
  const after = networks.client.connect(1, SERVER);
  t.equal((await failure(after)).code, 'ENETUNREACH');
  networks.close();
});

void t.test("an exception in a user's listener is his, the driver goes on", async (t) => {
  const networks = pair();
  const { near, far } = await connected(networks);
  far.once('data', () => {
    throw new Error('mine');
  });
  const caught = new Promise<Error>((resolve) => {
    process.setUncaughtExceptionCaptureCallback((error) => {
      process.setUncaughtExceptionCaptureCallback(null);
      resolve(error);
    });
  });
  near.write('one');
  t.equal((await caught).message, 'mine');
  far.removeAllListeners('data');
  near.end(' two');
  const rest = await collect(far);
  t.match(rest.toString(), / two$/);
  networks.close();
});

void t.test('an exception leaves the events of other sockets for the next turn', async (t) => {
  const networks = pair();
  const one = await connected(networks);
  const two = await connected(networks);
  const seen: string[] = [];
  const caught = new Promise<Error>((resolve) => {
    process.setUncaughtExceptionCaptureCallback((error) => {
      process.setUncaughtExceptionCaptureCallback(null);
      resolve(error);
    });
  });
  for (const [name, { far }] of Object.entries({ one, two })) {
    far.on('data', () => {
      seen.push(name);
      // Whichever comes first.
      if (seen.length === 1) throw new Error('mine');
    });
  }
  // Both leave in one turn, so both arrive in one.
  one.near.write('x');
  two.near.write('x');
  t.equal((await caught).message, 'mine');
  for (let i = 0; i < 5; i++) await pass();
  t.same(seen.sort(), ['one', 'two']);
  networks.close();
});

void t.test('close() resets what is open and tells everybody', async (t) => {
  const networks = pair();
  const { near, far, server } = await connected(networks);
  const nearClosed = closed(near);
  const serverClosed = once(server, 'close');
  const farError = failure(far);
  const networkClosed = once(networks.client, 'close');
  networks.client.close();
  networks.client.close();
  t.equal(await nearClosed, false);
  await networkClosed;
  t.equal((await farError).code, 'ECONNRESET', 'the peer was told');
  networks.server.close();
  await serverClosed;
});

void t.test('a flood of packets leaves the event loop its share', async (t) => {
  const networks = pair();
  const { near, far } = await connected(networks);
  far.resume();
  const piece = pattern(65_536, 29);
  let on = true;
  const flood = (async () => {
    while (on) if (!near.write(piece)) await once(near, 'drain');
  })();
  let worst = 0;
  for (let i = 0; i < 30; i++) {
    const before = performance.now();
    await sleep(1);
    worst = Math.max(worst, performance.now() - before);
  }
  on = false;
  t.ok(worst < 500, `a timer of 1 ms came after ${worst.toFixed(1)} ms at worst`);
  near.destroy();
  await Promise.race([flood, sleep(50)]);
  networks.close();
});

void t.test('one call of the link is enough, however many packets wait', async (t) => {
  let link: Burst | null = null;
  const networks = pair({ wrap: (inner) => (link = new Burst(inner)) });
  link!.raise(10_000);
  for (let passes = 0; passes < 100; passes++) await pass();
  t.equal(networks.client.stack.counters.get('IpInReceives'), 10_000);
  networks.close();
});

void t.test('in manual mode nothing moves but by turn()', async (t) => {
  const networks = virtualPair();
  const server = networks.server.createServer();
  server.listen(7);
  await pass();
  const near = networks.client.connect(7, SERVER);
  await sleep(20);
  t.equal(near.connecting, true);
  await networks.time.settle();
  t.equal(near.connecting, false);
  t.equal(near.remotePort, 7);
  networks.close();
});

void t.test('inactivity timers run on virtual time and start again with activity', async (t) => {
  const networks = virtualPair();
  const { near, far } = await networks.time.until(connected(networks));
  let fired = 0;
  near.setTimeout(10_000, () => fired++);
  near.on('timeout', () => fired++);
  await networks.time.sleep(9_999);
  t.equal(fired, 0);
  far.write('awake');
  near.resume();
  await networks.time.sleep(9_999);
  t.equal(fired, 0, 'the data started it again');
  await networks.time.sleep(2);
  t.equal(fired, 2);
  await networks.time.sleep(60_000);
  t.equal(fired, 2, 'once per silence');
  near.write('again');
  await networks.time.sleep(10_001);
  t.equal(fired, 3, 'activity arms it again, the listener of setTimeout was for once');
  networks.close();
});

void t.test('a day of inactivity timeouts longer than a timer can be', async (t) => {
  const networks = virtualPair();
  const { near } = await networks.time.until(connected(networks));
  let fired = 0;
  const days = 24 * 3_600_000;
  near.setTimeout(20 * days, () => fired++);
  await networks.time.sleep(19 * days);
  t.equal(fired, 0);
  await networks.time.sleep(1 * days + 1);
  t.equal(fired, 1);
  networks.close();
});

void t.test('listening twice for a name that is looked up, and closing in between', async (t) => {
  const networks = pair();
  const server = networks.server.createServer();
  server.listen(0, 'localhost');
  t.throws(() => server.listen(0), { code: 'ERR_SERVER_ALREADY_LISTEN' });
  server.close();
  t.equal(await listen(server), server.address()!.port);
  networks.close();
});
