/**
 * The segment notation of packetdrill, both ways:
 *
 *     F. 1001:1001(0) ack 1 win 100 <nop,nop,TS val 1 ecr 2>
 *
 * Flags S F R P . U E W (. is ACK, - none), first:end(length) with end = first + length,
 * then `ack`, `win`, `urg`, and options in angle brackets.
 */
import type { Address } from './address.js';
import { SegmentBuilder } from './builder.js';
import {
  ACK,
  CWR,
  ECE,
  EXPERIMENTAL,
  FIN,
  HOLDER_EXID,
  PSH,
  RST,
  SYN,
  URG,
  type Segment,
} from './segment.js';

const letters: readonly (readonly [string, number])[] = [
  ['F', FIN],
  ['S', SYN],
  ['R', RST],
  ['P', PSH],
  ['.', ACK],
  ['U', URG],
  ['E', ECE],
  ['W', CWR],
];

export type OptionText =
  | { readonly kind: 'mss'; readonly value: number }
  | { readonly kind: 'wscale'; readonly value: number }
  | { readonly kind: 'sackOK' }
  /** Segment.holder: the active opener is to hold TIME-WAIT. */
  | { readonly kind: 'tw-holder' }
  | { readonly kind: 'nop' }
  | { readonly kind: 'eol' }
  | { readonly kind: 'TS'; readonly val: number; readonly ecr: number }
  | { readonly kind: 'sack'; readonly blocks: readonly (readonly [number, number])[] };

/** A segment as written: absent parts are undefined. Numbers are unsigned. */
export interface SegmentText {
  readonly flags: number;
  readonly seq: number;
  readonly length: number;
  readonly ack?: number;
  readonly win?: number;
  readonly urg?: number;
  readonly options?: readonly OptionText[];
}

export interface NotationError {
  readonly error: string;
  /** 1-based column. */
  readonly column: number;
}

export function formatFlags(flags: number): string {
  let text = '';
  for (const [letter, bit] of letters) if ((flags & bit) !== 0) text += letter;
  return text === '' ? '-' : text;
}

function formatOption(option: OptionText): string {
  switch (option.kind) {
    case 'mss':
    case 'wscale':
      return `${option.kind} ${option.value}`;
    case 'TS':
      return `TS val ${option.val} ecr ${option.ecr}`;
    case 'sack':
      return `sack ${option.blocks.map(([left, right]) => `${left}:${right}`).join(' ')}`;
    default:
      return option.kind;
  }
}

export function formatNotation(s: SegmentText): string {
  let text = `${formatFlags(s.flags)} ${s.seq}:${(s.seq + s.length) % 2 ** 32}(${s.length})`;
  if (s.ack !== undefined) text += ` ack ${s.ack}`;
  if (s.win !== undefined) text += ` win ${s.win}`;
  if (s.urg !== undefined) text += ` urg ${s.urg}`;
  if (s.options !== undefined && s.options.length > 0) text += ` <${s.options.map(formatOption).join(',')}>`;
  return text;
}

/** What numbers are counted from; absolute when left out. */
export interface Bases {
  readonly seq: number;
  readonly ack: number;
}

/** A received segment as written, its known options in a fixed order. */
export function describeSegment(segment: Segment, bases: Bases = { seq: 0, ack: 0 }): SegmentText {
  const options: OptionText[] = [];
  if (segment.mss >= 0) options.push({ kind: 'mss', value: segment.mss });
  if (segment.sackPermitted) options.push({ kind: 'sackOK' });
  if (segment.hasTimestamp) options.push({ kind: 'TS', val: segment.tsVal >>> 0, ecr: segment.tsEcr >>> 0 });
  if (segment.windowScale >= 0) options.push({ kind: 'wscale', value: segment.windowScale });
  if (segment.holder) options.push({ kind: 'tw-holder' });
  if (segment.sackCount > 0) {
    const blocks: [number, number][] = [];
    for (let i = 0; i < segment.sackCount; i++) {
      blocks.push([(segment.sack[2 * i]! - bases.ack) >>> 0, (segment.sack[2 * i + 1]! - bases.ack) >>> 0]);
    }
    options.push({ kind: 'sack', blocks });
  }
  return {
    flags: segment.flags,
    seq: (segment.seq - bases.seq) >>> 0,
    length: segment.payloadLength,
    ...((segment.flags & ACK) !== 0 ? { ack: (segment.ack - bases.ack) >>> 0 } : {}),
    win: segment.wnd,
    ...((segment.flags & URG) !== 0 ? { urg: segment.urgent } : {}),
    options,
  };
}

export function formatSegment(segment: Segment, bases?: Bases): string {
  return formatNotation(describeSegment(segment, bases));
}

/** A cursor over the text; `fail` throws inside this file only, `parseNotation` turns it into a NotationError. */
class Reader {
  at = 0;

  constructor(readonly text: string) {}

  fail(expected: string): never {
    const found = this.at < this.text.length ? `'${this.text.slice(this.at, this.at + 12)}'` : 'the end';
    throw new SyntaxFailure(`expected ${expected}, found ${found}`, this.at + 1);
  }

  spaces(): void {
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at++;
  }

