/**
 * What a script is played on: it makes calls, takes packets, sends packets, and has a time.
 * Our stack under virtual time answers at once; a target with real time answers with promises
 * and has a tolerance. Times are whole microseconds since the start of the script.
 */
import type { Address } from '../wire/address.js';
import type { Listing } from './pipeline.js';
import type { Value } from './script.js';

export type Later<T> = T | Promise<T>;

/** The two ends, as the script's options and the run say. */
export interface TargetSetup {
  readonly local: Address;
  readonly remote: Address;
  /** Bits of the local subnet; the remote end lies outside unless it happens not to. */
  readonly prefix: number;
  /** What `bind(fd, ..., ...)` and `connect(fd, ..., ...)` mean. */
  readonly bindPort: number;
  readonly connectPort: number;
  readonly mtu: number;
}

export interface CallRequest {
  readonly name: string;
  /** Descriptors are the target's own. */
  readonly args: readonly Value[];
  /** The script expects it to take time. */
  readonly blocks: boolean;
}

export interface CallResult {
  /** -1 with an errno. */
  readonly value: number;
  /** '' when there is none. */
  readonly errno: string;
  /** What the call wrote, by argument. */
  readonly outputs: ReadonlyMap<number, Value>;
}

/** A call that was made; `result` is null while it blocks. */
export interface MadeCall {
  readonly result: CallResult | null;
  /** When it returned. */
  readonly endedAt: number;
}

export interface SentPacket {
  readonly bytes: Uint8Array;
  readonly time: number;
  /** Why it was sent, in words; '' when nothing is known. */
  readonly reason: string;
}

export interface Target {
  readonly name: string;
  /** The target's clock has ticks of so many microseconds: expected times are rounded to them. */
  readonly resolution: number;
  /** Microseconds by which times may differ; null: as the script says. */
  readonly tolerance: number | null;
  /** What the target left undone that a script asked for: one line each. */
  readonly notes: readonly string[];
  now(): number;
  /** Lets time go on up to `time`; returns when it is reached. */
  advance(time: number): Later<void>;
  /** A whole IP packet arrives. Why it was dropped or answered, in words; '' when nothing is known. */
  inject(packet: Uint8Array): Later<string>;
  /** The next packet that was sent and not taken, waiting up to `latest`; null when there is none. */
  sent(latest: number): Later<SentPacket | null>;
  /** Starts a call. It has returned when `result` is there; only a call that blocks has none. */
  call(request: CallRequest): Later<MadeCall>;
  /** Waits for a call that blocks, up to `latest`. */
  finish(call: MadeCall, latest: number): Later<void>;
  /** Fields of TCP_INFO by Linux's names (`tcpi_snd_cwnd`); null when `fd` has none. */
  info(fd: number): Later<ReadonlyMap<string, number> | null>;
  /** A sysctl, its value as written. null, or why it has no effect. */
  setting(name: string, value: string): Later<string | null>;
  /** Lines of `sockstat`, `ss`, `nstat` or /proc/net/tcp; null when the target has none of the kind. */
  listing(listing: Listing): Later<readonly string[] | null>;
  /** A command about devices (`tc`, `ip`, `ethtool`). null, or why it has no effect. */
  deviceCommand(words: readonly string[]): Later<string | null>;
  /** `tcpdrop -s STATE`: null, or why it has no effect. */
  drop(state: string): Later<string | null>;
  close(): Later<void>;
}
