/** RFC 1122: the Internet layer below, and what its chapter on TCP says beyond RFC 9293. */
import t from 'tap';
import { icmpError } from '../../src/wire/icmp.js';
import { fold, sum } from '../../src/wire/checksum.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseAddress } from '../../src/wire/address.js';
import { reasonText } from '../../src/reasons.js';
import { Conversation } from '../support/conversation.js';
import { echoRequest } from '../support/icmp.js';

/** A segment of the peer as a packet; numbers count as in the conversation. */
function packetOf(
  c: Conversation,
  flags: number,
  seq: number,
  length: number,
  ends: { src?: string; dst?: string } = {},
): Uint8Array {
  return buildPacket(
    { flags, seq: (c.peerIss + seq) % 2 ** 32, length, ack: ((c.ourIss ?? 0) + 1) % 2 ** 32, win: 65_535 },
    {
      src: ends.src === undefined ? c.peer : parseAddress(ends.src)!,
      dst: ends.dst === undefined ? c.us : parseAddress(ends.dst)!,
      srcPort: c.peerPort,
      dstPort: c.ourPort,
    },
    new Uint8Array(length),
  );
}

const SYN = 2;
const ACK = 16;

/** Changes the IPv4 header of a packet and makes its checksum right again. */
function changed(packet: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset);
  change(view);
  view.setUint16(10, 0);
  view.setUint16(10, fold(sum(packet, 0, (packet[0]! & 15) * 4, 0)));
  return packet;
}

/** The packet arrives; everything the stack sends, as it stands on the wire. */
function drawn(c: Conversation, packet: Uint8Array): Uint8Array[] {
  c.stack.receive(packet, 0, packet.length, c.now | 0);
  const sent: Uint8Array[] = [];
  do {
    const { tx } = c.stack;
    for (let i = 0; i < tx.count; i++)
      sent.push(tx.bytes.slice(tx.offsetOf(i), tx.offsetOf(i) + tx.lengthOf(i)));
    tx.clear();
  } while (c.stack.output(c.now | 0) > 0);
  return sent;
}

function listening(): Conversation {
  const c = new Conversation();
  c.listen();
  return c;
}

void t.test('R1122-1: the window of the SYN,ACK bounds the first flight, a later ACK opens it', (t) => {
  const c = new Conversation();
  c.connect();
  c.rest();
  c.inject('S. 0:0(0) ack 1 win 1000 <mss 500>');
  c.rest();
  c.send(5000);
  t.same(
    c.segments().map(({ seq, length }) => [seq, length]),
    [
      [1, 500],
      [501, 500],
    ],
  );
  c.inject('. 1:1(0) ack 1 win 2000');
  t.same(c.starts(), [1000, 1500]);
  t.end();
});

void t.test('R1122-2: an ACK of SND.UNA acknowledges nothing, and its window counts', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.inject('. 1:1(0) ack 1 win 2000');
  c.send(9000);
  t.same(c.starts(), [0, 1000]);
  c.inject('. 1:1(0) ack 1 win 4000');
  t.same(c.starts(), [2000, 3000], 'two more by the window');
  t.same([c.info.unacked, c.info.sndWnd], [4000, 4000], 'and none acknowledged');
  c.inject('. 1:1(0) ack 4001 win 4000');
  c.inject('. 1:1(0) ack 1 win 9000');
  t.equal(c.info.sndWnd, 4000, 'below SND.UNA it does not count');
  t.end();
});

void t.test('R1122-4: a lost window update costs no more than the time to the next probe', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.inject('. 1:1(0) ack 1 win 0');
  c.send(3000);
  t.same(c.rest(), []);
  // The update that says 65535 is lost; the next thing the peer hears is the probe
  const start = c.now;
  while (c.segments().length === 0) c.advance(1);
  t.ok(c.now - start <= 1000, `probed after ${c.now - start} ms`);
  c.inject('. 1:1(0) ack 1 win 65535');
  t.ok(c.starts().includes(0), 'data flows again');
  t.end();
});

