/**
 * Cases in words and back: `IPv4 server, timestamps: < S seq next; < . seq next ack next; close`. What
 * `timewait diff` prints of a finding is what `--case` takes.
 */
import { ACK, FIN, PSH, RST, SYN, URG } from '../../wire/segment.js';
import {
  ackAnchors,
  callNames,
  icmpNames,
  seqAnchors,
  stamps,
  type CallEvent,
  type DiffCase,
  type DiffEvent,
  type IcmpEvent,
  type SegmentEvent,
} from './case.js';

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
  const kind = one.timestamps ? 'timestamps' : 'no timestamps';
  return `IPv${one.version} ${one.side}, ${kind}: ${one.events.map(eventText).join('; ')}`;
}

/** The case as far as this step. */
export function storyText(one: DiffCase, step: number): string {
  return caseText({ ...one, events: one.events.slice(0, step + 1) });
}

const CASE = /^IPv([46]) (server|client), (no )?timestamps:(.*)$/;
const SEGMENT =
  /^< (\S+) seq ([a-z]+)([+-]\d+)?(?: ack ([a-z]+)([+-]\d+)?)?(?: len (\d+))?(?: stamp (\w+))?(?: win (\d+))?$/;
const CALL = /^([a-z]+)(?: (\d+))?$/;
const ICMP = /^icmp (\w+)$/;

/** Throws RangeError with the part that cannot be read. */
export function parseCase(text: string): DiffCase {
  const [, version, side, no, events] = CASE.exec(text.trim()) ?? [];
  if (events === undefined)
    throw new RangeError(`expected 'IPv4|IPv6 server|client, [no ]timestamps: event; event ...': ${text}`);
  return {
    version: version === '4' ? 4 : 6,
    side: side as DiffCase['side'],
    timestamps: no === undefined,
    events: events.split(';').map((event) => parseEvent(event.trim())),
  };
}

function parseEvent(text: string): DiffEvent {
  const event =
    text === 'wait' ? { kind: 'wait' as const } : (segmentOf(text) ?? icmpOf(text) ?? callOf(text));
  if (event === null) throw new RangeError(`not an event: '${text}'`);
  return event;
}

const oneOf = <T extends string>(names: readonly T[], text: string | undefined): T | undefined =>
  names.find((name) => name === text);

function segmentOf(text: string): SegmentEvent | null {
  const [whole, letters, seq, seqOffset, ack, ackOffset, length, stamp, window] = SEGMENT.exec(text) ?? [];
  if (whole === undefined) return null;
  const flags = flagsOf(letters!);
  const [seqAnchor, ackAnchor] = [oneOf(seqAnchors, seq), oneOf(ackAnchors, ack ?? 'next')];
  const stampName = oneOf(stamps, stamp ?? 'newer');
  if (flags < 0 || seqAnchor === undefined || ackAnchor === undefined || stampName === undefined) return null;
  return {
    kind: 'segment',
    flags,
    seq: seqAnchor,
    seqOffset: Number(seqOffset ?? 0),
    ack: ackAnchor,
    ackOffset: Number(ackOffset ?? 0),
    length: Number(length ?? 0),
    stamp: stampName,
    window: Number(window ?? 65_535),
  };
}

/** -1: an unknown letter. */
function flagsOf(letters: string): number {
  if (letters === '-') return 0;
  let flags = 0;
  for (const letter of letters) {
    const known = LETTERS.find(([, name]) => name === letter);
    if (known === undefined) return -1;
    flags |= known[0];
  }
  return flags;
}

function icmpOf(text: string): IcmpEvent | null {
  const name = oneOf(icmpNames, ICMP.exec(text)?.[1]);
  return name === undefined ? null : { kind: 'icmp', name };
}

function callOf(text: string): CallEvent | null {
  const [, word, length] = CALL.exec(text) ?? [];
  const name = oneOf(callNames, word);
  return name === undefined || (length !== undefined) !== (name === 'write')
    ? null
    : { kind: 'call', name, length: Number(length ?? 0) };
}
