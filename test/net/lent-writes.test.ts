/** Long writes are lent to the engine: what the program may rely on is as if they were copied. */
import { once } from 'node:events';
import t from 'tap';
import { FaultsLink } from '../../src/link/faults.js';
import type { Socket } from '../../src/net/socket.js';
import { closed, collect, connected, digest, pattern, virtualPair } from './helpers.js';

const CHUNK = 65_536;

/** Writes `data` from `count` buffers that are used again and again, each as soon as its write was called back. */
async function writeReusing(socket: Socket, data: Buffer, count: number): Promise<void> {
  const free = Array.from({ length: count }, () => Buffer.alloc(CHUNK));
  let wake: (() => void) | null = null;
  for (let at = 0; at < data.length; at += CHUNK) {
    while (free.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const buffer = free.pop()!;
    const bytes = data.copy(buffer, 0, at, at + CHUNK);
    socket.write(buffer.subarray(0, bytes), () => {
      buffer.fill(0xee);
      free.push(buffer);
      wake?.();
    });
  }
}

for (const policy of ['rfc9293', 'linux'])
  for (const loss of [0, 0.03])
    t.test(
      `${policy}, loss ${loss}: a buffer may be used again once its write was called back`,
      async (t) => {
        const networks = virtualPair({
          client: { policy },
          wrap: (link, clock) => new FaultsLink(link, clock, { seed: 11, loss, delay: 5 }),
        });
        const { near, far } = await networks.time.until(connected(networks));
        const data = pattern(3_000_000, 13);
        const received = collect(far);
        const written = writeReusing(near, data, 5).then(() => near.end());
        const [bytes] = await networks.time.until(Promise.all([received, written]));
        t.equal(digest(bytes), digest(data));
        t.equal(near.bytesWritten, data.length);
        networks.close();
      },
    );

t.test('of what the peer acknowledges within the turn nothing is copied', async (t) => {
  const networks = virtualPair();
  const { near, far } = await networks.time.until(connected(networks));
  far.resume();
  let copied = 0;
  const { stack } = networks.client;
  const own = stack.own.bind(stack);
  stack.own = (connection) => {
    copied += connection.queued;
    own(connection);
  };
  const page = Buffer.alloc(CHUNK, 1);
  let rounds = 0;
  const fill = (): void => {
    while (rounds < 40 && near.write(page));
    if (rounds++ < 40) near.once('drain', fill);
  };
  fill();
  await networks.time.sleep(5000);
  t.ok(near.bytesWritten > 20 * CHUNK);
  t.ok(copied < near.bytesWritten / 4, `${copied} of ${near.bytesWritten} bytes were copied`);
  networks.close();
});

t.test(
  'on a long path a write is called back when all of it was sent, and does not wait for the acknowledgment',
  async (t) => {
    const networks = virtualPair({ wrap: (link, clock) => new FaultsLink(link, clock, { delay: 500 }) });
    const { near, far } = await networks.time.until(connected(networks));
    far.resume();
    let underWay = 0;
    near.cork();
    for (let i = 0; i < 3; i++) near.write(Buffer.alloc(CHUNK), () => (underWay = near.tcpInfo()!.unacked));
    near.uncork();
    await networks.time.until(once(near, 'drain'));
    t.ok(underWay > 10, `${underWay} segments`);
    networks.close();
  },
);

t.test('a peer that does not read stops the program, whose write waits', async (t) => {
  const networks = virtualPair();
  const { near, far } = await networks.time.until(connected(networks));
  far.pause();
  let calls = 0;
  let writes = 0;
  const page = Buffer.alloc(CHUNK);
  const fill = (): void => {
    do writes++;
    while (near.write(page, () => calls++));
  };
  near.on('drain', fill);
  fill();
  await networks.time.sleep(60_000);
  near.off('drain', fill);
  const before = calls;
  await networks.time.sleep(60_000);
  t.equal(calls, before, 'nothing moves');
  t.ok(writes - calls > 1, 'some wait');
  t.ok(near.writableNeedDrain);
  t.ok(near.writableLength <= near.writableHighWaterMark + CHUNK);
  far.resume();
  await networks.time.sleep(1000);
  t.equal(calls, writes, 'they go on with the reader');
  networks.close();
});

t.test('what was written goes out before destroy() and before a reset', async (t) => {
  for (const how of ['destroy', 'resetAndDestroy'] as const) {
    const networks = virtualPair();
    const { near, far } = await networks.time.until(connected(networks));
    const chunks: Buffer[] = [];
    far.on('data', (chunk: Buffer) => chunks.push(chunk));
    const data = pattern(13_000, 17);
    near.write(data.subarray(0, 1000));
    // Long enough to wait for the end of the pass
    near.write(Buffer.concat([data.subarray(1000), Buffer.alloc(8000)]));
    near[how]();
    await networks.time.until(closed(far));
    t.equal(digest(Buffer.concat(chunks).subarray(0, 13_000)), digest(data), how);
    networks.close();
  }
});

t.test('the end goes with the last segment of a long write', async (t) => {
  const networks = virtualPair();
  const { near, far } = await networks.time.until(connected(networks));
  const data = pattern(200_000, 19);
  const received = collect(far);
  const sent = networks.client.stack.counters.get('TcpOutSegs');
  near.cork();
  near.write(data.subarray(0, 100_000));
  near.write(data.subarray(100_000));
  near.end();
  t.equal(digest(await networks.time.until(received)), digest(data));
  await networks.time.until(closed(near));
  const segments = Math.ceil(data.length / 1448);
  t.equal(networks.client.stack.counters.get('TcpOutSegs') - sent, segments + 1, 'and one ACK of the FIN');
  networks.close();
});

t.test('with a bound of the user\u2019s own the stream keeps to it', async (t) => {
  const networks = virtualPair();
  const { near, far } = await networks.time.until(connected(networks, { client: { highWaterMark: 20_000 } }));
  far.resume();
  for (let i = 0; i < 10; i++) {
    while (near.write(Buffer.alloc(16_384)));
    t.ok(near.writableLength < 20_000 + 16_384);
    await networks.time.until(once(near, 'drain'));
  }
  t.equal(near.writableHighWaterMark, 20_000);
  networks.close();
});
