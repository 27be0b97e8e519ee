/** Inactivity timers against a naive list: same timers fire, in the same millisecond. */
import * as fc from 'fast-check';
import t from 'tap';
import { IdleTimer, IdleTimers } from '../../src/net/idle.js';

type Step =
  | { kind: 'set'; timer: number; period: number }
  | { kind: 'touch'; timer: number }
  | { kind: 'pass'; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), timer: fc.nat(4), period: fc.nat(500) }),
  fc.record({ kind: fc.constant('touch' as const), timer: fc.nat(4) }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(300) }),
);

void t.test('every silence as long as the period fires once', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, start) => {
      let now = start | 0;
      let elapsed = 0;
      const fired: string[] = [];
      const expected: string[] = [];
      const timers = new IdleTimers(now);
      const idle = Array.from({ length: 5 }, (_, i) => new IdleTimer(() => fired.push(`${i}@${elapsed}`)));
      // The oracle: period and moment of the last activity, null when off or fired.
      const naive = idle.map(() => ({ period: 0, since: null as number | null }));
      for (const each of steps) {
        if (each.kind === 'set') {
          timers.set(idle[each.timer]!, each.period, now);
          naive[each.timer] = { period: each.period, since: each.period > 0 ? elapsed : null };
        } else if (each.kind === 'touch') {
          timers.touch(idle[each.timer]!, now);
          const timer = naive[each.timer]!;
          if (timer.period > 0) timer.since = elapsed;
        } else {
          for (let i = 0; i < each.ms; i++) {
            now = (now + 1) | 0;
            elapsed++;
            const next = timers.nextDeadline(now);
            naive.forEach((timer, index) => {
              if (timer.since === null || elapsed - timer.since < timer.period) return;
              timer.since = null;
              expected.push(`${index}@${elapsed}`);
              if (next !== 0) throw new Error(`due, but the next deadline is ${next}`);
            });
            timers.advance(now);
          }
        }
      }
      // Timers of one millisecond fire in the order of arming, which the oracle does not know.
      return JSON.stringify(fired.sort()) === JSON.stringify(expected.sort());
    }),
    { numRuns: 300 },
  );
  t.pass('300 runs');
  t.end();
});
