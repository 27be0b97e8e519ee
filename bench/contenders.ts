/**
 * What holds the records: the typed-array table with its flow table, and plain ways to
 * write the same in JavaScript, each a Map of objects that carry the same facts.
 */
import { native } from '../src/link/native.js';
import { FlowTable } from '../src/stack/flow-table.js';
import { SipHash, TupleHash } from '../src/stack/siphash.js';
import { Blocks } from '../src/timewait/blocks.js';
import { TimeWaitTable, type RecordEntry, type TupleKeys } from '../src/timewait/table.js';
import type { Segment } from '../src/wire/segment.js';

export interface Contender {
  /** Takes a copy of the entry, to expire at `expiresAt` (int32 ms). */
  insert(entry: RecordEntry, expiresAt: number): void;
  /** RCV.NXT of the record that the segment is for, or -1: a look-up whose result is used. */
  lookUp(segment: Segment): number;
  /** Removes one record whose time is over at `now`; false when there is none. */
  expire(now: number): boolean;
  readonly size: number;
  /** Bytes that V8 does not count. */
  readonly uncounted?: number;
}

export class Table implements Contender {
  private readonly records: TimeWaitTable;
  private readonly cursor;
  private readonly flows: FlowTable;
  private readonly blocks: Blocks;
  /** Of what was read: not to be optimized away. */
  sum = 0;

  constructor(key: Uint8Array, now: number) {
    const addon = native();
    const blocks = new Blocks(addon.ok ? addon.addon.discard : undefined);
    this.blocks = blocks;
    const stamps = new SipHash(key);
    const keys: TupleKeys = {
      flowHash: (l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort) =>
        this.flows.hashOf(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort),
      stampOffset: (ofHosts, l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort) =>
        ofHosts ? 1 : stamps.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort, 0),
    };
    this.records = new TimeWaitTable(now, keys, undefined, blocks);
    this.cursor = this.records.cursor();
    this.flows = new FlowTable(key, this.records, blocks);
  }

  get size(): number {
    return this.records.count;
  }

  get uncounted(): number {
    return this.blocks.uncounted;
  }

  /** Bytes of records, timers and index. */
  get memoryBytes(): number {
    return this.records.memoryBytes + this.flows.memoryBytes;
  }

  insert(e: RecordEntry, expiresAt: number): void {
    (e as { hash: number }).hash = this.flows.hashOf(
      e.local0,
      e.local1,
      e.local2,
      e.local3,
      e.remote0,
      e.remote1,
      e.remote2,
      e.remote3,
      e.localPort,
      e.remotePort,
    );
    const index = this.records.add(e);
    this.records.arm(index, expiresAt);
    this.flows.insert(e.hash, index);
  }

  lookUp(s: Segment): number {
    const index = this.flows.find(
      s.dst0,
      s.dst1,
      s.dst2,
      s.dst3,
      s.src0,
      s.src1,
      s.src2,
      s.src3,
      s.dstPort,
      s.srcPort,
    );
    return index < 0 ? -1 : this.cursor.at(index).rcvNxt;
  }

  /** The same for a batch of tuples of ten words; how many are there. The records are read. */
  lookTuples(words: Int32Array, count: number): number {
    let found = 0;
    for (let i = 0, at = 0; i < count; i++, at += 10) {
      const index = this.flows.find(
        words[at]!,
        words[at + 1]!,
        words[at + 2]!,
        words[at + 3]!,
        words[at + 4]!,
        words[at + 5]!,
        words[at + 6]!,
        words[at + 7]!,
        words[at + 8]!,
        words[at + 9]!,
      );
      if (index < 0) continue;
      found++;
      this.sum = (this.sum + this.cursor.at(index).rcvNxt) | 0;
    }
    return found;
  }

  expire(now: number): boolean {
    const index = this.records.expireNext(now);
    if (index < 0) return false;
    this.flows.remove(this.records.hashOf(index), index);
    this.records.remove(index);
    return true;
  }
}

