/**
 * What is in flight: every byte between SND.UNA and SND.NXT with what became of it and
 * when it was sent last (RFC 6675 3, RFC 8985 6.1). Bytes that were sent in the same
 * millisecond and fared alike share one record, so a flight without loss is a record a
 * burst; records split where the peer's SACK blocks do. Only whole segments are joined, so
 * segments begin at whole multiples of the MSS behind the start of a record.
 *
 *     | end, time, mark, rate | end, time, mark, rate | ...      a record begins where the one before ends
 *
 * `rate` is what delivery rate was measured from when these bytes were sent (rate.ts): when the
 * first of the flight was sent, when something was delivered last, and how many segments were by then.
 *
 * The clock's millisecond does not say what was sent first, so a mark also has the number of
 * its turn: one for each run of bytes in order.
 *
 * Memory: 24 bytes a record, at most 4096 records. Beyond that, new data joins the last
 * record and a SACK block that would need a split counts only where records lie wholly
 * inside it: coarser, never wrong.
 */
import { after, before, max, min } from '../seqnum.js';
import type { DeliveryRate } from './delivery.js';

/** Low two bits of a mark: what the sender believes of these bytes. */
export const SENT = 0;
export const SACKED = 1;
export const LOST = 2;
export const RESENT = 3;
const FATE = 3;
/** Was resent at some time (Karn). */
export const EVER = 4;
/** Resent although not known to be lost: counted twice in the pipe (RFC 6675 4 SetPipe). */
export const TWICE = 8;

const BITS = 15;
/** Sent for want of more data (rate.ts); goes with the turn. */
const LIMITED = 16;

/** The rest of a mark is the number of its turn, a serial number in steps of TURN. */
const TURN = 32;

/** Words of a record. */
const WIDTH = 6;
const TIME = 1;
const MARK = 2;
const FIRST_SENT = 3;
const DELIVERED_AT = 4;
const DELIVERED = 5;

/** RACK_sent_after of RFC 8985 6.2: the later sending, in the same turn the higher sequence number. */
export function sentAfter(turn: number, end: number, otherTurn: number, otherEnd: number): boolean {
  return after(turn, otherTurn) || (turn === otherTurn && after(end, otherEnd));
}

const MOST = 4096;
/** 48 bytes: V8 keeps so small an array beside its object (send-queue.ts). */
const SMALLEST = 2;

export class Sent {
  private cells = new Int32Array(WIDTH * SMALLEST);
  private head = 0;
  private tail = 0;
  /** SND.UNA as far as this map knows: where the first record begins. */
  start = 0;
  /** Bytes by fate; `twice` counts the second copies. */
  sacked = 0;
  lost = 0;
  /** Resent and not heard of since. */
  again = 0;
  twice = 0;
  /** Payload of a full-sized segment when it was sent last. */
  private mss = 1;
  /** The turn in hand, and what goes on with it: a sending at `turnAt` that begins at `turnEnd`. */
  private turn = 0;
  private turnEnd = 0;
  private turnAt = 0;
  private turnOver = false;
  /** Records were sent in their order: nothing of this flight was resent. */
  inOrder = true;

  // What the present ACK delivered; `beginAck` clears it.
  delivered = 0;
  /** The same in segments. */
  packets = 0;
  /** Of what was delivered, the piece that was sent last, and what it was measured from: valid while `sampled`. */
  sampled = false;
  private sampleTurn = 0;
  private sampleEnd = 0;
  sampleTime = 0;
  sampleFirstSent = 0;
  sampleDeliveredAt = 0;
  sampleDelivered = 0;
  sampleLimited = false;
  /** Delivered bytes that were sent once only; when the oldest of them and the youngest were sent, its turn, and where that ended. */
  original = 0;
  originalTime = 0;
  originalLatest = 0;
  originalTurn = 0;
  originalEnd = 0;
  /** Delivered bytes that had been resent, and the same of the youngest. */
  repeated = 0;
  repeatedLatest = 0;
  repeatedTurn = 0;
  repeatedEnd = 0;
  /** The piece delivered last was one of these. */
  lastRepeated = false;
  /** When the piece delivered last was sent. */
  lastTime = 0;
  /** Lowest piece that was sent once and lies below what earlier ACKs delivered (R8985-7), valid while `reordered`. */
  reordered = false;
  lateFrom = 0;
  private fackBefore = 0;
  /** Highest sequence number delivered: RACK.fack. */
  fack = 0;

