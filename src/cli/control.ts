/**
 * The control socket of a running stack: a Unix socket, one JSON object a line each
 * way. A request is `{command, ...}`, the answer `{ok: true, ...}` or `{ok: false, error}`.
 * After a good `connect` the socket carries that connection's bytes.
 */
import { existsSync, unlinkSync } from 'node:fs';
import { connect as connectUnix, createServer, type Server, type Socket } from 'node:net';
import { counterNames } from '../mib.js';
import type { Network } from '../net/network.js';
import { knobs } from '../stack/catalogue.js';
import { RunError, lineOf } from './fail.js';

/** Longest request line, bytes. */
const LONGEST = 65_536;

export type Request =
  | { readonly command: 'status' }
  | { readonly command: 'ss'; readonly limit?: number }
  | { readonly command: 'nstat'; readonly absolute?: boolean; readonly keep?: boolean }
  | { readonly command: 'set'; readonly name: string; readonly value: number }
  | { readonly command: 'policy'; readonly name: string }
  | { readonly command: 'connect'; readonly host: string; readonly port: number };

/** Opens the socket; a live one is not replaced, a stale one is. */
export async function serveControl(network: Network, path: string): Promise<Server> {
  if (existsSync(path)) {
    if (await alive(path)) throw new RunError(`--control ${path}: another stack answers there`);
    unlinkSync(path);
  }
  // What `nstat` showed last: the next call without -a shows the difference.
  const shown = new Float64Array(counterNames.length);
  const server = createServer({ allowHalfOpen: true }, (socket) => serveClient(network, socket, shown));
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } catch (error) {
    throw new RunError(`--control ${path}: ${lineOf(error)}`);
  } finally {
    process.umask(mask);
  }
  return server;
}

function alive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connectUnix(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function serveClient(network: Network, socket: Socket, shown: Float64Array): void {
  let gathered = Buffer.alloc(0);
  const answer = (value: object): void => void socket.write(`${JSON.stringify(value)}\n`);
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  const onData = (bytes: Buffer): void => {
    gathered = Buffer.concat([gathered, bytes]);
    for (let end = gathered.indexOf(10); end >= 0; end = gathered.indexOf(10)) {
      const line = gathered.subarray(0, end).toString();
      gathered = gathered.subarray(end + 1);
      let request: Request;
      try {
        request = JSON.parse(line) as Request;
      } catch {
        answer({ ok: false, error: 'not a line of JSON' });
        continue;
      }
      if (request.command === 'connect') {
        socket.off('data', onData);
        socket.removeAllListeners('end');
        relay(network, socket, request, gathered);
        return;
      }
      answer(handle(network, request, shown));
    }
    if (gathered.length > LONGEST) socket.destroy();
  };
  socket.on('data', onData);
}

function handle(network: Network, request: Request, shown: Float64Array): object {
  const { stack } = network;
  switch (request.command) {
    case 'status':
      return {
        ok: true,
        policy: stack.policyName,
        knobs: Object.fromEntries(knobs.map(({ name }) => [name, stack.knob(name)])),
      };
    case 'ss':
      return {
        ok: true,
        sockets: stack.sockets(request.limit ?? 100_000),
        counts: stack.stateCounts(),
        orphans: stack.orphans,
      };
    case 'nstat': {
      const { values } = stack.counters;
      const counters = Object.fromEntries(
        counterNames.map((name, i) => [name, values[i]! - (request.absolute === true ? 0 : shown[i]!)]),
      );
      if (request.keep !== true) shown.set(values);
      return { ok: true, counters };
    }
    case 'set': {
      const message = stack.setKnob(request.name, request.value);
      return message === null ? { ok: true } : { ok: false, error: message };
    }
    case 'policy': {
      const message = stack.setPolicy(request.name);
      return message === null ? { ok: true } : { ok: false, error: message };
    }
    default:
      return { ok: false, error: `unknown command '${String((request as { command: unknown }).command)}'` };
  }
}

/** Joins the control socket to a new connection of the stack. */
function relay(
  network: Network,
  socket: Socket,
  request: { host: string; port: number },
  early: Buffer,
): void {
  const peer = network.connect({ host: request.host, port: request.port, allowHalfOpen: true });
  peer.once('error', (error: Error) => {
    if (!peer.readableDidRead && peer.bytesRead === 0)
      socket.end(`${JSON.stringify({ ok: false, error: error.message })}\n`);
    else socket.destroy();
  });
  peer.once('connect', () => {
    socket.write(`${JSON.stringify({ ok: true })}\n`);
    if (early.length > 0) peer.write(early);
    socket.pipe(peer);
    peer.pipe(socket);
  });
  socket.once('close', () => peer.destroy());
}

/** Sends one request to the stack at `path`; its answer, or a RunError with one line. */
export async function ask<T extends object>(path: string, request: Request): Promise<T> {
  const socket = connectUnix(path);
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.once('error', (error: NodeJS.ErrnoException) => reject(new RunError(explain(path, error))));
    socket.on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    socket.once('end', () => reject(new RunError(`--control ${path}: the stack ended the conversation`)));
    socket.write(`${JSON.stringify(request)}\n`);
  });
  socket.destroy();
  const answer = JSON.parse(line) as { ok: boolean; error?: string };
  if (!answer.ok) throw new RunError(answer.error ?? 'refused');
  return answer as unknown as T;
}

function explain(path: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return `no stack answers at ${path}: start one with \`timewait serve --control ${path}\``;
  }
  return `--control ${path}: ${error.message}`;
}
