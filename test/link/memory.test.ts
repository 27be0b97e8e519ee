import t from 'tap';
import { PacketRing } from '../../src/wire/ring.js';
import { memoryLink } from '../../src/link/memory.js';
import { packet, put, received, send } from './packets.js';

t.test('what one end transmits the other receives, in order, as copies', async (t) => {
  const [a, b] = memoryLink();
  const tx = new PacketRing(4, 100);
  put(tx, packet(1, 20));
  put(tx, packet(2, 100));
  t.equal(a.transmit(tx), 2);
  t.equal(tx.count, 0, 'the ring is empty again');
  tx.bytes.fill(0xee);
  t.equal(b.waiting, 2);
  t.same(received(b), [packet(1, 20), packet(2, 100)]);
  t.same(received(b), []);
  t.same(received(a), [], 'nothing comes back');
  send(b, packet(3, 40));
  t.same(received(a), [packet(3, 40)], 'the other way');
});

t.test('a receiving ring that is full leaves the rest for later', async (t) => {
  const [a, b] = memoryLink();
  for (let i = 0; i < 5; i++) send(a, packet(i, 30));
  const rx = new PacketRing(2, 1500);
  t.equal(b.receive(rx), 2);
  t.equal(b.receive(rx), 0);
  t.equal(b.waiting, 3);
  rx.clear();
  t.equal(b.receive(rx), 2);
  t.same(rx.bytes.slice(rx.offsetOf(0), rx.offsetOf(0) + 30), packet(2, 30));
});

t.test('over capacity and over the MTU packets are dropped and counted, never queued', async (t) => {
  const [a, b] = memoryLink({ capacity: 4, mtu: 50 });
  t.equal(a.mtu, 50);
  send(a, packet(9, 51));
  t.equal(b.dropped, 1);
  for (let i = 0; i < 6; i++) send(a, packet(i, 50));
  t.equal(b.waiting, 4);
  t.equal(b.dropped, 3);
  t.equal(a.dropped, 0);
  t.same(
    received(b).map((bytes) => bytes[0]),
    [0, 1, 2, 3],
  );
});

t.test('a packet larger than the slots of the receiver is lost, not cut', async (t) => {
  const [a, b] = memoryLink();
  send(a, packet(1, 200));
  send(a, packet(2, 100));
  const rx = new PacketRing(4, 150);
  t.equal(b.receive(rx), 1);
  t.equal(rx.lengthOf(0), 100);
  t.equal(b.dropped, 1);
});

t.test('the listener hears of packets, and of nothing else', async (t) => {
  const [a, b] = memoryLink();
  let calls = 0;
  b.onReadable(() => calls++);
  a.transmit(new PacketRing(4, 100));
  t.equal(calls, 0, 'an empty ring');
  send(a, packet(1, 20));
  t.equal(calls, 1);
  send(b, packet(1, 20));
  t.equal(calls, 1, 'what it sends itself');
  b.onReadable(null);
  send(a, packet(1, 20));
  t.equal(calls, 1);
});

t.test('a closed end swallows', async (t) => {
  const [a, b] = memoryLink();
  send(a, packet(1, 20));
  b.close();
  b.close();
  t.same(received(b), []);
  const tx = new PacketRing(4, 100);
  put(tx, packet(1, 20));
  t.equal(a.transmit(tx), 1);
  t.same(received(b), []);
  put(tx, packet(1, 20));
  t.equal(b.transmit(tx), 1);
  t.same(received(a), []);
});
