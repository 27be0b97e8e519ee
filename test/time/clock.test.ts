import t from 'tap';
import { setTimeout as sleep } from 'node:timers/promises';
import { diff } from '../../src/seqnum.js';
import { ManualClock } from '../../src/time/clock.js';
import { RealClock } from '../../src/net/real-clock.js';

t.test('a manual clock moves when told, wraps, and carries its calendar along', async (t) => {
  const clock = new ManualClock(0x7fffff00, 1_700_000_000);
  t.equal(clock.now(), 0x7fffff00);
  t.same(clock.wall(), { seconds: 1_700_000_000, nanoseconds: 0 });
  clock.advance(0x100);
  t.equal(clock.now(), -0x80000000, 'int32, past the wrap');
  t.same(clock.wall(), { seconds: 1_700_000_000, nanoseconds: 256_000_000 });
  clock.set(-0x80000000 + 2000);
  t.equal(clock.now(), -0x80000000 + 2000);
  t.same(clock.wall(), { seconds: 1_700_000_002, nanoseconds: 256_000_000 });
  t.throws(() => clock.set(-0x80000000 + 1999), RangeError, 'never back');
  t.throws(() => clock.advance(-1), RangeError);
  t.throws(() => clock.advance(0.5), RangeError);
  clock.advance(100 * 86_400_000);
  t.equal(clock.wall().seconds, 1_700_000_002 + 100 * 86_400, 'the calendar does not wrap');
});

t.test('the real clock runs in milliseconds, beside the calendar', async (t) => {
  const clock = new RealClock();
  const now = clock.now();
  const wall = clock.wall();
  t.equal(now, now | 0);
  t.ok(Math.abs(wall.seconds + wall.nanoseconds / 1e9 - Date.now() / 1000) < 1, 'it is the time of day');
  await sleep(20);
  const passed = diff(clock.now(), now);
  const later = clock.wall();
  const wallPassed = (later.seconds - wall.seconds) * 1000 + (later.nanoseconds - wall.nanoseconds) / 1e6;
  t.ok(passed >= 18 && passed < 5000, `${passed} ms passed`);
  t.ok(Math.abs(wallPassed - passed) < 3, `${wallPassed} ms on the calendar`);
  for (let i = 0; i < 1000; i++) {
    const { nanoseconds } = clock.wall();
    if (!Number.isInteger(nanoseconds) || nanoseconds < 0 || nanoseconds >= 1e9) t.fail(`${nanoseconds} ns`);
  }
});
