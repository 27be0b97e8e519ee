/**
 * The control socket of a running stack: a Unix socket, one JSON object a line each
 * way. A request is `{command, ...}`, the answer `{ok: true, ...}` or `{ok: false, error}`.
 * After a good `connect` the socket carries that connection's bytes, with an end of
 * its own each way; how it went is asked with `outcome` on a new conversation.
 */
import { lstatSync, unlinkSync, type Stats } from 'node:fs';
import { connect as connectUnix, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { RunError, lineOf } from './fail.js';
import type { RememberedDecision } from './memory.js';

/** Longest request line, bytes. */
const LONGEST = 65_536;
export type Request =
  | { readonly command: 'status' }
  /** `records`: TIME-WAIT as well. */
  | { readonly command: 'ss'; readonly records: boolean }
  | { readonly command: 'counts' }
  | { readonly command: 'nstat'; readonly absolute?: boolean; readonly keep?: boolean }
  | { readonly command: 'set'; readonly name: string; readonly value: number }
  | { readonly command: 'policy'; readonly name: string }
  /** `tuple` as --tuple takes it; default: all. */
  | { readonly command: 'explain'; readonly tuple?: string }
  | { readonly command: 'connect'; readonly host: string; readonly port: number }
  | { readonly command: 'outcome'; readonly id: number };

export type Connect = Extract<Request, { command: 'connect' }>;
export type Question = Exclude<Request, Connect>;

/** What a control socket is the way to: one stack, or the workers of one. */
export interface Controlled {
  /** Rejects only when something failed; a refusal is an answer. */
  answer(request: Question): Promise<object>;
  /** Answers, and joins the stream to a new connection when the answer is good. */
  connect(stream: Duplex, request: Connect): void;
}

/** How a relayed connection went. */
export interface Outcome {
  /** null: both directions ended well. */
  readonly failure: string | null;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** The answer to `explain`. */
export interface Explained {
  readonly policy: string;
  /** Decisions were being remembered before this question: else they are from now on. */
  readonly remembering: boolean;
  /** Decisions that newer ones have displaced, of any tuple. */
  readonly forgotten: number;
  /** Tuples that have any, as LOCAL-REMOTE; at most 1000. */
  readonly tuples: readonly string[];
  readonly decisions: readonly RememberedDecision[];
}

/** Opens the socket, for its owner only. A live one is not replaced, a stale one is; anything else is left alone. */
export async function serveControl(controlled: Controlled, path: string): Promise<Server> {
  await removeStale(path, '--control');
  const server = createServer({ allowHalfOpen: true }, (socket) => serveClient(controlled, socket));
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

/** Makes room at `path` when only a dead socket is there; `option` is what messages name. */
export async function removeStale(path: string, option: string): Promise<void> {
  let found: Stats | undefined;
  try {
    found = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw new RunError(`${option} ${path}: ${lineOf(error)}`);
  }
  if (found === undefined) return;
  if (!found.isSocket()) throw new RunError(`${option} ${path}: there is something else than a socket`);
  const code = await probe(path);
  if (code === null) throw new RunError(`${option} ${path}: another stack answers there`);
  if (code !== 'ECONNREFUSED') throw new RunError(`${option} ${path}: ${code}`);
  unlinkSync(path);
}

/** null when somebody listens there, else the error's code. */
function probe(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connectUnix(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

function serveClient(controlled: Controlled, socket: Socket): void {
  let gathered = Buffer.alloc(0);
  const answer = (value: object): void => void socket.write(`${JSON.stringify(value)}\n`);
  socket.on('error', () => undefined);
  const onEnd = (): void => void socket.end();
  const onData = (bytes: Buffer): void => {
    gathered = Buffer.concat([gathered, bytes]);
    for (let end = gathered.indexOf(10); end >= 0; end = gathered.indexOf(10)) {
      const line = gathered.subarray(0, end).toString();
      gathered = gathered.subarray(end + 1);
      const request = parseRequest(line);
      if (request === null) answer({ ok: false, error: 'not a JSON object on one line' });
      else if (request.command === 'connect') {
        // From here on these are the connection's bytes, which wait for it to open.
        socket.off('data', onData);
        socket.off('end', onEnd);
        socket.pause();
        if (gathered.length > 0) socket.unshift(gathered);
        controlled.connect(socket, request);
        return;
      } else
        void controlled.answer(request).then(answer, (error) => answer({ ok: false, error: lineOf(error) }));
    }
    if (gathered.length > LONGEST) socket.destroy();
  };
  socket.on('data', onData);
  socket.on('end', onEnd);
}

function parseRequest(line: string): Request | null {
  try {
    const value = JSON.parse(line) as unknown;
    return typeof value === 'object' && value !== null ? (value as Request) : null;
  } catch {
    return null;
  }
}

/** Sends one request to the stack at `path`; its answer, or a RunError with one line. */
export async function ask<T extends object>(path: string, request: Request): Promise<T> {
  const { socket, answer } = await converse<T>(path, request);
  socket.destroy();
  return answer;
}

/** As `ask`; the socket stays open and paused, positioned behind the answer. */
export async function converse<T extends object>(
  path: string,
  request: Request,
): Promise<{ socket: Socket; answer: T }> {
  const socket = connectUnix({ path, allowHalfOpen: true });
  const line = await new Promise<string>((resolve, reject) => {
    const parts: Buffer[] = [];
    const fail = (error: NodeJS.ErrnoException): void => reject(new RunError(explain(path, error)));
    const ended = (): void => reject(new RunError(`--control ${path}: the stack ended the conversation`));
    const onData = (part: Buffer): void => {
      const end = part.indexOf(10);
      parts.push(end < 0 ? part : part.subarray(0, end));
      if (end < 0) return;
      socket.off('data', onData).off('error', fail).off('end', ended);
      socket.pause();
      if (end + 1 < part.length) socket.unshift(part.subarray(end + 1));
      resolve(Buffer.concat(parts).toString());
    };
    socket.on('data', onData).once('error', fail).once('end', ended);
    socket.write(`${JSON.stringify(request)}\n`);
  });
  const answer = JSON.parse(line) as { ok: boolean; error?: string };
  if (answer.ok) return { socket, answer: answer as unknown as T };
  socket.destroy();
  throw new RunError(answer.error ?? 'refused');
}

function explain(path: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return `no stack answers at ${path}: start one with \`timewait serve --control ${path}\``;
  }
  return `--control ${path}: ${lineOf(error)}`;
}
