import t from 'tap';
import fc from 'fast-check';
import {
  ECHO_REQUEST,
  IcmpMessage,
  OTHER,
  PACKET_TOO_BIG,
  PARAMETER_PROBLEM,
  SOURCE_QUENCH,
  TIME_EXCEEDED,
  UNREACHABLE,
  icmpError,
  isHardError,
  isSoftError,
  writeEchoReply,
} from '../../src/wire/icmp.js';
import { IpHeader } from '../../src/wire/ip.js';
import { LOAD_BAD_CHECKSUM, LOAD_OK, LOAD_TRUNCATED } from '../../src/wire/codes.js';
import { DST4, DST6, SRC4, SRC6, be16, be32, naiveChecksum, tcp, v4, v6 } from './packets.js';

const ROUTER4 = Uint8Array.of(192, 0, 2, 1);
const ROUTER6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);

/** An ICMP message by hand. */
function message(version: 4 | 6, type: number, code: number, rest: readonly number[]): Uint8Array {
  const bare = [type, code, 0, 0, ...rest];
  const pseudo = version === 4 ? [] : [...SRC6, ...DST6, ...be32(bare.length), 0, 0, 0, 58];
  const whole = [type, code, ...be16(naiveChecksum(pseudo, bare)), ...rest];
  return version === 4 ? v4(whole, { protocol: 1 }) : v6(whole, 58);
}

function load(packet: Uint8Array, into = new IcmpMessage()): [number, IcmpMessage] {
  const ip = new IpHeader();
  if (ip.load(packet, 0, packet.length) !== LOAD_OK) throw new Error('the IP header is wrong');
  return [into.load(ip), into];
}

t.test('every type and code: kind, hard or soft (MUST-56, SHLD-26, R5927-5)', async (t) => {
  const kinds4: Record<number, number> = {
    3: UNREACHABLE,
    4: SOURCE_QUENCH,
    8: ECHO_REQUEST,
    11: TIME_EXCEEDED,
    12: PARAMETER_PROBLEM,
  };
  const kinds6: Record<number, number> = {
    1: UNREACHABLE,
    2: PACKET_TOO_BIG,
    3: TIME_EXCEEDED,
    4: PARAMETER_PROBLEM,
    128: ECHO_REQUEST,
  };
  const hard = { 4: ['3/2', '3/3'], 6: ['1/1', '1/4'] };
  for (const version of [4, 6] as const) {
    for (let type = 0; type < 256; type++) {
      for (const code of [0, 1, 2, 3, 4, 5, 6, 13, 255]) {
        const [loaded, m] = load(message(version, type, code, [0, 0, 5, 0]));
        let kind = (version === 4 ? kinds4 : kinds6)[type] ?? OTHER;
        if (version === 4 && type === 3 && code === 4) kind = PACKET_TOO_BIG;
        const name = `${type}/${code}`;
        const isHard = hard[version].includes(name);
        const isSoft = !isHard && [UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM].includes(kind);
        const found = [loaded, m.family, m.type, m.code, m.kind, isHardError(m), isSoftError(m)].join();
        const expected = [LOAD_OK, version, type, code, kind, isHard, isSoft].join();
        if (found !== expected) t.equal(found, expected, `version ${version} ${name}`);
      }
    }
  }
  t.pass();
});

t.test('the quoted segment names the connection', async (t) => {
  const lost = { 4: v4(tcp(4, { seq: 0xdeadbeef })), 6: v6(tcp(6, { seq: 0xdeadbeef })) };
  const [, four] = load(icmpError(lost[4], { type: 3, code: 1, source: ROUTER4 }));
  t.match(four, { quotedOk: true, quotedProtocol: 6, srcPort: 1000, dstPort: 80, seq: 0xdeadbeef | 0 });
  t.same([four.src0, four.src1, four.src2, four.src3], [0, 0, 0xffff, 0x0a4d0001]);
  t.same([four.dst0, four.dst1, four.dst2, four.dst3], [0, 0, 0xffff, 0x0a4d0002]);
  const [, six] = load(icmpError(lost[6], { type: 1, code: 0, source: ROUTER6 }));
  t.match(six, { quotedOk: true, quotedProtocol: 6, srcPort: 1000, dstPort: 80, seq: 0xdeadbeef | 0 });
  t.same([six.src0 >>> 0, six.src1, six.src2, six.src3], [0xfd770000, 0, 0, 1]);
  t.same([six.dst0 >>> 0, six.dst1, six.dst2, six.dst3], [0xfd770000, 0, 0, 2]);
});

