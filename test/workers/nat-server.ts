/** A worker's program for tests: the server behind a NAT of lab/two-kernels.ts, which says what it decided. */
import { createNetwork } from '../../src/index.js';
import { TWO_KERNELS } from '../../src/lab/two-kernels.js';
import type { Seat, WorkerProgram } from '../../src/workers/seat.js';
import type { Decision } from '../../src/stack/api.js';

export interface Told {
  /** Since the last time. */
  readonly decisions: readonly Decision[];
  /** In all. */
  readonly accepted: number;
}

export default function serve({ link, clock, stack }: Seat, data: unknown): WorkerProgram {
  const { policy } = data as { readonly policy: string };
  const addresses = [`${TWO_KERNELS.server}/24`];
  const network = createNetwork({ link, clock, policy, stack: { addresses, ...stack } });
  const decisions: Decision[] = [];
  network.on('decision', (decision: Decision) => decisions.push(decision));
  const server = network.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('bye\n');
    socket.resume();
  });
  server.listen(TWO_KERNELS.port);
  return {
    network,
    answer: (): Told => ({
      decisions: decisions.splice(0),
      accepted: network.stack.counters.get('TcpPassiveOpens'),
    }),
  };
}
