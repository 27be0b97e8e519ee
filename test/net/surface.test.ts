/** What is ours alone, or differs from node:net on purpose. The rest is compared in like-node.test.ts. */
import { once } from 'node:events';
import { setImmediate as pass } from 'node:timers/promises';
import t from 'tap';
import { FaultsLink } from '../../src/link/faults.js';
import { connectException, listenException } from '../../src/net/errors.js';
import type { Socket } from '../../src/net/socket.js';
import { Stack } from '../../src/stack/stack.js';
import {
  closed,
  collect,
  connected,
  failure,
  listen,
  pair,
  virtualPair,
  CLIENT,
  SERVER,
  SERVER6,
} from './helpers.js';

void t.test('the network stands in for the module', async (t) => {
  const networks = pair();
  const { Socket, Server, connect, createServer, isIP } = networks.client;
  t.same([isIP('::1'), isIP('1.2.3.4'), isIP('x')], [6, 4, 0]);
  const call = Socket as unknown as (options?: object) => Socket;
  t.ok(call() instanceof Socket, 'Socket() without new');
  t.ok((Server as unknown as () => object)() instanceof Server);
  t.equal(Socket.name, 'Socket');
  const server = networks.server.createServer();
  const port = await listen(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect(port, SERVER);
  const [far] = await accepted;
  t.ok(near instanceof Socket);
  t.ok(far instanceof networks.server.Socket);
  t.notOk(far instanceof Socket, 'another network has other sockets');
  t.equal(far.server, server);
  t.ok(createServer() instanceof Server);
  networks.close();
});

void t.test('a stack made elsewhere is driven as well', async (t) => {
  const networks = virtualPair();
  const stack = new Stack({
    seed: new Uint8Array(32),
    addresses: ['192.0.2.1/24'],
    mtu: 1500,
    now: networks.clock.now(),
  });
  const { Network } = await import('../../src/net/network.js');
  const { memoryLink } = await import('../../src/link/memory.js');
  const network = new Network({
    stack,
    link: memoryLink()[0],
    clock: networks.clock,
    manual: true,
    knobs: { 'net.ipv4.tcp_sack': 0 },
  });
  t.equal(network.stack, stack);
  t.equal(stack.knob('net.ipv4.tcp_sack'), 0);
  t.throws(() => new Network({ stack: { addresses: ['nonsense'] }, link: memoryLink()[0] }), RangeError);
  network.close();
  networks.close();
});

void t.test('addresses and ports of both ends, over both versions', async (t) => {
  const networks = pair();
  const server = networks.server.createServer();
  const port = await listen(server);
  for (const [host, family] of [
    [SERVER, 'IPv4'],
    [SERVER6, 'IPv6'],
  ] as const) {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const near = networks.client.connect(port, host);
    t.same(near.address(), {});
    t.equal(near.remoteAddress, undefined, 'nothing before the connection stands');
    const [far] = await accepted;
    await pass();
    t.same([near.remoteAddress, near.remotePort, near.remoteFamily], [host, port, family]);
    t.same([far.localAddress, far.localPort, far.localFamily], [host, port, family]);
    t.same(far.address(), { address: host, family, port });
    t.same([far.remoteAddress, far.remotePort], [near.localAddress, near.localPort]);
    near.destroy();
    far.destroy();
    await closed(far);
    t.equal(far.remotePort, near.localPort, 'remembered after the end');
  }
  networks.close();
});

void t.test('error texts', (t) => {
  t.match(connectException('ECONNREFUSED', 'connect', '::1', 80), {
    message: 'connect ECONNREFUSED ::1:80',
    errno: -111,
  });
  t.match(connectException('EADDRINUSE', 'bind', '10.0.0.1', 0), {
    message: 'bind EADDRINUSE 10.0.0.1',
    port: undefined,
  });
  t.match(listenException('EADDRINUSE', '::', 3000), {
    message: 'listen EADDRINUSE: address already in use :::3000',
    syscall: 'listen',
  });
  t.end();
});

void t.test('hosts and networks that cannot be reached', async (t) => {
  const networks = pair({ client: { stack: { addresses: [`${CLIENT}/24`], mtu: 1500 } } });
  const six = await failure(networks.client.connect(80, SERVER6));
  t.match(six, {
    code: 'ENETUNREACH',
    syscall: 'connect',
    address: SERVER6,
    port: 80,
    message: `connect ENETUNREACH ${SERVER6}:80`,
  });
  const foreign = await failure(
    networks.client.connect({ host: SERVER, port: 80, localAddress: '198.51.100.1' }),
  );
  t.match(foreign, { code: 'EADDRNOTAVAIL', address: SERVER, localAddress: '198.51.100.1' });
  networks.close();
});

void t.test('a local port that is taken is an error of bind', async (t) => {
  const networks = pair();
  const server = networks.server.createServer();
  const port = await listen(server);
  const first = networks.client.connect({ host: SERVER, port, localPort: 5000 });
  await once(first, 'connect');
  t.equal(first.localPort, 5000);
  const second = await failure(
    networks.client.connect({ host: SERVER, port, localPort: 5000, localAddress: CLIENT }),
  );
  t.match(second, {
    code: 'EADDRINUSE',
    syscall: 'bind',
    address: CLIENT,
    port: 5000,
    message: `bind EADDRINUSE ${CLIENT}:5000`,
  });
  networks.close();
});

void t.test('connect on a socket that is connecting, or connected', async (t) => {
  const networks = pair();
  const server = networks.server.createServer();
  const port = await listen(server);
  const twice = networks.client.connect(port, SERVER);
  const already = failure(twice);
  twice.connect(port, SERVER);
  t.equal((await already).code, 'EALREADY');
  const { near } = await connected(networks);
  const connectedAlready = failure(near);
  near.connect(port, SERVER);
  t.equal((await connectedAlready).code, 'EISCONN');
  networks.close();
});

void t.test('a signal that was aborted before: an error, and no connection', async (t) => {
  const networks = pair();
  const server = networks.server.createServer(() => t.fail('connected all the same'));
  const port = await listen(server);
  const near = networks.client.connect({ host: SERVER, port, signal: AbortSignal.abort() });
  t.match(await failure(near), { code: 'ABORT_ERR', name: 'AbortError' });
  for (let i = 0; i < 10; i++) await pass();
  networks.close();
});

void t.test('a name with several addresses: the next is tried when one does not answer', async (t) => {
  const networks = pair();
  const server = networks.server.createServer((socket) => socket.end());
  const port = await listen(server, 0, SERVER6);
  const near = networks.client.connect({
    host: 'many.example',
    port,
    lookup: (_name, _options, callback) => {
      callback(null, [{ address: '198.51.100.300', family: 4 }]);
    },
  });
  t.equal((await failure(near)).code, 'ERR_INVALID_IP_ADDRESS');
  const addresses = [
    { address: SERVER, family: 4 },
    { address: SERVER6, family: 6 },
  ];
  const second = networks.client.connect({
    host: 'many.example',
    port,
    lookup: (_name, _options, callback) => callback(null, addresses),
  });
  await once(second, 'connect');
  t.equal(second.remoteAddress, SERVER6, 'the first refused');
  second.resume();
  await closed(second);
  networks.close();
});

void t.test('a lookup that answers twice, or after the end, is not heard', async (t) => {
  const networks = pair();
  const server = networks.server.createServer((socket) => socket.end('once'));
  const port = await listen(server);
  const near = networks.client.connect({
    host: 'x',
    port,
    lookup: (_name, _options, callback) => {
      callback(null, SERVER, 4);
      callback(null, SERVER, 4);
    },
  });
  t.equal((await collect(near)).toString(), 'once');
  let answer: () => void = () => {};
  const late = networks.client.connect({
    host: 'x',
    port,
    lookup: (_name, _options, callback) => (answer = () => callback(null, SERVER, 4)),
  });
  late.on('lookup', () => t.fail('heard'));
  late.destroy();
  await closed(late);
  answer();
  for (let i = 0; i < 5; i++) await pass();
  networks.close();
});

void t.test('localhost is looked up like any name', async (t) => {
  const networks = pair();
  const near = networks.client.connect(80);
  const failed = once(near, 'error') as Promise<[NodeJS.ErrnoException]>;
  const [error, address, , host] = (await once(near, 'lookup')) as [Error | null, string, number, string];
  t.equal(error, null);
  t.match(address, /^(127\.0\.0\.1|::1)$/);
  t.equal(host, 'localhost');
  t.equal((await failed)[0].code, 'ENETUNREACH', 'this stack has no loopback, and says so at once');
  networks.close();
});

void t.test('onread with a function for the buffers', async (t) => {
  const networks = pair();
  const server = networks.server.createServer((socket) => socket.end('abcdefghij'));
  const port = await listen(server);
  const sizes = [3, 1, 100];
  const pieces: string[] = [];
  const near = networks.client.connect({
    host: SERVER,
    port,
    onread: {
      buffer: () => Buffer.alloc(sizes.shift()!),
      callback: (bytes, buffer) => {
        pieces.push(Buffer.from(buffer.subarray(0, bytes)).toString());
        return true;
      },
    },
  });
  await closed(near);
  t.same(pieces, ['abc', 'd', 'efghij']);
  t.equal(near.bytesRead, 10);
  networks.close();
});

void t.test('options set before the connection hold from the first packet on', async (t) => {
  const tos: number[] = [];
  const networks = pair({
    wrap: (link, clock) => {
      const wire = new FaultsLink(link, clock);
      wire.hold((bytes, offset, _length, direction) => {
        if (direction === 'out') tos.push(bytes[offset + 1]!);
        return false;
      });
      return wire;
    },
  });
  const server = networks.server.createServer((socket) => socket.end());
  const port = await listen(server);
  const near = new networks.client.Socket({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 5_000 });
  near.setTypeOfService(0x10).connect(port, SERVER);
  near.resume();
  await closed(near);
  t.equal(near.getTypeOfService(), 0x10);
  t.ok(tos.length > 2);
  t.same([...new Set(tos)], [0x10]);
  t.throws(() => near.setTypeOfService(256), { code: 'ERR_OUT_OF_RANGE' });
  networks.close();
});

void t.test('Nagle: on by default, off with setNoDelay', async (t) => {
  for (const [noDelay, expected] of [
    [false, 1],
    [true, 2],
  ] as const) {
    const networks = virtualPair();
    const { near, far } = await networks.time.until(connected(networks));
    near.setNoDelay(noDelay);
    let pieces = 0;
    // The first segment may raise the window, which is acknowledged at once.
    far.resume();
    near.write('zeroth');
    await networks.time.sleep(1_000);
    far.on('data', () => pieces++);
    near.write('first');
    await networks.time.settle();
    near.write('second');
    await networks.time.settle();
    t.equal(pieces, expected, `noDelay ${noDelay}: ${expected} pieces before the delayed ACK`);
    networks.close();
  }
});

void t.test('a reset fails the write under way even while unread data keeps the reader busy', async (t) => {
  const networks = virtualPair();
  const { time } = networks;
  const { near, far } = await time.until(connected(networks));
  near.pause();
  far.pause();
  far.write(Buffer.alloc(100_000));
  const written = new Promise<unknown>((resolve) => near.write(Buffer.alloc(4_000_000), resolve));
  const failed = failure(near);
  await time.sleep(1_000);
  far.resetAndDestroy();
  t.match(await time.until(written), { code: 'ECONNRESET', syscall: 'write', message: 'write ECONNRESET' });
  t.match(await failed, { code: 'ECONNRESET' });
  networks.close();
});

void t.test('a name to listen on', async (t) => {
  const networks = pair();
  const server = networks.server.createServer();
  server.listen(0, 'localhost');
  const [error] = (await once(server, 'error')) as [NodeJS.ErrnoException];
  t.equal(error.code, 'EADDRNOTAVAIL', 'the loopback is no address of this stack');
  t.equal(server.listening, false);
  networks.close();
});

void t.test('await using closes servers and networks', async (t) => {
  const networks = pair();
  await networks.client[Symbol.asyncDispose]();
  t.equal(networks.client.driver.closed, true);
  const server = networks.server.createServer();
  await server[Symbol.asyncDispose]();
  networks.close();
});

void t.test('a server whose listeners come late still has its connections', async (t) => {
  const networks = pair();
  const server = networks.server.createServer();
  const port = await listen(server);
  const near: Socket[] = [];
  for (let i = 0; i < 20; i++) near.push(networks.client.connect(port, SERVER));
  let count = 0;
  server.on('connection', () => count++);
  await Promise.all(near.map((socket) => once(socket, 'connect')));
  while (count < 20) await pass();
  t.equal(count, 20);
  networks.close();
});