  constructor(private readonly rate: DeliveryRate) {}

  get count(): number {
    return (this.tail - this.head) / WIDTH;
  }

  /** Where the last record ends: SND.NXT. */
  get end(): number {
    return this.tail === this.head ? this.start : this.cells[this.tail - WIDTH]!;
  }

  /** Bytes believed to be in the network (R6675-4). */
  get pipe(): number {
    return ((this.end - this.start) | 0) - this.sacked - this.lost + this.twice;
  }

  endOf(i: number): number {
    return this.cells[this.head + WIDTH * i]!;
  }

  timeOf(i: number): number {
    return this.cells[this.head + WIDTH * i + TIME]!;
  }

  markOf(i: number): number {
    return this.cells[this.head + WIDTH * i + MARK]! & BITS;
  }

  turnOf(i: number): number {
    return this.cells[this.head + WIDTH * i + MARK]! & -TURN;
  }

  fateOf(i: number): number {
    return this.markOf(i) & FATE;
  }

  startOf(i: number): number {
    return i === 0 ? this.start : this.cells[this.head + WIDTH * (i - 1)]!;
  }

  /** Segments in flight, FIN counted. */
  segments(): number {
    let start = this.start;
    let count = 0;
    for (let at = this.head; at < this.tail; at += WIDTH) {
      const end = this.cells[at]!;
      count += Math.ceil(((end - start) | 0) / this.mss);
      start = end;
    }
    return count;
  }

  /** Of these the ones in the network. */
  inNetwork(): number {
    let count = 0;
    for (let i = 0; i < this.count; i++) {
      const fate = this.fateOf(i);
      if (fate === SENT || fate === RESENT)
        count += Math.ceil(((this.endOf(i) - this.startOf(i)) | 0) / this.mss);
    }
    return count;
  }

  beginAck(): void {
    this.delivered = 0;
    this.packets = 0;
    this.sampled = false;
    this.original = 0;
    this.repeated = 0;
    this.reordered = false;
    this.fackBefore = this.fack;
  }

  /** [seq, end) is sent now: in the same turn as what was sent before, or in the next one. */
  private takeTurn(seq: number, end: number, now: number): void {
    if (this.turnOver || seq !== this.turnEnd || now !== this.turnAt) this.turn = (this.turn + TURN) | 0;
    this.turnOver = false;
    this.turnEnd = end;
    this.turnAt = now;
  }

  /** Something was delivered: what is sent from now on is measured from there. */
  endTurn(): void {
    this.turnOver = true;
  }

  /** What the record at cell `at` is measured from, as it is sent. */
  private measure(at: number): void {
    const { rate } = this;
    this.cells[at + FIRST_SENT] = rate.firstSentAt;
    this.cells[at + DELIVERED_AT] = rate.deliveredAt;
    this.cells[at + DELIVERED] = rate.delivered;
  }

  /** A mark of the turn in hand. */
  private mark(bits: number): number {
    return this.turn | (this.rate.appLimited === 0 ? 0 : LIMITED) | bits;
  }

