/** Several machines behind one NAT: each gets its own answers, whatever their addresses; nothing is lost when a link is busy. */
import t from 'tap';
import { NatSwitch } from '../../src/lab/nat.js';
import { chooseRoles, type Look } from '../../src/lab/two-kernels.js';
import type { Link } from '../../src/link/link.js';
import { memoryLink } from '../../src/link/memory.js';
import { Nat } from '../../src/sim/nat.js';
import { ManualClock } from '../../src/time/clock.js';
import { PacketRing } from '../../src/wire/ring.js';
import { put, received, send } from '../link/packets.js';
import { packet, read } from './packets.js';

const SERVER = '198.51.100.2';
const OUTSIDE = '203.0.113.7';
const PRIVATE = '192.168.1.2';

interface Bench {
  readonly ours: NatSwitch;
  readonly machines: readonly Link[];
  readonly clock: ManualClock;
}

function bench(count = 2, wrap: (link: Link) => Link = (link) => link): Bench {
  const pairs = Array.from({ length: count }, () => memoryLink());
  const clock = new ManualClock();
  const nat = new Nat({ outside: OUTSIDE, choice: 'preserve', seed: 1, now: 0 });
  return {
    ours: new NatSwitch({ insides: pairs.map(([, inner]) => wrap(inner)), nat, clock }),
    machines: pairs.map(([outer]) => outer),
    clock,
  };
}

void t.test('two machines with one address and one port, each hears its own answer', async (t) => {
  const { ours, machines } = bench();
  const [a, b] = machines as [Link, Link];
  send(a, packet(PRIVATE, 4000, SERVER, 80, 'S 1:1(0)'));
  send(b, packet(PRIVATE, 4000, SERVER, 80, 'S 2:2(0)'));
  t.same(received(ours).map(read), [
    `${OUTSIDE}:4000 > ${SERVER}:80 S 1:1(0) win 65535`,
    `${OUTSIDE}:1024 > ${SERVER}:80 S 2:2(0) win 65535`,
  ]);
  send(
    ours,
    packet(SERVER, 80, OUTSIDE, 1024, 'S. 5:5(0) ack 3'),
    packet(SERVER, 80, OUTSIDE, 4000, 'S. 5:5(0) ack 2'),
  );
  t.match(received(a).map(read), [/> 192.168.1.2:4000 S. 5:5\(0\) ack 2/]);
  t.match(received(b).map(read), [/> 192.168.1.2:4000 S. 5:5\(0\) ack 3/]);
});

void t.test('what cannot be translated is dropped, both ways', async (t) => {
  const { ours, machines } = bench();
  send(
    machines[0]!,
    packet('fd00::1', 1, 'fd00::2', 80, 'S 1:1(0)'),
    packet(PRIVATE, 1, SERVER, 80, 'R 1:1(0)'),
  );
  t.same(received(ours), []);
  t.equal(send(ours, packet(SERVER, 80, OUTSIDE, 4000, 'S. 5:5(0) ack 3')), 1, 'taken');
  t.same(
    machines.flatMap((link) => received(link)),
    [],
  );
});

void t.test('the clock counts: a flow is forgotten', async (t) => {
  const { ours, machines, clock } = bench();
  send(machines[1]!, packet(PRIVATE, 4000, SERVER, 80, 'S 1:1(0)'));
  received(ours);
  clock.advance(120_000);
  send(ours, packet(SERVER, 80, OUTSIDE, 4000, 'S. 5:5(0) ack 2'));
  t.same(received(machines[1]!), []);
});

void t.test('a gate sees packets as the machine sent them, and may lose them', async (t) => {
  const { ours, machines } = bench();
  const seen: string[] = [];
  ours.gate = (inside, bytes, offset, length) => {
    seen.push(`${inside} ${read(bytes.slice(offset, offset + length)).split(' ')[0]}`);
    return inside === 1;
  };
  for (const link of machines) send(link, packet(PRIVATE, 4000, SERVER, 80, 'S 1:1(0)'));
  t.equal(received(ours).length, 1);
  t.same(seen, [`0 ${PRIVATE}:4000`, `1 ${PRIVATE}:4000`]);
  t.equal(ours.nat.size, 1);
});

