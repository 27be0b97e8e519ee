/**
 * TIME-WAIT records: ten words each, no object per record.
 *
 * A record is a number, its facts one row of a pool (rows.ts, record.ts), so that whoever
 * looks at it meets one or two lines of memory. What does not fit into its ten words lies
 * in a second row of eight.
 *
 * Expiry is a calendar of lists (calendar.ts), which a row cannot leave before its time: a
 * record that goes earlier leaves its row waiting there, and the next record takes it over,
 * a later expiry and all. One that shall expire earlier than its row's turn gets a proxy: a
 * row that waits in its stead, and a later one only for a time before all that wait for it.
 *
 * The flow hash is made again from the tuple when it is asked for. Of each local port the
 * number of records is kept, and the exclusive or of their numbers: the record itself, where
 * it is the only one.
 *
 * Memory: 40 bytes a record and 32 more for a second row, in chunks of 4096 rows; rows that
 * wait for their turn are at most as many as there were records at once. A record with proxies has
 * one that stays and some that go when their time comes, and a place in a Map. Beyond `limit`,
 * `add` refuses. A chunk without records goes back, and everything when the table is empty.
 */
import * as serial from '../seqnum.js';
import { Blocks } from './blocks.js';
import { Calendar } from './calendar.js';
import { LocalAddresses } from './local-addresses.js';
import { PortCounts } from './port-counts.js';
import * as layout from './layout.js';
import type { RecordEntry, TupleKeys } from './layout.js';
import { RecordCursor, type Records } from './record.js';
import * as pool from './rows.js';
import { RowPool } from './rows.js';

const { beforeEq, diff } = serial;
const {
  AGE_SHIFT,
  BEFORE,
  BEHIND,
  ENTERED_AT,
  EXPIRES,
  F_FIN_WAIT_2,
  F_LIVE,
  F_WAITING,
  F_WIDE,
  HOLDER_SHIFT,
  LAST_ACK_AT,
  LINK,
  LOCAL_HIGH_SHIFT,
  LOCAL_SHIFT,
  OFFSET_HOSTS,
  OFFSET_NONE,
  OFFSET_OTHER,
  PORTS,
  RCV_NXT,
  REMOTE,
  RTO_SHIFT,
  RTO_STEP,
  SCALE_SHIFT,
  SINCE_LIMIT,
  SINCE_SHIFT,
  SND_NXT,
  STATE,
  TARGET,
  TIMES,
  TS_OFFSET,
  TS_RECENT,
  TS_RECENT_AT,
  T_V6,
  UPPER,
  WIDE_WIDTH,
  WIDTH,
  WINDOW,
  WINDOW_MASK,
  WORD,
  ageOf,
  flagsOf,
} = layout;
const { ROW_LIMIT, ROW_MASK } = pool;

export type { RecordEntry, TupleKeys } from './layout.js';
export type { RecordCursor } from './record.js';

const NONE = -1;
/** `expireRow`: a row came, and nothing was due by it. */
export const MORE = -2;
/** In place of BEFORE: a row that waits, but comes later than its EXPIRES says, so nobody may take it over. */
const UNLISTED = -2;

export class TimeWaitTable implements Records {
  private readonly rows: RowPool;
  private readonly wide: RowPool;
  private readonly calendar: Calendar;
  /** Rows left waiting by records that are gone: the first one is taken next. */
  private waiting = NONE;
  /** Of records that have proxies: when the first of these comes, int32 ms. */
  private readonly proxied = new Map<number, number>();
  /** The record that `oldest` named last. */
  private leading = NONE;
  private readonly locals = new LocalAddresses();
  private readonly ports = new PortCounts();
  /** The last time seen, for an empty calendar. */
  private clock: number;
  count = 0;
  finWait2Count = 0;

  constructor(
    now: number,
    private readonly keys: TupleKeys,
    private readonly limit = ROW_LIMIT,
    blocks = new Blocks(),
  ) {
    this.rows = new RowPool(WIDTH, undefined, blocks);
    this.wide = new RowPool(WIDE_WIDTH, 0, blocks);
    this.clock = now;
    this.calendar = new Calendar(this.rows, LINK, now);
  }

