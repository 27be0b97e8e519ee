/** A neighbour side under virtual time, and frames in words: what tests say to it and what it says. */
import { Neighbours, type NeighboursOptions } from '../../src/link/neighbours.js';
import type { OwnPrefix } from '../../src/link/own-addresses.js';
import { parsePrefix } from '../../src/wire/address.js';
import { ARP_LENGTH, ArpPacket, writeArp } from '../../src/wire/arp.js';
import {
  BROADCAST,
  FROM,
  MARKS,
  RECORD,
  TAG,
  TO,
  TYPE,
  formatMac,
  parseMac,
  putHalf,
  putWord,
  type Mac,
} from '../../src/wire/ethernet.js';
import { IpHeader, half, word } from '../../src/wire/ip.js';
import { NeighbourMessage, solicitedNode, writeNeighbourMessage } from '../../src/wire/ndp.js';
import { formatWords } from '../../src/wire/address.js';

export const OUR_MAC = '02:00:00:00:00:01';

export function own(text: string): OwnPrefix {
  const { address, prefix } = parsePrefix(text)!;
  return { words: address.words, family: address.family, prefix };
}

export const mac = (text: string): Mac => parseMac(text)!;
export const words = (text: string): Int32Array => parsePrefix(text)!.address.words;
const v4 = (text: string): number => words(text)[3]!;

export interface Frame {
  readonly record: Uint8Array;
  readonly bytes: Uint8Array;
}

export function frame(to: string, from: string, type: number, bytes: Uint8Array, tag = 0): Frame {
  const record = new Uint8Array(RECORD);
  putHalf(record, TO, mac(to).high);
  putWord(record, TO + 2, mac(to).low);
  putHalf(record, FROM, mac(from).high);
  putWord(record, FROM + 2, mac(from).low);
  putWord(record, TAG, tag === 0 ? 0 : 0x8100_0000 | tag);
  putHalf(record, TYPE, type);
  putHalf(record, MARKS, 0);
  return { record, bytes };
}

export interface ArpWords {
  readonly operation: number;
  readonly from: string;
  readonly sender: string;
  readonly target: string;
  readonly to?: string;
  readonly tag?: number;
}

export function arp({ operation, from, sender, target, to, tag = 0 }: ArpWords): Frame {
  const bytes = new Uint8Array(ARP_LENGTH);
  const asked = to === undefined ? { high: 0, low: 0 } : mac(to);
  writeArp(bytes, 0, operation, mac(from), v4(sender), asked, v4(target));
  return frame(to ?? formatMac(BROADCAST.high, BROADCAST.low), from, 0x0806, bytes, tag);
}

export interface DiscoveryWords {
  readonly type: number;
  readonly flags?: number;
  readonly from: string;
  readonly source: string;
  readonly target: string;
  /** Default: the solicited-node group of the target. */
  readonly destination?: string;
  readonly to?: string;
  /** Carries the link-layer address option, with this or, by default, the sender's. */
  readonly option?: string | null;
  readonly tag?: number;
}

export function discovery(said: DiscoveryWords): Frame {
  const { type, flags = 0, from, source, target, destination, to, option = said.from, tag = 0 } = said;
  const bytes = new Uint8Array(72);
  const length = writeNeighbourMessage(bytes, 0, {
    type,
    flags,
    source: words(source),
    destination: destination === undefined ? solicitedNode(words(target)) : words(destination),
    target: words(target),
    mac: option === null ? null : mac(option),
  });
  return frame(to ?? '33:33:ff:00:00:01', from, 0x86dd, bytes.slice(0, length), tag);
}

/** An IP packet that has addresses and nothing else. */
export function packet(source: string, destination: string): Uint8Array {
  const from = words(source);
  const to = words(destination);
  if (!source.includes(':')) {
    const bytes = new Uint8Array(40);
    bytes.set([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6]);
    putWord(bytes, 12, from[3]!);
    putWord(bytes, 16, to[3]!);
    return bytes;
  }
  const bytes = new Uint8Array(60);
  bytes.set([0x60, 0, 0, 0, 0, 20, 6, 64]);
  for (let i = 0; i < 4; i++) {
    putWord(bytes, 8 + 4 * i, from[i]!);
    putWord(bytes, 24 + 4 * i, to[i]!);
  }
  return bytes;
}

