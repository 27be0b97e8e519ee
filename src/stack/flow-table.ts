/**
 * One index for live connections and TIME-WAIT records: four-tuple to handle, one
 * look-up per segment.
 *
 * Open addressing with linear probing, one int32 a slot, 0 when empty:
 *
 *     31      28 27       25    24     23                    0
 *     [ place  |  hash 0..2 | record |  connection or record ]
 *
 * `place` is 1 in the slot that the hash asks for, 2 in the one behind it, and so on;
 * 15 stands for all from the 15th on. With three bits of the hash it tells apart what a
 * look-up meets: one in twenty asks the owner in vain. It says too where an entry
 * belongs, so that a deletion shifts the rest of the cluster back without asking (there
 * are no tombstones). The whole hash stands nowhere: the owner makes it again when an
 * entry moves to other slots.
 *
 * The hash is SipHash under a secret key, so nobody can aim collisions. Growing, twofold while it is
 * small, then by a half or a third, and shrinking are spread over later operations: while a move is on,
 * entries live in the present slots or the old ones, and each operation moves some whole clusters
 * (a cluster never refers to slots outside itself, so the rest of the old slots stays
 * searchable). Slots lie in chunks. Those of the next size are made one by one before they
 * are needed, as the first insertions after a growth would else make them all at once, and
 * old ones let go when the last entry has moved on: no operation makes more than two of
 * a large table, or lets go of more than two.
 *
 * Memory: 4 bytes a slot at a load between 1/6 and 4/5; 5 to 7.5 bytes an entry of a large table
 * that has grown.
 */
import { Blocks } from '../timewait/blocks.js';
import { TupleHash } from './siphash.js';

/** Handles: this bit set means a TIME-WAIT record. Below, 24 bits count. */
export const RECORD = 1 << 30;

const SMALLEST = 64;
/**
 * Old slots that an insertion moves on the average, and a removal: all have moved before the
 * next size is due. Whole clusters move, and what one moves too much later ones need not.
 */
const STEP_IN = 6;
const STEP_OUT = 16;
/** Every 256th insertion makes a chunk of the next size, from a load of 7/10 on. */
const PREPARE_MASK = 255;
/** 2^15 slots a chunk, 128 KiB. */
const CHUNK_SHIFT = 15;
const CHUNK = 1 << CHUNK_SHIFT;
const CHUNK_MASK = CHUNK - 1;
/** Bits of the hash that choose the slot. */
const HOME_BITS = 26;
const INDEX_MASK = (1 << 24) - 1;
/** Record bit and index: what a slot holds of a handle. */
const HANDLE_MASK = (1 << 25) - 1;
const KIND_SHIFT = 6;
const FAR = 15;

/** Who knows what a handle stands for. */
export interface TupleOwner {
  sameTuple(
    handle: number,
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
  ): boolean;
  /** The flow hash of the handle's tuple, as `hashOf` gave it. */
  hashOf(handle: number): number;
}

/** Stands for a chunk in which nothing lies; never written to. */
const NOTHING = new Int32Array(CHUNK);

/** The slots of one size. */
class Slots {
  readonly chunks: Int32Array[] = [];
  private readonly scale: number;
  bytes = 0;
  /** Chunks below this are made. */
  private prepared = 0;

  /** 64, 96, 128, 192 ...: a power of two, or one and a half times that. */
  constructor(
    readonly size: number,
    private readonly blocks: Blocks,
  ) {
    this.scale = size / (1 << HOME_BITS);
    for (let first = 0; first < size; first += CHUNK) this.chunks.push(NOTHING);
    if (size <= CHUNK) this.make(0);
  }

  /** The slot that a hash asks for: ascending with the hash, so that a move fills chunk after chunk. */
  home(hash: number): number {
    return ((hash >>> (32 - HOME_BITS)) * this.scale) | 0;
  }

  get(at: number): number {
    return this.chunks[at >>> CHUNK_SHIFT]![at & CHUNK_MASK]!;
  }

  set(at: number, word: number): void {
    const number = at >>> CHUNK_SHIFT;
    if (this.chunks[number] === NOTHING) this.make(number);
    this.chunks[number]![at & CHUNK_MASK] = word;
  }

