import t from 'tap';
import fc from 'fast-check';
import {
  adjust,
  fold,
  giveMemory,
  takeMemory,
  patchHalf,
  patchWord,
  pseudoHeader,
  sum,
} from '../../src/wire/checksum.js';
import { SRC4, DST4, SRC6, DST6, be16, be32, naiveChecksum } from './packets.js';

function words(bytes: readonly number[]): number[] {
  return [0, 4, 8, 12].map(
    (at) => (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!,
  );
}

t.test('the example of RFC 1071 section 3', async (t) => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  t.equal(fold(sum(bytes, 0, 8, 0)), 0xffff - 0xddf2);
});

t.test('a well-known IPv4 header', async (t) => {
  const header = Uint8Array.from(Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex'));
  t.equal(fold(sum(header, 0, 20, 0)), 0, 'verifies');
  header[10] = header[11] = 0;
  t.equal(fold(sum(header, 0, 20, 0)), 0xb861);
});

t.test('equal to the naive sum at every small offset and length', async (t) => {
  const bytes = Uint8Array.from({ length: 200 }, (_, i) => (i * 197 + 131) & 255);
  let wrong = 0;
  for (let offset = 0; offset < 20; offset++) {
    for (let length = 0; length <= 120; length++) {
      const expected = naiveChecksum(bytes.subarray(offset, offset + length));
      if (fold(sum(bytes, offset, length, 0)) !== expected) wrong++;
    }
  }
  t.equal(wrong, 0);
});

t.test('long ones, summed by words: every place, parts of other memory in turn', async (t) => {
  const whole = Uint8Array.from({ length: 4000 }, (_, i) => (i * 197 + (i >> 7) * 31) & 255);
  const other = whole.slice(1000);
  let wrong = 0;
  for (let from = 0; from < 5; from++)
    for (let offset = 0; offset < 6; offset++)
      for (let length = 240; length <= 320; length++)
        for (const memory of [whole.subarray(from), other]) {
          const expected = naiveChecksum([0x12, 0x34], memory.subarray(offset, offset + length));
          if (fold(sum(memory, offset, length, 0x1234)) !== expected) wrong++;
        }
  t.equal(wrong, 0);
});

t.test('random bytes at random places equal the naive sum', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(40), fc.nat(40), (bytes, skip, cut) => {
      const offset = Math.min(skip, bytes.length);
      const length = Math.max(0, bytes.length - offset - cut);
      return fold(sum(bytes, offset, length, 0)) === naiveChecksum(bytes.subarray(offset, offset + length));
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test('sums chain at even cuts', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2, maxLength: 500 }), fc.nat(), (bytes, place) => {
      const cut = (place % bytes.length) & ~1;
      const chained = sum(bytes, cut, bytes.length - cut, sum(bytes, 0, cut, 0));
      return fold(chained) === naiveChecksum(bytes);
    }),
  );
  t.pass();
});

t.test('the largest packet of the largest bytes overflows nothing', async (t) => {
  for (const length of [65_535, 65_534, 65_521]) {
    const bytes = new Uint8Array(length).fill(0xff);
    const pseudo = pseudoHeader(6, -1, -1, -1, -1, -1, -1, -1, -1, 255, length);
    const total = sum(bytes, 0, length, pseudo);
    t.ok(total >= 0 && total < 2 ** 31, `${length}: ${total}`);
    const ones = new Array<number>(32).fill(0xff);
    t.equal(fold(total), naiveChecksum(ones, be32(length), [0, 0, 0, 255], bytes), `${length}`);
  }
});

