/** The neighbour side of an Ethernet link, a conversation at a time, under virtual time. */
import fc from 'fast-check';
import t from 'tap';
import { IpHeader } from '../../src/wire/ip.js';
import { IcmpMessage } from '../../src/wire/icmp.js';
import { EthernetHost, OUR_MAC, arp, discovery, frame, packet } from './ethernet-host.js';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const ALL = 'ff:ff:ff:ff:ff:ff';
const ASK = { operation: 1, from: A, sender: '10.0.0.9', target: '10.0.0.2' };
const SOLICIT = { type: 135, from: A, source: 'fd00::9', target: 'fd00::2' };
const V4 = packet('10.0.0.2', '10.0.0.9');
const V6 = packet('fd00::2', 'fd00::9');

/** A host whose announcements are over. */
function host(options: ConstructorParameters<typeof EthernetHost>[0] = {}): EthernetHost {
  const made = new EthernetHost(options);
  made.wait(60_000);
  return made;
}

t.test('answers questions for our addresses with our MAC, and for no other', async (t) => {
  const us = host();
  t.same(us.hear(arp(ASK)), [`to ${A} arp 2 10.0.0.2 -> 10.0.0.9`]);
  t.same(us.hear(arp({ ...ASK, target: '10.0.0.3' })), []);
  t.same(us.hear(discovery(SOLICIT)), [`to ${A} nd 136 flags 96 fd00::2 ${OUR_MAC}`]);
  t.same(us.hear(discovery({ ...SOLICIT, target: 'fd00::3' })), []);
  t.equal(us.state('10.0.0.9'), `STALE ${A}`, 'who asked us is known');
  t.equal(us.state('fd00::9'), `STALE ${A}`);
  t.same(
    us.hear(arp({ ...ASK, sender: '0.0.0.0', target: '10.0.0.2' })),
    [`to ${A} arp 2 10.0.0.2 -> 0.0.0.0`],
    'a probe is answered, so that nobody else takes the address (RFC 5227 2.1.1)',
  );
  t.same(
    us.hear(discovery({ ...SOLICIT, source: '::', option: null })),
    [`to 33:33:00:00:00:01 nd 136 flags 32 fd00::2 ${OUR_MAC}`],
    'and so is duplicate address detection (RFC 4861 7.2.4)',
  );
});

t.test('asks for an unknown neighbour, keeps the packets, sends them when it answers', async (t) => {
  const us = host();
  t.same(us.send(V4), [`to ${ALL} arp 1 10.0.0.2 -> 10.0.0.9`]);
  t.same(us.send(V4), [], 'one question for both');
  t.equal(us.state('10.0.0.9'), 'INCOMPLETE ?');
  const reply = arp({ operation: 2, from: A, sender: '10.0.0.9', target: '10.0.0.2', to: OUR_MAC });
  t.same(us.hear(reply), Array(2).fill(`to ${A} ip 10.0.0.9`));
  t.equal(us.state('10.0.0.9'), `REACHABLE ${A}`);
  t.same(us.send(V4), [`to ${A} ip 10.0.0.9`]);

  t.same(us.send(V6), [`to 33:33:ff:00:00:09 nd 135 flags 0 fd00::9 ${OUR_MAC}`]);
  const advertisement = discovery({
    type: 136,
    flags: 0x60,
    from: A,
    source: 'fd00::9',
    target: 'fd00::9',
    destination: 'fd00::2',
    to: OUR_MAC,
  });
  t.same(us.hear(advertisement), [`to ${A} ip fd00::9`]);
  t.equal(us.state('fd00::9'), `REACHABLE ${A}`);
});

