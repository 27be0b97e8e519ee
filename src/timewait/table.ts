/**
 * TIME-WAIT records: a few words each in typed-array columns, no object per record.
 *
 * A record is an index. Free indexes form a chain, records of one local port a
 * doubly linked one (bind asks for them), all records another in the order of entry
 * (eviction takes its head; a restart counts as entry). Expiry is one intrusive entry
 * of a timer wheel.
 *
 * Memory: 67 bytes a record of capacity and 16 in the wheel, 12 more once an IPv6
 * record exists, 4 once a policy keeps words; capacity doubles up to `limit`, beyond which `add` refuses. Emptied
 * above its first size, the table gives everything back.
 */
import { TimerWheel } from '../time/wheel.js';
import { formatWords } from '../wire/address.js';
import type { RecordFacts } from './policy.js';

const FIRST = 64;
const NONE = -1;

const F_TIMESTAMP = 1;
const F_FIN_WAIT_2 = 2;
const F_USER_CLOSED = 4;
const F_REUSE_ADDRESS = 8;
const F_REUSE_PORT = 16;
const F_BOUND_PORT = 32;
const F_LOCAL_PEER = 64;
const F_ACKED = 128;
const F_V6 = 256;
const F_NEAR_PEER = 512;
const F_ACTIVE = 1024;
/** HOLDER_ value in two bits. */
const HOLDER_SHIFT = 11;
const HOLDER_MASK = 3 << HOLDER_SHIFT;

/** RTO is kept in these steps, ms, rounded up, at most 262 s: the jiffies of a kernel with HZ=250. */
const RTO_STEP = 4;

/** What a connection leaves behind; also a record that was saved to come back. */
export interface RecordEntry {
  readonly local0: number;
  readonly local1: number;
  readonly local2: number;
  readonly local3: number;
  readonly remote0: number;
  readonly remote1: number;
  readonly remote2: number;
  readonly remote3: number;
  readonly localPort: number;
  readonly remotePort: number;
  /** Flow hash. */
  readonly hash: number;
  readonly sndNxt: number;
  readonly rcvNxt: number;
  /** Bytes. */
  readonly rcvWnd: number;
  readonly rcvWscale: number;
  readonly hasTimestamp: boolean;
  readonly tsRecent: number;
  readonly tsRecentAt: number;
  readonly tsOffset: number;
  readonly enteredAt: number;
  readonly rto: number;
  readonly finWait2: boolean;
  readonly userClosed: boolean;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  readonly boundPort: boolean;
  readonly localPeer: boolean;
  readonly nearPeer: boolean;
  readonly active: boolean;
  readonly holder: number;
  readonly word: number;
}

interface Ends {
  readonly local: { address: string; port: number; family: 4 | 6 };
  readonly remote: { address: string; port: number; family: 4 | 6 };
}

/** Int32 columns, in the order of `ints`. */
const REMOTE = 0;
const PORTS = 1;
const HASH = 2;
const SND_NXT = 3;
const RCV_NXT = 4;
const RCV_WND = 5;
const TS_RECENT = 6;
const TS_RECENT_AT = 7;
const TS_OFFSET = 8;
const ENTERED_AT = 9;
const LAST_ACK_AT = 10;
/** Order of entry or restart; the chain of free indexes uses NEXT. */
const PREV = 11;
const NEXT = 12;
const PORT_PREV = 13;
const PORT_NEXT = 14;
const COLUMNS = 15;

export class TimeWaitTable {
  private capacity = 0;
  private ints: Int32Array[] = [];
  private flags = new Uint16Array(0);
  private scales = new Uint8Array(0);
  private rtos = new Uint16Array(0);
  /** Index of the local address in `locals`. */
  private localIds = new Uint16Array(0);
  /** Upper three words of IPv6 remote addresses, once there are any. */
  private upper: Int32Array | null = null;
  /** The policy's own words, once one is not 0. */
  private words: Int32Array | null = null;
  private readonly locals: Int32Array[] = [];
  private readonly ports = new Map<number, number>();
  private free = NONE;
  private head = NONE;
  private tail = NONE;
  private wheel: TimerWheel;
  /** The last time seen, for a fresh wheel. */
  private clock: number;
  count = 0;
  finWait2Count = 0;

