/** Ethernet headers, MAC addresses, ARP and discovery packets as bytes. */
import t from 'tap';
import { ArpPacket, writeArp } from '../../src/wire/arp.js';
import { formatMac, multicastMac, parseMac, readHeader, writeHeader } from '../../src/wire/ethernet.js';
import { IpHeader } from '../../src/wire/ip.js';
import { NeighbourMessage, solicitedNode, writeNeighbourMessage } from '../../src/wire/ndp.js';
import { parseAddress } from '../../src/wire/address.js';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));

t.test('header to record and back, with a tag and without', async (t) => {
  for (const [text, length] of [
    ['0200000000aa 0200000000bb 0800', 14],
    ['0200000000aa 0200000000bb 81002005 86dd', 18],
    ['0200000000aa 0200000000bb 88a80005 0806', 18],
  ] as const) {
    const frame = hex(`${text} 4500`);
    const record = new Uint8Array(20);
    t.equal(readHeader(frame, 0, frame.length, record, 0), length);
    const back = new Uint8Array(length);
    t.equal(writeHeader(record, 0, back, 0), length);
    t.same(back, hex(text));
  }
  t.equal(readHeader(new Uint8Array(13), 0, 13, new Uint8Array(20), 0), -1);
  t.equal(readHeader(hex('0200000000aa 0200000000bb 8100 0005'), 0, 16, new Uint8Array(20), 0), -1);
});

t.test('MAC addresses', async (t) => {
  t.same(parseMac('02:00:5E:10:fe:01'), { high: 0x0200, low: 0x5e10fe01 });
  t.equal(formatMac(0xffff, -1), 'ff:ff:ff:ff:ff:ff');
  t.equal(formatMac(2, 5), '00:02:00:00:00:05');
  for (const text of ['', '02:00', '02:00:5e:10:fe:0g', '02005e10fe01', '02:00:5e:10:fe:01:02'])
    t.equal(parseMac(text), null, text);
  const group = (text: string, version: number): string => {
    const { high, low } = multicastMac(version, parseAddress(text)!.words[3]!);
    return formatMac(high, low);
  };
  t.equal(group('224.128.1.2', 4), '01:00:5e:00:01:02', 'RFC 1112 6.4: 23 bits');
  t.equal(group('ff02::1:ff00:2', 6), '33:33:ff:00:00:02');
});

t.test('an ARP reply as tcpdump would see it', async (t) => {
  const out = new Uint8Array(28);
  const from = parseMac('02:00:00:00:00:01')!;
  const to = parseMac('02:00:00:00:00:0a')!;
  writeArp(out, 0, 2, from, 0x0a000002, to, 0x0a000009);
  t.same(out, hex('0001 0800 06 04 0002 020000000001 0a000002 02000000000a 0a000009'));
  const arp = new ArpPacket();
  t.equal(arp.load(out, 0, 28), 0);
  t.match(arp, { operation: 2, senderHigh: 0x0200, senderLow: 1, sender: 0x0a000002, target: 0x0a000009 });
  t.not(arp.load(hex('0006 0800 06 04 0002 020000000001 0a000002 02000000000a 0a000009'), 0, 28), 0);
  t.not(arp.load(hex('0001 0800 08 04 0002 020000000001 0a000002 02000000000a 0a000009'), 0, 28), 0);
});

t.test('a solicitation: every bit of it is checked', async (t) => {
  const target = parseAddress('fd00::9')!.words;
  const out = new Uint8Array(72);
  const fields = {
    type: 135,
    flags: 0,
    source: parseAddress('fd00::2')!.words,
    destination: solicitedNode(target),
    target,
    mac: parseMac('02:00:00:00:00:01'),
  };
  t.equal(writeNeighbourMessage(out, 0, fields), 72);
  const ip = new IpHeader();
  const message = new NeighbourMessage();
  const load = (bytes: Uint8Array): number => ip.load(bytes, 0, bytes.length) || message.load(ip);
  t.equal(load(out), 0);
  t.match(message, { type: 135, hasMac: true, macHigh: 0x0200, macLow: 1, target3: 9 });
  for (let bit = 64 * 8 - 1; bit >= 40 * 8; bit--) {
    const spoiled = out.slice();
    spoiled[bit >> 3]! ^= 1 << (bit & 7);
    t.not(load(spoiled), 0);
  }
});