export class EthernetHost {
  readonly side: Neighbours;
  now: number;
  private readonly record = new Uint8Array(RECORD);

  constructor(options: Partial<Omit<NeighboursOptions, 'addresses'>> & { addresses?: string[] } = {}) {
    const { addresses = ['10.0.0.2/24', 'fd00::2/64'], now = 0x7fff_fff0, ...rest } = options;
    this.now = now;
    this.side = new Neighbours({
      mac: mac(OUR_MAC),
      mtu: 1500,
      seed: 1,
      detect: false,
      ...rest,
      addresses: addresses.map(own),
      now,
    });
  }

  /** What it says to one frame; 'pass' when it is for the stack. */
  hear({ record, bytes }: Frame): string[] {
    const verdict = this.side.receive(record, 0, bytes, 0, bytes.length, this.now);
    return [...(verdict === 1 ? ['pass'] : []), ...this.said()];
  }

  /** Sends a packet; what leaves. */
  send(bytes: Uint8Array): string[] {
    const known = this.side.address(bytes, 0, bytes.length, this.record, 0, this.now);
    if (!known) this.side.hold(bytes, 0, bytes.length, this.now);
    return [...(known ? [describe(this.record, 0, bytes, 0, bytes.length)] : []), ...this.said()];
  }

  /** Moves on by ms, one due thing after the other; what is said, with the time. */
  wait(ms: number): string[] {
    const lines: string[] = [];
    const start = this.now;
    for (;;) {
      const left = ms - ((this.now - start) | 0);
      const next = this.side.nextDeadline(this.now);
      if (next < 0 || next > left) break;
      this.now = (this.now + next) | 0;
      this.side.advance(this.now);
      const at = (this.now - start) | 0;
      lines.push(...this.said().map((line) => `${at} ${line}`));
    }
    this.now = (start + ms) | 0;
    return lines;
  }

  state(address: string): string {
    const row = this.side.rows(this.now).find((each) => each.address === address);
    return row === undefined ? 'none' : `${row.state} ${row.mac ?? '?'}`;
  }

  said(): string[] {
    const { ring, records } = this.side.outgoing;
    const lines: string[] = [];
    for (let i = 0; i < ring.count; i++)
      lines.push(describe(records, ring.slotOf(i) * RECORD, ring.bytes, ring.offsetOf(i), ring.lengthOf(i)));
    ring.drop(ring.count);
    return lines;
  }
}

/** `to ff:ff:ff:ff:ff:ff arp 1 10.0.0.2 asks 10.0.0.9`, `to .. [vlan 5] ip 10.0.0.9` */
function describe(
  records: Uint8Array,
  record: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): string {
  const to = formatMac(half(records, record + TO), word(records, record + TO + 2));
  const tag = word(records, record + TAG) & 0xfff;
  const head = `to ${to}${tag === 0 ? '' : ` vlan ${tag}`}`;
  const type = half(records, record + TYPE);
  if (type === 0x0806) {
    const it = new ArpPacket();
    it.load(bytes, offset, length);
    const name = (w: number): string => formatWords(0, 0, 0xffff, w);
    return `${head} arp ${it.operation} ${name(it.sender)} -> ${name(it.target)}`;
  }
  const ip = new IpHeader();
  ip.load(bytes, offset, length);
  const message = new NeighbourMessage();
  if (type === 0x86dd && ip.protocol === 58) {
    const code = message.load(ip);
    const of = formatWords(message.target0, message.target1, message.target2, message.target3);
    const link = message.hasMac ? ` ${formatMac(message.macHigh, message.macLow)}` : '';
    return `${head} nd ${message.type}${code === 0 ? '' : ` BAD ${code}`} flags ${message.flags} ${of}${link}`;
  }
  const destination =
    type === 0x0800
      ? formatWords(0, 0, 0xffff, word(bytes, offset + 16))
      : formatWords(
          word(bytes, offset + 24),
          word(bytes, offset + 28),
          word(bytes, offset + 32),
          word(bytes, offset + 36),
        );
  return `${head} ip ${destination}`;
}
