/** A worker's program for tests: a server that closes first, and the tuples that this worker's engine knows. */
import { createNetwork } from '../../src/index.js';
import type { Seat, WorkerProgram } from '../../src/workers/seat.js';
import type { SocketRow } from '../../src/stack/api.js';

export interface ServerData {
  readonly addresses: readonly string[];
  readonly port: number;
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
  const { addresses, port, policy } = data as ServerData;
  const network = createNetwork({ link, clock, policy, stack: { addresses, ...stack } });
  const server = network.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (bytes) => socket.end(bytes));
  });
  server.listen({ port, backlog: 4096 });
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
