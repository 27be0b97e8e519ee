/** Values of the expressions of code.ts: numbers, texts and lists of them, as Python has them. */
import type { Expression, FormatPart } from './code.js';

export type Result = number | string | readonly Result[];

/** The value of a name; null for one that is unknown. */
export type LookUp = (name: string) => Result | null;

/** What went wrong while evaluating: an unknown name, a division by zero. */
export class EvaluationError extends Error {}

/** Elements of a list at most: nothing a script computes may grow without end. */
const LONGEST = 10_000;

export function evaluate(e: Expression, lookUp: LookUp): Result {
  switch (e.kind) {
    case 'constant':
      return e.value;
    case 'name': {
      const value = lookUp(e.name);
      if (value === null) throw new EvaluationError(`unknown name '${e.name}'`);
      return value;
    }
    case 'list':
      return e.items.map((item) => evaluate(item, lookUp));
    case 'index':
      return element(evaluate(e.of, lookUp), numberOf(evaluate(e.at, lookUp)));
    case 'format':
      return e.parts.map((part) => (typeof part === 'string' ? part : formatPart(part, lookUp))).join('');
    case 'choice':
      return evaluate(holds(evaluate(e.condition, lookUp)) ? e.yes : e.no, lookUp);
    case 'unary': {
      const value = evaluate(e.of, lookUp);
      if (e.operator === 'not') return holds(value) ? 0 : 1;
      const number = numberOf(value);
      return e.operator === '-' ? -number : e.operator === '~' ? -number - 1 : number;
    }
    case 'binary':
      return binary(e.operator, e.left, e.right, lookUp);
    case 'comparison': {
      let left = evaluate(e.first, lookUp);
      for (const [operator, next] of e.rest) {
        const right = evaluate(next, lookUp);
        if (!compare(operator, left, right)) return 0;
        left = right;
      }
      return 1;
    }
    case 'call':
      return call(
        e.name,
        e.args.map((arg) => evaluate(arg, lookUp)),
      );
  }
}

/** Is it true? Zero, '' and an empty list are not. */
export function holds(value: Result): boolean {
  return typeof value === 'number' ? value !== 0 : value.length > 0;
}

/** As print() writes it. */
export function textOf(value: Result): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  return `[${value.map((item) => (typeof item === 'string' ? `'${item}'` : textOf(item))).join(', ')}]`;
}

function numberOf(value: Result): number {
  if (typeof value !== 'number') throw new EvaluationError(`'${textOf(value)}' is no number`);
  return value;
}

function element(of: Result, at: number): Result {
  if (typeof of === 'number') throw new EvaluationError(`${of} is no list`);
  const found = of.at(at);
  if (found === undefined) throw new EvaluationError(`no element ${at} of ${of.length}`);
  return found;
}

function formatPart({ value, spec }: FormatPart, lookUp: LookUp): string {
  return formatted(evaluate(value, lookUp), spec);
}

/** `spec` as in Python: '04d', '.1f', 'x', '6s', ''. */
function formatted(value: Result, spec: string): string {
  const [, zero, width, digits, letter] = /^(0?)(\d*)(?:\.(\d+))?([a-z]?)$/.exec(spec)!;
  let text: string;
  if (letter === 'd' || letter === 'i') text = String(Math.trunc(numberOf(value)));
  else if (letter === 'x') text = Math.trunc(numberOf(value)).toString(16);
  else if (letter === 'f' || digits !== undefined) text = numberOf(value).toFixed(Number(digits ?? 6));
  else text = textOf(value);
  return text.padStart(Number(width), zero === '' ? ' ' : '0');
}

/** `'cwnd %d of %d' % (a, b)` */
function percent(text: string, value: Result): string {
  const values = Array.isArray(value) ? (value as readonly Result[]) : [value];
  let next = 0;
  const filled = text.replace(/%(?:%|(0?\d*(?:\.\d+)?)([a-z]))/g, (all, spec: string, letter: string) => {
    if (all === '%%') return '%';
    if (!'dixsf'.includes(letter)) throw new EvaluationError(`unknown format '${all}'`);
    if (next === values.length) throw new EvaluationError('fewer values than the format has places');
    return formatted(values[next++]!, spec + letter);
  });
  if (next < values.length) throw new EvaluationError('more values than the format has places');
  return filled;
}

