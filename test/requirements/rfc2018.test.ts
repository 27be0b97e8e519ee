/** RFC 2018: what a receiver reports and what a sender makes of it. */
import t from 'tap';
import { fold, pseudoHeader, sum } from '../../src/wire/checksum.js';
import { IpHeader } from '../../src/wire/ip.js';
import type { OptionText } from '../../src/wire/notation.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { Conversation, type ConversationOptions } from '../support/conversation.js';

/** Established with segments of 500 or 1000 bytes and SACK. */
function sacked(options: ConversationOptions = {}, syn = '<mss 1000,sackOK>'): Conversation {
  const c = new Conversation(options);
  c.established(syn);
  return c;
}

type Blocks = readonly (readonly [number, number])[];

const blocksOf = (options: readonly OptionText[] = []): Blocks =>
  options.flatMap((option) => (option.kind === 'sack' ? option.blocks : []));

/** Injects `length` bytes at `seq`; the blocks of the one ACK that answers. */
function report(c: Conversation, seq: number, length = 500, options = ''): Blocks {
  c.inject(`. ${seq}:${seq + length}(${length}) ack 1 win 65535${options}`);
  const said = c.segments();
  if (said.length !== 1) throw new Error(`${said.length} answers`);
  return blocksOf(said[0]!.options);
}

void t.test(
  'R2018-1, R2018-2: SACK is offered on SYNs alone, and used only with a peer that offered it',
  (t) => {
    const client = new Conversation();
    client.connect();
    t.match(client.take(), /sackOK/);
    client.inject('S. 0:0(0) ack 1 win 65535 <mss 1000,sackOK>');
    client.send(100);
    client.inject('. 501:1001(500) ack 101 win 65535');
    client.shutdown();
    for (const text of client.rest()) t.notMatch(text, /sackOK/, text);
    for (const offered of [true, false]) {
      const c = new Conversation();
      c.listen();
      c.inject(`S 0:0(0) win 65535 <mss 1000${offered ? ',sackOK' : ''}>`);
      t.equal(/sackOK/.test(c.take()), offered, 'a SYN,ACK answers what the SYN offered');
      c.inject('. 1:1(0) ack 1 win 65535');
      c.accept();
      t.equal(report(c, 501).length, offered ? 1 : 0);
    }
    t.end();
  },
);

void t.test('R2018-3, R2018-7: as many blocks as fit: four, three beside timestamps', (t) => {
  for (const [syn, options, most] of [
    ['<mss 1000,sackOK>', '', 4],
    ['<mss 1000,sackOK,TS val 100 ecr 0>', ' <TS val 100 ecr 0>', 3],
  ] as const) {
    const c = sacked({}, syn);
    for (let i = 1; i <= 5; i++) {
      const blocks = report(c, 1 + 1000 * i, 500, options);
      t.equal(blocks.length, Math.min(i, most), `${i} islands`);
      t.same(blocks[0], [1 + 1000 * i, 501 + 1000 * i]);
    }
  }
  t.end();
});

void t.test('R2018-3: the option on the wire: kind 5, length 8n + 2, edges in network order', (t) => {
  const c = sacked({ peerIss: 0x01020304 });
  const packet = buildPacket(
    { flags: 0x10, seq: 0x01020304 + 1001, length: 500, ack: (c.ourIss! + 1) >>> 0, win: 100 },
    { src: c.peer, dst: c.us, srcPort: c.peerPort, dstPort: c.ourPort },
    new Uint8Array(500),
  );
  c.stack.receive(packet, 0, packet.length, c.now | 0);
  c.stack.output(c.now | 0);
  const { tx } = c.stack;
  const wire = tx.bytes.slice(tx.offsetOf(0), tx.offsetOf(0) + tx.lengthOf(0));
  t.same([...wire.slice(40)], [1, 1, 5, 10, 1, 2, 6, 0xed, 1, 2, 8, 0xe1]);
  t.equal(wire.length, 52);
  t.end();
});