  /** [seq, end) was sent for the first time. */
  push(seq: number, end: number, now: number, mss: number): void {
    this.mss = mss;
    this.takeTurn(seq, end, now);
    if (this.head === this.tail) {
      this.start = seq;
      this.head = 0;
      this.tail = 0;
      this.fack = seq;
      this.inOrder = true;
      this.rate.firstSentAt = now;
      this.rate.deliveredAt = now;
    } else {
      const last = this.tail - WIDTH;
      const mark = this.cells[last + MARK]!;
      const same = mark === this.mark(SENT) && this.cells[last + TIME] === now;
      if ((same && this.wholeAt(last)) || (this.count >= MOST && (mark & FATE) !== SACKED)) {
        this.tally(mark, (end - this.cells[last]!) | 0);
        this.cells[last] = end;
        this.cells[last + TIME] = now;
        this.measure(last);
        return;
      }
    }
    this.room();
    this.cells[this.tail] = end;
    this.cells[this.tail + TIME] = now;
    this.cells[this.tail + MARK] = this.mark(SENT);
    this.measure(this.tail);
    this.tail += WIDTH;
  }

  /** The record at cell `at` ends with a full-sized segment. */
  private wholeAt(at: number): boolean {
    const start = at === this.head ? this.start : this.cells[at - WIDTH]!;
    return ((this.cells[at]! - start) | 0) % this.mss === 0;
  }

  /** The cumulative acknowledgment moved to `una`. */
  acknowledge(una: number): void {
    while (this.head < this.tail && !after(this.cells[this.head]!, una)) {
      this.release(this.head, this.cells[this.head]!);
      this.start = this.cells[this.head]!;
      this.head += WIDTH;
    }
    if (this.head < this.tail && after(una, this.start)) {
      this.release(this.head, una);
      this.start = una;
    }
    if (this.head === this.tail) {
      this.start = una;
      this.head = 0;
      this.tail = 0;
    }
    if (after(una, this.fack)) this.fack = una;
  }

  /** The record at `at` leaves, from its start up to `to`. */
  private release(at: number, to: number): void {
    const mark = this.cells[at + MARK]!;
    const bytes = (to - this.start) | 0;
    if ((mark & FATE) !== SACKED) this.deliver(at, this.start, to);
    this.tally(mark, -bytes);
  }

  private deliver(at: number, start: number, end: number): void {
    const bytes = (end - start) | 0;
    const time = this.cells[at + TIME]!;
    const turn = this.cells[at + MARK]! & -TURN;
    // A segment counts with its last octet
    this.packets += end === this.cells[at] ? Math.ceil(bytes / this.mss) : Math.floor(bytes / this.mss);
    if (!this.sampled || sentAfter(turn, end, this.sampleTurn, this.sampleEnd)) this.sample(at, turn, end);
    // R8985-6: the later sending, then the higher sequence number
    this.lastRepeated = (this.cells[at + MARK]! & EVER) !== 0;
    this.lastTime = time;
    if (this.lastRepeated) {
      if (this.repeated === 0 || sentAfter(turn, end, this.repeatedTurn, this.repeatedEnd)) {
        this.repeatedLatest = time;
        this.repeatedTurn = turn;
        this.repeatedEnd = end;
      }
      this.repeated += bytes;
    } else {
      if (this.original === 0 || before(time, this.originalTime)) this.originalTime = time;
      if (this.original === 0 || sentAfter(turn, end, this.originalTurn, this.originalEnd)) {
        this.originalLatest = time;
        this.originalTurn = turn;
        this.originalEnd = end;
      }
      this.original += bytes;
      if (before(end, this.fackBefore) && !(this.reordered && !before(start, this.lateFrom))) {
        this.reordered = true;
        this.lateFrom = start;
      }
    }
    this.delivered += bytes;
    if (after(end, this.fack)) this.fack = end;
  }

  private sample(at: number, turn: number, end: number): void {
    this.sampled = true;
    this.sampleTurn = turn;
    this.sampleEnd = end;
    this.sampleTime = this.cells[at + TIME]!;
    this.sampleFirstSent = this.cells[at + FIRST_SENT]!;
    this.sampleDeliveredAt = this.cells[at + DELIVERED_AT]!;
    this.sampleDelivered = this.cells[at + DELIVERED]!;
    this.sampleLimited = (this.cells[at + MARK]! & LIMITED) !== 0;
  }