void t.test('R1122-6: a datagram of another IP version is dropped in silence', (t) => {
  for (let version = 0; version < 16; version++) {
    const c = listening();
    const packet = changed(packetOf(c, SYN, 0, 0), (view) => view.setUint8(0, (version << 4) | 5));
    t.equal(drawn(c, packet).length, version === 4 ? 1 : 0, `version ${version}`);
    t.equal(c.stack.connections, version === 4 ? 1 : 0);
  }
  t.end();
});

void t.test('R1122-7: a wrong IPv4 header checksum costs the datagram, in silence', (t) => {
  for (let bit = 0; bit < 160; bit++) {
    const c = listening();
    const packet = packetOf(c, SYN, 0, 0);
    packet[bit >> 3]! ^= 1 << (bit & 7);
    t.same(drawn(c, packet), [], `bit ${bit} of the header`);
  }
  t.end();
});

void t.test('R1122-8: datagrams to others, and from addresses that can be nobody, draw nothing', (t) => {
  for (const ends of [
    { dst: '10.0.0.3' },
    { dst: '10.0.0.255' },
    { dst: '192.0.2.1' },
    { dst: '127.0.0.1' },
    { src: '127.0.0.1' },
    { src: '127.255.255.254' },
    { src: '255.255.255.255' },
    { src: '224.0.0.1' },
    { src: '0.0.0.0' },
    { src: '10.0.0.2' },
  ]) {
    const c = listening();
    t.same(drawn(c, packetOf(c, SYN, 0, 0, ends)), [], JSON.stringify(ends));
    t.equal(c.stack.connections, 0);
  }
  t.end();
});

void t.test('R1122-9: whatever is sent comes from one of our addresses, and 127/8 stays at home', (t) => {
  const source = (packet: Uint8Array): string => [...packet.subarray(12, 16)].join('.');
  const c = listening();
  const sent = [
    ...drawn(c, packetOf(c, SYN, 0, 0)),
    ...drawn(c, packetOf(c, ACK, 500, 10)),
    ...drawn(c, echoRequest(c.peer, c.us, 1, 1, 20)),
  ];
  c.ourPort = 81;
  sent.push(...drawn(c, packetOf(c, SYN, 0, 0)));
  t.equal(sent.length, 4, 'SYN,ACK, an answer to a wrong ACK, an echo reply, a RST');
  for (const packet of sent) t.equal(source(packet), '10.0.0.2');
  for (const address of ['127.0.0.1', '127.1.2.3']) {
    const opened = c.stack.connect({ address, port: 80 });
    c.stack.output(c.now | 0);
    t.equal(c.stack.tx.count, 0, `${address}: nothing leaves`);
    t.type(opened, 'string', address);
  }
  t.equal(c.stack.connect({ address: '10.0.0.1', port: 80, localAddress: '127.0.0.1' }), 'EADDRNOTAVAIL');
  t.end();
});

void t.test('R1122-10: a TTL of 0 or 1 is good enough to arrive, none of 0 is sent', (t) => {
  for (const ttl of [0, 1]) {
    const c = listening();
    const [answer] = drawn(
      c,
      changed(packetOf(c, SYN, 0, 0), (view) => view.setUint8(8, ttl)),
    );
    t.equal(answer?.[33], 0x12, `TTL ${ttl}: SYN,ACK`);
    t.ok(answer![8]! > 0);
  }
  t.match(new Conversation().stack.setKnob('net.ipv4.ip_default_ttl', 0), /1/, 'the knob refuses 0');
  t.end();
});

void t.test('MUST-50, R1122-11: IP options that nobody here knows are skipped', (t) => {
  const c = new Conversation();
  c.established();
  const plain = packetOf(c, ACK, 1, 5);
  const options = [222, 4, 7, 7, 1, 1, 148, 4, 0, 0, 0, 0];
  const packet = Uint8Array.of(...plain.subarray(0, 20), ...options, ...plain.subarray(20));
  changed(packet, (view) => {
    view.setUint8(0, 0x48);
    view.setUint16(2, packet.length);
  });
  drawn(c, packet);
  t.equal(c.read().length, 5, 'the data is there');
  c.advance(100);
  t.match(c.rest().join(), /ack 6 /, 'and acknowledged');
  t.end();
});

