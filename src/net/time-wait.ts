/** TIME-WAIT of a network's stack: its records, and the policy that rules. */
import type { SocketRow, StackApi } from '../stack/api.js';
import { policyMistake, type Guarded, type Policy, type PolicyFailure } from '../stack/policies.js';

export class TimeWait {
  private guarded: readonly PolicyFailure[] = [];

  constructor(
    private readonly stack: StackApi,
    private readonly guard: (policy: Policy) => Guarded,
  ) {}

  /** The records, at most `limit`. */
  list(limit = 100_000): SocketRow[] {
    const counts = this.stack.stateCounts();
    const others = Object.entries(counts).reduce(
      (sum, [state, count]) => (state === 'TIME-WAIT' ? sum : sum + count),
      0,
    );
    const rows = this.stack.sockets(others + limit).filter((row) => row.state === 'TIME-WAIT');
    return rows.slice(0, limit);
  }

  /**
   * Name of the policy that rules. Takes a name, or a policy of your own, which is guarded.
   * Throws a RangeError for an unknown name (and tells the nearest) or a preset out of range, a
   * TypeError for an object that is no policy.
   */
  get policy(): string {
    return this.stack.policyName;
  }

  set policy(policy: string | Policy) {
    if (typeof policy === 'string') {
      const message = this.stack.setPolicy(policy);
      if (message !== null) throw new RangeError(message);
      this.guarded = [];
      return;
    }
    const mistake = policyMistake(policy);
    if (mistake !== null) throw new TypeError(`policy: ${mistake}`);
    const { policy: safe, failures } = this.guard(policy);
    this.stack.usePolicy(safe);
    this.guarded = failures;
  }

  /** What hooks of your own did wrong since their policy was set here: at most three rows a hook, counts go on. */
  get failures(): readonly PolicyFailure[] {
    return this.guarded;
  }
}
