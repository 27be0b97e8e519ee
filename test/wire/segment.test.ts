import t from 'tap';
import fc from 'fast-check';
import { IpHeader } from '../../src/wire/ip.js';
import {
  ACK,
  FIN,
  LOAD_BAD_CHECKSUM,
  LOAD_BAD_LENGTH,
  LOAD_BAD_OPTION,
  LOAD_BAD_VERSION,
  LOAD_OK,
  LOAD_TRUNCATED,
  PSH,
  SYN,
  Segment,
} from '../../src/wire/segment.js';
import { be16, be32, tcp, v4, v6, withOptions } from './packets.js';

function load(packet: Uint8Array): [number, Segment] {
  const s = new Segment();
  return [s.loadPacket(packet), s];
}

t.test('every field, both versions', async (t) => {
  for (const version of [4, 6] as const) {
    const fields = { flags: PSH | ACK | FIN, seq: 0xfffffffe, ack: 0x80000001, payload: [9, 8, 7] };
    const [code, s] = load(version === 4 ? v4(tcp(4, fields)) : v6(tcp(6, fields)));
    t.equal(code, LOAD_OK);
    t.match(s, { version, srcPort: 1000, dstPort: 80, seq: -2, ack: 0x80000001 | 0, flags: 0x19, wnd: 500 });
    t.match(s, { payloadLength: 3, mss: -1, windowScale: -1, sackPermitted: false, hasTimestamp: false });
    t.same([...s.bytes.subarray(s.payloadOffset, s.payloadOffset + s.payloadLength)], [9, 8, 7]);
    t.equal(s.length, 4, 'SEG.LEN counts the FIN');
    t.equal(s.end, 2, 'and wraps');
  }
});

t.test('SEG.LEN: SYN and FIN count one each, nothing else does', async (t) => {
  for (let flags = 0; flags < 256; flags++) {
    const [, s] = load(v4(tcp(4, { flags, payload: [1, 2] })));
    if (s.length !== 2 + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0))
      t.fail(`flags ${flags}`);
  }
  t.pass();
});

t.test('the data offset lies (R9293-2)', async (t) => {
  for (let dataOffset = 0; dataOffset < 16; dataOffset++) {
    const [code, s] = load(v4(tcp(4, { dataOffset, payload: new Array<number>(12).fill(1) })));
    // 32 bytes: 5 to 8 words fit.
    const expected = dataOffset < 5 || dataOffset > 8 ? LOAD_BAD_LENGTH : LOAD_OK;
    t.equal(code, expected, `${dataOffset} words of 8`);
    if (code !== LOAD_OK) t.equal(s.payloadLength, 0);
  }
});

t.test('fewer than 20 bytes', async (t) => {
  for (let length = 0; length < 20; length++) t.equal(load(v4(tcp(4).slice(0, length)))[0], LOAD_TRUNCATED);
  t.equal(load(new Uint8Array(0))[0], LOAD_TRUNCATED, 'nothing at all');
  t.equal(load(new Uint8Array(40))[0], LOAD_BAD_VERSION);
});

t.test('the checksum covers addresses, header, options and data (MUST-3)', async (t) => {
  for (const packet of [v4(tcp(4, { payload: [1, 2, 3] })), v6(tcp(6, { payload: [1, 2, 3] }))]) {
    const start = packet[0]! >> 4 === 4 ? 20 : 8;
    let missed = 0;
    for (let bit = start * 8; bit < packet.length * 8; bit++) {
      const broken = Uint8Array.from(packet);
      broken[bit >> 3]! ^= 0x80 >> (bit & 7);
      if (load(broken)[0] === LOAD_OK) missed++;
    }
    t.equal(missed, 0);
    const ip = new IpHeader();
    const broken = Uint8Array.from(packet);
    broken[broken.length - 1]! ^= 1;
    ip.load(broken, 0, broken.length);
    const s = new Segment();
    t.equal(s.load(ip, true), LOAD_BAD_CHECKSUM);
    t.equal(s.load(ip, false), LOAD_OK, 'not looked at when not asked');
  }
});

