/** The NAT: who gets which port, what is rewritten, how long it is remembered. */
import t from 'tap';
import fc from 'fast-check';
import type { Nat, NatOptions } from '../../src/sim/nat.js';
import { icmpError } from '../../src/wire/icmp.js';
import { formatNotation, type OptionText, type SegmentText } from '../../src/wire/notation.js';
import { echoRequest } from '../support/icmp.js';
import { address, packet } from '../lab/packets.js';
import { message, say } from './translated.js';
import { naiveChecksum } from '../wire/packets.js';
import { Talk, V4, V6, nat, versions } from './talk.js';

void t.test('out under the outside address, back to the host, in both IP versions', async (t) => {
  for (const ends of versions) {
    const one = nat();
    const bytes = packet(ends.inside, 4000, ends.server, 80, 'S 7:7(0) win 1000 <mss 1460,TS val 9 ecr 0>');
    t.equal(one.outbound(3, bytes, 0, bytes.length, 0), true);
    t.equal(
      say(bytes),
      `${ends.outside} 4000 > ${ends.server} 80 S 7:7(0) win 1000 <mss 1460,TS val 9 ecr 0>`,
      'timestamps are kept',
    );
    const answer = packet(ends.server, 80, ends.outside, 4000, 'S. 1:1(0) ack 8 win 1000 <TS val 5 ecr 9>');
    t.equal(one.inbound(answer, 0, answer.length, 10), 3);
    t.equal(say(answer), `${ends.server} 80 > ${ends.inside} 4000 S. 1:1(0) ack 8 win 1000 <TS val 5 ecr 9>`);
    t.match(one.flows(10), [
      {
        state: 'SYN_RECV',
        protocol: 'tcp',
        side: 3,
        source: { address: ends.inside, port: 4000 },
        destination: { address: ends.server, port: 80 },
        newSource: { address: ends.outside, port: 4000 },
        newDestination: { address: ends.server, port: 80 },
        left: 60_000,
      },
    ]);
    t.match(one.counters, { translated: 2, opened: 1, unmapped: 0, invalid: 0, clashes: 0 });
  }
});

const int32 = fc.nat(0xffff_ffff);
const option: fc.Arbitrary<OptionText> = fc.oneof(
  fc.record({ kind: fc.constant('TS' as const), val: int32, ecr: int32 }),
  fc.record({ kind: fc.constant('mss' as const), value: fc.nat(65_535) }),
  // Three bytes: what follows stands at an odd place.
  fc.record({ kind: fc.constant('wscale' as const), value: fc.nat(14) }),
  fc.record({ kind: fc.constant('nop' as const) }),
);
const ipv4 = fc.nat(0xffff_ffff).map((n) => [24, 16, 8, 0].map((s) => (n >>> s) & 255).join('.'));
const ipv6 = fc
  .array(fc.nat(0xffff), { minLength: 7, maxLength: 7 })
  .map((parts) => ['2001', ...parts.map((n) => n.toString(16))].join(':'));

void t.test('rewritten packets are those that would have been made so, bit by bit', async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(ipv4, ipv6).chain((ip) => fc.tuple(ip, ip, ip)),
      fc.array(option, { maxLength: 3 }),
      int32,
      fc.nat(1400),
      fc.nat(65_535),
      fc.nat(65_535),
      int32,
      fc.nat(0xff),
      ([inside, outside, server], options, seq, length, srcPort, dstPort, shift, dirt) => {
        const one = nat({ outside, choice: 'sequential', ports: [2000, 3000], clockShifts: [shift | 0] });
        const text: SegmentText = { flags: 0x02, seq, length, win: 100, options };
        const shifted: SegmentText = {
          ...text,
          options: options.map((o) => (o.kind === 'TS' ? { ...o, val: (o.val + shift) >>> 0 } : o)),
        };
        // Only the first option of a kind counts.
        if (options.filter(({ kind }) => kind === 'TS').length > 1) return true;
        const bytes = packet(inside, srcPort, server, dstPort, formatNotation(text));
        const expected = packet(outside, 2000, server, dstPort, formatNotation(shifted));
        const memory = Uint8Array.of(dirt, dirt, dirt, ...bytes, dirt);
        const done = one.outbound(0, memory, 3, bytes.length, 0);
        return done && Buffer.from(memory).equals(Uint8Array.of(dirt, dirt, dirt, ...expected, dirt));
      },
    ),
    { numRuns: 3000 },
  );
  t.pass();
});

