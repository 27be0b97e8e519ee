/** A verdict costs no allocation, nor does carrying it out: heap statistics of a process of its own, no clock. */
import t from 'tap';
import { inChild } from '../../bench/child.js';
import { policies } from '../../src/timewait/policies/registry.js';

/** Bytes per operation; the smallest object has 16. */
const LIMIT = 1;

t.test('no step of a segment for a record leaves a byte on the heap', async (t) => {
  const measured = await inChild({ part: 'allocation' });
  for (const { name } of policies) {
    const { replies, ...bytes } = measured[name]!;
    const over = Object.entries(bytes).filter(([, perOperation]) => !(perOperation < LIMIT));
    t.same(over, [], `${name}: bytes per look-up, verdict and hook`);
    t.ok(name === 'none' || replies > 0, `${name}: the verdicts were carried out, ${replies} answers`);
  }
  t.equal(Object.keys(measured).length, policies.length);
});
