import t from 'tap';
import fc from 'fast-check';
import type { SegmentBuilder } from '../../src/wire/builder.js';
import { ACK, LOAD_OK, SYN, Segment } from '../../src/wire/segment.js';
import { builder } from './packets.js';

/** Written at offset 3 of memory full of rubbish, as in a ring slot that was used before. */
function written(b: SegmentBuilder, payload: readonly number[] = []): Uint8Array {
  const memory = new Uint8Array(400).fill(0xee);
  const header = b.writeHeaders(memory, 3);
  memory.set(payload, 3 + header);
  const length = b.finish(memory, 3, header, payload.length);
  if (memory.subarray(3 + length).some((byte) => byte !== 0xee)) throw new Error('wrote behind the packet');
  if (memory.subarray(0, 3).some((byte) => byte !== 0xee)) throw new Error('wrote before the packet');
  return memory.slice(3, 3 + length);
}

/** The option bytes of a packet. */
function options(packet: Uint8Array): number[] {
  const ip = packet[0]! >> 4 === 4 ? 20 : 40;
  return [...packet.subarray(ip + 20, ip + (packet[ip + 12]! >> 4) * 4)];
}

t.test('IPv4 header: DF, no fragment, lengths, identification, DSCP, TTL', async (t) => {
  const b = builder(4);
  b.ident = 0xabcd;
  b.tos = 0x12;
  b.ttl = 9;
  const packet = written(b, [1, 2, 3]);
  t.same([...packet.subarray(0, 10)], [0x45, 0x12, 0, 43, 0xab, 0xcd, 0x40, 0, 9, 6]);
  t.equal(packet.length, 43);
});

t.test('IPv6 header: flow label 0, payload length, traffic class, hop limit', async (t) => {
  const b = builder(6);
  b.tos = 0xab;
  b.ttl = 9;
  const packet = written(b, [1, 2, 3]);
  t.same([...packet.subarray(0, 8)], [0x6a, 0xb0, 0, 0, 0, 23, 6, 9]);
  t.equal(packet.length, 63);
});

t.test('reserved bits are zero (R9293-1)', async (t) => {
  const b = builder(4);
  b.flags = 0xff;
  t.equal(written(b)[32], 0x50);
});

t.test('the customary option layouts', async (t) => {
  const b = builder(4);
  b.flags = SYN;
  b.mss = 1460;
  b.windowScale = 7;
  b.sackPermitted = true;
  b.hasTimestamp = true;
  b.tsVal = 0x01020304;
  b.tsEcr = -1;
  const ts = [8, 10, 1, 2, 3, 4, 255, 255, 255, 255];
  t.same(options(written(b)), [2, 4, 5, 180, 4, 2, ...ts, 1, 3, 3, 7], 'SYN');
  b.hasTimestamp = false;
  t.same(options(written(b)), [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7], 'SYN without timestamps');
  b.reset();
  b.flags = ACK;
  t.same(options(written(b)), [], 'reset forgets them');
  b.hasTimestamp = true;
  b.tsVal = 0x01020304;
  b.tsEcr = -1;
  t.same(options(written(b)), [1, 1, ...ts], 'data');
  b.sackCount = 1;
  b.sack[0] = 1;
  b.sack[1] = -2;
  t.same(
    options(written(b)),
    [1, 1, ...ts, 1, 1, 5, 10, 0, 0, 0, 1, 255, 255, 255, 254],
    'SACK beside timestamps',
  );
});

t.test('the MSS option never goes out without SYN (MUST-65), nor does room for it', async (t) => {
  const b = builder(4);
  b.mss = 1460;
  b.flags = ACK;
  t.equal(b.headerLength(), 40);
  const packet = written(b);
  t.equal(packet.length, 40);
  t.same(options(packet), []);
});

t.test('reset keeps addresses and ports, forgets what belongs to one segment', async (t) => {
  const b = builder(4);
  b.urgent = 5;
  b.ident = 6;
  b.mss = b.windowScale = 7;
  b.sackPermitted = b.hasTimestamp = true;
  b.tsVal = b.tsEcr = b.sackCount = 2;
  b.reset();
  t.match(b, { mss: -1, windowScale: -1, sackPermitted: false, hasTimestamp: false, tsVal: 0, tsEcr: 0 });
  t.match(b, { sackCount: 0, urgent: 0, ident: 0, srcPort: 1000, dstPort: 80 });
});

