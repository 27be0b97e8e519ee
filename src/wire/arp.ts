/** ARP for IPv4 on Ethernet (RFC 826). */
import { LOAD_BAD_LENGTH, LOAD_BAD_VERSION, LOAD_OK, LOAD_TRUNCATED } from './codes.js';
import { putHalf, putWord, type Mac } from './ethernet.js';
import { half, word } from './ip.js';

export const ARP_LENGTH = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** One received ARP packet: a flyweight. Addresses are int32 words, MACs as in ethernet.ts. */
export class ArpPacket {
  operation = 0;
  senderHigh = 0;
  senderLow = 0;
  sender = 0;
  target = 0;

  /** A LOAD_ code; bytes behind the packet (Ethernet's padding) are ignored. Never throws. */
  load(bytes: Uint8Array, at: number, length: number): number {
    if (length < ARP_LENGTH) return LOAD_TRUNCATED;
    if (half(bytes, at) !== 1 || half(bytes, at + 2) !== 0x0800) return LOAD_BAD_VERSION;
    if (bytes[at + 4] !== 6 || bytes[at + 5] !== 4) return LOAD_BAD_LENGTH;
    this.operation = half(bytes, at + 6);
    this.senderHigh = half(bytes, at + 8);
    this.senderLow = word(bytes, at + 10);
    this.sender = word(bytes, at + 14);
    this.target = word(bytes, at + 24);
    return LOAD_OK;
  }
}

/** Writes a packet; its length. */
export function writeArp(
  out: Uint8Array,
  at: number,
  operation: number,
  senderMac: Mac,
  sender: number,
  targetMac: Mac,
  target: number,
): number {
  putWord(out, at, 0x0001_0800);
  putHalf(out, at + 4, 0x0604);
  putHalf(out, at + 6, operation);
  putHalf(out, at + 8, senderMac.high);
  putWord(out, at + 10, senderMac.low);
  putWord(out, at + 14, sender);
  putHalf(out, at + 18, targetMac.high);
  putWord(out, at + 20, targetMac.low);
  putWord(out, at + 24, target);
  return ARP_LENGTH;
}
