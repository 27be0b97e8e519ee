/**
 * Several engines on a device whose queues get packets at random: each flow stays with one engine, what came into
 * another's queue is handed over, and connect() takes ports whose packets come back to it.
 */
import { once } from 'node:events';
import t, { type Test } from 'tap';
import type { Network } from '../../src/net/network.js';
import type { Socket } from '../../src/net/socket.js';
import { parseAddress } from '../../src/wire/address.js';
import type { SegmentText } from '../../src/wire/notation.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { CLIENT, CLIENT6, SERVER, SERVER6, several, type Several } from './several.js';

const PORT = 80;

/** Echoes the first bytes and closes first. */
function listenOn(networks: readonly Network[]): void {
  for (const network of networks) {
    const server = network.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (bytes) => socket.end(bytes));
    });
    server.listen({ port: PORT, backlog: 1024 });
  }
}

/** What one connection brought: the bytes, or the code of its error. */
function exchange(network: Network, host: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = network.connect({ host, port: PORT });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
    socket.on('data', (bytes) => (said += String(bytes)));
    socket.on('close', () => resolve(said));
    socket.write(text);
  });
}

async function connectAll({ client, time }: Several, count: number): Promise<string[]> {
  const all = Array.from({ length: count }, (_, i) =>
    exchange(client, i % 2 === 0 ? SERVER : SERVER6, `number ${i}`),
  );
  return time.until(Promise.all(all));
}

const sum = (
  networks: readonly Network[],
  name: 'TcpPassiveOpens' | 'TcpOutRsts' | 'TcpActiveOpens',
): number => networks.reduce((total, { stack }) => total + stack.counters.get(name), 0);

t.test('a flow whose packets come into any queue has one engine', async (t) => {
  for (const workers of [2, 3, 5]) {
    const all = several(workers);
    const { engines, exchanges, client } = all;
    listenOn(engines);
    t.same(
      await connectAll(all, 300),
      Array.from({ length: 300 }, (_, i) => `number ${i}`),
      `${workers} workers: each gets its answer`,
    );
    const records = engines.map(({ timeWait }) => timeWait.list());
    t.equal(records.flat().length, 300);
    t.equal(new Set(records.flat().map(({ remote }) => `${remote!.address} ${remote!.port}`)).size, 300);
    t.same(
      records.map((own) => own.length),
      engines.map(({ stack }) => stack.counters.get('TcpPassiveOpens')),
      'the record is where the connection was accepted',
    );
    for (const own of records) t.ok(own.length > 300 / workers / 2, `${own.length} of 300`);
    t.equal(sum(engines, 'TcpOutRsts') + sum([client], 'TcpOutRsts'), 0);
    const given = exchanges.reduce((total, each) => total + each.given, 0);
    const taken = exchanges.reduce((total, each) => total + each.taken, 0);
    t.ok(given > 300 * 3 * (1 - 1 / workers) * 0.8, `${given} packets handed over`);
    t.equal(taken, given);
  }
});

t.test('without steering it would not work', async (t) => {
  const all = several(2, { steered: false });
  listenOn(all.engines);
  const said = await connectAll(all, 20);
  t.ok(said.some((each) => each === 'ECONNRESET'));
  t.ok(sum(all.engines, 'TcpOutRsts') > 0);
});

t.test('connect() takes a port of its own engine, and refuses one of another', async (t) => {
  const { client, engines, steering, time } = several(3);
  listenOn([client]);
  const said = await time.until(
    Promise.all(engines.flatMap((engine) => Array.from({ length: 40 }, () => exchange(engine, CLIENT, 'x')))),
  );
  t.same(new Set(said), new Set(['x']));
  t.same(
    engines.map(({ stack }) => stack.counters.get('TcpActiveOpens')),
    [40, 40, 40],
  );
  const [l, r] = [SERVER, CLIENT].map((text) => parseAddress(text)!.words) as [Int32Array, Int32Array];
  const ownerOf = (port: number): number =>
    steering.ownerOfTuple(l[0]!, l[1]!, l[2]!, l[3]!, r[0]!, r[1]!, r[2]!, r[3]!, port, PORT);
  for (let port = 5000; port < 5020; port++) {
    const outcomes = engines.map(async (engine) => {
      const socket: Socket = engine.connect({ host: CLIENT, port: PORT, localPort: port });
      const outcome = await Promise.race([
        once(socket, 'connect').then(() => 'connected'),
        once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code),
      ]).catch((error: NodeJS.ErrnoException) => error.code);
      socket.destroy();
      return outcome;
    });
    const expected = engines.map((_, i) => (i === ownerOf(port) ? 'connected' : 'EADDRNOTAVAIL'));
    t.same(await time.until(Promise.all(outcomes)), expected, `port ${port}`);
  }
});

/** Two machines behind one NAT address: the second's clock is behind. How many of its 60 SYNs, each from another port, are refused? */
async function refused(t: Test, by: 'tuple' | 'host'): Promise<number> {
  const { client, engines, time, inject } = several(4, { by, policy: 'recycle' });
  listenOn(engines);
  t.equal(await time.until(exchange(client, SERVER, 'first machine')), 'first machine');
  // The record lasts 3.5*RTO, the memory of the host's timestamp a minute.
  await time.sleep(5000);
  t.equal(engines.flatMap(({ timeWait }) => timeWait.list()).length, 0);
  const text = parseNotation('S 1:1(0) win 65535 <mss 1460,sackOK,TS val 900000 ecr 0>') as SegmentText;
  const [src, dst] = [parseAddress(CLIENT)!, parseAddress(SERVER)!];
  for (let i = 0; i < 60; i++) inject(buildPacket(text, { src, dst, srcPort: 20_000 + i, dstPort: PORT }));
  await time.settle();
  return engines.reduce((total, { stack }) => total + stack.counters.get('TcpExtPAWSPassive'), 0);
}

t.test(
  'a memory per host: steered by host, it is that of the one kernel; by tuple it is in pieces',
  async (t) => {
    t.equal(await refused(t, 'host'), 60, 'all of them, as one kernel would');
    const pieces = await refused(t, 'tuple');
    t.ok(
      pieces > 5 && pieces < 30,
      `${pieces} of 60: those that came to the engine which had served the first`,
    );
  },
);

t.test('steered by host, an address has one engine', async (t) => {
  const all = several(4, { by: 'host' });
  listenOn(all.engines);
  await connectAll(all, 40);
  const shares = all.engines.map(({ timeWait }) => {
    const hosts = timeWait.list().map(({ remote }) => remote!.address);
    return [...new Set(hosts)].map((host) => [host, hosts.filter((each) => each === host).length]);
  });
  t.same(
    shares.flat().sort(),
    [
      [CLIENT, 20],
      [CLIENT6, 20],
    ],
    'not in parts',
  );
});