void t.test('a damaged segment stays damaged', async (t) => {
  for (const ends of versions) {
    const bytes = packet(ends.inside, 4000, ends.server, 80, 'SP 7:17(10) win 1000');
    bytes[bytes.length - 1]! ^= 1;
    t.ok(nat().outbound(0, bytes, 0, bytes.length, 0));
    t.match(say(bytes), /^bad segment/);
  }
});

void t.test('two hosts with the same private address and port', async (t) => {
  for (const ends of versions) {
    const one = nat();
    const [a, b] = [new Talk(one, ends, 4000, 0), new Talk(one, ends, 4000, 1)];
    t.equal(a.out('S 1:1(0)'), 4000);
    t.equal(b.out('S 9:9(0)'), 1024, 'the first of the range: its own is taken');
    t.equal(one.counters.clashes, 1);
    t.equal(a.back('S. 5:5(0) ack 2'), 0);
    t.equal(b.back('S. 5:5(0) ack 10', 1024), 1);
    t.equal(b.out('. 10:10(0) ack 6'), 1024, 'and stays');
  }
});

void t.test('a port may be used towards several servers', async (t) => {
  const one = nat();
  const talk = new Talk(one);
  const far = new Talk(one, { ...V4, server: '198.51.100.3' }, 4000, 1);
  t.equal(talk.out('S 1:1(0)'), 4000);
  t.equal(far.out('S 1:1(0)'), 4000);
  t.equal(far.back('S. 1:1(0) ack 2'), 1);
  t.equal(talk.back('S. 1:1(0) ack 2'), 0);
});

void t.test('ports outside of the range are not kept', async (t) => {
  t.equal(new Talk(nat()).out('S 1:1(0)'), 4000);
  t.equal(new Talk(nat(), V4, 1023).out('S 1:1(0)'), 1024);
  t.equal(new Talk(nat({ ports: [5000, 5001] })).out('S 1:1(0)'), 5000);
  t.equal(new Talk(nat({ ports: [5000, 5001] }), V4, 5001).out('S 1:1(0)'), 5001);
});

void t.test('sequential: round and round, past those in use', async (t) => {
  const one = nat({ choice: 'sequential', ports: [3000, 3004] });
  const from = (port: number): number => new Talk(one, V4, port).out('S 1:1(0)');
  t.same([from(1), from(2), from(3)], [3000, 3001, 3002]);
  const second = new Talk(one, V4, 2);
  t.equal(second.back('R. 0:0(0) ack 2', 3001), 0);
  t.equal(one.size, 2, 'refused at once: forgotten at once');
  t.same([from(4), from(5), from(6), from(7)], [3003, 3004, 3001, 0], 'then there are no more');
  t.match(one.counters, { full: 1, opened: 6 });
});

void t.test('random: within the range, by the seed, all of it in the end', async (t) => {
  const ports = (seed: number): number[] => {
    const one = nat({ choice: 'random', ports: [3000, 3099], seed });
    return Array.from({ length: 100 }, (_, i) => new Talk(one, V4, 10_000 + i).out('S 1:1(0)'));
  };
  const [first, again, other] = [ports(1), ports(1), ports(2)];
  t.same(first, again);
  t.not(first.join(), other.join());
  t.equal(new Set(first).size, 100);
  t.same([Math.min(...first), Math.max(...first)], [3000, 3099]);
  t.ok(first.filter((port, i) => i > 0 && port === first[i - 1]! + 1).length < 50, 'not one after the other');
});

void t.test('what began outside, and what is no connection, is not let through', async (t) => {
  const one = nat();
  const talk = new Talk(one);
  t.equal(talk.back('S 1:1(0)'), -1);
  t.equal(talk.back('. 1:1(0) ack 1'), -1);
  t.equal(one.counters.unmapped, 2);
  for (const text of [
    'S. 1:1(0) ack 1',
    'F. 1:1(0) ack 1',
    'R 1:1(0)',
    'R. 1:1(0) ack 1',
    '- 1:1(0)',
    'SF 1:1(0)',
    'SR 1:1(0)',
    'F 1:1(0)',
  ])
    t.equal(talk.out(text), 0, text);
  t.equal(one.counters.invalid, 8);
  t.equal(one.size, 0);
  t.equal(new Talk(nat({ loose: false })).out('. 1:1(0) ack 1'), 0, 'strict: nothing from the middle');
  t.equal(talk.out('. 1:1(0) ack 1'), 4000, 'loose: it may have been there before us');
  t.same(talk.states, ['ESTABLISHED']);
});

