/** Echo requests by hand, and what a stack answers, checked with an Internet checksum of its own. */
import { reasonText } from '../../src/reasons.js';
import type { Stack } from '../../src/stack/stack.js';
import { parseAddress, type Address } from '../../src/wire/address.js';
import { icmpError } from '../../src/wire/icmp.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import type { Conversation } from './conversation.js';

/** RFC 1071 as written: 16-bit words, carries folded at the end. 0 for data that contains its checksum. */
function checksum(bytes: readonly number[]): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (total > 65_535) total = (total % 65_536) + Math.floor(total / 65_536);
  return 65_535 - total;
}

function bytesOf(address: Address): number[] {
  const all = [...address.words].flatMap((w) => [24, 16, 8, 0].map((shift) => (w >>> shift) & 255));
  return address.family === 4 ? all.slice(12) : all;
}

const two = (n: number): number[] => [n >> 8, n & 255];

function pseudo(v6: boolean, source: number[], target: number[], length: number): number[] {
  return v6 ? [...source, ...target, 0, 0, ...two(length), 0, 0, 0, 58] : [];
}

/** An echo request with `size` octets of data. */
export function echoRequest(
  from: Address,
  to: Address,
  id: number,
  number: number,
  size: number,
): Uint8Array {
  const v6 = from.family === 6;
  const [source, target] = [bytesOf(from), bytesOf(to)];
  const data = Array.from({ length: size }, (_, i) => i & 255);
  const message = [v6 ? 128 : 8, 0, 0, 0, ...two(id), ...two(number), ...data];
  const check = checksum([...pseudo(v6, source, target, message.length), ...message]);
  message.splice(2, 2, ...two(check));
  if (v6)
    return Uint8Array.from([0x60, 0, 0, 0, ...two(message.length), 58, 64, ...source, ...target, ...message]);
  const header = [0x45, 0, ...two(20 + message.length), 0, 0, 0, 0, 64, 1, 0, 0, ...source, ...target];
  header.splice(10, 2, ...two(checksum(header)));
  return Uint8Array.from([...header, ...message]);
}

export interface IcmpSeen {
  readonly type: number;
  readonly source: string;
  readonly target: string;
  readonly checksumOk: boolean;
  /** Everything behind type, code and checksum. */
  readonly body: Uint8Array;
}

/** The last packet on the ring, when it is ICMP; the ring is emptied. */
export function lastIcmp(stack: Stack): IcmpSeen | null {
  const { tx } = stack;
  if (tx.count === 0) return null;
  const start = tx.offsetOf(tx.count - 1);
  const packet = [...tx.bytes.slice(start, start + tx.lengthOf(tx.count - 1))];
  tx.clear();
  const v6 = packet[0]! >> 4 === 6;
  if (packet[v6 ? 6 : 9] !== (v6 ? 58 : 1)) return null;
  const source = v6 ? packet.slice(8, 24) : packet.slice(12, 16);
  const target = v6 ? packet.slice(24, 40) : packet.slice(16, 20);
  const message = packet.slice(v6 ? 40 : 20);
  const good = checksum([...pseudo(v6, source, target, message.length), ...message]) === 0;
  return {
    type: message[0]!,
    source: spell(source),
    target: spell(target),
    checksumOk: good && (v6 || checksum(packet.slice(0, 20)) === 0),
    body: Uint8Array.from(message.slice(4)),
  };
}

function spell(bytes: number[]): string {
  const text =
    bytes.length === 4
      ? bytes.join('.')
      : Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! * 256 + bytes[2 * i + 1]!).toString(16)).join(':');
  return parseAddress(text)!.toString();
}

export const ROUTER4 = Uint8Array.of(10, 0, 0, 254);
export const ROUTER6 = Uint8Array.of(0xfd, ...new Array<number>(14).fill(0), 254);

/**
 * An error about one of our segments, `at` counted from our ISS and with `length` bytes of text;
 * the reason it got. `rest` is the second word: the MTU of a packet that was too big.
 */
export function report(
  c: Conversation,
  v6: boolean,
  type: number,
  code: number,
  at = 0,
  rest = 0,
  length = 0,
): string {
  const quoted = buildPacket(
    { flags: 0x10, seq: ((c.ourIss ?? 0) + at) >>> 0, ack: 0, length, win: 0, options: [] },
    { src: c.us, dst: c.peer, srcPort: c.ourPort, dstPort: c.peerPort },
    new Uint8Array(length),
  );
  const packet = icmpError(quoted, { type, code, rest, source: v6 ? ROUTER6 : ROUTER4 });
  const reason = c.stack.receive(packet, 0, packet.length, c.now);
  c.collect();
  return reasonText(reason).id;
}
