/** The NAT of the lab: addresses and clocks are rewritten both ways, the rest of a packet stays. */
import t from 'tap';
import fc from 'fast-check';
import { NatLink } from '../../src/lab/nat.js';
import { memoryLink } from '../../src/link/memory.js';
import { ManualClock } from '../../src/time/clock.js';
import { formatNotation, type OptionText, type SegmentText } from '../../src/wire/notation.js';
import { received, send } from '../link/packets.js';
import { address, packet, read } from './packets.js';

const PUBLIC = '10.0.0.100';
const FAST = '10.0.0.11';
const SLOW = '10.0.0.12';
const SERVER = '10.0.0.2';
const MINUTE = 60_000;

function nat(): { outside: ReturnType<typeof memoryLink>[0]; server: NatLink } {
  const [outside, inner] = memoryLink();
  const clients = [
    { address: address(FAST), clockShift: 0 },
    { address: address(SLOW), clockShift: -MINUTE },
  ];
  return { outside, server: new NatLink(inner, address(PUBLIC), clients, new ManualClock()) };
}

t.test('a client comes in under the public address, its port kept', async (t) => {
  const { outside, server } = nat();
  send(outside, packet(FAST, 4000, SERVER, 80, 'S 7:7(0) win 1000 <mss 1460,TS val 100000 ecr 0>'));
  t.same(received(server).map(read), [
    `${PUBLIC}:4000 > ${SERVER}:80 S 7:7(0) win 1000 <mss 1460,TS val 100000 ecr 0>`,
  ]);
});

t.test("the second machine's clock is a minute behind, and hears its own time again", async (t) => {
  const { outside, server } = nat();
  send(outside, packet(SLOW, 4001, SERVER, 80, 'S 7:7(0) win 1000 <TS val 100000 ecr 0>'));
  t.same(received(server).map(read), [
    `${PUBLIC}:4001 > ${SERVER}:80 S 7:7(0) win 1000 <TS val 40000 ecr 0>`,
  ]);
  send(server, packet(SERVER, 80, PUBLIC, 4001, 'S. 1:1(0) ack 8 win 1000 <TS val 5 ecr 40000>'));
  t.same(received(outside).map(read), [
    `${SERVER}:80 > ${SLOW}:4001 S. 1:1(0) ack 8 win 1000 <TS val 5 ecr 100000>`,
  ]);
});

t.test('a clock that passes zero goes round', async (t) => {
  const { outside, server } = nat();
  send(outside, packet(SLOW, 4001, SERVER, 80, '. 7:7(0) ack 1 win 9 <nop,nop,TS val 1000 ecr 3>'));
  t.match(read(received(server)[0]!), `TS val ${2 ** 32 + 1000 - MINUTE} ecr 3`);
});

t.test('answers go to the client that holds the port', async (t) => {
  const { outside, server } = nat();
  send(outside, packet(FAST, 4000, SERVER, 80, 'S 1:1(0)'), packet(SLOW, 4001, SERVER, 80, 'S 1:1(0)'));
  received(server);
  send(
    server,
    packet(SERVER, 80, PUBLIC, 4001, 'R. 0:0(0) ack 2'),
    packet(SERVER, 80, PUBLIC, 4000, 'R. 0:0(0) ack 2'),
    packet(SERVER, 80, PUBLIC, 4999, 'R. 0:0(0) ack 2'),
  );
  t.same(
    received(outside).map((bytes) => read(bytes).split(' R.')[0]),
    [`${SERVER}:80 > ${SLOW}:4001`, `${SERVER}:80 > ${FAST}:4000`, `${SERVER}:80 > ${PUBLIC}:4999`],
    'a port that nobody holds is not translated',
  );
});

t.test('others pass as they are', async (t) => {
  const { outside, server } = nat();
  const stranger = packet('10.0.0.13', 4000, SERVER, 80, 'S 1:1(0)');
  const six = packet('fd00::b', 4000, 'fd00::2', 80, 'S 1:1(0)');
  const udp = packet(FAST, 4000, SERVER, 80, 'S 1:1(0)');
  udp[9] = 17;
  send(outside, stranger, six, udp);
  t.same(received(server), [stranger, six, udp]);
});

t.test('whatever the bytes are: nothing throws, lengths and neighbours stay', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.nat(79), (noise, at) => {
      const { outside, server } = nat();
      const bytes = packet(
        SLOW,
        4001,
        SERVER,
        80,
        'S 7:7(0) win 1000 <mss 1460,TS val 9 ecr 0,nop,wscale 7>',
      );
      bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
      const guard = packet('10.0.0.13', 1, SERVER, 80, '. 1:1(0) ack 1');
      send(outside, bytes, guard);
      const out = received(server);
      return out.length === 2 && out[0]!.length === bytes.length && Buffer.from(out[1]!).equals(guard);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

const int32 = fc.nat(0xffff_ffff);
const option: fc.Arbitrary<OptionText> = fc.oneof(
  fc.record({ kind: fc.constant('TS' as const), val: int32, ecr: int32 }),
  fc.record({ kind: fc.constant('mss' as const), value: fc.nat(65_535) }),
  fc.record({ kind: fc.constant('wscale' as const), value: fc.nat(14) }),
  fc.record({ kind: fc.constant('sackOK' as const) }),
);

t.test('there and back again: the client sees what the server would have sent to it', async (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(option, { selector: ({ kind }) => kind, maxLength: 4 }),
      int32,
      fc.nat(1400),
      fc.constantFrom(FAST, SLOW),
      (options, seq, length, client) => {
        const { outside, server } = nat();
        send(outside, packet(client, 4000, SERVER, 80, 'S 1:1(0)'));
        received(server);
        const text: SegmentText = { flags: 0x10, seq, length, ack: 5, win: 100, options };
        const shift = client === SLOW ? MINUTE : 0;
        const expected: SegmentText = {
          ...text,
          // An echo of 0 is no echo and stays.
          options: options.map((each) =>
            each.kind === 'TS' && each.ecr !== 0 ? { ...each, ecr: (each.ecr + shift) >>> 0 } : each,
          ),
        };
        send(server, packet(SERVER, 80, PUBLIC, 4000, formatNotation(text)));
        const plain = packet(SERVER, 80, client, 4000, formatNotation(expected));
        return Buffer.from(received(outside)[0]!).equals(plain);
      },
    ),
    { numRuns: 1000 },
  );
  t.pass();
});
