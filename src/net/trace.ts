/**
 * Turns the engine's logs of state changes and decisions into calls: to the socket
 * they concern, and to the network. The logs run only while somebody listens.
 *
 * A connection's changes before `accept` are kept until its socket exists; those
 * after `close` still reach the socket that had it, down to TIME-WAIT or CLOSED.
 */
import type { ConnectionHandle, Decision, Endpoint, StackApi, StateChange } from '../stack/api.js';

/** A socket as the tracer sees it. */
export interface Traced {
  onState(change: StateChange): void;
  onDecision(decision: Decision): void;
}

export interface TraceSink {
  onState(change: StateChange): void;
  onDecision(decision: Decision): void;
}

/** Connections whose changes are kept for a socket that may never come. */
const EARLY_LIMIT = 4096;

function flowKey(local: Endpoint, remote: Endpoint): string {
  return `${local.address} ${local.port} ${remote.address} ${remote.port}`;
}

export class Tracer {
  on = false;
  private readonly stack: StackApi;
  private sink: TraceSink | null = null;
  private readonly sockets = new Map<number, Traced>();
  private readonly flows = new Map<string, Traced>();
  private readonly early = new Map<number, StateChange[]>();

  constructor(stack: StackApi) {
    this.stack = stack;
  }

  /** Logs from now on, for good. */
  start(): void {
    if (this.on) return;
    this.on = true;
    this.stack.trace(true);
  }

  setSink(sink: TraceSink): void {
    this.sink = sink;
  }

  /** `socket` has this connection now; it is told what happened to it before. */
  adopt(connection: ConnectionHandle, socket: Traced): void {
    if (!this.on) return;
    this.sockets.set(connection.serial, socket);
    this.flows.set(flowKey(connection.local, connection.remote), socket);
    const changes = this.early.get(connection.serial);
    this.early.delete(connection.serial);
    for (const change of changes ?? []) socket.onState(change);
  }

  /** Hands out what was logged since the last call. */
  collect(): void {
    if (!this.on) return;
    for (const change of this.stack.takeStateChanges()) this.report(change);
    for (const decision of this.stack.takeDecisions()) {
      this.flows.get(flowKey(decision.local, decision.remote))?.onDecision(decision);
      this.sink?.onDecision(decision);
    }
  }

  private report(change: StateChange): void {
    const { serial } = change.connection;
    const socket = this.sockets.get(serial);
    if (socket !== undefined) socket.onState(change);
    else this.keep(serial, change);
    this.sink?.onState(change);
    if (change.to !== 'CLOSED' && change.to !== 'TIME-WAIT') return;
    this.early.delete(serial);
    if (!this.sockets.delete(serial)) return;
    const key = flowKey(change.connection.local, change.connection.remote);
    if (this.flows.get(key) === socket) this.flows.delete(key);
  }

  private keep(serial: number, change: StateChange): void {
    const changes = this.early.get(serial);
    if (changes !== undefined) changes.push(change);
    else this.early.set(serial, [change]);
    if (this.early.size <= EARLY_LIMIT) return;
    const oldest = this.early.keys().next();
    if (!oldest.done) this.early.delete(oldest.value);
  }
}
