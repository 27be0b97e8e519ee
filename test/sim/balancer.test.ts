/** The balancer: both ends translated, servers in turn, ports one after the other. */
import t from 'tap';
import { Balancer, type BalancerOptions } from '../../src/sim/balancer.js';
import { icmpError } from '../../src/wire/icmp.js';
import { echoRequest } from '../support/icmp.js';
import { address, packet } from '../lab/packets.js';
import { message, say } from './translated.js';

const V4 = {
  client: '192.0.2.10',
  vip: '203.0.113.80',
  source: '10.0.0.1',
  servers: ['10.0.0.21', '10.0.0.22', '10.0.0.23'],
};
const V6 = {
  client: '2001:db8::a',
  vip: '2001:db8::80',
  source: 'fd00::1',
  servers: ['fd00::21', 'fd00::22', 'fd00::23'],
};
type Ends = typeof V4;

function balancer(ends: Ends = V4, options: Partial<BalancerOptions> = {}): Balancer {
  const { vip, source } = ends;
  const servers = ends.servers.map((each) => ({ address: each, port: 8080 }));
  return new Balancer({ address: vip, port: 80, servers, source, seed: 1, now: 0, ...options });
}

interface Sent {
  readonly server: number;
  /** The source port the server sees. */
  readonly port: number;
  readonly text: string;
}

function send(one: Balancer, port: number, text: string, now = 0, ends = V4, side = 0): Sent {
  const bytes = packet(ends.client, port, ends.vip, 80, text);
  const server = one.toServer(side, bytes, 0, bytes.length, now);
  const said = say(bytes);
  return { server, port: Number(said.split(' ')[1]), text: said };
}

function answer(
  one: Balancer,
  server: number,
  port: number,
  text: string,
  now = 0,
  ends = V4,
): string | null {
  const bytes = packet(ends.servers[server]!, 8080, ends.source, port, text);
  return one.toClient(bytes, 0, bytes.length, now) < 0 ? null : say(bytes);
}

void t.test('both ends are rewritten, both ways, in both IP versions', async (t) => {
  for (const ends of [V4, V6]) {
    const one = balancer(ends);
    const text = 'S 7:7(0) win 1000 <mss 1460,TS val 77 ecr 0>';
    t.same(send(one, 5555, text, 0, ends, 4), {
      server: 0,
      port: 1024,
      text: `${ends.source} 1024 > ${ends.servers[0]} 8080 ${text}`,
    });
    const bytes = packet(
      ends.servers[0]!,
      8080,
      ends.source,
      1024,
      'S. 1:1(0) ack 8 win 9 <TS val 5 ecr 77>',
    );
    t.equal(one.toClient(bytes, 0, bytes.length, 5), 4, 'to the side the client came from');
    t.equal(say(bytes), `${ends.vip} 80 > ${ends.client} 5555 S. 1:1(0) ack 8 win 9 <TS val 5 ecr 77>`);
    t.match(one.flows(5), [
      {
        state: 'SYN_RECV',
        side: 4,
        source: { address: ends.client, port: 5555 },
        destination: { address: ends.vip, port: 80 },
        newSource: { address: ends.source, port: 1024 },
        newDestination: { address: ends.servers[0]!, port: 8080 },
      },
    ]);
  }
});

void t.test('servers in turn, ports in sequence, a connection stays where it is', async (t) => {
  const one = balancer();
  const first = [1, 2, 3, 4, 5].map((port) => send(one, port, 'S 1:1(0)'));
  t.same(
    first.map(({ server }) => server),
    [0, 1, 2, 0, 1],
  );
  t.same(
    first.map(({ port }) => port),
    [1024, 1025, 1026, 1027, 1028],
  );
  const again = [5, 3, 1].map((port) => send(one, port, 'S 1:1(0)', 1000));
  t.same(
    again.map(({ server, port }) => [server, port]),
    [
      [1, 1028],
      [2, 1026],
      [0, 1024],
    ],
    'a repeated SYN',
  );
});