  private make(number: number): void {
    const chunk = this.blocks.take(Math.min(CHUNK, this.size - number * CHUNK));
    this.bytes += chunk.byteLength;
    this.chunks[number] = chunk;
  }

  /** Makes one more chunk before an entry needs it. */
  prepare(): void {
    if (this.prepared < this.chunks.length) {
      if (this.chunks[this.prepared] === NOTHING) this.make(this.prepared);
      this.prepared++;
    }
  }

  /** Nothing lies in this chunk any more; `blank`: nothing ever did in any. */
  release(number: number, blank = false): void {
    const chunk = this.chunks[number]!;
    if (chunk === NOTHING) return;
    this.bytes -= chunk.byteLength;
    this.chunks[number] = NOTHING;
    this.blocks.give(chunk, blank);
  }

  /** Nothing lies here any more; `blank`: nothing ever did. */
  releaseAll(blank = false): void {
    for (let number = 0; number < this.chunks.length; number++) this.release(number, blank);
  }

  /** A new entry; that it is not there yet, the caller knows. */
  place(hash: number, stored: number): void {
    let at = this.home(hash);
    let place = 1;
    while (this.get(at) !== 0) {
      if (++at === this.size) at = 0;
      place++;
    }
    this.set(at, tagged(place, hash) | stored);
  }

  /** Slot of an entry, -1 when it is not here. */
  position(hash: number, stored: number): number {
    for (let at = this.home(hash); ;) {
      const word = this.get(at);
      if (word === 0) return -1;
      if ((word & HANDLE_MASK) === stored) return at;
      if (++at === this.size) at = 0;
    }
  }
}

function tagged(place: number, hash: number): number {
  return ((place < FAR ? place : FAR) << 28) | ((hash & 7) << 25);
}

function storedOf(handle: number): number {
  return (handle & INDEX_MASK) | ((handle & RECORD) >>> KIND_SHIFT);
}

function handleOf(word: number): number {
  return (word & INDEX_MASK) | ((word << KIND_SHIFT) & RECORD);
}

export class FlowTable {
  private readonly hash: TupleHash;
  private slots: Slots;
  private old: Slots | null = null;
  /** The slots of the next size, in the making. */
  private next: Slots | null = null;
  /** Next old slot to move, and how many are left. */
  private cursor = 0;
  private left = 0;
  /** Slots that should have moved by now and have not; below 0: have moved too early. */
  private owed = 0;
  size = 0;
  /** Hash of the tuple that `find` looked for last. */
  sought = 0;

  constructor(
    key: Uint8Array,
    private readonly owner: TupleOwner,
    private readonly blocks = new Blocks(),
  ) {
    this.slots = new Slots(SMALLEST, blocks);
    this.hash = new TupleHash(key);
  }

  get memoryBytes(): number {
    return this.slots.bytes + (this.old?.bytes ?? 0) + (this.next?.bytes ?? 0);
  }

