/** What a network card does for its host, beside the engine's own way to make the same packets. */
import t from 'tap';
import fc from 'fast-check';
import { Cutter, finishChecksum } from '../../src/wire/cut.js';
import { CHECKSUM_OFFLOADED } from '../../src/wire/ring.js';
import { ACK, CWR, FIN, LOAD_BAD_CHECKSUM, LOAD_OK, PSH, Segment, URG } from '../../src/wire/segment.js';
import { IpHeader } from '../../src/wire/ip.js';
import { builder } from './packets.js';

const AT = 5;

/** A packet at AT as the engine leaves it to a device, or finished. */
function packet(version: 4 | 6, text: Uint8Array, flags: number, offload: boolean): Uint8Array {
  const b = builder(version);
  b.offload = offload;
  b.seq = 0xfffffff0 | 0;
  b.flags = flags;
  b.hasTimestamp = true;
  const memory = new Uint8Array(text.length + 200).fill(0xee);
  const header = b.writeHeaders(memory, AT);
  memory.set(text, AT + header);
  return memory.subarray(0, AT + b.finish(memory, AT, header, text.length));
}

function cut(whole: Uint8Array, entry: number): Uint8Array[] {
  const cutter = new Cutter();
  const packets = [];
  cutter.begin(whole, AT, whole.length - AT, entry);
  for (let length = cutter.next(); length > 0; length = cutter.next())
    packets.push(cutter.bytes.slice(0, length));
  return packets;
}

const bytes = (length: number): Uint8Array => new Uint8Array(length).map((_, i) => i % 251);

for (const version of [4, 6] as const) {
  t.test(`IPv${version}: segments with sound checksums, the text in order`, async () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 65_000 }), fc.integer({ min: 1, max: 9000 }), (length, size) => {
        const text = bytes(length);
        const packets = cut(packet(version, text, ACK | PSH | FIN, true), CHECKSUM_OFFLOADED | size);
        const segment = new Segment();
        let at = 0;
        packets.forEach((each, i) => {
          const last = i === packets.length - 1;
          if (segment.loadPacket(each) !== LOAD_OK) throw new Error('not a sound packet');
          if (segment.seq !== (0xfffffff0 + at) << 0) throw new Error('wrong number');
          if (segment.flags !== (last ? ACK | PSH | FIN : ACK)) throw new Error('wrong flags');
          if (!last && segment.payloadLength !== size) throw new Error('wrong size');
          if (!segment.hasTimestamp) throw new Error('options lost');
          const part = each.subarray(segment.payloadOffset, segment.payloadOffset + segment.payloadLength);
          if (Buffer.compare(part, text.subarray(at, at + part.length)) !== 0) throw new Error('other bytes');
          at += part.length;
        });
        return at === length && packets.length === Math.ceil(length / size);
      }),
      { numRuns: 100 },
    );
  });
}

t.test('CWR is on the first segment only (RFC 3168 6.1.2), other flags on all', async (t) => {
  const packets = cut(packet(4, bytes(250), ACK | CWR | URG, true), CHECKSUM_OFFLOADED | 100);
  const segment = new Segment();
  t.same(
    packets.map((each) => (segment.loadPacket(each), segment.flags)),
    [ACK | CWR | URG, ACK | URG, ACK | URG],
  );
});

t.test('IPv4: each packet has an identification of its own', async (t) => {
  const packets = cut(packet(4, bytes(250), ACK, true), CHECKSUM_OFFLOADED | 100);
  t.same(
    packets.map((each) => (each[4]! << 8) | each[5]!),
    [0, 1, 2],
  );
});

t.test('one segment only gets its checksum, a finished one stays as it is', async (t) => {
  const finished = packet(4, bytes(100), ACK, false).slice(AT);
  t.same(cut(packet(4, bytes(100), ACK, true), CHECKSUM_OFFLOADED), [finished]);
  t.same(cut(packet(4, bytes(100), ACK, false), CHECKSUM_OFFLOADED), [finished]);
  t.same(cut(packet(4, bytes(100), ACK, false), 0), [finished]);
  const left = packet(4, bytes(100), ACK, true);
  t.equal(new Segment().loadPacket(left, AT), LOAD_BAD_CHECKSUM, 'left to the device');
  finishChecksum(left, AT, left.length - AT, CHECKSUM_OFFLOADED);
  t.same(left.slice(AT), finished);
});

t.test('what is no TCP segment passes as it is, whatever the bytes are', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 2 ** 17 }), (rubbish, entry) => {
      const ip = new IpHeader();
      if (ip.load(rubbish, 0, rubbish.length) === LOAD_OK && ip.protocol === 6) return true;
      const cutter = new Cutter();
      cutter.begin(rubbish, 0, rubbish.length, entry);
      const length = cutter.next();
      return (
        Buffer.compare(cutter.bytes.subarray(0, length), rubbish) === 0 &&
        (length === 0 || cutter.next() === 0)
      );
    }),
  );
});
