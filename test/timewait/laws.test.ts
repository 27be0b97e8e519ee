/** What holds for every policy, whatever its rules. */
import t from 'tap';
import fc from 'fast-check';
import {
  ACCEPT,
  BECOME_TIME_WAIT,
  DELETE,
  KEEP,
  REPLY_ACK,
  REPLY_NONE,
  REPLY_RST,
  RESTART,
  fateOf,
  reasonOf,
  replyOf,
  type Policy,
  type PolicyContext,
} from '../../src/timewait/policy.js';
import { findPolicy, policies } from '../../src/timewait/policies/registry.js';
import { knobs } from '../../src/stack/knobs.js';
import { reasonCount, reasonText } from '../../src/reasons.js';
import { ACK, FIN, RST, SYN } from '../../src/wire/segment.js';
import { HALF, NOW, RW, context, record, segment, type Base, type Shape } from './facts.js';

const int32 = fc.integer({ min: -HALF, max: HALF - 1 });
const edge = fc.constantFrom(0, 1, -1, 2, RW - 1, RW, RW + 1, -RW, HALF - 1, -HALF, -HALF + 1);
const distance = fc.oneof(edge, fc.integer({ min: -2 * RW, max: 2 * RW }), int32);
const flags = fc
  .subarray(['S', 'F', 'R', 'P', '.'], { minLength: 0 })
  .map((letters) => (letters.length === 0 ? '-' : letters.join('')));

const shape: fc.Arbitrary<Shape> = fc
  .record({
    flags,
    at: distance,
    length: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1460 })),
    ack: distance,
    ts: fc.option(distance, { nil: undefined }),
  })
  .map(({ ts, ...rest }) => (ts === undefined ? rest : { ...rest, ts }));

const facts = fc.record({
  hasTimestamp: fc.boolean(),
  finWait2: fc.boolean(),
  rcvWnd: fc.constantFrom(0, 1, RW, 65_535, 1 << 24),
  age: fc.constantFrom(0, 1000, 59_999, 60_000, 239_999),
  rfc1337: fc.constantFrom(0, 1),
  listener: fc.boolean(),
});
type Facts = typeof facts extends fc.Arbitrary<infer T> ? T : never;

const base: fc.Arbitrary<Base> = fc.record({ rn: int32, sn: int32, ts: int32.filter((ts) => ts !== 0) });

function judge(policy: Policy, at: Base, of: Facts, arriving: Shape): number {
  const { hasTimestamp, finWait2, rcvWnd } = of;
  // FIN-WAIT-2 records exist only where orphans become records.
  const kept = finWait2 && policy.orphansAsRecords;
  const row = record(at, { hasTimestamp, finWait2: kept, rcvWnd, tsRecentAt: (NOW - of.age) | 0 });
  const around = context(policy, { listener: of.listener, knobs: { 'net.ipv4.tcp_rfc1337': of.rfc1337 } });
  return policy.segmentArrives(row, segment(at, arriving), around);
}

/** Holds for every policy, base, record and segment. */
function always(what: string, law: (policy: Policy, at: Base, of: Facts, arriving: Shape) => boolean): void {
  void t.test(what, (t) => {
    for (const policy of policies) {
      fc.assert(
        fc.property(base, facts, shape, (at, of, arriving) => law(policy, at, of, arriving)),
        { numRuns: 2000 },
      );
      t.pass(policy.name);
    }
    t.end();
  });
}

const bits = (arriving: Shape): number => segment({ rn: 0, sn: 0, ts: 0 }, arriving).flags;

always('verdicts depend on distances alone, wherever the serial numbers lie', (policy, at, of, arriving) => {
  const moved: Base = { rn: 17, sn: 4711, ts: 99 };
  return judge(policy, at, of, arriving) === judge(policy, moved, of, arriving);
});

always('a verdict is an int32 with a reply, a fate and a reason of the list', (policy, at, of, arriving) => {
  const verdict = judge(policy, at, of, arriving);
  return (
    verdict === (verdict | 0) &&
    [REPLY_NONE, REPLY_ACK, REPLY_RST].includes(replyOf(verdict)) &&
    [KEEP, RESTART, DELETE, ACCEPT, BECOME_TIME_WAIT].includes(fateOf(verdict)) &&
    reasonOf(verdict) > 0 &&
    reasonOf(verdict) < reasonCount
  );
});

