/**
 * Who holds TIME-WAIT when the client takes it over, or both ends agree that it does
 * (Faber, Touch and Yue 1999): two stacks, every combination of who closes first.
 */
import t from 'tap';
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import type { Stack } from '../../src/stack/stack.js';
import { Reason } from '../../src/reasons.js';
import { Conversation } from '../support/conversation.js';
import { VirtualPair, cleanWire, type WireFaults } from '../support/pair.js';

type Closer = 'client' | 'server' | 'both';

interface Ended {
  readonly pair: VirtualPair;
  /** `client`, `server`, `client server`, or '' when nobody holds it. */
  readonly held: string;
}

const loseEveryRst = (pair: VirtualPair): void => {
  const { receive } = pair.far;
  pair.far.receive = function (this: Stack, bytes, offset, length, now) {
    const header = bytes[offset]! >> 4 === 6 ? 40 : (bytes[offset]! & 15) * 4;
    const rst = (bytes[offset + header + 13]! & 4) !== 0;
    return rst ? 0 : receive.call(this, bytes, offset, length, now);
  } as Stack['receive'];
};

/** One connection, some data both ways, closed; `near` is the client. */
function closed(
  client: string,
  server: string,
  first: Closer,
  family: 4 | 6,
  setup: (pair: VirtualPair) => void = () => undefined,
  faults: WireFaults = cleanWire,
): Ended {
  const pair = new VirtualPair(faults, 1);
  pair.near.setPolicy(client);
  pair.far.setPolicy(server);
  setup(pair);
  const listener = pair.far.listen({ port: 80 }) as ListenerHandle;
  const [near, far] = pair.open(listener, family);
  pair.near.send(near, new Uint8Array(10).fill(1));
  pair.far.send(far, new Uint8Array(10).fill(2));
  pair.until(() => near.readable === 10 && far.readable === 10, 10_000);
  pair.near.read(near);
  pair.far.read(far);
  const end = (who: Closer): void => {
    if (who !== 'server') pair.near.close(near);
    if (who !== 'client') pair.far.close(far);
  };
  const other: Record<Closer, [ConnectionHandle, () => void] | null> = {
    client: [far, () => pair.far.close(far)],
    server: [near, () => pair.near.close(near)],
    both: null,
  };
  end(first);
  const rest = other[first];
  if (rest !== null) {
    pair.until(() => rest[0].peerClosed, 10_000);
    rest[1]();
  }
  pair.until(() => pair.near.connections + pair.far.connections === 0, 10_000);
  // The RST of a takeover is still on its way
  if (pair.near.counters.get('TcpOutRsts') > 0) pair.step();
  const held = [
    ...(pair.near.timeWait.count > 0 ? ['client'] : []),
    ...(pair.far.timeWait.count > 0 ? ['server'] : []),
  ];
  return { pair, held: held.join(' ') };
}

const gave = (stack: Stack, id: keyof typeof Reason): number => stack.reasonCounts[Reason[id]]!;

/** client's policy, server's policy, who closes first, who holds TIME-WAIT. */
const rows: readonly (readonly [string, string, Closer, string])[] = [
  ['rfc9293', 'rfc9293', 'client', 'client'],
  ['rfc9293', 'rfc9293', 'server', 'server'],
  ['rfc9293', 'rfc9293', 'both', 'client server'],
  // The client takes it over by RST: the server may be any system that such a RST ends
  ['faber-client', 'rfc9293', 'server', 'client'],
  ['faber-client', 'rfc9293', 'client', 'client'],
  ['faber-client', 'rfc9293', 'both', 'client server'],
  ['faber-client', 'linux', 'server', 'client'],
  ['faber-client', 'openbsd', 'server', 'client'],
  ['faber-client', 'windows', 'server', 'client'],
  ['faber-client', 'faber-client', 'server', 'client'],
  // These ignore it, so both hold TIME-WAIT
  ['faber-client', 'freebsd', 'server', 'client server'],
  ['faber-client', 'macos', 'server', 'client server'],
  ['faber-client', 'rfc1337', 'server', 'client server'],
  // Only the client's side matters
  ['rfc9293', 'faber-client', 'server', 'server'],
  // Both know the option
  ['faber-negotiate', 'faber-negotiate', 'client', 'client'],
  ['faber-negotiate', 'faber-negotiate', 'server', 'client'],
  ['faber-negotiate', 'faber-negotiate', 'both', 'client'],
  // One of them does not: who closes first
  ['faber-negotiate', 'rfc9293', 'client', 'client'],
  ['faber-negotiate', 'rfc9293', 'server', 'server'],
  ['rfc9293', 'faber-negotiate', 'client', 'client'],
  ['rfc9293', 'faber-negotiate', 'server', 'server'],
  ['faber-negotiate', 'linux', 'server', 'server'],
  ['none', 'none', 'client', ''],
  ['none', 'rfc9293', 'server', 'server'],
  ['rfc9293', 'none', 'server', ''],
];

