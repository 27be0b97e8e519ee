/**
 * What stands between `%{` and `}%`: assertions over the fields of TCP_INFO, in the little of
 * Python that scripts use. Nothing is run: names and numbers are looked up and compared.
 *
 *     assert tcpi_snd_cwnd == 10 and 2 <= tcpi_unacked < 5, 'cwnd %d' % tcpi_snd_cwnd
 *     seen = [tcpi_rtt // 1000]; seen += [12]
 *     print(f'{len(seen)} round trips, the last {seen[-1]:.1f} ms')
 *
 * evaluate.ts computes.
 */
import { Failure, type Reader } from './reader.js';

export type Expression =
  | { readonly kind: 'constant'; readonly value: number | string }
  /** `[a, b]`, `(a, b)` */
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'index'; readonly of: Expression; readonly at: Expression }
  /** `f'cwnd {cwnd:4d}'`: texts, and expressions with how they are written. */
  | { readonly kind: 'format'; readonly parts: readonly (string | FormatPart)[] }
  /** `a if condition else b` */
  | {
      readonly kind: 'choice';
      readonly condition: Expression;
      readonly yes: Expression;
      readonly no: Expression;
    }
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

export interface FormatPart {
  readonly value: Expression;
  /** As behind ':' in an f-string, or behind '%' without the letter: '04', '.1'; then the letter. */
  readonly spec: string;
}

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
  /** `x += 1` is `x = x + 1`. */
  | { readonly kind: 'assign'; readonly name: string; readonly value: Expression }
  | { readonly kind: 'print'; readonly args: readonly Expression[] };

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+/y;
const COMPARE = /==|!=|<=|>=|<|>|(?:not\s+)?in\b/y;
const AUGMENTED = /(\/\/|<<|>>|[-+*/%&|^])=(?!=)/y;
const FUNCTIONS = new Set(['abs', 'min', 'max', 'int', 'float', 'round', 'len', 'sum', 'str']);
const KEYWORDS = new Set('and or not in if else assert print pass True False'.split(' '));
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

  /** Ends of lines, semicolons and comments; a backslash joins two lines. */
  private lines(): void {
    const { r } = this;
    for (;;) {
      r.space();
      if (r.next === '#') r.line();
      else if (!r.take(';') && !r.take('\\\n')) return;
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
      const condition = this.expression();
      const source = r.text.slice(at, r.at).trim();
      r.blanks();
      const message = r.take(',') ? this.expression() : null;
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
        return { kind: 'assign', name: word, value: this.expression() };
      }
      const augmented = r.match(AUGMENTED);
      if (augmented !== null) {
        const operator = augmented.slice(0, -1);
        const left = { kind: 'name', name: word } as const;
        return {
          kind: 'assign',
          name: word,
          value: { kind: 'binary', operator, left, right: this.expression() },
        };
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

  private expression(): Expression {
    const yes = this.disjunction();
    if (!this.word('if')) return yes;
    const condition = this.disjunction();
    if (!this.word('else')) this.r.fail("'else'");
    return this.deeper(() => ({ kind: 'choice', condition, yes, no: this.expression() }));
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
      rest.push([operator.replace(/\s+/, ' '), this.ranked(0)]);
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
    let value = this.atom();
    while (this.r.take('[')) {
      const at = this.within(() => this.expression());
      if (!this.r.take(']')) this.r.fail("']'");
      value = { kind: 'index', of: value, at };
    }
    return value;
  }

  /** In brackets an expression goes on behind the end of a line. */
  private within<T>(parse: () => T): T {
    this.depth++;
    const result = this.deeper(parse);
    this.space();
    this.depth--;
    return result;
  }

  private atom(): Expression {
    const { r } = this;
    const start = r.at;
    if (r.take('[')) return { kind: 'list', items: this.deeper(() => this.list(']')) };
    if (r.take('(')) return this.parenthesis();
    const formats = /f(?=["'])/y;
    if (r.match(formats) !== null) return this.format();
    if (r.next === '"' || r.next === "'") return { kind: 'constant', value: this.text() };
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

  /** `(a)` is a, `(a, b)` a list. */
  private parenthesis(): Expression {
    const { r } = this;
    const inner = this.within(() => this.expression());
    if (r.take(')')) return inner;
    if (!r.take(',')) r.fail("',' or ')'");
    return { kind: 'list', items: [inner, ...this.deeper(() => this.list(')'))] };
  }

  /** Texts next to each other are one. */
  private text(): string {
    const { r } = this;
    let all = '';
    for (;;) {
      const quote = r.next;
      if (quote !== '"' && quote !== "'") return all;
      const text =
        r.match(quote === '"' ? /"(?:[^"\\\n]|\\.)*"/y : /'(?:[^'\\\n]|\\.)*'/y) ??
        r.fail('the end of the text');
      all += text
        .slice(1, -1)
        .replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one === 't' ? '\t' : one));
      this.space();
    }
  }

  /** What stands in braces is parsed where it stands, so that errors have their place. */
  private format(): Expression {
    const { r } = this;
    const quote = r.next;
    r.at++;
    const parts: (string | FormatPart)[] = [];
    for (;;) {
      const plain = r.match(quote === '"' ? /(?:[^"{}\n]|\{\{|\}\})*/y : /(?:[^'{}\n]|\{\{|\}\})*/y) ?? '';
      if (plain !== '') parts.push(plain.replaceAll('{{', '{').replaceAll('}}', '}'));
      if (r.take(quote)) return { kind: 'format', parts };
      if (!r.take('{')) r.fail('the end of the text');
      const value = this.deeper(() => this.expression());
      r.blanks();
      const spec = r.take(':') ? (r.match(/0?\d*(?:\.\d+)?[dxsf]?/y) ?? '') : '';
      if (!r.take('}')) r.fail("'}'");
      parts.push({ value, spec });
    }
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
      this.space();
      // A comma may stand behind the last one
      if (!first && close !== '' && r.take(close)) break;
      args.push(this.expression());
      this.space();
    }
    if (close !== '') this.depth--;
    return args;
  }

  private nesting = 0;

  private deeper<T>(parse: () => T): T {
    if (++this.nesting > DEEPEST) throw new Failure(`more than ${DEEPEST} levels of nesting`, this.r.at);
    const result = parse();
    this.nesting--;
    return result;
  }
}