function binary(operator: string, l: Expression, r: Expression, lookUp: LookUp): Result {
  const left = evaluate(l, lookUp);
  if (operator === 'and') return holds(left) ? evaluate(r, lookUp) : left;
  if (operator === 'or') return holds(left) ? left : evaluate(r, lookUp);
  const right = evaluate(r, lookUp);
  if (typeof left === 'string' && operator === '%') return percent(left, right);
  if (operator === '+' && typeof left === 'string' && typeof right === 'string') return bounded(left + right);
  if (operator === '+' && typeof left === 'object' && typeof right === 'object')
    return bounded([...left, ...right]);
  return arithmetic(operator, numberOf(left), numberOf(right));
}

function bounded<T extends string | readonly Result[]>(value: T): T {
  if (value.length > LONGEST) throw new EvaluationError(`more than ${LONGEST} elements`);
  return value;
}

function arithmetic(operator: string, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
    case '//':
    case '%':
      if (b === 0) throw new EvaluationError('division by zero');
      return operator === '/' ? a / b : operator === '//' ? Math.floor(a / b) : a - b * Math.floor(a / b);
    case '<<':
      return a * 2 ** b;
    case '>>':
      return Math.floor(a / 2 ** b);
  }
  if (!Number.isInteger(a) || !Number.isInteger(b)) throw new EvaluationError(`'${operator}' takes integers`);
  const [x, y] = [BigInt(a), BigInt(b)];
  return Number(operator === '&' ? x & y : operator === '|' ? x | y : x ^ y);
}

function same(a: Result, b: Result): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return a === b;
  return a.length === b.length && a.every((item, i) => same(item, b[i]!));
}

function contains(all: Result, one: Result): boolean {
  if (typeof all === 'number') throw new EvaluationError(`${all} is no list`);
  if (typeof all === 'string') return typeof one === 'string' && all.includes(one);
  return all.some((item) => same(item, one));
}

function compare(operator: string, a: Result, b: Result): boolean {
  switch (operator) {
    case '==':
      return same(a, b);
    case '!=':
      return !same(a, b);
    case 'in':
      return contains(b, a);
    case 'not in':
      return !contains(b, a);
  }
  const [x, y] = [numberOf(a), numberOf(b)];
  return operator === '<' ? x < y : operator === '<=' ? x <= y : operator === '>' ? x > y : x >= y;
}

function call(name: string, args: readonly Result[]): Result {
  const [first] = args;
  if (first === undefined) throw new EvaluationError(`${name}() needs an argument`);
  switch (name) {
    case 'len':
      if (typeof first === 'number') throw new EvaluationError(`${first} has no length`);
      return first.length;
    case 'str':
      return textOf(first);
    case 'int':
    case 'float': {
      const number = typeof first === 'string' ? Number(first) : numberOf(first);
      if (Number.isNaN(number)) throw new EvaluationError(`'${textOf(first)}' is no number`);
      return name === 'int' ? Math.trunc(number) : number;
    }
    case 'abs':
      return Math.abs(numberOf(first));
    case 'round':
      return Number(numberOf(first).toFixed(args.length > 1 ? numberOf(args[1]!) : 0));
  }
  const numbers = (typeof first === 'object' ? first : args).map(numberOf);
  if (name === 'sum') return numbers.reduce((sum, each) => sum + each, 0);
  if (numbers.length === 0) throw new EvaluationError(`${name}() of nothing`);
  return name === 'min' ? Math.min(...numbers) : Math.max(...numbers);
}

/** Names an expression looks up, in order, each once: for the message of a failed assertion. */
export function namesIn(e: Expression): string[] {
  const found = new Set<string>();
  const walk = (x: Expression): void => {
    if (x.kind === 'name') found.add(x.name);
    else if (x.kind === 'unary') walk(x.of);
    else if (x.kind === 'binary') [x.left, x.right].forEach(walk);
    else if (x.kind === 'comparison') [x.first, ...x.rest.map(([, each]) => each)].forEach(walk);
    else if (x.kind === 'call') x.args.forEach(walk);
    else if (x.kind === 'list') x.items.forEach(walk);
    else if (x.kind === 'index') [x.of, x.at].forEach(walk);
    else if (x.kind === 'choice') [x.condition, x.yes, x.no].forEach(walk);
    else if (x.kind === 'format') x.parts.forEach((part) => typeof part !== 'string' && walk(part.value));
  };
  walk(e);
  return [...found];
}
