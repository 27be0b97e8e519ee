/** Whose a packet is: a function of its tuple alone, whatever carries it. */
import t from 'tap';
import { parseAddress } from '../../src/wire/address.js';
import { icmpError } from '../../src/wire/icmp.js';
import { half } from '../../src/wire/ip.js';
import type { SegmentText } from '../../src/wire/notation.js';
import { parseNotation } from '../../src/wire/notation-parse.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { Steering } from '../../src/workers/steering.js';
import { Workers } from '../../src/workers/workers.js';
import { echoRequest } from '../support/icmp.js';
import { KEY } from './several.js';

const text = parseNotation('S 1:1(0) win 100') as SegmentText;
const ENDS = [
  ['10.0.0.1', '10.0.0.2'],
  ['fd00::1', 'fd00::2'],
].map((pair) => pair.map((address) => parseAddress(address)!));

/** From the first end to the second, or back. */
function segment([far, near]: (typeof ENDS)[number], port: number, back = false): Uint8Array {
  const ends = { src: far!, dst: near!, srcPort: port, dstPort: 80 };
  return buildPacket(
    text,
    back ? { src: ends.dst, dst: ends.src, srcPort: ends.dstPort, dstPort: ends.srcPort } : ends,
  );
}

function withExtension(packet: Uint8Array): Uint8Array {
  const out = new Uint8Array(packet.length + 8);
  out.set(packet.subarray(0, 40));
  out.set([packet[6]!, 0, 1, 4, 0, 0, 0, 0], 40);
  out.set(packet.subarray(40), 48);
  out[6] = 60;
  out[5] = out.length - 40;
  return out;
}

/** The IPv4 header checksum anew. */
function summed(packet: Uint8Array): Uint8Array {
  packet[10] = packet[11] = 0;
  let sum = 0;
  for (let i = 0; i < (packet[0]! & 15) * 4; i += 2) sum += half(packet, i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  packet[10] = ~sum >> 8;
  packet[11] = ~sum;
  return packet;
}

function withOptions(packet: Uint8Array): Uint8Array {
  const out = new Uint8Array(packet.length + 4);
  out.set(packet.subarray(0, 20));
  out.set([1, 1, 1, 0], 20);
  out.set(packet.subarray(20), 24);
  out[0] = 0x46;
  out[3] = out.length;
  return summed(out);
}

t.test('a flow has one owner, whatever its packets look like', (t) => {
  const steering = new Steering(KEY, 5, 'tuple');
  const owner = (packet: Uint8Array): number => steering.ownerOf(packet, 0, packet.length);
  const shares = [0, 0, 0, 0, 0];
  for (let port = 1000; port < 2000; port++) {
    for (const ends of ENDS) {
      const v6 = ends[0]!.family === 6;
      const plain = segment(ends, port);
      const own = owner(plain);
      shares[own]!++;
      const [l, r] = [ends[1]!.words, ends[0]!.words];
      t.equal(
        own,
        steering.ownerOfTuple(l[0]!, l[1]!, l[2]!, l[3]!, r[0]!, r[1]!, r[2]!, r[3]!, 80, port),
        'as connect() asks',
      );
      const other = (v6 ? withExtension : withOptions)(plain);
      t.equal(owner(other), own, v6 ? 'extension header' : 'options');
      t.equal(steering.isPlain(plain, 0, plain.length), true);
      t.equal(steering.isPlain(other, 0, other.length), !v6, 'options are no secret to the kernel’s program');
      const source = Uint8Array.of(...(v6 ? [0xfd, ...new Array<number>(14).fill(0), 9] : [10, 0, 0, 9]));
      const error = icmpError(segment(ends, port, true), { type: v6 ? 1 : 3, code: 1, source });
      t.equal(owner(error), own, 'an error that quotes what we sent');
      t.equal(steering.isPlain(error, 0, error.length), false);
    }
  }
  for (const share of shares) t.ok(share > 300 && share < 500, `${share} of 2000: a fifth`);
  t.end();
});

t.test('by host, ports and our address do not matter', (t) => {
  const steering = new Steering(KEY, 4, 'host');
  const owners = new Set<number>();
  for (let host = 1; host < 200; host++) {
    const own = new Set<number>();
    for (const near of ['10.0.0.2', '10.0.0.3'])
      for (const port of [1, 80, 65_535])
        own.add(
          steering.ownerOf(segment([parseAddress(`10.1.0.${host}`)!, parseAddress(near)!], port), 0, 40),
        );
    t.equal(own.size, 1);
    owners.add([...own][0]!);
  }
  t.equal(owners.size, 4);
  t.end();
});

t.test('what is nobody’s is the first worker’s: echo, fragments, what cannot be read', (t) => {
  const steering = new Steering(KEY, 7, 'tuple');
  const owner = (packet: Uint8Array): number => steering.ownerOf(packet, 0, packet.length);
  const [v4, v6] = ENDS as [(typeof ENDS)[number], (typeof ENDS)[number]];
  for (let port = 1; port < 50; port++) {
    t.equal(owner(echoRequest(v4[0]!, v4[1]!, port, 1, 20)), 0);
    t.equal(owner(echoRequest(v6[0]!, v6[1]!, port, 1, 20)), 0);
    const fragment = segment(v4, port);
    fragment[6] = 0x20;
    t.equal(owner(summed(fragment)), 0, 'the first fragment as well: the others have no ports');
    t.equal(steering.isPlain(fragment, 0, fragment.length), false);
    for (const whole of [segment(v4, port), segment(v6, port)])
      for (let length = 0; length < (whole[0]! >> 4 === 4 ? 24 : 44); length++)
        t.equal(steering.ownerOf(whole, 0, length), 0, `cut at ${length}`);
  }
  t.end();
});

void t.test('workers without a program', async (t) => {
  const message = 'program must be a URL or the path of a module, got undefined';
  await t.rejects(Workers.start({ workers: 2, device: 'tw1' } as never), { name: 'TypeError', message });
});
