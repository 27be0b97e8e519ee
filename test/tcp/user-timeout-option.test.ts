/** The user timeout option, RFC 5482: off unless wanted, sent, adopted within limits. */
import t from 'tap';
import { Conversation } from '../support/conversation.js';
import { Segment } from '../../src/wire/segment.js';
import { SegmentBuilder } from '../../src/wire/builder.js';

const ON = { tcp_user_timeout_option: 1, 'net.ipv4.tcp_timestamps': 0, 'net.ipv4.tcp_retries2': 100 };

/** What comes back of `seconds` after a trip through the wire format. */
function roundTrip(seconds: number): number {
  const b = new SegmentBuilder();
  b.src2 = b.dst2 = 0xffff;
  b.src3 = 0x0a000001;
  b.dst3 = 0x0a000002;
  b.flags = 0x10;
  b.userTimeout = seconds;
  const bytes = new Uint8Array(100);
  const header = b.writeHeaders(bytes, 0);
  const segment = new Segment();
  t.equal(segment.loadPacket(bytes, 0, b.finish(bytes, 0, header, 0)), 0);
  return segment.userTimeout;
}

void t.test('seconds up to 32767, then minutes, rounded up', (t) => {
  t.equal(roundTrip(1), 1);
  t.equal(roundTrip(32_767), 32_767);
  t.equal(roundTrip(32_768), 60 * 547);
  t.equal(roundTrip(10_000_000), 60 * 32_767);
  t.end();
});

void t.test('off: neither sent nor heeded; on: SYNs carry it', (t) => {
  for (const [value, there] of [
    [0, false],
    [1, true],
  ] as const) {
    const knobs = { ...ON, tcp_user_timeout_option: value, 'net.ipv4.tcp_user_timeout': 120_000 };
    const c = new Conversation({ knobs });
    c.stack.connect({ address: '10.0.0.1', port: 9 });
    const { tx } = c.stack;
    c.stack.output(c.now | 0);
    const segment = new Segment();
    segment.loadPacket(tx.bytes, tx.offsetOf(0), tx.lengthOf(0));
    t.equal(segment.userTimeout, there ? 120 : 0);
  }
  t.end();
});

/** How long a connection lives whose peer advertised `remote` s on its SYN and then fell silent, s. */
function lifetime(remote: number, knobs: Record<string, number> = {}, own = 0): number {
  const c = new Conversation({ knobs: { ...ON, ...knobs } });
  c.listen();
  const b = new SegmentBuilder();
  [b.src0, b.src1, b.src2, b.src3] = c.peer.words as unknown as [number, number, number, number];
  [b.dst0, b.dst1, b.dst2, b.dst3] = c.us.words as unknown as [number, number, number, number];
  Object.assign(b, { srcPort: c.peerPort, dstPort: c.ourPort, seq: c.peerIss | 0, flags: 0x02, wnd: 65_535 });
  b.userTimeout = remote;
  const packet = new Uint8Array(100);
  const header = b.writeHeaders(packet, 0);
  c.stack.receive(packet, 0, b.finish(packet, 0, header, 0), c.now | 0);
  c.collect();
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  if (own > 0) c.stack.setOption(c.user!, 'userTimeout', own);
  c.send(10);
  const start = c.now;
  while (c.user!.error === null && c.now - start < 10_000_000) c.advance(1000);
  t.equal(c.user!.error, 'ETIMEDOUT');
  return Math.round((c.now - start) / 1000);
}

void t.test("RFC 5482 3.1: the peer's is adopted within limits, unless the user has one", (t) => {
  t.equal(lifetime(300), 300);
  t.equal(lifetime(5), 100, 'not below L_LIMIT');
  t.equal(lifetime(90_000), 3600, 'not above U_LIMIT');
  t.equal(
    lifetime(5, { 'tcp_user_timeout_option.min': 1, 'net.ipv4.tcp_user_timeout': 200_000 }),
    200,
    'nor below ours',
  );
  t.equal(lifetime(300, {}, 30_000), 30, 'the user decided');
  t.equal(lifetime(300, { tcp_user_timeout_option: 0, 'net.ipv4.tcp_user_timeout': 60_000 }), 60, 'off');
  t.end();
});
