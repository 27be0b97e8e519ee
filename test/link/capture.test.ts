import t from 'tap';
import { PacketRing } from '../../src/wire/ring.js';
import { Reason, reasonText } from '../../src/reasons.js';
import { ManualClock } from '../../src/time/clock.js';
import { CaptureLink } from '../../src/link/capture.js';
import type { CaptureFormat } from '../../src/link/capture.js';
import { FaultsLink } from '../../src/link/faults.js';
import { memoryLink } from '../../src/link/memory.js';
import type { Link } from '../../src/link/link.js';
import { MemorySink } from '../../src/link/sink.js';
import { readPcapng } from '../../src/wire/pcapng.js';
import { packet, put, received, send } from './packets.js';

/** One line of text per packet. */
const lines: CaptureFormat = {
  header: () => Buffer.from('header\n'),
  packet: (bytes, offset, length, seconds, nanoseconds, inbound, comment) =>
    Buffer.from(
      `${seconds}.${String(nanoseconds).padStart(9, '0')} ${inbound ? 'in' : 'out'} ` +
        `${Buffer.from(bytes.subarray(offset, offset + length)).toString('hex')} (${comment})\n`,
    ),
};

function captured() {
  const clock = new ManualClock(0, 1_700_000_000);
  const [near, far] = memoryLink();
  const sink = new MemorySink();
  const link = new CaptureLink(near, sink, clock, lines);
  const text = () => Buffer.from(sink.bytes()).toString().trimEnd().split('\n');
  return { clock, near, far, sink, link, text };
}
const hex = (mark: number) => Buffer.from(packet(mark, 3)).toString('hex');

t.test('received packets are written when settled, with the time they came and their reason', async (t) => {
  const { clock, far, link, text } = captured();
  send(far, packet(1, 3), packet(2, 3));
  const rx = new PacketRing(4, 100);
  clock.advance(1500);
  t.equal(link.receive(rx), 2);
  t.same(text(), ['header']);
  rx.reasons[rx.slotOf(1)] = Reason['tw-syn-low'];
  clock.advance(10_000);
  link.settle(rx);
  const { id, text: what, source } = reasonText(Reason['tw-syn-low']);
  t.same(text(), [
    'header',
    `1700000001.500000000 in ${hex(1)} ()`,
    `1700000001.500000000 in ${hex(2)} (${id}: ${what} [${source}])`,
  ]);
  t.equal(link.packets, 2);
});

t.test('packets received in two goes keep their own times', async (t) => {
  const { clock, far, link, text } = captured();
  const rx = new PacketRing(4, 100);
  for (const mark of [1, 2]) {
    send(far, packet(mark, 3));
    clock.advance(1);
    link.receive(rx);
  }
  link.settle(rx);
  rx.clear();
  t.same(text().slice(1), [`1700000000.001000000 in ${hex(1)} ()`, `1700000000.002000000 in ${hex(2)} ()`]);
  send(far, packet(3, 3));
  clock.advance(1);
  link.receive(rx);
  link.settle(rx);
  t.equal(text()[3], `1700000000.003000000 in ${hex(3)} ()`, 'nothing of the last turn is left');
});

t.test('transmitted packets are written once, when the link took them', async (t) => {
  const { clock, near, far, sink } = captured();
  let room = 1;
  const narrow: Link = Object.assign(Object.create(near) as Link, {
    transmit(ring: PacketRing): number {
      if (room === 0) return 0;
      room--;
      send(near, ring.bytes.slice(ring.offsetOf(0), ring.offsetOf(0) + ring.lengthOf(0)));
      ring.drop(1);
      return 1;
    },
  });
  const link = new CaptureLink(narrow, sink, clock, lines);
  sink.blocks.length = 0;
  const tx = new PacketRing(2, 100);
  // The ring's head goes round, too.
  for (const mark of [1, 2, 3]) {
    put(tx, packet(mark, 3));
    room = 1;
    t.equal(link.transmit(tx), 1);
    t.equal(link.transmit(tx), 0);
  }
  put(tx, packet(4, 3));
  t.equal(link.transmit(tx), 0, 'busy');
  const text = Buffer.from(sink.bytes()).toString().trimEnd().split('\n');
  t.same(
    text,
    [1, 2, 3].map((mark) => `1700000000.000000000 out ${hex(mark)} ()`),
  );
  t.same(
    received(far),
    [1, 2, 3].map((mark) => packet(mark, 3)),
  );
});

t.test('capture of a faulty link shows what the engine saw, and passes its deadline on', async (t) => {
  const clock = new ManualClock();
  const [near, far] = memoryLink();
  const sink = new MemorySink();
  const link = new CaptureLink(new FaultsLink(near, clock, { delay: 20 }), sink, clock, lines);
  send(far, packet(1, 3));
  t.same(received(link), []);
  t.equal(link.nextDeadline(clock.now()), 20);
  clock.advance(20);
  t.same(received(link), [packet(1, 3)]);
  t.match(Buffer.from(sink.bytes()).toString(), `0.020000000 in ${hex(1)}`);
  t.equal(link.nextDeadline(clock.now()), -1);
  const plain = captured();
  t.equal(plain.link.nextDeadline(0), -1, 'a link without deadlines');
});

t.test('closing closes link and file once; packets sent by then are in it', async (t) => {
  const { near, far, link, sink, text } = captured();
  let closes = 0;
  sink.close = () => closes++;
  send(link, packet(1, 3));
  link.close();
  link.close();
  t.equal(closes, 1);
  t.equal(text().length, 2);
  send(far, packet(1, 3));
  t.equal(near.waiting, 0, 'the inner link is closed');
});

t.test('by default the file is pcapng, and its reader gets everything back', async (t) => {
  const clock = new ManualClock(0, 1_700_000_000);
  const [near, far] = memoryLink();
  const sink = new MemorySink();
  const link = new CaptureLink(near, sink, clock);
  const rx = new PacketRing(4, 100);
  send(far, packet(0x45, 41));
  clock.advance(7);
  link.receive(rx);
  rx.reasons[rx.slotOf(0)] = Reason['closed-rst'];
  link.settle(rx);
  clock.advance(1);
  send(link, packet(0x60, 60));
  const { id, text, source } = reasonText(Reason['closed-rst']);
  const common = { linkType: 101, seconds: 1_700_000_000 };
  t.same(readPcapng(sink.bytes()), [
    {
      ...common,
      bytes: packet(0x45, 41),
      nanoseconds: 7e6,
      inbound: true,
      comment: `${id}: ${text} [${source}]`,
    },
    { ...common, bytes: packet(0x60, 60), nanoseconds: 8e6, inbound: false, comment: '' },
  ]);
});
