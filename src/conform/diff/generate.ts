/**
 * Random cases: a way into a state, then events around the edges of the window and of what is
 * outstanding. The way in is made of events as well, so that shrinking may shorten it.
 */
import fc from 'fast-check';
import { ACK, FIN, RST, SYN } from '../../wire/segment.js';
import { icmpNames, type CallName, type DiffCase, type DiffEvent, type SegmentEvent } from './case.js';

const plain: SegmentEvent = {
  kind: 'segment',
  flags: ACK,
  seq: 'next',
  seqOffset: 0,
  ack: 'next',
  ackOffset: 0,
  length: 0,
  stamp: 'newer',
  window: 65535,
};
const say = (flags: number, change: Partial<SegmentEvent> = {}): SegmentEvent => ({
  ...plain,
  flags,
  ...change,
});
const call = (name: CallName, length = 0): DiffEvent => ({ kind: 'call', name, length });

const SERVER = [say(SYN), say(ACK)];
const CLIENT = [call('connect'), say(SYN | ACK)];

/** From ESTABLISHED on. */
const WAYS: readonly (readonly DiffEvent[])[] = [
  [],
  [call('write', 100)],
  [say(ACK, { length: 10 })],
  // CLOSE-WAIT
  [say(FIN | ACK)],
  // FIN-WAIT-1, with the handle and without
  [call('shutdown')],
  [call('close')],
  // FIN-WAIT-2, with the handle and without
  [call('shutdown'), say(ACK)],
  [call('close'), say(ACK)],
  // CLOSING
  [call('shutdown'), say(FIN | ACK, { ack: 'una' })],
  [call('close'), say(FIN | ACK, { ack: 'una' })],
  // LAST-ACK
  [say(FIN | ACK), call('close')],
  [say(FIN | ACK), call('shutdown')],
  // TIME-WAIT
  [call('close'), say(ACK), say(FIN | ACK)],
  [call('close'), say(FIN | ACK)],
  [call('shutdown'), say(FIN | ACK)],
  [call('write', 100), call('close'), say(FIN | ACK)],
  [call('close'), say(FIN | ACK, { ack: 'una' }), say(ACK)],
];

const segments: fc.Arbitrary<SegmentEvent> = fc.record({
  kind: fc.constant('segment' as const),
  flags: fc.oneof(
    { arbitrary: fc.constant(ACK), weight: 8 },
    { arbitrary: fc.constant(FIN | ACK), weight: 3 },
    { arbitrary: fc.constant(SYN), weight: 4 },
    { arbitrary: fc.constant(RST), weight: 2 },
    { arbitrary: fc.constantFrom(SYN | ACK, SYN | FIN, RST | ACK, FIN, 0, SYN | RST), weight: 3 },
  ),
  seq: fc.oneof(
    { arbitrary: fc.constant('next' as const), weight: 8 },
    { arbitrary: fc.constant('edge' as const), weight: 2 },
    { arbitrary: fc.constantFrom('first' as const, 'far' as const), weight: 1 },
  ),
  seqOffset: fc.oneof(
    { arbitrary: fc.constant(0), weight: 4 },
    { arbitrary: fc.constantFrom(-1, 1), weight: 3 },
    { arbitrary: fc.constantFrom(-2, 2, -10, 10, -100_000), weight: 1 },
  ),
  ack: fc.oneof(
    { arbitrary: fc.constant('next' as const), weight: 3 },
    { arbitrary: fc.constant('una' as const), weight: 1 },
  ),
  ackOffset: fc.oneof(
    { arbitrary: fc.constant(0), weight: 6 },
    { arbitrary: fc.constantFrom(-1, 1), weight: 1 },
    { arbitrary: fc.constantFrom(-100_000, 100_000), weight: 1 },
  ),
  length: fc.oneof(
    { arbitrary: fc.constant(0), weight: 4 },
    { arbitrary: fc.constantFrom(1, 10, 1000), weight: 2 },
  ),
  stamp: fc.oneof(
    { arbitrary: fc.constant('newer' as const), weight: 5 },
    { arbitrary: fc.constantFrom('equal' as const, 'older' as const, 'none' as const), weight: 2 },
  ),
  window: fc.oneof({ arbitrary: fc.constant(65535), weight: 12 }, { arbitrary: fc.constant(0), weight: 1 }),
});

