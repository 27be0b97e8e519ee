import fc from 'fast-check';
import t from 'tap';
import { native } from '../../src/link/native.js';
import { naiveChecksum } from './packets.js';

const loaded = native();
if (!loaded.ok) {
  t.plan(0, `${loaded.reason}: ${loaded.cure}`);
} else {
  const { checksum } = loaded.addon;

  t.test('RFC 1071 section 3, the example', async (t) => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    t.equal(checksum(bytes, 0, 8, 0), 0xffff - 0xddf2);
  });

  t.test('equal to the naive sum for every range', async (t) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(200),
        fc.nat(200),
        fc.oneof(fc.nat(0xffff), fc.nat(0x7fffffff), fc.constant(2 ** 48)),
        (bytes, from, to, initial) => {
          const offset = Math.min(from, bytes.length);
          const length = Math.min(to, bytes.length - offset);
          return checksum(bytes, offset, length, initial) === naiveChecksum(bytes, offset, length, initial);
        },
      ),
      { numRuns: 5000 },
    );
    t.pass('5000 ranges');
  });

  t.test('edges: empty, odd, all ones, 64 KiB, a view into a larger buffer', async (t) => {
    t.equal(checksum(new Uint8Array(0), 0, 0, 0), 0xffff);
    t.equal(checksum(Uint8Array.of(0xab), 0, 1, 0), 0xffff - 0xab00);
    const ones = new Uint8Array(65536).fill(255);
    t.equal(checksum(ones, 0, 65536, 0), naiveChecksum(ones, 0, 65536, 0));
    t.equal(checksum(ones, 1, 65535, 0), naiveChecksum(ones, 1, 65535, 0));
    const buffer = Uint8Array.from({ length: 64 }, (_, i) => i * 5);
    const view = buffer.subarray(3, 40);
    t.equal(checksum(view, 2, 30, 0), naiveChecksum(buffer, 5, 30, 0));
  });

  t.test('ranges outside the array and other nonsense throw', async (t) => {
    const bytes = new Uint8Array(10);
    const call = checksum as (...args: unknown[]) => number;
    const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
    for (const [offset, length] of [
      [0, 11],
      [11, 0],
      [5, 6],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [NaN, 1],
      [0, Infinity],
      [2 ** 53, 1],
    ]) {
      t.throws(() => call(bytes, offset, length, 0), range, `offset ${offset}, length ${length}`);
    }
    t.throws(() => call(bytes, 0, 10, -1), range);
    t.throws(() => call(bytes, '0', 1, 0), { name: 'TypeError', message: 'offset must be a number' });
    t.throws(() => call([1, 2], 0, 1, 0), { name: 'TypeError', message: 'bytes must be a Uint8Array' });
    t.throws(() => call(new Uint16Array(4), 0, 1, 0), TypeError);
    t.throws(() => call(new ArrayBuffer(4), 0, 1, 0), TypeError);
    t.throws(() => call(null, 0, 1, 0), TypeError);
    t.throws(() => call(bytes, 0), { code: 'ERR_MISSING_ARGS' });
    const gone = new Uint8Array(10);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    t.throws(() => call(gone, 0, 10, 0), range, 'a buffer that was transferred away has no bytes');
  });
}