t.test('every length of every option (MUST-7)', async (t) => {
  const fixed: Record<number, number> = { 2: 4, 3: 3, 4: 2, 8: 10 };
  for (const kind of [2, 3, 4, 5, 8, 6, 30, 34, 254, 255]) {
    for (let length = 0; length < 256; length++) {
      // 40 bytes of options: MSS first, as the good one before; then the suspect.
      const options = [2, 4, 5, 180, kind, length, ...new Array<number>(34).fill(0)];
      const right =
        kind === 5
          ? length >= 10 && (length - 2) % 8 === 0
          : kind in fixed
            ? length === fixed[kind]
            : length >= 2;
      const expected = right && length <= 36 ? LOAD_OK : LOAD_BAD_OPTION;
      const [code, s] = load(withOptions(options));
      if (code !== expected) t.fail(`kind ${kind} length ${length}: ${code}`);
      if (kind !== 2 && s.mss !== 1460)
        t.fail(`kind ${kind} length ${length}: the option before it was lost`);
    }
  }
  t.pass('kinds 2, 3, 4, 5, 6, 8, 30, 34, 254, 255 with lengths 0 to 255');
});

t.test('a kind alone at the very end has no length', async (t) => {
  for (const kind of [2, 3, 4, 5, 8, 77])
    t.equal(load(withOptions([1, 1, 1, kind]))[0], LOAD_BAD_OPTION, `${kind}`);
  for (const kind of [0, 1]) t.equal(load(withOptions([1, 1, 1, kind]))[0], LOAD_OK, `${kind}`);
});

t.test('a wrong option ends the list: what is behind it is not believed', async (t) => {
  const [code, s] = load(withOptions([3, 3, 7, 8, 9, 0, 0, 0, 1, 0, 0, 0, 2, 2, 4, 5]));
  t.equal(code, LOAD_BAD_OPTION);
  t.equal(s.windowScale, 7);
  t.equal(s.hasTimestamp, false);
  t.equal(s.mss, -1);
});

t.test('any alignment (MUST-64), any order', async (t) => {
  const ts = [8, 10, ...be32(0xfffffffd), ...be32(77)];
  for (let shift = 0; shift < 4; shift++) {
    const nops = new Array<number>(shift).fill(1);
    const [code, s] = load(withOptions([...nops, ...ts, 4, 2, 3, 3, 14, 2, 4, ...be16(536)]));
    t.equal(code, LOAD_OK);
    t.match(s, { hasTimestamp: true, tsVal: -3, tsEcr: 77, sackPermitted: true, windowScale: 14, mss: 536 });
  }
});

t.test('nothing behind the end of the list is read (MUST-69)', async (t) => {
  const [code, s] = load(withOptions([0, 2, 4, 5, 180, 8, 0, 0]));
  t.equal(code, LOAD_OK);
  t.equal(s.mss, -1);
});

t.test('MSS, window scale and SACK-permitted count on a SYN only (R7323-6)', async (t) => {
  const options = [2, 4, 5, 180, 3, 3, 7, 4, 2];
  const [, syn] = load(withOptions(options, SYN | ACK));
  t.match(syn, { mss: 1460, windowScale: 7, sackPermitted: true });
  const [code, ack] = load(withOptions(options, ACK));
  t.equal(code, LOAD_OK);
  t.match(ack, { mss: -1, windowScale: -1, sackPermitted: false });
  t.equal(load(withOptions([2, 3, 5], ACK))[0], LOAD_BAD_OPTION, 'their lengths count all the same');
});

t.test('a window scale above 14 is reported as it came', async (t) => {
  t.equal(load(withOptions([3, 3, 255]))[1].windowScale, 255);
});

