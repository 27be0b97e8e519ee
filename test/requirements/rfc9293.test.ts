/** Requirements of RFC 9293 that no other file has in its titles, one test each, as a peer would see it. */
import t from 'tap';
import { fold, pseudoHeader, sum } from '../../src/wire/checksum.js';
import { IpHeader } from '../../src/wire/ip.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { parseAddress } from '../../src/wire/address.js';
import { SYN, Segment } from '../../src/wire/segment.js';
import { Stack } from '../../src/stack/stack.js';
import type { ConnectionHandle } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

const both = [false, true];

/** Everything the stack sends now, as packets. */
function packets(stack: Stack, now: number): Uint8Array[] {
  const sent: Uint8Array[] = [];
  while (stack.output(now) > 0) {
    const { tx } = stack;
    for (let i = 0; i < tx.count; i++)
      sent.push(tx.bytes.slice(tx.offsetOf(i), tx.offsetOf(i) + tx.lengthOf(i)));
    tx.clear();
  }
  return sent;
}

function freshStack(over: Partial<ConstructorParameters<typeof Stack>[0]> = {}): Stack {
  return new Stack({
    seed: new Uint8Array(32).fill(9),
    addresses: ['10.0.0.2/24', 'fd00::2/64'],
    mtu: 1500,
    now: 0,
    ...over,
  });
}

function load(packet: Uint8Array): Segment {
  const segment = new Segment();
  if (segment.loadPacket(packet) !== 0) throw new Error('a bad packet was sent');
  return segment;
}

