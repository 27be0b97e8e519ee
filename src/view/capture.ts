/** From captured packets to the rungs of a ladder: one tuple, numbers relative to its first segments. */
import { diff } from '../seqnum.js';
import { formatNotation, type OptionText, type SegmentText } from '../wire/notation.js';
import type { CapturedPacket } from '../wire/pcapng.js';
import { ACK, FIN, SYN } from '../wire/segment.js';
import { Gatherer, stretchAt, type Exchange, type Seen, type Stretch } from './exchange.js';
import type { Rung } from './ladder.js';

export interface RungOptions {
  /** One numbering for the whole tuple. Default: each connection starts again from 0, after a line that says so. */
  readonly whole?: boolean;
  /** Timestamps as on the wire (default with `whole`), counted from the first of each end (default else), or left out. */
  readonly stamps?: 'raw' | 'relative' | 'none';
}

/** The packets between our port and the peer's, in order. Inbound goes from left to right. */
export function rungsOf(packets: readonly CapturedPacket[], ourPort: number, peerPort: number): Rung[] {
  const ports = (a: number, b: number): boolean => a === ourPort && b === peerPort;
  const gatherer = new Gatherer({ wanted: (a, b) => ports(a.port, b.port) || ports(b.port, a.port) });
  for (const packet of packets) gatherer.take(packet, packet.bytes.length, 0);
  const exchange = gatherer.exchanges().find(({ local }) => local.port === ourPort);
  if (exchange === undefined) return [];
  return rungsOfExchange(exchange, { whole: true }).map(({ time, rightward, segment, comment }) => ({
    time,
    rightward,
    segment,
    comment,
  }));
}

/** The remote end on the left, the local one on the right. */
export function rungsOfExchange(exchange: Exchange, options: RungOptions = {}): Rung[] {
  const { seen, stretches } = exchange;
  const start = seen[0]?.at ?? 0;
  const stamps = new Stamps(exchange, options.stamps ?? (options.whole === true ? 'raw' : 'relative'));
  return seen.map((one, i): Rung => {
    const n = options.whole === true ? 0 : stretchAt(exchange, i);
    const stretch = stretches[n]!;
    const heading = n > 0 && stretch.start === i ? headingOf(exchange, n) : undefined;
    const comment = printable(one.comment);
    return {
      time: one.at - start,
      rightward: one.inbound,
      segment:
        one.segment === null ? '' : formatNotation(stamps.shift(relative(one.segment, one, stretch), one)),
      comment,
      ...(one.frame > 0 ? { frame: one.frame } : {}),
      ...(heading === undefined ? {} : { heading }),
    };
  });
}

/** The segment with its numbers counted from the initial ones of its connection. */
function relative(segment: SegmentText, { inbound }: Seen, stretch: Stretch): SegmentText {
  const [own, other] = inbound
    ? [stretch.remoteIss, stretch.localIss]
    : [stretch.localIss, stretch.remoteIss];
  const back = (n: number): number => (n - other) >>> 0;
  const options = segment.options?.map((option): OptionText =>
    option.kind === 'sack'
      ? { kind: 'sack', blocks: option.blocks.map(([left, right]) => [back(left), back(right)] as const) }
      : option,
  );
  return {
    ...segment,
    seq: (segment.seq - own) >>> 0,
    ...(segment.ack === undefined ? {} : { ack: back(segment.ack) }),
    ...(options === undefined ? {} : { options }),
  };
}

/** Timestamps of both ends, each counted from its first one. */
class Stamps {
  private readonly first: { in: number; out: number };

  constructor(
    exchange: Exchange,
    private readonly mode: 'raw' | 'relative' | 'none',
  ) {
    const firstOf = (inbound: boolean): number => {
      let echoed = 0;
      for (const { segment, inbound: direction } of exchange.seen) {
        const stamp = segment?.options?.find((option) => option.kind === 'TS');
        if (stamp === undefined) continue;
        if (direction === inbound) return stamp.val;
        // An end that was not heard is known by its echoes.
        if (echoed === 0) echoed = stamp.ecr;
      }
      return echoed;
    };
    this.first = { in: firstOf(true), out: firstOf(false) };
  }

  shift(segment: SegmentText, { inbound }: Seen): SegmentText {
    const { options } = segment;
    if (this.mode === 'raw' || options === undefined) return segment;
    if (this.mode === 'none') return { ...segment, options: options.filter(({ kind }) => kind !== 'TS') };
    const [own, other] = inbound ? [this.first.in, this.first.out] : [this.first.out, this.first.in];
    return {
      ...segment,
      options: options.map((option) => {
        if (option.kind !== 'TS') return option;
        // R7323-13: without ACK there is nothing that TSecr echoes.
        const echoes = (segment.flags & ACK) !== 0 || option.ecr !== 0;
        return {
          kind: 'TS',
          val: (option.val - own) >>> 0,
          ecr: echoes ? (option.ecr - other) >>> 0 : 0,
        } as const;
      }),
    };
  }
}

/** `connection 2: SEG.SEQ of its SYN is 937498 above the end of connection 1; numbers start again from 0`. */
function headingOf(exchange: Exchange, n: number): string {
  const stretch = exchange.stretches[n]!;
  const opening = exchange.seen[stretch.start]!;
  const before = exchange.seen
    .slice(exchange.stretches[n - 1]!.start, stretch.start)
    .filter(({ segment, inbound }) => segment !== null && inbound === opening.inbound)
    .flatMap(({ segment }) => (segment === null || (segment.flags & SYN) !== 0 ? [] : [endOf(segment)]));
  const where = `connection ${n + 1} of this tuple`;
  const again = 'numbers start again from 0';
  if (before.length === 0 || opening.segment === null) return `${where}; ${again}`;
  const highest = before.reduce((high, end) => (diff(end, high) > 0 ? end : high));
  const above = diff(opening.segment.seq, highest);
  return `${where}: its SYN is ${Math.abs(above)} ${above < 0 ? 'below' : 'above'} the end of the one before; ${again}`;
}

function endOf({ seq, length, flags }: SegmentText): number {
  return (seq + length + ((flags & SYN) >> 1) + (flags & FIN)) | 0;
}

/** Comments come out of files: nothing in them may drive the terminal. */
function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?');
}

/** Of a line of a comment. */
export function toneOf(comment: string): 'good' | 'bad' | undefined {
  if (/^\S+ would .*, as the capture shows/.test(comment)) return 'good';
  if (/^\s*[a-z0-9-]+: (accepted|TIME-WAIT reused)/.test(comment)) return 'good';
  if (/^\S+ would .*; the capture shows/.test(comment)) return 'bad';
  if (/^\s*[a-z0-9-]+: (dropped|answered|reset|TIME-WAIT assassinated)/.test(comment)) return 'bad';
  return undefined;
}
