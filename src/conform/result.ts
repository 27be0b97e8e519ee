/** What a run is given besides script and target, and what comes of it. */
import type { Include } from './shell.js';
import type { Later } from './target.js';

/** One segment that passed, for a ladder. */
export interface PassedSegment {
  /** ms since the start of the script. */
  readonly time: number;
  readonly rightward: boolean;
  readonly segment: string;
  readonly comment: string;
}

export interface ScriptFailure {
  readonly line: number;
  readonly column: number;
  /** The event as written, '' for an error of syntax. */
  readonly source: string;
  /** One line: what is wrong. */
  readonly message: string;
  /** In the script's notation; '' where nothing of the kind is at stake. */
  readonly expected: string;
  readonly got: string;
  /** How much later than allowed it came, microseconds; below 0 earlier; null when time was right. */
  readonly difference: number | null;
  /** The script cannot be read, or asks for what this run does not do. */
  readonly unusable: boolean;
}

export interface RunResult {
  readonly failure: ScriptFailure | null;
  /** The last segments, oldest first. */
  readonly segments: readonly PassedSegment[];
  readonly notes: readonly string[];
  /** Events played. */
  readonly events: number;
}

/** The peer's address by IP version, and the port that `bind(3, ..., ...)` means. */
export interface OwnEnds {
  readonly remote: Readonly<Record<4 | 6, string>>;
  readonly bindPort: number;
}

export interface RunOptions {
  /** Names for which `#ifdef` holds. */
  readonly defined?: ReadonlySet<string>;
  /** Words of the script that stand for something else (`--define NAME=VALUE`). */
  readonly symbols?: ReadonlyMap<string, string>;
  /** Text of a file of shell lines that the script names. */
  readonly include?: Include;
  /** Instead of what the script says. */
  readonly version?: 4 | 6;
  /**
   * Ends of this script's own, where it names none: a kernel remembers the peers of earlier scripts,
   * and scripts that run at once need ports of their own.
   */
  readonly ends?: OwnEnds;
  /** Microseconds by which times may differ, instead of what target and script say. */
  readonly tolerance?: number;
  /** On the wire the numbers of the script's side are these and more; 0 unless said. */
  readonly peerIss?: number;
  /** Runs a shell line that is not understood; without it such a line fails. */
  readonly shell?: (command: string) => Later<{ status: number; output: string }>;
  /** Told of each packet, for a capture. Microseconds since the start of the script. */
  readonly capture?: (packet: Uint8Array, time: number, inbound: boolean, comment: string) => void;
}

/** What a part of a run found wrong; the line is the present event's unless it says otherwise. */
export type Wrong = Pick<ScriptFailure, 'message'> & Partial<ScriptFailure>;