  /** Bytes of rows and calendar, those of the ports' counts included. */
  get memoryBytes(): number {
    const { rows, wide, calendar, ports } = this;
    return rows.memoryBytes + wide.memoryBytes + calendar.memoryBytes + ports.memoryBytes;
  }

  cursor(): RecordCursor {
    return new RecordCursor(this);
  }

  /** Takes a record in; its number, or -1 at the limit. It has no timer yet: `arm` it. */
  add(entry: RecordEntry): number {
    if (this.count >= this.limit) return NONE;
    const local = this.locals.numberOf(entry.local0, entry.local1, entry.local2, entry.local3);
    const i = this.takeRow();
    if (i === NONE) return NONE;
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    const waiting = c[at + STATE]! & F_WAITING;
    c[at + REMOTE] = entry.remote3;
    c[at + PORTS] = (entry.localPort << 16) | entry.remotePort;
    c[at + SND_NXT] = entry.sndNxt;
    c[at + RCV_NXT] = entry.rcvNxt;
    c[at + TS_RECENT] = entry.tsRecent;
    // A row that waits keeps the time until which it does
    if (waiting === 0) c[at + EXPIRES] = entry.enteredAt;
    c[at + WINDOW] = (entry.rcvWnd & WINDOW_MASK) | (entry.holder << HOLDER_SHIFT);
    c[at + LINK] = (c[at + LINK]! & ROW_MASK) | (local << LOCAL_SHIFT);
    c[at + STATE] =
      (Math.min(65535, Math.ceil(entry.rto / RTO_STEP)) << RTO_SHIFT) |
      (entry.rcvWscale << SCALE_SHIFT) |
      waiting |
      F_LIVE |
      flagsOf(entry);
    this.storeTimes(c, at, entry, local);
    this.ports.add(entry.localPort, i, 1);
    this.count++;
    if (entry.finWait2) this.finWait2Count++;
    return i;
  }

  /** A row that somebody left waiting, or one from the pool. */
  private takeRow(): number {
    const i = this.waiting;
    if (i !== NONE) {
      this.unlist(i);
      return i;
    }
    const row = this.rows.take();
    if (row !== NONE) this.rows.chunk(row)[this.rows.offset(row) + STATE] = 0;
    return row;
  }

  private storeTimes(c: Int32Array, at: number, e: RecordEntry, local: number): void {
    const since = diff(c[at + EXPIRES]!, e.enteredAt);
    const age = ageOf(e.enteredAt, e.tsRecentAt);
    const offset = e.offsetKind;
    const v4 = e.remote0 === 0 && e.remote1 === 0 && e.remote2 === 0xffff;
    const fits = since >= 0 && since < SINCE_LIMIT && age >= 0 && offset !== OFFSET_OTHER;
    if (v4 && fits && local < 256 && e.word === 0) {
      c[at + TIMES] = (since << SINCE_SHIFT) | (age << AGE_SHIFT) | offset;
      return;
    }
    const row = this.wideRow(e, e.remote0, e.remote1, e.remote2, e.word);
    c[at + TIMES] = row | (v4 ? 0 : T_V6) | ((local >> 8) << LOCAL_HIGH_SHIFT);
    c[at + STATE]! |= F_WIDE;
  }

  remove(i: number): void {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    if (i === this.leading && this.flag(F_WAITING, i)) this.takeFirst(i);
    const state = c[at + STATE]!;
    const proxied = this.proxied.size > 0 && this.proxied.delete(i);
    if ((state & F_WIDE) !== 0) this.wide.give(c[at + TIMES]! & ROW_MASK);
    if ((state & F_FIN_WAIT_2) !== 0) this.finWait2Count--;
    this.ports.add(c[at + PORTS]! >>> 16, i, -1);
    c[at + STATE] = state & F_WAITING;
    if (--this.count === 0) this.clear();
    else if ((state & F_WAITING) === 0) this.rows.give(i);
    else if (proxied) c[at + BEFORE] = UNLISTED;
    else this.list(i);
  }

  /** An evicted record need not leave its row waiting, when that stands at the very front. */
  private takeFirst(i: number): void {
    const ahead = this.calendar.ahead();
    if (this.calendar.peek(ahead) !== i) return;
    this.calendar.take(ahead);
    this.rows.chunk(i)[this.rows.offset(i) + STATE]! &= ~F_WAITING;
  }

