/**
 * Rows of int32 words, handed out by number and taken back: the memory of a table that
 * grows and shrinks without copying.
 *
 * 4096 rows make a chunk. A chunk is made when a row is asked for and none is free, and
 * let go when its last row comes back, save the one that rows are taken from at present.
 * The very first chunk begins small and doubles up to its size, for a stack that holds
 * few rows. Freed rows of a chunk form a chain through their first word.
 */
import { Blocks } from './blocks.js';

const SHIFT = 12;
const CHUNK = 1 << SHIFT;
const MASK = CHUNK - 1;
const FIRST = 64;
const NONE = -1;
/** Numbers have 24 bits. */
export const ROW_LIMIT = 1 << 24;
export const ROW_MASK = ROW_LIMIT - 1;

/** Stands for a chunk that is not there. */
const NOTHING = new Int32Array(0);

export class RowPool {
  private readonly chunks: Int32Array[] = [];
  /** Per chunk: rows handed out, rows ever handed out, the chain of freed ones. */
  private readonly used: number[] = [];
  private readonly touched: number[] = [];
  private readonly freed: number[] = [];
  /** Chunks besides `present` that have a free row, and numbers of chunks let go. What `roomy` says may be out of date. */
  private readonly roomy: number[] = [];
  private readonly vacant: number[] = [];
  private present = 0;
  private words = 0;

  /** `width`: words of a row. */
  constructor(
    private readonly width: number,
    private readonly first = FIRST,
    private readonly blocks = new Blocks(),
  ) {
    this.clear();
  }

  get memoryBytes(): number {
    return 4 * this.words;
  }

  /** Numbers below this may be in use. */
  get end(): number {
    return this.chunks.length << SHIFT;
  }

  /** The chunk of a row; its words begin at `offset`. Valid until the next `take`. */
  chunk(row: number): Int32Array {
    return this.chunks[row >>> SHIFT]!;
  }

  offset(row: number): number {
    return (row & MASK) * this.width;
  }

  /** The row was handed out at least once since its chunk was made. */
  isTouched(row: number): boolean {
    return (row & MASK) < this.touched[row >>> SHIFT]!;
  }

  /** The first row of the chunk behind this one's. */
  behind(row: number): number {
    return (row | MASK) + 1;
  }

  /** A row, its words as its last user left them; -1 at the limit. */
  take(): number {
    if (this.used[this.present] === CHUNK && !this.choose()) return NONE;
    const { present } = this;
    this.used[present]! += 1;
    const row = this.freed[present]!;
    if (row !== NONE) {
      this.freed[present] = this.chunks[present]![row * this.width]!;
      return (present << SHIFT) | row;
    }
    const next = this.touched[present]!++;
    const chunk = this.chunks[present]!;
    if (next * this.width === chunk.length) this.enlarge(present);
    return (present << SHIFT) | next;
  }

  give(row: number): void {
    const number = row >>> SHIFT;
    const place = row & MASK;
    if (number !== this.present) {
      if (this.used[number] === 1) {
        this.drop(number);
        return;
      }
      if (this.used[number] === CHUNK) this.roomy.push(number);
    }
    this.used[number]! -= 1;
    this.chunks[number]![place * this.width] = this.freed[number]!;
    this.freed[number] = place;
  }

  /** All rows come back at once, as though nothing had been. */
  clear(): void {
    if (this.chunks.length === 1 && this.words <= FIRST * this.width) {
      this.used[0] = 0;
      this.touched[0] = 0;
      this.freed[0] = NONE;
      return;
    }
    for (const chunk of this.chunks) this.blocks.give(chunk);
    for (const list of [this.chunks, this.used, this.touched, this.freed, this.roomy, this.vacant])
      list.length = 0;
    this.words = 0;
    this.present = 0;
    this.make(0, this.first);
  }

  /** Turns to another chunk with a free row; false at the limit. */
  private choose(): boolean {
    for (let number = this.roomy.pop(); number !== undefined; number = this.roomy.pop()) {
      // Let go since, or made anew and filled.
      if (this.chunks[number] === NOTHING || this.used[number] === CHUNK) continue;
      this.present = number;
      return true;
    }
    const number = this.vacant.pop() ?? this.chunks.length;
    if (number >= ROW_LIMIT >>> SHIFT) return false;
    this.make(number, CHUNK);
    this.present = number;
    return true;
  }

  private make(number: number, rows: number): void {
    this.chunks[number] = this.blocks.take(rows * this.width);
    this.words += rows * this.width;
    this.used[number] = 0;
    this.touched[number] = 0;
    this.freed[number] = NONE;
  }

  /** The first chunk is full before it has its size. */
  private enlarge(number: number): void {
    const small = this.chunks[number]!;
    const chunk = this.blocks.take(Math.max(2 * small.length, FIRST * this.width));
    chunk.set(small);
    this.words += chunk.length - small.length;
    this.chunks[number] = chunk;
    this.blocks.give(small);
  }

  private drop(number: number): void {
    const chunk = this.chunks[number]!;
    this.words -= chunk.length;
    this.blocks.give(chunk);
    this.chunks[number] = NOTHING;
    this.used[number] = 0;
    this.touched[number] = 0;
    this.vacant.push(number);
  }
}
