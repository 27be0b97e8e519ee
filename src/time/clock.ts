/**
 * Where a driver takes the time from. The engine itself reads no clock: it is told.
 */
import { add } from '../seqnum.js';

/** A moment of the calendar, for captures: seconds since 1970 (UTC), nanoseconds 0..999999999. */
export interface WallTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface Clock {
  /** Monotonic milliseconds, an int32 serial number: wraps every 49.7 days, compared through seqnum.ts only. */
  now(): number;
  wall(): WallTime;
}

/** A clock that stands still until it is moved: tests and simulations. */
export class ManualClock implements Clock {
  private ms: number;
  /** ms since construction, not wrapped. */
  private elapsed = 0;
  private readonly startSeconds: number;

  /** `now`: int32 ms. `wallSeconds`: the calendar at that moment, seconds since 1970. */
  constructor(now = 0, wallSeconds = 0) {
    this.ms = now | 0;
    this.startSeconds = wallSeconds;
  }

  now(): number {
    return this.ms;
  }

  /** The calendar moves with the clock. */
  wall(): WallTime {
    const seconds = Math.floor(this.elapsed / 1000);
    return { seconds: this.startSeconds + seconds, nanoseconds: (this.elapsed - seconds * 1000) * 1_000_000 };
  }

  /** Moves forward by whole milliseconds (0 or more). */
  advance(ms: number): void {
    if (!Number.isInteger(ms) || ms < 0)
      throw new RangeError(`a clock moves by whole milliseconds forward, got ${ms}`);
    this.ms = add(this.ms, ms);
    this.elapsed += ms;
  }

  /** Moves forward to the serial number `now` (less than 2^31 ms ahead; anything else counts as behind and is an error). */
  set(now: number): void {
    this.advance((now - this.ms) | 0);
  }
}
