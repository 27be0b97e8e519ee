/** The small services of `run` and `serve`, over our own sockets. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { serve as serveNodeServer } from '../net/adapters.js';
import type { Network } from '../net/network.js';
import type { Socket } from '../net/socket.js';
import type { ServiceOptions } from './options.js';

/** What the services did. */
export interface ServiceCounts {
  connections: number;
  bytesIn: number;
  bytesOut: number;
  errors: Record<string, number>;
}

/** Bytes of /bytes/N: byte i is i mod 251, so any shift or loss shows. */
const PATTERN_PERIOD = 251;
const PATTERN = new Uint8Array(PATTERN_PERIOD * 261).map((_, i) => i % PATTERN_PERIOD);
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
  if (options.http !== undefined)
    started.push(listening(httpService(network, closeFirst, counts), options.http));
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

interface Listens {
  listen(options: { port: number; backlog: number; reuseAddress: boolean }, done: () => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
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

function httpService(network: Network, closeFirst: boolean, counts: ServiceCounts): Listens {
  const server = createServer((request, response) => {
    if (closeFirst) {
      response.setHeader('Connection', 'close');
      // Our FIN leaves with the last bytes, before the client can close.
      const { socket } = request;
      const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
      response.end = ((...args: unknown[]) => {
        end(...args);
        socket.end();
        return response;
      }) as never;
    }
    answer(request, response);
  });
  // The peer's own time-outs rule; a bulk upload may be slow under faults.
  server.requestTimeout = 0;
  server.on('clientError', (_error, socket) => socket.destroy());
  const outer = serveNodeServer(network, server);
  outer.on('connection', (socket: Socket) => watch(socket, counts));
  return outer as unknown as Listens;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? '/';
  const bytes = /^\/bytes\/(\d{1,12})$/.exec(path);
  if (request.method === 'GET' && path === '/') {
    response.setHeader('Content-Type', 'text/plain');
    response.end('timewait: a TCP stack in user space\n');
  } else if (request.method === 'GET' && bytes !== null) sendPattern(response, Number(bytes[1]));
  else if ((request.method === 'PUT' || request.method === 'POST') && path === '/sink')
    sink(request, response);
  else {
    response.statusCode = 404;
    response.setHeader('Content-Type', 'text/plain');
    response.end('GET /, GET /bytes/N, PUT or POST /sink\n');
  }
}

/** N bytes, byte i is i mod 251. */
function sendPattern(response: ServerResponse, total: number): void {
  response.setHeader('Content-Type', 'application/octet-stream');
  response.setHeader('Content-Length', total);
  let left = total;
  const fill = (): void => {
    while (left > 0 && !response.destroyed) {
      const n = Math.min(left, PATTERN.length);
      left -= n;
      if (!response.write(PATTERN.subarray(0, n)) && left > 0) {
        response.once('drain', fill);
        return;
      }
    }
    if (!response.destroyed) response.end();
  };
  fill();
}

function sink(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash('sha256');
  let length = 0;
  request.on('data', (bytes: Buffer) => {
    hash.update(bytes);
    length += bytes.length;
  });
  request.on('end', () => {
    response.setHeader('Content-Type', 'application/json');
    response.end(`${JSON.stringify({ length, sha256: hash.digest('hex') })}\n`);
  });
}
