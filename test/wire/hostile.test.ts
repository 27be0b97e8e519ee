/** Headers that lie: a code, never an exception, and nothing read outside the packet. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { parseAddress } from '../../src/wire/address.js';
import {
  ECHO_REQUEST,
  IcmpMessage,
  PACKET_TOO_BIG,
  UNREACHABLE,
  icmpError,
  isHardError,
  writeEchoReply,
} from '../../src/wire/icmp.js';
import { IpHeader } from '../../src/wire/ip.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import {
  ACK,
  LOAD_BAD_CHECKSUM,
  LOAD_BAD_LENGTH,
  LOAD_BAD_OPTION,
  LOAD_OK,
  LOAD_TRUNCATED,
  SYN,
  Segment,
} from '../../src/wire/segment.js';

const v4 = { src: parseAddress('10.0.0.1')!, dst: parseAddress('10.0.0.2')!, srcPort: 1, dstPort: 2 };
const v6 = { src: parseAddress('fd00::1')!, dst: parseAddress('fd00::2')!, srcPort: 1, dstPort: 2 };

/** An IPv4 packet whose TCP options are exactly `options` (padded with zeros to words). */
function withOptions(flags: number, options: readonly number[]): Uint8Array {
  const words = Math.ceil(options.length / 4);
  const packet = buildPacket({ flags, seq: 1, length: 4 * words, ack: 1 }, v4, Uint8Array.from(options));
  packet[32] = (5 + words) << 4;
  return packet;
}

function load(packet: Uint8Array): { code: number; segment: Segment } {
  const ip = new IpHeader();
  const segment = new Segment();
  const code = ip.load(packet, 0, packet.length);
  return { code: code === LOAD_OK ? segment.load(ip, false) : code, segment };
}

t.test('MUST-4 .. MUST-7, MUST-64, MUST-68: options', (t) => {
  const cases: [string, number, number[], number][] = [
    ['length 0', SYN, [2, 0, 5, 0xb4], LOAD_BAD_OPTION],
    ['length 1', SYN, [2, 1, 5, 0xb4], LOAD_BAD_OPTION],
    ['past the header', SYN, [2, 5, 5, 0xb4], LOAD_BAD_OPTION],
    ['no room for a length', SYN, [1, 1, 1, 2], LOAD_BAD_OPTION],
    ['MSS of length 3', SYN, [2, 3, 5, 0], LOAD_BAD_OPTION],
    ['window scale of length 4', SYN, [3, 4, 7, 0], LOAD_BAD_OPTION],
    ['SACK-permitted of length 3', SYN, [4, 3, 0, 0], LOAD_BAD_OPTION],
    ['timestamps of length 9', ACK, [8, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], LOAD_BAD_OPTION],
    ['SACK of length 3', ACK, [5, 3, 0, 0], LOAD_BAD_OPTION],
    ['unknown, skipped', SYN, [254, 4, 9, 9, 2, 4, 5, 0xb4], LOAD_OK],
    ['any alignment', SYN, [1, 2, 4, 5, 0xb4, 3, 3, 7], LOAD_OK],
    ['end of list', SYN, [2, 4, 5, 0xb4, 0, 77, 77, 77], LOAD_OK],
  ];
  for (const [name, flags, options, expected] of cases)
    t.equal(load(withOptions(flags, options)).code, expected, name);
  t.equal(
    load(withOptions(SYN, [254, 4, 9, 9, 2, 4, 5, 0xb4])).segment.mss,
    1460,
    'what follows an unknown option is read',
  );
  t.equal(load(withOptions(SYN, [1, 2, 4, 5, 0xb4, 3, 3, 7])).segment.windowScale, 7);
  t.equal(load(withOptions(ACK, [3, 3, 7, 0])).segment.windowScale, -1, 'R7323-6: only with SYN');
  t.equal(
    load(withOptions(SYN, [2, 4, 5, 0xb4, 3, 0, 0, 0])).segment.mss,
    1460,
    'options before the bad one stay',
  );
  t.end();
});

