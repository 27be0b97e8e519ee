/**
 * The times of a table's rows: one list for each millisecond of the next 262 s.
 *
 *     days     256 of 1024 ms each, made when used, 4 bytes a millisecond
 *     list     circular, through one word of each row; the millisecond knows the last row
 *
 * A row further off stands at the end of the range and is put again when that comes. So
 * nothing cascades, and putting or taking a row costs O(1) whatever lies around it. The
 * price: a row cannot leave its list before its time. The owner leaves it there and looks
 * at what it is when it is taken (table.ts).
 *
 * Memory: 4 KiB and 128 bytes for each second in which a row waits, at most 1 MiB.
 */
import * as serial from '../seqnum.js';
import * as pool from './rows.js';
import type { RowPool } from './rows.js';

const { diff } = serial;
const { ROW_MASK } = pool;

const DAY_SHIFT = 10;
const DAY = 1 << DAY_SHIFT;
const DAYS = 256;
/** Milliseconds that the days cover. */
const SPAN = DAYS * DAY;
const NONE = -1;
/** Days kept for use when nothing waits in them. */
const SPARE = 2;

/** One second of lists. */
class Day {
  /** The last row of each millisecond's list, plus 1; 0: no row. */
  readonly lasts = new Int32Array(DAY);
  /** One bit per millisecond: its list has rows. */
  readonly occupied = new Int32Array(DAY >> 5);
  /** Lists that have rows. */
  lists = 0;
}

const DAY_BYTES = 4 * DAY + DAY / 8;

export class Calendar {
  private readonly days: (Day | null)[] = new Array<Day | null>(DAYS).fill(null);
  private readonly spare: Day[] = [new Day()];
  private made = 1;
  /** int32 ms: no row stands before it. */
  private position: number;

  /** `link`: the word of a row whose low 24 bits are ours. */
  constructor(
    private readonly rows: RowPool,
    private readonly link: number,
    now: number,
  ) {
    this.position = now | 0;
  }

  get memoryBytes(): number {
    return this.made * DAY_BYTES;
  }

  /** The clock went on while nothing was due before `now`. */
  moveTo(now: number): void {
    if (diff(now, this.position) > 0) this.position = now | 0;
  }

  /** Puts a row at the end of the list of `time` (int32 ms), or of the nearest time there is. Returns that. */
  put(row: number, time: number): number {
    const ahead = diff(time, this.position);
    const at = (this.position + (ahead < 0 ? 0 : ahead < SPAN ? ahead : SPAN - 1)) | 0;
    const number = (at >>> DAY_SHIFT) & (DAYS - 1);
    const day = this.days[number] ?? this.open(number);
    const ms = at & (DAY - 1);
    const last = day.lasts[ms]! - 1;
    if (last === NONE) {
      day.occupied[ms >> 5]! |= 1 << (ms & 31);
      day.lists++;
      this.setNext(row, row);
    } else {
      this.setNext(row, this.next(last));
      this.setNext(last, row);
    }
    day.lasts[ms] = row + 1;
    return at;
  }

  /** ms from the position to the first time with a row, -1 when no row waits. */
  ahead(): number {
    const from = (this.position >>> DAY_SHIFT) & (DAYS - 1);
    const start = this.position & (DAY - 1);
    // The day of the position comes twice: from the position on, and what of it lies a round later.
    for (let k = 0; k <= DAYS; k++) {
      const day = this.days[(from + k) & (DAYS - 1)];
      if (day === null || day === undefined) continue;
      const ms = firstIn(day.occupied, k === 0 ? start : 0, k === DAYS ? start : DAY);
      if (ms >= 0) return k * DAY + ms - start;
    }
    return NONE;
  }

  /** The row that `take(ahead)` would take, `ahead` as `ahead()` says. */
  peek(ahead: number): number {
    const at = this.position + ahead;
    const day = this.days[(at >>> DAY_SHIFT) & (DAYS - 1)]!;
    return this.next(day.lasts[at & (DAY - 1)]! - 1);
  }

  /** Takes the first row of that time off its list. */
  take(ahead: number): number {
    const at = this.position + ahead;
    const number = (at >>> DAY_SHIFT) & (DAYS - 1);
    const day = this.days[number]!;
    const ms = at & (DAY - 1);
    const last = day.lasts[ms]! - 1;
    const row = this.next(last);
    if (row !== last) {
      this.setNext(last, this.next(row));
      return row;
    }
    day.lasts[ms] = 0;
    day.occupied[ms >> 5]! &= ~(1 << (ms & 31));
    if (--day.lists === 0) {
      this.days[number] = null;
      this.close(day);
    }
    return row;
  }

  /** The time that lies `ahead` ms after the position, int32. */
  timeAt(ahead: number): number {
    return (this.position + ahead) | 0;
  }

  /** No row waits any more. */
  clear(now: number): void {
    this.position = now | 0;
    for (let number = 0; number < DAYS; number++) {
      const day = this.days[number];
      if (day === null || day === undefined) continue;
      this.days[number] = null;
      if (this.spare.length === 0) {
        day.lasts.fill(0);
        day.occupied.fill(0);
        day.lists = 0;
        this.spare.push(day);
      }
    }
    this.spare.length = 1;
    this.made = 1;
  }

  private open(number: number): Day {
    let day = this.spare.pop();
    if (day === undefined) {
      day = new Day();
      this.made++;
    }
    this.days[number] = day;
    return day;
  }

  private close(day: Day): void {
    if (this.spare.length < SPARE) this.spare.push(day);
    else this.made--;
  }

  private next(row: number): number {
    return this.rows.chunk(row)[this.rows.offset(row) + this.link]! & ROW_MASK;
  }

  private setNext(row: number, next: number): void {
    const chunk = this.rows.chunk(row);
    const at = this.rows.offset(row) + this.link;
    chunk[at] = (chunk[at]! & ~ROW_MASK) | next;
  }
}

/** The first bit set in [from, end), -1 when there is none. */
function firstIn(bits: Int32Array, from: number, end: number): number {
  if (from >= end) return NONE;
  let word = from >> 5;
  let left = bits[word]! & (-1 << (from & 31));
  const last = (end - 1) >> 5;
  while (left === 0) {
    if (++word > last) return NONE;
    left = bits[word]!;
  }
  const bit = (word << 5) + 31 - Math.clz32(left & -left);
  return bit < end ? bit : NONE;
}
