/**
 * Our sockets and those of node:net do the same things: every scenario runs over
 * both, and the logs of what each socket reported must be equal.
 */
import { once } from 'node:events';
import type * as nodeNet from 'node:net';
import { arrived, closing, compare, ending, join } from './scenarios.js';

compare([
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
    title: "writes in a listener of 'connect'",
    async run(world) {
      const listener = world.server.createServer((socket) => world.watch('server', socket).pipe(socket));
      const port = await world.listen(listener);
      const near = world.client.connect({ host: world.host, port });
      world.watch('client', near);
      near.write('before, ');
      near.once('connect', () => world.log('client', `${near.write('at once, ')}`));
      near.once('ready', () => near.end('ready'));
      await closing(near);
      const second = world.client.connect({ host: world.host, port });
      world.watch('second', second);
      second.once('connect', () => second.end('alone'));
      await closing(second);
      await arrived();
      listener.close();
    },
  },
  {
    title: 'half-open: the server goes on after the end of the client',
    async run(world) {
      const { near, far } = await join(world, { server: { allowHalfOpen: true } });
      near.end('question');
      await ending(far);
      world.log('server', `${far.readyState} writable ${far.writable}`);
      await arrived();
      far.end('a late answer');
      await closing(near, far);
    },
  },
  {
    title: 'half-open: the client goes on after the end of the server',
    async run(world) {
      const { near, far } = await join(world, {
        client: { allowHalfOpen: true },
        accept: (socket) => socket.end(),
      });
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
      world.log(
        'client',
        `${near.destroyed} ${near.readyState} ${JSON.stringify(near.address())} ${near.pending}`,
      );
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
        listener.on('connection', (socket: nodeNet.Socket) =>
          world.watch('server', socket).once('close', () => resolve()),
        );
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
      await arrived();
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
      const second = world.watch(
        'during',
        world.client.connect({ port, host: world.host, signal: during.signal } as never),
      );
      during.abort();
      await closing(second);
      const after = new AbortController();
      const third = world.watch(
        'after',
        world.client.connect({ port, host: world.host, signal: after.signal } as never),
      );
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
          const error = Object.assign(new Error('getaddrinfo ENOTFOUND no.such.name'), {
            code: 'ENOTFOUND',
            syscall: 'getaddrinfo',
          });
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
      await arrived();
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
]);
