/** Capture files of both kinds, whole and cut, and what stands before the IP header. */
import fc from 'fast-check';
import t from 'tap';
import { walkCapture } from '../../src/wire/capture-file.js';
import { ipOffset, knowsLinkType, linkDirection } from '../../src/wire/link-layer.js';
import { PcapngWriter, type CapturedPacket } from '../../src/wire/pcapng.js';

interface Read {
  readonly format: string | null;
  readonly note: string;
  readonly packets: CapturedPacket[];
  readonly originals: number[];
  readonly sections: number[];
}

function read(file: Uint8Array): Read {
  const packets: CapturedPacket[] = [];
  const originals: number[] = [];
  const sections: number[] = [];
  const end = walkCapture(file, (packet, original, section) => {
    packets.push(packet);
    originals.push(original);
    sections.push(section);
  });
  return { format: end?.format ?? null, note: end?.note ?? '', packets, originals, sections };
}

/** A file as tcpdump writes it: two packets, the second cut short by the snap length. */
function pcap(little: boolean, nano: boolean, linkType = 1): Uint8Array {
  const bytes = new Uint8Array(24 + 2 * 16 + 5 + 3);
  const view = new DataView(bytes.buffer);
  const u32 = (at: number, value: number): void => view.setUint32(at, value, little);
  u32(0, nano ? 0xa1b23c4d : 0xa1b2c3d4);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  u32(16, 262_144);
  u32(20, linkType);
  [1_700_000_000, nano ? 250_000_001 : 250_000, 5, 5].forEach((value, i) => u32(24 + 4 * i, value));
  bytes.set([1, 2, 3, 4, 5], 40);
  [1_700_000_001, 0, 3, 1500].forEach((value, i) => u32(45 + 4 * i, value));
  bytes.set([6, 7, 8], 61);
  return bytes;
}

t.test('classic pcap: both byte orders, micro- and nanoseconds', async (t) => {
  for (const little of [true, false]) {
    for (const nano of [true, false]) {
      const { format, note, packets, originals } = read(pcap(little, nano));
      const name = `${little ? 'little' : 'big'} endian, ${nano ? 'nano' : 'micro'}seconds`;
      t.same([format, note], ['pcap', ''], name);
      t.same(
        packets.map((p) => [[...p.bytes], p.seconds, p.nanoseconds, p.linkType, p.inbound, p.comment]),
        [
          [[1, 2, 3, 4, 5], 1_700_000_000, nano ? 250_000_001 : 250_000_000, 1, null, ''],
          [[6, 7, 8], 1_700_000_001, 0, 1, null, ''],
        ],
        name,
      );
      t.same(originals, [5, 1500], name);
    }
  }
});

t.test('classic pcap, cut or broken: what is before it, and where it stopped', async (t) => {
  const whole = pcap(true, false);
  for (let length = 0; length < whole.length; length++) {
    const { format, note, packets } = read(whole.subarray(0, length));
    t.equal(format, length < 4 ? null : 'pcap', `${length} bytes`);
    t.equal(packets.length, length < 45 ? 0 : 1, `${length} bytes`);
    if (format !== null) t.equal(note === '', length === 24 || length === 45, `${length} bytes: ${note}`);
  }
  const broken = pcap(true, false);
  new DataView(broken.buffer).setUint32(45 + 8, 0x7fffffff, true);
  t.match(read(broken), { note: /byte 45 is no packet/, packets: [{}] });
  t.equal(read(Uint8Array.from(Buffer.from('GET / HTTP/1.1'))).format, null);
  t.equal(read(new Uint8Array(0)).format, null);
});

function pcapng(): { file: Uint8Array; ends: number[] } {
  const writer = new PcapngWriter('tw0');
  const blocks = [
    writer.header(),
    writer.packet(Uint8Array.of(1, 2, 3), 0, 3, 1, 2, true, 'one: a reason [RFC 1]'),
    writer.packet(Uint8Array.of(4, 5), 0, 2, 2, 3, false, ''),
    writer.header(),
    writer.packet(Uint8Array.of(6), 0, 1, 3, 4, true, ''),
  ];
  const ends: number[] = [];
  blocks.reduce((at, block) => (ends.push(at + block.length), at + block.length), 0);
  return { file: new Uint8Array(Buffer.concat(blocks)), ends };
}

t.test('pcapng cut at any byte: the packets whose blocks are whole', async (t) => {
  const { file, ends } = pcapng();
  const section = new DataView(file.buffer).getUint32(4, true);
  const blockEnds = new Set([...ends, section, ends[2]! + section]);
  for (let length = 4; length <= file.length; length++) {
    const { format, note, packets, sections } = read(file.subarray(0, length));
    t.equal(format, 'pcapng');
    const expected = [ends[1]!, ends[2]!, ends[4]!].filter((end) => end <= length).length;
    t.equal(packets.length, expected, `${length} bytes`);
    t.equal(note === '', blockEnds.has(length), `${length} bytes: ${note}`);
    if (note !== '') t.match(note, /ends in the middle of a block/);
    t.same(sections, [0, 0, 1].slice(0, expected));
  }
});

