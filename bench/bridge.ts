/**
 * Joins two links: what one receives the other transmits. With a faulty link as one of them two
 * kernels talk over the very wire that our stack is put on.
 *
 * Memory: a ring of packets per direction; while a link is busy, packets wait in the other one.
 */
import type { Link } from '../src/link/link.js';
import type { Clock } from '../src/time/clock.js';
import { PacketRing } from '../src/wire/ring.js';

const SLOTS = 64;
/** ms until a busy link is tried again. */
const BUSY_RETRY = 1;

interface Lane {
  readonly from: Link;
  readonly to: Link;
  readonly ring: PacketRing;
}

export class Bridge {
  private readonly lanes: readonly Lane[];
  private immediate: NodeJS.Immediate | null = null;
  private timer: NodeJS.Timeout | null = null;
  private closed = false;

  constructor(
    private readonly links: readonly [Link, Link],
    private readonly clock: Clock,
  ) {
    const [a, b] = links;
    const slotSize = Math.max(a.mtu, b.mtu);
    this.lanes = [
      { from: a, to: b, ring: new PacketRing(SLOTS, slotSize) },
      { from: b, to: a, ring: new PacketRing(SLOTS, slotSize) },
    ];
    for (const link of links)
      link.onReadable(() => {
        this.immediate ??= setImmediate(() => this.turn());
      });
  }

  private turn(): void {
    this.immediate = null;
    if (this.closed) return;
    const busy = this.lanes.map(carry).includes(true);
    const now = this.clock.now();
    const waits = this.links.map((link) => link.nextDeadline?.(now) ?? -1).filter((wait) => wait >= 0);
    if (busy) waits.push(BUSY_RETRY);
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = waits.length === 0 ? null : setTimeout(() => this.turn(), Math.min(...waits));
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    for (const link of this.links) link.close();
  }
}

/** Moves what there is; true when some had to stay. */
function carry({ from, to, ring }: Lane): boolean {
  for (;;) {
    if (ring.count > 0) to.transmit(ring);
    if (ring.count > 0) return true;
    if (from.receive(ring) === 0) return false;
    from.settle(ring);
  }
}
