/** The addon below the link: hostile arguments, worker threads, offload. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { native } from '../../src/link/native.js';
import type { NativeAddon, TunQueue } from '../../src/link/native.js';
import { PARTS, PacketRing, SPAN } from '../../src/wire/ring.js';
import { deviceExists, inNamespace, ip } from './namespace.js';
import { echoRequest, isReply, replySequence } from './packets.js';

type Loose = (...args: unknown[]) => unknown;

function addon(): NativeAddon {
  const loaded = native();
  if (!loaded.ok) throw new Error(loaded.reason);
  return loaded.addon;
}

/** Writes one packet and waits for the next echo reply. */
async function exchange(queue: TunQueue, packet: Uint8Array): Promise<Uint8Array | null> {
  const bytes = new Uint8Array(2048);
  const lengths = new Int32Array(1);
  const offloads = new Int32Array(1);
  bytes.set(packet);
  lengths[0] = packet.length;
  queue.transmit(bytes, lengths, 0, 1, 1, 2048, offloads);
  for (let tries = 0; tries < 50; tries++) {
    bytes.fill(0xee);
    const reply = () => bytes.slice(0, lengths[0]);
    if (queue.receive(bytes, lengths, 0, 0, 1, 2048, offloads) === 1 && replySequence(reply()) >= 0)
      return reply();
    await delay(1);
  }
  return null;
}

/** A thread that opens a device, listens, and stays until it is ended or told to throw. */
const WORKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(({ TunLink }) => {
    globalThis.link = TunLink.open({ name: workerData.name });
    globalThis.link.onReadable(() => {});
    parentPort.once('message', () => { throw new Error('on purpose'); });
    parentPort.postMessage('open');
  });
