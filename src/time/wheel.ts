/**
 * A hierarchical timer wheel: millisecond ticks on an int32 serial clock.
 *
 *     level 0   256 slots of 1 ms            exact
 *     level 1    64 slots of 256 ms
 *     level 2    64 slots of 16.4 s
 *     level 3    64 slots of 17.5 min
 *     level 4    64 slots of 18.6 h          8 + 4 * 6 = 32 bits: the whole clock
 *
 * A timer lies on the level of the highest bit in which its deadline differs from
 * `position`, the tick the wheel stands at. So all timers of a level come before
 * all timers of the next level, a slot of level 0 holds one tick, and whatever
 * shares a tick shares a slot: timers of one tick fire in the order they were armed.
 * When the position reaches a slot of a higher level, that slot's timers move down
 * (at most four times in a timer's life). A bit per slot says which slots hold
 * timers, so empty ticks are skipped, never walked.
 *
 * Timers are integers chosen by the caller; lists are intrusive, in int32 columns.
 * arm and cancel are O(1) and allocate only when `ensure` grows the columns.
 *
 * Deadlines lie less than 2^31 ms (24.8 days) after the position. The position
 * follows `expire` and lags while due timers have not been taken, so deadlines up
 * to 24 days ahead are safe for an owner that drains the wheel every 20 hours. One
 * that may sleep longer with no timer armed calls `sync(now)` before it arms again.
 */
import { diff } from '../seqnum.js';

const LEVELS = 5;
const FINE_BITS = 8;
const COARSE_BITS = 6;
/** Slots of all levels: 256 + 4 * 64; slot n is also list node n, the head of its circular list. */
const SLOTS = (1 << FINE_BITS) + (LEVELS - 1) * (1 << COARSE_BITS);
const UNARMED = -1;

/** First slot of a level. */
function baseOf(level: number): number {
  return level === 0 ? 0 : (1 << FINE_BITS) + ((level - 1) << COARSE_BITS);
}

/** Slots of a level. */
function widthOf(level: number): number {
  return level === 0 ? 1 << FINE_BITS : 1 << COARSE_BITS;
}

/** log2 of the ticks per slot of a level. */
function shiftOf(level: number): number {
  return level === 0 ? 0 : FINE_BITS + (level - 1) * COARSE_BITS;
}

export class TimerWheel {
  /** List nodes: 0..SLOTS-1 are the heads of the slots, SLOTS + id is timer id. */
  private next: Int32Array;
  private prev: Int32Array;
  /** Deadline per timer id, as given to `arm`. */
  private deadlines: Int32Array;
  /** Slot per timer id, UNARMED when not in the wheel. */
  private slots: Int32Array;
  /** One bit per slot: it holds timers. */
  private readonly occupied = new Int32Array(SLOTS >> 5);
  private position: number;
  private room: number;
  private armed = 0;
  /** Level of the slot that `firstSlot` found. */
  private firstLevel = 0;

  /** `now`: int32 ms. `capacity`: ids that fit before the first growth. */
  constructor(now: number, capacity = 64) {
    if (capacity < 1) throw new RangeError(`capacity must be at least 1, got ${capacity}`);
    this.position = now | 0;
    this.room = capacity;
    this.next = new Int32Array(SLOTS + capacity);
    this.prev = new Int32Array(SLOTS + capacity);
    this.deadlines = new Int32Array(capacity);
    this.slots = new Int32Array(capacity).fill(UNARMED);
    for (let slot = 0; slot < SLOTS; slot++) {
      this.next[slot] = slot;
      this.prev[slot] = slot;
    }
  }

  /** Timers armed now. */
  get size(): number {
    return this.armed;
  }

  /** Ids that fit without growth: 0 .. capacity-1. */
  get capacity(): number {
    return this.room;
  }

  /** Makes room for `id`, doubling as often as it takes. */
  ensure(id: number): void {
    if (id < this.room) return;
    let room = this.room;
    while (room <= id) room *= 2;
    this.next = grown(this.next, SLOTS + room, 0);
    this.prev = grown(this.prev, SLOTS + room, 0);
    this.deadlines = grown(this.deadlines, room, 0);
    this.slots = grown(this.slots, room, UNARMED);
    this.room = room;
  }

  /** Arms or re-arms. `deadline`: int32 ms; one at or before the wheel's position is due at the next `expire`. */
  arm(id: number, deadline: number): void {
    if (id >= this.room) this.ensure(id);
    if (this.slots[id] === UNARMED) this.armed++;
    else this.unlink(id);
    this.deadlines[id] = deadline;
    this.insert(id);
  }

  /** Disarms; nothing happens when it is not armed. */
  cancel(id: number): void {
    if (id >= this.room || this.slots[id] === UNARMED) return;
    this.unlink(id);
    this.slots[id] = UNARMED;
    this.armed--;
  }

  isArmed(id: number): boolean {
    return id < this.room && this.slots[id] !== UNARMED;
  }

  /** The deadline last given to `arm` (int32 ms), meaningful while armed. */
  deadlineOf(id: number): number {
    return id < this.room ? this.deadlines[id]! : 0;
  }