void t.test('one of the IP versions only', async (t) => {
  const one = nat({ outside: V4.outside });
  t.equal(new Talk(one, V6).out('S 1:1(0)'), 0);
  t.equal(one.counters.other, 1);
});

void t.test(
  'under pressure closing flows go first, then half-open ones, established ones never',
  async (t) => {
    const one = nat({ limit: 3 });
    const talk = (port: number, now: number): Talk => new Talk(one, V4, port).after(now);
    talk(4000, 0).open();
    const half = talk(4001, 10);
    half.out('S 1:1(0)');
    const closing = talk(4002, 20);
    closing.open();
    closing.close();
    t.equal(talk(4003, 30).out('S 1:1(0)'), 4003);
    t.same(
      one
        .flows(30)
        .map(({ source }) => source.port)
        .sort(),
      [4000, 4001, 4003],
      'TIME_WAIT is younger but goes first',
    );
    talk(4004, 40).open();
    t.same(
      one
        .flows(40)
        .map(({ source }) => source.port)
        .sort(),
      [4000, 4003, 4004],
      'the older of two half-open ones',
    );
    talk(4005, 50).open();
    t.equal(one.size, 3);
    t.equal(talk(4006, 60).out('S 1:1(0)'), 0, 'three live ones: no room');
    t.match(one.counters, { evicted: 3, full: 1 });
    t.equal(one.size, 3);
  },
);

void t.test('memory: the limit holds whatever comes', async (t) => {
  const one = nat({ limit: 500, choice: 'random' });
  for (let i = 0; i < 20_000; i++) {
    const bytes = packet(V4.inside, 1024 + (i % 60_000), V4.server, 1 + (i % 7), 'S 1:1(0)');
    one.outbound(i % 5, bytes, 0, bytes.length, i);
    if (one.size > 500) t.fail(`${one.size} flows`);
  }
  t.equal(one.size, 500);
  t.equal(one.counters.evicted, 19_500);
  t.equal(one.flows(1_000_000).length, 0);
});

void t.test('a dead flow loses its port to a SYN with a higher sequence number', async (t) => {
  const dead = (): Nat => {
    const one = nat({ ports: [4000, 4000] });
    const talk = new Talk(one);
    talk.open();
    talk.close();
    return one;
  };
  const low = dead();
  t.equal(new Talk(low, V4, 5000).out('S 101:101(0)'), 0, 'ends where the old one ended: no');
  t.equal(low.counters.full, 1);
  const high = dead();
  t.equal(new Talk(high, V4, 5000, 1).out('S 102:102(0)'), 4000);
  t.match(high.counters, { reclaimed: 1, full: 0 });
  t.match(high.flows(0), [{ state: 'SYN_SENT', side: 1 }]);
  t.equal(new Talk(dead(), V4, 5000).out('. 102:202(100) ack 1'), 0, 'only a SYN may');
  const alive = nat({ ports: [4000, 4000] });
  new Talk(alive).open();
  t.equal(new Talk(alive, V4, 5000).out('S 9999:9999(0)'), 0, 'never from a live one');
});

void t.test(
  "machines switched on at different times: the second one's clock is a minute behind",
  async (t) => {
    const one = nat({ clockShifts: [0, -60_000] });
    const bytes = packet(V4.inside, 4000, V4.server, 80, 'S 1:1(0) win 1 <TS val 1000 ecr 0>');
    one.outbound(1, bytes, 0, bytes.length, 0);
    t.match(say(bytes), `TS val ${2 ** 32 + 1000 - 60_000} ecr 0`);
    const answer = packet(
      V4.server,
      80,
      V4.outside,
      4000,
      `S. 1:1(0) ack 2 win 1 <TS val 5 ecr ${2 ** 32 - 59_000}>`,
    );
    one.inbound(answer, 0, answer.length, 0);
    t.match(say(answer), 'TS val 5 ecr 1000', 'it hears its own time again');
    const none = packet(V4.server, 80, V4.outside, 4000, 'S. 1:1(0) ack 2 win 1 <TS val 5 ecr 0>');
    one.inbound(none, 0, none.length, 0);
    t.match(say(none), 'TS val 5 ecr 0', 'an echo of 0 is no echo');
  },
);

