import t from 'tap';
import { IpHeader } from '../../src/wire/ip.js';
import {
  LOAD_BAD_CHECKSUM,
  LOAD_BAD_LENGTH,
  LOAD_BAD_VERSION,
  LOAD_OK,
  LOAD_TRUNCATED,
} from '../../src/wire/codes.js';
import { be16, tcp, v4, v6 } from './packets.js';

function load(bytes: Uint8Array, offset = 0, length = bytes.length - offset): [number, IpHeader] {
  const ip = new IpHeader();
  return [ip.load(bytes, offset, length), ip];
}

/** Extension header of 8 * (1 + more) bytes. */
function extension(next: number, more = 0, third = 0): number[] {
  return [next, more, 0, third, ...new Array<number>(4 + 8 * more).fill(0)];
}

t.test('IPv4: every field', async (t) => {
  const [code, ip] = load(v4(tcp(4), { ttl: 7, tos: 0xb9, protocol: 17 }));
  t.equal(code, LOAD_OK);
  t.match(ip, {
    version: 4,
    headerOffset: 0,
    headerLength: 20,
    totalLength: 40,
    payloadOffset: 20,
    payloadLength: 20,
    protocol: 17,
    fragment: false,
    ttl: 7,
    tos: 0xb9,
  });
  t.same([ip.src0, ip.src1, ip.src2, ip.src3 >>> 0], [0, 0, 0xffff, 0x0a4d0001]);
  t.same([ip.dst0, ip.dst1, ip.dst2, ip.dst3 >>> 0], [0, 0, 0xffff, 0x0a4d0002]);
});

t.test('IPv6: every field', async (t) => {
  const packet = v6(tcp(6));
  packet[0] = 0x6b;
  packet[1] = 0x9f;
  packet[7] = 3;
  const [code, ip] = load(packet);
  t.equal(code, LOAD_OK);
  t.match(ip, { version: 6, headerLength: 40, totalLength: 60, payloadOffset: 40, payloadLength: 20 });
  t.match(ip, { protocol: 6, fragment: false, ttl: 3, tos: 0xb9 });
  t.same([ip.src0 >>> 0, ip.src1, ip.src2, ip.src3], [0xfd770000, 0, 0, 1]);
  t.same([ip.dst0 >>> 0, ip.dst1, ip.dst2, ip.dst3], [0xfd770000, 0, 0, 2]);
});

t.test('a packet in the middle of a ring: the offset counts, what lies behind does not', async (t) => {
  for (const packet of [v4(tcp(4)), v6(tcp(6))]) {
    const ring = new Uint8Array(300).fill(0xee);
    ring.set(packet, 101);
    const [code, ip] = load(ring, 101, packet.length + 30);
    t.equal(code, LOAD_OK);
    t.equal(ip.headerOffset, 101);
    t.equal(ip.payloadOffset, 101 + ip.headerLength);
    t.equal(ip.payloadLength, 20, 'padding behind the packet is no payload');
  }
});

t.test('cut at every byte: truncated', async (t) => {
  for (const packet of [v4(tcp(4)), v6(tcp(6)), v6([...extension(6), ...tcp(6)], 0)]) {
    for (let length = 0; length < packet.length; length++) {
      // The memory goes on, the packet does not.
      t.equal(load(packet, 0, length)[0], LOAD_TRUNCATED, `${length} of ${packet.length}`);
    }
  }
});

t.test('neither 4 nor 6', async (t) => {
  for (let version = 0; version < 16; version++) {
    if (version === 4 || version === 6) continue;
    const packet = v4(tcp(4));
    packet[0] = (version << 4) | 5;
    t.equal(load(packet)[0], LOAD_BAD_VERSION, `${version}`);
  }
});

t.test('IPv4: lying lengths', async (t) => {
  for (let ihl = 0; ihl < 5; ihl++) t.equal(load(v4(tcp(4), { ihl }))[0], LOAD_BAD_LENGTH, `IHL ${ihl}`);
  t.equal(load(v4(tcp(4), { claims: 19 }))[0], LOAD_BAD_LENGTH, 'total below the header');
  t.equal(load(v4(tcp(4), { claims: 0 }))[0], LOAD_BAD_LENGTH, 'total 0');
  t.equal(load(v4(tcp(4), { claims: 41 }))[0], LOAD_TRUNCATED, 'total above the packet');
  t.equal(load(v4([], { ihl: 15, claims: 20 }))[0], LOAD_BAD_LENGTH, 'header beyond the total');
  const [code, ip] = load(v4(tcp(4), { claims: 20 }));
  t.equal(code, LOAD_OK, 'a header alone');
  t.equal(ip.payloadLength, 0);
});

t.test('IPv4: header checksum (RFC 1122 3.2.1.2): each single wrong bit', async (t) => {
  const packet = v4(tcp(4));
  let accepted = 0;
  for (let bit = 32; bit < 160; bit++) {
    const broken = Uint8Array.from(packet);
    broken[bit >> 3]! ^= 0x80 >> (bit & 7);
    if (load(broken)[0] !== LOAD_BAD_CHECKSUM) accepted++;
  }
  t.equal(accepted, 0);
});

