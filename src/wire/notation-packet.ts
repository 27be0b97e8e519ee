/** Written segments to packets, and packets to segments as they stand on the wire. */
import type { Address } from './address.js';
import { SegmentBuilder } from './builder.js';
import { describeSegment, hexOfBytes, type OptionText, type SegmentText, type Bases } from './notation.js';
import {
  EXPERIMENTAL,
  FAST_OPEN,
  FAST_OPEN_EXID,
  FAST_OPEN_EXPERIMENT,
  HOLDER_EXID,
  type Segment,
} from './segment.js';

/** A TCP header has room for so many bytes of options. */
export const MOST_OPTION_BYTES = 40;

export interface Ends {
  readonly src: Address;
  readonly dst: Address;
  readonly srcPort: number;
  readonly dstPort: number;
}

/**
 * The whole IP packet of a written segment. Options go out exactly as written, zeros
 * behind them up to a full word (MUST-69); a window left out is 65535, a payload left out
 * or too short is zeros. RangeError when options or payload do not fit into a packet.
 */
export function buildPacket(text: SegmentText, ends: Ends, payload?: Uint8Array): Uint8Array {
  const b = new SegmentBuilder();
  b.version = ends.src.family;
  [b.src0, b.src1, b.src2, b.src3] = ends.src.words as unknown as [number, number, number, number];
  [b.dst0, b.dst1, b.dst2, b.dst3] = ends.dst.words as unknown as [number, number, number, number];
  b.srcPort = ends.srcPort;
  b.dstPort = ends.dstPort;
  b.seq = text.seq | 0;
  b.ack = (text.ack ?? 0) | 0;
  b.flags = text.flags;
  b.tos = text.ip?.tos ?? 0;
  const ecn = text.ip?.ecn;
  if (ecn !== undefined) b.tos = (b.tos & 0xfc) | (ecn === 'ect01' ? 2 : ecn);
  b.ttl = text.ip?.ttl ?? 64;
  b.wnd = text.win ?? 65_535;
  b.urgent = text.urg ?? 0;
  const options = (text.options ?? []).flatMap(optionBytes);
  if (options.length > MOST_OPTION_BYTES)
    throw new RangeError(`${options.length} bytes of options, at most ${MOST_OPTION_BYTES} fit`);
  const bare = b.headerLength();
  const header = bare + ((options.length + 3) & ~3);
  const most = b.version === 4 ? 65_535 : 65_575;
  if (header + text.length > most) throw new RangeError(`${text.length} bytes do not fit into a packet`);
  const bytes = new Uint8Array(header + text.length);
  b.writeHeaders(bytes, 0);
  bytes[bare - 8] = (header - bare + 20) << 2;
  bytes.set(options, bare);
  if (payload !== undefined) bytes.set(payload.subarray(0, text.length), header);
  b.finish(bytes, 0, header, text.length);
  return bytes;
}

export function optionBytes(option: OptionText): number[] {
  switch (option.kind) {
    case 'eol':
      return [0];
    case 'nop':
      return [1];
    case 'mss':
      return [2, 4, option.value >> 8, option.value & 255];
    case 'wscale':
      return [3, 3, option.value];
    case 'sackOK':
      return [4, 2];
    case 'tw-holder':
      return [EXPERIMENTAL, 5, HOLDER_EXID >> 8, HOLDER_EXID & 255, 1];
    case 'sack':
      return [5, 2 + 8 * option.blocks.length, ...option.blocks.flat().flatMap(bytes32)];
    case 'TS':
      return [8, 10, ...bytes32(option.val), ...bytes32(option.ecr)];
    case 'FO':
      return [FAST_OPEN, 2 + option.cookie.length / 2, ...bytesOfHex(option.cookie)];
    case 'FOEXP':
      return [
        FAST_OPEN_EXPERIMENT,
        4 + option.cookie.length / 2,
        FAST_OPEN_EXID >> 8,
        FAST_OPEN_EXID & 255,
        ...bytesOfHex(option.cookie),
      ];
    case 'md5':
      return [19, 18, ...(option.digest === null ? new Array<number>(16).fill(0) : md5Bytes(option.digest))];
    case 'other':
      return [option.number, 2 + option.data.length / 2, ...bytesOfHex(option.data)];
  }
}

function md5Bytes(digest: string): number[] {
  return bytesOfHex(digest.padEnd(32, '0'));
}

function bytesOfHex(digits: string): number[] {
  return Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

/**
 * A segment as it stands on the wire: every option in its place, nops included, and the IP
 * part. `segment` was loaded from a packet; SACK blocks count from `bases.ack`.
 */
export function describeExactly(segment: Segment, bases: Bases): SegmentText {
  const options = segment.payloadOffset === 0 ? [] : readOptions(segment, bases);
  return {
    ...describeSegment(segment, bases),
    ip: { ecn: segment.tos & 3, tos: segment.tos, ttl: segment.ttl },
    options,
  };
}

function readOptions(segment: Segment, bases: Bases): OptionText[] {
  const { bytes: b, payloadOffset: end } = segment;
  const options: OptionText[] = [];
  let at = segment.optionsOffset;
  while (at < end) {
    const kind = b[at]!;
    if (kind < 2) {
      // Behind the end there is padding only (MUST-69)
      if (kind !== 0 && options.at(-1)?.kind === 'eol') break;
      options.push({ kind: kind === 0 ? 'eol' : 'nop' });
      at++;
      continue;
    }
    const length = at + 1 < end ? b[at + 1]! : 0;
    if (options.at(-1)?.kind === 'eol' || length < 2 || at + length > end) break;
    options.push(readOption(kind, b.subarray(at + 2, at + length), bases));
    at += length;
  }
  return options;
}

function readOption(kind: number, data: Uint8Array, bases: Bases): OptionText {
  const half = (i: number): number => (data[i]! << 8) | data[i + 1]!;
  const word = (i: number): number => half(i) * 65_536 + half(i + 2);
  const hex = hexOfBytes(data);
  if (kind === 2 && data.length === 2) return { kind: 'mss', value: half(0) };
  if (kind === 3 && data.length === 1) return { kind: 'wscale', value: data[0]! };
  if (kind === 4 && data.length === 0) return { kind: 'sackOK' };
  if (kind === 8 && data.length === 8) return { kind: 'TS', val: word(0), ecr: word(4) };
  if (kind === 19 && data.length === 16) return { kind: 'md5', digest: hex };
  if (kind === FAST_OPEN) return { kind: 'FO', cookie: hex };
  if (kind === FAST_OPEN_EXPERIMENT && data.length >= 2 && half(0) === FAST_OPEN_EXID)
    return { kind: 'FOEXP', cookie: hex.slice(4) };
  if (kind === EXPERIMENTAL && data.length === 3 && half(0) === HOLDER_EXID && data[2] === 1)
    return { kind: 'tw-holder' };
  if (kind !== 5 || data.length % 8 !== 0 || data.length === 0)
    return { kind: 'other', number: kind, data: hex };
  const blocks: [number, number][] = [];
  for (let i = 0; i < data.length; i += 8)
    blocks.push([(word(i) - bases.ack) >>> 0, (word(i + 4) - bases.ack) >>> 0]);
  return { kind: 'sack', blocks };
}

function bytes32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
