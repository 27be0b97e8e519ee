/** Requirements of RFC 9293 that no other file has in its titles, one test each, as a peer would see it: addresses, sending, and the state machine. */
import t from 'tap';
import { fold, sum } from '../../src/wire/checksum.js';
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

void t.test('MUST-43, MUST-44, MUST-45: local addresses: given, chosen by the destination, and kept', (t) => {
  const stack = freshStack({ addresses: ['10.0.0.2/24', '10.9.0.2/24', 'fd00::2/64'] });
  const source = (options: { address: string; localAddress?: string }): string => {
    stack.connect({ port: 9, ...options });
    const packet = packets(stack, 0)[0]!;
    return [...packet.subarray(12, 16)].join('.');
  };
  t.equal(source({ address: '10.0.0.1' }), '10.0.0.2');
  t.equal(source({ address: '10.9.0.1' }), '10.9.0.2', 'the subnet decides');
  t.equal(source({ address: '10.0.0.1', localAddress: '10.9.0.2' }), '10.9.0.2', 'unless one is given');
  t.type(stack.listen({ port: 80, address: '10.9.0.2' }), 'object');
  const synTo = (dst: string): Segment => {
    const ends = { src: parseAddress('10.9.0.1')!, dst: parseAddress(dst)!, srcPort: 5000, dstPort: 80 };
    const packet = buildPacket({ flags: SYN, seq: 1, length: 0, win: 100 }, ends);
    stack.receive(packet, 0, packet.length, 0);
    return load(packets(stack, 0)[0]!);
  };
  const taken = synTo('10.9.0.2');
  t.equal(taken.flags, 0x12);
  t.equal(taken.src3 & 0xff0000, 0x090000, 'answered from the address it came to');
  t.equal(synTo('10.0.0.2').flags, 0x14, 'nobody listens on the other address');
  t.end();
});

void t.test('MUST-46: OPEN to an address that can be nobody is refused, and nothing is sent', (t) => {
  const stack = freshStack();
  for (const address of ['255.255.255.255', '224.0.0.1', '0.0.0.0', 'ff02::1', '::'])
    t.type(stack.connect({ address, port: 9 }), 'string', address);
  t.same(packets(stack, 0), []);
  t.end();
});

void t.test('MUST-48, SHLD-21, SHLD-22, SHLD-23, MUST-49: DSCP and TTL as the user says', (t) => {
  for (const v6 of both) {
    const stack = freshStack();
    t.equal(stack.setKnob('net.ipv4.ip_default_ttl', 33), null);
    const [us, peer] = v6 ? ['fd00::2', 'fd00::1'] : ['10.0.0.2', '10.0.0.1'];
    const client = stack.connect({ address: peer!, port: 9, localAddress: us! }) as ConnectionHandle;
    stack.setOption(client, 'tos', 0xb8);
    const seen = (list: Uint8Array[]): number[][] =>
      list.map((packet) => [load(packet).tos, load(packet).ttl]);
    const [syn] = packets(stack, 0);
    t.same(seen([syn!]), [[0xb8, 33]]);
    const { seq, srcPort } = load(syn!);
    const ends = { src: parseAddress(peer!)!, dst: parseAddress(us!)!, srcPort: 9, dstPort: srcPort };
    const answer = buildPacket({ flags: 0x12, seq: 100, length: 0, ack: (seq + 1) >>> 0, win: 60_000 }, ends);
    stack.receive(answer, 0, answer.length, 1);
    stack.send(client, new Uint8Array(10));
    t.ok(seen(packets(stack, 1)).every(([tos, ttl]) => tos === 0xb8 && ttl === 33));
    stack.setOption(client, 'tos', 0x28);
    stack.shutdown(client);
    t.same(seen(packets(stack, 1)), [[0x28, 33]], 'changed in the middle');
  }
  t.end();
});

