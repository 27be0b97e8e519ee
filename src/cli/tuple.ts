/** `--tuple LOCAL-REMOTE` and `--side END`: which tuples are meant. */
import { isIPv6 } from 'node:net';
import { InvalidArgumentError } from 'commander';
import type { End } from '../view/exchange.js';
import { parseAddress } from '../wire/address.js';

/** One end as far as it was given. */
export interface EndPattern {
  readonly address: string | null;
  readonly port: number | null;
}

export interface TuplePattern {
  /** As the user wrote it. */
  readonly text: string;
  /** One end, or both in any order. */
  readonly ends: readonly EndPattern[];
}

const FORMS = 'ADDR:PORT, ADDR, PORT, [V6]:PORT or [V6]';

export function parseEnd(text: string): EndPattern | null {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  // Without brackets the last colon of an IPv6 address belongs to it.
  const split = bracketed ?? (isIPv6(text) ? [text, text, undefined] : /^([^:]*):(\d+)$/.exec(text));
  const alone = /^\d+$/.test(text);
  const written = alone ? '' : split === null ? text : (split[1] ?? '');
  const digits = alone ? text : split === null ? undefined : split[2];
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port > 65_535 || digits!.length > 5)) return null;
  if (written === '' || written === '*') return port === null ? null : { address: null, port };
  const address = parseAddress(written);
  return address === null ? null : { address: address.toString(), port };
}

/** null when the text names no tuple. */
export function parseTuple(text: string): TuplePattern | null {
  const parts = text.split('-').map((part) => parseEnd(part.trim()));
  if (parts.length > 2 || parts.some((part) => part === null)) return null;
  return { text, ends: parts as EndPattern[] };
}

export function tuplePattern(text: string): TuplePattern {
  const tuple = parseTuple(text);
  if (tuple === null) throw new InvalidArgumentError(`a tuple is END-END or one END, an END is ${FORMS}.`);
  return tuple;
}

export function sidePattern(text: string): EndPattern {
  const end = parseEnd(text);
  if (end === null) throw new InvalidArgumentError(`an end is ${FORMS}.`);
  return end;
}

export function isEnd(pattern: EndPattern, end: End): boolean {
  return (
    (pattern.address === null || pattern.address === end.address) &&
    (pattern.port === null || pattern.port === end.port)
  );
}

export function isTuple({ ends }: TuplePattern, a: End, b: End): boolean {
  const [one, other] = ends;
  if (one === undefined) return true;
  if (other === undefined) return isEnd(one, a) || isEnd(one, b);
  return (isEnd(one, a) && isEnd(other, b)) || (isEnd(one, b) && isEnd(other, a));
}