t.test('the quoted packet may be cut anywhere: 8 bytes of TCP are enough, fewer name nobody', async (t) => {
  for (const version of [4, 6] as const) {
    const lost = version === 4 ? v4(tcp(4), { options: [1, 1, 1, 1] }) : v6(tcp(6));
    const enough = (version === 4 ? 24 : 40) + 8;
    for (let length = 0; length <= lost.length; length++) {
      const type = version === 4 ? 3 : 1;
      const [code, m] = load(message(version, type, 0, [0, 0, 0, 0, ...lost.subarray(0, length)]));
      t.equal(code, LOAD_OK);
      t.equal(m.quotedOk, length >= enough, `IPv${version} quoting ${length} bytes`);
    }
  }
});

t.test('quotes that name nobody', async (t) => {
  const quote = (version: 4 | 6, lost: Uint8Array): IcmpMessage =>
    load(message(version, version === 4 ? 3 : 1, 0, [0, 0, 0, 0, ...lost]))[1];
  t.equal(quote(4, v6(tcp(6))).quotedOk, false, 'IPv6 in ICMP');
  t.equal(quote(6, v4(tcp(4))).quotedOk, false, 'IPv4 in ICMPv6');
  t.equal(quote(4, v4(tcp(4), { ihl: 4 })).quotedOk, false, 'a header of 16 bytes');
  t.equal(
    quote(4, v4(tcp(4), { fragment: 0x0001 })).quotedOk,
    false,
    'the middle of a datagram has no ports',
  );
  t.equal(quote(4, v4(tcp(4), { fragment: 0x2000 })).quotedOk, true, 'its first fragment has');
  t.equal(quote(4, v4(tcp(4), { protocol: 17 })).quotedProtocol, 17, 'UDP is told from TCP');
  // Routers change lengths and checksums on the way: they prove nothing.
  t.equal(quote(4, v4(tcp(4), { claims: 1500 })).quotedOk, true, 'a total length beyond the quote');
});

t.test('next-hop MTU', async (t) => {
  const [, four] = load(icmpError(v4(tcp(4)), { type: 3, code: 4, rest: 1400, source: ROUTER4 }));
  t.match(four, { kind: PACKET_TOO_BIG, mtu: 1400 });
  const [, old] = load(icmpError(v4(tcp(4)), { type: 3, code: 4, source: ROUTER4 }));
  t.match(old, { kind: PACKET_TOO_BIG, mtu: 0 });
  const [, high] = load(message(4, 3, 4, [0xff, 0xff, 5, 0, ...v4(tcp(4))]));
  t.equal(high.mtu, 1280, 'RFC 1191: the low 16 bits');
  const [, six] = load(icmpError(v6(tcp(6)), { type: 2, code: 0, rest: 0xfffffff0, source: ROUTER6 }));
  t.match(six, { kind: PACKET_TOO_BIG, mtu: 0xfffffff0 });
  t.equal(load(message(4, 3, 1, [0, 0, 5, 0]))[1].mtu, 0, 'no other message has one');
});

