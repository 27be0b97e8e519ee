import t from 'tap';
import { createHash } from 'node:crypto';
import type { Errno } from '../../src/stack/api.js';
import type { Host } from '../../src/sim/host.js';
import { Internet } from '../../src/sim/internet.js';
import { Router } from '../../src/sim/router.js';
import type { SimSocket } from '../../src/sim/socket.js';
import { Trace } from '../../src/sim/trace.js';
import type { WireOptions } from '../../src/sim/wire.js';
import { readPcapng } from '../../src/wire/pcapng.js';
import { FIN, SYN } from '../../src/wire/segment.js';

const V4 = { client: '10.0.0.1', server: '10.0.0.2', bits: 24 };
const V6 = { client: 'fd00::1', server: 'fd00::2', bits: 64 };

function pair(seed = 1, wire: WireOptions = {}, ends = V4): { net: Internet; client: Host; server: Host } {
  const net = new Internet({ seed });
  const client = net.host('client', { addresses: [`${ends.client}/${ends.bits}`] });
  const server = net.host('server', { addresses: [`${ends.server}/${ends.bits}`] });
  net.wire(client, server, wire);
  return { net, client, server };
}

function opened(socket: SimSocket | Errno): SimSocket {
  if (typeof socket === 'string') throw new Error(socket);
  return socket;
}

/** Sends `bytes` there and back; what the client read, as a hash. */
function echo(seed: number, wire: WireOptions, bytes: number, ends = V4): { hash: string; file: Uint8Array } {
  const { net, client, server } = pair(seed, wire, ends);
  client.trace = new Trace(net.now, 100_000);
  server.listen({ port: 7 }, (socket) => {
    socket.onData = (data) => void socket.write(data);
    socket.onEnd = () => socket.close();
  });
  const hash = createHash('sha256');
  const socket = opened(client.connect({ address: ends.server, port: 7 }));
  socket.onConnect = () => {
    socket.write(Uint8Array.from({ length: bytes }, (_, i) => (i * 7) & 255));
    socket.end();
  };
  socket.onData = (data) => hash.update(data);
  net.runUntil(() => socket.closed, 600_000);
  return {
    hash: `${socket.bytesRead} ${String(socket.error)} ${hash.digest('hex')}`,
    file: client.trace.pcapng('client'),
  };
}

const bytes = 200_000;
const whole = createHash('sha256')
  .update(Uint8Array.from({ length: bytes }, (_, i) => (i * 7) & 255))
  .digest('hex');

void t.test('a transfer arrives whole over clean and faulty wires, in both IP versions', (t) => {
  const faulty = { delay: 5, jitter: 2, loss: 0.03, reorder: 0.03, duplicate: 0.03, rate: 20e6 };
  for (const ends of [V4, V6]) {
    t.equal(echo(1, {}, bytes, ends).hash, `${bytes} null ${whole}`);
    t.equal(echo(2, faulty, bytes, ends).hash, `${bytes} null ${whole}`);
  }
  t.end();
});

void t.test('one seed, the same bytes in the capture; another seed, others', (t) => {
  const faulty = { delay: 5, jitter: 3, loss: 0.05, reorder: 0.05 };
  const [one, two, three] = [7, 7, 8].map((seed) => Buffer.from(echo(seed, faulty, 50_000).file));
  t.ok(one!.equals(two!), 'repeats byte for byte');
  t.notOk(one!.equals(three!));
  const packets = readPcapng(one!)!;
  t.ok(packets.length > 50);
  t.ok(
    packets.every(({ seconds }) => seconds >= 1_767_225_600),
    'stamped from a fixed date on',
  );
  t.end();
});

void t.test('10,000 seconds of an idle network are a handful of events', (t) => {
  const { net, client, server } = pair();
  server.listen({ port: 80 }, (socket) => socket.set('keepAlive', 1000_000));
  const socket = opened(client.connect({ address: V4.server, port: 80 }));
  net.run(100);
  t.ok(socket.connected);
  const { events } = net;
  net.run(10_000_000);
  t.equal(net.now, 1_000_000 + 100 + 10_000_000);
  // Keep-alive probes and their answers, and the wakes of the timer wheel on the way
  t.ok(net.events - events < 1000, `${net.events - events} events`);
  t.equal(server.stack.stateCounts()['ESTABLISHED'], 1);
  t.end();
});

