/**
 * How much one turn of the driver takes from its link, so that timers, other work of the process and
 * the connections whose packets come behind get their share.
 *
 * Packets are taken in batches, and answers go out between them. A batch has more packets as long as
 * full ones are dealt with quickly, and fewer when one takes long: as large packets do, or listeners of
 * the user's. A turn takes no further batch once it has lasted `TURN`, nor more than `BATCHES`.
 */

/** Packets of a batch: a power of two between these. */
export const MOST = 128;
const LEAST = 16;
/** Batches in one turn. */
const BATCHES = 8;
/** ms: a full batch within this may double, one beyond it halves; a turn beyond this is over. */
const QUICK = 0.25;
const LONG = 1;
const TURN = 2;

export class Pace {
  /** Packets that the next batch may have. */
  batch = MOST;
  private batches = 0;
  private turnAt = 0;
  private batchAt = 0;

  /** `clock`: ms with fractions. One that stands still, as virtual time does, makes batches as large as they may be. */
  constructor(private readonly clock: () => number) {}

  begin(): void {
    this.batches = 0;
    this.turnAt = this.batchAt = this.clock();
  }

  /** `count` packets were dealt with: may this turn take more? */
  more(count: number): boolean {
    const now = this.clock();
    const took = now - this.batchAt;
    this.batchAt = now;
    if (took > LONG) this.batch = Math.max(LEAST, this.batch >> 1);
    else if (took < QUICK && count === this.batch) this.batch = Math.min(MOST, this.batch << 1);
    this.batches++;
    return this.batches < BATCHES && now - this.turnAt < TURN;
  }
}
