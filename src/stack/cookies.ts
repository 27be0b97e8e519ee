/**
 * The cookies of Fast Open (RFC 7413 4.1): those a server makes and those a client was given.
 *
 * Memory: cookies for COOKIE_LIMIT pairs of hosts, the oldest is given up first.
 */
import type { Tcb } from '../tcp/tcb.js';
import type { Segment } from '../wire/segment.js';
import { SipHash } from './siphash.js';

const COOKIE_LIMIT = 1024;
/** Bytes of the cookies that this server gives out (Linux TCP_FASTOPEN_COOKIE_SIZE). */
const COOKIE_SIZE = 8;

/** Which form of the option the next request for a cookie has. */
export const TRY_STANDARD = 0;
export const TRY_EXPERIMENT = 1;
export const TRIED_BOTH = 2;

/** What this client remembers of one server (RFC 7413 4.1.3). */
export interface Remembered {
  cookie: Uint8Array;
  experiment: boolean;
  /** The peer's MSS, 0 unknown. */
  mss: number;
  next: number;
}

/** Keys of a server's cookies: the present one, and the one before it while it is being replaced. */
export class CookieKeys {
  private readonly hashes: readonly SipHash[];

  /** 16 or 32 bytes. */
  constructor(readonly bytes: Uint8Array) {
    this.hashes = [...new Array(bytes.length / 16).keys()].map(
      (i) => new SipHash(bytes.subarray(16 * i, 16 * i + 16)),
    );
  }

  /** RFC 7413 4.1.2: the cookie is a keyed hash of the client's address, and of ours, as on Linux. */
  cookie(segment: Segment, key: number): Uint8Array {
    const { version: v } = segment;
    const source = [segment.src0, segment.src1, segment.src2, segment.src3];
    const target = [segment.dst0, segment.dst1, segment.dst2, segment.dst3];
    const words = v === 4 ? [source[3]!, target[3]!] : [...source, ...target];
    const message = new DataView(new ArrayBuffer(4 * words.length));
    words.forEach((word, i) => message.setInt32(4 * i, word));
    const hash = this.hashes[key]!;
    hash.hashBytes(new Uint8Array(message.buffer));
    const cookie = new DataView(new ArrayBuffer(COOKIE_SIZE));
    cookie.setInt32(0, hash.lo, true);
    cookie.setInt32(4, hash.hi, true);
    return new Uint8Array(cookie.buffer);
  }

  /** Which key made the cookie of this segment; -1 none. */
  keyOf(segment: Segment): number {
    if (segment.cookieLength !== COOKIE_SIZE) return -1;
    const at = segment.cookieOffset;
    return this.hashes.findIndex((_, key) =>
      this.cookie(segment, key).every((octet, i) => octet === segment.bytes[at + i]),
    );
  }
}

/** What one stack knows about Fast Open. */
export class FastOpen {
  keys: CookieKeys;
  private readonly remembered = new Map<string, Remembered>();

  constructor(key: Uint8Array) {
    this.keys = new CookieKeys(key);
  }

  recall(tcb: Tcb): Remembered | null {
    return this.remembered.get(pairOf(tcb)) ?? null;
  }

  /** The entry of this pair of hosts, made when there is none. */
  entry(tcb: Tcb): Remembered {
    const pair = pairOf(tcb);
    const known = this.remembered.get(pair);
    if (known !== undefined) return known;
    if (this.remembered.size >= COOKIE_LIMIT) {
      const oldest = this.remembered.keys().next().value;
      if (oldest !== undefined) this.remembered.delete(oldest);
    }
    const fresh = { cookie: new Uint8Array(0), experiment: false, mss: 0, next: TRY_STANDARD };
    this.remembered.set(pair, fresh);
    return fresh;
  }

  forget(): void {
    this.remembered.clear();
  }
}

function pairOf(t: Tcb): string {
  return `${t.local0},${t.local1},${t.local2},${t.local3},${t.remote0},${t.remote1},${t.remote2},${t.remote3}`;
}

/** 'XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX' or two of them with a comma, as Linux's sysctl has it; null: it is none. */
export function parseCookieKeys(text: string): Uint8Array | null {
  const keys = text.trim().split(',');
  const words = keys.flatMap((key) => {
    const parts = key.split('-');
    return parts.length === 4 && parts.every((part) => /^[0-9a-f]{1,8}$/i.test(part)) ? parts : [''];
  });
  if (keys.length > 2 || words.includes('')) return null;
  const view = new DataView(new ArrayBuffer(4 * words.length));
  words.forEach((word, i) => view.setUint32(4 * i, Number.parseInt(word, 16), true));
  return new Uint8Array(view.buffer);
}