always('the reason says what is done', (policy, at, of, arriving) => {
  const verdict = judge(policy, at, of, arriving);
  const { text } = reasonText(reasonOf(verdict));
  const fate = fateOf(verdict);
  // Linux answers even a RST that is outside an orphan's window.
  const reply = replyOf(verdict) === REPLY_ACK ? 'ACK' : replyOf(verdict) === REPLY_RST ? 'RST' : '';
  if (fate === ACCEPT) return text.startsWith('accepted');
  if (reply !== '') return text.startsWith('answered') && text.includes(reply);
  return fate === DELETE ? /assassinated|deleted/.test(text) : text.startsWith('dropped');
});

always('no RST is answered by RST, and none reopens', (policy, at, of, arriving) => {
  if ((bits(arriving) & RST) === 0) return true;
  const verdict = judge(policy, at, of, arriving);
  return replyOf(verdict) !== REPLY_RST && fateOf(verdict) !== ACCEPT;
});

always('only a SYN without ACK reopens, and not in FIN-WAIT-2', (policy, at, of, arriving) => {
  if (fateOf(judge(policy, at, of, arriving)) !== ACCEPT) return true;
  const plainSyn = (bits(arriving) & (SYN | ACK)) === SYN;
  return plainSyn && !(of.finWait2 && policy.orphansAsRecords);
});

/** Systems in which more than a RST at RCV.NXT ends a record; what does. */
const reset = (arriving: Shape): boolean => (bits(arriving) & RST) !== 0;
const synAck = (arriving: Shape): boolean =>
  (bits(arriving) & (SYN | ACK)) === (SYN | ACK) && (arriving.at > 0 || arriving.at === -HALF);
const touches = (of: Facts, { at, length = 0 }: Shape): boolean =>
  (at <= of.rcvWnd && at + length >= 0) || at + length >= HALF;
/** Text at or beyond RCV.NXT, or one octet before it when a SYN counts as one. */
const newData = ({ at, length = 0 }: Shape): boolean => length > 0 && (at + length >= -1 || at === -HALF);
const syn = (arriving: Shape): boolean => (bits(arriving) & SYN) !== 0;
/** Net/3: what lies in the window, its right edge included; a SYN or FIN before it is cut off first. */
const inNet3 = (of: Facts, arriving: Shape): boolean => {
  const { at, length = 0 } = arriving;
  const finBefore = (bits(arriving) & FIN) !== 0 && at + length + (syn(arriving) ? 1 : 0) === -1;
  return (at >= -2 && at <= of.rcvWnd) || at === -HALF || finBefore;
};
const endings: Readonly<Record<string, (of: Facts, arriving: Shape) => boolean>> = {
  'windows-nt4': (_of, arriving) => reset(arriving),
  'windows-2003': (_of, arriving) => reset(arriving),
  windows: (_of, arriving) => reset(arriving),
  'solaris-7': (of, arriving) => (reset(arriving) && touches(of, arriving)) || synAck(arriving),
  illumos: (of, arriving) => (reset(arriving) && touches(of, arriving)) || synAck(arriving),
  smoltcp: (of, arriving) => reset(arriving) && touches(of, arriving),
  gvisor: (_of, arriving) => synAck(arriving),
  'freebsd-13': (_of, arriving) => synAck(arriving),
  'bsd-4.4': (of, arriving) =>
    ((reset(arriving) || syn(arriving)) && inNet3(of, arriving)) || newData(arriving) || synAck(arriving),
  netbsd: (_of, arriving) => newData(arriving) || synAck(arriving),
  openbsd: (_of, arriving) => newData(arriving) || (reset(arriving) && arriving.at === 1),
  macos: (_of, arriving) => newData(arriving) || synAck(arriving),
  // There should be no record
  none: () => true,
};

always(
  'while somebody listens, only a RST at RCV.NXT deletes a record in TIME-WAIT',
  (policy, at, of, arriving) => {
    if (of.finWait2 && policy.orphansAsRecords) return true;
    if (fateOf(judge(policy, at, { ...of, listener: true }, arriving)) !== DELETE) return true;
    return (reset(arriving) && arriving.at === 0) || endings[policy.name]?.(of, arriving) === true;
  },
);

always('tcp_rfc1337 = 1: no RST does, where that knob exists', (policy, at, of, arriving) => {
  if (!policy.uses.includes('net.ipv4.tcp_rfc1337')) return true;
  if ((bits(arriving) & RST) === 0 || (of.finWait2 && policy.orphansAsRecords)) return true;
  return fateOf(judge(policy, at, { ...of, rfc1337: 1 }, arriving)) !== DELETE;
});

