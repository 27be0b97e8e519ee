/**
 * One index for live connections and TIME-WAIT records: four-tuple to handle, one
 * look-up per segment.
 *
 * Open addressing with linear probing over one Int32Array, two words a slot:
 *
 *     [ hash | handle + 1 ]   handle + 1 = 0: empty
 *
 * The hash is SipHash under a secret key, so nobody can aim collisions. Deletion
 * shifts the rest of the cluster back; there are no tombstones. Growing and shrinking
 * are spread over later operations: while a move is on, entries live in `slots` (new)
 * or `old`, and each operation moves some whole clusters (a cluster never refers to
 * slots outside itself, so the rest of the old table stays searchable).
 *
 * Memory: 8 bytes a slot at a load between 1/8 and 5/8.
 */
import { SipHash } from './siphash.js';

const SMALLEST = 64;
/** Slots of the old table that one operation clears at least. */
const STEP = 32;

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
}

export class FlowTable {
  private readonly sip: SipHash;
  private slots = new Int32Array(2 * SMALLEST);
  private mask = SMALLEST - 1;
  private old: Int32Array | null = null;
  private oldMask = 0;
  /** Next old slot to move, and how many are left. */
  private cursor = 0;
  private left = 0;
  size = 0;

  constructor(
    key: Uint8Array,
    private readonly owner: TupleOwner,
  ) {
    this.sip = new SipHash(key, 1, 3);
  }

  get memoryBytes(): number {
    return this.slots.byteLength + (this.old === null ? 0 : this.old.byteLength);
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
    return this.sip.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort, 0);
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
    const hash = this.sip.hashTuple(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort, 0);
    let slots: Int32Array | null = this.slots;
    let mask = this.mask;
    while (slots !== null) {
      for (let i = hash & mask; slots[2 * i + 1] !== 0; i = (i + 1) & mask) {
        if (slots[2 * i] !== hash) continue;
        const handle = slots[2 * i + 1]! - 1;
        if (this.owner.sameTuple(handle, l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort))
          return handle;
      }
      slots = slots === this.slots ? this.old : null;
      mask = this.oldMask;
    }
    return -1;
  }

  insert(hash: number, handle: number): void {
    if (this.old !== null) this.move(STEP);
    else if ((this.size + 1) * 8 > (this.mask + 1) * 5) this.resize((this.mask + 1) * 2);
    place(this.slots, this.mask, hash, handle + 1);
    this.size++;
  }

  /** Removing what is not there is a programmer's mistake. */
  remove(hash: number, handle: number): void {
    if (this.old !== null) this.move(STEP);
    if (!this.removeFrom(this.slots, this.mask, hash, handle)) {
      if (this.old === null || !this.removeFrom(this.old, this.oldMask, hash, handle)) {
        throw new RangeError(`handle ${handle} is not in the flow table`);
      }
    }
    this.size--;
    if (this.old === null && this.mask + 1 > SMALLEST && this.size * 8 < this.mask + 1)
      this.resize((this.mask + 1) / 2);
  }

  /** The entry now stands for another handle. */
  replace(hash: number, before: number, after: number): void {
    const at = this.position(this.slots, this.mask, hash, before);
    if (at >= 0) this.slots[2 * at + 1] = after + 1;
    else {
      const oldAt = this.old === null ? -1 : this.position(this.old, this.oldMask, hash, before);
      if (oldAt < 0) throw new RangeError(`handle ${before} is not in the flow table`);
      this.old![2 * oldAt + 1] = after + 1;
    }
  }

  private position(slots: Int32Array, mask: number, hash: number, handle: number): number {
    for (let i = hash & mask; slots[2 * i + 1] !== 0; i = (i + 1) & mask) {
      if (slots[2 * i + 1] === handle + 1 && slots[2 * i] === hash) return i;
    }
    return -1;
  }

  private removeFrom(slots: Int32Array, mask: number, hash: number, handle: number): boolean {
    let hole = this.position(slots, mask, hash, handle);
    if (hole < 0) return false;
    for (let i = (hole + 1) & mask; slots[2 * i + 1] !== 0; i = (i + 1) & mask) {
      // An entry may fill the hole when its home does not lie behind the hole.
      const home = slots[2 * i]! & mask;
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      slots[2 * hole] = slots[2 * i]!;
      slots[2 * hole + 1] = slots[2 * i + 1]!;
      hole = i;
    }
    slots[2 * hole + 1] = 0;
    return true;
  }

  private resize(capacity: number): void {
    this.old = this.slots;
    this.oldMask = this.mask;
    this.slots = new Int32Array(2 * capacity);
    this.mask = capacity - 1;
    // Start behind an empty slot, where a cluster begins.
    let start = 0;
    while (this.old[2 * start + 1] !== 0) start++;
    this.cursor = start;
    this.left = this.oldMask + 1;
  }

  /** Moves at least `count` old slots, on to the end of a cluster. */
  private move(count: number): void {
    const old = this.old!;
    let n = 0;
    while (this.left > 0 && (n < count || old[2 * this.cursor + 1] !== 0)) {
      const at = 2 * this.cursor;
      if (old[at + 1] !== 0) {
        place(this.slots, this.mask, old[at]!, old[at + 1]!);
        old[at + 1] = 0;
      }
      this.cursor = (this.cursor + 1) & this.oldMask;
      this.left--;
      n++;
    }
    if (this.left === 0) this.old = null;
  }
}

function place(slots: Int32Array, mask: number, hash: number, stored: number): void {
  let i = hash & mask;
  while (slots[2 * i + 1] !== 0) i = (i + 1) & mask;
  slots[2 * i] = hash;
  slots[2 * i + 1] = stored;
}
