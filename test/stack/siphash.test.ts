import t from 'tap';
import fc from 'fast-check';
import { SipHash, TupleHash } from '../../src/stack/siphash.js';

const WORD = (1n << 64n) - 1n;
const rotate = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (64n - n))) & WORD;

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** The naive SipHash: the paper's picture in BigInt. */
function naive(key: Uint8Array, message: Uint8Array, c: number, d: number): bigint {
  const k0 = littleEndian(key.subarray(0, 8));
  const k1 = littleEndian(key.subarray(8, 16));
  const v: [bigint, bigint, bigint, bigint] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ];
  const half = (a: 0 | 2, b: 1 | 3, turn: bigint): void => {
    v[a] = (v[a] + v[b]) & WORD;
    v[b] = rotate(v[b], turn) ^ v[a];
  };
  const round = (): void => {
    half(0, 1, 13n);
    v[0] = rotate(v[0], 32n);
    half(2, 3, 16n);
    half(0, 3, 21n);
    half(2, 1, 17n);
    v[2] = rotate(v[2], 32n);
  };
  const padded = new Uint8Array((message.length & ~7) + 8);
  padded.set(message);
  padded[padded.length - 1] = message.length;
  for (let at = 0; at < padded.length; at += 8) {
    const word = littleEndian(padded.subarray(at, at + 8));
    v[3] ^= word;
    for (let i = 0; i < c; i++) round();
    v[0] ^= word;
  }
  v[2] ^= 0xffn;
  for (let i = 0; i < d; i++) round();
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

const count = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => i);

function result(hash: SipHash): bigint {
  return (BigInt(hash.hi >>> 0) << 32n) | BigInt(hash.lo >>> 0);
}

function hex(hash: SipHash): string {
  return result(hash).toString(16).padStart(16, '0');
}

void t.test('SipHash-2-4: vectors of the reference, key 00..0f, message 00..', (t) => {
  // As the reference prints them: the eight result bytes, least significant first.
  const vectors: readonly (readonly [length: number, bytes: string])[] = [
    [0, '310e0edd47db6f72'],
    [1, 'fd67dc93c539f874'],
    [2, '5a4fa9d909806c0d'],
    [3, '2d7efbd796666785'],
    [7, '37d1018bf50002ab'],
    [8, '6224939a79f5f593'],
    [15, 'e545be4961ca29a1'],
  ];
  const hash = new SipHash(count(16));
  for (const [length, bytes] of vectors) {
    hash.hashBytes(count(length));
    t.equal(Buffer.from(hex(hash), 'hex').reverse().toString('hex'), bytes, `${length} bytes`);
  }
  t.end();
});

void t.test('SipHash-1-3: what CPython computes under a key of zeros', (t) => {
  const vectors: readonly (readonly [length: number, value: string])[] = [
    [1, '68a914128e01e473'],
    [2, '010bac45c41e3669'],
    [7, '2f098ab0c751325a'],
    [8, 'ead411e67ebe2eea'],
    [9, '75927f9d95124362'],
    [15, 'f30eb725bb91c9ea'],
    [16, '8972188433a5c5b7'],
    [40, '95bc321ab41d8206'],
  ];
  const hash = new SipHash(new Uint8Array(16), 1, 3);
  for (const [length, value] of vectors) {
    hash.hashBytes(count(length));
    t.equal(hex(hash), value, `${length} bytes`);
  }
  t.end();
});

void t.test('both variants agree with the naive one for any key and message', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ maxLength: 70 }),
      fc.boolean(),
      (key, message, light) => {
        const hash = light ? new SipHash(key, 1, 3) : new SipHash(key);
        hash.hashBytes(message);
        return result(hash) === naive(key, message, light ? 1 : 2, light ? 3 : 4);
      },
    ),
    { numRuns: 500 },
  );
  t.end();
});

void t.test('hashTuple and TupleHash hash the tuple as bytes, 16 for IPv4, 40 for IPv6', (t) => {
  const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  const port = fc.integer({ min: 0, max: 65535 });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.array(int32, { minLength: 9, maxLength: 9 }),
      port,
      port,
      fc.boolean(),
      (key, w, localPort, remotePort, v4) => {
        const local = v4 ? [0, 0, 0xffff, w[3]!] : [w[0]!, w[1]!, w[2]!, w[3]!];
        const remote = v4 ? [0, 0, 0xffff, w[7]!] : [w[4]!, w[5]!, w[6]!, w[7]!];
        const ports = (localPort << 16) | remotePort;
        const words = v4
          ? [local[3]!, remote[3]!, ports, w[8]!]
          : [local[0]!, local[1]!, local[2]!, ...remote.slice(0, 3), local[3]!, remote[3]!, ports, w[8]!];
        const bytes = new Uint8Array(words.length * 4);
        words.forEach((word, i) => new DataView(bytes.buffer).setInt32(4 * i, word, true));
        const [l0, l1, l2, l3] = local as [number, number, number, number];
        const [r0, r1, r2, r3] = remote as [number, number, number, number];
        const hash = new SipHash(key);
        const folded = hash.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort, w[8]!);
        if (result(hash) !== naive(key, bytes, 2, 4)) return false;
        if (folded !== (hash.lo ^ hash.hi) || folded !== (folded | 0)) return false;
        // No word more: the last of the message is 0
        bytes.fill(0, bytes.length - 4);
        const wanted = naive(key, bytes, 1, 3);
        const found = new TupleHash(key).of(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
        return found === Number(BigInt.asIntN(32, wanted ^ (wanted >> 32n)));
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

void t.test('each field of the tuple matters, and so does the key', (t) => {
  const tuple = [0x20010db8, 1, 2, 3, 0x20010db8, 5, 6, 7, 80, 4711, 0] as const;
  const of = (key: Uint8Array, fields: readonly number[]): bigint => {
    const hash = new SipHash(key);
    hash.hashTuple(...(fields as unknown as Parameters<SipHash['hashTuple']>));
    return result(hash);
  };
  const seen = new Set([of(count(16), tuple), of(new Uint8Array(16), tuple)]);
  for (let i = 0; i < tuple.length; i++) {
    const other: number[] = [...tuple];
    other[i]! ^= 1;
    seen.add(of(count(16), other));
  }
  t.equal(seen.size, 2 + tuple.length);
  t.end();
});

void t.test('a short key is refused', (t) => {
  t.throws(() => new TupleHash(new Uint8Array(15)), { name: 'RangeError', message: /16 bytes, got 15/ });
  t.throws(() => new SipHash(new Uint8Array(15)), { name: 'RangeError', message: /16 bytes, got 15/ });
  t.end();
});

void t.test('eight bytes as two words: the same hash as of the bytes', (t) => {
  const sip = new SipHash(Uint8Array.from({ length: 16 }, (_, i) => i));
  const view = new DataView(new ArrayBuffer(8));
  for (const [lo, hi] of [
    [0, 0],
    [1, -1],
    [0x01020304, -0x0a0b0c0d],
    [-0x80000000, 0x7fffffff],
  ] as const) {
    view.setInt32(0, lo, true);
    view.setInt32(4, hi, true);
    sip.hashBytes(new Uint8Array(view.buffer));
    const wanted = [sip.lo, sip.hi];
    sip.hashWords(lo, hi);
    t.same([sip.lo, sip.hi], wanted);
  }
  t.end();
});