void t.test('MUST-57, MUST-63: a SYN to or from an address that can be nobody draws nothing', (t) => {
  const stack = freshStack();
  stack.listen({ port: 80 });
  for (const [src, dst] of [
    ['10.0.0.1', '255.255.255.255'],
    ['10.0.0.1', '224.0.0.5'],
    ['255.255.255.255', '10.0.0.2'],
    ['224.0.0.1', '10.0.0.2'],
    ['0.0.0.0', '10.0.0.2'],
    ['ff02::1', 'fd00::2'],
    ['::', 'fd00::2'],
  ]) {
    const ends = { src: parseAddress(src!)!, dst: parseAddress(dst!)!, srcPort: 5000, dstPort: 80 };
    const packet = buildPacket({ flags: SYN, seq: 1, length: 0, win: 100 }, ends);
    stack.receive(packet, 0, packet.length, 0);
    t.same(packets(stack, 0), [], `${src} > ${dst}`);
  }
  t.equal(stack.connections, 0);
  t.end();
});

void t.test(
  'MUST-58, MUST-59, SHLD-31, R9293-32: batches and filled holes get few ACKs, and the last one says it all',
  (t) => {
    const c = new Conversation();
    c.established();
    c.inject('. 101:201(100) ack 1 win 65535');
    c.inject('. 201:301(100) ack 1 win 65535');
    c.inject('. 301:401(100) ack 1 win 65535');
    c.rest();
    c.inject('. 1:101(100) ack 1 win 65535');
    t.same(
      c.rest().map((line) => /ack (\d+)/.exec(line)![1]),
      ['401'],
      'one ACK for the hole and all behind it',
    );
    t.equal(c.read().length, 400);
    t.end();
  },
);

void t.test(
  'MUST-60, MUST-61, SHLD-27, SHLD-28: data leaves at once, in full segments, PSH on the last',
  (t) => {
    const c = new Conversation();
    c.established('<mss 1000>');
    c.send(10);
    t.match(c.take(), /^P\. 1:11\(10\)/, 'without waiting');
    c.inject('. 1:1(0) ack 11 win 65535');
    // Without Nagle's rule, which holds a small last segment back
    c.stack.setOption(c.user!, 'noDelay', 1);
    c.send(2500);
    t.same(
      c.rest().map((line) => /^(\S+) .*\((\d+)\)/.exec(line)!.slice(1, 3).join(' ')),
      ['. 1000', '. 1000', 'P. 500'],
    );
    const z = new Conversation();
    z.established('<mss 1000>');
    z.inject('. 1:1(0) ack 1 win 0');
    for (let i = 0; i < 5; i++) z.send(100);
    z.rest();
    z.inject('. 1:1(0) ack 1 win 5000');
    t.same(
      z.rest().map((line) => /^(\S+) .*\((\d+)\)/.exec(line)!.slice(1, 3).join(' ')),
      ['P. 500'],
      'five small writes, one segment',
    );
    t.end();
  },
);

void t.test('SHLD-10, SHLD-11: a silent peer is not given up before 100 s', (t) => {
  const c = new Conversation();
  c.established();
  c.send(10);
  c.advance(100_000);
  t.equal(c.state, 'ESTABLISHED');
  t.ok(c.rest().length > 3, 'and was tried more than three times');
  t.end();
});

void t.test('SHLD-17: a window that shrank is no reason to give up', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.send(3000);
  c.rest();
  c.inject('. 1:1(0) ack 1001 win 0');
  for (let minutes = 0; minutes < 60; minutes++) {
    c.advance(60_000);
    c.rest();
    c.inject('. 1:1(0) ack 1001 win 0');
  }
  t.equal(c.state, 'ESTABLISHED', 'after an hour of answered probes');
  t.end();
});

void t.test('REC-1: windows up to 2^30 in 32 bits', (t) => {
  const c = new Conversation();
  c.established('<mss 1000,nop,wscale 14>');
  c.inject('. 1:1(0) ack 1 win 65535');
  t.equal(c.stack.tcpInfo(c.user!).sndWnd, 1_073_725_440);
  t.end();
});

