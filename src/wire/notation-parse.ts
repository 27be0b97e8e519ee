/** Text to segment: the parser of the notation (notation.ts). */
import {
  ECN_NAMES,
  letters,
  type OptionText,
  type IpText,
  type UdpText,
  type SegmentText,
  type NotationError,
} from './notation.js';
import { MOST_OPTION_BYTES, optionBytes } from './notation-packet.js';

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
