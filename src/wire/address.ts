/** Addresses at the edges: text to words and back; classes of addresses on words. Never on the packet path but `formatWords`. */
import ipaddr from 'ipaddr.js';

export class Address {
  constructor(
    /** Four int32 words, IPv4 held IPv4-mapped. */
    readonly words: Int32Array,
    readonly family: 4 | 6,
  ) {}

  toString(): string {
    return formatWords(this.words[0]!, this.words[1]!, this.words[2]!, this.words[3]!);
  }
}

/** Texts remembered at most: who connects names few addresses, each of them often, and reading one takes 2 microseconds (measured). */
const REMEMBERED = 256;
const remembered = new Map<string, Address>();

/** As `readAddress`; a text that was read before gives the same object, whose words nobody writes to. */
export function parseAddress(text: string): Address | null {
  const known = remembered.get(text);
  if (known !== undefined) return known;
  const address = readAddress(text);
  if (address === null) return null;
  if (remembered.size >= REMEMBERED) remembered.clear();
  remembered.set(text, address);
  return address;
}

/**
 * null when the text is no address. An IPv4-mapped IPv6 address is the IPv4 address.
 * Zones ('fe80::1%eth0') are refused: words have no place for them.
 */
function readAddress(text: string): Address | null {
  if (text.includes('%')) return null;
  // Four decimal parts without leading zeros, alone or at the end: '010.1' is octal to some and decimal to others.
  const dotted = text.slice(text.lastIndexOf(':') + 1);
  if ((dotted === text || dotted.includes('.')) && !ipaddr.IPv4.isValidFourPartDecimal(dotted)) return null;
  // ipaddr.js takes the deprecated '::1.2.3.4' (RFC 4291 2.5.5.1) for a mapped address; written out it does not.
  const written = text === `::${dotted}` && dotted.includes('.') ? `0:0:0:0:0:0:${dotted}` : text;
  if (!ipaddr.isValid(written)) return null;
  const parsed = ipaddr.process(written);
  const bytes = parsed.toByteArray();
  if (parsed.kind() === 'ipv4') return new Address(Int32Array.of(0, 0, 0xffff, wordAt(bytes, 0)), 4);
  return new Address(
    Int32Array.of(wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12)),
    6,
  );
}

function wordAt(bytes: number[], at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** '10.77.0.2/24'; null when it is none, or the length is out of range. */
export function parsePrefix(text: string): { address: Address; prefix: number } | null {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const widest = address.family === 4 ? 32 : 128;
  if (slash < 0) return { address, prefix: widest };
  const digits = text.slice(slash + 1);
  const prefix = Number(digits);
  return /^\d{1,3}$/.test(digits) && prefix <= widest ? { address, prefix } : null;
}

/** Dotted IPv4 for mapped addresses, RFC 5952 form otherwise. */
export function formatWords(w0: number, w1: number, w2: number, w3: number): string {
  if (isMapped(w0, w1, w2)) return `${w3 >>> 24}.${(w3 >>> 16) & 255}.${(w3 >>> 8) & 255}.${w3 & 255}`;
  const parts = [w0, w1, w2, w3].flatMap((w) => [w >>> 16, w & 0xffff]);
  return new ipaddr.IPv6(parts).toRFC5952String();
}

export function isMapped(w0: number, w1: number, w2: number): boolean {
  return w0 === 0 && w1 === 0 && w2 === 0xffff;
}

export function isUnspecified(w0: number, w1: number, w2: number, w3: number): boolean {
  return w3 === 0 && w0 === 0 && w1 === 0 && (w2 === 0 || w2 === 0xffff);
}

/** 224.0.0.0/4, ff00::/8. */
export function isMulticast(w0: number, w1: number, w2: number, w3: number): boolean {
  return isMapped(w0, w1, w2) ? w3 >>> 28 === 0xe : w0 >>> 24 === 0xff;
}

/** 255.255.255.255; the rest of 240.0.0.0/4 is reserved and counts as well. */
export function isBroadcastV4(w0: number, w1: number, w2: number, w3: number): boolean {
  return isMapped(w0, w1, w2) && w3 >>> 28 === 0xf;
}

/** 127.0.0.0/8, ::1. */
export function isLoopback(w0: number, w1: number, w2: number, w3: number): boolean {
  return isMapped(w0, w1, w2) ? w3 >>> 24 === 127 : w0 === 0 && w1 === 0 && w2 === 0 && w3 === 1;
}

/** The first `bits` of 128 are the same. */
export function sharesPrefix(a: ArrayLike<number>, b: ArrayLike<number>, bits: number): boolean {
  for (let i = 0; i < 4; i++) {
    const n = Math.min(32, Math.max(0, bits - 32 * i));
    const mask = n === 0 ? 0 : -1 << (32 - n);
    if (((a[i]! ^ b[i]!) & mask) !== 0) return false;
  }
  return true;
}