void t.test('R2018-4: while something is missing every ACK says what is there, data or not', (t) => {
  const c = sacked();
  report(c, 1001);
  c.send(100);
  t.same(blocksOf(c.segments()[0]!.options), [[1001, 1501]], 'on data');
  c.inject('. 1:501(500) ack 101 win 65535');
  c.advance(100);
  for (const { ack, options } of c.segments()) t.same([ack, blocksOf(options)], [501, [[1001, 1501]]]);
  c.inject('. 501:1001(500) ack 101 win 65535');
  c.send(100);
  c.advance(100);
  const rest = c.segments();
  t.ok(rest.length > 0);
  for (const { ack, options } of rest) t.same([ack, blocksOf(options)], [1501, []], 'nothing is missing');
  t.end();
});

void t.test('R2018-5: each new segment behind a hole is acknowledged', (t) => {
  const c = sacked();
  // The first example of RFC 2018 7: 5000 is lost, seven more of 500 bytes arrive
  for (let i = 1; i <= 7; i++) t.same(report(c, 1 + 500 * i), [[501, 501 + 500 * i]]);
  t.end();
});

void t.test('R2018-6: the segment that caused the ACK is in the first block', (t) => {
  const c = sacked();
  report(c, 1001);
  report(c, 3001);
  t.same(report(c, 1501), [
    [1001, 2001],
    [3001, 3501],
  ]);
  t.same(report(c, 2501)[0], [2501, 3501], 'also when it joins from the left');
  t.same(report(c, 2001), [[1001, 3501]], 'and when it joins two');
  t.end();
});

void t.test('R2018-8: the other blocks are those that came first before, the latest first', (t) => {
  const c = sacked();
  report(c, 1001);
  report(c, 2001);
  t.same(report(c, 3001), [
    [3001, 3501],
    [2001, 2501],
    [1001, 1501],
  ]);
  const d = sacked();
  for (const at of [5001, 1001, 3001, 7001]) report(d, at);
  t.same(
    report(d, 9001).map(([left]) => left),
    [9001, 7001, 3001, 1001],
    'by time, not by number; the oldest has no room',
  );
  report(d, 5501);
  t.same(
    report(d, 11_001).map(([left]) => left),
    [11_001, 5001, 9001, 7001],
    'one that grew is new again',
  );
  d.inject('. 1:1001(1000) ack 1 win 65535');
  t.same(
    blocksOf(d.segments()[0]!.options).map(([left]) => left),
    [11_001, 5001, 9001, 7001],
    'an ACK that moved on: the order stays',
  );
  t.end();
});

void t.test('R2018-9: blocks are apart from each other and above the ACK', (t) => {
  const c = sacked();
  const arrivals = [7, 3, 12, 4, 9, 5, 11, 6, 10, 8];
  for (const i of arrivals) {
    const blocks = report(c, 1 + 500 * i);
    const sorted = [...blocks].sort(([a], [b]) => a - b);
    for (const [n, [left, right]] of sorted.entries()) {
      t.ok(left > 1 && left < right);
      if (n > 0) t.ok(left > sorted[n - 1]![1], 'neither overlap nor touch');
    }
  }
  t.same(report(c, 1 + 500 * 2), [[1001, 6501]]);
  t.end();
});

void t.test('R2018-10, R2018-14: what was reported is not resent; a single reordering draws nothing', (t) => {
  const c = sacked();
  c.send(5000);
  c.rest();
  const { sndCwnd } = c.info;
  c.inject('. 1:1(0) ack 1 win 65535 <sack 1001:2001>');
  t.same(c.rest(), [], 'R2018-14: one segment overtook another');
  t.equal(c.info.sndCwnd, sndCwnd);
  c.inject('. 1:1(0) ack 1 win 65535 <sack 1001:5001>');
  const resent = c.segments().map(({ seq, length }) => [seq, length]);
  for (let i = 0; i < 10; i++) {
    c.advance(50);
    resent.push(...c.segments().map(({ seq, length }) => [seq, length]));
  }
  t.ok(resent.length > 0);
  for (const at of resent) t.same(at, [1, 1000], 'R2018-10: the hole alone');
  t.end();
});

