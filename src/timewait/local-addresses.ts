/** The local addresses of records, each once: a record holds a number. A stack has few. */

/** Numbers have 13 bits; more addresses are a programmer's mistake. */
const LIMIT = 8192;

export class LocalAddresses {
  private readonly words: Int32Array[] = [];

  /** Throws a RangeError beyond the limit. */
  numberOf(w0: number, w1: number, w2: number, w3: number): number {
    for (let number = 0; number < this.words.length; number++) {
      const w = this.words[number]!;
      if (w[3] === w3 && w[2] === w2 && w[1] === w1 && w[0] === w0) return number;
    }
    if (this.words.length >= LIMIT) throw new RangeError(`more than ${LIMIT} local addresses`);
    this.words.push(Int32Array.of(w0, w1, w2, w3));
    return this.words.length - 1;
  }

  at(number: number): Int32Array {
    return this.words[number]!;
  }
}