  /** Among the rows that wait with no record. */
  private list(i: number): void {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    c[at + BEFORE] = NONE;
    c[at + BEHIND] = this.waiting;
    if (this.waiting !== NONE) this.rows.chunk(this.waiting)[this.rows.offset(this.waiting) + BEFORE] = i;
    this.waiting = i;
  }

  private unlist(i: number): void {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    const before = c[at + BEFORE]!;
    const behind = c[at + BEHIND]!;
    if (before === NONE) this.waiting = behind;
    else this.rows.chunk(before)[this.rows.offset(before) + BEHIND] = behind;
    if (behind !== NONE) this.rows.chunk(behind)[this.rows.offset(behind) + BEFORE] = before;
  }

  /** The last record is gone: nothing is left waiting, the memory of a flood goes back. */
  private clear(): void {
    this.rows.clear();
    this.wide.clear();
    this.calendar.clear(this.clock);
    this.proxied.clear();
    this.ports.clear();
    this.waiting = NONE;
  }

  // ---- tuples -----------------------------------------------------------------

  sameTuple(
    i: number,
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): boolean {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    if (c[at + REMOTE] !== r3 || c[at + PORTS] !== ((localPort << 16) | remotePort)) return false;
    if (!this.localEquals(i, l0, l1, l2, l3)) return false;
    const times = c[at + TIMES]!;
    if ((c[at + STATE]! & F_WIDE) === 0 || (times & T_V6) === 0) return r0 === 0 && r1 === 0 && r2 === 0xffff;
    const w = this.wide.chunk(times & ROW_MASK);
    const from = this.wide.offset(times & ROW_MASK);
    return w[from + UPPER] === r0 && w[from + UPPER + 1] === r1 && w[from + UPPER + 2] === r2;
  }

  localEquals(i: number, l0: number, l1: number, l2: number, l3: number): boolean {
    const w = this.localOf(i);
    return w[3] === l3 && w[2] === l2 && w[1] === l1 && w[0] === l0;
  }

  /** The words of the local address: the table's own array. */
  localOf(i: number): Int32Array {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    const high = (c[at + STATE]! & F_WIDE) === 0 ? 0 : c[at + TIMES]! >>> LOCAL_HIGH_SHIFT;
    return this.locals.at((high << 8) | (c[at + LINK]! >>> LOCAL_SHIFT));
  }

  /** Word of the remote address. */
  remoteWord(i: number, word: number): number {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    if (word === 3) return c[at + REMOTE]!;
    const times = c[at + TIMES]!;
    if ((c[at + STATE]! & F_WIDE) === 0 || (times & T_V6) === 0) return word === 2 ? 0xffff : 0;
    return this.wideWord(i, UPPER + word);
  }

  /** The record's flow hash, made from its tuple. */
  hashOf(i: number): number {
    const l = this.localOf(i);
    const ports = this.word(i, PORTS);
    return this.keys.flowHash(
      l[0]!,
      l[1]!,
      l[2]!,
      l[3]!,
      this.remoteWord(i, 0),
      this.remoteWord(i, 1),
      this.remoteWord(i, 2),
      this.remoteWord(i, 3),
      ports >>> 16,
      ports & 0xffff,
    );
  }

  /** Local port in the upper half, remote port in the lower. */
  portsOf(i: number): number {
    return this.word(i, PORTS);
  }

  isV6(i: number): boolean {
    return this.flag(F_WIDE, i) && (this.word(i, TIMES) & T_V6) !== 0;
  }

  // ---- walking ----------------------------------------------------------------

  /**
   * The record that goes when one has to: whose time is over first, of those of one time
   * the one armed first. With one lifetime for all this is the one entered or restarted first.
   */
  oldest(): number {
    if (this.count === 0) return NONE;
    for (;;) {
      const ahead = this.calendar.ahead();
      if (ahead < 0) return this.first();
      const time = this.calendar.timeAt(ahead);
      const due = this.settle(this.calendar.peek(ahead), time);
      if (due !== NONE) {
        this.leading = due;
        return due;
      }
      // One beyond the calendar's range comes back to where it was: nothing is due earlier
      const row = this.calendar.take(ahead);
      if (this.putBack(row, time) === time) return this.recordOf(row);
    }
  }