void t.test('TIME-WAIT ends in its millisecond, whatever the clocks of the machines show', (t) => {
  for (const [clockShift, clockRate, expected] of [
    [0, 1, 60_000],
    [-123_456, 1, 60_000],
    [2 ** 31 - 1_060_000, 1, 60_000],
    [2 ** 32 - 1_030_000, 1, 60_000],
    [0, 2, 30_000],
    [0, 0.5, 120_000],
  ] as const) {
    const net = new Internet();
    const client = net.host('client', { addresses: ['10.0.0.1/24'], policy: 'reuse', clockShift, clockRate });
    const server = net.host('server', { addresses: ['10.0.0.2/24'], policy: 'reuse' });
    net.wire(client, server, { delay: 10 });
    server.listen({ port: 80 }, (socket) => {
      socket.onEnd = () => socket.close();
    });
    const socket = opened(client.connect({ address: '10.0.0.2', port: 80 }));
    socket.onConnect = () => socket.close();
    net.runUntil(() => client.stack.timeWait.count === 1, 1000);
    const entered = net.now;
    t.ok(net.runUntil(() => client.stack.timeWait.count === 0, 300_000));
    t.ok(
      Math.abs(net.now - entered - expected) <= 1 / clockRate + 1,
      `${clockShift} ${clockRate}: ${net.now - entered} ms`,
    );
  }
  t.end();
});

void t.test('packets are held back by predicate and released, lost, or sent twice', (t) => {
  const { net, client, server } = pair();
  const wire = net.wire(new Router('spare'), new Router('other'));
  t.equal(wire.due, Infinity);
  const received: string[] = [];
  server.listen({ port: 80 }, (socket) => {
    socket.onData = (data) => received.push(Buffer.from(data).toString());
  });
  const lone = new Internet({ seed: 3 });
  const a = lone.host('a', { addresses: ['10.0.0.1/24'] });
  const b = lone.host('b', { addresses: ['10.0.0.2/24'] });
  const between = lone.wire(a, b);
  const lose = between.lose((segment, from) => from === 'a' && (segment.flags & SYN) !== 0);
  b.listen({ port: 80 }, () => undefined);
  const socket = opened(a.connect({ address: '10.0.0.2', port: 80 }));
  lone.run(900);
  t.notOk(socket.connected, 'the SYN is lost');
  lose();
  lone.run(200);
  t.ok(socket.connected, 'its repetition after a second is not');
  const held = between.hold((segment) => (segment.flags & FIN) !== 0);
  socket.end();
  lone.run(100);
  t.equal(held.count, 1);
  t.equal(held.packets[0]!.length, 52);
  t.equal(b.stack.stateCounts()['ESTABLISHED'], 1);
  held.release();
  lone.run(10);
  t.equal(b.stack.stateCounts()['CLOSE-WAIT'], 1);
  t.equal(opened(client.connect({ address: '10.0.0.2', port: 80 })).closed, false);
  net.run(5);
  t.end();
});

void t.test('a queue that is full loses packets and counts them; a rate takes its time', (t) => {
  const { net, client, server } = pair(1, { rate: 1e6, queue: 10, delay: 20 });
  server.listen({ port: 80 }, () => undefined);
  const socket = opened(client.connect({ address: V4.server, port: 80 }));
  socket.onConnect = () => void socket.write(new Uint8Array(100_000));
  const start = net.now;
  net.runUntil(() => socket.connected && socket.connection.queued === 0, 60_000);
  const ms = net.now - start;
  t.ok(ms > 800 && ms < 5000, `100 kB at 1 Mbit/s took ${ms} ms`);
  t.end();
});

void t.test('a router forwards by the longest prefix, counts TTL down, and drops what has no way', (t) => {
  const net = new Internet();
  const router = new Router('router');
  const a = net.host('a', { addresses: ['10.1.0.1/24', 'fd01::1/64'] });
  const b = net.host('b', { addresses: ['10.2.0.1/24', 'fd02::1/64'] });
  const c = net.host('c', { addresses: ['10.2.0.9/24'] });
  for (const host of [a, b, c]) net.wire(host, router);
  router.route('10.1.0.0/16', 0).route('10.2.0.0/16', 1).route('10.2.0.9/32', 2);
  router.route('fd01::/64', 0).route('fd02::/64', 1);
  const met: string[] = [];
  for (const host of [b, c])
    host.listen({ port: 80 }, (socket) => met.push(`${host.name} ${socket.connection.remote.address}`));
  for (const address of ['10.2.0.1', '10.2.0.9', 'fd02::1', '10.9.9.9']) a.connect({ address, port: 80 });
  net.run(500);
  t.same(met.sort(), ['b 10.1.0.1', 'b fd01::1', 'c 10.1.0.1']);
  t.equal(router.counts.unroutable, 1);
  t.equal(b.counter('TcpInCsumErrors') + b.counter('IpInHdrErrors'), 0);
  t.end();
});