void t.test('a small ring takes what fits; the rest waits, in order, and says so', async (t) => {
  const { ours, machines } = bench(1);
  for (let port = 1; port <= 50; port++)
    send(machines[0]!, packet(PRIVATE, 2000 + port, SERVER, 80, 'S 1:1(0)'));
  const ring = new PacketRing(8, 1500);
  t.equal(ours.receive(ring), 8);
  t.equal(ours.receive(ring), 0, 'full');
  t.equal(ours.nextDeadline(0), 0, 'more is there');
  ring.clear();
  const rest = received(ours);
  t.same(
    rest.map((bytes) => read(bytes).split(' ')[0]),
    Array.from({ length: 42 }, (_, i) => `${OUTSIDE}:${2009 + i}`),
  );
  t.equal(ours.nextDeadline(0), -1);
});

void t.test('a machine that never stops does not keep the others out', async (t) => {
  const { ours, machines } = bench(2);
  const ring = new PacketRing(4, 1500);
  const from = new Set<string>();
  for (let round = 0; round < 4; round++) {
    machines.forEach((link, i) => {
      for (let n = 0; n < 4; n++) send(link, packet(PRIVATE, 3000 + i, SERVER, 80, 'S 1:1(0)'));
    });
    ours.receive(ring);
    for (let i = 0; i < ring.count; i++)
      from.add(read(ring.bytes.slice(ring.offsetOf(i), ring.offsetOf(i) + ring.lengthOf(i))).split(' ')[0]!);
    ring.clear();
  }
  t.same([...from].sort(), [`${OUTSIDE}:3000`, `${OUTSIDE}:3001`]);
});

/** A link that takes nothing while told so. */
class Busy {
  static busy = true;
  static wrap(link: Link): Link {
    return Object.assign(Object.create(link) as Link, {
      transmit: (ring: PacketRing) => (Busy.busy ? 0 : link.transmit(ring)),
    });
  }
}

void t.test('a busy machine: packets wait for it, each translated once', async (t) => {
  const { ours, machines } = bench(1, (link) => Busy.wrap(link));
  Busy.busy = true;
  send(machines[0]!, packet(PRIVATE, 4000, SERVER, 80, 'S 1:1(0)'));
  received(ours);
  const ring = new PacketRing(256, 1500);
  for (let i = 0; i < 200; i++) put(ring, packet(SERVER, 80, OUTSIDE, 4000, `. ${i}:${i}(0) ack 2`));
  t.equal(ours.transmit(ring), 128, 'as many as may wait');
  t.equal(ours.transmit(ring), 0);
  t.equal(ring.count, 72);
  t.ok(ours.nextDeadline(0) > 0, 'wants another turn, not at once');
  Busy.busy = false;
  t.equal(ours.transmit(ring), 72);
  const heard = received(machines[0]!).map((bytes) => Number(/ \. (\d+):/.exec(read(bytes))![1]));
  t.same(
    heard,
    Array.from({ length: 200 }, (_, i) => i),
  );
  t.equal(ours.nat.counters.translated, 201);
});

void t.test('no insides, no switch', async (t) => {
  const nat = new Nat({ outside: OUTSIDE, choice: 'preserve', seed: 1, now: 0 });
  t.throws(() => new NatSwitch({ insides: [], nat, clock: new ManualClock() }), {
    message: 'insides: at least one link',
  });
});

void t.test(
  'roles by clocks: round the wrap, never at odds with half the circle, never on one port',
  async (t) => {
    const look = (side: 0 | 1, localPort: number, clock: number): Look => ({
      side,
      localPort,
      clock,
      localAddress: PRIVATE,
    });
    const hour = 3_600_000;
    const near = 2 ** 31 - hour;
    const good = chooseRoles([look(0, 1, near), look(1, 2, (near + 2 * hour) | 0), look(1, 3, near - hour)]);
    t.match(good, { behind: { localPort: 3 }, ahead: { localPort: 2 } });
    t.equal(chooseRoles([look(0, 1, 0), look(1, 2, hour), look(1, 1, -hour)]), null, 'the same port');
    t.equal(chooseRoles([look(0, 1, 0), look(1, 2, hour), look(1, 3, -1000)]), null, 'too near');
    t.equal(chooseRoles([look(0, 1, 0), look(1, 2, hour), look(1, 3, -(2 ** 31))]), null, 'no order');
    t.equal(chooseRoles([look(0, 1, 0), look(1, 2, hour), look(0, 3, -hour)]), null, 'the same machine');
  },
);
