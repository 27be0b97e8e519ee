/** What is written can be read again, and checksums agree with a naive oracle. */
import fc from 'fast-check';
import t from 'tap';
import { formatWords, parseAddress, parsePrefix } from '../../src/wire/address.js';
import { fold, sum } from '../../src/wire/checksum.js';
import { IpHeader } from '../../src/wire/ip.js';
import {
  describeSegment,
  formatNotation,
  type OptionText,
  type SegmentText,
} from '../../src/wire/notation.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { PcapngWriter, readPcapng } from '../../src/wire/pcapng.js';
import { ACK, SYN, URG, Segment } from '../../src/wire/segment.js';

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u16 = fc.integer({ min: 0, max: 65_535 });

t.test('checksum: as RFC 1071 says it, word by word', (t) => {
  const naive = (bytes: Uint8Array): number => {
    let total = 0;
    for (let i = 0; i < bytes.length; i += 2) {
      total += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
      if (total > 0xffff) total -= 0xffff;
    }
    return ~total & 0xffff;
  };
  const same = (a: number, b: number): boolean => a === b || (a % 0xffff === 0 && b % 0xffff === 0);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 0, max: 5 }), (bytes, at) => {
      const shifted = new Uint8Array(bytes.length + at);
      shifted.set(bytes, at);
      return same(fold(sum(shifted, at, bytes.length, 0)), naive(bytes));
    }),
  );
  const full = new Uint8Array(65_535).fill(255);
  t.ok(same(fold(sum(full, 0, full.length, 0)), naive(full)), 'the largest packet, all ones');
  t.equal(
    fold(sum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8, 0)),
    0x220d,
    'the example of RFC 1071 3',
  );
  t.end();
});

/** Options in the order in which they are described. */
const optionsOf = (syn: boolean): fc.Arbitrary<OptionText[]> =>
  fc
    .record({
      mss: fc.option(u16, { nil: undefined }),
      sackOK: fc.boolean(),
      ts: fc.option(fc.tuple(u32, u32), { nil: undefined }),
      wscale: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
      sack: fc.array(fc.tuple(u32, u32), { maxLength: 3 }),
    })
    .map(({ mss, sackOK, ts, wscale, sack }) => {
      const options: OptionText[] = [];
      if (syn && mss !== undefined) options.push({ kind: 'mss', value: mss });
      if (syn && sackOK) options.push({ kind: 'sackOK' });
      if (ts !== undefined) options.push({ kind: 'TS', val: ts[0], ecr: ts[1] });
      if (syn && wscale !== undefined) options.push({ kind: 'wscale', value: wscale });
      if (!syn && sack.length > 0) options.push({ kind: 'sack', blocks: sack });
      return options;
    });

const segments: fc.Arbitrary<SegmentText> = fc.integer({ min: 0, max: 255 }).chain((flags) =>
  fc
    .record({
      seq: u32,
      length: fc.integer({ min: 0, max: 1400 }),
      ack: u32,
      win: u16,
      urg: u16,
      options: optionsOf((flags & SYN) !== 0),
    })
    .map(({ seq, length, ack, win, urg, options }) => ({
      flags,
      seq,
      length,
      ...((flags & ACK) !== 0 ? { ack } : {}),
      win,
      ...((flags & URG) !== 0 ? { urg } : {}),
      options,
    })),
);

