import t from 'tap';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { parseAddress } from '../../src/wire/address.js';
import {
  formatFlags,
  formatNotation,
  formatSegment,
  type OptionText,
  type SegmentText,
} from '../../src/wire/notation.js';
import { buildPacket, describeExactly, type Ends } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { ACK, FIN, LOAD_OK, PSH, SYN, Segment } from '../../src/wire/segment.js';

const ends: Ends = {
  src: parseAddress('10.77.0.1')!,
  dst: parseAddress('10.77.0.2')!,
  srcPort: 1000,
  dstPort: 80,
};
const ends6: Ends = { ...ends, src: parseAddress('fd77::1')!, dst: parseAddress('fd77::2')! };

function parsed(text: string): SegmentText {
  const result = parseNotation(text);
  if ('error' in result) throw new Error(`${text}: ${result.error} at ${result.column}`);
  return result;
}

/** The option bytes as they lie in a packet of this segment. */
function optionBytes(packet: Uint8Array): number[] {
  const at = packet[0]! >> 4 === 4 ? 20 : 40;
  return [...packet.subarray(at + 20, at + (packet[at + 12]! >> 4) * 4)];
}

t.test('a segment word by word', async (t) => {
  t.same(parsed('F. 1001:1001(0) ack 1 win 100 <nop,nop,TS val 1 ecr 2>'), {
    flags: FIN | ACK,
    seq: 1001,
    length: 0,
    ack: 1,
    win: 100,
    options: [{ kind: 'nop' }, { kind: 'nop' }, { kind: 'TS', val: 1, ecr: 2 }],
  });
  t.same(parsed('- 5:10(5) urg 3'), { flags: 0, seq: 5, length: 5, urg: 3 });
  t.same(parsed('S 0:0(0) win 65535 <mss 1460,sackOK,nop,wscale 7,eol>').options, [
    { kind: 'mss', value: 1460 },
    { kind: 'sackOK' },
    { kind: 'nop' },
    { kind: 'wscale', value: 7 },
    { kind: 'eol' },
  ]);
  t.same(parsed('. 1:1(0) ack 1 <sack 10:20 4294967290:4>').options, [
    {
      kind: 'sack',
      blocks: [
        [10, 20],
        [4294967290, 4],
      ],
    },
  ]);
  t.same(parsed('P. 4294967295:9(10) ack 1').length, 10, 'the end wraps');
  t.same(parsed('  .\t1:1(0)   ack 1  <  nop , nop >  '), {
    flags: ACK,
    seq: 1,
    length: 0,
    ack: 1,
    options: [{ kind: 'nop' }, { kind: 'nop' }],
  });
});

t.test('flags: all 256, both ways, in any order', async (t) => {
  for (let flags = 0; flags < 256; flags++) {
    const text = formatFlags(flags);
    if (parsed(`${text} 0:0(0)`).flags !== flags) t.fail(text);
    if (parsed(`${[...text].reverse().join('')} 0:0(0)`).flags !== flags) t.fail(`reversed ${text}`);
  }
  t.equal(formatFlags(0), '-');
  t.equal(formatFlags(0xff), 'FSRP.UEW');
  t.equal(formatFlags(PSH | ACK), 'P.');
});

const u32 = fc.nat(0xffffffff);
const u16 = fc.nat(0xffff);
const option: fc.Arbitrary<OptionText> = fc.oneof(
  u16.map((value): OptionText => ({ kind: 'mss', value })),
  fc.nat(255).map((value): OptionText => ({ kind: 'wscale', value })),
  fc.constantFrom<OptionText>({ kind: 'sackOK' }, { kind: 'tw-holder' }, { kind: 'nop' }, { kind: 'eol' }),
  fc.tuple(u32, u32).map(([val, ecr]): OptionText => ({ kind: 'TS', val, ecr })),
  fc
    .array(fc.tuple(u32, u32), { minLength: 1, maxLength: 4 })
    .map((blocks): OptionText => ({ kind: 'sack', blocks })),
  fc.constantFrom<OptionText>(
    { kind: 'FO', cookie: '' },
    { kind: 'FO', cookie: '0123456789abcdef' },
    { kind: 'FOEXP', cookie: '' },
    { kind: 'FOEXP', cookie: '0123456789abcdef' },
    { kind: 'md5', digest: null },
  ),
);
const sizes: Record<OptionText['kind'], number> = {
  mss: 4,
  wscale: 3,
  sackOK: 2,
  'tw-holder': 5,
  nop: 1,
  eol: 1,
  TS: 10,
  sack: 2,
  FO: 2,
  FOEXP: 4,
  md5: 18,
  other: 2,
};
const size = (o: OptionText): number =>
  sizes[o.kind] +
  (o.kind === 'sack' ? 8 * o.blocks.length : 0) +
  (o.kind === 'FO' || o.kind === 'FOEXP' ? o.cookie.length / 2 : 0);