t.test('three questions, a second apart, then the sender hears of it (RFC 4861 7.2.2, 10)', async (t) => {
  for (const [bytes, question, type, code] of [
    [V4, `to ${ALL} arp 1 10.0.0.2 -> 10.0.0.9`, 3, 1],
    [V6, `to 33:33:ff:00:00:09 nd 135 flags 0 fd00::9 ${OUR_MAC}`, 1, 3],
  ] as const) {
    const us = host();
    t.same(us.send(bytes), [question]);
    t.same(us.wait(10_000), [`1000 ${question}`, `2000 ${question}`]);
    t.equal(us.side.unreachable.length, 1);
    t.equal(us.side.counts.unreachable, 1);
    const ip = new IpHeader();
    const icmp = new IcmpMessage();
    const said = us.side.unreachable[0]!;
    t.equal(ip.load(said, 0, said.length), 0);
    t.equal(icmp.load(ip), 0, 'a well-formed ICMP error for our own stack');
    t.same([icmp.type, icmp.code], [type, code], 'host, address unreachable');
    t.equal(us.side.rows(us.now).length, 0);
    t.equal(us.side.nextDeadline(us.now), -1, 'and nothing is left to do');
  }
});

t.test('REACHABLE, STALE, DELAY, PROBE (RFC 4861 7.3.3)', async (t) => {
  const us = host();
  us.send(V4);
  us.hear(arp({ operation: 2, from: A, sender: '10.0.0.9', target: '10.0.0.2', to: OUR_MAC }));
  us.wait(14_999);
  t.match(us.state('10.0.0.9'), /^REACHABLE/, 'at least half of 30 s');
  us.wait(30_001);
  t.match(us.state('10.0.0.9'), /^STALE/, 'at most one and a half');
  t.same(us.wait(600_000), [], 'unused it stays stale, and nobody asks');
  t.same(us.send(V4), [`to ${A} ip 10.0.0.9`], 'a stale address is used');
  t.match(us.state('10.0.0.9'), /^DELAY/);
  const probe = `to ${A} arp 1 10.0.0.2 -> 10.0.0.9`;
  t.same(us.wait(5000), [`5000 ${probe}`], 'after 5 s it is asked alone');
  t.match(us.state('10.0.0.9'), /^PROBE/);
  us.hear(arp({ operation: 2, from: A, sender: '10.0.0.9', target: '10.0.0.2', to: OUR_MAC }));
  t.match(us.state('10.0.0.9'), /^REACHABLE/);

  us.wait(60_000);
  us.send(V4);
  t.same(us.wait(60_000), [`5000 ${probe}`, `6000 ${probe}`, `7000 ${probe}`]);
  t.equal(us.state('10.0.0.9'), 'none', 'three probes without an answer');
});

t.test('which advertisement changes what (RFC 4861 7.2.5)', async (t) => {
  const said = {
    type: 136,
    source: 'fd00::9',
    target: 'fd00::9',
    destination: 'ff02::1',
    to: '33:33:00:00:00:01',
  };
  const known = (): EthernetHost => {
    const us = host();
    us.send(V6);
    us.hear(discovery({ ...said, flags: 0x60, from: A, destination: 'fd00::2', to: OUR_MAC }));
    return us;
  };
  const cases: [string, number, string, string][] = [
    ['another address without override makes it stale only', 0, B, `STALE ${A}`],
    ['with override it is taken, and is stale', 0x20, B, `STALE ${B}`],
    ['the same address changes nothing', 0x20, A, `REACHABLE ${A}`],
  ];
  for (const [name, flags, from, state] of cases) {
    const us = known();
    us.hear(discovery({ ...said, flags, from }));
    t.equal(us.state('fd00::9'), state, name);
  }
  const us = host();
  us.hear(discovery({ ...said, flags: 0x20, from: A }));
  t.equal(us.state('fd00::9'), 'none', 'nobody is learnt who was not asked for');
});

t.test('what is not on the link goes to the gateway; without one the sender hears of it', async (t) => {
  const gateways = [{ words: Int32Array.of(0, 0, 0xffff, 0x0a000001), family: 4 as const, prefix: 32 }];
  const us = host({ gateways });
  t.same(us.send(packet('10.0.0.2', '192.0.2.7')), [`to ${ALL} arp 1 10.0.0.2 -> 10.0.0.1`]);
  const reply = arp({ operation: 2, from: A, sender: '10.0.0.1', target: '10.0.0.2', to: OUR_MAC });
  t.same(us.hear(reply), [`to ${A} ip 192.0.2.7`]);
  t.same(us.send(packet('fd00::2', '2001:db8::7')), []);
  t.equal(us.side.unreachable.length, 1, 'no way for IPv6');
});

