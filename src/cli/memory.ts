/** What a running stack has decided of late, for `timewait explain --control`. */
import type { Network } from '../net/network.js';
import { findReason, reasonComment } from '../reasons.js';
import type { Decision } from '../stack/api.js';
import { isTuple, type TuplePattern } from './tuple.js';

/** A decision with the time of day. */
export interface RememberedDecision extends Omit<Decision, 'time'> {
  /** ms since 1970. */
  readonly at: number;
  /** `id: text [source]`, as the packet's comment has it; only this stack knows the reasons of its own policies. */
  readonly comment: string;
}

/** Decisions kept; the oldest are forgotten first. About half a KiB each. */
const LIMIT = 16_384;

/**
 * The last decisions of a network. Costs nothing before `start`: from then on the engine
 * writes down every decision as text.
 */
export class DecisionMemory {
  started = false;
  /** Decisions forgotten because newer ones came. */
  forgotten = 0;
  private readonly ring: RememberedDecision[] = [];
  /** Place of the oldest once the ring is full. */
  private next = 0;

  constructor(private readonly network: Network) {}

  start(): void {
    if (this.started) return;
    this.started = true;
    this.network.on('decision', (decision) => this.take(decision));
  }

  private take({ time, ...rest }: Decision): void {
    const { clock } = this.network.driver;
    const { seconds, nanoseconds } = clock.wall();
    const at = seconds * 1000 + Math.floor(nanoseconds / 1e6) - ((clock.now() - time) | 0);
    const number = findReason(rest.reason);
    const comment = number === null ? rest.reason : reasonComment(number);
    const remembered = { at, ...rest, comment };
    if (this.ring.length < LIMIT) this.ring.push(remembered);
    else {
      this.ring[this.next] = remembered;
      this.next = (this.next + 1) % LIMIT;
      this.forgotten++;
    }
  }

  /** In the order in which they were made; of one tuple, or all. */
  list(tuple: TuplePattern | null): RememberedDecision[] {
    return [...this.ring.slice(this.next), ...this.ring.slice(0, this.next)].filter(
      ({ local, remote }) => tuple === null || isTuple(tuple, local, remote),
    );
  }

  /** Tuples that there are decisions on. */
  tuples(): (readonly [Decision['local'], Decision['remote']])[] {
    const found = new Map<string, readonly [Decision['local'], Decision['remote']]>();
    for (const { local, remote } of this.ring)
      found.set(`${local.address} ${local.port} ${remote.address} ${remote.port}`, [local, remote]);
    return [...found.values()];
  }
}