/** An ICMP error that quotes our last segment, changed. */
function error(c: Conversation, type: number, code: number, change: (quoted: Uint8Array) => void): string {
  const quoted = buildPacket(
    { flags: ACK, seq: (c.ourIss! + 1) % 2 ** 32, ack: 0, length: 0, win: 0, options: [] },
    { src: c.us, dst: c.peer, srcPort: c.ourPort, dstPort: c.peerPort },
  );
  change(quoted);
  const packet = icmpError(quoted, { type, code, source: Uint8Array.of(10, 0, 0, 254) });
  const reason = c.stack.receive(packet, 0, packet.length, c.now | 0);
  c.collect();
  return reasonText(reason).id;
}

void t.test('R1122-12: unknown ICMP types, and errors about another protocol, leave TCP alone', (t) => {
  const c = new Conversation();
  c.established();
  c.send(10);
  c.rest();
  t.equal(
    error(c, 3, 1, () => undefined),
    'icmp-soft',
    'an error about TCP does arrive',
  );
  c.inject('. 1:1(0) ack 1 win 65534');
  t.equal(c.user!.softError, null);
  for (const type of [1, 2, 6, 7, 15, 42, 99, 255]) error(c, type, 0, () => undefined);
  const udp = (quoted: Uint8Array): Uint8Array => changed(quoted, (view) => view.setUint8(9, 17));
  t.equal(error(c, 3, 3, udp), 'icmp-unmatched', 'UDP with the same ports');
  t.equal(c.user!.softError, null);
  t.equal(c.state, 'ESTABLISHED');
  t.same(c.rest(), [], 'nothing is answered');
  t.end();
});

void t.test('R1122-13: no ICMP error goes out, whatever comes in', (t) => {
  for (const [name, make] of [
    [
      'an ICMP error',
      (c) => icmpError(packetOf(c, SYN, 0, 0), { type: 3, code: 3, source: Uint8Array.of(10, 0, 0, 254) }),
    ],
    ['to the broadcast address', (c) => packetOf(c, SYN, 0, 0, { dst: '10.0.0.255' })],
    ['to all hosts', (c) => packetOf(c, SYN, 0, 0, { dst: '255.255.255.255' })],
    ['to a group', (c) => packetOf(c, SYN, 0, 0, { dst: '224.0.0.1' })],
    ['from a group', (c) => packetOf(c, SYN, 0, 0, { src: '224.0.0.1' })],
    ['a later fragment', (c) => changed(packetOf(c, SYN, 0, 0), (view) => view.setUint16(6, 10))],
    ['UDP', (c) => changed(packetOf(c, SYN, 0, 0), (view) => view.setUint8(9, 17))],
    ['a protocol without a name', (c) => changed(packetOf(c, SYN, 0, 0), (view) => view.setUint8(9, 253))],
    ['TTL 0', (c) => changed(packetOf(c, SYN, 0, 0, { dst: '10.0.0.9' }), (view) => view.setUint8(8, 0))],
  ] as readonly (readonly [string, (c: Conversation) => Uint8Array])[]) {
    const c = listening();
    t.same(drawn(c, make(c)), [], name);
  }
  t.end();
});

void t.test(
  'R1122-18: an echoed character takes one segment back, not an ACK, an update and the echo',
  (t) => {
    const c = new Conversation();
    c.established();
    for (let at = 1; at <= 20; at++) {
      c.inject(`P. ${at}:${at + 1}(1) ack ${at} win 65535`);
      t.equal(c.read().length, 1);
      c.send(1);
      t.equal(c.mismatch(`P. ${at}:${at + 1}(1) ack ${at + 1}`), '');
      c.inject(`. ${at + 1}:${at + 1}(0) ack ${at + 1} win 65535`);
      t.same(c.rest(), [], 'nothing else');
      c.advance(10);
    }
    c.advance(1000);
    t.same(c.rest(), []);
    t.end();
  },
);