  constructor(
    now: number,
    private readonly limit = 1 << 24,
  ) {
    this.clock = now;
    this.wheel = new TimerWheel(now, FIRST);
    this.allocate(FIRST);
  }

  /** Bytes of the columns, those of the wheel included. */
  get memoryBytes(): number {
    return (
      this.capacity * (4 * COLUMNS + 7 + 16) +
      (this.upper === null ? 0 : this.upper.byteLength) +
      (this.words === null ? 0 : this.words.byteLength)
    );
  }

  cursor(): RecordCursor {
    return new RecordCursor(this);
  }

  /** Takes a record in; its index, or -1 at the limit. It has no timer yet: `arm` it. */
  add(entry: RecordEntry): number {
    if (this.free === NONE) {
      if (this.capacity >= this.limit) return NONE;
      this.allocate(this.capacity * 2);
    }
    const i = this.free;
    const c = this.ints;
    this.free = c[NEXT]![i]!;
    c[REMOTE]![i] = entry.remote3;
    c[PORTS]![i] = (entry.localPort << 16) | entry.remotePort;
    c[HASH]![i] = entry.hash;
    c[SND_NXT]![i] = entry.sndNxt;
    c[RCV_NXT]![i] = entry.rcvNxt;
    c[RCV_WND]![i] = entry.rcvWnd;
    c[TS_RECENT]![i] = entry.tsRecent;
    c[TS_RECENT_AT]![i] = entry.tsRecentAt;
    c[TS_OFFSET]![i] = entry.tsOffset;
    c[ENTERED_AT]![i] = entry.enteredAt;
    c[LAST_ACK_AT]![i] = 0;
    this.flags[i] =
      (entry.hasTimestamp ? F_TIMESTAMP : 0) |
      (entry.finWait2 ? F_FIN_WAIT_2 : 0) |
      (entry.userClosed ? F_USER_CLOSED : 0) |
      (entry.reuseAddress ? F_REUSE_ADDRESS : 0) |
      (entry.reusePort ? F_REUSE_PORT : 0) |
      (entry.boundPort ? F_BOUND_PORT : 0) |
      (entry.localPeer ? F_LOCAL_PEER : 0) |
      (entry.nearPeer ? F_NEAR_PEER : 0) |
      (entry.active ? F_ACTIVE : 0) |
      (entry.holder << HOLDER_SHIFT);
    if (entry.word !== 0 || this.words !== null) this.setWord(i, entry.word);
    this.scales[i] = entry.rcvWscale;
    this.rtos[i] = Math.min(65535, Math.ceil(entry.rto / RTO_STEP));
    this.localIds[i] = this.intern(entry.local0, entry.local1, entry.local2, entry.local3);
    this.storeUpper(i, entry);
    this.link(i, entry.localPort);
    this.count++;
    if (entry.finWait2) this.finWait2Count++;
    return i;
  }

  private storeUpper(i: number, entry: RecordEntry): void {
    if (entry.remote0 === 0 && entry.remote1 === 0 && entry.remote2 === 0xffff) return;
    this.flags[i]! |= F_V6;
    const upper = (this.upper ??= new Int32Array(3 * this.capacity));
    upper[3 * i] = entry.remote0;
    upper[3 * i + 1] = entry.remote1;
    upper[3 * i + 2] = entry.remote2;
  }

  private link(i: number, port: number): void {
    const c = this.ints;
    this.append(i);
    const first = this.ports.get(port) ?? NONE;
    c[PORT_PREV]![i] = NONE;
    c[PORT_NEXT]![i] = first;
    if (first !== NONE) c[PORT_PREV]![first] = i;
    this.ports.set(port, i);
  }

  /** To the end of the order of entry. */
  private append(i: number): void {
    const c = this.ints;
    c[PREV]![i] = this.tail;
    c[NEXT]![i] = NONE;
    if (this.tail !== NONE) c[NEXT]![this.tail] = i;
    else this.head = i;
    this.tail = i;
  }

  /** Out of the order of entry. */
  private unlink(i: number): void {
    const c = this.ints;
    const prev = c[PREV]![i]!;
    const next = c[NEXT]![i]!;
    if (prev !== NONE) c[NEXT]![prev] = next;
    else this.head = next;
    if (next !== NONE) c[PREV]![next] = prev;
    else this.tail = prev;
  }