void t.test('rewritten timestamps: one clock for all, each hears its own', async (t) => {
  for (const ends of versions) {
    const one = nat({ timestamps: 'rewrite', clockShifts: [0, -60_000] });
    const shown = (host: number, val: number, now: number): number => {
      const bytes = packet(ends.inside, 4000 + host, ends.server, 80, `S 1:1(0) win 1 <TS val ${val} ecr 0>`);
      one.outbound(host, bytes, 0, bytes.length, now);
      return Number(/TS val (\d+)/.exec(say(bytes))![1]);
    };
    const first = shown(0, 4_000_000_000, 100);
    const second = shown(1, 5, 350);
    t.equal((second - first) | 0, 250, 'as if from one machine, whatever their own clocks say');
    t.equal((shown(1, 105, 999) - second) | 0, 100, 'within a connection as far apart as they were');
    const answer = packet(
      ends.server,
      80,
      ends.outside,
      4001,
      `S. 1:1(0) ack 2 win 1 <TS val 7 ecr ${second}>`,
    );
    t.equal(one.inbound(answer, 0, answer.length, 360), 1);
    t.match(say(answer), 'TS val 7 ecr 5');
  }
});

void t.test('stripped timestamps: the option is gone, the segment is good', async (t) => {
  for (const ends of versions) {
    const bytes = packet(
      ends.inside,
      4000,
      ends.server,
      80,
      'S 1:1(0) win 1 <wscale 7,TS val 77 ecr 0,mss 1000>',
    );
    t.ok(nat({ timestamps: 'strip' }).outbound(0, bytes, 0, bytes.length, 0));
    t.equal(say(bytes).split(' win')[1], ' 1 <mss 1000,wscale 7>');
    t.equal(Buffer.from(bytes).toString('latin1').includes('\x01'.repeat(10)), true, 'no-operations instead');
  }
});

void t.test('echo: the identifier is the port', async (t) => {
  for (const ends of versions) {
    const one = nat();
    const [server, outside] = [address(ends.server), address(ends.outside)];
    const ids = [0, 1].map((host) => {
      const bytes = echoRequest(address(ends.inside), server, 5000, 7, 33);
      t.ok(one.outbound(host, bytes, 0, bytes.length, 0));
      const { from, to, good, body } = message(bytes);
      t.same({ from, to, good }, { from: ends.outside, to: ends.server, good: true });
      return body[4]! * 256 + body[5]!;
    });
    t.same(ids, [5000, 1024]);
    const answer = echoRequest(server, outside, 1024, 7, 33);
    const at = ends === V4 ? 20 : 40;
    // A request becomes a reply: type 8 to 0, or 128 to 129, and the checksum follows.
    const [type, change] = ends === V4 ? [0, 8 * 256] : [129, 0xffff - 256];
    const check = answer[at + 2]! * 256 + answer[at + 3]! + change;
    const folded = (check & 0xffff) + (check >> 16);
    answer.set([type, 0, folded >> 8, folded & 255], at);
    t.ok(message(answer).good);
    t.equal(one.inbound(answer, 0, answer.length, 29_999), 1);
    const { to, good, body } = message(answer);
    t.same({ to, good, id: body[4]! * 256 + body[5]! }, { to: ends.inside, good: true, id: 5000 });
    t.equal(one.flows(30_000).length, 1, 'the other one was 30 s without an answer');
    const request = echoRequest(server, outside, 5000, 1, 0);
    t.equal(one.inbound(request, 0, request.length, 30_000), -1, 'a request from outside is for nobody');
  }
});

