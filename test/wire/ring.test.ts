import t from 'tap';
import fc from 'fast-check';
import { PacketRing } from '../../src/wire/ring.js';

t.test('sizes', async (t) => {
  for (const slots of [0, 3, 6, -1])
    t.throws(() => new PacketRing(slots, 10), { name: 'RangeError' }, `${slots}`);
  const ring = new PacketRing(1, 10);
  t.equal(ring.free, 1);
  t.equal(ring.bytes.length, 10);
});

t.test('behaves like an array of packets, however often it wraps', async (t) => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 16 }), reason: fc.nat(200) }),
    fc.record({ drop: fc.nat(9) }),
    fc.constant({ clear: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ring = new PacketRing(8, 16);
      let model: { mark: number; length: number; reason: number }[] = [];
      let mark = 0;
      for (const s of steps) {
        if ('push' in s) {
          if (ring.free === 0) continue;
          mark = (mark + 1) & 255;
          ring.bytes.fill(mark, ring.tailOffset(), ring.tailOffset() + s.push);
          ring.push(s.push, s.reason);
          model.push({ mark, length: s.push, reason: s.reason });
        } else if ('drop' in s) {
          const n = Math.min(s.drop, ring.count);
          ring.drop(n);
          model = model.slice(n);
        } else {
          ring.clear();
          model = [];
        }
        if (ring.count !== model.length || ring.free !== 8 - model.length) return false;
        const same = model.every((m, i) => {
          const at = ring.offsetOf(i);
          const bytes = ring.bytes.subarray(at, at + m.length);
          return (
            ring.lengthOf(i) === m.length &&
            ring.reasons[ring.slotOf(i)] === m.reason &&
            bytes.every((byte) => byte === m.mark)
          );
        });
        if (!same) return false;
      }
      return true;
    }),
  );
  t.pass();
});