  hashOf(
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
  ): number {
    return this.hash.of(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
  }

  /** The handle of a tuple, -1 when there is none. */
  find(
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
  ): number {
    const hash = this.hash.of(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
    this.sought = hash;
    for (let slots = this.firstFor(hash); ; slots = this.slots) {
      const { chunks, size } = slots;
      let tag = 8 | (hash & 7);
      for (let at = slots.home(hash); ;) {
        const word: number = chunks[at >>> CHUNK_SHIFT]![at & CHUNK_MASK]!;
        if (word === 0) break;
        if (word >>> 25 === tag) {
          const handle = handleOf(word);
          if (this.owner.sameTuple(handle, l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort))
            return handle;
        }
        if (tag < FAR << 3) tag += 8;
        if (++at === size) at = 0;
      }
      if (slots === this.slots) return -1;
    }
  }

  /**
   * Where an entry of this hash is to be looked for first. Clusters move whole, so what belongs
   * where the cursor has been is in the present slots; what belongs ahead of it lies in the old
   * ones, or in the present ones if it came after the move began.
   */
  private firstFor(hash: number): Slots {
    const { old } = this;
    if (old === null) return this.slots;
    const ahead = old.home(hash) - this.cursor;
    return (ahead < 0 ? ahead + old.size : ahead) < this.left ? old : this.slots;
  }

  insert(hash: number, handle: number): void {
    const { size } = this.slots;
    if (this.old !== null) this.move(STEP_IN);
    else if ((this.size + 1) * 5 > size * 4) this.resize(this.next ?? new Slots(larger(size), this.blocks));
    else if ((this.size & PREPARE_MASK) === 0 && this.size * 10 > size * 7) {
      this.next ??= new Slots(larger(size), this.blocks);
      this.next.prepare();
    }
    this.slots.place(hash, storedOf(handle));
    this.size++;
  }

  /** Removing what is not there is a programmer's mistake. */
  remove(hash: number, handle: number): void {
    if (this.old !== null) this.move(STEP_OUT);
    const first = this.firstFor(hash);
    if (!this.removeFrom(first, hash, handle)) {
      if (first === this.slots || !this.removeFrom(this.slots, hash, handle)) {
        throw new RangeError(`handle ${handle} is not in the flow table`);
      }
    }
    this.size--;
    if (this.size === 0 && (this.old !== null || this.slots.size > SMALLEST)) this.clear();
    else if (this.old === null && this.slots.size > SMALLEST && this.size * 6 < this.slots.size)
      this.resize(new Slots(Math.max(SMALLEST, this.slots.size / 2), this.blocks));
  }

  /** The entry now stands for another handle. */
  replace(hash: number, before: number, after: number): void {
    let slots = this.firstFor(hash);
    let at = slots.position(hash, storedOf(before));
    if (at < 0 && slots !== this.slots) {
      slots = this.slots;
      at = slots.position(hash, storedOf(before));
    }
    if (at < 0) throw new RangeError(`handle ${before} is not in the flow table`);
    slots.set(at, (slots.get(at) & ~HANDLE_MASK) | storedOf(after));
  }

  private removeFrom(slots: Slots, hash: number, handle: number): boolean {
    const { size } = slots;
    let hole = slots.position(hash, storedOf(handle));
    if (hole < 0) return false;
    for (let at = hole; ;) {
      if (++at === size) at = 0;
      const word = slots.get(at);
      if (word === 0) break;
      let place = word >>> 28;
      if (place === FAR) {
        const home = slots.home(this.owner.hashOf(handleOf(word)));
        place = 1 + at - home + (at < home ? size : 0);
      }
      // An entry may fill the hole when its home does not lie behind the hole.
      const back = at - hole + (at < hole ? size : 0);
      if (place <= back) continue;
      slots.set(hole, tagged(place - back, 0) | (word & ((1 << 28) - 1)));
      hole = at;
    }
    slots.set(hole, 0);
    return true;
  }

  private clear(): void {
    this.slots.releaseAll();
    this.old?.releaseAll();
    this.next?.releaseAll(true);
    this.slots = new Slots(SMALLEST, this.blocks);
    this.old = null;
    this.next = null;
  }

  private resize(slots: Slots): void {
    const old = this.slots;
    this.old = old;
    this.slots = slots;
    if (this.next !== slots) this.next?.releaseAll(true);
    this.next = null;
    // Start behind an empty slot, where a cluster begins.
    let start = 0;
    while (old.get(start) !== 0) start++;
    this.cursor = start;
    this.left = old.size;
    this.owed = 0;
  }

  /** Moves clusters until `count` slots more have moved, those that moved too early counted. */
  private move(count: number): void {
    const old = this.old!;
    this.owed += count;
    while (this.left > 0) {
      const at = this.cursor;
      const word = old.get(at);
      if (word !== 0) {
        this.slots.place(this.owner.hashOf(handleOf(word)), word & HANDLE_MASK);
        old.set(at, 0);
      } else if (this.owed <= 0) return;
      this.owed--;
      this.left--;
      if ((at & CHUNK_MASK) === CHUNK_MASK && this.left < old.size - CHUNK) old.release(at >>> CHUNK_SHIFT);
      this.cursor = at + 1 === old.size ? 0 : at + 1;
    }
    old.releaseAll();
    this.old = null;
  }
}

/** Up to here a table doubles: half as many entries move as in steps of a half and a third, and its memory is no matter. */
const SMALL = 1 << 18;

/** The next size: twice, or by a half, or by a third. */
function larger(size: number): number {
  if (size < SMALL) return 2 * size;
  return (size & (size - 1)) === 0 ? size + size / 2 : (size / 3) * 4;
}