void t.test('an ICMP error finds the host by what it quotes', async (t) => {
  for (const ends of versions) {
    const one = nat({ ports: [9000, 9000], choice: 'sequential' });
    const sent = packet(ends.inside, 4000, ends.server, 80, 'S 7:7(0) win 9 <mss 1400>');
    const original = sent.slice();
    one.outbound(2, sent, 0, sent.length, 0);
    const router = ends === V4 ? '192.0.2.1' : '2001:db8:9::1';
    const bytesOf = (text: string): Uint8Array => {
      const { words, family } = address(text);
      return Uint8Array.from([...words].flatMap((w) => [24, 16, 8, 0].map((s) => (w >>> s) & 255))).slice(
        family === 4 ? 12 : 0,
      );
    };
    const [type, code] = ends === V4 ? [3, 4] : [2, 0];
    for (const quoted of [
      sent,
      sent.slice(0, sent.length - 6),
      sent.slice(0, sent.length - 7),
      sent.slice(0, sent.length - 16),
    ]) {
      const error = icmpError(quoted, { type: type!, code: code!, rest: 1280, source: bytesOf(router) });
      const memory = Uint8Array.of(...error, 7, 7, 7);
      t.equal(one.inbound(memory, 0, error.length, 0), 2);
      t.same(memory.slice(error.length), [7, 7, 7], 'nothing behind it is touched');
      const { from, to, good, body } = message(memory.slice(0, error.length));
      t.same({ from, to, good }, { from: router, to: ends.inside, good: true });
      // The byte that is left of a checksum cut in two stays as it was.
      const whole = original.length - 7 === quoted.length ? quoted.length - 1 : quoted.length;
      t.same(body.slice(8, 8 + whole), original.slice(0, whole), 'it quotes what the host had sent');
    }
    const stranger = packet(ends.outside, 9001, ends.server, 80, 'S 7:7(0)');
    const lost = icmpError(stranger, { type: type!, code: code!, rest: 1280, source: bytesOf(router) });
    t.equal(one.inbound(lost, 0, lost.length, 0), -1);
    // The host's own error about what it got.
    const got = packet(ends.server, 80, ends.inside, 4000, '. 1:1(0) ack 8');
    const own = icmpError(got, { type: type!, code: code!, rest: 1280, source: bytesOf(ends.inside) });
    t.ok(one.outbound(2, own, 0, own.length, 0));
    const told = message(own);
    t.same([told.from, told.to, told.good], [ends.outside, ends.server, true]);
    const as = packet(ends.server, 80, ends.outside, 9000, '. 1:1(0) ack 8');
    t.ok(Buffer.from(told.body.slice(8)).equals(as), 'about what the server had sent');
  }
});