/** The facts of a record as an object with plain fields (spread would make a slow dictionary of them, four times the bytes). */
class Held<K> {
  next: Held<K> | undefined = undefined;
  readonly local0;
  readonly local1;
  readonly local2;
  readonly local3;
  readonly remote0;
  readonly remote1;
  readonly remote2;
  readonly remote3;
  readonly localPort;
  readonly remotePort;
  readonly sndNxt;
  readonly rcvNxt;
  readonly rcvWnd;
  readonly rcvWscale;
  readonly hasTimestamp;
  readonly tsRecent;
  readonly tsRecentAt;
  readonly tsOffset;
  readonly enteredAt;
  readonly rto;
  readonly finWait2;
  readonly userClosed;
  readonly reuseAddress;
  readonly reusePort;
  readonly boundPort;
  readonly localPeer;
  readonly nearPeer;
  readonly active;
  readonly holder;
  readonly word;

  constructor(
    e: RecordEntry,
    readonly key: K,
    readonly expiresAt: number,
  ) {
    this.local0 = e.local0;
    this.local1 = e.local1;
    this.local2 = e.local2;
    this.local3 = e.local3;
    this.remote0 = e.remote0;
    this.remote1 = e.remote1;
    this.remote2 = e.remote2;
    this.remote3 = e.remote3;
    this.localPort = e.localPort;
    this.remotePort = e.remotePort;
    this.sndNxt = e.sndNxt;
    this.rcvNxt = e.rcvNxt;
    this.rcvWnd = e.rcvWnd;
    this.rcvWscale = e.rcvWscale;
    this.hasTimestamp = e.hasTimestamp;
    this.tsRecent = e.tsRecent;
    this.tsRecentAt = e.tsRecentAt;
    this.tsOffset = e.tsOffset;
    this.enteredAt = e.enteredAt;
    this.rto = e.rto;
    this.finWait2 = e.finWait2;
    this.userClosed = e.userClosed;
    this.reuseAddress = e.reuseAddress;
    this.reusePort = e.reusePort;
    this.boundPort = e.boundPort;
    this.localPeer = e.localPeer;
    this.nearPeer = e.nearPeer;
    this.active = e.active;
    this.holder = e.holder;
    this.word = e.word;
  }
}

/**
 * A binary heap of objects by deadline: a million setTimeouts would measure Node's lists.
 * Deadlines come in ascending, so an insertion never has to rise.
 */
class Heap<T extends { readonly expiresAt: number }> {
  private readonly items: T[] = [];

  push(item: T): void {
    const { items } = this;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (((items[above]!.expiresAt - item.expiresAt) | 0) <= 0) break;
      items[at] = items[above]!;
      at = above;
    }
    items[at] = item;
  }

  /** The first one due at `now`, taken out. */
  takeDue(now: number): T | undefined {
    const { items } = this;
    const first = items[0];
    if (first === undefined || ((first.expiresAt - now) | 0) > 0) return undefined;
    const last = items.pop()!;
    if (items.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && ((items[below + 1]!.expiresAt - items[below]!.expiresAt) | 0) < 0)
        below++;
      if (((items[below]!.expiresAt - last.expiresAt) | 0) >= 0) break;
      items[at] = items[below]!;
      at = below;
    }
    items[at] = last;
    return first;
  }
}

/** A Map from a key made of the tuple to an object. */
abstract class MapOfObjects<K> implements Contender {
  private readonly map = new Map<K, Held<K>>();
  private readonly heap = new Heap<Held<K>>();

  protected abstract keyOf(
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
  ): K;

  get size(): number {
    return this.map.size;
  }

  insert(e: RecordEntry, expiresAt: number): void {
    const key = this.keyOf(
      e.local0,
      e.local1,
      e.local2,
      e.local3,
      e.remote0,
      e.remote1,
      e.remote2,
      e.remote3,
      e.localPort,
      e.remotePort,
    );
    const held = new Held(e, key, expiresAt);
    this.map.set(key, held);
    this.heap.push(held);
  }

  lookUp(s: Segment): number {
    const { dst0, dst1, dst2, dst3, src0, src1, src2, src3 } = s;
    const held = this.map.get(
      this.keyOf(dst0, dst1, dst2, dst3, src0, src1, src2, src3, s.dstPort, s.srcPort),
    );
    return held === undefined ? -1 : held.rcvNxt;
  }