void t.test('who holds TIME-WAIT', (t) => {
  for (const [client, server, first, holder] of rows) {
    for (const family of [4, 6] as const) {
      const { held } = closed(client, server, first, family);
      t.equal(held, holder, `client ${client}, server ${server}, ${first} first, IPv${family}`);
    }
  }
  t.end();
});

void t.test('taking over: one RST at SND.NXT, and the whole 2*MSL on the client', (t) => {
  const { pair } = closed('faber-client', 'rfc9293', 'server', 4);
  t.equal(gave(pair.near, 'tw-taken-over'), 1);
  t.equal(gave(pair.far, 'tw-enter'), 1, 'the server was in TIME-WAIT');
  t.equal(gave(pair.far, 'tw-rst-kill'), 1);
  t.equal(pair.near.counters.get('TcpOutRsts'), 1);
  const [row] = pair.near.sockets().filter(({ state }) => state === 'TIME-WAIT');
  t.ok(row !== undefined && row.timerLeft > 239_000 && row.timerLeft <= 240_000);
  t.ok(pair.until(() => pair.near.timeWait.count === 0, 240_000));
  t.end();
});

void t.test('the RST is not repeated: when it is lost both hold TIME-WAIT', (t) => {
  t.equal(closed('faber-client', 'rfc9293', 'server', 4, loseEveryRst).held, 'client server');
  t.end();
});

void t.test('data is not lost by the takeover: the RST follows the FIN that was acknowledged', (t) => {
  const faults: WireFaults = { ...cleanWire, loss: 0.2 };
  for (let seed = 0; seed < 10; seed++) {
    const pair = new VirtualPair(faults, seed);
    pair.near.setPolicy('faber-client');
    const listener = pair.far.listen({ port: 80 }) as ListenerHandle;
    const [near, far] = pair.open(listener, 4);
    pair.far.send(far, new Uint8Array(20_000).fill(2));
    pair.far.shutdown(far);
    let seen = 0;
    const all = pair.until(() => {
      for (let piece = pair.near.read(near); piece !== null; piece = pair.near.read(near))
        seen += piece.length;
      return near.peerClosed && near.readable === 0;
    }, 600_000);
    t.ok(all && seen === 20_000, `seed ${seed}: ${seen} bytes`);
    pair.near.send(near, new Uint8Array(5000).fill(3));
    pair.near.close(near);
    let back = 0;
    pair.until(() => {
      for (let piece = pair.far.read(far); piece !== null; piece = pair.far.read(far)) back += piece.length;
      return pair.near.connections === 0;
    }, 600_000);
    t.equal(back, 5000, `seed ${seed}`);
    t.equal(far.error, null, 'the server sees an orderly end');
  }
  t.end();
});

void t.test('agreed: the server keeps nothing, the client a record after LAST-ACK', (t) => {
  const { pair } = closed('faber-negotiate', 'faber-negotiate', 'server', 4);
  t.equal(gave(pair.far, 'tw-held-by-peer'), 1);
  t.equal(gave(pair.far, 'tw-enter'), 0);
  t.equal(gave(pair.near, 'tw-taken-over'), 1);
  t.equal(pair.near.counters.get('TcpOutRsts') + pair.far.counters.get('TcpOutRsts'), 0, 'without any RST');
  t.end();
});

void t.test('agreed, and our last ACK is lost: the FIN comes again and meets the listener', (t) => {
  // We are the server: SYN with the option, we close first
  const c = new Conversation({ policy: 'faber-negotiate' });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460,tw-holder>');
  t.match(c.take(), /tw-holder/, 'accepted by its echo');
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  t.equal(c.rest().at(-1)?.startsWith('. 2:2(0) ack 2 '), true);
  t.equal(c.state, 'CLOSED', 'the peer is to hold TIME-WAIT');
  c.inject('F. 1:1(0) ack 2 win 65535');
  t.equal(c.mismatch('R 2:2(0)'), '', 'the price: its end in LAST-ACK sees RST');
  t.end();
});

void t.test('a client proposes on its SYN only, and takes silence for no', (t) => {
  const c = new Conversation({ policy: 'faber-negotiate' });
  c.connect();
  t.match(c.take(), /^S .*tw-holder/);
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  t.notMatch(c.rest().join(' '), /tw-holder/);
  c.inject('F. 1:1(0) ack 1 win 65535');
  c.close();
  c.inject('. 2:2(0) ack 2 win 65535');
  t.equal(c.state, 'CLOSED', 'the peer closed first and holds it');
  t.end();
});

void t.test('an ordinary system answers the option with nothing', (t) => {
  const c = new Conversation({ policy: 'linux' });
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460,tw-holder>');
  t.notMatch(c.take(), /tw-holder/);
  t.end();
});
