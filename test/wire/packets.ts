/** Helpers of the wire tests: packets made byte by byte, and a checksum nobody could get wrong. */
import { SegmentBuilder } from '../../src/wire/builder.js';

/** RFC 1071 as it stands there: 16-bit words one by one, the carry added back each time. The complement. */
export function naiveChecksum(...parts: readonly (readonly number[] | Uint8Array)[]): number {
  const bytes = parts.flatMap((part) => [...part]);
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    total += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (total > 0xffff) total = (total % 65_536) + 1;
  }
  return 0xffff - total;
}

export function be16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255];
}

export function be32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

export const SRC4 = [10, 77, 0, 1];
export const DST4 = [10, 77, 0, 2];
export const SRC6 = [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
export const DST6 = [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

export interface V4Options {
  readonly protocol?: number;
  /** IP options; a multiple of 4 bytes. */
  readonly options?: readonly number[];
  /** The 16 bits of flags and fragment offset. */
  readonly fragment?: number;
  /** What the total length field says, when it lies. */
  readonly claims?: number;
  readonly ihl?: number;
  readonly ttl?: number;
  readonly tos?: number;
}

/** An IPv4 packet from 10.77.0.1 to 10.77.0.2 with a right header checksum. */
export function v4(payload: readonly number[] | Uint8Array, o: V4Options = {}): Uint8Array {
  const options = o.options ?? [];
  const header = 20 + options.length;
  const claims = o.claims ?? header + payload.length;
  const front = [
    0x40 | (o.ihl ?? header / 4),
    o.tos ?? 0,
    ...be16(claims),
    0,
    0,
    ...be16(o.fragment ?? 0x4000),
  ];
  const life = [o.ttl ?? 64, o.protocol ?? 6];
  const rest = [...SRC4, ...DST4, ...options];
  // The checksum covers what the header length says, were it a lie.
  const covered = [...front, ...life, 0, 0, ...rest].slice(0, (o.ihl ?? header / 4) * 4);
  return Uint8Array.from([...front, ...life, ...be16(naiveChecksum(covered)), ...rest, ...payload]);
}

/** An IPv6 packet from fd77::1 to fd77::2. `next` is the number of the first header in `payload`. */
export function v6(payload: readonly number[] | Uint8Array, next = 6, claims = payload.length): Uint8Array {
  return Uint8Array.from([0x60, 0, 0, 0, ...be16(claims), next, 64, ...SRC6, ...DST6, ...payload]);
}

export interface TcpFields {
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly options?: readonly number[];
  readonly payload?: readonly number[];
  /** Data offset in words, when it lies. */
  readonly dataOffset?: number;
}

/** A TCP segment from port 1000 to port 80, made by hand, its checksum by the naive sum. */
export function tcp(version: 4 | 6, f: TcpFields = {}): number[] {
  const options = [...(f.options ?? [])];
  while (options.length % 4 !== 0) options.push(0);
  const offset = f.dataOffset ?? 5 + options.length / 4;
  const head = [
    ...be16(1000),
    ...be16(80),
    ...be32(f.seq ?? 0),
    ...be32(f.ack ?? 0),
    offset << 4,
    f.flags ?? 0x10,
  ];
  const build = (check: number): number[] => [
    ...head,
    ...be16(500),
    ...be16(check),
    ...be16(0),
    ...options,
    ...(f.payload ?? []),
  ];
  const length = build(0).length;
  const pseudo =
    version === 4
      ? [...SRC4, ...DST4, 0, 6, ...be16(length)]
      : [...SRC6, ...DST6, ...be32(length), 0, 0, 0, 6];
  return build(naiveChecksum(pseudo, build(0)));
}

/** A whole packet with a right checksum whose TCP options are exactly these bytes, zeros behind them. */
export function withOptions(options: readonly number[], flags = 0x02): Uint8Array {
  return v4(tcp(4, { options, flags }));
}

/** A builder between the two ends of these tests. */
export function builder(version: 4 | 6): SegmentBuilder {
  const b = new SegmentBuilder();
  b.version = version;
  const [source, target] = version === 4 ? [SRC4, DST4] : [SRC6, DST6];
  const word = (bytes: number[], at: number): number =>
    (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (version === 4) {
    b.src2 = b.dst2 = 0xffff;
    b.src3 = word(source, 0);
    b.dst3 = word(target, 0);
  } else {
    [b.src0, b.src1, b.src2, b.src3] = [word(source, 0), word(source, 4), word(source, 8), word(source, 12)];
    [b.dst0, b.dst1, b.dst2, b.dst3] = [word(target, 0), word(target, 4), word(target, 8), word(target, 12)];
  }
  b.srcPort = 1000;
  b.dstPort = 80;
  return b;
}

/** The packet in memory of its own exact size, so that reading behind it gives undefined and shows. */
export function exact(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