void t.test('the range goes round: the same tuple again, another machine behind it', async (t) => {
  const one = balancer(V4, { ports: [2000, 2002], servers: [{ address: V4.servers[0]!, port: 8080 }] });
  for (let port = 1; port <= 3; port++) {
    const { port: shown } = send(one, port, 'S 100:100(0)');
    answer(one, 0, shown, 'S. 500:500(0) ack 101');
    send(one, port, '. 101:101(0) ack 501');
    answer(one, 0, shown, 'F. 501:501(0) ack 101');
    send(one, port, 'F. 101:101(0) ack 502');
    answer(one, 0, shown, '. 502:502(0) ack 102');
  }
  t.same(
    one.flows(0).map(({ state }) => state),
    ['TIME_WAIT', 'TIME_WAIT', 'TIME_WAIT'],
  );
  t.equal(
    send(one, 9, 'S 50:50(0)', 119_999).server,
    -1,
    'remembered for 120 s: the server would see an old sequence number',
  );
  t.match(send(one, 9, 'S 200:200(0)', 119_999), { server: 0, port: 2000 }, 'a higher one takes the port');
  t.equal(one.counters.reclaimed, 1);
  t.match(send(one, 10, 'S 50:50(0)', 120_000), { server: 0, port: 2001 }, 'and then any');
});

void t.test(
  'the same client port again while the balancer remembers: a new connection, a new port',
  async (t) => {
    const one = balancer();
    send(one, 7, 'S 100:100(0)');
    answer(one, 0, 1024, 'S. 500:500(0) ack 101');
    send(one, 7, '. 101:101(0) ack 501');
    send(one, 7, 'F. 101:101(0) ack 501');
    answer(one, 0, 1024, 'F. 501:501(0) ack 102');
    send(one, 7, '. 102:102(0) ack 502');
    t.same(
      one.flows(0).map(({ state }) => state),
      ['TIME_WAIT'],
    );
    t.match(send(one, 7, 'S 9000:9000(0)', 1000), { server: 1, port: 1025 });
  },
);

void t.test('other choices of ports', async (t) => {
  t.equal(send(balancer(V4, { choice: 'preserve' }), 5555, 'S 1:1(0)').port, 5555);
  const random = balancer(V4, { choice: 'random', ports: [3000, 3999] });
  const ports = [1, 2, 3, 4].map((port) => send(random, port, 'S 1:1(0)').port);
  t.ok(ports.every((port) => port >= 3000 && port <= 3999));
  t.not(ports.join(), [3000, 3001, 3002, 3003].join());
});

void t.test('what is not for the service passes nobody', async (t) => {
  const one = balancer();
  const refused = (bytes: Uint8Array): void => {
    const before = bytes.slice();
    t.equal(one.toServer(0, bytes, 0, bytes.length, 0), -1);
    t.same(bytes, before, 'left as it is');
  };
  refused(packet(V4.client, 1, V4.vip, 81, 'S 1:1(0)'));
  refused(packet(V4.client, 1, '203.0.113.81', 80, 'S 1:1(0)'));
  refused(packet(V6.client, 1, V6.vip, 80, 'S 1:1(0)'));
  refused(echoRequest(address(V4.client), address(V4.vip), 80, 1, 4));
  refused(packet(V4.client, 1, V4.vip, 80, 'R 1:1(0)'));
  t.equal(answer(one, 0, 1024, 'S. 1:1(0) ack 1'), null);
  t.equal(one.size, 0);
});

void t.test("an ICMP error about the balancer's packet goes to the client, in its words", async (t) => {
  for (const ends of [V4, V6]) {
    const one = balancer(ends);
    const sent = packet(ends.client, 4000, ends.vip, 80, 'S 7:7(0) win 9');
    const original = sent.slice();
    one.toServer(1, sent, 0, sent.length, 0);
    const source = Uint8Array.from(
      ends === V4 ? [10, 0, 0, 99] : [0xfd, ...new Array<number>(14).fill(0), 9],
    );
    const error = icmpError(sent, { type: ends === V4 ? 3 : 1, code: 1, source });
    t.equal(one.toClient(error, 0, error.length, 0), 1);
    const { from, to, good, body } = message(error);
    t.same({ from, to, good }, { from: ends.vip, to: ends.client, good: true });
    t.ok(Buffer.from(body.slice(8)).equals(original));
  }
});

void t.test('one line for bad options', async (t) => {
  const bad = (options: Partial<BalancerOptions>, text: RegExp): void => {
    t.throws(() => balancer(V4, options), { name: 'RangeError', message: text });
  };
  bad({ servers: [] }, /^servers: at least one$/);
  bad({ servers: [{ address: V6.servers[0]!, port: 80 }] }, /^servers: IPv6, but clients/);
  bad({ servers: [{ address: V4.servers[0]!, port: 0 }] }, /^servers: port 0; allowed/);
  bad({ source: 'x' }, /^source: 'x' is no/);
  bad({ source: V6.source }, /^source: IPv6/);
  bad({ port: 70_000 }, /^port: port 70000; allowed/);
});
