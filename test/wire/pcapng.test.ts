import t from 'tap';
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAddress } from '../../src/wire/address.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { PcapngWriter, readPcapng } from '../../src/wire/pcapng.js';

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

const packet = fc.record({
  bytes: fc.uint8Array({ maxLength: 100 }),
  offset: fc.nat(10),
  seconds: fc.nat(2 ** 33),
  nanoseconds: fc.nat(999_999_999),
  inbound: fc.boolean(),
  comment: fc.string({ unit: 'grapheme', maxLength: 40 }),
});

t.test('what is written is read back', async (t) => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 6 }), (packets) => {
      const writer = new PcapngWriter('tw0');
      const blocks = packets.map((p) => {
        const memory = concat(new Uint8Array(p.offset).fill(0xee), p.bytes, Uint8Array.of(0xee));
        return writer.packet(
          memory,
          p.offset,
          p.bytes.length,
          p.seconds,
          p.nanoseconds,
          p.inbound,
          p.comment,
        );
      });
      for (const block of blocks) if (block.length % 4 !== 0) return false;
      const read = readPcapng(concat(writer.header(), ...blocks));
      const expected = packets.map(({ bytes, seconds, nanoseconds, inbound, comment }) => {
        return [[...bytes], seconds, nanoseconds, inbound, comment, 101];
      });
      const found = read?.map((p) => [
        [...p.bytes],
        p.seconds,
        p.nanoseconds,
        p.inbound,
        p.comment,
        p.linkType,
      ]);
      return JSON.stringify(found) === JSON.stringify(expected);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('a text too long for its field is cut, and never in the middle of a character', async (t) => {
  const writer = new PcapngWriter('x'.repeat(70_000));
  const comment = 'é'.repeat(40_000);
  const read = readPcapng(
    concat(writer.header(), writer.packet(new Uint8Array(4), 0, 4, 1, 2, true, comment)),
  );
  t.equal(read?.length, 1);
  const kept = read![0]!.comment;
  t.ok(kept.length > 10_000 && comment.startsWith(kept), `${kept.length} characters`);
});

/** The same file as another writer would have made it: other byte order, microseconds or powers of two, foreign blocks. */
function foreign(
  little: boolean,
  resolution: number | null,
  stamp: bigint,
  data: readonly number[],
): Uint8Array {
  const u16 = (v: number): number[] => (little ? [v & 255, v >> 8] : [v >> 8, v & 255]);
  const u32 = (v: number): number[] => {
    const b = [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
    return little ? b.reverse() : b;
  };
  const block = (type: number, body: readonly number[]): number[] => [
    ...u32(type),
    ...u32(12 + body.length),
    ...body,
    ...u32(12 + body.length),
  ];
  const pad = new Array<number>(-data.length & 3).fill(0);
  return Uint8Array.from([
    ...block(0x0a0d0d0a, [...u32(0x1a2b3c4d), ...u16(1), ...u16(0), ...u32(0xffffffff), ...u32(0xffffffff)]),
    ...block(5, u32(7)),
    ...block(1, [
      ...[...u16(1), ...u16(0), ...u32(0)],
      ...(resolution === null ? [] : [...u16(9), ...u16(1), resolution, 0, 0, 0, ...u32(0)]),
    ]),
    ...block(0x80000001, [1, 2, 3, 4]),
    ...block(6, [
      ...[...u32(0), ...u32(Number(stamp >> 32n)), ...u32(Number(stamp & 0xffffffffn))],
      ...[...u32(data.length), ...u32(1500), ...data, ...pad],
      ...[...u16(1), ...u16(3), 0x61, 0x62, 0x63, 0, ...u16(2), ...u16(4), ...u32(2), ...u32(0)],
    ]),
    ...block(6, [...u32(0), ...u32(0), ...u32(0), ...u32(4), ...u32(4), 1, 2, 3, 4]),
  ]);
}

t.test('files of other writers: byte order, time units, blocks and options we do not know', async (t) => {
  for (const little of [true, false]) {
    for (const [resolution, stamp] of [
      [null, 1_700_000_000_250_000n],
      [6, 1_700_000_000_250_000n],
      [3, 1_700_000_000_250n],
      [9, 1_700_000_000_250_000_000n],
      [0x80 | 10, (1_700_000_000n << 10n) + 256n],
    ] as const) {
      const read = readPcapng(foreign(little, resolution, stamp, [9, 8, 7, 6, 5]));
      const name = `${little ? 'little' : 'big'} endian, if_tsresol ${resolution}`;
      t.equal(read?.length, 2, name);
      t.match(
        read?.[0],
        { seconds: 1_700_000_000, nanoseconds: 250_000_000, linkType: 1, inbound: false },
        name,
      );
      t.equal(read?.[0]?.comment, 'abc', name);
      t.same([...read![0]!.bytes], [9, 8, 7, 6, 5], name);
      t.match(read?.[1], { seconds: 0, nanoseconds: 0, inbound: null, comment: '' }, name);
    }
  }
});

t.test('two sections in one file, each with its own byte order', async (t) => {
  const both = concat(foreign(true, 6, 5n, [1]), foreign(false, 6, 6n, [2]), new PcapngWriter('x').header());
  t.same(
    readPcapng(both)?.map((p) => p.bytes[0]),
    [1, 1, 2, 1],
  );
});

t.test('memory that begins elsewhere', async (t) => {
  const file = foreign(true, 6, 5n, [1, 2, 3]);
  const moved = concat(new Uint8Array(7).fill(0xee), file).subarray(7);
  t.same([...readPcapng(moved)![0]!.bytes], [1, 2, 3]);
});

t.test('no pcapng, or broken: null', async (t) => {
  const whole = concat(
    new PcapngWriter('tw0').header(),
    new PcapngWriter('tw0').packet(Uint8Array.of(1, 2, 3, 4), 0, 4, 1, 2, true, 'x'),
  );
  const head = new PcapngWriter('tw0').header();
  t.equal(readPcapng(new Uint8Array(0)), null);
  t.equal(
    readPcapng(Uint8Array.from(Buffer.from('d4c3b2a1020004000000000000000000', 'hex'))),
    null,
    'classic pcap',
  );
  t.same(readPcapng(head), [], 'no packets is a good file');
  for (let length = 1; length < whole.length; length++) {
    // Block ends are the only places where a file may stop.
    const read = readPcapng(whole.slice(0, length));
    const atBlockEnd = length === head.length || length === new DataView(head.buffer).getUint32(4, true);
    if ((read === null) === atBlockEnd) t.fail(`cut to ${length} bytes of ${whole.length}`);
  }
  const edit = (at: number, value: number): Uint8Array => {
    const copy = whole.slice();
    new DataView(copy.buffer).setUint32(at, value, true);
    return copy;
  };
  t.equal(readPcapng(edit(8, 0)), null, 'no byte-order magic');
  t.equal(readPcapng(edit(whole.length - 4, 8)), null, 'the two lengths of a block differ');
  t.equal(readPcapng(edit(head.length + 4, 0)), null, 'a block of length 0 does not hang');
  t.equal(readPcapng(edit(head.length + 8, 1)), null, 'an interface nobody described');
  t.equal(readPcapng(edit(head.length + 20, 0xfffffff0)), null, 'more captured than there is');
});

const tshark = spawnSync('tshark', ['--version'], { encoding: 'utf8' });
const missing = tshark.status === 0 ? false : 'tshark is not installed (Debian: apt-get install tshark)';

t.test('tshark reads it: times, direction, comments, options, checksums', { skip: missing }, async (t) => {
  const four = {
    src: parseAddress('10.77.0.1')!,
    dst: parseAddress('10.77.0.2')!,
    srcPort: 1000,
    dstPort: 80,
  };
  const six = { ...four, src: parseAddress('fd77::1')!, dst: parseAddress('fd77::2')! };
  const writer = new PcapngWriter('tw0');
  const lines = [
    'S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>',
    'S. 5:5(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>',
    'P. 1:12(11) ack 6 win 512 <nop,nop,TS val 1 ecr 2>',
    '. 6:6(0) ack 1 win 512 <nop,nop,sack 3:12>',
    'F. 12:12(0) ack 6 win 512',
  ];
  const blocks = [four, six].flatMap((ends) =>
    lines.map((line, i) => {
      const text = parseNotation(line);
      if ('error' in text) throw new Error(text.error);
      const bytes = buildPacket(text, ends, Buffer.from('hello world'));
      return writer.packet(
        bytes,
        0,
        bytes.length,
        1_700_000_000,
        123_456_780 + i,
        i % 2 === 0,
        `Grund ${i}: ü`,
      );
    }),
  );
  const file = join(t.testdir(), 'wire.pcapng');
  writeFileSync(file, concat(writer.header(), ...blocks));
  const fields = ['frame.time_epoch', 'frame.packet_flags_direction', 'frame.comment', 'tcp.flags.str'];
  fields.push('tcp.len', 'tcp.option_len', 'tcp.checksum.status', 'ip.checksum.status', '_ws.malformed');
  const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
  const shown = spawnSync(
    'tshark',
    ['-r', file, '-T', 'fields', ...checks, ...fields.flatMap((f) => ['-e', f])],
    { encoding: 'utf8' },
  );
  t.equal(shown.status, 0, shown.stderr);
  t.notMatch(shown.stderr, /malformed|cut short|damaged|corrupt/i);
  const rows = shown.stdout.replace(/\n$/, '').split('\n');
  t.equal(rows.length, 10);
  rows.forEach((row, i) => {
    const [time, direction, comment, , length, , tcpStatus, ipStatus, malformed] = row.split('\t');
    const n = i % 5;
    t.equal(time, `1700000000.12345678${n}`);
    t.match(direction, n % 2 === 0 ? /^(0x0*)?1$/ : /^(0x0*)?2$/, `direction ${direction}`);
    t.equal(comment, `Grund ${n}: ü`);
    t.equal(length, n === 2 ? '11' : '0');
    t.equal(tcpStatus, '1', 'the TCP checksum is good');
    t.equal(ipStatus, i < 5 ? '1' : '', 'the IP header checksum is good');
    t.equal(malformed ?? '', '');
  });
});
