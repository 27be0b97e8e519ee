/**
 * Ethernet II frames (RFC 894, RFC 2464) with at most one VLAN tag (IEEE 802.1Q). On a ring of
 * IP packets the link header does not stand before the packet but beside it, in a record of
 * fixed size; devices read and write these records in the same shape (native/src/packet.c).
 *
 *     0       6       12    16     18
 *     [ to  ][ from ][ tag ][ type ][ marks ]      tag: TPID and TCI, 0 when there is none
 *
 * A MAC address is held as two ints: the first two bytes and the last four.
 */
import { half, word } from './ip.js';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
/** 802.1Q, 802.1ad, and the number used before that one. */
export const VLAN_TAGS: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100]);

/** Bytes of a record. */
export const RECORD = 20;
/** Places in a record. */
export const TO = 0;
export const FROM = 6;
export const TAG = 12;
export const TYPE = 16;
export const MARKS = 18;
/** A mark: the sender left the transport checksum to its hardware, the field holds the pseudo-header's sum. */
export const MARK_PARTIAL = 1;

/** Bytes of a header with one tag: the longest that goes with a record. */
export const LONGEST_HEADER = 18;

/** Reads the header of the frame of `length` bytes at `at` into a record; its length, -1 when the frame ends before. */
export function readHeader(
  frame: Uint8Array,
  at: number,
  length: number,
  records: Uint8Array,
  record: number,
): number {
  if (length < 14) return -1;
  for (let i = 0; i < 12; i++) records[record + i] = frame[at + i]!;
  const tagged = VLAN_TAGS.has(half(frame, at + 12));
  if (tagged && length < 18) return -1;
  putWord(records, record + TAG, tagged ? word(frame, at + 12) : 0);
  putHalf(records, record + TYPE, half(frame, at + (tagged ? 16 : 12)));
  putHalf(records, record + MARKS, 0);
  return tagged ? 18 : 14;
}

/** Writes the header that a record describes at `at`; its length. */
export function writeHeader(records: Uint8Array, record: number, frame: Uint8Array, at: number): number {
  for (let i = 0; i < 12; i++) frame[at + i] = records[record + i]!;
  const tag = word(records, record + TAG);
  if (tag !== 0) putWord(frame, at + 12, tag);
  const length = tag === 0 ? 14 : 18;
  putHalf(frame, at + length - 2, half(records, record + TYPE));
  return length;
}

export function putHalf(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

export function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}

/** The group bit: multicast and broadcast. */
export function isGroup(high: number): boolean {
  return (high & 0x100) !== 0;
}

export interface Mac {
  readonly high: number;
  readonly low: number;
}

/** 'ff:ff:ff:ff:ff:ff' */
export const BROADCAST: Mac = { high: 0xffff, low: -1 };

/** '02:00:5e:10:00:01', with ':' or '-'; null when it is no MAC address. */
export function parseMac(text: string): Mac | null {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return null;
  const bytes = text.split(/[:-]/).map((part) => parseInt(part, 16));
  const at = Uint8Array.from(bytes);
  return { high: half(at, 0), low: word(at, 2) };
}

export function formatMac(high: number, low: number): string {
  const digits = high.toString(16).padStart(4, '0') + (low >>> 0).toString(16).padStart(8, '0');
  return digits.replace(/(..)(?!$)/g, '$1:');
}

/** The group address of an IP multicast address: RFC 1112 6.4, RFC 2464 7. */
export function multicastMac(version: number, w3: number): Mac {
  return version === 4 ? { high: 0x0100, low: 0x5e000000 | (w3 & 0x7fffff) } : { high: 0x3333, low: w3 };
}
