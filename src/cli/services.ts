/** The small services of `run` and `serve`, over our own sockets. */
import type { Network } from '../net/network.js';
import type { Socket } from '../net/socket.js';
import type { Listens } from './http-service.js';
import type { ServiceOptions } from './options.js';

/** What the services did. */
export interface ServiceCounts {
  connections: number;
  bytesIn: number;
  bytesOut: number;
  errors: Record<string, number>;
}

/** 72 printable characters and CR LF, as RFC 864 shows them. */
const LINE = Buffer.from(`${Array.from({ length: 72 }, (_, i) => String.fromCharCode(33 + i)).join('')}\r\n`);

/** Starts what was asked for on all addresses of the network. */
export async function startServices(network: Network, options: ServiceOptions): Promise<ServiceCounts> {
  const counts: ServiceCounts = { connections: 0, bytesIn: 0, bytesOut: 0, errors: {} };
  const closeFirst = options.closeFirst === true;
  const started: Promise<void>[] = [];
  const serve = (port: number | undefined, handler: (socket: Socket) => void): void => {
    if (port === undefined) return;
    const server = network.createServer({ allowHalfOpen: true }, (socket) => {
      watch(socket, counts);
      handler(socket);
    });
    started.push(listening(server, port));
  };
  if (options.http !== undefined) {
    const { httpService } = await import('./http-service.js');
    started.push(
      listening(
        httpService(network, closeFirst, (socket) => watch(socket, counts)),
        options.http,
      ),
    );
  }
  serve(options.echo, closeFirst ? echoOnce : (socket) => void socket.pipe(socket));
  serve(options.discard, (socket) => {
    if (closeFirst) socket.once('data', () => socket.end());
    else socket.on('end', () => socket.end());
    socket.resume();
  });
  serve(options.chargen, (socket) => chargen(socket, closeFirst));
  await Promise.all(started);
  return counts;
}

function listening(server: Listens, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, backlog: 4096, reuseAddress: true }, () => resolve());
  });
}

function watch(socket: Socket, counts: ServiceCounts): void {
  counts.connections++;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const code = error.code ?? 'error';
    counts.errors[code] = (counts.errors[code] ?? 0) + 1;
  });
  socket.once('close', () => {
    counts.bytesIn += socket.bytesRead;
    counts.bytesOut += socket.bytesWritten;
  });
}

function echoOnce(socket: Socket): void {
  socket.once('data', (bytes: Buffer) => socket.end(bytes));
}

function chargen(socket: Socket, closeFirst: boolean): void {
  const page = Buffer.concat(Array.from({ length: 64 }, () => LINE));
  socket.resume();
  if (closeFirst) {
    socket.end(page);
    return;
  }
  const fill = (): void => {
    while (!socket.destroyed && socket.write(page));
  };
  socket.on('drain', fill);
  socket.on('end', () => socket.end());
  fill();
}