void t.test('R2018-13: after a timeout old reports say nothing about what to resend', (t) => {
  const c = sacked();
  c.send(5000);
  c.rest();
  c.inject('. 1:1(0) ack 1 win 65535 <sack 3001:5001>');
  c.advance(120_000);
  t.equal(c.info.caState, 'loss');
  t.ok(c.starts().every((at) => at === 0));
  // The peer has dropped all it reported, and acknowledges one by one
  for (let una = 1001; una < 5001; una += 1000) {
    c.inject(`. 1:1(0) ack ${una} win 65535`);
    for (let i = 0; i < 8 && c.stack.nextDeadline(c.now | 0) >= 0; i++) {
      if (c.starts(0).includes(una)) break;
      t.not(i, 7, `${una} is never resent`);
      c.advance(120_000);
    }
  }
  c.inject('. 1:1(0) ack 5001 win 65535');
  t.equal(c.info.unacked, 0);
  t.end();
});

void t.test('R2018-15, R6675-2: nothing is given up before the cumulative acknowledgment', (t) => {
  const c = sacked();
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7) & 255);
  c.send(bytes);
  c.rest();
  c.inject('. 1:1(0) ack 1 win 65535 <sack 1001:5001>');
  t.equal(c.user!.queued, 5000);
  c.collect();
  c.rest();
  const seen = new Map<number, string>();
  for (let una = 1; una < 5001;) {
    c.now += 120_000;
    c.stack.advance(c.now | 0);
    while (c.stack.output(c.now | 0) > 0) {
      const { tx } = c.stack;
      for (let i = 0; i < tx.count; i++) {
        const packet = tx.bytes.slice(tx.offsetOf(i), tx.offsetOf(i) + tx.lengthOf(i));
        const seq = (new DataView(packet.buffer).getUint32(24) - c.ourIss!) >>> 0;
        seen.set(seq, Buffer.from(packet.subarray(packet.length - 1000)).toString('hex'));
      }
      tx.clear();
    }
    while (seen.has(una)) una += 1000;
    c.inject(`. 1:1(0) ack ${una} win 65535`);
    c.collect();
    for (const { seq, length } of c.segments())
      if (length === 1000) seen.set(seq, Buffer.from(bytes.subarray(seq - 1, seq + 999)).toString('hex'));
  }
  for (const [seq, hex] of seen)
    t.equal(hex, Buffer.from(bytes.subarray(seq - 1, seq + 999)).toString('hex'), `${seq}`);
  t.equal(c.user!.queued, 0);
  t.end();
});

void t.test(
  'R2018-16: under pressure what is refused is not reported, and what was reported is kept',
  (t) => {
    const c = sacked({ knobs: { 'net.ipv4.tcp_mem': 4096 } });
    t.same(report(c, 1001, 1000), [[1001, 2001]]);
    t.same(report(c, 3001, 1000), [
      [3001, 4001],
      [1001, 2001],
    ]);
    t.same(report(c, 5001, 1000).at(0), [5001, 6001]);
    c.inject('. 7001:9001(2000) ack 1 win 65535');
    t.equal(c.reason, 'receive-full');
    for (const { options } of c.segments())
      for (const [left] of blocksOf(options)) t.ok(left < 7001, 'the refused one is not reported');
    for (const at of [1, 2001, 4001]) {
      c.inject(`. ${at}:${at + 1000}(1000) ack 1 win 65535`);
      c.read();
    }
    c.advance(100);
    t.equal(c.segments().at(-1)!.ack, 6001, 'all that was reported was there');
    t.end();
  },
);

