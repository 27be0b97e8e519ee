/** NAT and balancer as stations of the virtual internet, with whole connections through them. */
import t from 'tap';
import type { Errno } from '../../src/stack/api.js';
import { BalancerBox, NatBox } from '../../src/sim/boxes.js';
import type { Host } from '../../src/sim/host.js';
import { Internet } from '../../src/sim/internet.js';
import type { SimSocket } from '../../src/sim/socket.js';

function opened(socket: SimSocket | Errno): SimSocket {
  if (typeof socket === 'string') throw new Error(socket);
  return socket;
}

/** Says who it sees, and closes when the client has. */
function tells(host: Host, seen: string[]): void {
  host.listen({ port: 80 }, (socket) => {
    const { address, port } = socket.connection.remote;
    seen.push(`${host.name} ${address}:${port}`);
    socket.write(new TextEncoder().encode(host.name));
    socket.onEnd = () => socket.close();
  });
}

function fetchFrom(
  host: Host,
  address: string,
  localPort: number,
): { socket: SimSocket; text: () => string } {
  const socket = opened(host.connect({ address, port: 80, localPort }));
  let text = '';
  socket.onData = (data) => {
    text += Buffer.from(data).toString();
    socket.close();
  };
  return { socket, text: () => text };
}

/** Repeats what comes in on one port to all others; hosts drop what is not theirs. */
class Hub {
  readonly name = 'hub';
  private readonly ends: { send(packet: Uint8Array): void }[] = [];

  plug(end: { send(packet: Uint8Array): void }): void {
    this.ends.push(end);
  }

  arrive(from: { send(packet: Uint8Array): void }, packet: Uint8Array): void {
    for (const end of this.ends) if (end !== from) end.send(packet.slice());
  }
}

void t.test('two machines with the same private address share one public one', (t) => {
  for (const family of [4, 6] as const) {
    const net = new Internet({ seed: family });
    const [inside, outside, far] =
      family === 4
        ? ['192.168.1.2/24', '203.0.113.9', '198.51.100.1/24']
        : ['fd00:1::2/64', '2001:db8::9', '2001:db8:1::1/64'];
    const server = net.host('server', { addresses: [far] });
    const box = new NatBox(net, 'nat', { outside, choice: 'preserve' });
    net.wire(box, server, { delay: 3 });
    const clients = ['one', 'two'].map((name) => {
      const host = net.host(name, { addresses: [inside] });
      net.wire(host, box);
      return host;
    });
    const seen: string[] = [];
    tells(server, seen);
    const answers = clients.map((client) => fetchFrom(client, far.split('/')[0]!, 5000));
    net.run(1000);
    t.same(
      answers.map(({ text }) => text()),
      ['server', 'server'],
      `IPv${family}`,
    );
    t.equal(seen.length, 2);
    t.ok(
      seen.every((line) => line.startsWith(`server ${outside}:`)),
      'one address outside',
    );
    t.equal(new Set(seen).size, 2, 'and two ports');
    t.ok(seen.includes(`server ${outside}:5000`), 'the first keeps its own');
    t.equal(server.counter('TcpInCsumErrors') + clients[0]!.counter('TcpInCsumErrors'), 0);
    t.equal(
      clients[0]!.stack.timeWait.count + clients[1]!.stack.timeWait.count,
      2,
      'who closed first holds TIME-WAIT',
    );
  }
  t.end();
});

void t.test('a balancer spreads connections over its servers, which see one address', (t) => {
  const net = new Internet();
  const box = new BalancerBox(net, 'balancer', {
    address: '203.0.113.1',
    port: 80,
    source: '10.0.0.1',
    servers: ['10.0.0.11', '10.0.0.12'].map((address) => ({ address, port: 80 })),
  });
  // Its servers hang on one wire, behind a switch that knows their addresses.
  const servers = ['a', 'b'].map((name, i) => net.host(name, { addresses: [`10.0.0.1${i + 1}/24`] }));
  const hub = new Hub();
  net.wire(box, hub);
  for (const server of servers) net.wire(server, hub);
  const seen: string[] = [];
  for (const server of servers) tells(server, seen);
  const client = net.host('client', { addresses: ['198.51.100.7/24'] });
  net.wire(client, box);
  const answers = [1, 2, 3, 4].map((i) => fetchFrom(client, '203.0.113.1', 6000 + i));
  net.run(1000);
  t.same(answers.map(({ text }) => text()).sort(), ['a', 'a', 'b', 'b'], 'in turn');
  t.ok(
    seen.every((line) => / 10\.0\.0\.1:\d+$/.test(line)),
    'from one address',
  );
  t.equal(new Set(seen.map((line) => line.split(':')[1])).size, 4, 'a port of its own for each connection');
  t.end();
});