t.test('SACK blocks, one to four, int32 edges', async (t) => {
  for (let n = 1; n <= 4; n++) {
    const edges = Array.from({ length: 2 * n }, (_, i) => (0xfffffff0 + 4 * i) >>> 0);
    const [code, s] = load(withOptions([5, 2 + 8 * n, ...edges.flatMap(be32)], ACK));
    t.equal(code, LOAD_OK);
    t.equal(s.sackCount, n);
    t.same(
      [...s.sack.subarray(0, 2 * n)],
      edges.map((edge) => edge | 0),
    );
  }
  const [, two] = load(withOptions([5, 10, ...be32(1), ...be32(2), 5, 10, ...be32(3), ...be32(4)], ACK));
  t.equal(two.sackCount, 1, 'of two SACK options the last holds');
  t.equal(two.sack[0], 3);
});

t.test('a flyweight forgets the segment before, whatever comes next', async (t) => {
  const full = [8, 10, ...be32(5), ...be32(6), 5, 10, ...be32(1), ...be32(2), 2, 4, 5, 180, 3, 3, 7, 4, 2];
  const good = v4(tcp(4, { flags: 0xff, seq: 11, ack: 22, options: full, payload: [1, 2, 3] }));
  const short = v4([1, 2, 3]);
  const wrong = v4(tcp(4, { dataOffset: 4 }));
  const flipped = v4(tcp(4, { seq: 5 }));
  flipped[39]! ^= 1;
  const cases: [string, Uint8Array, number][] = [
    ['truncated', short, LOAD_TRUNCATED],
    ['bad length', wrong, LOAD_BAD_LENGTH],
    ['bad checksum', flipped, LOAD_BAD_CHECKSUM],
    ['bad option', withOptions([2, 9], SYN), LOAD_BAD_OPTION],
    ['plain', v6(tcp(6)), LOAD_OK],
    ['no IP at all', new Uint8Array(3), LOAD_BAD_VERSION],
  ];
  for (const [name, packet, expected] of cases) {
    const used = new Segment();
    t.equal(used.loadPacket(good), LOAD_OK);
    t.equal(used.sackCount, 1);
    t.equal(used.loadPacket(packet), expected, name);
    const fresh = new Segment();
    fresh.loadPacket(packet);
    // Blocks behind sackCount mean nothing.
    used.sack.fill(0);
    t.same({ ...used }, { ...fresh }, `${name}: as if it were the first`);
  }
});

t.test('what a failed load says of the fixed header is that packet, for traces', async (t) => {
  const flipped = v4(tcp(4, { seq: 5, flags: SYN }));
  flipped[39]! ^= 1;
  const [, s] = load(flipped);
  t.match(s, { seq: 5, flags: SYN, srcPort: 1000, dstPort: 80 });
});

t.test('well-formed option lists are never refused, and read as a naive reader reads them', async (t) => {
  const option = fc.oneof(
    fc.constant<number[]>([1]),
    fc.nat(65_535).map((v) => [2, 4, ...be16(v)]),
    fc.nat(255).map((v) => [3, 3, v]),
    fc.constant<number[]>([4, 2]),
    fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff)).map(([a, b]) => [8, 10, ...be32(a), ...be32(b)]),
    fc
      .tuple(fc.integer({ min: 9, max: 255 }), fc.uint8Array({ maxLength: 12 }))
      .map(([kind, body]) => [kind, 2 + body.length, ...body]),
  );
  fc.assert(
    fc.property(fc.array(option, { maxLength: 12 }), (options) => {
      const kept: number[][] = [];
      let room = 40;
      for (const o of options)
        if ((room -= o.length) >= 0) kept.push(o);
        else room += o.length;
      const [code, s] = load(withOptions(kept.flat()));
      const last = (kind: number): number[] | undefined => kept.filter(([k]) => k === kind).at(-1);
      const [mss, ws, ts] = [last(2), last(3), last(8)];
      return (
        code === LOAD_OK &&
        s.mss === (mss ? mss[2]! * 256 + mss[3]! : -1) &&
        s.windowScale === (ws ? ws[2]! : -1) &&
        s.sackPermitted === (last(4) !== undefined) &&
        s.hasTimestamp === (ts !== undefined) &&
        (!ts || be32(s.tsVal).join() === ts.slice(2, 6).join()) &&
        (!ts || be32(s.tsEcr).join() === ts.slice(6).join())
      );
    }),
    { numRuns: 3000 },
  );
  t.pass();
});