t.test('IP headers', (t) => {
  const ip = new IpHeader();
  const good = buildPacket({ flags: ACK, seq: 1, length: 10, ack: 1 }, v4);
  const changed = (edit: (packet: Uint8Array) => void): number => {
    const packet = good.slice();
    edit(packet);
    return ip.load(packet, 0, packet.length);
  };
  t.equal(ip.load(good, 0, good.length), LOAD_OK);
  t.equal(ip.load(good, 0, 19), LOAD_TRUNCATED);
  t.equal(ip.load(good, 0, good.length - 1), LOAD_TRUNCATED, 'total length beyond the packet');
  t.equal(
    changed((p) => (p[0] = 0x44)),
    LOAD_BAD_LENGTH,
    'header of 16 bytes',
  );
  t.equal(
    changed((p) => (p[3] = 19)),
    LOAD_BAD_LENGTH,
    'total length below the header',
  );
  t.not(
    changed((p) => (p[0] = 0x75)),
    LOAD_OK,
    'version 7',
  );
  t.equal(
    changed((p) => (p[8] = 1)),
    LOAD_BAD_CHECKSUM,
  );
  const longer = new Uint8Array(good.length + 6);
  longer.set(good);
  t.equal(ip.load(longer, 0, longer.length), LOAD_OK);
  t.equal(ip.payloadLength, 30, 'padding behind the total length is ignored');
  t.end();
});

t.test('IPv6 extension headers', (t) => {
  const plain = buildPacket({ flags: ACK, seq: 1, length: 0, ack: 1 }, v6);
  /** Puts headers of `types` (8 bytes each) between IPv6 and TCP. */
  const extended = (types: readonly number[], fragment = 0): Uint8Array => {
    const packet = new Uint8Array(plain.length + 8 * types.length);
    packet.set(plain.subarray(0, 40));
    packet.set(plain.subarray(40), 40 + 8 * types.length);
    packet[5] = packet.length - 40;
    packet[6] = types[0] ?? 6;
    types.forEach((type, i) => {
      packet[40 + 8 * i] = types[i + 1] ?? 6;
      if (type === 44) packet[43 + 8 * i] = fragment;
    });
    return packet;
  };
  const ip = new IpHeader();
  for (const types of [[], [0], [60, 43], [0, 60, 43, 44]]) {
    const packet = extended(types);
    t.equal(ip.load(packet, 0, packet.length), LOAD_OK, `headers ${types.join(', ')}`);
    t.equal(ip.protocol, 6);
    t.notOk(ip.fragment, 'a fragment header with nothing behind is a whole packet (RFC 6946)');
  }
  const many = extended(Array<number>(9).fill(60));
  t.equal(ip.load(many, 0, many.length), LOAD_BAD_LENGTH, 'no more than eight');
  const first = extended([44], 1);
  t.equal(ip.load(first, 0, first.length), LOAD_OK);
  t.ok(ip.fragment);
  const lying = extended([60]);
  lying[41] = 200;
  t.equal(ip.load(lying, 0, lying.length), LOAD_BAD_LENGTH);
  t.end();
});

t.test('ICMP: errors name what they quote, cut anywhere; echo is answered', (t) => {
  const ip = new IpHeader();
  const message = new IcmpMessage();
  for (const [ends, type, code, kind, source] of [
    [v4, 3, 4, PACKET_TOO_BIG, Uint8Array.of(10, 0, 0, 9)],
    [v6, 2, 0, PACKET_TOO_BIG, new Uint8Array(16).fill(1)],
    [v4, 3, 3, UNREACHABLE, Uint8Array.of(10, 0, 0, 9)],
    [v6, 1, 4, UNREACHABLE, new Uint8Array(16).fill(1)],
  ] as const) {
    const lost = buildPacket({ flags: ACK, seq: 0xfffffff0, length: 100, ack: 1 }, ends);
    const error = icmpError(lost, { type, code, rest: 1280, source });
    t.equal(ip.load(error, 0, error.length), LOAD_OK);
    t.equal(message.load(ip), LOAD_OK, 'good checksum');
    t.equal(message.kind, kind);
    t.equal(message.seq, 0xfffffff0 | 0);
    t.same([message.srcPort, message.dstPort, message.quotedOk], [1, 2, true]);
    if (kind === PACKET_TOO_BIG) t.equal(message.mtu, 1280);
    else t.ok(isHardError(message));
    // A router quotes as little as it likes.
    const header = ends === v4 ? 20 : 40;
    const short = icmpError(lost.subarray(0, header + 7), { type, code, source });
    if (ip.load(short, 0, short.length) === LOAD_OK && message.load(ip) === LOAD_OK)
      t.notOk(message.quotedOk, 'too little to name a connection');
    error[error.length - 1]! ^= 1;
    ip.load(error, 0, error.length);
    t.equal(message.load(ip), LOAD_BAD_CHECKSUM);
  }
  const ping = icmpError(buildPacket({ flags: ACK, seq: 1, length: 0, ack: 1 }, v4), {
    type: 8,
    code: 0,
    source: Uint8Array.of(10, 0, 0, 9),
  });
  ip.load(ping, 0, ping.length);
  t.equal(message.load(ip), LOAD_OK);
  t.equal(message.kind, ECHO_REQUEST);
  const reply = new Uint8Array(2000);
  const length = writeEchoReply(ip, reply, 0);
  t.equal(ip.load(reply, 0, length), LOAD_OK);
  t.equal(message.load(ip), LOAD_OK);
  t.equal(message.type, 0);
  t.same([...reply.subarray(12, 16)], [...ping.subarray(16, 20)], 'it comes from the address that was asked');
  t.end();
});