  /** `seq` moved to the next (`up`) or to the last start of a segment. */
  private boundary(seq: number, up: boolean): number {
    const i = this.find(seq);
    if (i === this.count) return seq;
    const over = ((seq - this.startOf(i)) | 0) % this.mss;
    if (over === 0) return seq;
    return up ? min((seq - over + this.mss) | 0, this.endOf(i)) : (seq - over) | 0;
  }

  /** One SACK block of which only whole segments count. */
  sackWhole(left: number, right: number): boolean {
    if (!after(right, left) || after(right, this.end) || !after(right, this.start)) return false;
    return this.sack(this.boundary(max(left, this.start), true), this.boundary(right, false));
  }

  /** One SACK block, clipped to what is in flight; true when it tells something new (R6675-1). */
  sack(left: number, right: number): boolean {
    // R2018-17: a block outside what is in flight is an old one, a D-SACK or a lie
    if (!after(right, left) || after(right, this.end) || !after(right, this.start)) return false;
    const known = this.sacked;
    const from = max(left, this.start);
    let i = this.split(from, true);
    while (i < this.count && !after(this.endOf(i), right)) {
      this.sackRecord(i);
      i++;
    }
    if (i < this.count && before(this.startOf(i), right) && this.fateOf(i) !== SACKED) {
      const end = this.split(right, false);
      if (end > i) this.sackRecord(i);
    }
    if (this.sacked !== known) this.merge(from, right);
    return this.sacked !== known;
  }

  private sackRecord(i: number): void {
    if (this.fateOf(i) === SACKED) return;
    const at = this.head + WIDTH * i;
    this.deliver(at, this.startOf(i), this.cells[at]!);
    this.setMark(i, SACKED);
  }

  /** Neighbours inside [left, right] that are acknowledged alike become one. */
  private merge(left: number, right: number): void {
    let i = Math.max(0, this.find(left) - 1);
    while (i + 1 < this.count && !after(this.startOf(i + 1), right)) {
      if (this.fateOf(i) === SACKED && this.fateOf(i + 1) === SACKED) {
        this.cells[this.head + WIDTH * i] = this.endOf(i + 1);
        this.remove(i + 1);
      } else i++;
    }
  }

  /** [left, right) was resent now; `doubles`: what was not lost is now twice in the network. */
  resent(left: number, right: number, now: number, doubles: boolean): void {
    this.takeTurn(left, right, now);
    this.inOrder = false;
    let i = this.split(left, true);
    this.split(right, false);
    for (; i < this.count && !after(this.endOf(i), right); i++) {
      const fate = this.fateOf(i);
      const second = doubles && (fate === SENT || fate === RESENT) ? TWICE : 0;
      this.setMark(i, RESENT | EVER | second);
      const at = this.head + WIDTH * i;
      this.cells[at + TIME] = now;
      this.cells[at + MARK] = this.mark(this.cells[at + MARK]! & BITS);
      this.measure(at);
      while (
        i > 0 &&
        this.cells[this.head + WIDTH * (i - 1) + MARK] === this.cells[this.head + WIDTH * i + MARK] &&
        this.timeOf(i - 1) === now
      ) {
        if (!this.wholeAt(this.head + WIDTH * (i - 1))) break;
        this.cells[this.head + WIDTH * (i - 1)] = this.endOf(i);
        this.remove(i);
        i--;
      }
    }
  }

  /** The record counts as lost. */
  lose(i: number): void {
    this.setMark(i, LOST | (this.markOf(i) & EVER));
  }

  /** The first record ends after `bytes` at most. */
  isolate(seq: number, bytes: number): void {
    if (((this.endOf(0) - seq) | 0) > bytes) this.split((seq + bytes) | 0, false);
  }

  /** All of it, what was selectively acknowledged only with `forget` (R2018-11). */
  loseAll(forget: boolean): void {
    for (let i = 0; i < this.count; i++) {
      if (this.fateOf(i) !== SACKED || forget) this.lose(i);
    }
  }