void t.test('R9293-3, R9293-6: arithmetic goes over 2^32, SYN and FIN count one each', (t) => {
  for (const peerIss of [0xfffffff0, 0xffffffff, 0x7fffffff]) {
    const c = new Conversation({ peerIss });
    c.established();
    c.inject('F. 1:11(10) ack 1 win 65535');
    t.equal(c.read().length, 10);
    t.ok(
      [c.take(), c.take()].some((line) => line.includes('ack 12')),
      'ten bytes and FIN',
    );
    c.close();
    t.match(c.take(), /^F\. 1:1\(0\) ack 12/);
    c.inject('. 12:12(0) ack 2 win 65535');
    t.equal(c.state, 'CLOSED', 'our FIN is one as well');
  }
  t.end();
});

void t.test('R9293-7: data on a SYN is the user’s only after the handshake', (t) => {
  const c = new Conversation();
  c.listen();
  c.inject('S 0:10(10) win 65535 <mss 1000>');
  const answer = c.take();
  t.equal(c.stack.accept(c.listener!), null);
  const acked = Number(/ack (\d+)/.exec(answer)![1]);
  c.inject(`. ${acked}:${acked}(0) ack 1 win 65535`);
  c.accept();
  const early = c.read().length;
  t.equal(early, acked === 11 ? 10 : 0);
  if (acked === 1) {
    c.inject('. 1:11(10) ack 1 win 65535');
    t.equal(c.read().length, 10, 'repeated, delivered once');
  }
  t.end();
});

void t.test(
  'R9293-17: a refusal as closed ports send it ends the open at once, any other RST does not',
  (t) => {
    const c = new Conversation();
    c.connect();
    c.rest();
    c.inject('R. 0:0(0) ack 5 win 0');
    t.equal(c.state, 'SYN-SENT', 'a wrong acknowledgment');
    c.inject('R. 0:0(0) ack 1 win 0');
    t.equal(c.state, 'CLOSED');
    t.equal(c.user!.error, 'ECONNREFUSED');
    t.end();
  },
);

void t.test(
  'R9293-27, R9293-28: an ACK in the middle of a segment frees what it covers; an old one still brings its text',
  (t) => {
    const c = new Conversation();
    c.established('<mss 1000>');
    c.send(3000);
    c.rest();
    c.inject('. 1:1(0) ack 1501 win 65535');
    c.advance(5000);
    const resent = c.rest()[0]!;
    const from = Number(/ (\d+):/.exec(resent)![1]);
    t.ok(from === 1501 || from === 1001, `resent from ${from}`);
    c.inject('. 1:6(5) ack 1401 win 65535');
    t.equal(c.read().length, 5, 'in-order text behind an old acknowledgment');
    t.equal(c.user!.queued, 1500);
    t.end();
  },
);

void t.test(
  'R9293-57, R9293-68: every segment of ours has a current ACK; the peer’s DSCP is nobody’s business',
  (t) => {
    const c = new Conversation();
    c.established();
    for (const tos of [0, 0xb8, 0x20]) {
      const at = c.read().length;
      t.equal(at, 0);
      const packet = buildPacket(
        {
          flags: 0x10,
          seq: (c.peerIss + 1 + (tos === 0 ? 0 : tos === 0xb8 ? 5 : 10)) % 2 ** 32,
          length: 5,
          ack: (c.ourIss! + 1) % 2 ** 32,
          win: 100,
        },
        { src: c.peer, dst: c.us, srcPort: c.peerPort, dstPort: c.ourPort },
        new Uint8Array(5),
      );
      packet[1] = tos;
      packet[10] = packet[11] = 0;
      const check = fold(sum(packet, 0, 20, 0));
      packet[10] = check >> 8;
      packet[11] = check & 255;
      c.stack.receive(packet, 0, packet.length, c.now | 0);
      c.collect();
      t.equal(c.read().length, 5, `DS ${tos}`);
    }
    c.rest();
    c.send(50);
    c.close();
    c.advance(3000);
    for (const line of c.rest()) t.match(line, /^[FP]*\. .*ack 16/, line);
    t.end();
  },
);

void t.test('R9293-71: an active OPEN sends a bare SYN; the same tuple again is refused', (t) => {
  const c = new Conversation();
  c.connect();
  t.match(c.take(), /^S 0:0\(0\) win/, 'no ACK');
  t.type(c.stack.connect({ address: c.peer.toString(), port: c.peerPort, localPort: 4000 }), 'string');
  c.collect();
  t.same(c.rest(), []);
  t.end();
});
