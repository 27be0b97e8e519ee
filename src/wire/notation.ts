/**
 * The segment notation of packetdrill, both ways:
 *
 *     [ect0] F. 1001:1001(0) ack 1 win 100 <nop,nop,TS val 1 ecr 2>
 *
 * What matters of the IP header in square brackets, flags S F R P . U E W (. is ACK, - none),
 * first:end(length) with end = first + length, then `ack`, `win`, `urg`, and options in angle
 * brackets. `...` stands for any number, `<...>` for any options: in what is expected only.
 */
import type { Address } from './address.js';
import { SegmentBuilder } from './builder.js';
import {
  ACK,
  CWR,
  ECE,
  EXPERIMENTAL,
  FAST_OPEN,
  FAST_OPEN_EXID,
  FAST_OPEN_EXPERIMENT,
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
  | {
      readonly kind: 'TS';
      readonly val: number;
      readonly ecr: number;
      readonly anyVal?: true;
      readonly anyEcr?: true;
    }
  | { readonly kind: 'sack'; readonly blocks: readonly (readonly [number, number])[] }
  /** Fast open (RFC 7413): the cookie in hexadecimal digits, '' asks for one. FOEXP is its experimental form. */
  | { readonly kind: 'FO' | 'FOEXP'; readonly cookie: string }
  /** RFC 2385: the digest in hexadecimal digits, null for any (sent as zeros). */
  | { readonly kind: 'md5'; readonly digest: string | null }
  /** An option without a name here: `option-34 0102`, its octets behind kind and length in hexadecimal digits. */
  | { readonly kind: 'other'; readonly number: number; readonly data: string };

export const ECN_NAMES = ['noecn', 'ect1', 'ect0', 'ce'] as const;

/** What is said of the IP header; absent parts are left alone. */
export interface IpText {
  /** The two ECN bits of the old TOS octet: 0 noecn, 1 ect1, 2 ect0, 3 ce; 'ect01' is either ECT. */
  readonly ecn?: number | 'ect01';
  /** The whole octet, ECN bits included. */
  readonly tos?: number;
  /** TTL or hop limit. */
  readonly ttl?: number;
}

/** RFC 6951 for TCP, as FreeBSD has it: the segment is the payload of a UDP datagram. */
export interface UdpText {
  readonly srcPort: number;
  readonly dstPort: number;
}

/** A segment as written: absent parts are undefined. Numbers are unsigned. */
export interface SegmentText {
  readonly ip?: IpText;
  /** `/udp(9811 > 1)` behind the segment. */
  readonly udp?: UdpText;
  readonly flags: number;
  /** Written as `...`: whatever the number is. */
  readonly anySeq?: true;
  /** `0:0(0)!`: the number as it stands on the wire, whatever the conversation counts from. */
  readonly absolute?: true;
  readonly anyAck?: true;
  readonly anyWin?: true;
  readonly anyOptions?: true;
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
      return `TS val ${option.anyVal ? '...' : option.val} ecr ${option.anyEcr ? '...' : option.ecr}`;
    case 'FO':
    case 'FOEXP':
      return option.cookie === '' ? option.kind : `${option.kind} ${option.cookie}`;
    case 'md5':
      return option.digest === null ? 'md5' : `md5 ${option.digest}`;
    case 'other':
      return `option-${option.number}${option.data === '' ? '' : ` ${option.data}`}`;
    case 'sack':
      return `sack ${option.blocks.map(([left, right]) => `${left}:${right}`).join(' ')}`;
    default:
      return option.kind;
  }
}

function formatIp(ip: IpText): string {
  const parts: string[] = [];
  if (ip.ecn !== undefined) parts.push(ip.ecn === 'ect01' ? ip.ecn : ECN_NAMES[ip.ecn]!);
  if (ip.tos !== undefined) parts.push(`tos 0x${ip.tos.toString(16).padStart(2, '0')}`);
  if (ip.ttl !== undefined) parts.push(`ttl ${ip.ttl}`);
  return `[${parts.join(', ')}] `;
}

