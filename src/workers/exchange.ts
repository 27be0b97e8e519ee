/** Where the workers of one device hand packets to each other: a lane for each pair and direction, and a bell for each worker. */
import type { PacketRing } from '../wire/ring.js';
import { LINE, Lane } from './lane.js';

/** What all workers share. */
export interface SharedLanes {
  /** lanes[from][to]; none from a worker to itself. */
  readonly lanes: readonly (readonly (SharedArrayBuffer | null)[])[];
  /** An int32 for each worker, each in a line of its own: 1 once its bell was rung, until it finds its lanes empty. */
  readonly bells: SharedArrayBuffer;
}

/** Worker 0 hands over what the kernel does not steer, all packets of others where it steers none; the others hardly any. */
const FIRST_LANE = 1 << 22;
const OTHER_LANE = 1 << 18;

/** Memory: 4 MB for each worker but the first, 256 KB for each other pair and direction, of which the system provides what was used. */
export function sharedLanes(workers: number): SharedLanes {
  const all = Array.from({ length: workers }, (_, i) => i);
  return {
    lanes: all.map((from) =>
      all.map((to) => (from === to ? null : Lane.memory(from === 0 ? FIRST_LANE : OTHER_LANE))),
    ),
    bells: new SharedArrayBuffer(4 * LINE * workers),
  };
}

/** One worker's place at the exchange. */
export class Exchange {
  /** Packets handed to others, taken from others, and lost because the lane was full. */
  given = 0;
  taken = 0;
  lost = 0;
  private readonly out: (Lane | null)[];
  private readonly in: Lane[];
  private readonly bells: Int32Array;
  /** Which lane is looked into first, in turn. */
  private turn = 0;
  private readonly unrung: boolean[];

  /** `wake`: tells a worker that something waits for it. */
  constructor(
    shared: SharedLanes,
    readonly self: number,
    private readonly wake: (worker: number) => void,
  ) {
    const lane = (memory: SharedArrayBuffer | null): Lane | null =>
      memory === null ? null : new Lane(memory);
    this.out = shared.lanes[self]!.map(lane);
    this.in = shared.lanes.map((row) => lane(row[self]!)).filter((each) => each !== null);
    this.bells = new Int32Array(shared.bells);
    this.unrung = this.out.map(() => false);
  }

  /** A packet for another worker. `ring` tells it, once for all that were given. */
  give(to: number, bytes: Uint8Array, offset: number, length: number, offload: number): void {
    if (!this.out[to]!.put(bytes, offset, length, offload)) {
      this.lost++;
      return;
    }
    this.given++;
    this.unrung[to] = true;
  }

  ring(): void {
    for (let to = 0; to < this.unrung.length; to++) {
      if (!this.unrung[to]) continue;
      this.unrung[to] = false;
      if (Atomics.exchange(this.bells, to * LINE, 1) === 0) this.wake(to);
    }
  }

  /**
   * What others have handed over, `most` at most and as far as there are free slots; how many. Whoever got
   * something comes again: the bell is rung anew only after a call that found nothing.
   */
  take(ring: PacketRing, most: number): number {
    let taken = this.look(ring, most);
    if (taken === 0) {
      Atomics.store(this.bells, this.self * LINE, 0);
      // What came between the look and this rang in vain.
      taken = this.look(ring, most);
    }
    this.taken += taken;
    return taken;
  }

  private look(ring: PacketRing, most: number): number {
    const { length } = this.in;
    let taken = 0;
    for (let i = 0; i < length; i++) taken += this.in[(this.turn + i) % length]!.take(ring, most - taken);
    this.turn++;
    return taken;
  }
}