  /** Walks all records by number. */
  first(): number {
    return this.next(NONE);
  }

  next(i: number): number {
    const { rows } = this;
    for (let row = i + 1; row < rows.end;) {
      if (!rows.isTouched(row)) row = rows.behind(row);
      else if (this.flag(F_LIVE, row)) return row;
      else row++;
    }
    return NONE;
  }

  /** Records of a local port. */
  onPort(port: number): number {
    return this.ports.count(port);
  }

  /**
   * Walks the records of one local port; -1 ends it. One record alone is found at once;
   * where there are more, all records are looked through (about 10 ns each).
   */
  firstOnPort(port: number): number {
    const count = this.onPort(port);
    if (count === 0) return NONE;
    if (count === 1) return this.ports.sole(port);
    return this.nextOf(port, NONE);
  }

  nextOnPort(i: number): number {
    const port = this.word(i, PORTS) >>> 16;
    return this.onPort(port) === 1 ? NONE : this.nextOf(port, i);
  }

  private nextOf(port: number, i: number): number {
    for (let row = this.next(i); row !== NONE; row = this.next(row))
      if (this.word(row, PORTS) >>> 16 === port) return row;
    return NONE;
  }

  // ---- time -------------------------------------------------------------------

  /** The present time, for an empty calendar. */
  sync(now: number): void {
    this.clock = now;
    if (this.count === 0) this.calendar.moveTo(now);
  }

  arm(i: number, expiresAt: number): void {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    const before = c[at + EXPIRES]!;
    this.setExpires(i, expiresAt);
    if ((c[at + STATE]! & F_WAITING) === 0) {
      c[at + STATE]! |= F_WAITING;
      this.calendar.put(i, expiresAt);
    } else if (!beforeEq(this.proxied.get(i) ?? before, expiresAt)) this.makeProxy(i, expiresAt);
  }

  private setExpires(i: number, expiresAt: number): void {
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    if ((c[at + STATE]! & F_WIDE) === 0) {
      const times = c[at + TIMES]!;
      const since = diff(expiresAt, c[at + EXPIRES]!) + (times >>> SINCE_SHIFT);
      if (since >= 0 && since < SINCE_LIMIT)
        c[at + TIMES] = (since << SINCE_SHIFT) | (times & ((1 << SINCE_SHIFT) - 1));
      else this.widen(i);
    }
    c[at + EXPIRES] = expiresAt;
  }

  /** A row that comes earlier than the record's own. Without room for it the record goes when its row comes. */
  private makeProxy(i: number, time: number): void {
    const row = this.rows.take();
    if (row === NONE) return;
    const c = this.rows.chunk(row);
    const at = this.rows.offset(row);
    c[at + TARGET] = i;
    c[at + STATE] = F_WIDE | F_WAITING;
    this.proxied.set(i, this.calendar.put(row, time));
  }

  restart(i: number, expiresAt: number): void {
    this.arm(i, expiresAt);
  }

  /** A record whose time is over at `now`, -1 when there is none. The caller removes it. */
  expireNext(now: number): number {
    for (;;) {
      const i = this.expireRow(now);
      if (i !== MORE) return i;
    }
  }

  /** The same of the next row whose turn has come: MORE when its record was restarted since, or has gone. */
  expireRow(now: number): number {
    this.clock = now;
    const ahead = this.calendar.ahead();
    const time = this.calendar.timeAt(ahead);
    if (ahead < 0 || diff(time, now) > 0) {
      this.calendar.moveTo(now);
      return NONE;
    }
    this.calendar.moveTo(time);
    const row = this.calendar.take(0);
    const due = this.settle(row, now);
    if (due === NONE) {
      this.putBack(row, now);
      return MORE;
    }
    if (due === row) this.rows.chunk(row)[this.rows.offset(row) + STATE]! &= ~F_WAITING;
    else this.rows.give(row);
    return due;
  }

  /** The record's time is over at `now`. */
  isOver(i: number, now: number): boolean {
    return beforeEq(this.word(i, EXPIRES), now);
  }

  /** The record that is due at `now` because this row's turn has come, -1 when none is. */
  private settle(row: number, now: number): number {
    const i = this.recordOf(row);
    return this.flag(F_LIVE, i) && this.isOver(i, now) ? i : NONE;
  }