/**
 * What implementations treat differently for known reasons stays rare, so that it does not hide what
 * follows: text on a SYN, missing timestamps, closed windows.
 */
function mostlyPlain(event: SegmentEvent): SegmentEvent {
  if (event.length === 1000) return event;
  const syn = (event.flags & SYN) !== 0;
  const stamp = event.stamp === 'none' && !syn && (event.flags & RST) === 0 ? 'newer' : event.stamp;
  return { ...event, stamp, window: 65535, length: syn ? 0 : event.length };
}

function eventsOf(side: 'server' | 'client'): fc.Arbitrary<DiffEvent> {
  const calls: fc.Arbitrary<DiffEvent> = fc.oneof(
    fc.constant(call('read')),
    fc.constantFrom(call('write', 1), call('write', 100), call('write', 2000)),
    fc.constantFrom(call('shutdown'), call('close'), call('abort')),
    fc.constant(side === 'client' ? call('connect') : call('unlisten')),
  );
  return fc.oneof(
    { arbitrary: segments.map(mostlyPlain), weight: 14 },
    { arbitrary: calls, weight: 4 },
    {
      arbitrary: fc.constantFrom(...icmpNames).map((name): DiffEvent => ({ kind: 'icmp', name })),
      weight: 1,
    },
    { arbitrary: fc.constant({ kind: 'wait' } as DiffEvent), weight: 1 },
  );
}

/** The numbers that begin from neighbouring seeds and places have nothing in common (MurmurHash3's last step). */
function mixed(seed: number, index: number): number {
  let h = Math.imul(seed, 0x9e3779b1) ^ index;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The sequence of cases that `seed` stands for, by number from 0. */
export function sequence(seed: number, events: number): (number: number) => DiffCase {
  const arbitrary = cases(events);
  return (number) => fc.sample(arbitrary, { seed: mixed(seed, number), numRuns: 1 })[0]!;
}

/** Cases with `events` random events each, behind the way into a state. */
function cases(events: number): fc.Arbitrary<DiffCase> {
  const side = (name: 'server' | 'client', start: readonly DiffEvent[]): fc.Arbitrary<DiffCase> => {
    const ways = fc.oneof(
      { arbitrary: fc.constantFrom(...WAYS).map((way) => [...start, ...way]), weight: 12 },
      { arbitrary: fc.constantFrom([], start.slice(0, 1)), weight: 2 },
    );
    const rest = fc.array(eventsOf(name), { minLength: events, maxLength: events });
    return fc
      .tuple(fc.constantFrom(4 as const, 6 as const), fc.boolean(), ways, rest)
      .map(([version, timestamps, way, more]): DiffCase => ({
        version,
        side: name,
        timestamps,
        events: [...way, ...more],
      }));
  };
  return fc.oneof(
    { arbitrary: side('server', SERVER), weight: 3 },
    { arbitrary: side('client', CLIENT), weight: 2 },
  );
}

/** The simplest cases that are one change away: events less, the most first, or an event nearer to the plain ACK. */
export function* simpler(one: DiffCase): Generator<DiffCase> {
  const { events } = one;
  for (let end = 1; end < events.length - 1; end++) yield { ...one, events: events.slice(0, end) };
  for (let run = events.length >> 1; run >= 1; run >>= 1)
    for (let end = events.length; end >= run; end -= run)
      yield { ...one, events: events.filter((_, k) => k < end - run || k >= end) };
  if (one.timestamps) yield { ...one, timestamps: false };
  if (one.version === 6) yield { ...one, version: 4 };
  for (const [i, event] of events.entries()) {
    for (const next of simplerEvent(event)) yield { ...one, events: events.with(i, next) };
  }
}

function* simplerEvent(event: DiffEvent): Generator<DiffEvent> {
  if (event.kind === 'call' && event.name === 'write' && event.length > 1) yield { ...event, length: 1 };
  if (event.kind !== 'segment') return;
  for (const field of ['length', 'window', 'stamp', 'ackOffset', 'ack', 'seqOffset', 'seq'] as const) {
    if (event[field] !== plain[field]) yield { ...event, [field]: plain[field] };
  }
  if (Math.abs(event.seqOffset) > 1) yield { ...event, seqOffset: Math.sign(event.seqOffset) };
  if (event.length > 1) yield { ...event, length: 1 };
}