  take(literal: string): boolean {
    if (!this.text.startsWith(literal, this.at)) return false;
    this.at += literal.length;
    return true;
  }

  word(literal: string): boolean {
    if (
      !this.text.startsWith(literal, this.at) ||
      /[A-Za-z0-9]/.test(this.text[this.at + literal.length] ?? '')
    )
      return false;
    this.at += literal.length;
    this.spaces();
    return true;
  }

  number(what: string, most: number): number {
    const digits = /^\d+/.exec(this.text.slice(this.at, this.at + 11))?.[0];
    if (digits === undefined) this.fail(what);
    if (Number(digits) > most) this.fail(`${what} of at most ${most}`);
    this.at += digits!.length;
    return Number(digits);
  }
}

class SyntaxFailure extends Error {
  constructor(
    message: string,
    readonly column: number,
  ) {
    super(message);
  }
}

const U32 = 2 ** 32 - 1;
/** A TCP header has room for so many bytes of options. */
const MOST_OPTION_BYTES = 40;

export function parseNotation(text: string): SegmentText | NotationError {
  const reader = new Reader(text);
  try {
    return segmentOf(reader);
  } catch (error) {
    if (error instanceof SyntaxFailure) return { error: error.message, column: error.column };
    throw error;
  }
}

function segmentOf(r: Reader): SegmentText {
  r.spaces();
  const flags = flagsOf(r);
  r.spaces();
  const seq = r.number('a sequence number', U32);
  if (!r.take(':')) r.fail("':'");
  const endColumn = r.at;
  const end = r.number('the end sequence number', U32);
  if (!r.take('(')) r.fail("'('");
  const length = r.number('a length', 65_535);
  if (!r.take(')')) r.fail("')'");
  if (end !== (seq + length) % 2 ** 32) {
    r.at = endColumn;
    r.fail(`end ${(seq + length) % 2 ** 32} (${seq} + ${length})`);
  }
  r.spaces();
  const ack = r.word('ack') ? r.number('an acknowledgment number', U32) : undefined;
  r.spaces();
  const win = r.word('win') ? r.number('a window', 65_535) : undefined;
  r.spaces();
  const urg = r.word('urg') ? r.number('an urgent pointer', 65_535) : undefined;
  r.spaces();
  const options = r.take('<') ? optionsOf(r) : undefined;
  r.spaces();
  if (r.at < r.text.length) r.fail('the end of the segment');
  return {
    flags,
    seq,
    length,
    ...(ack === undefined ? {} : { ack }),
    ...(win === undefined ? {} : { win }),
    ...(urg === undefined ? {} : { urg }),
    ...(options === undefined ? {} : { options }),
  };
}

function flagsOf(r: Reader): number {
  if (r.take('-')) return 0;
  let flags = 0;
  const start = r.at;
  for (;;) {
    const found = letters.find(([letter]) => r.text[r.at] === letter);
    if (found === undefined) break;
    flags |= found[1];
    r.at++;
  }
  if (r.at === start) r.fail("flags of S F R P . U E W, or '-'");
  return flags;
}

function optionsOf(r: Reader): OptionText[] {
  const options: OptionText[] = [];
  let room = MOST_OPTION_BYTES;
  for (;;) {
    r.spaces();
    if (options.length === 0 && r.take('>')) return options;
    const start = r.at;
    const option = optionOf(r);
    room -= optionBytes(option).length;
    if (room < 0) {
      r.at = start;
      r.fail(`at most ${MOST_OPTION_BYTES} bytes of options`);
    }
    options.push(option);
    r.spaces();
    if (r.take('>')) return options;
    if (!r.take(',')) r.fail("',' or '>'");
  }
}

function optionOf(r: Reader): OptionText {
  if (r.word('mss')) return { kind: 'mss', value: r.number('an MSS', 65_535) };
  if (r.word('wscale')) return { kind: 'wscale', value: r.number('a shift', 255) };
  if (r.word('sackOK')) return { kind: 'sackOK' };
  if (r.word('tw-holder')) return { kind: 'tw-holder' };
  if (r.word('nop')) return { kind: 'nop' };
  if (r.word('eol')) return { kind: 'eol' };
  if (r.word('TS')) {
    if (!r.word('val')) r.fail("'val'");
    const val = r.number('a timestamp', U32);
    r.spaces();
    if (!r.word('ecr')) r.fail("'ecr'");
    return { kind: 'TS', val, ecr: r.number('a timestamp', U32) };
  }
  if (r.word('sack')) {
    const blocks: [number, number][] = [];
    while (/\d/.test(r.text[r.at] ?? '') && blocks.length < 4) {
      const left = r.number('a left edge', U32);
      if (!r.take(':')) r.fail("':'");
      blocks.push([left, r.number('a right edge', U32)]);
      r.spaces();
    }
    if (blocks.length === 0) r.fail('a SACK block LEFT:RIGHT');
    return { kind: 'sack', blocks };
  }
  return r.fail('an option: mss, nop, eol, wscale, sackOK, TS, sack, tw-holder');
}

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

function optionBytes(option: OptionText): number[] {
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
  }
}

function bytes32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
