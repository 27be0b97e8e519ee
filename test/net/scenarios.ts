/** Runs scenarios over node:net and over our sockets, and compares what they report. */
import { once } from 'node:events';
import * as nodeNet from 'node:net';
import { setImmediate as pass, setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { pair } from './helpers.js';

export type Net = typeof nodeNet;

export interface World {
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

export interface Scenario {
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
        const fields = [
          error.code,
          error.errno,
          error.syscall,
          error.address && clean(error.address),
          typeof error.port,
        ];
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

/** Long enough for whatever is under way to arrive, however busy the machine is. */
export async function arrived(): Promise<void> {
  await sleep(20);
  for (let i = 0; i < 20; i++) await pass();
}

/** Waits for the event 'close' of each; one that is closed already has had it, or has it within the time given. */
export async function closing(...sockets: nodeNet.Socket[]): Promise<void> {
  for (const socket of sockets) {
    if (socket.closed) await arrived();
    else await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  }
}

/** Waits for the event 'end', unless it has been. */
export async function ending(socket: nodeNet.Socket): Promise<void> {
  if (!socket.readableEnded) await new Promise<void>((resolve) => socket.once('end', () => resolve()));
}

/** A server that logs as 'server'; gives the accepted socket, and a client that logs as 'client'. */
export async function join(
  world: World,
  options: {
    server?: nodeNet.ServerOpts;
    client?: object;
    accept?: (socket: nodeNet.Socket) => void;
    quiet?: boolean;
  } = {},
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

export function thrown(call: () => unknown): string {
  try {
    call();
    return 'nothing thrown';
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException;
    return `${name} ${code}`;
  }
}

/** One test per scenario. */
export function compare(scenarios: readonly Scenario[]): void {
  for (const { title, run } of scenarios) {
    void t.test(title, { timeout: 10_000 }, async (t) => {
      const kernel = makeWorld(nodeNet, nodeNet, '127.0.0.1');
      await run(kernel);
      const networks = pair();
      const ours = makeWorld(
        networks.client as unknown as Net,
        networks.server as unknown as Net,
        '10.77.0.2',
      );
      await run(ours);
      networks.close();
      t.ok(Object.keys(kernel.logs).length > 0, 'the scenario reports something');
      t.strictSame(ours.logs, kernel.logs);
    });
  }
}
