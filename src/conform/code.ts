/**
 * What stands between `%{` and `}%`: assertions over the fields of TCP_INFO, in the little of
 * Python that scripts use. Nothing is run: names and numbers are looked up and compared.
 *
 *     assert tcpi_snd_cwnd == 10 and 2 <= tcpi_unacked < 5, tcpi_snd_cwnd
 *     x = tcpi_rtt // 1000
 */
import { Failure, type Reader } from './reader.js';

export type Expression =
  | { readonly kind: 'constant'; readonly value: number | string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'unary'; readonly operator: string; readonly of: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  /** `a < b <= c`: every pair holds. */
  | {
      readonly kind: 'comparison';
      readonly first: Expression;
      readonly rest: readonly (readonly [string, Expression])[];
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

export type Statement =
  | {
      readonly kind: 'assert';
      readonly condition: Expression;
      readonly message: Expression | null;
      /** The condition as written. */
      readonly source: string;
      /** Place in the script's text. */
      readonly at: number;
    }
  | { readonly kind: 'assign'; readonly name: string; readonly value: Expression }
  | { readonly kind: 'print'; readonly args: readonly Expression[] };

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+/y;
const COMPARE = /==|!=|<=|>=|<|>/y;
const FUNCTIONS = new Set(['abs', 'min', 'max', 'int', 'round']);
const KEYWORDS = new Set(['and', 'or', 'not', 'assert', 'print', 'pass', 'True', 'False']);
/** Nested parentheses at most. */
const DEEPEST = 64;

/** Binary operators by rank, loosest first. */
const RANKS: readonly (readonly string[])[] = [
  ['|'],
  ['^'],
  ['&'],
  ['<<', '>>'],
  ['+', '-'],
  ['//', '*', '/', '%'],
];

/** The statements up to `}%`, which is taken. Throws a Failure of the reader. */
export function parseCode(r: Reader): Statement[] {
  return new CodeParser(r).block();
}

class CodeParser {
  private depth = 0;

  constructor(private readonly r: Reader) {}

  block(): Statement[] {
    const { r } = this;
    const statements: Statement[] = [];
    for (;;) {
      this.lines();
      if (r.take('}%')) return statements;
      if (r.ended) r.fail("'}%'");
      const statement = this.statement();
      if (statement !== null) statements.push(statement);
      r.blanks();
      if (r.next !== '\n' && r.next !== ';' && r.next !== '#' && !r.text.startsWith('}%', r.at))
        r.fail("an operator, the end of the statement or '}%'");
    }
  }

  /** Ends of lines, semicolons and comments. */
  private lines(): void {
    const { r } = this;
    for (;;) {
      r.space();
      if (r.next === '#') r.line();
      else if (!r.take(';')) return;
    }
  }

  private statement(): Statement | null {
    const { r } = this;
    const start = r.at;
    const word = r.match(NAME);
    if (word === 'pass') return null;
    if (word === 'assert') {
      r.blanks();
      const at = r.at;
      const condition = this.disjunction();
      const source = r.text.slice(at, r.at).trim();
      r.blanks();
      const message = r.take(',') ? this.disjunction() : null;
      return { kind: 'assert', condition, message, source, at };
    }
    if (word === 'print') {
      r.blanks();
      const bracket = r.take('(');
      const args = this.list(bracket ? ')' : '');
      return { kind: 'print', args };
    }
    if (word !== null && !KEYWORDS.has(word)) {
      r.blanks();
      if (r.next === '=' && r.text[r.at + 1] !== '=') {
        r.at++;
        return { kind: 'assign', name: word, value: this.disjunction() };
      }
    }
    return r.fail('assert, print, pass or NAME = (code is not run)', start);
  }

  private space(): void {
    if (this.depth > 0) this.r.space();
    else this.r.blanks();
    // A line goes on behind a backslash.
    if (this.r.text.startsWith('\\\n', this.r.at)) {
      this.r.at += 2;
      this.space();
    }
  }

  private word(name: string): boolean {
    const { r } = this;
    this.space();
    if (!r.text.startsWith(name, r.at) || /[A-Za-z0-9_]/.test(r.text[r.at + name.length] ?? '')) return false;
    r.at += name.length;
    return true;
  }

  private disjunction(): Expression {
    let left = this.conjunction();
    while (this.word('or')) left = { kind: 'binary', operator: 'or', left, right: this.conjunction() };
    return left;
  }

  private conjunction(): Expression {
    let left = this.negation();
    while (this.word('and')) left = { kind: 'binary', operator: 'and', left, right: this.negation() };
    return left;
  }

  private negation(): Expression {
    if (this.word('not')) return this.deeper(() => ({ kind: 'unary', operator: 'not', of: this.negation() }));
    const first = this.ranked(0);
    const rest: [string, Expression][] = [];
    for (;;) {
      this.space();
      const operator = this.r.match(COMPARE);
      if (operator === null) break;
      rest.push([operator, this.ranked(0)]);
    }
    return rest.length === 0 ? first : { kind: 'comparison', first, rest };
  }

  private ranked(rank: number): Expression {
    const operators = RANKS[rank];
    if (operators === undefined) return this.unary();
    let left = this.ranked(rank + 1);
    for (;;) {
      this.space();
      const operator = operators.find((each) => this.r.text.startsWith(each, this.r.at));
      // The end of the block is no remainder.
      if (operator === undefined) return left;
      this.r.at += operator.length;
      left = { kind: 'binary', operator, left, right: this.ranked(rank + 1) };
    }
  }

  private unary(): Expression {
    this.space();
    for (const operator of ['-', '+', '~']) {
      if (this.r.take(operator)) return this.deeper(() => ({ kind: 'unary', operator, of: this.unary() }));
    }
    return this.atom();
  }

  private atom(): Expression {
    const { r } = this;
    const start = r.at;
    if (r.take('(')) {
      this.depth++;
      const inner = this.deeper(() => this.disjunction());
      this.space();
      if (!r.take(')')) r.fail("')'");
      this.depth--;
      return inner;
    }
    const quote = r.next;
    if (quote === '"' || quote === "'") {
      const text = r.match(quote === '"' ? /"[^"\n]*"/y : /'[^'\n]*'/y) ?? r.fail('the end of the text');
      return { kind: 'constant', value: text.slice(1, -1) };
    }
    const number = r.match(NUMBER);
    if (number !== null) return { kind: 'constant', value: Number(number) };
    const name = r.match(NAME);
    if (name === 'True' || name === 'False') return { kind: 'constant', value: name === 'True' ? 1 : 0 };
    if (name === null || KEYWORDS.has(name)) return r.fail('a value: a number, a name or (', start);
    if (r.next !== '(') return { kind: 'name', name };
    if (!FUNCTIONS.has(name))
      r.fail(`one of ${[...FUNCTIONS].join(', ')}: no other function is known`, start);
    r.at++;
    return { kind: 'call', name, args: this.deeper(() => this.list(')')) };
  }

  /** Values with commas between, up to and with `close`; '' for the end of the line. */
  private list(close: string): Expression[] {
    const { r } = this;
    const args: Expression[] = [];
    if (close !== '') this.depth++;
    this.space();
    const ended = (): boolean =>
      close === '' ? r.next === '\n' || r.next === ';' || r.text.startsWith('}%', r.at) : r.take(close);
    for (let first = true; !ended(); first = false) {
      if (!first && !r.take(',')) r.fail(close === '' ? "','" : `',' or '${close}'`);
      args.push(this.disjunction());
      this.space();
    }
    if (close !== '') this.depth--;
    return args;
  }

  private nesting = 0;

  private deeper(parse: () => Expression): Expression;
  private deeper(parse: () => Expression[]): Expression[];
  private deeper(parse: () => Expression | Expression[]): Expression | Expression[] {
    if (++this.nesting > DEEPEST) throw new Failure(`more than ${DEEPEST} levels of nesting`, this.r.at);
    const result = parse();
    this.nesting--;
    return result;
  }
}

type Result = number | string;

/** What went wrong while evaluating: an unknown name, a division by zero. */
export class EvaluationError extends Error {}

/** The value of an expression; `lookUp` answers null for a name it does not know. */
export function evaluate(e: Expression, lookUp: (name: string) => Result | null): Result {
  switch (e.kind) {
    case 'constant':
      return e.value;
    case 'name': {
      const value = lookUp(e.name);
      if (value === null) throw new EvaluationError(`unknown name '${e.name}'`);
      return value;
    }
    case 'unary': {
      const value = evaluate(e.of, lookUp);
      if (e.operator === 'not') return value ? 0 : 1;
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
        e.args.map((arg) => numberOf(evaluate(arg, lookUp))),
      );
  }
}

function numberOf(value: Result): number {
  if (typeof value === 'string') throw new EvaluationError(`'${value}' is no number`);
  return value;
}

function binary(
  operator: string,
  l: Expression,
  r: Expression,
  lookUp: (name: string) => Result | null,
): Result {
  const left = evaluate(l, lookUp);
  if (operator === 'and') return left ? evaluate(r, lookUp) : left;
  if (operator === 'or') return left ? left : evaluate(r, lookUp);
  const a = numberOf(left);
  const b = numberOf(evaluate(r, lookUp));
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
  const big =
    operator === '&'
      ? BigInt(a) & BigInt(b)
      : operator === '|'
        ? BigInt(a) | BigInt(b)
        : BigInt(a) ^ BigInt(b);
  return Number(big);
}

function compare(operator: string, a: Result, b: Result): boolean {
  switch (operator) {
    case '==':
      return a === b;
    case '!=':
      return a !== b;
  }
  const [x, y] = [numberOf(a), numberOf(b)];
  return operator === '<' ? x < y : operator === '<=' ? x <= y : operator === '>' ? x > y : x >= y;
}

function call(name: string, args: readonly number[]): number {
  if (args.length === 0) throw new EvaluationError(`${name}() needs an argument`);
  switch (name) {
    case 'abs':
      return Math.abs(args[0]!);
    case 'int':
      return Math.trunc(args[0]!);
    case 'round':
      return Math.round(args[0]!);
    case 'min':
      return Math.min(...args);
    default:
      return Math.max(...args);
  }
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
  };
  walk(e);
  return [...found];
}
