/** What the parts of a virtual internet know of each other. */
import type { Prng } from '../link/prng.js';

/** Something that acts at a moment of its own. */
export interface Actor {
  /** ms of the virtual clock; Infinity: nothing waits. */
  readonly due: number;
  act(now: number): void;
}

/** The clock and the chance that everybody shares. */
export interface Surroundings {
  /** ms. */
  readonly now: number;
  /** A stream of random numbers of its own. */
  stream(): Prng;
}

/** A station's end of a wire. */
export interface WireEnd {
  /** Sends a packet to the other end; the bytes must not change any more. */
  send(packet: Uint8Array): void;
}

/** What a wire can end at. */
export interface Station {
  readonly name: string;
  /** A packet has come in over `end`; the bytes are the station's to keep or change. */
  arrive(end: WireEnd, packet: Uint8Array): void;
  /** Told once, when a wire is laid to it. */
  plug(end: WireEnd): void;
}
