import fc from 'fast-check';
import t from 'tap';
import { readFileSync } from 'node:fs';
import { native } from '../../src/link/native.js';

const loaded = native();
if (!loaded.ok) {
  t.plan(0, `${loaded.reason}: ${loaded.cure}`);
} else {
  const { discard } = loaded.addon;

  t.test('the words of any range are 0 afterwards, and no others change', async (t) => {
    const words = 20_000;
    const range = fc.tuple(fc.nat(words), fc.nat(words), fc.boolean());
    fc.assert(
      fc.property(range, ([one, other, shared]) => {
        const buffer = shared ? new SharedArrayBuffer(4 * words) : new ArrayBuffer(4 * words);
        const all = new Int32Array(buffer).fill(-1);
        const [from, to] = [Math.min(one, other), Math.max(one, other)];
        discard(new Int32Array(buffer, 4 * from, to - from));
        return all.every((word, at) => word === (at >= from && at < to ? 0 : -1));
      }),
      { numRuns: 300 },
    );
    t.pass('300 ranges');
  });

  t.test('the memory goes back at once, and comes again when it is written', async (t) => {
    const size = 1 << 26;
    const block = new Int32Array(new SharedArrayBuffer(size));
    const before = resident();
    block.fill(7);
    t.ok(resident() - before > 0.9 * size, `${resident() - before} bytes more`);
    discard(block);
    t.ok(resident() - before < 0.1 * size, `${resident() - before} bytes more`);
    block.fill(8, 0, 10);
    t.equal(block[9], 8);
    t.equal(block[10], 0);
  });

  t.test('what is no block is refused', async (t) => {
    const call = discard as (...args: unknown[]) => void;
    t.throws(() => call(), { code: 'ERR_MISSING_ARGS' });
    for (const wrong of [7, {}, new Uint8Array(8), new Float64Array(8), new ArrayBuffer(8)]) {
      t.throws(() => call(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
    call(new Int32Array(0));
  });
}

/** Bytes of this process in memory. */
function resident(): number {
  return 4096 * Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[1]);
}
