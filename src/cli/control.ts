/**
 * The control socket of a running stack: a Unix socket, one JSON object a line each
 * way. A request is `{command, ...}`, the answer `{ok: true, ...}` or `{ok: false, error}`.
 * After a good `connect` the socket carries that connection's bytes, with an end of
 * its own each way; how it went is asked with `outcome` on a new conversation.
 */
import { lstatSync, unlinkSync, type Stats } from 'node:fs';
import { connect as connectUnix, createServer, type Server, type Socket } from 'node:net';
import { counterNames } from '../mib.js';
import type { Network } from '../net/network.js';
import type { StackApi } from '../stack/api.js';
import { knobs } from '../stack/catalogue.js';
import { formatTuple } from '../view/exchange.js';
import { RunError, lineOf } from './fail.js';
import { DecisionMemory, type RememberedDecision } from './memory.js';
import { parseTuple } from './tuple.js';

/** Longest request line, bytes. */
const LONGEST = 65_536;
/** Most rows of one `ss`: TIME-WAIT tables are large. */
const ROWS = 1_000_000;
/** Ends of relayed connections that are kept until asked for; the oldest go first. */
const OUTCOMES = 1024;

/** Most tuples that `explain` names. */
const TUPLES = 1000;

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

/** How a relayed connection went. */
export interface Outcome {
  /** null: both directions ended well. */
  readonly failure: string | null;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** What the conversations of one control socket share. */
interface Session {
  readonly network: Network;
  /** Counters as `nstat` showed them last: its next call without -a shows the difference. */
  readonly shown: Float64Array;
  /** By number of the connection; a promise while it is open. */
  readonly outcomes: Map<number, Promise<Outcome>>;
  relays: number;
  readonly memory: DecisionMemory;
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

/**
 * Opens the socket, for its owner only. A live one is not replaced, a stale one is; anything else is left alone.
 * `remember`: decisions are remembered at once, not from the first `explain` on.
 */
export async function serveControl(network: Network, path: string, remember = false): Promise<Server> {
  await removeStale(path, '--control');
  const memory = new DecisionMemory(network);
  if (remember) memory.start();
  const session: Session = {
    network,
    shown: new Float64Array(counterNames.length),
    outcomes: new Map(),
    relays: 0,
    memory,
  };
  const server = createServer({ allowHalfOpen: true }, (socket) => serveClient(session, socket));
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

function serveClient(session: Session, socket: Socket): void {
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
        relay(session, socket, request);
        return;
      } else
        void handle(session, request).then(answer, (error) => answer({ ok: false, error: lineOf(error) }));
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

async function handle(session: Session, request: Exclude<Request, { command: 'connect' }>): Promise<object> {
  const { stack } = session.network;
  // Timers that are due count as fired.
  session.network.driver.sync();
  switch (request.command) {
    case 'status':
      return {
        ok: true,
        policy: stack.policyName,
        knobs: Object.fromEntries(knobs.map(({ name }) => [name, stack.knob(name)])),
      };
    case 'ss': {
      const sockets = stack.sockets(request.records ? ROWS : live(stack));
      return { ok: true, sockets, omitted: request.records ? Math.max(0, total(stack) - ROWS) : 0 };
    }
    case 'counts':
      return { ok: true, counts: stack.stateCounts(), orphans: stack.orphans, live: families(stack) };
    case 'nstat': {
      const { values } = stack.counters;
      const counters = Object.fromEntries(
        counterNames.map((name, i) => [
          name,
          values[i]! - (request.absolute === true ? 0 : session.shown[i]!),
        ]),
      );
      if (request.keep !== true) session.shown.set(values);
      return { ok: true, counters };
    }
    case 'set':
      return verdict(stack.setKnob(String(request.name), Number(request.value)));
    case 'policy':
      return verdict(stack.setPolicy(String(request.name)));
    case 'explain':
      return remembered(session, request.tuple);
    case 'outcome': {
      const outcome = session.outcomes.get(request.id);
      if (outcome === undefined) return { ok: false, error: `no connection ${request.id}` };
      session.outcomes.delete(request.id);
      return { ok: true, outcome: await outcome };
    }
    default:
      return { ok: false, error: `unknown command '${String((request as { command?: unknown }).command)}'` };
  }
}

function remembered({ network, memory }: Session, text: string | undefined): object {
  const tuple = text === undefined ? null : parseTuple(String(text));
  if (text !== undefined && tuple === null) return { ok: false, error: `no tuple: '${text}'` };
  const remembering = memory.started;
  memory.start();
  const explained: Explained = {
    policy: network.stack.policyName,
    remembering,
    forgotten: memory.forgotten,
    tuples: memory
      .tuples()
      .slice(0, TUPLES)
      .map(([local, remote]) => formatTuple(local, remote)),
    decisions: memory.list(tuple),
  };
  return { ok: true, ...explained };
}

function verdict(message: string | null): object {
  return message === null ? { ok: true } : { ok: false, error: message };
}

function total(stack: StackApi): number {
  return Object.values(stack.stateCounts()).reduce((sum, count) => sum + count, 0);
}

/** Rows up to and with the last that is not in TIME-WAIT: records come last. */
function live(stack: StackApi): number {
  return total(stack) - (stack.stateCounts()['TIME-WAIT'] ?? 0);
}

/** Listeners and connections by family. A record that waits for a FIN is neither. */
function families(stack: StackApi): { v4: number; v6: number } {
  const rows = stack.sockets(live(stack)).filter((row) => row.timer !== 'timewait');
  const v4 = rows.filter((row) => row.local.family === 4).length;
  return { v4, v6: rows.length - v4 };
}

/** Joins the control socket to a new connection of the stack. */
function relay(session: Session, socket: Socket, request: { host: string; port: number }): void {
  const refuse = (error: unknown): void =>
    void socket.end(`${JSON.stringify({ ok: false, error: lineOf(error) })}\n`);
  let peer;
  try {
    peer = session.network.connect({ host: request.host, port: request.port, allowHalfOpen: true });
  } catch (error) {
    refuse(error);
    return;
  }
  const connection = peer;
  connection.once('error', refuse);
  // Whoever was here has gone: what came from there still goes out, as from a program that ends.
  socket.once('close', () => connection.destroySoon());
  connection.once('connect', () => {
    connection.off('error', refuse);
    const id = ++session.relays;
    session.outcomes.set(id, outcomeOf(connection));
    for (const old of session.outcomes.keys()) if (old <= id - OUTCOMES) session.outcomes.delete(old);
    // The other side asks for the `outcome` and learns why.
    connection.once('error', () => socket.destroy());
    socket.write(`${JSON.stringify({ ok: true, id })}\n`);
    socket.pipe(connection);
    connection.pipe(socket);
  });
}

function outcomeOf(connection: ReturnType<Network['connect']>): Promise<Outcome> {
  return new Promise((resolve) => {
    let failure: string | null = null;
    connection.once('error', (error: Error) => (failure = error.message));
    connection.once('close', () => {
      const { bytesRead, bytesWritten } = connection;
      resolve({ failure, bytesRead, bytesWritten });
    });
  });
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
