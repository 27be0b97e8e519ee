/**
 * FINs that came ahead of a hole, each with the number at which its segment begins. Whose text
 * the stream passes over was none.
 *
 * Memory: MOST FINs; a peer that sends more loses the later ones until it sends them again.
 */
import { after, before } from '../seqnum.js';

const MOST = 8;

export class HeldFins {
  /** The FIN's own number and its segment's first one, in turn. */
  private held: number[] = [];

  /** A FIN with number `fin`, of a segment that begins at `start`. */
  add(start: number, fin: number): void {
    if (this.held.length < 2 * MOST) this.held.push(fin, start);
  }

  /** One of the segments here has all of [start, end). */
  covers(start: number, end: number): boolean {
    for (let i = 0; i < this.held.length; i += 2)
      if (!after(this.held[i + 1]!, start) && before((end - 1) | 0, (this.held[i]! + 1) | 0)) return true;
    return false;
  }

  /** Forgets the FINs whose segments lie in [start, end); returns how many of those were without text. */
  remove(start: number, end: number): number {
    let bare = 0;
    this.keep((fin, from) => {
      if (before(from, start) || !before(fin, end)) return true;
      if (from === fin) bare++;
      return false;
    });
    return bare;
  }

  /** The first FIN at `next` or behind it, null when there is none; those before are forgotten. */
  firstFrom(next: number): number | null {
    this.keep((fin) => !before(fin, next));
    let first: number | null = null;
    for (let i = 0; i < this.held.length; i += 2)
      if (first === null || before(this.held[i]!, first)) first = this.held[i]!;
    return first;
  }

  private keep(wanted: (fin: number, start: number) => boolean): void {
    const { held } = this;
    let kept = 0;
    for (let i = 0; i < held.length; i += 2) {
      if (!wanted(held[i]!, held[i + 1]!)) continue;
      held[kept++] = held[i]!;
      held[kept++] = held[i + 1]!;
    }
    held.length = kept;
  }
}
