/** Servers, overloads and refusals: ours and those of node:net do the same things. */
import { once } from 'node:events';
import type * as nodeNet from 'node:net';
import { setImmediate as pass } from 'node:timers/promises';
import { arrived, closing, compare, thrown } from './scenarios.js';

compare([
  {
    title: 'what is refused by throwing',
    async run(world) {
      const { client, server } = world;
      const socket = (): nodeNet.Socket => new client.Socket();
      const calls: Record<string, () => unknown> = {
        'connect()': () => socket().connect(undefined as never),
        'connect({})': () => socket().connect({} as never),
        'port -1': () => socket().connect({ port: -1 }),
        'port 65536': () => socket().connect(65536),
        'port NaN': () => socket().connect({ port: NaN }),
        'port object': () => socket().connect({ port: {} as never }),
        localAddress: () => socket().connect({ port: 1, localAddress: 'here' }),
        'localPort type': () => socket().connect({ port: 1, host: '127.0.0.1', localPort: '7' as never }),
        lookup: () => socket().connect({ port: 1, host: 'x', lookup: 5 as never }),
        objectMode: () => new client.Socket({ objectMode: true } as never),
        'setTimeout string': () => socket().setTimeout('1' as never),
        'setTimeout negative': () => socket().setTimeout(-1),
        'setTimeout Infinity': () => socket().setTimeout(Infinity),
        'setTimeout callback': () => socket().setTimeout(1, 'x' as never),
        'listen -1': () => server.createServer().listen(-1),
        'listen 65536': () => server.createServer().listen({ port: 65536 }),
        'listen {}': () => server.createServer().listen({}),
        options: () => server.createServer('x' as never),
      };
      for (const [name, call] of Object.entries(calls)) world.log('throws', `${name}: ${thrown(call)}`);
      await pass();
    },
  },
  {
    title: 'a server: address, connections, close',
    async run(world) {
      const listener = world.server.createServer();
      world.log('server', `${listener.listening} ${listener.address()}`);
      for (const event of ['listening', 'close', 'drop'] as const)
        listener.on(event, () => world.log('server', event));
      listener.on('connection', (socket: nodeNet.Socket) => socket.resume());
      const port = await world.listen(listener);
      world.log(
        'server',
        thrown(() => listener.listen(port)),
      );
      const near = world.client.connect(port, world.host);
      await Promise.all([once(near, 'connect'), once(listener, 'connection')]);
      const count = await new Promise((resolve) => listener.getConnections((_error, n) => resolve(n)));
      world.log('server', `${count} connection`);
      const ended = new Promise<void>((resolve) => {
        listener.close((error) => {
          world.log('server', `closed ${error}`);
          resolve();
        });
      });
      world.log('server', `${listener.listening} ${listener.address()}`);
      await arrived();
      world.log('server', 'the last connection ends');
      near.destroy();
      await ended;
      await new Promise<void>((resolve) => {
        listener.close((error) => {
          world.log('server', `again: ${(error as NodeJS.ErrnoException).code}`);
          resolve();
        });
      });
    },
  },
  {
    title: 'a server on a port that is taken, and on an address of another host',
    async run(world) {
      const first = world.server.createServer();
      const port = await world.listen(first);
      const second = world.server.createServer();
      second.listen(port, world.host);
      const [error] = (await once(second, 'error')) as [
        NodeJS.ErrnoException & { address: string; port: number },
      ];
      world.log('server', error.message.replaceAll(world.host, 'HOST').replace(/:\d+/, ':PORT'));
      world.log(
        'server',
        `${error.code} ${error.errno} ${error.syscall} ${error.address === world.host} ${error.port === port}`,
      );
      const third = world.server.createServer();
      third.listen(4711, '198.51.100.7');
      const [other] = (await once(third, 'error')) as [Error];
      world.log('server', other.message);
      first.close();
    },
  },
  {
    title: 'maxConnections drops the next one',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.resume());
      listener.maxConnections = 1;
      const port = await world.listen(listener);
      const first = world.client.connect(port, world.host);
      await Promise.all([once(first, 'connect'), once(listener, 'connection')]);
      const dropped = once(listener, 'drop') as Promise<[nodeNet.DropArgument]>;
      const second = world.watch('second', world.client.connect(port, world.host));
      const [argument] = await dropped;
      await closing(second);
      world.log(
        'server',
        `${argument.localPort === port} ${argument.remoteFamily} ${Object.keys(argument).sort().join(' ')}`,
      );
      first.destroy();
      listener.close();
    },
  },
  {
    title: 'listen with a signal, and async dispose',
    async run(world) {
      const controller = new AbortController();
      const listener = world.server.createServer();
      listener.listen({ port: 0, host: world.host, signal: controller.signal });
      await once(listener, 'listening');
      controller.abort();
      await once(listener, 'close');
      world.log('server', `${listener.listening}`);
      const other = world.server.createServer();
      await world.listen(other);
      await other[Symbol.asyncDispose]();
      world.log('server', `${other.listening}`);
    },
  },
  {
    title: 'overloads of connect and listen',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.end());
      await new Promise<void>((resolve) => listener.listen(0, world.host, 5, () => resolve()));
      const { port } = listener.address() as nodeNet.AddressInfo;
      for (const open of [
        (done: () => void) => world.client.connect(port, world.host, done),
        (done: () => void) => world.client.createConnection({ port, host: world.host }, done),
        (done: () => void) => world.client.connect({ port: String(port) as never, host: world.host }, done),
        (done: () => void) => new world.client.Socket().connect(port, world.host, done),
      ]) {
        const socket = await new Promise<nodeNet.Socket>((resolve) => {
          const made: nodeNet.Socket = open(() => resolve(made));
        });
        world.log(
          'client',
          `${socket.remoteFamily} ${socket.remotePort === port} ${socket.remoteAddress === world.host} ${socket instanceof world.client.Socket}`,
        );
        await closing(socket.resume());
      }
      listener.close();
    },
  },
]);
