/** Memory of tables that goes back without V8: what a host's `discard` is given, and what comes again. */
import t from 'tap';
import { getHeapStatistics } from 'node:v8';
import { FlowTable } from '../../src/stack/flow-table.js';
import { Blocks, UNTOLD } from '../../src/timewait/blocks.js';
import { RowPool } from '../../src/timewait/rows.js';

/** Blocks that remember what they gave back. */
function watched(): { blocks: Blocks; discarded: Int32Array[] } {
  const discarded: Int32Array[] = [];
  const blocks = new Blocks((block) => {
    block.fill(0);
    discarded.push(block);
  });
  return { blocks, discarded };
}

const isBlank = (block: Int32Array): boolean => block.every((word) => word === 0);

void t.test('a block that came back is the next of its size, and blank', (t) => {
  const { blocks, discarded } = watched();
  const one = blocks.take(1 << 15);
  const other = blocks.take(1 << 15);
  t.ok(one.length === 1 << 15 && isBlank(one));
  one.fill(5);
  blocks.give(one);
  t.equal(discarded.length, 1);
  t.not(blocks.take(1 << 16), one, 'not for another size');
  t.equal(blocks.take(1 << 15), one);
  t.ok(isBlank(one));
  t.not(blocks.take(1 << 15), one, 'and once');
  t.ok(isBlank(other));
  t.end();
});

void t.test('small ones are left to V8', (t) => {
  const { blocks, discarded } = watched();
  const small = blocks.take(64);
  small.fill(5);
  blocks.give(small);
  t.equal(discarded.length, 0);
  t.not(blocks.take(64), small);
  t.end();
});

void t.test('without a discard V8 is told, once for each 128 MiB', (t) => {
  const counted = (): number => getHeapStatistics().external_memory;
  const blocks = new Blocks();
  const before = counted();
  let most = 0;
  for (let bytes = 0; bytes < UNTOLD; bytes += 1 << 22) {
    t.ok(counted() - before < UNTOLD / 64, `${counted() - before} counted`);
    blocks.give(blocks.take(1 << 20));
    most = Math.max(most, counted() - before);
  }
  t.ok(most >= UNTOLD, `${most} counted in the end`);
  t.end();
});

void t.test('rows and slots: nobody writes what came back, all comes back, V8 is told nothing', (t) => {
  const { blocks, discarded } = watched();
  const pool = new RowPool(10, undefined, blocks);
  const rows: number[] = [];
  const table = new FlowTable(
    new Uint8Array(16).fill(3),
    { sameTuple: () => false, hashOf: (n) => Math.imul(n + 1, 0x9e3779b1) },
    blocks,
  );
  const hash = (n: number): number => Math.imul(n + 1, 0x9e3779b1);
  const counted = getHeapStatistics().external_memory;
  let wrong = 0;
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 150_000; n++) {
      const row = pool.take();
      const [chunk, at] = [pool.chunk(row), pool.offset(row)];
      chunk.fill(row, at, at + 10);
      rows.push(row);
      table.insert(hash(row), row);
    }
    for (let step = 0; rows.length > 0; step++) {
      const at = (step * 7919) % rows.length;
      const row = rows[at]!;
      const last = rows.pop()!;
      if (at < rows.length) rows[at] = last;
      const words = pool.chunk(row).subarray(pool.offset(row), pool.offset(row) + 10);
      if (!words.every((word) => word === row)) wrong++;
      table.remove(hash(row), row);
      pool.give(row);
    }
    t.ok(discarded.length > 20, `${discarded.length} blocks came back`);
    pool.clear();
    // What is still in use: the first chunk and the smallest table, both too small to be kept.
    t.ok(discarded.every(isBlank), 'all of them blank');
    discarded.length = 0;
  }
  t.equal(wrong, 0);
  const more = getHeapStatistics().external_memory - counted;
  t.ok(more < 1 << 20, `${more} bytes counted`);
  t.end();
});