always('the ACKs of two ends in TIME-WAIT do not answer each other', (policy, at, of, arriving) => {
  // What this record would send, arriving at a mirror image of it.
  if (replyOf(judge(policy, at, of, arriving)) !== REPLY_ACK) return true;
  const ts = of.hasTimestamp ? { ts: 0 } : {};
  const echo = judge(policy, at, { ...of, finWait2: false }, { flags: '.', at: 0, ack: 0, ...ts });
  return replyOf(echo) === REPLY_NONE;
});

void t.test('the hooks ask for no knob that `uses` does not name', (t) => {
  for (const policy of policies) {
    const asked = new Set<string>();
    // Whatever the knobs say, so that no branch hides a question
    for (const value of [0, 1, 2]) {
      const around: PolicyContext = {
        ...context(policy),
        knob: (name: string) => {
          asked.add(name);
          return value;
        },
      };
      for (const flags of [0, 1, 2, 3, 4, 5, 6, 7]) {
        const row = record(
          { rn: 0, sn: 0, ts: 5 },
          {
            hasTimestamp: (flags & 1) !== 0,
            finWait2: policy.orphansAsRecords && (flags & 2) !== 0,
            localPeer: (flags & 4) !== 0,
            nearPeer: (flags & 2) !== 0,
          },
        );
        for (const letters of ['S', 'S.', 'R', 'F.', '.', 'P.', '-'])
          for (const at of [-1, 0, 1, RW + 1])
            for (const ts of [undefined, -1, 0, 1]) {
              const shape = { flags: letters, at, length: letters === 'P.' ? 10 : 0 };
              const arriving = segment({ rn: 0, sn: 0, ts: 5 }, ts === undefined ? shape : { ...shape, ts });
              const verdict = policy.segmentArrives(row, arriving, around);
              policy.synArrives(arriving, { ...around, host: { known: true, tsRecent: 5, tsRecentAt: NOW } });
              if (policy.keepsWord) policy.wordAfter(row, arriving, verdict, around);
            }
        policy.lifetime(row, around, false);
        policy.lifetime(row, around, true);
        policy.remembersHost(row, around);
        policy.isnOnReopen(row, 0, around);
        for (const boundPort of [false, true]) policy.mayReopen(row, { boundPort, timestamps: true }, around);
        const request = { reuseAddress: true, reusePort: false, exclusive: false, addressOverlaps: true };
        policy.mayBind(row, request, around);
        if (policy.keepsWord) policy.wordOnEntry(row, around);
      }
      policy.capacity(around);
      policy.onPressure(1, around);
      policy.lastAck({ active: true, holder: 1 }, around);
    }
    // The rate limit is the stack's own, named because LIMITED verdicts fall under it
    const own = new Set([...asked, 'net.ipv4.tcp_invalid_ratelimit']);
    t.same(
      [...asked].filter((name) => !policy.uses.includes(name)).sort(),
      [],
      `${policy.name}: asked, not named`,
    );
    t.same(policy.uses.filter((name) => !own.has(name)).sort(), [], `${policy.name}: named, never asked`);
  }
  t.end();
});

void t.test('RFC 9293 never accepts', (t) => {
  const strict = findPolicy('rfc9293')!;
  fc.assert(
    fc.property(base, facts, shape, (at, of, arriving) => fateOf(judge(strict, at, of, arriving)) !== ACCEPT),
    { numRuns: 3000 },
  );
  t.end();
});

void t.test('the registry', (t) => {
  for (const name of ['rfc9293', 'bsd', 'reuse', 'recycle']) t.ok(findPolicy(name), name);
  const names = policies.flatMap(({ name, aliases }) => [name, ...aliases]);
  t.equal(new Set(names).size, names.length, 'no name twice');
  for (const policy of policies) {
    for (const name of [policy.name, ...policy.aliases]) t.equal(findPolicy(name), policy);
    for (const knob of [...policy.uses, ...Object.keys(policy.knobs)])
      t.ok(
        knobs.some(({ name }) => name === knob),
        `${policy.name}: ${knob}`,
      );
    t.ok(policy.title.length > 10 && policy.source.length > 5);
    t.notOk(policy.title.includes('\n'));
  }
  for (const name of ['', 'BSD', 'rfc', 'constructor', '__proto__']) t.equal(findPolicy(name), null);
  t.end();
});
