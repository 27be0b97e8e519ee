/** TCP options through the sockets: what is checked, what reaches the engine, and what it does on the wire. */
import { once } from 'node:events';
import t from 'tap';
import { FaultsLink } from '../../src/link/faults.js';
import type { Socket } from '../../src/net/socket.js';
import type { ConnectOptions } from '../../src/net/socket-options.js';
import type { Link } from '../../src/link/link.js';
import type { Clock } from '../../src/time/clock.js';
import { SERVER, closed, collect, failure, listen, virtualPair } from './helpers.js';

void t.test('a bad value is one clear line, wherever it is given', (t) => {
  const { client, server, close } = virtualPair();
  const line = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`;
    }
    return '';
  };
  t.equal(
    line(() => new client.Socket({ userTimeout: -1 })),
    'ERR_OUT_OF_RANGE: The value of "options.userTimeout" is out of range. It must be an integer >= 0 && <= 2147483647. Received -1',
  );
  t.equal(
    line(() => client.connect({ port: 1, host: SERVER, maxSegment: 50 })),
    'ERR_OUT_OF_RANGE: The value of "options.maxSegment" is out of range. It must be an integer >= 88 && <= 32767. Received 50',
  );
  t.equal(
    line(() => server.createServer({ cork: 1 as unknown as boolean })),
    'ERR_INVALID_ARG_TYPE: The "options.cork" property must be of type boolean. Received number',
  );
  t.equal(
    line(() => server.createServer().listen({ port: 1, deferAccept: 1.5 })),
    'ERR_OUT_OF_RANGE: The value of "options.deferAccept" is out of range. It must be an integer >= 0 && <= 65535. Received 1.5',
  );
  t.equal(
    line(() => new client.Socket().setTcpOption('congestion', 'vegas')),
    "ERR_INVALID_ARG_VALUE: The property 'congestion' must be one of: reno, cubic. Received 'vegas'",
  );
  t.match(
    line(() => new client.Socket().setTcpOption('mss' as 'linger', 1)),
    /^ERR_INVALID_ARG_VALUE: The argument 'name' must be one of: cork, quickAck, .*linger\. Received 'mss'$/,
  );
  t.equal(
    line(() => server.createServer().listen({ port: 1, fastOpen: 5 })),
    "ERR_INVALID_ARG_VALUE: The property 'options.fastOpen' needs bit 2 of knob net.ipv4.tcp_fastopen, which is 1",
  );
  close();
  t.end();
});

/** A connection under virtual time. */
async function joined(
  networks: ReturnType<typeof virtualPair>,
  options: Partial<ConnectOptions> = {},
  server = networks.server.createServer(),
): Promise<{ near: Socket; far: Socket }> {
  const port = await listen(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = networks.client.connect({ port, host: SERVER, ...options });
  const [far] = await networks.time.until(accepted);
  await networks.time.settle();
  return { near, far };
}

void t.test('buffers, MSS and congestion control can be read back from tcpInfo()', async (t) => {
  const networks = virtualPair();
  const server = networks.server.createServer({ congestion: 'cubic' });
  const { near, far } = await joined(
    networks,
    { maxSegment: 500, sendBuffer: 30_000, congestion: 'cubic' },
    server,
  );
  t.match(near.tcpInfo(), { congestion: 'cubic', sndBuffer: 30_000, sndMss: 488, advMss: 488 });
  t.match(far.tcpInfo(), { congestion: 'cubic', sndMss: 488 }, 'the peer keeps to our MSS');
  const window = far.tcpInfo()!.sndCwnd;
  far.setTcpOption('congestion', 'reno');
  t.match(
    far.tcpInfo(),
    { congestion: 'newreno', sndCwnd: window },
    'another goes on from the window there is',
  );
  networks.close();
});

void t.test('cork holds what fills no segment', async (t) => {
  const networks = virtualPair();
  const { near, far } = await joined(networks, { cork: true });
  const chunks: string[] = [];
  far.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
  near.write('one ');
  await networks.time.settle();
  near.write('two');
  await networks.time.settle();
  t.same(chunks, []);
  near.setTcpOption('cork', false);
  await networks.time.settle();
  t.same(chunks, ['one two']);
  networks.close();
});

/** Sockets whose path goes silent when `silence` is called. */
async function onDoubtfulPath(
  options: Partial<ConnectOptions>,
): Promise<{ networks: ReturnType<typeof virtualPair>; near: Socket; silence: () => void }> {
  let wire: FaultsLink | null = null;
  const wrap = (link: Link, clock: Clock): Link => (wire = new FaultsLink(link, clock));
  const networks = virtualPair({ wrap });
  const { near } = await joined(networks, options);
  const silence = (): void => {
    wire!.hold(() => true);
  };
  return { networks, near, silence };
}

/** The error that ends a socket, and after how many ms. */
async function death(networks: ReturnType<typeof virtualPair>, near: Socket): Promise<[string, number]> {
  const begun = networks.clock.now();
  const error = await networks.time.until(failure(near));
  return [error['code'] as string, networks.clock.now() - begun];
}

void t.test('userTimeout: what is not acknowledged ends the connection after it', async (t) => {
  const { networks, near, silence } = await onDoubtfulPath({ userTimeout: 5000 });
  silence();
  near.write('x');
  t.same(await death(networks, near), ['ETIMEDOUT', 5000]);
  networks.close();
});

void t.test('keepAliveInterval and keepAliveCount: how long a dead peer is believed in', async (t) => {
  const { networks, near, silence } = await onDoubtfulPath({
    keepAlive: true,
    keepAliveInitialDelay: 1000,
    keepAliveInterval: 500,
    keepAliveCount: 3,
  });
  silence();
  t.same(await death(networks, near), ['ETIMEDOUT', 2500]);
  networks.close();
});

void t.test('deferAccept: the server sees the connection with its first data', async (t) => {
  const networks = virtualPair();
  const server = networks.server.createServer();
  server.listen({ port: 80, deferAccept: 5 });
  await networks.time.until(once(server, 'listening'));
  let accepted = 0;
  server.on('connection', () => accepted++);
  const near = networks.client.connect({ port: 80, host: SERVER });
  await networks.time.until(once(near, 'connect'));
  await networks.time.sleep(500);
  t.equal(accepted, 0);
  near.write('hello');
  const [far] = (await networks.time.until(once(server, 'connection'))) as [Socket];
  const [data] = (await networks.time.until(once(far, 'data'))) as [Buffer];
  t.equal(data.toString(), 'hello');
  networks.close();
});

void t.test('fastOpen: the second connection brings its data on the SYN', async (t) => {
  const knobs = { 'net.ipv4.tcp_fastopen': 3 };
  const networks = virtualPair({ client: { knobs }, server: { knobs } });
  const server = networks.server.createServer((socket) => socket.pipe(socket));
  server.listen({ port: 80, fastOpen: 16 });
  await networks.time.until(once(server, 'listening'));
  const text = Buffer.alloc(4000, 'fast');
  for (const round of [0, 1]) {
    const near = networks.client.connect({ port: 80, host: SERVER, fastOpen: true });
    near.end(text);
    const bytes = await networks.time.until(collect(near));
    t.equal(bytes.toString(), text.toString(), 'no byte is lost or doubled');
    t.equal(near.bytesWritten, text.length);
    const taken = networks.server.stack.counters.get('TcpExtTCPFastOpenPassive');
    t.equal(taken, round, round === 0 ? 'the first asks for a cookie' : 'the second uses it');
    t.equal(networks.client.stack.counters.get('TcpExtTCPFastOpenActive'), round);
  }
  networks.close();
});

void t.test('reusePort: two servers share a port', async (t) => {
  const networks = virtualPair();
  const counts = [0, 0];
  for (const i of [0, 1]) {
    const server = networks.server.createServer(() => counts[i]!++);
    server.listen({ port: 80, reusePort: true });
    await networks.time.until(once(server, 'listening'));
  }
  const late = networks.server.createServer();
  late.listen({ port: 80 });
  const [error] = (await networks.time.until(once(late, 'error'))) as [{ code: string }];
  t.equal(error.code, 'EADDRINUSE');
  for (let i = 0; i < 40; i++) {
    const near = networks.client.connect({ port: 80, host: SERVER });
    await networks.time.until(once(near, 'connect'));
  }
  await networks.time.settle();
  t.equal(counts[0]! + counts[1]!, 40);
  t.ok(counts[0]! > 5 && counts[1]! > 5, counts.join(' '));
  networks.close();
});

/** When 'close' came after destroy(), ms; the wire takes `delay` ms each way. */
async function closeAfter(linger: number | undefined, delay: number): Promise<number> {
  const networks = virtualPair({
    wrap: (link, clock) => new FaultsLink(link, clock, { delay }),
  });
  const { near } = await joined(networks, linger === undefined ? {} : { linger });
  near.on('error', () => undefined);
  const begun = networks.clock.now();
  near.write(Buffer.alloc(1000));
  near.destroy();
  await networks.time.until(once(near, 'close'));
  const passed = networks.clock.now() - begun;
  networks.close();
  return passed;
}

void t.test('linger: when close is told', async (t) => {
  t.equal(await closeAfter(undefined, 100), 0, 'off: at once');
  t.equal(await closeAfter(0, 100), 0, 'with 0: at once, and reset');
  t.equal(await closeAfter(10, 100), 200, 'with a time: when all is acknowledged');
  t.equal(await closeAfter(1, 3000), 1000, 'or when it is over');
});

void t.test('linger: a network that closes ends the wait', async (t) => {
  const networks = virtualPair({ wrap: (link, clock) => new FaultsLink(link, clock, { delay: 3000 }) });
  const { near } = await joined(networks, { linger: 10 });
  near.write('x');
  near.destroy();
  const done = closed(near);
  networks.client.close();
  await networks.time.until(done);
  t.pass('closed');
  networks.server.close();
});
