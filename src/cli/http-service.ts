/** The HTTP service of `run` and `serve`, on Node's own HTTP server: loaded when it is asked for. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { serve as serveNodeServer } from '../net/adapters.js';
import type { Network } from '../net/network.js';
import type { Socket } from '../net/socket.js';

/** What can be told to listen. */
export interface Listens {
  listen(options: { port: number; backlog: number; reuseAddress: boolean }, done: () => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
}

/** Bytes of /bytes/N: byte i is i mod 251, so any shift or loss shows. */
const PATTERN_PERIOD = 251;
const PATTERN = new Uint8Array(PATTERN_PERIOD * 261).map((_, i) => i % PATTERN_PERIOD);
/** `watch` is told of each connection. */
export function httpService(network: Network, closeFirst: boolean, watch: (socket: Socket) => void): Listens {
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
  outer.on('connection', watch);
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
