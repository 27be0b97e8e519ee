/**
 * A virtual internet: hosts, wires, routers and translators under one virtual clock and
 * one seed. Nothing here is asynchronous: `run` plays everything that is due, in the
 * order of time and, at the same moment, in the order in which the parts were made, so
 * a run repeats byte for byte. Quiet time costs nothing.
 */
import { Prng } from '../link/prng.js';
import { Host, type HostOptions } from './host.js';
import type { Actor, Station, Surroundings } from './parts.js';
import { Wire, type WireOptions } from './wire.js';

export interface InternetOptions {
  /** int32; everything that is random follows from it. */
  readonly seed?: number;
  /** Where the clock starts, ms; default 1,000,000. */
  readonly start?: number;
}

interface Appointment {
  readonly at: number;
  readonly act: () => void;
}

/** Events in one `run` after which something must be wrong: parts that answer each other for ever. */
const MOST_EVENTS = 200_000_000;

export class Internet implements Surroundings {
  /** ms; fractions come from wires with a rate. */
  now: number;
  /** Events played so far: packets delivered, timers, appointments. */
  events = 0;
  readonly seed: number;
  readonly random: Prng;
  private readonly actors: Actor[] = [];
  /** Sorted by time, equal ones in the order they were made. */
  private readonly appointments: Appointment[] = [];
  private parts = 0;

  constructor(options: InternetOptions = {}) {
    this.seed = options.seed ?? 1;
    this.now = options.start ?? 1_000_000;
    this.random = new Prng(this.seed);
  }

  /** A stream of random numbers of its own for the next part. */
  stream(): Prng {
    return new Prng(this.seed, ++this.parts);
  }

  add<T extends Actor>(actor: T): T {
    this.actors.push(actor);
    return actor;
  }

  host(name: string, options: HostOptions): Host {
    return this.add(new Host(this, name, options));
  }

  /** Joins two stations; each gets its end of the wire. */
  wire(a: Station, b: Station, options: WireOptions = {}): Wire {
    return this.add(new Wire(this, a, b, options));
  }

  /** Calls `act` in `ms`. */
  after(ms: number, act: () => void): void {
    const at = this.now + Math.max(0, ms);
    let place = this.appointments.length;
    while (place > 0 && this.appointments[place - 1]!.at > at) place--;
    this.appointments.splice(place, 0, { at, act });
  }

  /** Lets `ms` pass. */
  run(ms: number): void {
    this.runUntil(() => false, ms);
  }

  /** Lets time pass until `done` holds, at most `limit` ms; whether it does. */
  runUntil(done: () => boolean, limit: number): boolean {
    const end = this.now + limit;
    for (let events = 0; ; events++) {
      if (done()) return true;
      if (events > MOST_EVENTS) throw new Error(`no end after ${events} events at ${this.now} ms`);
      if (!this.step(end)) {
        this.now = end;
        return done();
      }
    }
  }

  /** Plays the earliest event that is due by `end`; false when there is none. */
  private step(end: number): boolean {
    let first: Actor | null = null;
    let at = Infinity;
    for (const actor of this.actors) {
      const { due } = actor;
      if (due < at) {
        at = due;
        first = actor;
      }
    }
    const appointment = this.appointments[0];
    if (appointment !== undefined && appointment.at < at) {
      if (appointment.at > end) return false;
      this.appointments.shift();
      this.now = Math.max(this.now, appointment.at);
      this.events++;
      appointment.act();
      return true;
    }
    if (first === null || at > end) return false;
    this.now = Math.max(this.now, at);
    this.events++;
    first.act(this.now);
    return true;
  }
}
