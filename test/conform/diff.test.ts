/** The differential without a kernel: our stack judges our stack, so that a difference is a planted one. */
import t from 'tap';
import { definePolicy, policyNamed } from '../../src/stack/policies.js';
import type { DiffCase, SegmentEvent } from '../../src/conform/diff/case.js';
import { firstDifference } from '../../src/conform/diff/compare.js';
import { candidates, parseDeviations } from '../../src/conform/diff/deviations.js';
import { sequence } from '../../src/conform/diff/generate.js';
import { Tuples, play } from '../../src/conform/diff/play.js';
import { scriptOf } from '../../src/conform/diff/script.js';
import { Search, type SearchOptions, type SearchResult } from '../../src/conform/diff/search.js';
import { StackSide } from '../../src/conform/diff/stack-side.js';
import { caseText, parseCase } from '../../src/conform/diff/words.js';
import { ACK, FIN, RST, SYN } from '../../src/wire/segment.js';
import { run } from './run.js';

function search(
  subject: SearchOptions['subject'],
  options: Partial<SearchOptions> = {},
): Promise<SearchResult> {
  return new Search({
    judge: new StackSide('linux'),
    subject,
    deviations: [],
    seeds: 500,
    events: 12,
    seed: 1,
    batch: 100,
    findings: 20,
    ...options,
  }).run();
}

const segment = (flags: number, change: Partial<SegmentEvent> = {}): SegmentEvent => ({
  kind: 'segment',
  flags,
  seq: 'next',
  seqOffset: 0,
  ack: 'next',
  ackOffset: 0,
  length: 0,
  stamp: 'newer',
  window: 65535,
  ...change,
});

/** Into TIME-WAIT, and there one more segment. */
const inTimeWait = (last: SegmentEvent, timestamps = false, version: 4 | 6 = 4): DiffCase => ({
  version,
  side: 'server',
  timestamps,
  events: [segment(SYN), segment(ACK), { kind: 'call', name: 'close', length: 0 }, segment(FIN | ACK), last],
});

const linux = policyNamed('linux');
// SYN at or below RCV.NXT accepted, above it refused: `after` the wrong way round
const planted = definePolicy({
  name: 'planted',
  base: 'linux',
  segmentArrives(record, arrived, context) {
    if ((arrived.flags & (SYN | ACK | RST)) !== SYN || record.finWait2)
      return linux.segmentArrives(record, arrived, context);
    const mirrored = Object.create(arrived) as typeof arrived;
    Object.defineProperty(mirrored, 'seq', { value: (2 * record.rcvNxt - arrived.seq) | 0 });
    return linux.segmentArrives(record, mirrored, context);
  },
});

/** A machine that has much to do: where many play, segments come late in their step. */
class BusySide extends StackSide {
  override inject(packets: readonly Uint8Array[]): void {
    if (packets.length > 10) this.pause(300);
    super.inject(packets);
  }
}

t.test('a stack does not differ from itself, whatever happens', async (t) => {
  const result = await search(() => new StackSide('linux'));
  t.equal(result.played, 500);
  t.equal(result.differing, 0);
  t.same(result.findings, []);
});

t.test('a busy machine makes no finding, and hides none', async (t) => {
  const judge = new BusySide('linux');
  const same = await search(() => new StackSide('linux'), { judge, seeds: 100 });
  t.ok(same.differing > 0, `${same.differing} of 100 differ where a SYN,ACK is resent`);
  t.same(same.findings, []);
  t.ok(same.unsteady > 0);
  const other = await search(() => new StackSide(planted), { judge, seeds: 100, findings: 40 });
  t.ok(other.findings.some(({ signature }) => /in TIME-WAIT .* to < F?S seq/.test(signature)));
});

t.test('one flipped comparison is found within 500 sequences, and shrunk to at most 8 events', async (t) => {
  const result = await search(() => new StackSide(planted), { findings: 40 });
  t.ok(result.differing > 0, `${result.differing} of 500 differ`);
  t.equal(result.unexamined, 0);
  t.ok(result.findings.length > 0);
  for (const { one, signature } of result.findings) {
    t.ok(one.events.length <= 8, `${one.events.length} events: ${caseText(one)}`);
    t.match(signature, /in TIME-WAIT .* to < F?S seq/, 'and it names the place');
  }
});

