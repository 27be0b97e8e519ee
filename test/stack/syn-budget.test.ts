/** Floods beyond knob tcp_syn_cookie_rate: who is still answered, and what it costs. */
import t from 'tap';
import fc from 'fast-check';
import { counterNames } from '../../src/mib.js';
import { MOST_PEERS, PROVEN_FOR, ProvenPeers, WINDOW } from '../../src/stack/proven-peers.js';
import { SynSource, bareSyn } from '../../src/wire/bare-syn.js';
import { parseAddress } from '../../src/wire/address.js';
import { fold, sum } from '../../src/wire/checksum.js';
import { LOAD_OK } from '../../src/wire/codes.js';
import { IpHeader } from '../../src/wire/ip.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { Segment } from '../../src/wire/segment.js';
import { Conversation } from '../support/conversation.js';

const BACKLOG = 8;
/** A second, and what of it may be saved up: 20 ms. */
const RATE = 1000;
const BURST = RATE / 50;
/** Of it, what one proven address has to itself in a window. */
const SHARE = Math.ceil((RATE * WINDOW) / 1000 / 32);

type Counter = Parameters<Conversation['stack']['counters']['get']>[0];
const count = (c: Conversation, name: Counter): number => c.stack.counters.get(name);

function from(c: Conversation, address: string, port = 5000): void {
  c.peer = parseAddress(address)!;
  c.peerPort = port;
  c.ourIss = null;
}

/** The n-th address that nobody has. */
const invented = (v6: boolean, n: number): string =>
  v6
    ? `2001:db8:${(n >> 8).toString(16)}:${(n & 255).toString(16)}::1`
    : `198.18.${(n >> 8) & 255}.${n & 255}`;

function flood(c: Conversation, v6: boolean, syns: number, first = 100): void {
  for (let n = first; n < first + syns; n++) {
    from(c, invented(v6, n), 10_000 + (n & 0x3fff));
    c.inject(`S ${n}:${n}(0) win 1000 <mss 1460>`);
  }
}

/** A handshake, and the connection's end. */
function visit(c: Conversation, address: string, port = 5000): void {
  from(c, address, port);
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.take();
  c.inject('. 1:1(0) ack 1 win 65535');
  c.inject('R 1:1(0) win 0');
  c.stack.accept(c.listener!);
}

/** Is a SYN of this address answered? */
function answered(c: Conversation, address: string, port = 5000): boolean {
  from(c, address, port);
  const before = count(c, 'TcpExtSyncookiesSent');
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  c.rest();
  return count(c, 'TcpExtSyncookiesSent') > before;
}

/** A listener with a full queue of half-open connections, which `friends` have visited before. */
function besieged(
  friends: readonly string[],
  options: { v6?: boolean; knobs?: Record<string, number> } = {},
): Conversation {
  const c = new Conversation({
    v6: options.v6 === true,
    knobs: { 'net.ipv4.tcp_max_syn_backlog': BACKLOG, tcp_syn_cookie_rate: RATE, ...options.knobs },
  });
  c.listen(BACKLOG);
  for (const friend of friends) visit(c, friend);
  c.advance(1000);
  flood(c, options.v6 === true, BACKLOG, 0);
  c.rest();
  return c;
}

for (const v6 of [false, true]) {
  const friend = v6 ? 'fd00::1' : '10.0.0.1';
  const stranger = v6 ? 'fd00:1::1' : '10.0.0.9';
  void t.test(`${v6 ? 'IPv6' : 'IPv4'}: beyond the rate proven peers are answered, others dropped`, (t) => {
    const c = besieged([friend], { v6 });
    flood(c, v6, 300);
    t.equal(count(c, 'TcpExtSyncookiesSent'), BURST, 'what 20 ms allow, and no more');
    t.equal(c.reason, 'syn-cookie-rate');
    t.equal(count(c, 'TcpExtTCPReqQFullDrop'), 300 - BURST);
    t.equal(count(c, 'TcpExtListenDrops'), 300 - BURST);
    t.equal(c.stack.connections, BACKLOG, 'nothing is kept of them');
    t.notOk(answered(c, stranger), 'a stranger is one of them');
    t.ok(answered(c, friend), 'a proven peer is not');
    from(c, friend, 5001);
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    c.take();
    c.inject('. 1:1(0) ack 1 win 65535');
    t.equal(c.state, 'ESTABLISHED', 'its cookie brings it in');
    c.now += 1000;
    t.ok(answered(c, stranger), 'the stranger’s next SYN after the flood');
    t.end();
  });
}

void t.test('the rate holds while a flood lasts, and comes back at once', (t) => {
  const c = besieged([]);
  for (let ms = 0; ms < 100; ms++) {
    c.now++;
    flood(c, false, 20);
    c.rest();
  }
  const sent = count(c, 'TcpExtSyncookiesSent');
  t.ok(sent >= RATE / 10 && sent <= RATE / 10 + BURST, `${sent} in a tenth of a second`);
  const unlimited = besieged([], { knobs: { tcp_syn_cookie_rate: 0 } });
  flood(unlimited, false, 300);
  t.equal(count(unlimited, 'TcpExtSyncookiesSent'), 300, '0: as Linux');
  t.end();
});