  /** Nothing is lost: what was believed so is on its way after all. */
  restore(): void {
    for (let i = 0; i < this.count; i++) {
      if (this.fateOf(i) === LOST) this.setMark(i, SENT | (this.markOf(i) & EVER));
    }
  }

  /** Index of the first lost record, -1 when there is none. */
  firstLost(): number {
    if (this.lost === 0) return -1;
    for (let i = 0; i < this.count; i++) if (this.fateOf(i) === LOST) return i;
    return -1;
  }

  /** End of the run of records of this fate that begins at `i`. */
  runEnd(i: number): number {
    const fate = this.fateOf(i);
    let last = i;
    while (last + 1 < this.count && this.fateOf(last + 1) === fate) last++;
    return this.endOf(last);
  }

  /**
   * IsLost of RFC 6675 4 (R6675-3): what lies below the returned number is followed by
   * three acknowledged ranges or by more than two segments of acknowledged bytes.
   * The start of the map: nothing counts as lost.
   */
  lostEdge(mss: number): number {
    let bytes = 0;
    let ranges = 0;
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.fateOf(i) !== SACKED) continue;
      bytes += (this.endOf(i) - this.startOf(i)) | 0;
      ranges++;
      if (ranges >= 3 || bytes > 2 * mss) return this.startOf(i);
    }
    return this.start;
  }

  /** Where the highest acknowledged piece begins; the start of the map without one. */
  highestSacked(): number {
    for (let i = this.count - 1; i >= 0; i--) if (this.fateOf(i) === SACKED) return this.startOf(i);
    return this.start;
  }

  clear(): void {
    this.head = 0;
    this.tail = 0;
    this.sacked = 0;
    this.lost = 0;
    this.again = 0;
    this.twice = 0;
    if (this.cells.length > WIDTH * 64) this.cells = new Int32Array(WIDTH * SMALLEST);
  }

  private setMark(i: number, mark: number): void {
    const at = this.head + WIDTH * i;
    const bytes = (this.cells[at]! - this.startOf(i)) | 0;
    const old = this.cells[at + MARK]!;
    this.tally(old, -bytes);
    this.cells[at + MARK] = (old & ~BITS) | mark;
    this.tally(mark, bytes);
  }

  private tally(mark: number, bytes: number): void {
    const fate = mark & FATE;
    if (fate === SACKED) this.sacked += bytes;
    else if (fate === LOST) this.lost += bytes;
    else if (fate === RESENT) this.again += bytes;
    if ((mark & TWICE) !== 0) this.twice += bytes;
  }

  /** Index of the record that holds `seq`; `count` when it lies at or after the end. */
  private find(seq: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (after(this.endOf(middle), seq)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Makes a record begin at `seq` and returns its index. In a full map: the next one (`up`) or the one that holds it. */
  private split(seq: number, up: boolean): number {
    const i = this.find(seq);
    if (i === this.count || this.startOf(i) === seq) return i;
    if (this.count >= MOST) return up ? i + 1 : i;
    this.room();
    const at = this.head + WIDTH * i;
    this.cells.copyWithin(at + WIDTH, at, this.tail);
    this.tail += WIDTH;
    this.cells[at] = seq;
    return i + 1;
  }

  private remove(i: number): void {
    const at = this.head + WIDTH * i;
    this.cells.copyWithin(at, at + WIDTH, this.tail);
    this.tail -= WIDTH;
  }

  /** Room for one record at the tail. */
  private room(): void {
    if (this.tail + WIDTH <= this.cells.length) return;
    if (this.head * 2 >= this.cells.length) {
      this.cells.copyWithin(0, this.head, this.tail);
    } else {
      const larger = new Int32Array(2 * this.cells.length);
      larger.set(this.cells.subarray(this.head, this.tail));
      this.cells = larger;
    }
    this.tail -= this.head;
    this.head = 0;
  }
}