t.test('a profile that differs is told apart by what it answers', async (t) => {
  const cases = [
    inTimeWait(segment(SYN, { seqOffset: 1 })),
    inTimeWait(segment(SYN, { stamp: 'newer' }), true, 6),
    inTimeWait(segment(RST, { seqOffset: 1 })),
  ];
  const tuples = new Tuples();
  const ends = cases.map((one) => tuples.next(one.version));
  const linux = await play(new StackSide('linux'), cases, ends);
  const rfc = await play(new StackSide('rfc9293'), cases, ends);
  t.same(
    linux.map(({ steps }) => [steps.at(-1)!.replies, steps.at(-1)!.state]),
    [
      [['S. 0 ack SYN+1 isn SND.NXT+65537'], 'SYN-RECEIVED'],
      [['S. 0 ack SYN+1 TS isn SND.NXT+65537'], 'SYN-RECEIVED'],
      [[], 'TIME-WAIT'],
    ],
  );
  t.match(firstDifference(linux[0]!, rfc[0]!), { kind: 'reply', step: 4 });
  t.equal(firstDifference(linux[0]!, linux[0]!), null);
});

t.test('what is known is told from what is not', async (t) => {
  const known = parseDeviations(
    JSON.stringify({
      diff: [{ id: 'syn', pattern: 'in TIME-WAIT .* to < S seq', reason: 'because', example: '' }],
    }),
  );
  const result = await search(() => new StackSide('rfc9293'), { deviations: known, seeds: 400 });
  const explained = result.findings.filter(({ deviation }) => deviation !== null);
  t.equal(explained.length, 1, 'all cases of one deviation are one finding');
  t.match(explained[0]!.signature, /in TIME-WAIT .* to < S seq/);
  t.ok(result.findings.some(({ deviation }) => deviation === null));
  t.same(candidates(known, 'reply in CLOSED (server) to < S seq next: a; b', ''), []);
});

t.test('deviations that say nothing are refused', async (t) => {
  t.throws(
    () => parseDeviations('{"diff":[{"id":"x","pattern":"y"}]}'),
    /diff\[0\]: id, pattern, reason, example/,
  );
  t.throws(
    () => parseDeviations('{"diff":[{"id":"x","pattern":"(","reason":"z","example":"e"}]}'),
    /diff\[0\] \(x\): not a regular expression/,
  );
  t.throws(
    () => parseDeviations('{"diff":[{"id":"x","pattern":"y","reason":"z","example":"e","without":"luck"}]}'),
    /diff\[0\] \(x\): without takes header-prediction/,
  );
  t.same(parseDeviations('{}'), []);
});

t.test('cases in words are read back, mistakes named', async (t) => {
  const caseAt = sequence(5, 12);
  for (let number = 0; number < 200; number++) {
    const one = caseAt(number);
    const words = caseText(one);
    t.equal(caseText(parseCase(words)), words);
    t.same(caseAt(number), one, 'the same number, the same case');
  }
  t.notSame(sequence(6, 12)(0), caseAt(0));
  t.throws(() => parseCase('IPv5 server, timestamps: wait'), /expected 'IPv4\|IPv6 server\|client/);
  for (const event of [
    '< X seq next',
    '< S seq here',
    'write',
    'read 3',
    'icmp toobig',
    '< S seq next stamp old',
  ])
    t.throws(() => parseCase(`IPv4 server, timestamps: wait; ${event}`), {
      message: `not an event: '${event}'`,
    });
});

t.test(
  'a finding becomes a packet script that fails on the stack that differs, and passes on the judge',
  async (t) => {
    const result = await search(() => new StackSide('rfc9293'), { seeds: 200, findings: 60 });
    const wanted = result.findings.filter(({ signature }) => /^reply in TIME-WAIT/.test(signature));
    t.ok(wanted.length > 0);
    for (const finding of wanted) {
      const script = scriptOf(finding);
      const judge = await run(script, { profile: 'linux' });
      t.equal(judge.failure, null, `${finding.signature}: ${judge.failure?.message ?? ''}\n${script}`);
      const other = await run(script, { profile: 'rfc9293' });
      t.not(other.failure, null, `rfc9293 fails: ${finding.signature}\n${script}`);
    }
  },
);