t.test('VLAN tags are kept', async (t) => {
  const us = host({ vlan: 7 });
  t.same(us.hear(arp({ ...ASK, tag: 5 })), [`to ${A} vlan 5 arp 2 10.0.0.2 -> 10.0.0.9`]);
  t.same(us.send(V4), [`to ${A} vlan 5 ip 10.0.0.9`], 'a neighbour is answered where it was heard');
  t.same(us.send(packet('10.0.0.2', '10.0.0.8')), [`to ${ALL} vlan 7 arp 1 10.0.0.2 -> 10.0.0.8`]);
  t.same(us.hear(discovery({ ...SOLICIT, tag: 5 })), [`to ${A} vlan 5 nd 136 flags 96 fd00::2 ${OUR_MAC}`]);
});

t.test('duplicate address detection: RFC 4862 for IPv6, RFC 5227 for IPv4', async (t) => {
  const free = new EthernetHost({ detect: true });
  t.equal(free.side.settled, false);
  t.same(free.hear(arp(ASK)), [], 'a tentative address is not answered for');
  const lines = free.wait(20_000);
  const probes = lines
    .filter((line) => line.includes('arp 1 0.0.0.0 -> 10.0.0.2'))
    .map((line) => parseInt(line, 10));
  t.equal(probes.length, 3);
  t.ok(probes[1]! - probes[0]! >= 1000 && probes[2]! - probes[1]! <= 2000, 'one to two seconds apart');
  const first = lines.find((line) => line.includes('arp 1 10.0.0.2 -> 10.0.0.2'))!;
  t.equal(parseInt(first, 10) - probes[2]!, 2000, 'announced two seconds after the last');
  t.equal(lines.filter((line) => line.includes(' nd 135 ')).length, 1);
  t.match(
    lines.find((line) => line.includes(' nd 135 ')),
    /to 33:33:ff:00:00:02 nd 135 flags 0 fd00::2$/,
  );
  t.equal(free.side.settled, true);
  t.same(
    free.side.own.map((each) => each.state),
    [1, 1],
  );

  for (const [name, rival] of [
    ['it answers', arp({ operation: 2, from: B, sender: '10.0.0.2', target: '0.0.0.0', to: OUR_MAC })],
    ['it asks as well', arp({ operation: 1, from: B, sender: '0.0.0.0', target: '10.0.0.2' })],
  ] as const) {
    const taken = new EthernetHost({ detect: true, addresses: ['10.0.0.2/24'] });
    taken.wait(1500);
    taken.hear(rival);
    t.same(taken.wait(20_000), [], name);
    t.equal(taken.side.own[0]!.state, 2, 'duplicate');
    t.equal(taken.side.own[0]!.otherLow, 0x0000000b);
  }
  for (const rival of [
    discovery({
      type: 136,
      flags: 0x20,
      from: B,
      source: 'fd00::2',
      target: 'fd00::2',
      destination: 'ff02::1',
    }),
    discovery({ type: 135, from: B, source: '::', target: 'fd00::2', option: null }),
  ]) {
    const taken = new EthernetHost({ detect: true, addresses: ['fd00::2/64'] });
    taken.wait(1000);
    taken.hear(rival);
    taken.wait(20_000);
    t.equal(taken.side.own[0]!.state, 2, 'duplicate');
  }
});

t.test('an address of ours is defended, once in ten seconds (RFC 5227 2.4)', async (t) => {
  const us = host();
  const claim = arp({ operation: 1, from: B, sender: '10.0.0.2', target: '10.0.0.2' });
  const defence = `to ${ALL} arp 1 10.0.0.2 -> 10.0.0.2`;
  t.equal(us.hear(claim).filter((line) => line === defence).length, 1);
  t.equal(us.hear(claim).filter((line) => line === defence).length, 0);
  us.wait(10_000);
  t.equal(us.hear(claim).filter((line) => line === defence).length, 1);
  t.equal(us.side.counts.conflicts, 3);
});