t.test('IPv4: options are skipped whatever they are (MUST-50)', async (t) => {
  for (const options of [[222, 4, 1, 2], [1, 1, 1, 0], [0xff, 0, 0, 0], new Array<number>(40).fill(7)]) {
    const [code, ip] = load(v4(tcp(4), { options }));
    t.equal(code, LOAD_OK);
    t.equal(ip.headerLength, 20 + options.length);
    t.equal(ip.payloadLength, 20);
    t.equal(ip.bytes[ip.payloadOffset + 1], 1000 & 255, 'the payload begins behind them');
  }
});

t.test('IPv4: fragments', async (t) => {
  const cases: [number, boolean][] = [
    [0x0000, false],
    [0x4000, false],
    [0x8000, false],
    [0x2000, true],
    [0x0001, true],
    [0x1fff, true],
    [0x6000, true],
  ];
  for (const [fragment, expected] of cases) {
    const [code, ip] = load(v4(tcp(4), { fragment }));
    t.equal(code, LOAD_OK);
    t.equal(ip.fragment, expected, fragment.toString(16));
  }
});

t.test('IPv6: extension headers', async (t) => {
  const cases: [string, number, number[]][] = [
    ['hop-by-hop', 0, extension(6)],
    ['hop-by-hop of 24 bytes', 0, extension(6, 2)],
    ['routing, used up', 43, extension(6, 0, 0)],
    ['destination options', 60, extension(6)],
    [
      'all of them',
      0,
      [...extension(60), ...extension(43, 1), ...extension(44), ...extension(60, 0), ...extension(6)],
    ],
    ['eight', 60, [...new Array<number[]>(7).fill(extension(60)), extension(6)].flat()],
  ];
  for (const [name, next, headers] of cases) {
    const [code, ip] = load(v6([...headers, ...tcp(6)], next));
    t.equal(code, LOAD_OK, name);
    t.equal(ip.protocol, 6, name);
    t.equal(ip.headerLength, 40 + headers.length, name);
    t.equal(ip.payloadLength, 20, name);
    t.equal(ip.fragment, false, name);
  }
});

t.test('IPv6: extension headers that lie', async (t) => {
  const nine = new Array<number[]>(9).fill(extension(60)).flat();
  t.equal(load(v6([...nine, ...tcp(6)], 60))[0], LOAD_BAD_LENGTH, 'more than eight');
  t.equal(load(v6(extension(6).slice(0, 7), 0))[0], LOAD_BAD_LENGTH, 'seven bytes of one');
  t.equal(
    load(
      v6(
        extension(6, 0).map((byte, i) => (i === 1 ? 1 : byte)),
        0,
      ),
    )[0],
    LOAD_BAD_LENGTH,
    'past the end',
  );
  t.equal(load(v6([...extension(0, 255).slice(0, 100)], 60))[0], LOAD_BAD_LENGTH, 'length 255');
  t.equal(load(v6([], 0))[0], LOAD_BAD_LENGTH, 'none where one was promised');
  const endless = new Array<number[]>(150).fill(extension(0)).flat();
  t.equal(load(v6(endless, 0))[0], LOAD_BAD_LENGTH, 'a long chain ends');
});

t.test('IPv6: a routing header with segments left is for somebody else (RFC 8200 4.4)', async (t) => {
  const [code, ip] = load(v6([...extension(6, 0, 1), ...tcp(6)], 43));
  t.equal(code, LOAD_OK);
  t.equal(ip.protocol, 43, 'nobody takes that protocol');
});

t.test('IPv6: fragments', async (t) => {
  const header = (offsetAndFlags: number): number[] => [6, 0, ...be16(offsetAndFlags), 1, 2, 3, 4];
  const cases: [string, number, boolean][] = [
    ['atomic (RFC 6946)', 0, false],
    ['reserved bits', 0x0006, false],
    ['more fragments', 0x0001, true],
    ['offset 8', 0x0008, true],
    ['last possible', 0xfff8, true],
  ];
  for (const [name, flags, expected] of cases) {
    const [code, ip] = load(v6([...header(flags), ...tcp(6)], 44));
    t.equal(code, LOAD_OK, name);
    t.equal(ip.fragment, expected, name);
    t.equal(ip.protocol, 6, name);
  }
  // What follows the header of a later fragment is the middle of something: not walked.
  const [code, ip] = load(v6([0, 0, ...be16(8), 1, 2, 3, 4, 60, 255, 0, 0], 44));
  t.equal(code, LOAD_OK);
  t.equal(ip.fragment, true);
});

t.test('a flyweight forgets the packet before', async (t) => {
  const ip = new IpHeader();
  ip.load(v6([6, 0, 0, 1, 0, 0, 0, 0, ...tcp(6)], 44), 0, 68);
  t.equal(ip.fragment, true);
  t.equal(ip.load(v4(tcp(4)), 0, 40), LOAD_OK);
  t.equal(ip.fragment, false);
  t.same([ip.src0, ip.src1, ip.src2], [0, 0, 0xffff]);
  t.equal(ip.load(new Uint8Array(0), 0, 0), LOAD_TRUNCATED);
  t.match(ip, { version: 0, protocol: 0, payloadLength: 0, totalLength: 0, headerLength: 0 });
});