void t.test('room in the queue: no rate applies', (t) => {
  const c = new Conversation({ knobs: { tcp_syn_cookie_rate: 1 } });
  c.listen(1000);
  flood(c, false, 1000);
  t.equal(c.stack.connections, 1000);
  t.equal(count(c, 'TcpExtListenDrops'), 0);
  t.end();
});

void t.test(
  'who forges a proven peer’s address gets its share only, and all together the rate once more',
  (t) => {
    const friends = Array.from({ length: 200 }, (_, n) => `10.0.0.${n + 3}`);
    const c = besieged(friends);
    flood(c, false, 1000);
    const before = count(c, 'TcpExtSyncookiesSent');
    for (let n = 0; n < 100; n++) answered(c, friends[0]!, 6000 + n);
    t.equal(count(c, 'TcpExtSyncookiesSent') - before, SHARE, 'a 32nd of the rate');
    t.ok(answered(c, friends[1]!), 'others are as well off as before');
    for (let n = 0; n < 400; n++) answered(c, friends[n % 200]!, 6000 + n);
    t.equal(count(c, 'TcpExtSyncookiesSent') - before, BURST, 'of all proven peers together');
    c.now += WINDOW;
    t.ok(answered(c, friends[0]!), 'the next window');
    t.end();
  },
);

void t.test('proven is who answered us: of a SYN, or of a SYN,ACK; not who only sent a SYN', (t) => {
  const c = besieged([]);
  from(c, '10.0.0.7', 443);
  const port = c.ourPort;
  c.connect();
  c.take();
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  t.equal(c.state, 'ESTABLISHED');
  c.ourPort = port;
  flood(c, false, 100);
  t.ok(answered(c, '10.0.0.7', 5000), 'a server of ours');
  t.notOk(answered(c, invented(false, 0), 4000), 'half-open only');
  t.end();
});

void t.test('the short way out of a flood and the long one are the same to all but the clock', (t) => {
  for (const v6 of [false, true]) {
    const friend = v6 ? 'fd00::1' : '10.0.0.1';
    const told = [false, true].map((traced) => {
      const c = besieged([friend], { v6 });
      // While decisions are written down each segment is read whole
      c.stack.trace(traced);
      const reasons = [];
      for (let n = 0; n < 600; n++) {
        if (n % 50 === 0) c.now++;
        from(c, n % 10 === 3 ? friend : invented(v6, n), 2000 + n);
        c.inject(['S 0:0(0) win 9', 'SEW 0:0(0) win 9', 'S. 0:0(0) ack 7 win 9', 'SP 0:3(3) win 9'][n % 4]!);
        reasons.push(c.reason);
        if (n % 7 === 0) {
          c.ourPort = 81;
          c.inject('S 0:0(0) win 9');
          reasons.push(c.reason);
          c.ourPort = 80;
        }
      }
      const counters = counterNames.map((name) => [name, count(c, name)]);
      return { reasons, counters, said: c.rest() };
    });
    t.ok(told[0]!.reasons.filter((reason) => reason === 'syn-cookie-rate').length > 100);
    t.same(told[0], told[1]);
  }
  t.end();
});

void t.test('SYN,ACKs that are due together are resent in steps, as many as the caller has time for', (t) => {
  const c = new Conversation();
  c.listen(1000);
  flood(c, false, 1000);
  c.rest();
  const due = (c.now + 1000) | 0;
  const resent: number[] = [];
  for (let step = 0; step < 5; step++) {
    const left = c.stack.nextDeadline(due);
    c.stack.advance(due, 300);
    let packets = 0;
    for (let more = c.stack.output(due); more > 0; more = c.stack.output(due)) {
      packets += more;
      c.stack.tx.clear();
    }
    resent.push(packets);
    t.equal(left === 0, step < 4, `step ${step}: overdue until all have run`);
  }
  t.same(resent, [300, 300, 300, 100, 0]);
  t.end();
});

