/**
 * Inactivity timers of sockets (`setTimeout`), on the driver's clock and its one
 * native timer. Activity only writes down the moment; a timer that comes due too
 * early because of it is armed again for the rest (the wheel sees one arming per
 * period, not one per packet).
 */
import { add, diff } from '../seqnum.js';
import { TimerWheel } from '../time/wheel.js';

/** The wheel takes deadlines less than 2^31 ms ahead of its position; longer periods are armed in legs. */
const LONGEST_LEG = 2 ** 30;

export class IdleTimer {
  /** Index in `IdleTimers`, -1 while it has none. */
  id = -1;
  /** Period, ms; 0 is off. */
  period = 0;
  /** When something last happened, int32 ms. */
  touchedAt = 0;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
  }
}

export class IdleTimers {
  private readonly wheel: TimerWheel;
  private readonly timers: (IdleTimer | null)[] = [];
  private readonly free: number[] = [];

  constructor(now: number) {
    this.wheel = new TimerWheel(now);
  }

  /** Starts, or starts again, with `period` > 0 ms; 0 stops. */
  set(timer: IdleTimer, period: number, now: number): void {
    timer.period = period;
    if (period > 0) this.touch(timer, now, true);
    else this.stop(timer);
  }

  /** Something happened at `now`. A timer that had fired runs again. */
  touch(timer: IdleTimer, now: number, rearm = false): void {
    if (timer.period === 0) return;
    timer.touchedAt = now;
    if (timer.id >= 0 && !rearm) return;
    if (timer.id < 0) {
      timer.id = this.free.pop() ?? this.timers.length;
      this.timers[timer.id] = timer;
    }
    this.wheel.sync(now);
    this.wheel.arm(timer.id, add(now, Math.min(timer.period, LONGEST_LEG)));
  }

  /** Forgets the timer; its period stays written in it. */
  stop(timer: IdleTimer): void {
    if (timer.id < 0) return;
    this.wheel.cancel(timer.id);
    this.timers[timer.id] = null;
    this.free.push(timer.id);
    timer.id = -1;
  }

  /** Fires what is due. */
  advance(now: number): void {
    for (let id = this.wheel.expire(now); id >= 0; id = this.wheel.expire(now)) {
      const timer = this.timers[id]!;
      const left = diff(add(timer.touchedAt, timer.period), now);
      if (left > 0) {
        this.wheel.arm(id, add(now, Math.min(left, LONGEST_LEG)));
        continue;
      }
      this.stop(timer);
      timer.fire();
    }
  }

  /** ms until `advance` has something to do, 0 when overdue, -1 when no timer runs. */
  nextDeadline(now: number): number {
    return this.wheel.nextDeadline(now);
  }
}
