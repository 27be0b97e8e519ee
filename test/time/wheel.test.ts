import t from 'tap';
import fc from 'fast-check';
import { TimerWheel } from '../../src/time/wheel.js';

/** All ids that are due at `now`, in the order the wheel gives them. */
function drain(wheel: TimerWheel, now: number): number[] {
  const ids: number[] = [];
  for (let id = wheel.expire(now); id >= 0; id = wheel.expire(now)) ids.push(id);
  return ids;
}

/**
 * The naive wheel: a list sorted by (tick, order of arming). Times here are plain
 * numbers that never wrap; the wheel under test sees them as `| 0`.
 */
class SortedList {
  private entries: { id: number; tick: number; order: number }[] = [];
  private orders = 0;
  constructor(public position: number) {}

  arm(id: number, deadline: number): void {
    this.cancel(id);
    this.entries.push({ id, tick: Math.max(deadline, this.position), order: this.orders++ });
    this.entries.sort((a, b) => a.tick - b.tick || a.order - b.order);
  }
  cancel(id: number): void {
    this.entries = this.entries.filter((entry) => entry.id !== id);
  }
  isArmed(id: number): boolean {
    return this.entries.some((entry) => entry.id === id);
  }
  expire(now: number): number {
    const first = this.entries[0];
    if (first === undefined || first.tick > now) {
      this.position = now;
      return -1;
    }
    this.position = first.tick;
    this.entries.shift();
    return first.id;
  }
  get size(): number {
    return this.entries.length;
  }
  /** Tick of the earliest timer, undefined when there is none. */
  get first(): number | undefined {
    return this.entries[0]?.tick;
  }
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Starts where a slot of some level ends, the sign changes, or the clock wraps. */
const starts = [
  0, 1, 255, 0x3fff, 0x7ffffff0, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffff00, 0xfbffffff, 0xffffffff,
];

const delay = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc.integer({ min: 0, max: 70_000 }),
  fc.integer({ min: 0, max: 5 * HOUR }),
  fc.integer({ min: 0, max: 24 * DAY }),
);
const step = fc.oneof(
  fc.record({ op: fc.constant('arm' as const), id: fc.nat(200), delay }),
  fc.record({ op: fc.constant('cancel' as const), id: fc.nat(200), delay: fc.constant(0) }),
  fc.record({
    op: fc.constant('advance' as const),
    id: fc.nat(5),
    delay: fc.oneof(fc.nat(3), fc.nat(400), fc.nat(100_000), fc.nat(3 * HOUR), fc.nat(2 * DAY)),
  }),
  fc.record({ op: fc.constant('jump-to-next' as const), id: fc.nat(5), delay: fc.constant(0) }),
);

t.test('the wheel does what a sorted list does', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...starts),
      fc.array(step, { maxLength: 120, size: 'max' }),
      (start, steps) => {
        let now = start;
        const wheel = new TimerWheel(now, 4);
        const list = new SortedList(now);
        for (const { op, id, delay } of steps) {
          if (op === 'arm') {
            // Beyond the horizon: the position lags behind while due timers wait to be taken.
            if (now + delay - list.position >= 2 ** 31) continue;
            wheel.arm(id, (now + delay) | 0);
            list.arm(id, now + delay);
            if (wheel.deadlineOf(id) !== ((now + delay) | 0)) throw new Error('deadlineOf');
          } else if (op === 'cancel') {
            wheel.cancel(id);
            list.cancel(id);
          } else {
            if (op === 'advance') now += delay;
            else if (list.first !== undefined && list.first > now) now = list.first;
            // Take `id` timers only, or all of them (so that arming happens in the middle, too).
            for (let taken = 0; id === 0 || taken < id; taken++) {
              const want = list.expire(now);
              const got = wheel.expire(now | 0);
              if (got !== want) throw new Error(`expire(${now}): got ${got}, want ${want}`);
              if (want < 0) break;
            }
          }
          if (wheel.size !== list.size) throw new Error(`size ${wheel.size}, want ${list.size}`);
          if (wheel.isArmed(id) !== list.isArmed(id)) throw new Error('isArmed');
          const left = wheel.nextDeadline(now | 0);
          if (list.first === undefined) {
            if (left !== -1) throw new Error(`nextDeadline ${left} of an empty wheel`);
            continue;
          }
          const exact = Math.max(0, list.first - now);
          if (left < 0 || left > exact) throw new Error(`nextDeadline ${left}, the earliest is in ${exact}`);
        }
      },
    ),
    { numRuns: 5000 },
  );
});

t.test(
  'sleeping for nextDeadline again and again ends exactly at the deadline, after few wake-ups',
  async () => {
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.integer({ min: 1, max: 24 * DAY }), (start, wait) => {
        const wheel = new TimerWheel(start | 0);
        wheel.arm(3, (start + wait) | 0);
        let now = start;
        let wakeUps = 0;
        for (;;) {
          const left = wheel.nextDeadline(now | 0);
          now += left;
          wakeUps++;
          if (wheel.expire(now | 0) === 3) break;
          if (wakeUps > 5) throw new Error(`${wakeUps} wake-ups`);
        }
        if (now !== start + wait) throw new Error(`fired ${now - start - wait} ms off`);
      }),
    );
  },
);