t.test('pcapng broken in the middle: up to there', async (t) => {
  const { file, ends } = pcapng();
  const edited = (at: number, value: number): Read => {
    const copy = file.slice();
    new DataView(copy.buffer).setUint32(at, value, true);
    return read(copy);
  };
  t.match(edited(ends[1]! + 4, 3), { note: new RegExp(`byte ${ends[1]} is no pcapng block`), packets: [{}] });
  t.match(edited(ends[1]! + 4, 0xfffffff0), { note: /is no pcapng block/, packets: [{}] });
  t.match(edited(ends[2]! - 4, 8), { note: /is no pcapng block/ });
  t.match(edited(ends[2]! + 8, 7), { note: /is no pcapng block/ }, 'a second section without magic');
  t.equal(edited(8, 7).format, null, 'a first section without magic is no pcapng');
});

t.test('several comments of one packet are lines', async (t) => {
  const writer = new PcapngWriter('x');
  const one = writer.packet(Uint8Array.of(1, 2, 3, 4), 0, 4, 1, 2, true, 'first');
  // The options again: comment, flags, end.
  const more = Buffer.alloc(one.length + 12);
  more.set(one);
  const at = one.length - 8;
  more.writeUInt16LE(1, at);
  more.writeUInt16LE(6, at + 2);
  more.write('second', at + 4, 'latin1');
  more.writeUInt32LE(more.length, 4);
  more.writeUInt32LE(more.length, more.length - 4);
  const { packets, note } = read(Buffer.concat([writer.header(), more]));
  t.equal(note, '');
  t.equal(packets[0]?.comment, 'first\nsecond');
});

t.test('whatever the bytes are, nothing is thrown', async (t) => {
  const files = [pcapng().file, pcap(true, false), pcap(false, true)];
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 8 }),
      fc.nat(400),
      (file, edits, length) => {
        const copy = file.slice(0, length);
        for (const [at, value] of edits) if (at < copy.length) copy[at] = value;
        for (const { bytes } of read(copy).packets)
          for (const linkType of [0, 1, 12, 101, 108, 113, 228, 276]) {
            const offset = ipOffset(linkType, bytes);
            if (offset >= bytes.length) return false;
          }
        return true;
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test('where the IP header is', async (t) => {
  const ip = [0x45, 0, 0, 40];
  const ip6 = [0x60, 0, 0, 0];
  const macs = new Array<number>(12).fill(0);
  const sll2 = [0x08, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 0, 0, 0, 0, 0, 0, 0, 0];
  const cases: [name: string, linkType: number, header: number[], ip: number[], known: boolean][] = [
    ['raw', 101, [], ip, true],
    ['raw, as DLT', 12, [], ip6, true],
    ['IPv4', 228, [], ip, true],
    ['IPv6', 229, [], ip6, true],
    ['Ethernet', 1, [...macs, 0x08, 0x00], ip, true],
    ['Ethernet, IPv6', 1, [...macs, 0x86, 0xdd], ip6, true],
    ['802.1Q', 1, [...macs, 0x81, 0x00, 0, 7, 0x08, 0x00], ip, true],
    ['802.1ad and 802.1Q', 1, [...macs, 0x88, 0xa8, 0, 7, 0x81, 0x00, 0, 9, 0x86, 0xdd], ip6, true],
    ['NULL, little endian', 0, [2, 0, 0, 0], ip, true],
    ['NULL, IPv6 of macOS', 0, [30, 0, 0, 0], ip6, true],
    ['LOOP', 108, [0, 0, 0, 24], ip6, true],
    ['Linux cooked', 113, [0, 4, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00], ip, true],
    ['Linux cooked v2', 276, sll2, ip, true],
    ['802.11', 105, [], ip, false],
  ];
  for (const [name, linkType, header, packet, known] of cases) {
    const bytes = Uint8Array.from([...header, ...packet]);
    t.equal(knowsLinkType(linkType), known, name);
    t.equal(ipOffset(linkType, bytes), known ? header.length : -1, name);
    t.equal(ipOffset(linkType, bytes.subarray(0, header.length)), -1, `${name}, nothing behind the header`);
  }
  t.equal(ipOffset(1, Uint8Array.from([...macs, 0x08, 0x06, ...ip])), -1, 'ARP');
  const sll = (type: number): Uint8Array =>
    Uint8Array.from([0, type, ...new Array<number>(12).fill(0), 8, 0, ...ip]);
  t.equal(linkDirection(113, sll(4)), false, 'sent by us');
  t.equal(linkDirection(113, sll(0)), true, 'sent to us');
  t.equal(linkDirection(113, sll(3)), null, 'between others');
  t.equal(linkDirection(276, Uint8Array.from([...sll2, ...ip])), false);
  t.equal(linkDirection(1, Uint8Array.from([...macs, 8, 0, ...ip])), null, 'Ethernet does not say');
});
