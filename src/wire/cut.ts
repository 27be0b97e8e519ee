/**
 * What a network card does for its host: checksums that were left to it, and packets that stand
 * for several segments cut into these (ring.ts `offloads`). For links that have to see what a wire
 * would carry, and for captures.
 */
import { completeChecksum } from './partial.js';
import { fold, sum } from './checksum.js';
import { LOAD_OK } from './codes.js';
import { IpHeader, half, word } from './ip.js';
import { CHECKSUM_OFFLOADED, LARGEST_SLOT, SEGMENT_SIZE } from './ring.js';
import { CWR, FIN, PSH } from './segment.js';

const TCP = 6;

const header = new IpHeader();

/** Finishes the checksum of a packet whose entry says that it is left. Anything but a TCP segment stays as it is. */
export function finishChecksum(bytes: Uint8Array, offset: number, length: number, entry: number): void {
  if ((entry & CHECKSUM_OFFLOADED) === 0 || header.load(bytes, offset, length) !== LOAD_OK) return;
  if (header.protocol === TCP && !header.fragment && header.payloadLength >= 20) completeChecksum(header);
}

/**
 *   cutter.begin(bytes, offset, length, entry);
 *   for (let length = cutter.next(); length > 0; length = cutter.next()) ...cutter.bytes[0 .. length)...
 *
 * Memory: one packet. The source must stay as it is until `next` has given 0.
 */
export class Cutter {
  readonly bytes = new Uint8Array(LARGEST_SLOT);
  private readonly ip = new IpHeader();
  private source: Uint8Array = this.bytes;
  private offset = 0;
  /** IP and TCP header, and the whole packet, bytes. */
  private headers = 0;
  private length = 0;
  private size = 0;
  private entry = 0;
  /** Text given so far; -1: the packet is given as it is. */
  private at = 0;

  begin(bytes: Uint8Array, offset: number, length: number, entry: number): void {
    const { ip } = this;
    this.source = bytes;
    this.offset = offset;
    this.length = length;
    this.entry = entry;
    this.size = entry & SEGMENT_SIZE;
    this.at = -1;
    if (this.size === 0 || ip.load(bytes, offset, length) !== LOAD_OK) return;
    if (ip.protocol !== TCP || ip.fragment || ip.payloadLength < 20) return;
    this.headers = ip.headerLength + (bytes[ip.payloadOffset + 12]! >> 4) * 4;
    this.length = ip.totalLength;
    if (this.headers + this.size < this.length) this.at = 0;
  }

  /** Length of the next packet, 0: there is none. */
  next(): number {
    const { source, offset, length, headers, at } = this;
    if (length === 0) return 0;
    if (at < 0) {
      this.bytes.set(source.subarray(offset, offset + length));
      finishChecksum(this.bytes, 0, length, this.entry);
      this.length = 0;
      return length;
    }
    const text = Math.min(this.size, length - headers - at);
    this.bytes.set(source.subarray(offset, offset + headers));
    this.bytes.set(source.subarray(offset + headers + at, offset + headers + at + text), headers);
    this.writeHeaders(text, at + text === length - headers);
    this.at += text;
    if (this.at === length - headers) this.length = 0;
    return headers + text;
  }

  private writeHeaders(text: number, last: boolean): void {
    const b = this.bytes;
    const { ip, headers, at } = this;
    const total = headers + text;
    if (ip.version === 4) {
      put16(b, 2, total);
      // RFC 791: each packet its own identification
      put16(b, 4, half(b, 4) + at / this.size);
      put16(b, 10, 0);
      put16(b, 10, fold(sum(b, 0, ip.headerLength, 0)));
    } else put16(b, 4, total - 40);
    const tcp = ip.headerLength;
    const seq = (word(b, tcp + 4) + at) | 0;
    put16(b, tcp + 4, seq >>> 16);
    put16(b, tcp + 6, seq);
    if (!last) b[tcp + 13]! &= ~(FIN | PSH);
    if (at > 0) b[tcp + 13]! &= ~CWR;
    finishChecksum(b, 0, total, CHECKSUM_OFFLOADED);
  }
}

function put16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >> 8;
  b[at + 1] = value;
}
