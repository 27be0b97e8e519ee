/** Arguments of calls: a small grammar of numbers, names, texts, `[...]`, `{...}` and `...`. */
import { nearest } from '../nearest.js';
import { constants, errnos } from './constants.js';
import type { Reader } from './reader.js';
import type { Value } from './script.js';

const NAME = /[A-Za-z_][A-Za-z0-9_.]*/y;
const INTEGER = /0[xX][0-9a-fA-F]+|\d+/y;
/** Arrays and structs within each other at most. */
const DEEPEST = 16;
/** Functions of the notation, each of one argument that stays as it is. */
const WRAPPERS = new Set(['htons', 'htonl', 'inet_addr', 'inet_pton']);

export const ANY: Value = { kind: 'any' };
export const number = (value: number): Value => ({ kind: 'number', value });

/** The arguments between parentheses; the opening one was taken. */
export function parseArguments(r: Reader): Value[] {
  return listOf(r, ')', (depth) => parseValue(r, depth), 0);
}

function listOf<T>(r: Reader, close: string, parse: (depth: number) => T, depth: number): T[] {
  const items: T[] = [];
  for (;;) {
    r.space();
    if (items.length === 0 && r.take(close)) return items;
    items.push(parse(depth + 1));
    r.space();
    if (r.take(close)) return items;
    if (!r.take(',')) r.fail(`',' or '${close}'`);
  }
}

export function parseValue(r: Reader, depth = 0): Value {
  if (depth > DEEPEST) r.fail(`at most ${DEEPEST} levels of nesting`);
  r.space();
  if (r.take('...')) return ANY;
  if (r.next === '"') return textOf(r);
  if (r.take('[')) return { kind: 'list', items: listOf(r, ']', (d) => parseValue(r, d), depth) };
  if (r.take('{')) return recordOf(r, depth);
  const start = r.at;
  const name = r.match(NAME);
  if (name !== null && WRAPPERS.has(name) && r.take('(')) {
    const args = listOf(r, ')', (d) => parseValue(r, d), depth);
    const last = args.at(-1);
    if (last === undefined) r.fail(`an argument of ${name}`, start);
    return last;
  }
  r.at = start;
  return number(sumOf(r));
}

function textOf(r: Reader): Value {
  const start = r.at;
  const literal = r.match(/"(?:[^"\\\n]|\\.)*"/y);
  if (literal === null) return r.fail('the closing quote', start);
  const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', 0: '\0' };
  const value = literal
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (_, hex: string | undefined, one: string) =>
      hex === undefined ? (escapes[one] ?? one) : String.fromCharCode(Number.parseInt(hex, 16)),
    );
  return { kind: 'text', value };
}

/** `{a=1, b=...}`, `{1, 2}`, `{msg_iov(2)=[...]}`. */
function recordOf(r: Reader, depth: number): Value {
  const fields = new Map<string, Value>();
  const given = new Set<string>();
  const pairs = listOf(
    r,
    '}',
    (d): [string, Value] => {
      r.space();
      const start = r.at;
      // The number in parentheses says how many; the list behind it says so as well.
      const name = r.match(/[A-Za-z_][A-Za-z0-9_.]*(?:\((?:\d+|\.\.\.)\))?\s*=(?!=)/y);
      if (name === null) return ['', parseValue(r, d)];
      const bare = name.replace(/[\s(=].*$/s, '');
      if (given.has(bare)) r.fail(`another field: '${bare}' was given`, start);
      given.add(bare);
      return [bare, parseValue(r, d)];
    },
    depth,
  );
  pairs.forEach(([name, value], i) => fields.set(name === '' ? String(i) : name, value));
  return { kind: 'record', fields };
}

/** `|`, `+` and `-` between numbers and names, from left to right. */
function sumOf(r: Reader): number {
  let value = shiftedOf(r);
  for (;;) {
    r.blanks();
    if (r.take('|')) value = Number(BigInt(value) | BigInt(shiftedOf(r)));
    else if (r.take('+')) value += shiftedOf(r);
    else if (r.next === '-') {
      r.at++;
      value -= shiftedOf(r);
    } else return value;
  }
}

function shiftedOf(r: Reader): number {
  let value = numberOf(r);
  for (;;) {
    r.blanks();
    if (r.take('<<')) value *= 2 ** numberOf(r);
    else if (r.take('*')) value *= numberOf(r);
    else return value;
  }
}

function numberOf(r: Reader): number {
  r.space();
  const start = r.at;
  if (r.take('-')) return -numberOf(r);
  if (r.take('~')) return -numberOf(r) - 1;
  if (r.take('(')) {
    const inner = sumOf(r);
    r.space();
    if (!r.take(')')) r.fail("')'");
    return inner;
  }
  const digits = r.match(INTEGER);
  if (digits !== null) return /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  const name = r.match(NAME);
  if (name === null) return r.fail('a value: a number, a name, "text", [list], {struct} or ...', start);
  const value = constants.get(name) ?? errnos[name];
  if (value !== undefined) return value;
  const names = [...constants.keys(), ...Object.keys(errnos)];
  return r.fail(`a constant that is known here, such as ${nearest(name, names).join(', ')}`, start);
}

/** As scripts write it; flags stay numbers. */
export function formatValue(value: Value): string {
  switch (value.kind) {
    case 'number':
      return String(value.value);
    case 'text':
      return JSON.stringify(value.value);
    case 'any':
      return '...';
    case 'list':
      return `[${value.items.map(formatValue).join(', ')}]`;
    case 'record':
      return `{${[...value.fields].map(([name, each]) => (/^\d/.test(name) ? formatValue(each) : `${name}=${formatValue(each)}`)).join(', ')}}`;
  }
}

/** Does what came back fit what was written? Fields that were not written are not compared. */
export function fits(expected: Value, got: Value): boolean {
  if (expected.kind === 'any' || got.kind === 'any') return true;
  if (expected.kind === 'number' || expected.kind === 'text')
    return expected.kind === got.kind && expected.value === got.value;
  if (expected.kind === 'list')
    return (
      got.kind === 'list' &&
      expected.items.length === got.items.length &&
      expected.items.every((item, i) => fits(item, got.items[i]!))
    );
  if (got.kind !== 'record') return false;
  for (const [name, value] of expected.fields) {
    const other = got.fields.get(name);
    if (other !== undefined && !fits(value, other)) return false;
  }
  return true;
}