t.test('pseudo-headers', async (t) => {
  for (const length of [0, 20, 21, 1460, 65_535, 65_536, 100_000]) {
    const [s, d] = [words(SRC6), words(DST6)];
    t.equal(
      fold(pseudoHeader(6, s[0]!, s[1]!, s[2]!, s[3]!, d[0]!, d[1]!, d[2]!, d[3]!, 58, length)),
      naiveChecksum(SRC6, DST6, be32(length), [0, 0, 0, 58]),
      `IPv6, RFC 8200 8.1, ${length} bytes`,
    );
  }
  const [s, d] = [words(SRC4)[0]!, words(DST4)[0]!];
  // Summing the mapped words 0 0 ffff too would change nothing: ffff is zero in one's complement.
  t.equal(
    fold(pseudoHeader(4, 0, 0, 0xffff, s, 0, 0, 0xffff, d, 6, 1480)),
    naiveChecksum(SRC4, DST4, [0, 6], be16(1480)),
    'IPv4, RFC 9293 3.1',
  );
});

t.test('addresses with the highest bit set do not turn the sum negative', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { minLength: 8, maxLength: 8 }), fc.nat(65_535), (w, length) => {
      const total = pseudoHeader(6, w[0]!, w[1]!, w[2]!, w[3]!, w[4]!, w[5]!, w[6]!, w[7]!, 6, length);
      return total >= 0 && fold(total) === naiveChecksum(w.flatMap(be32), be32(length), [0, 0, 0, 6]);
    }),
  );
  t.pass();
});

t.test('fold: any carry, and zero', async (t) => {
  t.equal(fold(0), 0xffff);
  t.equal(fold(0xffff), 0);
  t.equal(fold(0x1_fffe), 0);
  t.equal(fold(2 ** 31 + 2 ** 20 + 5), 0xffff - (2 ** 15 + 2 ** 4 + 5));
});

t.test('moved by what changed (RFC 1624): as if computed anew, at even and odd places', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 24, maxLength: 60 }),
      fc.nat(18),
      fc.nat(0xffff_ffff),
      fc.nat(0xffff),
      (bytes, at, value, other) => {
        const base = 3;
        const data = Uint8Array.of(...new Array<number>(base).fill(7), 0, 0, ...bytes);
        data.set(be16(naiveChecksum(data.subarray(base))), base);
        const place = base + 2 + at;
        const change = patchWord(data, place, value, base) + patchHalf(data, place + 4, other, base);
        const before = data.slice();
        const own = adjust(data, base, change, base);
        const written = [...be32(value), ...be16(other)].every((byte, i) => data[place + i] === byte);
        const expected = before.slice(base);
        expected.set([0, 0]);
        const right = data[base]! * 256 + data[base + 1]! === naiveChecksum(expected);
        const moved = data[base]! * 256 + data[base + 1]! - (before[base]! * 256 + before[base + 1]!);
        return written && right && own === moved;
      },
    ),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test(
  "memory of the module's own is summed where it lies, given back and used again; beyond, any memory does",
  async (t) => {
    const naive = (bytes: Uint8Array, at: number, length: number): number =>
      naiveChecksum([0x12, 0x34], bytes.subarray(at, at + length));
    const rings = Array.from({ length: 10 }, () => takeMemory(4096));
    t.equal(new Set(rings.map(({ buffer }) => buffer)).size, 3, 'eight share one buffer, two have their own');
    const large = takeMemory(1 << 20);
    t.equal(large.length, 1 << 20);
    rings.forEach((ring, i) => ring.forEach((_, at) => (ring[at] = (at * (i + 3)) >> 1)));
    let wrong = 0;
    // By turns, and beside memory that is not the module's
    for (let at = 0; at < 200; at += 13)
      for (const ring of [...rings, large])
        for (const length of [20, 63, 64, 65, 191, 192, 1460 + (at & 63)])
          if (fold(sum(ring, at, length, 0x1234)) !== naive(ring, at, length)) wrong++;
    t.equal(wrong, 0);
    giveMemory(rings[3]!);
    const again = takeMemory(100);
    t.equal(again.buffer, rings[0]!.buffer);
    t.ok(
      again.every((byte) => byte === 0),
      'clean',
    );
    for (const ring of [...rings, again, large]) giveMemory(ring);
    giveMemory(rings[0]!);
    const all = Array.from({ length: 8 }, () => takeMemory(1 << 18));
    t.equal(new Set(all.map(({ buffer }) => buffer)).size, 1, 'all are free again');
    for (const ring of all) giveMemory(ring);
  },
);