const fitting = fc.array(option, { minLength: 1, maxLength: 10 }).map((options) => {
  let room = 40;
  return options.filter((o) => {
    if (size(o) > room) return false;
    room -= size(o);
    return true;
  });
});
const text = fc.record(
  {
    ip: fc.record({ ecn: fc.nat(3), ttl: fc.nat(255) }, { noNullPrototype: true }),
    flags: fc.nat(255),
    seq: u32,
    length: u16,
    ack: u32,
    win: u16,
    urg: u16,
    options: fitting,
  },
  { requiredKeys: ['flags', 'seq', 'length'] },
);

t.test('what is formatted parses to the same', async (t) => {
  fc.assert(
    fc.property(text, (s) => isDeepStrictEqual(parsed(formatNotation(s)), { ...s })),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test('whatever the text, an answer and no exception; the column lies inside or just behind', async (t) => {
  const letters = fc.constantFrom(...'FS.-:(0)19 <>,acknopTSvwim'.split(''));
  const mutated = fc.tuple(text.map(formatNotation), fc.nat(80), fc.string({ unit: letters, maxLength: 3 }));
  const any = fc.oneof(
    fc.string({ maxLength: 60 }),
    mutated.map(([s, at, insert]) => s.slice(0, at) + insert + s.slice(at + 1)),
  );
  fc.assert(
    fc.property(any, (s) => {
      const result = parseNotation(s);
      return 'error' in result
        ? result.column >= 1 && result.column <= s.length + 1 && /^found .*; expected /.test(result.error)
        : true;
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test('more errors, each with its place', async (t) => {
  const cases: [string, number, string][] = [
    ['S 4294967296:0(0)', 3, 'expected a sequence number of at most 4294967295'],
    ['S 0:0', 6, "found the end; expected '('"],
    ['S 0:0(70000)', 7, 'expected a length of at most 65535'],
    ['S 0:0(0', 8, "expected ')'"],
    [
      'S 0:0(0) win 1 ack 2',
      16,
      "found 'ack 2'; expected 'urg', '<' and options, '/udp(' or the end of the segment",
    ],
    ['S 0:0(0) urg', 13, 'expected an urgent pointer'],
    ['S 0:0(0) <wscale 256>', 18, 'expected a shift of at most 255'],
    ['S 0:0(0) <TS 1>', 14, "expected 'val'"],
    ['S 0:0(0) <TS val 1>', 19, "expected 'ecr'"],
    ['S 0:0(0) <sack>', 15, 'expected a SACK block LEFT:RIGHT'],
    ['S 0:0(0) <sack 1-2>', 17, "expected ':'"],
    ['S 0:0(0) <mssy 1>', 11, 'expected an option'],
    ['. 0:0(0) <TS val 1 ecr 1,sack 1:2 3:4 5:6 7:8>', 26, 'expected at most 40 bytes of options'],
  ];
  for (const [input, column, error] of cases) {
    const result = parseNotation(input);
    if (!('error' in result)) t.fail(`'${input}' was taken`);
    else {
      t.equal(result.column, column, input);
      t.ok(result.error.includes(error), `${input}: ${result.error}`);
    }
  }
});

t.test('a packet carries the options exactly as written, zeros behind them', async (t) => {
  const cases: [string, number[]][] = [
    ['<mss 1460>', [2, 4, 5, 180]],
    ['<wscale 7>', [3, 3, 7, 0]],
    ['<nop,nop,nop>', [1, 1, 1, 0]],
    ['<wscale 7,nop,mss 536>', [3, 3, 7, 1, 2, 4, 2, 24]],
    ['<eol,nop>', [0, 1, 0, 0]],
    ['<TS val 4294967295 ecr 1,sackOK>', [8, 10, 255, 255, 255, 255, 0, 0, 0, 1, 4, 2]],
    ['<nop,nop,sack 1:4294967295>', [1, 1, 5, 10, 0, 0, 0, 1, 255, 255, 255, 255]],
    ['<mss 1,mss 2>', [2, 4, 0, 1, 2, 4, 0, 2]],
    ['<>', []],
  ];
  for (const [options, bytes] of cases) {
    // Without SYN too: a script may send what we never would.
    for (const head of ['S 0:0(0) win 1', '. 0:3(3) ack 1 win 1']) {
      for (const both of [ends, ends6]) {
        const packet = buildPacket(parsed(`${head} ${options}`), both);
        t.same(optionBytes(packet), bytes, `${head} ${options}`);
        t.equal(new Segment().loadPacket(packet), LOAD_OK);
      }
    }
  }
});

t.test('every written segment becomes a packet with right checksums that says the same', async (t) => {
  const small = text.map((s) => ({ ...s, length: s.length % 1400 }));
  fc.assert(
    fc.property(small, fc.constantFrom(ends, ends6), fc.nat(255), (s, both, fill) => {
      const packet = buildPacket(s, both, new Uint8Array(s.length).fill(fill));
      const segment = new Segment();
      const code = segment.loadPacket(packet);
      const data = packet.subarray(segment.payloadOffset);
      return (
        code === LOAD_OK &&
        segment.flags === s.flags &&
        segment.seq >>> 0 === s.seq &&
        segment.ack >>> 0 === (s.ack ?? 0) &&
        segment.wnd === (s.win ?? 65_535) &&
        segment.urgent === (s.urg ?? 0) &&
        segment.srcPort === 1000 &&
        segment.dstPort === 80 &&
        data.length === s.length &&
        data.every((byte) => byte === fill)
      );
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('payload: shorter is filled with zeros, longer is cut', async (t) => {
  const four = parsed('. 0:4(4) ack 1');
  t.same([...buildPacket(four, ends, Uint8Array.of(1, 2)).subarray(40)], [1, 2, 0, 0]);
  t.same([...buildPacket(four, ends, Uint8Array.of(1, 2, 3, 4, 5)).subarray(40)], [1, 2, 3, 4]);
  t.same([...buildPacket(four, ends).subarray(40)], [0, 0, 0, 0]);
});

t.test('what does not fit into a packet is a mistake', async (t) => {
  const blocks = Array.from({ length: 5 }, () => [1, 2] as const);
  const many: SegmentText = { flags: ACK, seq: 0, length: 0, options: [{ kind: 'sack', blocks }] };
  t.throws(() => buildPacket(many, ends), { name: 'RangeError', message: /42 bytes of options/ });
  t.throws(() => buildPacket({ flags: ACK, seq: 0, length: 65_496 }, ends), { name: 'RangeError' });
  t.equal(new Segment().loadPacket(buildPacket({ flags: ACK, seq: 0, length: 65_495 }, ends)), LOAD_OK);
  t.throws(() => buildPacket({ flags: ACK, seq: 0, length: 65_516 }, ends6), { name: 'RangeError' });
  t.equal(new Segment().loadPacket(buildPacket({ flags: ACK, seq: 0, length: 65_515 }, ends6)), LOAD_OK);
});

t.test('relative to bases: data, SACK edges, around the wrap', async (t) => {
  const segment = new Segment();
  const line = 'P. 4294967295:4(5) ack 7 win 100 <nop,nop,sack 8:10>';
  segment.loadPacket(buildPacket(parsed(line), ends));
  t.equal(formatSegment(segment), 'P. 4294967295:4(5) ack 7 win 100 <sack 8:10>');
  const bases = { seq: 0xfffffff0 | 0, ack: 8 };
  t.equal(formatSegment(segment, bases), 'P. 15:20(5) ack 4294967295 win 100 <sack 0:2>');
});

t.test('without the ACK flag no acknowledgment is shown, without URG no pointer', async (t) => {
  const segment = new Segment();
  segment.loadPacket(buildPacket({ flags: SYN, seq: 1, length: 0, ack: 9, urg: 9, win: 5 }, ends));
  t.equal(formatSegment(segment), 'S 1:1(0) win 5');
});

t.test('in what is expected, dots stand for anything', async (t) => {
  const all = '[ect01, tos 0x10, ttl 64] P. ...(10) ack ... win ... <...>';
  t.equal(formatNotation(parsed(all)), all);
  const stamps = '. 1:1(0) ack 1 <nop,nop,TS val ... ecr 7>';
  t.equal(formatNotation(parsed(stamps)), stamps);
  t.same(parsed('[tclass 0x0F,hlim 1] R 5:5(0)').ip, { tos: 15, ttl: 1 });
});

t.test('a packet is described as it stands on the wire', async (t) => {
  const text = '[ce, tos 0x03, ttl 9] SP. 1:4(3) ack 1 win 7 <mss 1460,eol,eol,eol,eol>';
  const packet = buildPacket(parsed(text), ends);
  const segment = new Segment();
  t.equal(segment.loadPacket(packet), LOAD_OK);
  t.equal(formatNotation(describeExactly(segment, { seq: 0, ack: 0 })), text);
  const options = '. 1:1(0) ack 1 win 7 <nop,FO 00ff,nop,sack 3:4 5:6>';
  segment.loadPacket(buildPacket(parsed(options), ends));
  t.equal(
    formatNotation({ ...describeExactly(segment, { seq: 0, ack: 0 }), ip: { ttl: 64 } }),
    `[ttl 64] ${options}`,
  );
});