  expire(now: number): boolean {
    const held = this.heap.takeDue(now);
    if (held === undefined) return false;
    this.map.delete(held.key);
    return true;
  }
}

/** The way most people would write it: the tuple as text. */
export class StringMap extends MapOfObjects<string> {
  protected keyOf(
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
  ): string {
    if (l0 === 0 && l1 === 0 && l2 === 0xffff) return `${l3}:${localPort}-${r3}:${remotePort}`;
    return `${l0},${l1},${l2},${l3}:${localPort}-${r0},${r1},${r2},${r3}:${remotePort}`;
  }
}

/** The tuple as one big integer; V8 hashes its low 64 bits, so ports and the remote's last word are there. */
export class BigIntMap extends MapOfObjects<bigint> {
  private readonly words = new BigUint64Array(5);
  private readonly ints = new Int32Array(this.words.buffer);

  protected keyOf(
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
  ): bigint {
    const { ints, words } = this;
    ints[0] = (localPort << 16) | remotePort;
    ints[1] = r3;
    ints[2] = l3;
    if (l0 === 0 && l1 === 0 && l2 === 0xffff) {
      ints[3] = 0;
      return (words[1]! << 64n) | words[0]!;
    }
    ints[3] = r2;
    ints[4] = r1;
    ints[5] = r0;
    ints[6] = l2;
    ints[7] = l1;
    ints[8] = l0;
    ints[9] = 0;
    return (words[4]! << 256n) | (words[3]! << 192n) | (words[2]! << 128n) | (words[1]! << 64n) | words[0]!;
  }
}

/** The tuple's SipHash as a number, the very one of the flow table; equal hashes are chained. No key is made. */
export class NumberMap implements Contender {
  private readonly map = new Map<number, Held<number>>();
  private readonly heap = new Heap<Held<number>>();
  private readonly hash: TupleHash;
  size = 0;

  constructor(key: Uint8Array) {
    this.hash = new TupleHash(key);
  }

  insert(e: RecordEntry, expiresAt: number): void {
    const hash = this.hash.of(
      e.local0,
      e.local1,
      e.local2,
      e.local3,
      e.remote0,
      e.remote1,
      e.remote2,
      e.remote3,
      e.localPort,
      e.remotePort,
    );
    const held = new Held(e, hash, expiresAt);
    held.next = this.map.get(hash);
    this.map.set(hash, held);
    this.heap.push(held);
    this.size++;
  }

  lookUp(s: Segment): number {
    const hash = this.hash.of(
      s.dst0,
      s.dst1,
      s.dst2,
      s.dst3,
      s.src0,
      s.src1,
      s.src2,
      s.src3,
      s.dstPort,
      s.srcPort,
    );
    for (let held = this.map.get(hash); held !== undefined; held = held.next) {
      if (
        held.remote3 === s.src3 &&
        held.remotePort === s.srcPort &&
        held.localPort === s.dstPort &&
        held.local3 === s.dst3 &&
        held.remote2 === s.src2 &&
        held.remote1 === s.src1 &&
        held.remote0 === s.src0 &&
        held.local2 === s.dst2 &&
        held.local1 === s.dst1 &&
        held.local0 === s.dst0
      )
        return held.rcvNxt;
    }
    return -1;
  }

  expire(now: number): boolean {
    const held = this.heap.takeDue(now);
    if (held === undefined) return false;
    const first = this.map.get(held.key)!;
    if (first !== held) {
      let before = first;
      while (before.next !== held) before = before.next!;
      before.next = held.next;
    } else if (held.next === undefined) this.map.delete(held.key);
    else this.map.set(held.key, held.next);
    this.size--;
    return true;
  }
}

/** By the name in the results; `table` is ours. */
export const contenders: Readonly<Record<string, (key: Uint8Array, now: number) => Contender>> = {
  table: (key, now) => new Table(key, now),
  'Map<string>': () => new StringMap(),
  'Map<bigint>': () => new BigIntMap(),
  'Map<number>': (key) => new NumberMap(key),
};