export function formatNotation(s: SegmentText): string {
  let text = s.ip === undefined ? '' : formatIp(s.ip);
  text += formatFlags(s.flags);
  text += s.anySeq ? ` ...(${s.length})` : ` ${s.seq}:${(s.seq + s.length) % 2 ** 32}(${s.length})`;
  if (s.absolute) text += '!';
  if (s.ack !== undefined) text += ` ack ${s.anyAck ? '...' : s.ack}`;
  if (s.win !== undefined) text += ` win ${s.anyWin ? '...' : s.win}`;
  if (s.urg !== undefined) text += ` urg ${s.urg}`;
  if (s.anyOptions) text += ' <...>';
  if (s.options !== undefined && s.options.length > 0) text += ` <${s.options.map(formatOption).join(',')}>`;
  if (s.udp !== undefined) text += `/udp(${s.udp.srcPort} > ${s.udp.dstPort})`;
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
  if (segment.cookieLength >= 0) {
    const { cookieOffset: at, cookieLength: length } = segment;
    const cookie = hexOfBytes(segment.bytes.subarray(at, at + length));
    options.push({ kind: segment.cookieExperiment ? 'FOEXP' : 'FO', cookie });
  }
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
    throw new SyntaxFailure(`found ${found}; expected ${expected}`, this.at + 1);
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

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function segmentOf(r: Reader): SegmentText {
  const text: Mutable<SegmentText> = { flags: 0, seq: 0, length: 0 };
  r.spaces();
  if (r.take('[')) text.ip = ipOf(r, ']');
  else if (r.take('(')) text.ip = ipOf(r, ')');
  r.spaces();
  text.flags = flagsOf(r);
  r.spaces();
  rangeOf(r, text);
  r.spaces();
  if (r.word('ack')) {
    text.ack = 0;
    if (r.take('...')) text.anyAck = true;
    else text.ack = r.number('an acknowledgment number', U32);
  }
  r.spaces();
  if (r.word('win')) {
    text.win = 0;
    if (r.take('...')) text.anyWin = true;
    else text.win = r.number('a window', 65_535);
  }
  r.spaces();
  if (r.word('urg')) text.urg = r.number('an urgent pointer', 65_535);
  r.spaces();
  if (r.take('<...>')) text.anyOptions = true;
  else if (r.take('<')) text.options = optionsOf(r);
  r.spaces();
  if (r.take('/udp(')) text.udp = udpOf(r);
  r.spaces();
  if (r.at < r.text.length) r.fail(`${restOf(text)}the end of the segment`);
  return text;
}

/** What may still follow: the parts have one order. */
function restOf(text: SegmentText): string {
  if (text.udp !== undefined) return '';
  const parts = ["'ack'", "'win'", "'urg'", "'<' and options", "'/udp('"];
  const given = [text.ack, text.win, text.urg, text.options ?? text.anyOptions];
  return parts
    .slice(given.findLastIndex((part) => part !== undefined) + 1)
    .map((part) => `${part}, `)
    .join('')
    .replace(/, $/, ' or ');
}

/** FIRST:END(LENGTH), or ...(LENGTH). */
function rangeOf(r: Reader, text: Mutable<SegmentText>): void {
  const anywhere = r.take('...');
  let endColumn = r.at;
  let end = 0;
  if (anywhere) text.anySeq = true;
  else {
    text.seq = r.number('a sequence number', U32);
    if (!r.take(':')) r.fail("':'");
    endColumn = r.at;
    end = r.number('the end sequence number', U32);
  }
  if (!r.take('(')) r.fail("'('");
  text.length = r.number('a length', 65_535);
  if (!r.take(')')) r.fail("')'");
  if (r.take('!')) text.absolute = true;
  const right = (text.seq + text.length) % 2 ** 32;
  if (!anywhere && end !== right) {
    r.at = endColumn;
    r.fail(`the end ${right} (${text.seq} + ${text.length})`);
  }
}

function udpOf(r: Reader): UdpText {
  const port = (): number => {
    r.spaces();
    const value = r.number('a UDP port', 65_535);
    r.spaces();
    return value;
  };
  const srcPort = port();
  if (!r.take('>')) r.fail("'>'");
  const dstPort = port();
  if (!r.take(')')) r.fail("')'");
  return { srcPort, dstPort };
}

/** The part in brackets: `[ect0]`, `(tos 0x10, ttl 64)`. */
function ipOf(r: Reader, close: string): IpText {
  const ip: Mutable<IpText> = {};
  for (;;) {
    r.spaces();
    const ecn = ECN_NAMES.findIndex((name) => r.word(name));
    if (ecn >= 0) ip.ecn = ecn;
    else if (r.word('ect01')) ip.ecn = 'ect01';
    else if (r.word('tos') || r.word('tclass') || r.word('class')) ip.tos = octetOf(r, 'a TOS octet');
    else if (r.word('ttl') || r.word('hlim')) ip.ttl = octetOf(r, 'a TTL');
    else r.fail('noecn, ect0, ect1, ect01, ce, tos, tclass, ttl or hlim');
    r.spaces();
    if (r.take(close)) return ip;
    if (!r.take(',')) r.fail(`',' or '${close}'`);
  }
}

function octetOf(r: Reader, what: string): number {
  const hex = /^0x[0-9a-fA-F]{1,2}(?![0-9a-zA-Z])/.exec(r.text.slice(r.at, r.at + 5))?.[0];
  if (hex === undefined) return r.number(what, 255);
  r.at += hex.length;
  return Number(hex);
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
    // The dot may stand apart
    if (/^[ \t]+\.[ \t]/.test(r.text.slice(r.at, r.at + 9))) r.spaces();
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
    const anyVal = r.take('...');
    const val = anyVal ? 0 : r.number('a timestamp', U32);
    r.spaces();
    if (!r.word('ecr')) r.fail("'ecr'");
    const anyEcr = r.take('...');
    const ecr = anyEcr ? 0 : r.number('a timestamp', U32);
    return {
      kind: 'TS',
      val,
      ecr,
      ...(anyVal ? { anyVal } : {}),
      ...(anyEcr ? { anyEcr } : {}),
    };
  }
  if (r.word('FOEXP')) return { kind: 'FOEXP', cookie: hexOf(r, 36) };
  if (r.word('FO')) return { kind: 'FO', cookie: hexOf(r, 38) };
  if (r.take('option-')) {
    const number = r.number('the kind of an option', 255);
    r.spaces();
    return { kind: 'other', number, data: hexOf(r, 38) };
  }
  if (r.word('md5')) {
    const digest = r.word('valid') ? '' : hexOf(r, 16);
    return { kind: 'md5', digest: digest === '' ? null : digest };
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
  return r.fail('an option: mss, nop, eol, wscale, sackOK, TS, sack, FO, FOEXP, md5, tw-holder, option-N');
}

/** Octets in hexadecimal digits; '' when there are none. */
function hexOf(r: Reader, most: number): string {
  const digits = /^[0-9a-fA-F]*/.exec(r.text.slice(r.at))![0];
  if (digits.length % 2 !== 0 || digits.length > 2 * most) r.fail(`at most ${most} octets in hexadecimal`);
  r.at += digits.length;
  return digits.toLowerCase();
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

function hexOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('');
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