void t.test('MUST-1: a window field of 65535 is 65535 bytes, not -1', (t) => {
  const c = new Conversation();
  c.established('<mss 1460>');
  // Acknowledge as it comes, until slow start has opened the window wide enough (R3465-1: two segments for an ACK)
  c.send(900_000);
  let acked = 1;
  let most = 0;
  for (let i = 0; i < 60 && acked < 900_000; i++) {
    const ends = c.rest().map((line) => Number(/:(\d+)\(/.exec(line)![1]));
    const right = Math.max(...ends, acked);
    most = Math.max(most, right - acked);
    acked = right;
    c.inject(`. 1:1(0) ack ${acked} win 65535`);
  }
  t.equal(acked, 900_001);
  t.ok(most > 60_000 && most <= 65_535, `${most} bytes in flight at once`);
  t.end();
});

void t.test(
  'MUST-2: every kind of segment carries the checksum over its pseudo-header, whatever its length',
  (t) => {
    for (const v6 of both) {
      const [us, peer] = v6 ? ['fd00::2', 'fd00::1'] : ['10.0.0.2', '10.0.0.1'];
      const stack = freshStack();
      stack.listen({ port: 80 });
      const all: Uint8Array[] = [];
      const client = stack.connect({ address: peer!, port: 9, localAddress: us! }) as ConnectionHandle;
      all.push(...packets(stack, 0));
      const syn = load(all[0]!);
      const ends = { src: parseAddress(peer!)!, dst: parseAddress(us!)!, srcPort: 9, dstPort: syn.srcPort };
      const answer = buildPacket(
        { flags: 0x12, seq: 100, length: 0, ack: (syn.seq + 1) >>> 0, win: 60_000 },
        ends,
      );
      stack.receive(answer, 0, answer.length, 1);
      stack.send(client, new Uint8Array(777).fill(1));
      stack.shutdown(client);
      all.push(...packets(stack, 1));
      stack.abort(client);
      all.push(...packets(stack, 1));
      const kinds = new Set<number>();
      for (const packet of all) {
        const ip = new IpHeader();
        t.equal(ip.load(packet, 0, packet.length), 0);
        const { payloadOffset: at, payloadLength: length } = ip;
        const pseudo = pseudoHeader(
          ip.version,
          ip.src0,
          ip.src1,
          ip.src2,
          ip.src3,
          ip.dst0,
          ip.dst1,
          ip.dst2,
          ip.dst3,
          6,
          length,
        );
        t.equal(fold(sum(packet, at, length, pseudo)), 0, `flags ${packet[at + 13]}, ${length} bytes`);
        t.equal(at + length, packet.length, 'no pad byte on the wire');
        kinds.add(packet[at + 13]!);
      }
      t.ok(kinds.size >= 3, 'SYN, data with FIN, RST');
    }
    t.end();
  },
);

void t.test('MUST-5, MUST-6: unknown options are skipped by their length in every segment', (t) => {
  const ends = (c: Conversation) => ({ src: c.peer, dst: c.us, srcPort: c.peerPort, dstPort: c.ourPort });
  /** Puts option bytes into a packet without options. */
  const withOptions = (packet: Uint8Array, options: number[]): Uint8Array => {
    const grown = new Uint8Array(packet.length + options.length);
    grown.set(packet.subarray(0, 40));
    grown.set(options, 40);
    grown.set(packet.subarray(40), 40 + options.length);
    grown[32] = (20 + options.length) << 2;
    grown[2] = grown.length >> 8;
    grown[3] = grown.length & 255;
    grown[10] = grown[11] = 0;
    const ip = fold(sum(grown, 0, 20, 0));
    grown[10] = ip >> 8;
    grown[11] = ip & 255;
    grown[36] = grown[37] = 0;
    const header = new IpHeader();
    header.load(grown, 0, grown.length);
    const pseudo = pseudoHeader(
      4,
      header.src0,
      header.src1,
      header.src2,
      header.src3,
      header.dst0,
      header.dst1,
      header.dst2,
      header.dst3,
      6,
      grown.length - 20,
    );
    const check = fold(sum(grown, 20, grown.length - 20, pseudo));
    grown[36] = check >> 8;
    grown[37] = check & 255;
    return grown;
  };
  const unknown = [1, 1, 222, 4, 7, 7, 1, 1];
  const c = new Conversation();
  c.listen();
  const syn = buildPacket({ flags: SYN, seq: c.peerIss, length: 0, win: 65_535 }, ends(c));
  const odd = withOptions(syn, [254, 6, 1, 2, 3, 4, 2, 4, 600 >> 8, 600 & 255, 1, 1]);
  c.stack.receive(odd, 0, odd.length, c.now | 0);
  c.collect();
  t.equal(c.mismatch('S. 0:0(0) ack 1'), '');
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  c.send(1000);
  t.match(c.take(), /\(600\)/, 'the MSS behind the unknown option counts');
  c.inject('. 1:1(0) ack 601 win 65535');
  t.match(c.take(), /\(400\)/);
  const data = withOptions(
    buildPacket(
      { flags: 0x10, seq: (c.peerIss + 1) % 2 ** 32, length: 5, ack: (c.ourIss! + 1001) % 2 ** 32, win: 100 },
      ends(c),
      new Uint8Array(5),
    ),
    unknown,
  );
  c.stack.receive(data, 0, data.length, c.now | 0);
  c.collect();
  t.equal(c.read().length, 5, 'data with an unknown option');
  c.rest();
  const fin = withOptions(
    buildPacket(
      { flags: 0x11, seq: (c.peerIss + 6) % 2 ** 32, length: 0, ack: (c.ourIss! + 1001) % 2 ** 32, win: 100 },
      ends(c),
    ),
    unknown,
  );
  c.stack.receive(fin, 0, fin.length, c.now | 0);
  c.collect();
  t.equal(c.state, 'CLOSE-WAIT');
  const reset = withOptions(
    buildPacket({ flags: 0x04, seq: (c.peerIss + 7) % 2 ** 32, length: 0, win: 0 }, ends(c)),
    unknown,
  );
  c.stack.receive(reset, 0, reset.length, c.now | 0);
  c.collect();
  t.equal(c.state, 'CLOSED');
  t.end();
});

void t.test('MUST-8, MUST-9, SHLD-1: ISN = M + F(tuple, key), M counting 4 microseconds', (t) => {
  const isn = (fill: number, now: number, address = '10.0.0.1', port = 9, localPort = 4000): number => {
    const stack = freshStack({ seed: new Uint8Array(32).fill(fill), now });
    stack.connect({ address, port, localPort });
    return load(packets(stack, now)[0]!).seq;
  };
  t.equal((isn(1, 1000) - isn(1, 0)) >>> 0, 250_000, 'one second is 250,000');
  t.equal(isn(1, 7), isn(1, 7), 'the same tuple, key and time');
  const neighbours = Array.from({ length: 200 }, (_, i) => isn(1, 0, '10.0.0.1', 9, 4000 + i));
  const steps = new Set(neighbours.slice(1).map((each, i) => (each - neighbours[i]!) | 0));
  t.equal(steps.size, 199, 'no constant distance between neighbouring tuples');
  for (const other of [
    isn(2, 0),
    isn(1, 0, '10.0.0.3'),
    isn(1, 0, '10.0.0.1', 10),
    isn(1, 0, '10.0.0.1', 9, 4001),
  ])
    t.not(other, isn(1, 0), 'key, address and ports each matter');
  t.end();
});

void t.test(
  'MUST-14, SHLD-5, MUST-16: MSS goes out in every SYN, and the one received bounds every segment',
  (t) => {
    for (const v6 of both) {
      const c = new Conversation({ v6 });
      c.connect();
      t.match(c.take(), new RegExp(`<mss ${v6 ? 1440 : 1460},`));
      c.inject('S. 0:0(0) ack 1 win 60000 <mss 700>');
      c.rest();
      c.send(2000);
      for (const line of c.rest()) t.ok(Number(/\((\d+)\)/.exec(line)![1]) <= 700, line);
      const passive = new Conversation({ v6 });
      passive.listen();
      passive.inject('S 0:0(0) win 100');
      t.match(passive.take(), new RegExp(`mss ${v6 ? 1440 : 1460}`));
    }
    t.end();
  },
);

void t.test(
  'MUST-18, MUST-19, R9293-55: Karn, and retransmissions of the first segment at RTO, 2 RTO, 4 RTO',
  (t) => {
    const c = new Conversation();
    c.established('<mss 1460>');
    c.send(100);
    c.rest();
    c.advance(100);
    c.inject('. 1:1(0) ack 101 win 60000');
    const { srtt, rto } = c.stack.tcpInfo(c.user!);
    t.ok(srtt > 0 && rto >= 200, `srtt ${srtt}, rto ${rto}`);
    c.send(500);
    t.match(c.take(), /101:601/);
    const times: number[] = [];
    const start = c.now;
    for (let ms = 0; ms < 4000; ms++) {
      c.advance(1);
      for (const line of c.rest()) {
        t.match(line, /101:601/, 'the segment at the front');
        times.push(c.now - start);
      }
    }
    t.ok(times.length >= 3, `${times.length} retransmissions`);
    t.ok(
      Math.abs(times[1]! - times[0]! - 2 * times[0]!) <= 2,
      `${times.join(' ')}: the second after twice the first`,
    );
    t.ok(Math.abs(times[2]! - times[1]! - 4 * times[0]!) <= 4, 'the third after four times');
    const before = c.stack.tcpInfo(c.user!).srtt;
    c.inject('. 1:1(0) ack 601 win 60000');
    t.equal(c.stack.tcpInfo(c.user!).srtt, before, 'an ACK of what was resent is no sample');
    t.end();
  },
);

void t.test('MUST-21, R9293-54: the user timeout of one connection', (t) => {
  const c = new Conversation();
  c.established();
  c.stack.setOption(c.user!, 'userTimeout', 20_000);
  c.send(10);
  c.advance(19_000);
  t.equal(c.state, 'ESTABLISHED');
  c.advance(40_000);
  t.equal(c.state, 'CLOSED');
  t.equal(c.user!.error, 'ETIMEDOUT');
  const idle = new Conversation();
  idle.established();
  idle.stack.setOption(idle.user!, 'userTimeout', 20_000);
  idle.advance(3_600_000);
  t.equal(idle.state, 'ESTABLISHED', 'a connection that waits for nothing is not touched');
  t.end();
});

void t.test('MUST-22, R1122-3: SYNs repeat with growing pauses, then the open fails', (t) => {
  const c = new Conversation();
  c.connect();
  c.rest();
  const times: number[] = [];
  const start = c.now;
  for (let s = 0; s < 400 && c.state !== 'CLOSED'; s++) {
    c.advance(1000);
    if (c.rest().length > 0) times.push(Math.round((c.now - start) / 1000));
  }
  t.same(times, [1, 3, 7, 15, 31, 63, 127], 'seconds');
  t.equal(c.user!.error, 'ETIMEDOUT');
  t.end();
});

void t.test(
  'MUST-25, MUST-26, MUST-27, MUST-28: keep-alive is off, configurable, two hours by default, and only when idle',
  (t) => {
    const silent = new Conversation();
    silent.established();
    silent.advance(24 * 3_600_000);
    t.same(silent.rest(), [], 'off: nothing in a day');
    t.equal(silent.stack.knob('net.ipv4.tcp_keepalive_time'), 7200);
    for (const idle of [30_000, 300_000]) {
      const c = new Conversation();
      c.established();
      c.stack.setOption(c.user!, 'keepAlive', idle);
      c.advance(idle - 1);
      t.same(c.rest(), []);
      c.advance(1);
      t.equal(c.mismatch('. 0:0(0) ack 1'), '', `a probe after ${idle} ms`);
    }
    const c = new Conversation();
    c.established();
    c.stack.setOption(c.user!, 'keepAlive', 60_000);
    c.advance(59_000);
    c.inject('. 1:1(0) ack 1 win 65535');
    c.rest();
    c.advance(59_000);
    t.same(c.rest(), [], 'an ACK starts the time again');
    c.advance(1000);
    t.equal(c.mismatch('. 0:0(0) ack 1'), '');
    const busy = new Conversation();
    busy.established();
    busy.stack.setOption(busy.user!, 'keepAlive', 1000);
    busy.send(10);
    busy.advance(5000);
    for (const line of busy.rest())
      t.match(line, /1:11\(10\)/, 'retransmissions, no probes, while data is in flight');
    t.end();
  },
);

void t.test(
  'MUST-36, MUST-38, MUST-39: a closed window is probed, a small one is not filled, a small gap not offered',
  (t) => {
    const c = new Conversation();
    c.established('<mss 1000>');
    c.inject('. 1:1(0) ack 1 win 0');
    c.send(100);
    t.same(c.rest(), []);
    c.advance(2000);
    t.ok(c.rest().length > 0, 'probed');
    c.inject('. 1:1(0) ack 2 win 100');
    t.ok(
      c.rest().some((line) => /1:101\(100\)|2:101\(99\)/.test(line)),
      'the rest goes as soon as the window is known to be open',
    );
    const s = new Conversation();
    s.established('<mss 1000>');
    s.send(30_000);
    s.rest();
    s.inject('. 1:1(0) ack 10001 win 100');
    t.same(
      s.rest().filter((line) => /\(100\)/.test(line)),
      [],
      'no 100 bytes for a window of 100',
    );
    const r = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 8000 } });
    r.established('<mss 1000>');
    for (let at = 1; at < 8000; at += 1000) r.inject(`. ${at}:${at + 1000}(1000) ack 1 win 65535`);
    r.advance(100);
    r.rest();
    r.stack.read(r.user!, 500);
    r.collect();
    t.same(r.rest(), [], 'nothing is said about 500 bytes');
    r.stack.read(r.user!, 600);
    r.collect();
    t.equal(r.rest().length, 1, 'a full segment is worth an update');
    t.end();
  },
);

void t.test(
  'MUST-41, MUST-42: LISTEN leaves connections alone and takes others beside a half-open one',
  (t) => {
    const c = new Conversation();
    c.established();
    const again = c.stack.listen({ port: c.ourPort, reuseAddress: true });
    t.equal(again, 'EADDRINUSE');
    t.equal(c.state, 'ESTABLISHED');
    c.inject('. 1:3(2) ack 1 win 100');
    t.equal(c.read().length, 2, 'still works');
    const half = new Conversation();
    half.listen();
    half.inject('S 0:0(0) win 100');
    t.match(half.take(), /^S\./);
    half.peerPort++;
    half.ourIss = null;
    half.inject('S 0:0(0) win 100');
    t.match(half.take(), /^S\./, 'the second client has its own SYN,ACK');
    t.end();
  },
);