void t.test('ProvenPeers beside a Map: who is in it, for an hour, in bounded memory', (t) => {
  const peers = new ProvenPeers(new Uint8Array(16).fill(7));
  const start = 2 ** 31 - 1000;
  const at = (ms: number): number => (start + ms) | 0;
  const v4 = (n: number): [number, number, number, number] => [0, 0, 0xffff, 0x0a000000 + n];
  for (let n = 0; n < 20_000; n++) peers.prove(...v4(n), at(n));
  let kept = 0;
  for (let n = 0; n < 20_000; n++) kept += Number(peers.isProven(...v4(n), at(20_000)));
  t.ok(kept > 19_900, 'there is room for all but a few whose sets are full');
  let strangers = 0;
  for (let n = 20_000; n < 40_000; n++) strangers += Number(peers.isProven(...v4(n), at(20_000)));
  t.equal(strangers, 0);
  t.equal(peers.size, kept);
  t.ok(peers.isProven(...v4(0), at(PROVEN_FOR - 1)));
  t.notOk(peers.isProven(...v4(0), at(PROVEN_FOR)), 'an hour');
  t.ok(peers.isProven(...v4(1), at(PROVEN_FOR)), 'the next one a millisecond later');
  peers.prove(...v4(0), at(PROVEN_FOR));
  t.ok(peers.isProven(...v4(0), at(2 * PROVEN_FOR - 1)), 'each handshake counts anew');
  for (let n = 0; n < 300_000; n++) peers.prove(...v4(100_000 + n), at(PROVEN_FOR + n));
  t.ok(peers.size <= MOST_PEERS, 'so many and no more');
  kept = 0;
  for (let n = 290_000; n < 300_000; n++)
    kept += Number(peers.isProven(...v4(100_000 + n), at(PROVEN_FOR + n)));
  t.ok(kept > 9900, 'the last ones are there');
  t.end();
});

void t.test('ProvenPeers: an IPv6 address stands for its /64, an IPv4 address for itself', (t) => {
  const peers = new ProvenPeers(new Uint8Array(16).fill(7));
  peers.prove(0x20010db8, 5, 1, 2, 0);
  t.ok(peers.isProven(0x20010db8, 5, 99, 98, 1));
  t.notOk(peers.isProven(0x20010db8, 6, 1, 2, 1));
  peers.prove(0, 0, 0xffff, 5, 0);
  t.ok(peers.isProven(0, 0, 0xffff, 5, 1));
  t.notOk(peers.isProven(0, 0, 0xffff, 6, 1));
  t.equal(peers.size, 2);
  t.end();
});

/** The checksum of an IPv4 header. */
function sumHeader(b: Uint8Array, at: number): void {
  b[at + 10] = b[at + 11] = 0;
  const right = fold(sum(b, at, 20, 0));
  b[at + 10] = right >> 8;
  b[at + 11] = right & 255;
}

void t.test('bareSyn says of no packet what the whole reading does not', (t) => {
  const ip = new IpHeader();
  const segment = new Segment();
  const source = new SynSource();
  const packets = [false, true].map((v6) => {
    const syn = parseNotation('S 5:5(0) win 1000 <mss 1460,sackOK>');
    if ('error' in syn) throw new SyntaxError(syn.error);
    const [src, dst] = v6 ? ['fd00::1', 'fd00::2'] : ['10.0.0.1', '10.0.0.2'];
    const ends = { src: parseAddress(src)!, dst: parseAddress(dst)!, srcPort: 5000, dstPort: 80 };
    return { packet: buildPacket(syn, ends), dst: ends.dst.words };
  });
  const ask = (bytes: Uint8Array, at: number, length: number, d: Int32Array, port = 80): boolean =>
    bareSyn(bytes, at, length, d[0]!, d[1]!, d[2]!, d[3]!, port, source);
  let found = 0;
  let read = 0;
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { maxLength: 2 }),
      fc.nat(80),
      (v6, changes, cut) => {
        const { packet, dst } = packets[Number(v6)]!;
        const bytes = new Uint8Array(packet.length + 32);
        bytes.set(packet, 7);
        for (const [at, value] of changes) if (at < packet.length) bytes[7 + at] = value;
        const length = Math.min(cut, packet.length);
        if (!ask(bytes, 7, length, dst)) return true;
        found++;
        if (bytes[7]! >> 4 === 4) sumHeader(bytes, 7);
        // What is wrong with it otherwise nobody asks
        if (ip.load(bytes, 7, length) !== LOAD_OK || segment.load(ip, false) !== LOAD_OK) return true;
        read++;
        return (
          ip.protocol === 6 &&
          !ip.fragment &&
          (segment.flags & 0x17) === 2 &&
          segment.dstPort === 80 &&
          [ip.src0, ip.src1, ip.src2, ip.src3].join() ===
            [source.src0, source.src1, source.src2, source.src3].join() &&
          [ip.dst0, ip.dst1, ip.dst2, ip.dst3].join() === dst.join()
        );
      },
    ),
    { numRuns: 5000, seed: 1 },
  );
  t.ok(found > read && read > 300, `${found} were SYNs, ${read} of them sound`);
  for (const { packet, dst } of packets) {
    t.ok(ask(packet, 0, packet.length, dst));
    t.notOk(ask(packet, 0, packet.length, dst, 81), 'another port');
    t.notOk(
      ask(
        packet,
        0,
        packet.length,
        Int32Array.from(dst, (word, i) => (i === 3 ? word + 1 : word)),
      ),
    );
  }
  t.end();
});