void t.test('whatever the bytes are: nothing throws, and what is refused is left as it was', async (t) => {
  const one = nat({ limit: 64 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(60), fc.boolean(), (noise, at, inbound) => {
      const plain = inbound
        ? packet(V4.server, 80, V4.outside, 4000, '. 1:1(0) ack 1 <TS val 1 ecr 1>')
        : packet(V4.inside, 4000, V4.server, 80, 'S 1:1(0) <TS val 1 ecr 1,wscale 3>');
      const bytes = Uint8Array.of(...plain.subarray(0, at), ...noise);
      const memory = Uint8Array.of(9, ...bytes, 9);
      const before = memory.slice();
      const done = inbound
        ? one.inbound(memory, 1, bytes.length, 0) >= 0
        : one.outbound(0, memory, 1, bytes.length, 0);
      if (!done) return Buffer.from(memory).equals(before);
      return memory[0] === 9 && memory.at(-1) === 9 && memory.length === before.length;
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

void t.test('one line for bad options', async (t) => {
  const bad = (options: Partial<NatOptions>, text: RegExp): void => {
    t.throws(() => nat(options), { name: 'RangeError', message: text });
  };
  bad({ outside: 'here' }, /^outside: 'here' is no IPv4 or IPv6 address$/);
  bad({ outside: [] }, /^outside: one address/);
  bad({ outside: ['10.0.0.1', '10.0.0.2'] }, /^outside: one address/);
  for (const ports of [
    [0, 5],
    [5, 4],
    [1, 65_536],
    [1.5, 9],
  ] as const)
    bad({ ports }, /^ports: \[.*1\.\.65535$/);
  bad({ limit: 0 }, /^limit: 0; allowed/);
  bad({ timers: { timeWait: 0 } }, /^timer timeWait: 0; allowed/);
  bad({ timers: { close: 2 ** 31 } }, /^timer close/);
});

void t.test('a crowded range: the search goes on elsewhere, and ends', async (t) => {
  const one = nat({ choice: 'sequential', ports: [10_000, 19_999] });
  const from = (i: number): number => new Talk(one, V4, 1024 + i).out('S 1:1(0)');
  for (let i = 0; i < 10_000; i += 1) if (from(i) === 0) t.fail(`none for ${i}`);
  // Free every port above 15000: the cursor stands at the start, 128 tries in a row find none.
  for (let port = 15_000; port < 20_000; port++) new Talk(one, V4).back('R. 0:0(0) ack 2', port);
  const found = Array.from({ length: 50 }, (_, i) => from(20_000 + i));
  t.ok(found.every((port) => port === 0 || port >= 15_000));
  t.ok(found.filter((port) => port > 0).length > 45, 'half of the range is free: found by chance elsewhere');
  t.equal(new Set(found).size, found.length);
});

void t.test('as many flows as there are, each is found, also after others have gone', async (t) => {
  const one = nat();
  const count = 20_000;
  const talk = (i: number): Talk =>
    new Talk(one, { ...V4, inside: `10.1.${i >> 8}.${i & 255}` }, 5000, i % 3);
  const ports = Array.from({ length: count }, (_, i) => talk(i).out('S 1:1(0)'));
  t.equal(one.size, count);
  for (let i = 0; i < count; i += 2) talk(i).out('R 2:2(0)');
  t.equal(one.size, count / 2);
  const wrong = ports.filter((port, i) => {
    const heard = talk(i).back('S. 1:1(0) ack 2', port);
    return heard !== (i % 2 === 0 ? -1 : i % 3);
  });
  t.same(wrong, []);
});

void t.test('fragments are not translated', async (t) => {
  for (const [at, value] of [
    [6, 0x20],
    [7, 0x10],
  ] as const) {
    const bytes = packet(V4.inside, 4000, V4.server, 80, 'S 1:1(0)');
    bytes[6] = 0;
    bytes[at] = value;
    bytes.set([0, 0], 10);
    const check = naiveChecksum(bytes.subarray(0, 20));
    bytes.set([check >> 8, check & 255], 10);
    const one = nat();
    t.equal(one.outbound(0, bytes, 0, bytes.length, 0), false);
    t.equal(one.counters.other, 1);
  }
});

void t.test('the clock of rewritten timestamps starts anywhere, by the seed', async (t) => {
  const shown = (seed: number): string => {
    const bytes = packet(V4.inside, 4000, V4.server, 80, 'S 1:1(0) win 1 <TS val 5 ecr 0>');
    nat({ timestamps: 'rewrite', seed }).outbound(0, bytes, 0, bytes.length, 0);
    return /TS val (\d+)/.exec(say(bytes))![1]!;
  };
  t.equal(shown(1), shown(1));
  t.not(shown(1), shown(2));
  t.not(shown(1), '0');
});

void t.test('a quoted header that lies, or a piece from the middle, names no flow', async (t) => {
  const one = nat();
  const sent = packet(V4.inside, 4000, V4.server, 80, 'S 7:7(0)');
  one.outbound(2, sent, 0, sent.length, 0);
  const change = (alter: (quoted: Uint8Array) => void): number => {
    const quoted = sent.slice();
    alter(quoted);
    const error = icmpError(sent, { type: 3, code: 1, source: Uint8Array.of(192, 0, 2, 1) });
    error.set(quoted, 28);
    // The message's checksum is for its receiver to judge.
    return one.inbound(error, 0, error.length, 0);
  };
  t.equal(
    change(() => undefined),
    2,
  );
  t.equal(
    change((quoted) => (quoted[7] = 1)),
    -1,
    'a later fragment: no ports',
  );
  t.equal(
    change((quoted) => quoted.set([0x4f, ...sent.slice(1)])),
    -1,
    'a header longer than what is there',
  );
  t.equal(
    change((quoted) => (quoted[0] = 0x44)),
    -1,
    'or shorter than any',
  );
  t.equal(
    change((quoted) => (quoted[9] = 17)),
    -1,
    'another protocol',
  );
});