/** A pure ACK of `una` with these option octets, padded by the caller to whole words. */
function withOptions(c: Conversation, una: number, octets: readonly number[]): Uint8Array {
  const plain = buildPacket(
    { flags: 0x10, seq: (c.peerIss + 1) % 2 ** 32, length: 0, ack: (c.ourIss! + una) % 2 ** 32, win: 65_535 },
    { src: c.peer, dst: c.us, srcPort: c.peerPort, dstPort: c.ourPort },
  );
  const packet = new Uint8Array(plain.length + octets.length);
  packet.set(plain);
  packet.set(octets, 40);
  const view = new DataView(packet.buffer);
  view.setUint8(32, (20 + octets.length) << 2);
  view.setUint16(2, packet.length);
  view.setUint16(10, 0);
  view.setUint16(10, fold(sum(packet, 0, 20, 0)));
  const ip = new IpHeader();
  if (ip.load(packet, 0, packet.length) !== 0) throw new Error('bad IP header');
  const ends = [ip.src0, ip.src1, ip.src2, ip.src3, ip.dst0, ip.dst1, ip.dst2, ip.dst3] as const;
  view.setUint16(36, 0);
  view.setUint16(
    36,
    fold(sum(packet, 20, packet.length - 20, pseudoHeader(4, ...ends, 6, packet.length - 20))),
  );
  return packet;
}

void t.test('R2018-17: SACK options that cannot be mark nothing and harm nothing', (t) => {
  const word = (c: Conversation, at: number): number[] => {
    const value = (c.ourIss! + at) >>> 0;
    return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  };
  const pair = (c: Conversation, left: number, right: number): number[] => [
    ...word(c, left),
    ...word(c, right),
  ];
  for (const [name, octets] of [
    ['length 9', (c) => [1, 1, 5, 9, ...word(c, 1001), ...word(c, 2001).slice(0, 3), 1]],
    ['length 11', (c) => [1, 5, 11, ...pair(c, 1001, 5001), 0]],
    ['length 2', () => [1, 1, 5, 2]],
    ['length 0', () => [1, 1, 5, 0]],
    ['beyond the header', (c) => [1, 1, 5, 34, ...pair(c, 1001, 5001)]],
    ['an empty block', (c) => [1, 1, 5, 10, ...pair(c, 2001, 2001)]],
    ['turned round', (c) => [1, 1, 5, 10, ...pair(c, 5001, 1001)]],
    ['beyond SND.NXT', (c) => [1, 1, 5, 10, ...pair(c, 4001, 6001)]],
    ['far beyond SND.NXT', (c) => [1, 1, 5, 10, ...pair(c, 1_000_001, 1_001_001)]],
    ['half the numbers away', (c) => [1, 1, 5, 10, ...pair(c, 1001, 2 ** 31 + 1001)]],
    ['before our ISN', (c) => [1, 1, 5, 10, ...pair(c, -2000, -1000)]],
  ] as readonly (readonly [string, (c: Conversation) => number[]])[]) {
    const c = sacked();
    c.send(5000);
    c.rest();
    for (let i = 0; i < 4; i++) {
      const packet = withOptions(c, 1, octets(c));
      c.stack.receive(packet, 0, packet.length, c.now | 0);
      c.collect();
    }
    t.same(c.rest(), [], `${name}: nothing resent`);
    t.equal(c.info.caState, 'open', `${name}: nothing marked`);
    c.inject('. 1:1(0) ack 5001 win 65535');
    t.equal(c.info.unacked, 0, `${name}: and the connection works on`);
  }
  const c = sacked();
  c.send(5000);
  const packet = withOptions(c, 1, [1, 1, 5, 10, ...pair(c, 1001, 5001)]);
  c.stack.receive(packet, 0, packet.length, c.now | 0);
  t.equal(c.info.caState, 'recovery', 'one as it should be does mark');
  t.end();
});
