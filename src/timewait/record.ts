/** The cursor through which hooks see a TIME-WAIT record (layout.ts). */
import * as serial from '../seqnum.js';
import * as layout from './layout.js';
import type { RecordFacts } from './policy.js';

const { diff } = serial;
const {
  AGE_MASK,
  AGE_NEVER,
  AGE_SHIFT,
  ENTERED_AT,
  EXPIRES,
  F_ACTIVE,
  F_BOUND_PORT,
  F_FIN_WAIT_2,
  F_LOCAL_PEER,
  F_NEAR_PEER,
  F_REUSE_ADDRESS,
  F_REUSE_PORT,
  F_TIMESTAMP,
  F_USER_CLOSED,
  F_WIDE,
  HOLDER_SHIFT,
  LAST_ACK_AT,
  OFFSET_MASK,
  OFFSET_OTHER,
  RCV_NXT,
  RTO_SHIFT,
  RTO_STEP,
  SCALE_SHIFT,
  SINCE_LIMIT,
  SINCE_SHIFT,
  SND_NXT,
  STATE,
  TIMES,
  TS_OFFSET,
  TS_RECENT,
  TS_RECENT_AT,
  T_ACKED,
  WINDOW,
  WINDOW_MASK,
  WORD,
  ageOf,
} = layout;

/** What the cursor asks of the table. */
export interface Records {
  chunk(i: number): Int32Array;
  offset(i: number): number;
  wideWord(i: number, word: number): number;
  setWide(i: number, word: number, value: number): void;
  offsetBy(kind: number, i: number): number;
  restart(i: number, expiresAt: number): void;
  finWait2Count: number;
}

/** The record a hook looks at: the words of one row, read at once (fields need no check of an array's bounds each). */
export class RecordCursor implements RecordFacts {
  private i = -1;
  sndNxt = 0;
  rcvNxt = 0;
  tsRecent = 0;
  expiresAt = 0;
  private window = 0;
  private state = 0;
  private times = 0;

  constructor(private readonly table: Records) {}

  at(index: number): this {
    const words = this.table.chunk(index);
    const from = this.table.offset(index);
    this.i = index;
    this.sndNxt = words[from + SND_NXT]!;
    this.rcvNxt = words[from + RCV_NXT]!;
    this.tsRecent = words[from + TS_RECENT]!;
    this.expiresAt = words[from + EXPIRES]!;
    this.window = words[from + WINDOW]!;
    this.state = words[from + STATE]!;
    this.times = words[from + TIMES]!;
    return this;
  }

  private has(flag: number): boolean {
    return (this.state & flag) !== 0;
  }

  get rcvWnd(): number {
    return this.window & WINDOW_MASK;
  }
  get rcvWscale(): number {
    return (this.state >>> SCALE_SHIFT) & 15;
  }
  get hasTimestamp(): boolean {
    return this.has(F_TIMESTAMP);
  }
  get tsRecentAt(): number {
    if (this.has(F_WIDE)) return this.table.wideWord(this.i, TS_RECENT_AT);
    const times = this.times;
    const age = (times >>> AGE_SHIFT) & AGE_MASK;
    return age === AGE_NEVER ? 0 : (this.expiresAt - (times >>> SINCE_SHIFT) - age) | 0;
  }
  get tsOffset(): number {
    if (this.has(F_WIDE)) return this.table.wideWord(this.i, TS_OFFSET);
    return this.table.offsetBy(this.times & OFFSET_MASK, this.i);
  }
  get offsetKind(): number {
    return this.has(F_WIDE) ? OFFSET_OTHER : this.times & OFFSET_MASK;
  }
  get enteredAt(): number {
    if (this.has(F_WIDE)) return this.table.wideWord(this.i, ENTERED_AT);
    return (this.expiresAt - (this.times >>> SINCE_SHIFT)) | 0;
  }
  get rto(): number {
    return (this.state >>> RTO_SHIFT) * RTO_STEP;
  }
  get finWait2(): boolean {
    return this.has(F_FIN_WAIT_2);
  }
  get userClosed(): boolean {
    return this.has(F_USER_CLOSED);
  }
  get reuseAddress(): boolean {
    return this.has(F_REUSE_ADDRESS);
  }
  get reusePort(): boolean {
    return this.has(F_REUSE_PORT);
  }
  get boundPort(): boolean {
    return this.has(F_BOUND_PORT);
  }
  get localPeer(): boolean {
    return this.has(F_LOCAL_PEER);
  }
  get nearPeer(): boolean {
    return this.has(F_NEAR_PEER);
  }
  get active(): boolean {
    return this.has(F_ACTIVE);
  }
  get holder(): number {
    return this.window >>> HOLDER_SHIFT;
  }
  get word(): number {
    return this.has(F_WIDE) ? this.table.wideWord(this.i, WORD) : 0;
  }
  /** An ACK was sent from this record, and when the last one that counts for the rate limit. */
  get ackedAtAll(): boolean {
    return this.has(F_WIDE) && (this.times & T_ACKED) !== 0;
  }
  get lastAckAt(): number {
    return this.has(F_WIDE) ? this.table.wideWord(this.i, LAST_ACK_AT) : 0;
  }

  // The stack's writes; hooks see a RecordFacts and have none of them.

  restart(expiresAt: number): void {
    this.table.restart(this.i, expiresAt);
    this.at(this.i);
  }

  refresh(tsRecent: number, now: number): void {
    const before = this.tsRecentAt;
    this.put(TS_RECENT, tsRecent);
    if (before !== now) this.putWide(TS_RECENT_AT, now);
  }

  /** The peer's FIN reached the orphan: RCV.NXT moves over it. */
  becomeTimeWait(rcvNxt: number, now: number): void {
    this.put(RCV_NXT, rcvNxt);
    this.enter(now);
    this.put(STATE, this.state & ~F_FIN_WAIT_2);
    this.table.finWait2Count--;
  }

  setWord(value: number): void {
    if (value !== this.word) this.putWide(WORD, value);
  }

  acked(now: number): void {
    this.putWide(LAST_ACK_AT, now);
    this.put(TIMES, this.times | T_ACKED);
  }

  private enter(now: number): void {
    const since = diff(this.expiresAt, now);
    const age = ageOf(now, this.tsRecentAt);
    if (this.has(F_WIDE) || since < 0 || since >= SINCE_LIMIT || age < 0) this.putWide(ENTERED_AT, now);
    else this.put(TIMES, (since << SINCE_SHIFT) | (age << AGE_SHIFT) | (this.times & OFFSET_MASK));
  }

  private put(word: number, value: number): void {
    this.table.chunk(this.i)[this.table.offset(this.i) + word] = value;
    this.at(this.i);
  }

  /** A word of the second row, which may have to be made. */
  private putWide(word: number, value: number): void {
    this.table.setWide(this.i, word, value);
    this.at(this.i);
  }
}