t.test('only IP packets to our own MAC are for the stack', async (t) => {
  const us = host();
  const bytes = packet('10.0.0.9', '10.0.0.2');
  t.same(us.hear(frame(OUR_MAC, A, 0x0800, bytes)), ['pass']);
  t.same(us.hear(frame(B, A, 0x0800, bytes)), [], "another's");
  t.same(us.hear(frame(ALL, A, 0x0800, bytes)), [], 'RFC 1122 3.3.6: unicast in a broadcast frame');
  t.same(us.hear(frame(OUR_MAC, A, 0x8847, bytes)), []);
});

t.test('what comes from afar or is malformed is counted and changes nothing', async (t) => {
  const us = host();
  us.send(V6);
  us.said();
  const good = {
    type: 136,
    flags: 0x60,
    from: B,
    source: 'fd00::9',
    target: 'fd00::9',
    destination: 'fd00::2',
  };
  const spoil = (change: (bytes: Uint8Array) => void): void => {
    const it = discovery({ ...good, to: OUR_MAC });
    change(it.bytes);
    us.hear(it);
  };
  spoil((bytes) => (bytes[7] = 254));
  spoil((bytes) => (bytes[42]! ^= 1));
  spoil((bytes) => (bytes[41] = 1));
  spoil((bytes) => (bytes[65] = 0));
  t.equal(us.side.counts.bad, 4);
  us.hear(discovery({ ...good, destination: 'ff02::1', to: '33:33:00:00:00:01' }));
  t.equal(us.side.counts.bad, 5, 'solicited, to a group');
  us.hear(frame(ALL, B, 0x0806, new Uint8Array(27)));
  t.equal(us.side.counts.bad, 6);
  t.equal(us.state('fd00::9'), 'INCOMPLETE ?');
});

t.test('bounds: neighbours, waiting packets', async (t) => {
  const us = host({ addresses: ['10.0.0.2/8'] });
  us.send(V4);
  us.hear(arp({ operation: 2, from: A, sender: '10.0.0.9', target: '10.0.0.2', to: OUR_MAC }));
  for (let i = 0; i < 2000; i++) {
    us.now++;
    us.hear(arp({ ...ASK, sender: `10.1.${i >> 8}.${i & 255}` }));
    if (i % 100 === 0) t.same(us.send(V4), [`to ${A} ip 10.0.0.9`], 'one in use stays');
  }
  t.equal(us.side.rows(us.now).length, 512);
  const many = host({ addresses: ['10.0.0.2/8'] });
  for (let i = 0; i < 100; i++) many.send(V4);
  const reply = arp({ operation: 2, from: A, sender: '10.0.0.9', target: '10.0.0.2', to: OUR_MAC });
  t.equal(many.hear(reply).length, 64);
  t.equal(many.side.counts.overflow, 36);
  for (let i = 0; i < 400; i++) many.send(packet('10.0.0.2', `10.2.0.${i % 250}`));
  t.equal(many.side.counts.overflow > 36, true, 'no more than 256 wait in all');
});

t.test('whatever bytes come, nothing throws', async (t) => {
  const random = fc.record({
    to: fc.constantFrom(OUR_MAC, ALL, '33:33:ff:00:00:02', B),
    from: fc.constantFrom(A, B, OUR_MAC, ALL),
    type: fc.constantFrom(0x0806, 0x0800, 0x86dd, 0x8100),
    bytes: fc.uint8Array({ maxLength: 100 }),
    seed: fc.constantFrom(null, arp(ASK).bytes, discovery(SOLICIT).bytes),
    at: fc.nat(71),
    value: fc.nat(255),
  });
  const us = host();
  fc.assert(
    fc.property(random, ({ to, from, type, bytes, seed, at, value }) => {
      const it = seed === null ? bytes : seed.slice();
      if (seed !== null) it[at % it.length] = value;
      us.hear(frame(to, from, type, it));
      us.send(it);
      us.wait(100);
    }),
    { numRuns: 1000 },
  );
  t.ok(us.side.rows(us.now).length <= 512);
});
