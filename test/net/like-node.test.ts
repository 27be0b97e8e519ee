/**
 * Our sockets and node:net do the same things: every scenario runs over both, and
 * the logs of what each socket and server reported must be equal.
 */
import { once } from 'node:events';
import * as nodeNet from 'node:net';
import { setImmediate as pass, setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { pair } from './helpers.js';

type Net = typeof nodeNet;

interface World {
  /** Where clients and servers live. */
  client: Net;
  server: Net;
  /** The server's address, and how errors print it. */
  host: string;
  logs: Record<string, string[]>;
  log(who: string, line: string): void;
  watch(who: string, socket: nodeNet.Socket): nodeNet.Socket;
  listen(server: nodeNet.Server): Promise<number>;
}

interface Scenario {
  title: string;
  run(world: World): Promise<void>;
}

function makeWorld(client: Net, server: Net, host: string): World {
  const logs: Record<string, string[]> = {};
  const log = (who: string, line: string): void => {
    (logs[who] ??= []).push(line);
  };
  const clean = (text: string): string => text.replaceAll(host, 'HOST').replace(/:\d+/g, ':PORT');
  return {
    client,
    server,
    host,
    logs,
    log,
    watch(who, socket) {
      let bytes = 0;
      for (const event of ['connect', 'ready', 'end', 'finish', 'timeout'] as const) {
        socket.on(event, () => {
          log(who, event === 'end' ? `end after ${bytes}` : event);
        });
      }
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      socket.on('close', (hadError: boolean) => {
        log(who, `close ${hadError}`);
      });
      socket.on('error', (error: nodeNet.SocketAddress & NodeJS.ErrnoException & { port?: number }) => {
        const fields = [error.code, error.errno, error.syscall, error.address && clean(error.address), typeof error.port];
        log(who, `error ${clean(error.message)} | ${fields.join(' ')}`);
      });
      return socket;
    },
    async listen(listener) {
      listener.listen(0, host);
      await once(listener, 'listening');
      return (listener.address() as nodeNet.AddressInfo).port;
    },
  };
}

/** Waits for the event 'close' of each; one that is closed already has had it, or has it within the time given. */
async function closing(...sockets: nodeNet.Socket[]): Promise<void> {
  for (const socket of sockets) {
    if (socket.closed) await sleep(10);
    else await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  }
}

/** Waits for the event 'end', unless it has been. */
async function ending(socket: nodeNet.Socket): Promise<void> {
  if (!socket.readableEnded) await new Promise<void>((resolve) => socket.once('end', () => resolve()));
}

/** A server that logs as 'server'; gives the accepted socket, and a client that logs as 'client'. */
async function join(
  world: World,
  options: { server?: nodeNet.ServerOpts; client?: object; accept?: (socket: nodeNet.Socket) => void; quiet?: boolean } = {},
): Promise<{ near: nodeNet.Socket; far: nodeNet.Socket; listener: nodeNet.Server }> {
  const listener = world.server.createServer(options.server ?? {});
  const port = await world.listen(listener);
  const accepted = new Promise<nodeNet.Socket>((resolve) => {
    listener.once('connection', (socket: nodeNet.Socket) => {
      if (!options.quiet) world.watch('server', socket);
      options.accept?.(socket);
      listener.close();
      resolve(socket);
    });
  });
  const near = world.client.connect({ host: world.host, port, ...options.client });
  world.watch('client', near);
  const [far] = await Promise.all([accepted, new Promise((resolve) => near.once('connect', resolve))]);
  return { near, far, listener };
}

function thrown(call: () => unknown): string {
  try {
    call();
    return 'nothing thrown';
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException;
    return `${name} ${code}`;
  }
}

const scenarios: Scenario[] = [
  {
    title: 'echo, the client ends',
    async run(world) {
      const { near, far } = await join(world, { accept: (socket) => socket.pipe(socket) });
      near.end('hello');
      await closing(near, far);
      world.log('client', `${near.bytesRead} ${near.bytesWritten} ${near.readyState}`);
    },
  },
  {
    title: 'the server ends first',
    async run(world) {
      const { near, far } = await join(world, { accept: (socket) => socket.end('bye') });
      await closing(near, far);
    },
  },
  {
    title: 'half-open: the server goes on after the end of the client',
    async run(world) {
      const { near, far } = await join(world, { server: { allowHalfOpen: true } });
      near.end('question');
      await ending(far);
      world.log('server', `${far.readyState} writable ${far.writable}`);
      await sleep(5);
      far.end('a late answer');
      await closing(near, far);
    },
  },
  {
    title: 'half-open: the client goes on after the end of the server',
    async run(world) {
      const { near, far } = await join(world, { client: { allowHalfOpen: true }, accept: (socket) => socket.end() });
      await ending(near);
      world.log('client', near.readyState);
      near.end('still here');
      await closing(near, far);
    },
  },
  {
    title: 'destroy without an error',
    async run(world) {
      const { near, far } = await join(world);
      near.destroy();
      await closing(near, far);
      world.log('client', `${near.destroyed} ${near.readyState} ${JSON.stringify(near.address())} ${near.pending}`);
    },
  },
  {
    title: 'destroy with an error',
    async run(world) {
      const { near, far } = await join(world);
      near.destroy(new Error('enough'));
      await closing(near, far);
    },
  },
  {
    title: 'the server destroys what it accepts',
    async run(world) {
      const { near, far } = await join(world, { accept: (socket) => socket.destroy() });
      await closing(near, far);
    },
  },
  {
    title: 'resetAndDestroy',
    async run(world) {
      const { near, far } = await join(world);
      near.resetAndDestroy();
      await closing(near, far);
    },
  },
  {
    title: 'resetAndDestroy while connecting',
    async run(world) {
      const listener = world.server.createServer();
      const port = await world.listen(listener);
      const ended = new Promise<void>((resolve) => {
        listener.on('connection', (socket: nodeNet.Socket) => world.watch('server', socket).once('close', () => resolve()));
      });
      const near = world.watch('client', world.client.connect(port, world.host));
      near.resetAndDestroy();
      await Promise.all([ended, closing(near)]);
      listener.close();
    },
  },
  {
    title: 'resetAndDestroy of a closed socket',
    async run(world) {
      const near = world.watch('client', new world.client.Socket());
      near.resetAndDestroy();
      await closing(near);
    },
  },
  {
    title: 'destroy while connecting',
    async run(world) {
      const listener = world.server.createServer();
      const port = await world.listen(listener);
      const near = world.watch('client', world.client.connect(port, world.host));
      near.write('never sent', (error) => {
        world.log('client', `callback ${(error as NodeJS.ErrnoException | null)?.code}`);
      });
      near.destroy();
      await closing(near);
      listener.close();
    },
  },
  {
    title: 'connection refused',
    async run(world) {
      const near = world.watch('client', world.client.connect(9, world.host));
      world.log('client', `${near.connecting} ${near.pending} ${near.readyState}`);
      await closing(near);
      world.log('client', `${near.connecting} ${near.pending} ${near.readyState} ${near.remoteAddress}`);
    },
  },
  {
    title: 'unread data turns close into a reset',
    async run(world) {
      const { near, far } = await join(world, { server: { pauseOnConnect: true }, quiet: true });
      far.on('error', () => {});
      near.write('you will not read this');
      await sleep(30);
      far.destroy();
      await closing(near, far);
    },
  },
  {
    title: 'write after end',
    async run(world) {
      const { near, far } = await join(world, { server: { allowHalfOpen: true } });
      near.end('last words');
      near.write('more', (error) => {
        world.log('client', `callback ${(error as NodeJS.ErrnoException | null)?.code}`);
      });
      await closing(near);
      far.destroy();
      await closing(far);
    },
  },
  {
    title: "write after the peer's end",
    async run(world) {
      const { near, far } = await join(world, { accept: (socket) => socket.end() });
      await ending(near);
      near.write('too late', (error) => {
        world.log('write', `${(error as NodeJS.ErrnoException | null)?.code}`);
      });
      await closing(near, far);
    },
  },
  {
    title: 'destroySoon sends what was written',
    async run(world) {
      const { near, far } = await join(world);
      near.write('one ');
      near.write('two');
      near.destroySoon();
      await closing(near, far);
    },
  },
  {
    title: 'write and end before the connection stands',
    async run(world) {
      const listener = world.server.createServer();
      const port = await world.listen(listener);
      const accepted = new Promise<nodeNet.Socket>((resolve) => {
        listener.once('connection', (socket: nodeNet.Socket) => resolve(world.watch('server', socket)));
      });
      const near = world.watch('client', world.client.connect(port, world.host));
      near.write('early ', () => {
        world.log('client', 'callback');
      });
      near.end('bird');
      world.log('client', `${near.bytesWritten} ${near.writable}`);
      const far = await accepted;
      await closing(near, far);
      world.log('client', `${near.bytesWritten}`);
      listener.close();
    },
  },
  {
    title: 'cork, uncork and writev',
    async run(world) {
      const { near, far } = await join(world);
      near.cork();
      for (const word of ['a', 'bb', 'ccc']) near.write(word);
      near.write(Buffer.from('dddd'));
      near.write('zz', 'latin1');
      near.uncork();
      near.end();
      await closing(near, far);
      world.log('client', `${near.bytesWritten}`);
    },
  },
  {
    title: 'timeout is only a message',
    async run(world) {
      const { near, far } = await join(world);
      near.setTimeout(20, () => {
        world.log('client', 'timeout listener');
      });
      world.log('client', `${near.timeout}`);
      await once(near, 'timeout');
      world.log('client', near.readyState);
      near.setTimeout(0);
      near.end();
      await closing(near, far);
    },
  },
  {
    title: 'abort during and after connecting',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.on('error', () => {}).resume());
      const port = await world.listen(listener);
      const during = new AbortController();
      const second = world.watch('during', world.client.connect({ port, host: world.host, signal: during.signal } as never));
      during.abort();
      await closing(second);
      const after = new AbortController();
      const third = world.watch('after', world.client.connect({ port, host: world.host, signal: after.signal } as never));
      await once(third, 'connect');
      after.abort();
      await closing(third);
      listener.close();
    },
  },
  {
    title: 'lookup',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.end());
      const port = await world.listen(listener);
      const near = world.client.connect({
        port,
        host: 'some.name',
        family: 4,
        lookup: (name, options, callback) => {
          world.log('client', `asked for ${name} ${options.family}`);
          process.nextTick(callback, null, world.host, 4);
        },
      });
      near.on('lookup', (error, address, family, name) => {
        world.log('client', `lookup ${error} ${address.replace(world.host, 'HOST')} ${family} ${name}`);
      });
      world.watch('client', near);
      await closing(near);
      listener.close();
    },
  },
  {
    title: 'lookup that fails',
    async run(world) {
      const near = world.client.connect({
        port: 80,
        host: 'no.such.name',
        family: 4,
        lookup: (_name, _options, callback) => {
          const error = Object.assign(new Error('getaddrinfo ENOTFOUND no.such.name'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' });
          process.nextTick(callback, error, '', 4);
        },
      });
      near.on('lookup', (error) => {
        world.log('client', `lookup ${error.message}`);
      });
      world.watch('client', near);
      await closing(near);
    },
  },
  {
    title: 'a lookup function that gives nonsense',
    async run(world) {
      const near = world.client.connect({
        port: 80,
        host: 'a.name',
        family: 4,
        lookup: (_name, _options, callback) => process.nextTick(callback, null, 'not an address', 4),
      });
      near.on('error', (error: NodeJS.ErrnoException) => {
        world.log('client', `${error.code}`);
      });
      await closing(near);
    },
  },
  {
    title: 'a socket connects again after it was closed',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.end('again'));
      const port = await world.listen(listener);
      const near = world.watch('client', world.client.connect(port, world.host));
      await closing(near);
      near.connect(port, world.host);
      await new Promise((resolve) => near.once('close', resolve));
      listener.close();
    },
  },
  {
    title: 'onread fills the buffer of the user',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.end('0123456789'));
      const port = await world.listen(listener);
      let text = '';
      const near: nodeNet.Socket = world.client.connect({
        port,
        host: world.host,
        onread: {
          buffer: Buffer.alloc(4),
          callback: (bytes: number, buffer: Uint8Array) => {
            text += Buffer.from(buffer.subarray(0, bytes)).toString();
            if (text.length !== 4) return true;
            world.log('client', `paused at ${text}`);
            setTimeout(() => near.resume(), 5);
            return false;
          },
        },
      } as never);
      near.on('data', () => world.log('client', 'data'));
      near.on('end', () => world.log('client', `end ${text} ${near.bytesRead}`));
      await closing(near);
      listener.close();
    },
  },
  {
    title: 'pauseOnConnect keeps the data for later',
    async run(world) {
      const { near, far } = await join(world, { server: { pauseOnConnect: true }, quiet: true });
      near.end('patience');
      await sleep(20);
      world.log('server', `${far.isPaused()} ${far.bytesRead}`);
      world.watch('server', far);
      far.resume();
      await closing(near, far);
    },
  },
  {
    title: 'encoding and async iteration',
    async run(world) {
      const listener = world.server.createServer((socket) => socket.end('grün'));
      const near = world.client.connect(await world.listen(listener), world.host).setEncoding('utf8');
      let text = '';
      for await (const piece of near) text += piece as string;
      world.log('client', text);
      listener.close();
    },
  },
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
        'localAddress': () => socket().connect({ port: 1, localAddress: 'here' }),
        'localPort type': () => socket().connect({ port: 1, host: '127.0.0.1', localPort: '7' as never }),
        'lookup': () => socket().connect({ port: 1, host: 'x', lookup: 5 as never }),
        'objectMode': () => new client.Socket({ objectMode: true } as never),
        'setTimeout string': () => socket().setTimeout('1' as never),
        'setTimeout negative': () => socket().setTimeout(-1),
        'setTimeout Infinity': () => socket().setTimeout(Infinity),
        'setTimeout callback': () => socket().setTimeout(1, 'x' as never),
        'listen -1': () => server.createServer().listen(-1),
        'listen 65536': () => server.createServer().listen({ port: 65536 }),
        'listen {}': () => server.createServer().listen({}),
        'options': () => server.createServer('x' as never),
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
      for (const event of ['listening', 'close', 'drop'] as const) listener.on(event, () => world.log('server', event));
      listener.on('connection', (socket: nodeNet.Socket) => socket.resume());
      const port = await world.listen(listener);
      world.log('server', thrown(() => listener.listen(port)));
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
      await sleep(5);
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
      const [error] = (await once(second, 'error')) as [NodeJS.ErrnoException & { address: string; port: number }];
      world.log('server', error.message.replaceAll(world.host, 'HOST').replace(/:\d+/, ':PORT'));
      world.log('server', `${error.code} ${error.errno} ${error.syscall} ${error.address === world.host} ${error.port === port}`);
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
      world.log('server', `${argument.localPort === port} ${argument.remoteFamily} ${Object.keys(argument).sort().join(' ')}`);
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
        world.log('client', `${socket.remoteFamily} ${socket.remotePort === port} ${socket.remoteAddress === world.host} ${socket instanceof world.client.Socket}`);
        await closing(socket.resume());
      }
      listener.close();
    },
  },
];

for (const { title, run } of scenarios) {
  void t.test(title, { timeout: 10_000 }, async (t) => {
    const kernel = makeWorld(nodeNet, nodeNet, '127.0.0.1');
    await run(kernel);
    const networks = pair();
    const ours = makeWorld(networks.client as unknown as Net, networks.server as unknown as Net, '10.77.0.2');
    await run(ours);
    networks.close();
    t.ok(Object.keys(kernel.logs).length > 0, 'the scenario reports something');
    t.strictSame(ours.logs, kernel.logs);
  });
}
