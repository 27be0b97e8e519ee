/**
 * What a sender that has something to send was held up by, and for how long (Linux tcp_chrono_start,
 * tcp_chrono_stop; TCP_INFO's busy_time, rwnd_limited, sndbuf_limited). The kinds exclude each other;
 * a higher one hides a lower one.
 */

/** Nothing is queued; something is; the peer's window, our send buffer is in the way. */
export const C_IDLE = 0;
export const C_BUSY = 1;
export const C_WINDOW = 2;
export const C_BUFFER = 3;

export class Chrono {
  private kind = C_IDLE;
  private since = 0;
  // By kind; an array of its own for each connection costs more than all that is counted
  private busy = 0;
  private byWindow = 0;
  private byBuffer = 0;

  start(kind: number, now: number): void {
    if (kind > this.kind) this.turn(kind, now);
  }

  /** `idle`: nothing is queued any more, whatever ended. */
  stop(kind: number, idle: boolean, now: number): void {
    if (idle) {
      if (this.kind !== C_IDLE) this.turn(C_IDLE, now);
    } else if (kind === this.kind) this.turn(C_BUSY, now);
  }

  get running(): boolean {
    return this.kind !== C_IDLE;
  }

  /** ms of this kind up to now. */
  total(kind: number, now: number): number {
    const before = kind === C_BUSY ? this.busy : kind === C_WINDOW ? this.byWindow : this.byBuffer;
    return before + (this.kind === kind ? (now - this.since) | 0 : 0);
  }

  private turn(kind: number, now: number): void {
    const spent = (now - this.since) | 0;
    if (this.kind === C_BUSY) this.busy += spent;
    else if (this.kind === C_WINDOW) this.byWindow += spent;
    else if (this.kind === C_BUFFER) this.byBuffer += spent;
    this.kind = kind;
    this.since = now;
  }
}
