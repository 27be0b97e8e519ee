/**
 * When the last byte of a write was handed down, sent and acknowledged (Linux SO_TIMESTAMPING). Here
 * handing down and sending are one moment, the turn's output.
 *
 * Memory: only on connections that ask for it; writes that wait and reports that nobody took, at
 * most MOST of each, the oldest are lost.
 */
import { before } from '../seqnum.js';

/** What is asked for, and what a report says. */
export const STAMP_SENT = 1;
export const STAMP_SCHEDULED = 2;
export const STAMP_ACKED = 4;

const MOST = 256;

export interface Stamp {
  /** STAMP_ */
  readonly kind: number;
  /** Offset of the byte from what was unacknowledged when stamps were asked for. */
  readonly key: number;
  /** int32 ms. */
  readonly time: number;
}

interface Waiting {
  last: number;
  sent: boolean;
}

export class Stamps {
  wanted = 0;
  private readonly waiting: Waiting[] = [];
  private readonly reports: Stamp[] = [];

  constructor(private readonly base: number) {}

  get count(): number {
    return this.reports.length;
  }

  take(): Stamp | undefined {
    return this.reports.shift();
  }

  /** A write ended with this byte; the stamp of an earlier one in the same buffer, which begins at `start`, gives way. */
  written(last: number, start: number): void {
    if (this.wanted === 0) return;
    const before_ = this.waiting[this.waiting.length - 1];
    if (before_ !== undefined && !before_.sent && !before(before_.last, start)) before_.last = last;
    else this.waiting.push({ last, sent: false });
    if (this.waiting.length > MOST) this.waiting.shift();
  }

  /** [seq, end) was sent. True: there is a report. */
  sent(seq: number, end: number, now: number): boolean {
    let told = false;
    for (const one of this.waiting) {
      if (one.sent || before(one.last, seq) || !before(one.last, end)) continue;
      one.sent = true;
      if (this.report(STAMP_SCHEDULED, one.last, now)) told = true;
      if (this.report(STAMP_SENT, one.last, now)) told = true;
    }
    return told;
  }

  /** Everything below `una` was acknowledged. */
  acked(una: number, now: number): boolean {
    let told = false;
    while (this.waiting.length > 0 && before(this.waiting[0]!.last, una))
      if (this.report(STAMP_ACKED, this.waiting.shift()!.last, now)) told = true;
    return told;
  }

  private report(kind: number, last: number, time: number): boolean {
    if ((this.wanted & kind) === 0) return false;
    this.reports.push({ kind, key: (last - this.base) >>> 0, time });
    if (this.reports.length > MOST) this.reports.shift();
    return true;
  }
}