t.test('nextDeadline is exact on the lowest level', async (t) => {
  const wheel = new TimerWheel(0);
  wheel.arm(0, 255);
  t.equal(wheel.nextDeadline(0), 255);
  t.equal(wheel.nextDeadline(200), 55);
  t.equal(wheel.nextDeadline(255), 0, 'due');
  t.equal(wheel.nextDeadline(400), 0, 'overdue');
  wheel.cancel(0);
  t.equal(wheel.nextDeadline(400), -1, 'empty');
});

t.test('a deadline at or before now fires at the next expire, before later ones', async (t) => {
  const wheel = new TimerWheel(1000);
  wheel.arm(1, 1001);
  wheel.arm(2, 1000);
  wheel.arm(3, -5000);
  t.same(drain(wheel, 1000), [2, 3]);
  t.same(drain(wheel, 1001), [1]);
  t.equal(wheel.size, 0);
});

t.test('re-arming moves a timer, cancelling twice is harmless', async (t) => {
  const wheel = new TimerWheel(0);
  wheel.arm(7, 10);
  wheel.arm(7, 20);
  t.equal(wheel.size, 1);
  t.same(drain(wheel, 19), []);
  t.same(drain(wheel, 20), [7]);
  wheel.arm(7, 30);
  wheel.cancel(7);
  wheel.cancel(7);
  wheel.cancel(100_000);
  t.equal(wheel.isArmed(7), false);
  t.equal(wheel.isArmed(100_000), false);
  t.equal(wheel.size, 0);
  t.same(drain(wheel, 1000), []);
});

t.test('timers of one tick fire in the order of arming, wherever they started', async (t) => {
  const wheel = new TimerWheel(0);
  const deadline = (40 * DAY) % 2 ** 31;
  wheel.arm(5, deadline);
  t.same(drain(wheel, deadline - 1000), []);
  wheel.arm(2, deadline);
  t.same(drain(wheel, deadline - 3), []);
  wheel.arm(9, deadline);
  t.same(drain(wheel, deadline), [5, 2, 9]);
});

t.test('arming while expiring: what is due by then fires in the same pass, in order', async (t) => {
  const wheel = new TimerWheel(0);
  wheel.arm(1, 10);
  wheel.arm(2, 30);
  t.equal(wheel.expire(100), 1);
  wheel.arm(3, 20);
  wheel.arm(4, 200);
  t.same(drain(wheel, 100), [3, 2]);
  t.same(drain(wheel, 199), []);
  t.same(drain(wheel, 200), [4]);
});

t.test('a jump of days over an empty and over a sparse wheel takes no walk', async (t) => {
  const wheel = new TimerWheel(0);
  let now = 0;
  const before = process.cpuUsage().user;
  for (let i = 0; i < 10_000; i++) {
    if (i % 2 === 0) wheel.arm(i & 63, (now + 20 * DAY) | 0);
    now = (now + 20 * DAY) | 0;
    drain(wheel, now);
  }
  t.equal(wheel.size, 0);
  // 1.7 * 10^13 ticks walked one by one would take days; a second is generous.
  t.ok(process.cpuUsage().user - before < 1_000_000, 'under a second of CPU for 10,000 jumps');
});

t.test('an empty wheel that slept longer than half the clock is brought up by sync', async (t) => {
  const wheel = new TimerWheel(0);
  const now = (30 * DAY) | 0;
  wheel.sync(now);
  wheel.arm(1, (now + 200) | 0);
  t.equal(wheel.nextDeadline(now) > 0, true);
  t.same(drain(wheel, (now + 199) | 0), []);
  wheel.sync((now + DAY) | 0);
  t.same(drain(wheel, (now + 200) | 0), [1], 'sync does not skip armed timers');
});

t.test('a clock that goes backwards fires nothing early and loses nothing', async (t) => {
  const wheel = new TimerWheel(1000);
  wheel.arm(1, 1100);
  t.same(drain(wheel, 900), []);
  t.same(drain(wheel, 1099), []);
  t.same(drain(wheel, 1000), []);
  t.same(drain(wheel, 1100), [1]);
});

t.test('ids beyond the capacity grow the columns and keep what is armed', async (t) => {
  const wheel = new TimerWheel(0, 1);
  for (let id = 0; id < 1000; id++) wheel.arm(id, 1000 - id);
  t.ok(wheel.capacity >= 1000);
  t.equal(wheel.size, 1000);
  t.same(
    drain(wheel, 1000),
    Array.from({ length: 1000 }, (_, i) => 999 - i),
  );
  wheel.ensure(5000);
  t.ok(wheel.capacity > 5000);
  t.throws(() => new TimerWheel(0, 0), RangeError);
});
