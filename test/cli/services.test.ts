/** The small services, asked by sockets under virtual time. */
import { once } from 'node:events';
import t from 'tap';
import { startServices, type ServiceCounts } from '../../src/cli/services.js';
import type { ServiceOptions } from '../../src/cli/options.js';
import type { Socket } from '../../src/net/socket.js';
import { SERVER, closed, collect, digest, failure, pattern, virtualPair } from '../net/helpers.js';

const PORTS = { echo: 7, discard: 9, chargen: 19 };

interface Asked {
  readonly counts: ServiceCounts;
  readonly networks: ReturnType<typeof virtualPair>;
  /** A connection to a port. */
  connect(port: number): Promise<Socket>;
  until<T>(promise: Promise<T>): Promise<T>;
}

async function served(options: ServiceOptions = {}, server = {}): Promise<Asked> {
  const networks = virtualPair({ server });
  const counts = await startServices(networks.server, { ...PORTS, ...options });
  const until = <T>(promise: Promise<T>): Promise<T> => networks.time.until(promise);
  const connect = async (port: number): Promise<Socket> => {
    const socket = networks.client.connect({ host: SERVER, port, allowHalfOpen: true });
    await until(once(socket, 'connect'));
    return socket;
  };
  return { counts, networks, connect, until };
}

for (const policy of ['rfc9293', 'linux'])
  t.test(`${policy}: echo sends back every byte and ends behind the last`, async (t) => {
    const { connect, until, counts, networks } = await served({}, { policy });
    const socket = await connect(7);
    const data = pattern(3_000_000, 3);
    const back = collect(socket);
    socket.end(data);
    t.equal(digest(await until(back)), digest(data));
    t.strictSame(counts, { connections: 1, bytesIn: data.length, bytesOut: data.length, errors: {} });
    t.equal(networks.server.stack.orphans, 0);
    networks.close();
  });

t.test('echo reads no faster than the peer does', async (t) => {
  const { connect, until, counts, networks } = await served();
  const socket = await connect(7);
  const data = pattern(20_000_000, 5);
  socket.pause();
  socket.end(data);
  await networks.time.sleep(10_000);
  t.ok(counts.bytesIn < data.length / 2, `${counts.bytesIn} bytes`);
  t.equal(digest(await until(collect(socket))), digest(data));
  networks.close();
});

t.test('discard takes everything and ends when the peer does', async (t) => {
  const { connect, until, counts, networks } = await served();
  const socket = await connect(9);
  const back = collect(socket);
  socket.end(pattern(1_000_000));
  t.equal((await until(back)).length, 0);
  t.strictSame(counts, { connections: 1, bytesIn: 1_000_000, bytesOut: 0, errors: {} });
  networks.close();
});

t.test('chargen sends lines for as long as the peer reads', async (t) => {
  const { connect, until, counts, networks } = await served();
  const socket = await connect(19);
  let text = '';
  socket.on('data', (bytes: Buffer) => {
    if (text.length > 1_000_000) socket.destroy();
    else text += bytes.toString('latin1');
  });
  await until(closed(socket));
  const lines = text.split('\r\n');
  t.match(lines[0], /^!"#.*gh$/);
  t.equal(lines[0]!.length, 72);
  t.ok(lines.slice(0, -1).every((line) => line === lines[0]));
  await networks.time.sleep(1000);
  t.strictSame(networks.server.stack.stateCounts()['CLOSE-WAIT'] ?? 0, 0);
  t.ok(counts.bytesOut >= text.length);
  networks.close();
});

t.test('--close-first: each service ends before its client does', async (t) => {
  const { connect, until, counts, networks } = await served({ closeFirst: true });
  for (const [port, answer] of [
    [7, 'abc'],
    [9, ''],
    [19, null],
  ] as const) {
    const socket = await connect(port);
    socket.write('abc');
    const back = await until(collect(socket));
    if (answer === null) t.equal(back.length, 64 * 74);
    else t.equal(back.toString(), answer);
    // What comes later is taken, and nothing more is said
    socket.end(pattern(100_000));
    await until(closed(socket));
  }
  t.strictSame(counts.errors, {});
  t.equal(counts.bytesIn, 3 * 100_003);
  t.equal(networks.server.stack.stateCounts()['TIME-WAIT'], 3);
  networks.close();
});

t.test('a client that only ends is answered by the end', async (t) => {
  for (const closeFirst of [false, true]) {
    const { connect, until, networks } = await served({ closeFirst });
    for (const port of [7, 9]) {
      const socket = await connect(port);
      socket.resume().end();
      await until(closed(socket));
    }
    t.strictSame(networks.server.stack.stateCounts()['ESTABLISHED'] ?? 0, 0);
    networks.close();
  }
});

t.test('resets are counted by their error', async (t) => {
  const { connect, counts, networks } = await served();
  const socket = await connect(9);
  socket.write('abc');
  await networks.time.settle();
  socket.resetAndDestroy();
  await networks.time.settle();
  t.strictSame(counts, { connections: 1, bytesIn: 3, bytesOut: 0, errors: { ECONNRESET: 1 } });
  networks.close();
});

t.test('a stack that ends resets its services\u2019 connections', async (t) => {
  const { connect, until, networks } = await served();
  const socket = await connect(7);
  const failed = failure(socket);
  socket.on('close', () => undefined);
  networks.server.close();
  t.match(await until(failed), { code: 'ECONNRESET' });
  networks.close();
});

t.test('a port that is taken is said', async (t) => {
  const networks = virtualPair();
  await startServices(networks.server, { echo: 7 });
  await t.rejects(startServices(networks.server, { discard: 7 }), {
    code: 'EADDRINUSE',
    message: 'listen EADDRINUSE: address already in use :::7',
  });
  networks.close();
});
