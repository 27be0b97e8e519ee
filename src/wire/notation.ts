/**
 * The segment notation of packetdrill, both ways:
 *
 *     [ect0] F. 1001:1001(0) ack 1 win 100 <nop,nop,TS val 1 ecr 2>
 *
 * What matters of the IP header in square brackets, flags S F R P . U E W (. is ACK, - none),
 * first:end(length) with end = first + length, then `ack`, `win`, `urg`, and options in angle
 * brackets. `...` stands for any number, `<...>` for any options: in what is expected only.
 */
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, type Segment } from './segment.js';

/** In the order in which they are written. */
export const letters: readonly (readonly [string, number])[] = [
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

export function hexOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('');
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