  remove(i: number): void {
    const c = this.ints;
    this.wheel.cancel(i);
    this.unlink(i);
    const portPrev = c[PORT_PREV]![i]!;
    const portNext = c[PORT_NEXT]![i]!;
    if (portNext !== NONE) c[PORT_PREV]![portNext] = portPrev;
    if (portPrev !== NONE) c[PORT_NEXT]![portPrev] = portNext;
    else if (portNext !== NONE) this.ports.set(c[PORTS]![i]! >>> 16, portNext);
    else this.ports.delete(c[PORTS]![i]! >>> 16);
    if ((this.flags[i]! & F_FIN_WAIT_2) !== 0) this.finWait2Count--;
    c[NEXT]![i] = this.free;
    this.free = i;
    this.count--;
    if (this.count === 0 && this.capacity > FIRST) this.release();
  }

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
    const c = this.ints;
    if (c[REMOTE]![i] !== r3 || c[PORTS]![i] !== ((localPort << 16) | remotePort)) return false;
    if (!this.localEquals(i, l0, l1, l2, l3)) return false;
    if ((this.flags[i]! & F_V6) === 0) return r0 === 0 && r1 === 0 && r2 === 0xffff;
    const upper = this.upper!;
    return upper[3 * i] === r0 && upper[3 * i + 1] === r1 && upper[3 * i + 2] === r2;
  }

  localEquals(i: number, l0: number, l1: number, l2: number, l3: number): boolean {
    const w = this.locals[this.localIds[i]!]!;
    return w[3] === l3 && w[2] === l2 && w[1] === l1 && w[0] === l0;
  }

  hashOf(i: number): number {
    return this.ints[HASH]![i]!;
  }

  /** Both ends as text, for lists and traces. */
  endpoints(i: number): Ends {
    const [a, b, c, d] = this.localWords(i);
    const v6 = (this.flags[i]! & F_V6) !== 0;
    const [r0, r1, r2, r3] = this.remoteWords(i);
    const ports = this.ints[PORTS]![i]!;
    const family = v6 ? 6 : 4;
    return {
      local: { address: formatWords(a, b, c, d), port: ports >>> 16, family },
      remote: { address: formatWords(r0, r1, r2, r3), port: ports & 0xffff, family },
    };
  }

  private localWords(i: number): [number, number, number, number] {
    const w = this.locals[this.localIds[i]!]!;
    return [w[0]!, w[1]!, w[2]!, w[3]!];
  }

  private remoteWords(i: number): [number, number, number, number] {
    const last = this.ints[REMOTE]![i]!;
    if ((this.flags[i]! & F_V6) === 0) return [0, 0, 0xffff, last];
    const upper = this.upper!;
    return [upper[3 * i]!, upper[3 * i + 1]!, upper[3 * i + 2]!, last];
  }

  /** A copy of the record that `add` can take back. */
  save(i: number): RecordEntry {
    const c = this.ints;
    const f = this.flags[i]!;
    const [local0, local1, local2, local3] = this.localWords(i);
    const [remote0, remote1, remote2, remote3] = this.remoteWords(i);
    return {
      local0,
      local1,
      local2,
      local3,
      remote0,
      remote1,
      remote2,
      remote3,
      localPort: c[PORTS]![i]! >>> 16,
      remotePort: c[PORTS]![i]! & 0xffff,
      hash: c[HASH]![i]!,
      sndNxt: c[SND_NXT]![i]!,
      rcvNxt: c[RCV_NXT]![i]!,
      rcvWnd: c[RCV_WND]![i]!,
      rcvWscale: this.scales[i]!,
      hasTimestamp: (f & F_TIMESTAMP) !== 0,
      tsRecent: c[TS_RECENT]![i]!,
      tsRecentAt: c[TS_RECENT_AT]![i]!,
      tsOffset: c[TS_OFFSET]![i]!,
      enteredAt: c[ENTERED_AT]![i]!,
      rto: this.rtos[i]! * RTO_STEP,
      finWait2: (f & F_FIN_WAIT_2) !== 0,
      userClosed: (f & F_USER_CLOSED) !== 0,
      reuseAddress: (f & F_REUSE_ADDRESS) !== 0,
      reusePort: (f & F_REUSE_PORT) !== 0,
      boundPort: (f & F_BOUND_PORT) !== 0,
      localPeer: (f & F_LOCAL_PEER) !== 0,
      nearPeer: (f & F_NEAR_PEER) !== 0,
      active: (f & F_ACTIVE) !== 0,
      holder: (f & HOLDER_MASK) >> HOLDER_SHIFT,
      word: this.word(i),
    };
  }

  // ---- walking ----------------------------------------------------------------

  /** The record entered or restarted first; -1 when there is none. */
  oldest(): number {
    return this.head;
  }

  /** Walks all records in the order of entry. */
  first(): number {
    return this.head;
  }

  next(i: number): number {
    return this.ints[NEXT]![i]!;
  }

  /** Walks the records of one local port; -1 ends it. */
  firstOnPort(port: number): number {
    return this.ports.get(port) ?? NONE;
  }

  nextOnPort(i: number): number {
    return this.ints[PORT_NEXT]![i]!;
  }

  // ---- time -------------------------------------------------------------------

  /** The present time, for an empty wheel. */
  sync(now: number): void {
    this.clock = now;
    this.wheel.sync(now);
  }

  arm(i: number, expiresAt: number): void {
    this.wheel.arm(i, expiresAt);
  }

  /** A new expiry; the record is the youngest again (FreeBSD moves it to the tail of its list, too). */
  restart(i: number, expiresAt: number): void {
    this.wheel.arm(i, expiresAt);
    this.unlink(i);
    this.append(i);
  }

  /** A record whose time is over at `now`, -1 when there is none. The caller removes it. */
  expireNext(now: number): number {
    this.clock = now;
    return this.wheel.expire(now);
  }

  /** ms until the next expiry, -1 when nothing waits. */
  nextDeadline(now: number): number {
    return this.wheel.nextDeadline(now);
  }

  // ---- columns, for the cursor -------------------------------------------------

  int(column: number, i: number): number {
    return this.ints[column]![i]!;
  }

  setInt(column: number, i: number, value: number): void {
    this.ints[column]![i] = value;
  }

  flag(bit: number, i: number): boolean {
    return (this.flags[i]! & bit) !== 0;
  }

  setFlag(bit: number, i: number, on: boolean): void {
    if (on) this.flags[i]! |= bit;
    else this.flags[i]! &= ~bit;
  }

  holder(i: number): number {
    return (this.flags[i]! & HOLDER_MASK) >> HOLDER_SHIFT;
  }

  word(i: number): number {
    return this.words === null ? 0 : this.words[i]!;
  }

  setWord(i: number, value: number): void {
    if (value === this.word(i)) return;
    this.words ??= new Int32Array(this.capacity);
    this.words[i] = value;
  }

  scale(i: number): number {
    return this.scales[i]!;
  }

  rto(i: number): number {
    return this.rtos[i]! * RTO_STEP;
  }

  expiry(i: number): number {
    return this.wheel.deadlineOf(i);
  }

  // ---- memory -----------------------------------------------------------------

  private allocate(capacity: number): void {
    const grown = Math.min(capacity, this.limit);
    this.ints = Array.from({ length: COLUMNS }, (_, n) => widen(new Int32Array(grown), this.ints[n]));
    this.flags = widen(new Uint16Array(grown), this.flags);
    this.scales = widen(new Uint8Array(grown), this.scales);
    this.rtos = widen(new Uint16Array(grown), this.rtos);
    this.localIds = widen(new Uint16Array(grown), this.localIds);
    if (this.upper !== null) this.upper = widen(new Int32Array(3 * grown), this.upper);
    if (this.words !== null) this.words = widen(new Int32Array(grown), this.words);
    const next = this.ints[NEXT]!;
    for (let i = grown - 1; i >= this.capacity; i--) {
      next[i] = this.free;
      this.free = i;
    }
    this.capacity = grown;
    this.wheel.ensure(grown - 1);
  }

  /** Empty again: the memory of the flood goes back. */
  private release(): void {
    this.wheel = new TimerWheel(this.clock, FIRST);
    this.capacity = 0;
    this.free = NONE;
    this.ints = [];
    this.flags = new Uint16Array(0);
    this.scales = new Uint8Array(0);
    this.rtos = new Uint16Array(0);
    this.localIds = new Uint16Array(0);
    this.upper = null;
    this.words = null;
    this.allocate(FIRST);
  }

  /** A stack has few local addresses; 65,536 is a programmer's mistake. */
  private intern(l0: number, l1: number, l2: number, l3: number): number {
    for (let id = 0; id < this.locals.length; id++) {
      const w = this.locals[id]!;
      if (w[3] === l3 && w[2] === l2 && w[1] === l1 && w[0] === l0) return id;
    }
    if (this.locals.length >= 65536) throw new RangeError('more than 65536 local addresses');
    this.locals.push(Int32Array.of(l0, l1, l2, l3));
    return this.locals.length - 1;
  }
}

