/**
 * Networks under one virtual clock: hours pass in milliseconds, and the order of
 * events is the same in every run. Works with networks made with `manual: true`.
 *
 * Streams, promises and user code run on the event loop as always. Time stands still
 * until they and the networks have nothing more to do, then it jumps to the next
 * deadline.
 */
import { setImmediate as nextPass } from 'node:timers/promises';
import type { ManualClock } from '../time/clock.js';
import type { Network } from './network.js';

/** Passes of the event loop with nothing moved, before time goes on: streams hand work over by ticks. */
const QUIET_PASSES = 3;

export class VirtualTime {
  readonly clock: ManualClock;
  private readonly networks: Network[];

  constructor(clock: ManualClock, ...networks: Network[]) {
    this.clock = clock;
    this.networks = networks;
  }

  /** Everything that happens without time passing. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_PASSES; quiet++) {
      await nextPass();
      for (const network of this.networks) if (network.driver.turn(this.clock.now()) > 0) quiet = 0;
    }
  }

  /** Lets `ms` pass. */
  async sleep(ms: number): Promise<void> {
    let left = ms;
    await this.settle();
    while (left > 0) {
      const next = this.nextDeadline();
      const step = next < 0 ? left : Math.min(left, Math.max(1, next));
      this.clock.advance(step);
      left -= step;
      await this.settle();
    }
  }

  /** Lets time pass until the promise is settled; after `limit` ms of virtual time it gives up with an error. */
  async until<T>(promise: Promise<T>, limit = 3_600_000): Promise<T> {
    let done = false;
    const mark = (): void => {
      done = true;
    };
    promise.then(mark, mark);
    let passed = 0;
    for (;;) {
      await this.settle();
      if (done) return promise;
      const next = this.nextDeadline();
      if (next < 0 || passed >= limit) throw new Error(`nothing happened in ${passed} ms of virtual time`);
      const step = Math.min(Math.max(1, next), limit - passed);
      this.clock.advance(step);
      passed += step;
    }
  }

  /** ms until something is due in any network, -1 when nothing is. */
  private nextDeadline(): number {
    let earliest = -1;
    for (const network of this.networks) {
      const next = network.driver.closed ? -1 : network.driver.nextDeadline(this.clock.now());
      if (next >= 0 && (earliest < 0 || next < earliest)) earliest = next;
    }
    return earliest;
  }
}
