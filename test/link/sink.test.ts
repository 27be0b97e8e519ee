import t from 'tap';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileSink, MemorySink } from '../../src/link/sink.js';
import { packet } from './packets.js';

const blocks = [packet(1, 10), packet(2, 25), packet(3, 40), packet(4, 5), packet(5, 16), packet(6, 32)];
const joined = Buffer.concat(blocks);

t.test('the file holds every block in order, whatever the buffer size', async (t) => {
  const directory = t.testdir();
  for (const size of [1, 16, 32, 64, 65_536]) {
    const path = join(directory, `${size}`);
    const sink = new FileSink(path, size);
    for (const block of blocks) {
      const scratch = block.slice();
      sink.write(scratch);
      scratch.fill(0);
    }
    sink.close();
    sink.close();
    t.same(readFileSync(path), joined, `buffer of ${size}`);
    t.equal(sink.error, null);
  }
});

t.test('flush makes the file whole before it is closed', async (t) => {
  const path = join(t.testdir(), 'capture');
  const sink = new FileSink(path);
  sink.write(blocks[0]!);
  t.equal(readFileSync(path).length, 0, 'gathered first');
  sink.flush();
  t.same(new Uint8Array(readFileSync(path)), blocks[0]);
  sink.flush();
  sink.close();
  t.equal(readFileSync(path).length, 10, 'nothing twice');
});

t.test('a path that cannot be opened is told at once', async (t) => {
  t.throws(() => new FileSink(join(t.testdir(), 'no', 'such')), { code: 'ENOENT' });
});

t.test(
  'a full disk ends the capture, not the program',
  { skip: !existsSync('/dev/full') && 'no /dev/full' },
  async (t) => {
    const sink = new FileSink('/dev/full', 16);
    for (const block of blocks) sink.write(block);
    t.match(sink.error, { code: 'ENOSPC' });
    sink.close();
  },
);

t.test('the memory sink keeps copies', async (t) => {
  const sink = new MemorySink();
  const scratch = packet(1, 10);
  sink.write(scratch);
  scratch.fill(0);
  sink.write(blocks[1]!);
  t.same(sink.bytes(), Buffer.concat([blocks[0]!, blocks[1]!]));
  t.equal(sink.blocks.length, 2);
  t.equal(sink.closed, false);
  sink.close();
  t.equal(sink.closed, true);
});
