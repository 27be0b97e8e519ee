/** A worker's program for tests: the server behind a NAT of lab/two-kernels.ts, which says what it decided. */
import { createNetwork } from '../../src/index.js';
import { TWO_KERNELS, serveBye } from '../../src/lab/two-kernels.js';
import type { Seat, WorkerProgram } from '../../src/workers/seat.js';
import type { Decision } from '../../src/stack/api.js';

export interface Told {
  /** Since the last time. */
  readonly decisions: readonly Decision[];
  /** In all. */
  readonly accepted: number;
}

export default async function serve({ link, clock, stack }: Seat, data: unknown): Promise<WorkerProgram> {
  const { policy } = data as { readonly policy: string };
  const addresses = [`${TWO_KERNELS.server}/24`];
  const network = createNetwork({ link, clock, policy, stack: { addresses, ...stack } });
  const decisions = await serveBye(network);
  return {
    network,
    answer: (): Told => ({
      decisions: decisions.splice(0),
      accepted: network.stack.counters.get('TcpPassiveOpens'),
    }),
  };
}
