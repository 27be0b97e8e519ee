/**
 * A case of the differential: one conversation on one tuple, in numbers relative to what the end
 * under test last said, so that the same case makes sense to two implementations with different
 * ISNs and windows.
 */
/**
 * What a sequence number is counted from: `next` the peer's next (RCV.NXT of the end under test, as
 * far as it has acknowledged), `edge` the right edge of the offered window, `first` the peer's ISN,
 * `far` a number 100,000 beyond RCV.NXT.
 */
export const seqAnchors = ['next', 'edge', 'first', 'far'] as const;
export type SeqAnchor = (typeof seqAnchors)[number];
/** What an acknowledgment number is counted from: SND.NXT or SND.UNA of the end under test. */
export const ackAnchors = ['next', 'una'] as const;
export type AckAnchor = (typeof ackAnchors)[number];
/** The timestamp beside the last one sent; `none`: the option is left out. */
export const stamps = ['newer', 'equal', 'older', 'none'] as const;
export type Stamp = (typeof stamps)[number];

export interface SegmentEvent {
  readonly kind: 'segment';
  readonly flags: number;
  readonly seq: SeqAnchor;
  readonly seqOffset: number;
  readonly ack: AckAnchor;
  readonly ackOffset: number;
  /** Bytes of payload. */
  readonly length: number;
  readonly stamp: Stamp;
  /** The window field. */
  readonly window: number;
}

export const callNames = ['read', 'write', 'shutdown', 'close', 'abort', 'connect', 'unlisten'] as const;
export type CallName = (typeof callNames)[number];

export interface CallEvent {
  readonly kind: 'call';
  readonly name: CallName;
  /** Bytes to write. */
  readonly length: number;
}

/** An ICMP error that quotes the last segment the end under test sent. */
export const icmpNames = ['host', 'port', 'admin', 'time'] as const;
export type IcmpName = (typeof icmpNames)[number];

export interface IcmpEvent {
  readonly kind: 'icmp';
  readonly name: IcmpName;
}

export interface WaitEvent {
  readonly kind: 'wait';
}

export type DiffEvent = SegmentEvent | CallEvent | IcmpEvent | WaitEvent;

export interface DiffCase {
  readonly version: 4 | 6;
  /** A server listens from the start on; a client has nothing until it connects. */
  readonly side: 'server' | 'client';
  /** The peer sends timestamps. */
  readonly timestamps: boolean;
  readonly events: readonly DiffEvent[];
}

/** What was seen at one step: the outcome of the call ('' for none), and what was sent. */
export interface StepSeen {
  readonly call: string;
  readonly replies: readonly string[];
  /** The window field of each reply. */
  readonly windows: readonly number[];
  /** Of the tuple after it, as ss prints it; CLOSED when there is nothing. */
  readonly state: string;
  /** TCP_INFO while there is a connection with a socket, by names without `tcpi_`. */
  readonly info: ReadonlyMap<string, number> | null;
  /** SO_ERROR, asked when the tuple became CLOSED and after the last step: '' for none, '-' without socket or not asked. */
  readonly error: string;
}

/** What one implementation did with a case. */
export interface Observation {
  readonly steps: readonly StepSeen[];
  /** The conversation as lines of a packet script. */
  readonly script: readonly string[];
  /** The program still has the socket, so that its state can be asked for. */
  readonly holdsSocket: boolean;
}
