/** Twenty thousand closings under a virtual clock: as many records, each gone at its time, the memory given back. */
import t from 'tap';
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import { EV_CLOSED, EV_PEER_CLOSED } from '../../src/stack/api.js';
import { Reason } from '../../src/reasons.js';
import { Stack } from '../../src/stack/stack.js';

const COUNT = 20_000;
const TIME_WAIT = 240_000;

class Two {
  now = 0x7fff0000;
  readonly server = this.stack(1, '10.0.0.2/24');
  readonly client = this.stack(2, '10.0.0.1/24');

  private stack(seed: number, address: string): Stack {
    return new Stack({
      seed: new Uint8Array(32).fill(seed),
      addresses: [address],
      mtu: 1500,
      now: this.now | 0,
    });
  }

  /** Packets both ways until nobody has more to say. */
  settle(): void {
    for (let moved = 1; moved > 0;) {
      moved = this.carry(this.client, this.server) + this.carry(this.server, this.client);
    }
  }

  private carry(from: Stack, to: Stack): number {
    const { tx } = from;
    from.output(this.now | 0);
    const count = tx.count;
    for (let i = 0; i < count; i++) to.receive(tx.bytes, tx.offsetOf(i), tx.lengthOf(i), this.now | 0);
    tx.clear();
    return count;
  }

  pass(ms: number): void {
    this.now += ms;
    this.client.advance(this.now | 0);
    this.server.advance(this.now | 0);
    this.settle();
  }
}

/** One connection from a port of its own; the server closes first. */
function open(two: Two, listener: ListenerHandle, localPort: number): void {
  const near = two.client.connect({ address: '10.0.0.2', port: 80, localPort }) as ConnectionHandle;
  two.settle();
  const far = two.server.accept(listener);
  if (far === null) throw new Error(`connection ${localPort} was not accepted`);
  two.server.close(far);
  two.settle();
  if ((near.takeEvents() & EV_PEER_CLOSED) === 0) throw new Error(`connection ${localPort} saw no end`);
  two.client.close(near);
  two.settle();
  for (let each = two.server.poll(); each !== null; each = two.server.poll()) {
    if (each.kind === 'connection')
      t.equal(each.takeEvents() & EV_CLOSED, 0, 'nobody is told of a released handle');
  }
}

t.test('20,000 records: there, gone at their time, memory as before', (t) => {
  const two = new Two();
  const listener = two.server.listen({ port: 80 }) as ListenerHandle;
  const before = two.server.timeWait.memoryBytes;
  const start = two.now;
  for (let i = 0; i < COUNT; i++) {
    open(two, listener, 20_000 + i);
    // Every hundredth connection one millisecond passes: 200 expiries of 100 records each. The clock's sign changes meanwhile.
    if (i % 100 === 99) two.pass(1);
  }
  t.equal(two.server.timeWait.count, COUNT, 'as many records as closings');
  t.equal(two.server.connections, 0);
  t.equal(two.client.timeWait.count, 0, 'none where the peer closed second');
  t.ok(two.server.timeWait.memoryBytes > before);

  two.pass(start + TIME_WAIT - 1 - two.now);
  t.equal(two.server.timeWait.count, COUNT, 'a millisecond before 2*MSL all are there');
  for (let ms = 0; ms < COUNT / 100; ms++) {
    two.pass(1);
    if (two.server.timeWait.count !== COUNT - 100 * (ms + 1)) {
      t.fail(`after 2*MSL + ${ms} ms there are ${two.server.timeWait.count} records`);
      break;
    }
  }
  t.equal(two.server.timeWait.count, 0, 'each expired in its millisecond');
  t.equal(two.server.timeWait.memoryBytes, before, 'the memory is given back');
  t.equal(two.server.timers, 0);
  t.equal(two.client.timers, 0);
  t.equal(two.server.queuedBytes + two.client.queuedBytes, 0);
  t.end();
});

t.test('expiry in steps: a few each turn, and nobody meets a record whose time is over', (t) => {
  const two = new Two();
  const { server, client } = two;
  const listener = server.listen({ port: 80 }) as ListenerHandle;
  for (let i = 0; i < 1000; i++) open(two, listener, 20_000 + i);
  const expired = (): number => server.reasonCounts[Reason['tw-expired']]!;
  two.now += TIME_WAIT;
  const now = two.now | 0;
  server.advance(now, 100);
  t.equal(expired(), 100);
  t.equal(server.nextDeadline(now), 0, 'the next turn goes on with it');
  server.advance(now, 100);
  t.equal(expired(), 200);

  // The last record is still in the table: its tuple is free for a SYN all the same
  client.setKnob('net.ipv4.tcp_timestamps', 0);
  const again = client.connect({ address: '10.0.0.2', port: 80, localPort: 20_999 }) as ConnectionHandle;
  two.settle();
  t.equal(again.stateName, 'ESTABLISHED');
  t.equal(expired(), 200, 'and nothing was hurried');
  const far = server.accept(listener)!;
  t.equal(far.stateName, 'ESTABLISHED');

  t.equal(server.timeWait.count, 0, 'whoever counts, counts none');
  t.equal(expired(), 1000);
  t.same(
    server.sockets().map(({ state }) => state),
    ['LISTEN', 'ESTABLISHED'],
  );
  server.close(far);
  two.settle();
  client.close(again);
  two.settle();
  t.equal(server.timeWait.count, 1, 'the new connection has a record of its own');
  two.pass(TIME_WAIT);
  t.equal(server.timeWait.count, 0);
  t.equal(server.nextDeadline(two.now | 0), -1);
  t.end();
});

t.test('a full table: a record whose time is over makes room before one is refused', (t) => {
  const two = new Two();
  const { server } = two;
  server.setKnob('timewait_max_records', 10);
  const listener = server.listen({ port: 80 }) as ListenerHandle;
  for (let i = 0; i < 10; i++) open(two, listener, 20_000 + i);
  two.now += TIME_WAIT;
  server.advance(two.now | 0, 1);
  two.client.advance(two.now | 0);
  for (let i = 0; i < 10; i++) open(two, listener, 21_000 + i);
  t.equal(server.timeWait.count, 10);
  t.equal(server.reasonCounts[Reason['tw-table-full']], 0);
  t.end();
});