t.test('what is built is read back: all option combinations, both versions, any payload', async (t) => {
  const int32 = fc.integer();
  fc.assert(
    fc.property(
      fc.record({
        version: fc.constantFrom(4 as const, 6 as const),
        flags: fc.nat(255),
        seq: int32,
        ack: int32,
        wnd: fc.nat(65_535),
        urgent: fc.nat(65_535),
        tos: fc.nat(255),
        ttl: fc.nat(255),
        mss: fc.integer({ min: -1, max: 65_535 }),
        windowScale: fc.integer({ min: -1, max: 255 }),
        sackPermitted: fc.boolean(),
        hasTimestamp: fc.boolean(),
        tsVal: int32,
        tsEcr: int32,
        blocks: fc.array(int32, { maxLength: 8 }),
        payload: fc.array(fc.nat(255), { maxLength: 100 }),
      }),
      ({ version, blocks, payload, ...fields }) => {
        const b = Object.assign(builder(version), fields);
        b.sackCount = blocks.length >> 1;
        b.sack.set(blocks);
        // More than 40 bytes of options is the caller's mistake.
        while (b.headerLength() > (version === 4 ? 80 : 100)) {
          if (b.sackCount > 0) b.sackCount--;
          else b.windowScale = -1;
        }
        const packet = written(b, payload);
        const s = new Segment();
        if (s.loadPacket(packet) !== LOAD_OK) return false;
        const syn = (b.flags & SYN) !== 0;
        const same =
          packet.length === b.headerLength() + payload.length &&
          (
            ['srcPort', 'dstPort', 'seq', 'ack', 'flags', 'wnd', 'urgent', 'tos', 'ttl', 'version'] as const
          ).every((name) => s[name] === b[name]) &&
          (['src0', 'src1', 'src2', 'src3', 'dst0', 'dst1', 'dst2', 'dst3'] as const).every(
            (name) => s[name] === b[name],
          );
        const optionsSame =
          s.mss === (syn ? b.mss : -1) &&
          s.windowScale === (syn ? b.windowScale : -1) &&
          s.sackPermitted === (syn && b.sackPermitted) &&
          s.hasTimestamp === b.hasTimestamp &&
          (!b.hasTimestamp || (s.tsVal === b.tsVal && s.tsEcr === b.tsEcr)) &&
          s.sackCount === b.sackCount &&
          s.sack.subarray(0, 2 * s.sackCount).every((edge, i) => edge === b.sack[i]);
        const data = s.bytes.subarray(s.payloadOffset, s.payloadOffset + s.payloadLength);
        return (
          same && optionsSame && data.length === payload.length && data.every((x, i) => x === payload[i])
        );
      },
    ),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test(
  'an ACK written at once is the same, with and without timestamps, checksum left to the device or not',
  async (t) => {
    const int32 = fc.integer();
    fc.assert(
      fc.property(
        fc.record({
          seq: int32,
          ack: int32,
          wnd: fc.nat(65_535),
          dontFragment: fc.boolean(),
          tos: fc.nat(255),
          ttl: fc.nat(255),
          src3: int32,
          dst0: int32,
          dst3: int32,
          hasTimestamp: fc.boolean(),
          tsVal: int32,
          tsEcr: int32,
          offload: fc.boolean(),
        }),
        fc.constantFrom(4 as const, 6 as const),
        (fields, version) => {
          const b = Object.assign(builder(version), fields);
          b.flags = ACK;
          const ends = {
            version,
            local0: b.src0,
            local1: b.src1,
            local2: b.src2,
            local3: b.src3,
            remote0: b.dst0,
            remote1: b.dst1,
            remote2: b.dst2,
            remote3: b.dst3,
            localPort: b.srcPort,
            remotePort: b.dstPort,
            tos: b.tos,
          };
          const memory = new Uint8Array(200).fill(0xee);
          const { seq, ack, wnd, hasTimestamp, tsVal, tsEcr } = b;
          const length = b.writeAck(memory, 3, ends, seq, ack, wnd, hasTimestamp, tsVal, tsEcr);
          const rest = [...memory.subarray(0, 3), ...memory.subarray(3 + length)];
          return (
            Buffer.compare(memory.subarray(3, 3 + length), written(b)) === 0 && rest.every((x) => x === 0xee)
          );
        },
      ),
      { numRuns: 2000 },
    );
    t.pass();
  },
);
