/** A cursor over a text of many lines; `fail` throws a Failure that the parser turns into a ScriptError: what was found; what is allowed. */

/** Counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export class Failure extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

export class Reader {
  at = 0;

  constructor(readonly text: string) {}

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  get next(): string {
    return this.text[this.at] ?? '';
  }

  fail(expected: string, at = this.at): never {
    const rest = this.text.slice(at, at + 16).split('\n')[0]!;
    const found =
      at >= this.text.length ? 'the end of the file' : rest === '' ? 'the end of the line' : `'${rest}'`;
    throw new Failure(`found ${found}; expected ${expected}`, at);
  }

  /** Spaces within a line. */
  blanks(): void {
    while (this.next === ' ' || this.next === '\t' || this.next === '\r') this.at++;
  }

  /** Spaces and ends of lines. */
  space(): void {
    while (this.next === '\n' || this.next === ' ' || this.next === '\t' || this.next === '\r') this.at++;
  }

  take(literal: string): boolean {
    if (!this.text.startsWith(literal, this.at)) return false;
    this.at += literal.length;
    return true;
  }

  /** What a sticky expression matches here, null when it does not. */
  match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) return null;
    this.at += found.length;
    return found;
  }

  /** The rest of the line, its end not taken. */
  line(): string {
    const end = this.text.indexOf('\n', this.at);
    const rest = this.text.slice(this.at, end < 0 ? this.text.length : end);
    this.at += rest.length;
    return rest;
  }
}

/** Places of one text. */
export class Positions {
  private readonly starts: number[] = [0];

  constructor(text: string) {
    for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) this.starts.push(i + 1);
  }

  of(at: number): Position {
    let [low, high] = [0, this.starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle]! <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: at - this.starts[low]! + 1 };
  }
}