t.test('a written segment is read as it was written, over both versions, in packets and in text', (t) => {
  const ip = new IpHeader();
  const segment = new Segment();
  for (const [src, dst] of [
    ['10.0.0.1', '192.0.2.7'],
    ['fd00::1', '2001:db8::7'],
  ] as const) {
    const ends = { src: parseAddress(src)!, dst: parseAddress(dst)!, srcPort: 1234, dstPort: 65_535 };
    fc.assert(
      fc.property(segments, (text) => {
        const again = parseNotation(formatNotation(text));
        if ('error' in again) return false;
        const packet = buildPacket(text, ends);
        if (ip.load(packet, 0, packet.length) !== 0 || segment.load(ip, true) !== 0) return false;
        const same = JSON.stringify(describeSegment(segment)) === JSON.stringify(text);
        const addressed = formatWords(segment.dst0, segment.dst1, segment.dst2, segment.dst3) === dst;
        return (
          same && addressed && segment.srcPort === 1234 && formatNotation(again) === formatNotation(text)
        );
      }),
    );
    // One flipped bit anywhere behind the addresses is noticed.
    const packet = buildPacket({ flags: ACK, seq: 1, length: 40, ack: 2 }, ends, new Uint8Array(40).fill(7));
    for (let bit = 8 * (packet.length - 60); bit < 8 * packet.length; bit++) {
      const broken = packet.slice();
      broken[bit >> 3]! ^= 1 << (bit & 7);
      const bad = ip.load(broken, 0, broken.length) !== 0 || segment.load(ip, true) !== 0;
      if (!bad) t.fail(`bit ${bit} flipped and nobody saw it`);
    }
  }
  t.end();
});

t.test('notation: what is wrong, and where', (t) => {
  const cases: [string, number, RegExp][] = [
    ['', 1, /flags/],
    ['X 0:0(0)', 1, /flags/],
    ['S 0-0(0)', 4, /':'/],
    ['S 0:5(4)', 5, /end 4/],
    ['S 0:0(0) ack', 13, /acknowledgment/],
    ['S 0:0(0) win 70000', 14, /at most 65535/],
    ['S 0:0(0) <mss>', 14, /MSS/],
    ['S 0:0(0) <foo 1>', 11, /an option/],
    ['S 0:0(0) <nop', 14, /','/],
    ['. 0:0(0) ack 1 bogus', 16, /end of the segment/],
  ];
  for (const [text, column, message] of cases) {
    const parsed = parseNotation(text);
    if (!('error' in parsed)) {
      t.fail(`'${text}' was taken`);
      continue;
    }
    t.match(parsed.error, message, text);
    t.equal(parsed.column, column, `${text}: column`);
  }
  t.end();
});

t.test('addresses', (t) => {
  for (const text of ['10.77.0.2', '255.255.255.255', 'fd77::2', '::1', '2001:db8:0:1::5']) {
    t.equal(parseAddress(text)?.toString(), text);
  }
  t.equal(parseAddress('::ffff:10.0.0.1')?.family, 4, 'mapped is IPv4');
  for (const text of ['', '10.0.0', '10.0.0.256', 'fe80::1%eth0', 'localhost', '1.2.3.4.5'])
    t.equal(parseAddress(text), null, text);
  t.equal(parsePrefix('10.0.0.1/24')?.prefix, 24);
  for (const text of ['10.0.0.1/33', '10.0.0.1/-1', 'fd00::/129', '10.0.0.1/'])
    t.equal(parsePrefix(text), null, text);
  t.end();
});

t.test(
  'pcapng: packets, times, directions and comments come back; broken files are null or packets, never a throw',
  (t) => {
    const writer = new PcapngWriter('tw0');
    const first = Uint8Array.of(1, 2, 3, 4, 5);
    const blocks = [
      writer.header(),
      writer.packet(first, 1, 3, 1_700_000_000, 123_456_789, true, 'tw-enter: a reason'),
      writer.packet(first, 0, 5, 1_700_000_001, 0, false, ''),
    ];
    const file = new Uint8Array(Buffer.concat(blocks));
    const packets = readPcapng(file)!;
    t.same(
      packets.map((p) => [[...p.bytes], p.linkType, p.seconds, p.nanoseconds, p.inbound, p.comment]),
      [
        [[2, 3, 4], 101, 1_700_000_000, 123_456_789, true, 'tw-enter: a reason'],
        [[1, 2, 3, 4, 5], 101, 1_700_000_001, 0, false, ''],
      ],
    );
    t.equal(readPcapng(new Uint8Array(0)), null);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(file.length),
        (edits, length) => {
          const broken = file.slice(0, length);
          for (const [at, value] of edits) if (at < length) broken[at] = value;
          const read = readPcapng(broken);
          return read === null || Array.isArray(read);
        },
      ),
      { numRuns: 2000 },
    );
    t.end();
  },
);