  /** The record that a row stands for: itself, or a proxy's. */
  private recordOf(row: number): number {
    return (this.word(row, STATE) & (F_LIVE | F_WIDE)) === F_WIDE ? this.word(row, TARGET) : row;
  }

  /** A row that has been taken, and nothing is due: to the time of its record, or to the free rows. Returns the time. */
  private putBack(row: number, now: number): number {
    const i = this.recordOf(row);
    if (this.flag(F_LIVE, i) && (i === row || this.isFirst(i, now))) {
      const time = this.calendar.put(row, this.word(i, EXPIRES));
      if (i !== row) this.proxied.set(i, time);
      return time;
    }
    if (i === row && this.word(row, BEFORE) !== UNLISTED) this.unlist(row);
    this.rows.give(row);
    return (now - 1) | 0;
  }

  /** None of the record's proxies comes later than now, so that the one which has come must stay. */
  private isFirst(i: number, now: number): boolean {
    const first = this.proxied.get(i);
    return first !== undefined && beforeEq(first, now);
  }

  /** ms until the next expiry or sooner, -1 when nothing waits. */
  nextDeadline(now: number): number {
    if (this.count === 0) return NONE;
    const ahead = this.calendar.ahead();
    if (ahead < 0) return NONE;
    const left = diff(this.calendar.timeAt(ahead), now);
    return left > 0 ? left : 0;
  }

  // ---- words, for the cursor ---------------------------------------------------

  chunk(i: number): Int32Array {
    return this.rows.chunk(i);
  }

  offset(i: number): number {
    return this.rows.offset(i);
  }

  private word(i: number, word: number): number {
    return this.rows.chunk(i)[this.rows.offset(i) + word]!;
  }

  private flag(bit: number, i: number): boolean {
    return (this.word(i, STATE) & bit) !== 0;
  }

  /** A word of the record's second row; it has one. */
  wideWord(i: number, word: number): number {
    const row = this.word(i, TIMES) & ROW_MASK;
    return this.wide.chunk(row)[this.wide.offset(row) + word]!;
  }

  /** Sets a word of the record's second row, which is made when there is none. */
  setWide(i: number, word: number, value: number): void {
    if (!this.flag(F_WIDE, i)) this.widen(i);
    const row = this.word(i, TIMES) & ROW_MASK;
    this.wide.chunk(row)[this.wide.offset(row) + word] = value;
  }

  /** The offset that a rule gives; `kind` is what TIMES says. */
  offsetBy(kind: number, i: number): number {
    if (kind === OFFSET_NONE) return 0;
    const l = this.localOf(i);
    const ports = this.word(i, PORTS);
    return this.keys.stampOffset(
      kind === OFFSET_HOSTS,
      l[0]!,
      l[1]!,
      l[2]!,
      l[3]!,
      this.remoteWord(i, 0),
      this.remoteWord(i, 1),
      this.remoteWord(i, 2),
      this.remoteWord(i, 3),
      ports >>> 16,
      ports & 0xffff,
    );
  }

  /** A second row; the number of it. */
  private wideRow(
    times: Pick<RecordEntry, 'enteredAt' | 'tsRecentAt' | 'tsOffset'>,
    remote0: number,
    remote1: number,
    remote2: number,
    word: number,
  ): number {
    const row = this.wide.take();
    const w = this.wide.chunk(row);
    const to = this.wide.offset(row);
    w[to + UPPER] = remote0;
    w[to + UPPER + 1] = remote1;
    w[to + UPPER + 2] = remote2;
    w[to + ENTERED_AT] = times.enteredAt;
    w[to + TS_RECENT_AT] = times.tsRecentAt;
    w[to + TS_OFFSET] = times.tsOffset;
    w[to + LAST_ACK_AT] = 0;
    w[to + WORD] = word;
    return row;
  }

  /** Gives the record a second row. */
  private widen(i: number): void {
    const row = this.wideRow(this.cursor().at(i), 0, 0, 0xffff, 0);
    const c = this.rows.chunk(i);
    const at = this.rows.offset(i);
    c[at + TIMES] = row;
    c[at + STATE]! |= F_WIDE;
  }
}
