/** Text that is read in its packet leaves no byte on the heap: heap statistics of a process of its own, no clock. */
import t from 'tap';
import { inChild } from '../../bench/child.js';

t.test('a segment with text in, and its ACK out; 64 KB lent, sent and acknowledged', async (t) => {
  const { received, kept, lent } = await inChild({ part: 'text' });
  t.ok(received < 8, `${received} bytes a segment; the smallest object has 16`);
  t.ok(kept < 8, `${kept} bytes a segment whose text is copied`);
  t.ok(lent < 400, `${lent} bytes a write of 64 KB`);
});