  /** Moves an empty wheel to `now`, so that deadlines are measured from there; does nothing while timers are armed. */
  sync(now: number): void {
    if (this.armed === 0) this.position = now | 0;
  }

  /**
   * Takes the next due timer off the wheel: earliest tick first, within a tick in
   * the order of arming. -1 when none is due; call until then. A clock that went
   * backwards counts as standing still.
   */
  expire(now: number): number {
    while (this.armed !== 0) {
      const slot = this.firstSlot();
      const level = this.firstLevel;
      const tick = this.tickOf(slot, level);
      if (diff(tick, now) > 0 && tick !== this.position) break;
      this.position = tick;
      if (level === 0) {
        const id = this.next[slot]! - SLOTS;
        this.cancel(id);
        return id;
      }
      this.cascade(slot);
    }
    if (diff(now, this.position) > 0 || this.armed === 0) this.position = now | 0;
    return -1;
  }

  /**
   * ms until `expire` has something to do: 0 when overdue, -1 when nothing is armed.
   * Exact when the earliest timer lies on level 0; otherwise the moment its slot
   * moves down, which is never later than the timer.
   */
  nextDeadline(now: number): number {
    if (this.armed === 0) return -1;
    const slot = this.firstSlot();
    const left = diff(this.tickOf(slot, this.firstLevel), now);
    return left > 0 ? left : 0;
  }

  /** Puts a timer at the end of the slot its deadline asks for. */
  private insert(id: number): void {
    let deadline = this.deadlines[id]!;
    if (diff(deadline, this.position) < 0) deadline = this.position;
    const top = 31 - Math.clz32(deadline ^ this.position);
    const level = top < FINE_BITS ? 0 : 1 + (((top - FINE_BITS) / COARSE_BITS) | 0);
    const slot = baseOf(level) + ((deadline >>> shiftOf(level)) & (widthOf(level) - 1));
    const node = SLOTS + id;
    const last = this.prev[slot]!;
    this.next[last] = node;
    this.prev[node] = last;
    this.next[node] = slot;
    this.prev[slot] = node;
    this.slots[id] = slot;
    this.occupied[slot >> 5]! |= 1 << (slot & 31);
  }

  /** Takes an armed timer out of its list; `slots[id]` is left to the caller. */
  private unlink(id: number): void {
    const node = SLOTS + id;
    const before = this.prev[node]!;
    const behind = this.next[node]!;
    this.next[before] = behind;
    this.prev[behind] = before;
    // Both neighbours are the head: the slot is empty now.
    if (before === behind) {
      const slot = this.slots[id]!;
      this.occupied[slot >> 5]! &= ~(1 << (slot & 31));
    }
  }

  /** Moves the timers of a slot the position has just reached to the levels below, order kept. */
  private cascade(slot: number): void {
    let node = this.next[slot]!;
    this.next[slot] = slot;
    this.prev[slot] = slot;
    this.occupied[slot >> 5]! &= ~(1 << (slot & 31));
    while (node !== slot) {
      const following = this.next[node]!;
      this.insert(node - SLOTS);
      node = following;
    }
  }

  /** The slot of the earliest timers, its level in `firstLevel`; only while timers are armed. */
  private firstSlot(): number {
    for (let level = 0; level < LEVELS; level++) {
      const base = baseOf(level);
      const width = widthOf(level);
      const from = (this.position >>> shiftOf(level)) & (width - 1);
      let slot = this.scan(base + from, base + width);
      // Only the top level goes round: below, all slots in use lie after the position.
      if (slot < 0) slot = this.scan(base, base + from);
      if (slot >= 0) {
        this.firstLevel = level;
        return slot;
      }
    }
    throw new Error('timer wheel: armed timers, but no slot in use');
  }

  /** First slot in use in [from, end), -1 when there is none. */
  private scan(from: number, end: number): number {
    if (from >= end) return -1;
    let word = from >> 5;
    let bits = this.occupied[word]! & (-1 << (from & 31));
    const lastWord = (end - 1) >> 5;
    while (bits === 0) {
      if (++word > lastWord) return -1;
      bits = this.occupied[word]!;
    }
    const slot = (word << 5) + 31 - Math.clz32(bits & -bits);
    return slot < end ? slot : -1;
  }

  /** First tick of a slot in use, int32 ms: never before the position. */
  private tickOf(slot: number, level: number): number {
    const shift = shiftOf(level);
    const index = slot - baseOf(level);
    // Bits above this level are those of the position; the top level has none above.
    const above =
      level === LEVELS - 1 ? 0 : this.position & (-1 << (shift + (level === 0 ? FINE_BITS : COARSE_BITS)));
    return above | (index << shift);
  }
}

/** A longer copy, the new part filled with `fill`. */
function grown(column: Int32Array, length: number, fill: number): Int32Array {
  const longer = new Int32Array(length);
  longer.set(column);
  if (fill !== 0) longer.fill(fill, column.length);
  return longer;
}