function widen<T extends Int32Array | Uint16Array | Uint8Array>(larger: T, present: T | undefined): T {
  if (present !== undefined) larger.set(present);
  return larger;
}

/** The record a hook looks at: reads the columns at one index. */
export class RecordCursor implements RecordFacts {
  private i = NONE;

  constructor(private readonly table: TimeWaitTable) {}

  at(index: number): this {
    this.i = index;
    return this;
  }

  get sndNxt(): number {
    return this.table.int(SND_NXT, this.i);
  }
  get rcvNxt(): number {
    return this.table.int(RCV_NXT, this.i);
  }
  get rcvWnd(): number {
    return this.table.int(RCV_WND, this.i);
  }
  get rcvWscale(): number {
    return this.table.scale(this.i);
  }
  get hasTimestamp(): boolean {
    return this.table.flag(F_TIMESTAMP, this.i);
  }
  get tsRecent(): number {
    return this.table.int(TS_RECENT, this.i);
  }
  get tsRecentAt(): number {
    return this.table.int(TS_RECENT_AT, this.i);
  }
  get tsOffset(): number {
    return this.table.int(TS_OFFSET, this.i);
  }
  get enteredAt(): number {
    return this.table.int(ENTERED_AT, this.i);
  }
  get expiresAt(): number {
    return this.table.expiry(this.i);
  }
  get rto(): number {
    return this.table.rto(this.i);
  }
  get finWait2(): boolean {
    return this.table.flag(F_FIN_WAIT_2, this.i);
  }
  get userClosed(): boolean {
    return this.table.flag(F_USER_CLOSED, this.i);
  }
  get reuseAddress(): boolean {
    return this.table.flag(F_REUSE_ADDRESS, this.i);
  }
  get reusePort(): boolean {
    return this.table.flag(F_REUSE_PORT, this.i);
  }
  get boundPort(): boolean {
    return this.table.flag(F_BOUND_PORT, this.i);
  }
  get localPeer(): boolean {
    return this.table.flag(F_LOCAL_PEER, this.i);
  }
  get nearPeer(): boolean {
    return this.table.flag(F_NEAR_PEER, this.i);
  }
  get active(): boolean {
    return this.table.flag(F_ACTIVE, this.i);
  }
  get holder(): number {
    return this.table.holder(this.i);
  }
  get word(): number {
    return this.table.word(this.i);
  }
  /** An ACK was sent from this record, and when the last one that counts for the rate limit. */
  get ackedAtAll(): boolean {
    return this.table.flag(F_ACKED, this.i);
  }
  get lastAckAt(): number {
    return this.table.int(LAST_ACK_AT, this.i);
  }

  // The stack's writes; hooks see a RecordFacts and have none of them.

  restart(expiresAt: number): void {
    this.table.restart(this.i, expiresAt);
  }

  refresh(tsRecent: number, now: number): void {
    this.table.setInt(TS_RECENT, this.i, tsRecent);
    this.table.setInt(TS_RECENT_AT, this.i, now);
  }

  /** The peer's FIN reached the orphan: RCV.NXT moves over it. */
  becomeTimeWait(rcvNxt: number, now: number): void {
    this.table.setInt(RCV_NXT, this.i, rcvNxt);
    this.table.setInt(ENTERED_AT, this.i, now);
    this.table.setFlag(F_FIN_WAIT_2, this.i, false);
    this.table.finWait2Count--;
  }

  setWord(value: number): void {
    this.table.setWord(this.i, value);
  }

  acked(now: number): void {
    this.table.setInt(LAST_ACK_AT, this.i, now);
    this.table.setFlag(F_ACKED, this.i, true);
  }
}
