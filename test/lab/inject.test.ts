/** Packets of the lab's own among those received. */
import t from 'tap';
import { InjectLink } from '../../src/lab/inject.js';
import { memoryLink } from '../../src/link/memory.js';
import { PacketRing } from '../../src/wire/ring.js';
import { packet, received, send } from '../link/packets.js';

t.test('injected packets arrive before those of the wire, with a call to the listener', async (t) => {
  const [far, near] = memoryLink();
  const link = new InjectLink(near);
  let calls = 0;
  link.onReadable(() => calls++);
  t.equal(link.nextDeadline(0), -1);
  send(far, packet(1, 40));
  const before = calls;
  link.inject(packet(2, 50));
  link.inject(packet(3, 60));
  t.equal(calls, before + 2);
  t.equal(link.nextDeadline(0), 0, 'something waits');
  t.same(received(link), [packet(2, 50), packet(3, 60), packet(1, 40)]);
  t.equal(link.nextDeadline(0), -1);
});

t.test('a full ring leaves them waiting', async (t) => {
  const [, near] = memoryLink();
  const link = new InjectLink(near);
  for (let i = 0; i < 5; i++) link.inject(packet(i, 40));
  const ring = new PacketRing(2, 1500);
  t.equal(link.receive(ring), 2);
  t.equal(link.receive(ring), 0);
  t.same(received(link), [packet(2, 40), packet(3, 40), packet(4, 40)]);
});

t.test('what goes out is untouched', async (t) => {
  const [far, near] = memoryLink();
  const link = new InjectLink(near);
  t.equal(send(link, packet(7, 100)), 1);
  t.same(received(far), [packet(7, 100)]);
});

t.test("a programmer's mistakes throw", async (t) => {
  const [, near] = memoryLink({ mtu: 100 });
  const link = new InjectLink(near);
  t.throws(() => link.inject(packet(0, 101)), RangeError);
  for (let i = 0; i < 1024; i++) link.inject(packet(0, 40));
  t.throws(() => link.inject(packet(0, 40)), RangeError);
});