t.test('truncated, wrong checksum', async (t) => {
  for (const version of [4, 6] as const) {
    for (let length = 0; length < 8; length++) {
      const bytes = new Array<number>(length).fill(0);
      const packet = version === 4 ? v4(bytes, { protocol: 1 }) : v6(bytes, 58);
      t.equal(load(packet)[0], LOAD_TRUNCATED, `${length} bytes`);
    }
    const whole = message(version, 8, 0, [0, 1, 0, 2, 3, 4, 5]);
    for (let at = version === 4 ? 20 : 8; at < whole.length; at++) {
      const broken = Uint8Array.from(whole);
      broken[at]! ^= 0x10;
      // An IPv4 address is no part of the sum; its header is checked before.
      t.equal(load(broken)[0], LOAD_BAD_CHECKSUM, `IPv${version} byte ${at}`);
    }
  }
});

t.test('a flyweight forgets the message before', async (t) => {
  const used = new IcmpMessage();
  const full = icmpError(v6(tcp(6, { seq: 7 })), { type: 2, code: 0, rest: 1300, source: ROUTER6 });
  for (const next of [
    message(4, 3, 0, [0, 0, 0, 0]),
    v4([1], { protocol: 1 }),
    message(6, 129, 0, be32(0)),
  ]) {
    t.equal(load(full, used)[0], LOAD_OK);
    load(next, used);
    t.same({ ...used }, { ...load(next)[1] });
  }
});

t.test('echo: the data comes back, addresses swapped, checksums right', async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      fc.array(fc.nat(255), { maxLength: 200 }),
      fc.nat(30),
      (version, data, offset) => {
        const request = message(version, version === 4 ? 8 : 128, 0, [0x12, 0x34, 0, 9, ...data]);
        const ip = new IpHeader();
        ip.load(request, 0, request.length);
        const out = new Uint8Array(400).fill(0xee);
        const length = writeEchoReply(ip, out, offset);
        const reply = out.slice(offset, offset + length);
        const untouched = [...out.subarray(0, offset), ...out.subarray(offset + length)].every(
          (x) => x === 0xee,
        );
        const [code, m] = load(reply);
        const head = version === 4 ? 20 : 40;
        const from = version === 4 ? [...reply.subarray(12, 16)] : [...reply.subarray(8, 24)];
        const to = version === 4 ? [...reply.subarray(16, 20)] : [...reply.subarray(24, 40)];
        return (
          untouched &&
          code === LOAD_OK &&
          m.type === (version === 4 ? 0 : 129) &&
          length === request.length &&
          from.join() === (version === 4 ? DST4 : DST6).join() &&
          to.join() === (version === 4 ? SRC4 : SRC6).join() &&
          [...reply.subarray(head + 4)].join() === [...request.subarray(head + 4)].join()
        );
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

t.test('echo with IP options or extension headers: the reply has none', async (t) => {
  const request = message(4, 8, 0, [0, 1, 0, 2, 3]);
  const long = v4(request.subarray(20), { protocol: 1, options: [1, 1, 1, 0] });
  const ip = new IpHeader();
  t.equal(ip.load(long, 0, long.length), LOAD_OK);
  const out = new Uint8Array(100);
  const length = writeEchoReply(ip, out, 0);
  t.equal(length, request.length);
  t.equal(load(out.slice(0, length))[0], LOAD_OK);
  const six = message(6, 128, 0, [0, 1, 0, 2, 3]);
  const extended = v6([58, 0, 0, 0, 0, 0, 0, 0, ...six.subarray(40)], 60);
  t.equal(ip.load(extended, 0, extended.length), LOAD_OK);
  t.equal(writeEchoReply(ip, out, 0), six.length);
  t.equal(load(out.slice(0, six.length))[0], LOAD_OK);
});

t.test(
  'errors stay within what a router sends: 576 bytes (RFC 1812 4.3.2.3), 1280 (RFC 4443 2.4 c)',
  async (t) => {
    const data = new Array<number>(3000).fill(1);
    const four = icmpError(v4(tcp(4, { payload: data })), { type: 3, code: 4, source: ROUTER4 });
    t.equal(four.length, 576);
    const six = icmpError(v6(tcp(6, { payload: data })), { type: 2, code: 0, source: ROUTER6 });
    t.equal(six.length, 1280);
    t.equal(load(four)[1].quotedOk && load(six)[1].quotedOk, true);
  },
);
