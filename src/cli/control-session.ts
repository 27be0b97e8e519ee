/** What a control socket's requests find out about one network, and do to it. */
import type { Duplex } from 'node:stream';
import { counterNames } from '../mib.js';
import type { Network } from '../net/network.js';
import type { StackApi } from '../stack/api.js';
import { knobs } from '../stack/catalogue.js';
import { formatTuple } from '../view/exchange.js';
import type { Connect, Controlled, Explained, Outcome, Question } from './control.js';
import { lineOf } from './fail.js';
import { DecisionMemory } from './memory.js';
import { parseTuple } from './tuple.js';

/** Most rows of one `ss`: TIME-WAIT tables are large. */
export const ROWS = 1_000_000;
/** Ends of relayed connections that are kept until asked for; the oldest go first. */
const OUTCOMES = 1024;
/** Most tuples that `explain` names. */
export const TUPLES = 1000;

export class ControlSession implements Controlled {
  /** Counters as `nstat` showed them last: its next call without -a shows the difference. */
  private readonly shown = new Float64Array(counterNames.length);
  /** By number of the connection; a promise while it is open. */
  private readonly outcomes = new Map<number, Promise<Outcome>>();
  private lastRelay: number;
  private readonly step: number;
  private readonly memory: DecisionMemory;

  /**
   * `remember`: decisions are remembered at once, not from the first `explain` on. `place`: of a worker among
   * workers; numbers of connections tell by their remainder whose they are.
   */
  constructor(
    private readonly network: Network,
    remember = false,
    place: { readonly index: number; readonly workers: number } = { index: 0, workers: 1 },
  ) {
    this.lastRelay = place.index;
    this.step = place.workers;
    this.memory = new DecisionMemory(network);
    if (remember) this.memory.start();
  }

  async answer(request: Question): Promise<object> {
    const { stack } = this.network;
    // Timers that are due count as fired.
    this.network.driver.sync();
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
            values[i]! - (request.absolute === true ? 0 : this.shown[i]!),
          ]),
        );
        if (request.keep !== true) this.shown.set(values);
        return { ok: true, counters };
      }
      case 'set':
        return verdict(
          Number.isNaN(Number(request.value))
            ? `${request.name}: the value must be a number, got '${String(request.value)}'`
            : stack.setKnob(String(request.name), Number(request.value)),
        );
      case 'policy':
        return verdict(stack.setPolicy(String(request.name)));
      case 'explain':
        return this.remembered(request.tuple);
      case 'outcome': {
        const outcome = this.outcomes.get(request.id);
        if (outcome === undefined) return { ok: false, error: `no connection ${request.id}` };
        this.outcomes.delete(request.id);
        return { ok: true, outcome: await outcome };
      }
      default:
        return {
          ok: false,
          error: `unknown command '${String((request as { command?: unknown }).command)}'`,
        };
    }
  }

  private remembered(text: string | undefined): object {
    const { memory } = this;
    const tuple = text === undefined ? null : parseTuple(String(text));
    if (text !== undefined && tuple === null) return { ok: false, error: `no tuple: '${text}'` };
    const remembering = memory.started;
    memory.start();
    const explained: Explained = {
      policy: this.network.stack.policyName,
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

  connect(stream: Duplex, request: Connect): void {
    const refuse = (error: unknown): void =>
      void stream.end(`${JSON.stringify({ ok: false, error: lineOf(error) })}\n`);
    let peer;
    try {
      peer = this.network.connect({ host: request.host, port: request.port, allowHalfOpen: true });
    } catch (error) {
      refuse(error);
      return;
    }
    const connection = peer;
    connection.once('error', refuse);
    // Whoever was here has gone: what came from there still goes out, as from a program that ends.
    stream.once('close', () => connection.destroySoon());
    connection.once('connect', () => {
      connection.off('error', refuse);
      const id = (this.lastRelay += this.step);
      this.outcomes.set(id, outcomeOf(connection));
      for (const old of this.outcomes.keys()) if (old <= id - OUTCOMES * this.step) this.outcomes.delete(old);
      // The other side asks for the `outcome` and learns why.
      connection.once('error', () => stream.destroy());
      stream.write(`${JSON.stringify({ ok: true, id })}\n`);
      stream.pipe(connection);
      connection.pipe(stream);
    });
  }
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
