/**
 * A case of the differential: one conversation on one tuple, in numbers relative to what the end
 * under test last said, so that the same case makes sense to two implementations with different
 * ISNs and windows.
 */
import { ACK, FIN, PSH, RST, SYN, URG } from '../../wire/segment.js';

/**
 * What a sequence number is counted from: `next` the peer's next (RCV.NXT of the end under test, as
 * far as it has acknowledged), `edge` the right edge of the offered window, `first` the peer's ISN,
 * `far` a number 100,000 beyond RCV.NXT.
 */
export type SeqAnchor = 'next' | 'edge' | 'first' | 'far';
/** What an acknowledgment number is counted from: SND.NXT or SND.UNA of the end under test. */
export type AckAnchor = 'next' | 'una';
/** The timestamp beside the last one sent; `none`: the option is left out. */
export type Stamp = 'newer' | 'equal' | 'older' | 'none';

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
  /** Of the tuple after it, as ss prints it; CLOSED when there is nothing. */
  readonly state: string;
  /** SO_ERROR, asked when the tuple became CLOSED and after the last step: '' for none, '-' without socket or not asked. */
  readonly error: string;
}

/** What one implementation did with a case. */
export interface Observation {
  readonly steps: readonly StepSeen[];
  /** The conversation as lines of a packet script. */
  readonly script: readonly string[];
}

const LETTERS: readonly (readonly [number, string])[] = [
  [FIN, 'F'],
  [SYN, 'S'],
  [RST, 'R'],
  [URG, 'U'],
  [ACK, '.'],
];

/** `S.`, `F.`, `R`; `-` for none. PSH says nothing about the protocol's rules and is left out. */
export function flagLetters(flags: number): string {
  const text = LETTERS.filter(([bit]) => (flags & bit) !== 0)
    .map(([, letter]) => letter)
    .join('');
  return text === '' ? '-' : text;
}

/** `+1`, `-1`, '' for 0. */
export const signed = (n: number): string => (n === 0 ? '' : n > 0 ? `+${n}` : String(n));

/** One event in words: `< S. seq next+1 ack una len 10 stamp older`. */
export function eventText(event: DiffEvent): string {
  switch (event.kind) {
    case 'wait':
      return 'wait';
    case 'icmp':
      return `icmp ${event.name}`;
    case 'call':
      return event.name === 'write' ? `write ${event.length}` : event.name;
    case 'segment': {
      const parts = [`< ${flagLetters(event.flags & ~PSH)} seq ${event.seq}${signed(event.seqOffset)}`];
      if ((event.flags & ACK) !== 0) parts.push(`ack ${event.ack}${signed(event.ackOffset)}`);
      if (event.length > 0) parts.push(`len ${event.length}`);
      if (event.stamp !== 'newer') parts.push(`stamp ${event.stamp}`);
      if (event.window !== 65535) parts.push(`win ${event.window}`);
      return parts.join(' ');
    }
  }
}

export function caseText(one: DiffCase): string {
  const stamps = one.timestamps ? 'timestamps' : 'no timestamps';
  return `IPv${one.version} ${one.side}, ${stamps}: ${one.events.map(eventText).join('; ')}`;
}