`;

if (inNamespace(t, import.meta.url)) {
  t.test('arguments that would lead outside the arrays are refused', async (t) => {
    const queue = new (addon().TunQueue)('twargs', false, false);
    t.teardown(() => {
      queue.close();
    });
    const bytes = new Uint8Array(4 * 64);
    const lengths = new Int32Array(4);
    const offloads = new Int32Array(4);
    const cases: [string, unknown[], string][] = [
      ['no arguments', [], 'ERR_MISSING_ARGS'],
      ['one too few', [bytes, lengths, 0, 0, 4, 64], 'ERR_MISSING_ARGS'],
      ['offloads of another type', [bytes, lengths, 0, 0, 4, 64, bytes], 'ERR_INVALID_ARG_TYPE'],
      ['more slots than offloads', [bytes, lengths, 0, 0, 4, 64, new Int32Array(3)], 'ERR_OUT_OF_RANGE'],
      ['bytes of another type', [lengths, lengths, 0, 0, 4, 64, offloads], 'ERR_INVALID_ARG_TYPE'],
      ['bytes null', [null, lengths, 0, 0, 4, 64, offloads], 'ERR_INVALID_ARG_TYPE'],
      ['lengths of another type', [bytes, bytes, 0, 0, 4, 64, offloads], 'ERR_INVALID_ARG_TYPE'],
      ['lengths a Uint32Array', [bytes, new Uint32Array(4), 0, 0, 4, 64, offloads], 'ERR_INVALID_ARG_TYPE'],
      ['head negative', [bytes, lengths, -1, 0, 4, 64, offloads], 'ERR_OUT_OF_RANGE'],
      ['head = slots', [bytes, lengths, 4, 0, 4, 64, offloads], 'ERR_OUT_OF_RANGE'],
      ['count > slots', [bytes, lengths, 0, 5, 4, 64, offloads], 'ERR_OUT_OF_RANGE'],
      ['count NaN', [bytes, lengths, 0, NaN, 4, 64, offloads], 'ERR_OUT_OF_RANGE'],
      ['slots 0', [bytes, lengths, 0, 0, 0, 64, offloads], 'ERR_OUT_OF_RANGE'],
      ['slots 3', [bytes, lengths, 0, 0, 3, 64, offloads], 'ERR_OUT_OF_RANGE'],
      ['more slots than lengths', [bytes, lengths, 0, 0, 8, 16, offloads], 'ERR_OUT_OF_RANGE'],
      ['slots larger than bytes', [bytes, lengths, 0, 0, 4, 65, offloads], 'ERR_OUT_OF_RANGE'],
      ['slots x slotSize beyond 32 bits', [bytes, lengths, 0, 0, 4, 2 ** 30, offloads], 'ERR_OUT_OF_RANGE'],
      ['slotSize 0', [bytes, lengths, 0, 0, 4, 0, offloads], 'ERR_OUT_OF_RANGE'],
      ['slotSize a string', [bytes, lengths, 0, 0, 4, '64', offloads], 'ERR_INVALID_ARG_TYPE'],
    ];
    for (const [what, args, code] of cases) {
      t.throws(() => (queue.receive as Loose).apply(queue, args), { code }, `receive: ${what}`);
      t.throws(() => (queue.transmit as Loose).apply(queue, args), { code }, `transmit: ${what}`);
    }
    const spans = new Int32Array(4 * SPAN);
    for (const [what, args, code] of [
      ['spans of another type', [bytes, []], 'ERR_INVALID_ARG_TYPE'],
      ['more slots than spans', [new Int32Array(4 * SPAN - 1), []], 'ERR_OUT_OF_RANGE'],
      ['no texts', [spans], 'ERR_OUT_OF_RANGE'],
    ] as const)
      t.throws(
        () => (queue.transmit as Loose)(bytes, lengths, 0, 0, 4, 64, offloads, ...args),
        { code },
        `transmit: ${what}`,
      );
    t.equal(queue.receive(bytes, lengths, 3, 4, 4, 64, offloads), 0, 'a full ring is fine');
    t.throws(() => (queue.listen as Loose)(5), { code: 'ERR_INVALID_ARG_TYPE' });
    t.throws(
      () => (queue.receive as Loose).call({}, bytes, lengths, 0, 0, 4, 64, offloads),
      TypeError,
      'another this',
    );
    t.throws(
      () => (queue.close as Loose).call(Object.create(addon().TunQueue.prototype as object)),
      TypeError,
    );
    queue.close();
    t.throws(() => queue.receive(bytes, lengths, 0, 0, 4, 64, offloads), { code: 'ERR_CLOSED' });
  });

  for (const offload of [false, true])
    t.test(`text elsewhere is gathered, ${offload ? 'with' : 'without'} offload`, async (t) => {
      const device = offload ? 'twgatho' : 'twgath';
      const queue = new (addon().TunQueue)(device, offload, false);
      t.teardown(() => {
        queue.close();
      });
      ip(`addr add 10.88.0.1/24 dev ${device}`);
      ip(`link set ${device} up`);
      const packet = echoRequest(21, 1000);
      const ring = new PacketRing(2, 2048, true);
      ring.bytes.fill(0xee);
      ring.bytes.set(packet.subarray(0, 28), ring.tailOffset());
      const text = new Uint8Array(3000);
      text.set(packet.subarray(28, 500), 1);
      text.set(packet.subarray(500), 2000);
      ring.refer(text, 1, 472);
      ring.refer(text, 2000, packet.length - 500);
      ring.push(packet.length, 0);
      const send = (): number =>
        queue.transmit(
          ring.bytes,
          ring.lengths,
          ring.head,
          ring.count,
          ring.slots,
          ring.slotSize,
          ring.offloads,
          ring.spans,
          ring.texts,
        );
      t.equal(send(), 1);
      const bytes = new Uint8Array(2048);
      const lengths = new Int32Array(1);
      let reply: Uint8Array | null = null;
      for (let tries = 0; tries < 50 && reply === null; tries++) {
        if (
          queue.receive(bytes, lengths, 0, 0, 1, 2048, new Int32Array(1)) === 1 &&
          replySequence(bytes) === 21
        )
          reply = bytes.slice(0, lengths[0]);
        await delay(1);
      }
      t.same(reply?.subarray(28), packet.subarray(28), 'it came back whole');
      // What cannot be is lost, and nothing outside the arrays is read
      const before = queue.counters().oversize;
      const wrong: readonly (readonly [number, number, Uint8Array | null])[] = [
        [2999, 2, text],
        [~2999, 2, text],
        [0, -5, text],
        [0, 472, null],
        [0, packet.length, text],
      ];
      for (const [offset, length, array] of wrong) {
        ring.spans[1] = offset;
        ring.spans[2] = length;
        ring.texts[0] = array;
        t.equal(send(), 1);
      }
      ring.spans[0] = PARTS + 1;
      t.equal(send(), 1);
      t.equal(queue.counters().oversize - before, wrong.length + 1);
    });

  t.test('names and flags that cannot be', async (t) => {
    const Queue = addon().TunQueue as unknown as new (...args: unknown[]) => TunQueue;
    t.throws(() => new Queue('a'.repeat(16), false, false), { code: 'ERR_OUT_OF_RANGE' });
    t.throws(
      () => new Queue('\u00e4'.repeat(8), false, false),
      { code: 'ERR_OUT_OF_RANGE' },
      '16 bytes of UTF-8',
    );
    t.throws(() => new Queue('a\0b', false, false), { code: 'ERR_OUT_OF_RANGE' });
    t.throws(() => new Queue(undefined, false, false), { code: 'ERR_INVALID_ARG_TYPE' });
    t.throws(() => new Queue('tw', 10, false), { code: 'ERR_INVALID_ARG_TYPE' });
    t.throws(() => new Queue('tw', false, 1), { code: 'ERR_INVALID_ARG_TYPE' });
    t.throws(
      () => new Queue('a/b', false, false),
      { code: 'EINVAL', syscall: 'ioctl' },
      'the kernel decides about letters',
    );
    t.throws(() => (addon().TunQueue as unknown as Loose)('tw', false, false), TypeError, 'without new');
    const longest = new Queue('a'.repeat(15), false, false);
    t.equal(longest.name, 'a'.repeat(15));
    longest.close();
    const chosen = new Queue('', false, false);
    t.ok(deviceExists(chosen.name), `the kernel chose ${chosen.name}`);
    chosen.close();
  });

  t.test('with offload an ordinary packet is one', async (t) => {
    const queue = new (addon().TunQueue)('twvnet', true, false);
    t.teardown(() => {
      queue.close();
    });
    ip('addr add 10.88.0.1/24 dev twvnet');
    ip('link set twvnet up');
    const reply = await exchange(queue, echoRequest(11, 100));
    t.ok(reply !== null && isReply(reply, 11, 100));
  });

  t.test('worker threads: each has its own queues, and they end with their thread', async (t) => {
    const module = new URL('../../src/link/tun.js', import.meta.url).href;
    const start = async (name: string) => {
      const worker = new Worker(WORKER, { eval: true, workerData: { module, name } });
      worker.on('error', () => undefined);
      await once(worker, 'message');
      return worker;
    };
    const workers = await Promise.all([start('tww0'), start('tww1')]);
    t.ok(deviceExists('tww0') && deviceExists('tww1'));
    await Promise.all(workers.map((worker) => worker.terminate()));
    t.notOk(deviceExists('tww0') || deviceExists('tww1'), 'terminated');
    const failing = await start('tww2');
    // Told only now, and no once(): an error that comes while once() waits rejects it.
    const ended = new Promise((done) => failing.on('exit', done));
    failing.postMessage('throw');
    await ended;
    t.notOk(deviceExists('tww2'), 'ended by an exception');
  });
}
