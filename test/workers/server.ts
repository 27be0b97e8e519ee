/**
 * A worker's program for tests: a server that closes first, on the engine as sockets would take most of the
 * time, and the tuples that this worker's engine knows.
 */
import { serveEngine } from '../../bench/wire/engine.js';
import { createNetwork } from '../../src/index.js';
import type { Seat, WorkerProgram } from '../../src/workers/seat.js';
import type { SocketRow } from '../../src/stack/api.js';

export interface ServerData {
  readonly addresses: readonly string[];
  readonly policy: string;
}

/** What one engine has seen. */
export interface Seen {
  /** Remote ends of its connections and records. */
  readonly remotes: readonly string[];
  readonly accepted: number;
  /** Segments for connections that it does not know. */
  readonly resets: number;
}

export default function serve({ link, clock, stack }: Seat, data: unknown): WorkerProgram {
  const { addresses, policy } = data as ServerData;
  const network = createNetwork({ link, clock, policy, stack: { addresses, ...stack } });
  serveEngine(network.driver);
  const far = ({ remote }: SocketRow): string => `${remote!.address} ${remote!.port}`;
  return {
    network,
    answer: (): Seen => ({
      remotes: network
        .sockets()
        .filter((row) => row.remote !== null)
        .map(far),
      accepted: network.stack.counters.get('TcpPassiveOpens'),
      resets: network.stack.counters.get('TcpOutRsts'),
    }),
  };
}