t.test('whatever the bytes, loading neither throws nor reads outside the packet', (t) => {
  const ip = new IpHeader();
  const segment = new Segment();
  const message = new IcmpMessage();
  const base = [v4, v6].map((ends) =>
    buildPacket({ flags: SYN, seq: 1, length: 30, options: [{ kind: 'mss', value: 1 }] }, ends),
  );
  const mutated = fc
    .tuple(fc.nat(1), fc.array(fc.tuple(fc.nat(99), fc.nat(255)), { maxLength: 8 }), fc.nat(100))
    .map(([which, edits, length]) => {
      const packet = base[which]!.slice(0, length);
      for (const [at, value] of edits) if (at < packet.length) packet[at] = value;
      return packet;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 120 })), (packet) => {
      // Guard bytes on both sides: the result must not depend on them.
      const results = [0, 255].map((guard) => {
        const framed = new Uint8Array(packet.length + 100).fill(guard);
        framed.set(packet, 50);
        const loaded = ip.load(framed, 50, packet.length);
        if (loaded !== LOAD_OK) return loaded;
        const code = segment.load(ip, false);
        return JSON.stringify([
          code,
          segment.flags,
          segment.mss,
          segment.payloadLength,
          segment.sackCount,
          message.load(ip),
          message.kind,
        ]);
      });
      return results[0] === results[1];
    }),
    { numRuns: 5000 },
  );
  t.end();
});

/** All that a segment says, but for the memory of its reading. */
function facts(segment: Segment): Record<string, unknown> {
  return { ...segment, viewed: null, view: null };
}

t.test(
  'a packet that is read as a plain one says what reading it whole says, whatever its bytes are',
  (t) => {
    const packet = fc.record({
      v6: fc.boolean(),
      flags: fc.nat(255),
      length: fc.nat(40),
      stamped: fc.boolean(),
      merged: fc.constantFrom(0, 1, 16, 1448),
      seq: fc.integer(),
      rubbish: fc.nat(3),
      changes: fc.array(fc.tuple(fc.nat(79), fc.nat(255)), { maxLength: 2 }),
    });
    const plain = new Segment();
    const whole = new Segment();
    const ip = new IpHeader();
    let alike = 0;
    fc.assert(
      fc.property(packet, ({ v6: six, flags, length, stamped, merged, seq, rubbish, changes }) => {
        const made = buildPacket(
          { flags, seq, ack: ~seq, length, ...(stamped && { options: [{ kind: 'TS', val: seq, ecr: 7 }] }) },
          six ? v6 : v4,
        );
        const bytes = Uint8Array.from([9, 9, ...made, ...new Array<number>(rubbish).fill(9)]);
        for (const [at, value] of changes) if (at < made.length) bytes[2 + at] = value;
        if (!plain.loadPlain(bytes, 2, bytes.length - 2, merged)) return;
        alike++;
        assert.equal(ip.load(bytes, 2, bytes.length - 2), LOAD_OK);
        assert.ok(!ip.fragment && !ip.sourceRoute);
        assert.equal(whole.load(ip, false, merged), LOAD_OK);
        assert.deepEqual(facts(plain), facts(whole));
        assert.equal(plain.verify(), whole.load(ip, true, merged) === LOAD_OK);
      }),
      { numRuns: 2000, seed: 3 },
    );
    t.ok(alike > 300, `${alike} of them`);
    t.end();
  },
);
