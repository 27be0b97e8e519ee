/**
 * The machine's clocks for drivers: the one place outside the command line where
 * real time is read.
 */
import type { Clock, WallTime } from '../time/clock.js';

/** Milliseconds of the machine's monotonic clock, the same in all threads. */
function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

export class RealClock implements Clock {
  /** Reading 0 in milliseconds of the machine's monotonic clock: what threads that are to show one clock share. */
  readonly origin: number;
  private readonly shift: number;
  private readonly baseSeconds: number;
  private readonly baseNanoseconds: number;

  constructor(origin?: number) {
    const started = monotonic() - performance.now();
    this.origin = origin ?? started;
    this.shift = origin === undefined ? 0 : started - origin;
    // The calendar is read once and carried on by the monotonic clock, so that
    // captured packets never go back in time when somebody sets the date.
    const [seconds, nanoseconds] = process.hrtime();
    const wallMs = performance.timeOrigin + performance.now();
    const wallSeconds = Math.floor(wallMs / 1000);
    this.baseSeconds = wallSeconds - seconds;
    this.baseNanoseconds = Math.round((wallMs - wallSeconds * 1000) * 1e6) - nanoseconds;
  }

  /** Milliseconds since the thread started, or since `origin`, as int32. */
  now(): number {
    // `| 0` takes the floor of a positive double modulo 2^32.
    return (performance.now() + this.shift) | 0;
  }

  wall(): WallTime {
    const [seconds, nanoseconds] = process.hrtime();
    const sum = this.baseNanoseconds + nanoseconds;
    const carry = Math.floor(sum / 1e9);
    return { seconds: this.baseSeconds + seconds + carry, nanoseconds: sum - carry * 1e9 };
  }
}
