/** Captures cut packets short, and interfaces fill in lengths and checksums after the capture saw them. */
import { fold, sum } from './checksum.js';
import { half } from './ip.js';

/** Room for the longest IP packet, and what an interface puts behind it. */
const ROOM = 65_600;

/**
 * `bytes`, an IP packet of `original` bytes as far as it was captured, with its whole length (zeros for what
 * was cut off) and its IPv4 header filled in; the same object where nothing is to be mended. null: not even
 * a header.
 */
export function mendCaptured(bytes: Uint8Array, original: number): Uint8Array | null {
  if (bytes.length < 1) return null;
  const v4 = bytes[0]! >> 4 === 4;
  if (bytes.length < (v4 ? 20 : 40)) return null;
  const said = v4 ? half(bytes, 2) : 40 + half(bytes, 4);
  const total = said === 0 ? Math.min(65_535, original) : said;
  const cut = original > bytes.length && total <= original;
  const unfilled = v4 && (said === 0 || half(bytes, 10) === 0);
  if (!cut && !unfilled) return bytes;
  const packet = new Uint8Array(Math.min(ROOM, Math.max(total, bytes.length)));
  packet.set(bytes.subarray(0, packet.length));
  if (unfilled) fillIn(packet, total);
  return packet;
}

/** Total length and header checksum, as the interface will have filled them in. */
function fillIn(packet: Uint8Array, total: number): void {
  packet[2] = total >> 8;
  packet[3] = total & 255;
  packet[10] = 0;
  packet[11] = 0;
  const check = fold(sum(packet, 0, Math.min(packet.length, (packet[0]! & 15) * 4), 0));
  packet[10] = check >> 8;
  packet[11] = check & 255;
}
