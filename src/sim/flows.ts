/**
 * The flows a translator remembers: each is found by what the packets of either
 * direction look like, and stands in one list per timer, oldest packet first, so that
 * what is over is always in front.
 *
 * Memory: one Flow (two tuples) per entry, at most as many as the translator's limit;
 * the table of chains has at most twice as many places.
 */
import { Ends } from './packet.js';

/** The realm of packets that come from the outside; insides are 0 and up. */
export const OUTSIDE = -1;

export class Tuple extends Ends {
  realm = OUTSIDE;
  hash = 0;
  next: Tuple | null = null;

  constructor(
    readonly flow: Flow,
    /** 0: the way of the first packet, 1: the way back. */
    readonly direction: 0 | 1,
  ) {
    super();
  }
}

/** What one side was seen sending. */
export class Side {
  /** Something came from it: `end` says something. */
  seen = false;
  /** The highest SEG.SEQ + SEG.LEN. */
  end = 0;
  /** Something acknowledged came from it: `ack` says something. */
  acked = false;
  /** The highest SEG.ACK. */
  ack = 0;
  /** Its data up to `end` are not acknowledged yet. */
  outstanding = false;

  clear(): void {
    this.seen = false;
    this.acked = false;
    this.outstanding = false;
    this.end = 0;
    this.ack = 0;
  }
}

export class Flow {
  readonly original = new Tuple(this, 0);
  readonly reply = new Tuple(this, 1);
  readonly sides: readonly [Side, Side] = [new Side(), new Side()];
  /** STATE_ of conntrack.ts. */
  state = 0;
  /** Which of the timers runs. */
  timer = 0;
  /** When it was started, int32 ms. */
  touched = 0;
  /** A packet of the other direction has come. */
  replied = false;
  /** Both sides have agreed: not among the first to go under pressure. */
  assured = false;
  /** A FIN has begun the close. */
  closing = false;
  /** The last packet was a reset that was not exact: the connection may live or not. */
  resetSeen = false;
  /** Class, direction and end of the last packet that counted. */
  lastKind = 0;
  lastDirection = 0;
  lastEnd = 0;
  /** Timestamps of the first direction are moved by this much, once `shifted`. */
  shift = 0;
  shifted = false;
  /** The server it was sent to, for a balancer. */
  server = -1;

  before: Flow | null = null;
  after: Flow | null = null;
}

/** The flows whose same timer runs, by the time of its start. */
class Line {
  first: Flow | null = null;
  last: Flow | null = null;

  append(flow: Flow): void {
    flow.before = this.last;
    flow.after = null;
    if (this.last === null) this.first = flow;
    else this.last.after = flow;
    this.last = flow;
  }

  remove(flow: Flow): void {
    if (flow.before === null) this.first = flow.after;
    else flow.before.after = flow.after;
    if (flow.after === null) this.last = flow.before;
    else flow.after.before = flow.before;
    flow.before = flow.after = null;
  }
}

const SMALLEST = 64;

export class FlowTable {
  size = 0;
  private chains: (Tuple | null)[] = new Array<Tuple | null>(SMALLEST).fill(null);
  private readonly lines: readonly Line[];

  /** `timeouts`: ms of each timer, 1 .. 2^31-1. */
  constructor(private readonly timeouts: readonly number[]) {
    this.lines = timeouts.map(() => new Line());
  }

  find(realm: number, ends: Ends): Tuple | null {
    const hash = hashOf(realm, ends);
    let tuple = this.chains[hash & (this.chains.length - 1)] ?? null;
    while (tuple !== null && !(tuple.hash === hash && tuple.realm === realm && tuple.same(ends)))
      tuple = tuple.next;
    return tuple;
  }

  /** Both tuples are filled in, the realm of the original too. */
  insert(flow: Flow, timer: number, now: number): void {
    if (this.size >= this.chains.length) this.grow();
    this.link(flow.original);
    this.link(flow.reply);
    flow.timer = timer;
    flow.touched = now;
    this.lines[timer]!.append(flow);
    this.size++;
  }

  remove(flow: Flow): void {
    this.unlink(flow.original);
    this.unlink(flow.reply);
    this.lines[flow.timer]!.remove(flow);
    this.size--;
  }

  /** Starts a timer anew. */
  touch(flow: Flow, timer: number, now: number): void {
    this.lines[flow.timer]!.remove(flow);
    flow.timer = timer;
    flow.touched = now;
    this.lines[timer]!.append(flow);
  }

  /** Removes what is over at `now`; how many there were. */
  expire(now: number): number {
    let gone = 0;
    for (let timer = 0; timer < this.lines.length; timer++) {
      const line = this.lines[timer]!;
      while (line.first !== null && (now - line.first.touched) >>> 0 >= this.timeouts[timer]!) {
        this.remove(line.first);
        gone++;
      }
    }
    return gone;
  }

  /** Of the flows under these timers the one heard of longest ago; null when there are none. */
  oldest(timers: readonly number[], now: number): Flow | null {
    let found: Flow | null = null;
    for (const timer of timers) {
      const flow = this.lines[timer]!.first;
      if (flow === null) continue;
      if (found === null || (now - flow.touched) >>> 0 > (now - found.touched) >>> 0) found = flow;
    }
    return found;
  }

  /** ms that the flow has left at `now`. */
  left(flow: Flow, now: number): number {
    return Math.max(0, this.timeouts[flow.timer]! - ((now - flow.touched) >>> 0));
  }

  *[Symbol.iterator](): IterableIterator<Flow> {
    for (const line of this.lines) for (let flow = line.first; flow !== null; flow = flow.after) yield flow;
  }

  private link(tuple: Tuple): void {
    tuple.hash = hashOf(tuple.realm, tuple);
    const place = tuple.hash & (this.chains.length - 1);
    tuple.next = this.chains[place]!;
    this.chains[place] = tuple;
  }

  private unlink(tuple: Tuple): void {
    const place = tuple.hash & (this.chains.length - 1);
    let at: Tuple | null = this.chains[place] ?? null;
    if (at === tuple) {
      this.chains[place] = tuple.next;
    } else {
      while (at !== null && at.next !== tuple) at = at.next;
      if (at !== null) at.next = tuple.next;
    }
    tuple.next = null;
  }

  private grow(): void {
    this.chains = new Array<Tuple | null>(this.chains.length * 2).fill(null);
    for (const flow of this) {
      this.link(flow.original);
      this.link(flow.reply);
    }
  }
}

/** Not secret: what attackers could aim at is a simulation. */
function hashOf(realm: number, ends: Ends): number {
  let h = Math.imul(realm ^ (ends.protocol << 24), 0x9e3779b1);
  h = step(h, ends.src0);
  h = step(h, ends.src1);
  h = step(h, ends.src2);
  h = step(h, ends.src3);
  h = step(h, ends.dst0);
  h = step(h, ends.dst1);
  h = step(h, ends.dst2);
  h = step(h, ends.dst3);
  h = step(h, (ends.srcPort << 16) | ends.dstPort);
  return h ^ (h >>> 15);
}

function step(h: number, w: number): number {
  h = Math.imul(h ^ w, 0x85ebca6b);
  return h ^ (h >>> 13);
}
