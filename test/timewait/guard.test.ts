/** A policy that fails: the strict one answers, one line says so. */
import t from 'tap';
import {
  act,
  definePolicy,
  guardPolicy,
  policyNamed,
  withRules,
  type GuardOptions,
  type HookName,
  type Policy,
  type PolicyDefinition,
  type PolicyFailure,
} from '../../src/index.js';
import { Reason } from '../../src/reasons.js';
import { setLabel } from '../../src/timewait/define.js';
import { hookNames } from '../../src/timewait/members.js';
import { rfc9293 } from '../../src/timewait/policies/rfc9293.js';
import { policies } from '../../src/timewait/policies/registry.js';
import { verdict } from '../../src/timewait/policy.js';
import { Conversation } from '../support/conversation.js';

interface Watched {
  readonly policy: Policy;
  readonly reports: PolicyFailure[];
  readonly failures: readonly PolicyFailure[];
}

function guard(own: Omit<PolicyDefinition, 'name'>, options: Partial<GuardOptions> = {}): Watched {
  const reports: PolicyFailure[] = [];
  const policy = definePolicy({ name: 'mine', ...own });
  setLabel(policy, 'mine.ts');
  return { reports, ...guardPolicy(policy, { report: (failure) => reports.push(failure), ...options }) };
}

/** Our side closed first: the record's SND.NXT and RCV.NXT are both 2. */
function timeWait(policy: Policy): Conversation {
  const c = new Conversation();
  c.stack.usePolicy(policy);
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
  return c;
}

void t.test(
  'a hook that throws: the segment gets the strict answer, the report names hook, error and line',
  (t) => {
    let calls = 0;
    const { policy, reports, failures } = guard({
      lifetime: () => 5000,
      segmentArrives() {
        if (++calls === 2) return act.silent('tw-syn-low');
        throw new TypeError('no such\n  thing');
      },
    });
    const c = timeWait(policy);
    c.inject('S 1:1(0) win 65535 <mss 1460>');
    t.equal(c.reason, 'tw-syn-refused', 'RFC 9293: a challenge ACK');
    t.equal(c.mismatch('. 2:2(0) ack 2'), '');
    t.equal(reports.length, 1);
    t.match(reports[0], { policy: 'mine.ts', hook: 'segmentArrives', kind: 'threw' });
    t.match(
      reports[0]!.message,
      /^policy mine\.ts: segmentArrives threw TypeError: no such thing \(guard\.test\.(ts|js):\d+\); rfc9293 answered this segment$/,
    );
    c.inject('S 1:1(0) win 65535 <mss 1460>');
    t.equal(c.reason, 'tw-syn-low', 'the next one is its own business again');
    for (let i = 0; i < 5; i++) c.inject('S 1:1(0) win 65535 <mss 1460>');
    t.equal(reports.length, 1, 'told once');
    t.match(failures, [{ count: 6 }], 'and counted');
    t.equal(c.stack.sockets().at(-1)?.timerLeft, 5000, 'other hooks are as they were');
    t.end();
  },
);

void t.test('an orphan kept as a record: Linux answers, the FIN is not lost', (t) => {
  const { policy, reports } = guard({
    base: 'linux',
    segmentArrives() {
      throw new Error('no');
    },
    lifetime: () => NaN,
  });
  const c = timeWait(policy);
  t.equal(c.reason, 'fw2-fin');
  t.equal(c.state, 'TIME-WAIT');
  t.equal(c.stack.sockets().at(-1)?.timerLeft, 240_000, 'and TIME-WAIT is the strict one');
  t.match(reports[0]?.message, /lifetime gave .*; linux answered this question$/);
  t.match(reports[1]?.message, /segmentArrives threw .*; linux answered this segment$/);
  t.end();
});

void t.test('whatever is thrown', (t) => {
  const odd = new Error('x');
  Object.defineProperty(odd, 'message', {
    get() {
      throw new Error('again');
    },
  });
  const thrown: readonly (readonly [unknown, RegExp])[] = [
    ['a string', /threw "a string";/],
    [undefined, /threw undefined;/],
    [Object.create(null), /threw an object;/],
    [odd, /threw an error that cannot be read;/],
    [new RangeError('x'.repeat(5000)), /^.{200,400}$/],
  ];
  for (const [what, message] of thrown) {
    const { policy, reports } = guard({
      segmentArrives() {
        throw what;
      },
    });
    timeWait(policy).inject('S 1:1(0) win 65535 <mss 1460>');
    t.match(reports[0]?.message, message);
  }
  t.end();
});

const NO_REASON = 30_000;

/** Hook, a wrong answer, what is said about it. */
const wrong: readonly (readonly [HookName, unknown, RegExp])[] = [
  ['segmentArrives', undefined, /undefined is no verdict/],
  ['segmentArrives', 1.5, /1\.5 is no verdict/],
  ['segmentArrives', NaN, /NaN is no verdict/],
  ['segmentArrives', -1, /-1 is no verdict/],
  ['segmentArrives', 2 ** 31, /is no verdict/],
  ['segmentArrives', '1', /"1" is no verdict/],
  ['segmentArrives', Promise.resolve(1), /an object is no verdict/],
  ['segmentArrives', verdict(3, Reason['tw-ack']), /action bits that mean nothing/],
  ['segmentArrives', verdict(5 << 4, Reason['tw-ack']), /action bits that mean nothing/],
  ['segmentArrives', verdict(1 << 9, Reason['tw-ack']), /action bits that mean nothing/],
  ['segmentArrives', verdict(1, NO_REASON), /no reason has the number 30000/],
  ['segmentArrives', 0, /gives no reason/],
  ['segmentArrives', act.becomeTimeWait('fw2-fin'), /no FIN for a record in FIN-WAIT-2/],
  ['lifetime', NaN, /NaN is no time in ms/],
  ['lifetime', -1, /-1 is no time/],
  ['lifetime', 24 * 86_400_000 + 1, /is no time in ms from 0 to 24 days/],
  ['lifetime', Infinity, /Infinity is no time/],
  ['lifetime', '60s', /"60s" is no time/],
  ['remembersHost', 1, /1 is neither true nor false/],
  ['isnOnReopen', 2 ** 31, /is no int32/],
  ['isnOnReopen', 0.5, /is no int32/],
  ['synArrives', true, /true is no verdict/],
  ['mayReopen', act.ack('reopen-off', act.RESTART), /neither act\.accept nor act\.refuse/],
  ['mayReopen', act.pass, /gives no reason/],
  ['mayReopen', false, /false is no verdict/],
  ['mayBind', undefined, /undefined is neither true nor false/],
  ['preloadsStamp', null, /null is neither true nor false/],
  ['onPressure', 2, /2 is neither PRESSURE_SKIP/],
  ['onPressure', true, /true is neither PRESSURE_SKIP/],
  ['capacity', -1, /-1 is no number of records/],
  ['capacity', NaN, /NaN is no number of records/],
  ['lastAck', 3, /3 is neither LAST_ACK_CLOSED/],
  ['wordOnEntry', 2 ** 32, /is no int32/],
  ['wordAfter', undefined, /undefined is no int32/],
];

/** Facts that every hook can be asked with. */
const context = {
  now: 0,
  knob: () => 1000,
  hasListener: () => true,
  host: {},
  random: () => 0,
  connections: 0,
};
const record = { rcvNxt: 2, sndNxt: 2, rcvWnd: 65535, finWait2: false, word: 5, expiresAt: 0 };
const syn = {
  flags: 2,
  hasSyn: true,
  hasFin: false,
  hasAck: false,
  hasRst: false,
  seq: 1,
  length: 1,
  end: 2,
};
const request = { reuseAddress: true, boundPort: true };
const questions: { readonly [H in HookName]: readonly unknown[] } = {
  lifetime: [record, context, false],
  remembersHost: [record, context],
  segmentArrives: [record, syn, context],
  isnOnReopen: [record, 77, context],
  synArrives: [syn, context],
  mayReopen: [record, request, context],
  mayBind: [record, request, context],
  preloadsStamp: [{ known: true }, context],
  onPressure: [1, context],
  capacity: [context],
  lastAck: [{ active: true, holder: 0 }, context],
  wordOnEntry: [record, context],
  wordAfter: [record, syn, 0, context],
};
const ask = (policy: Policy, hook: HookName): unknown =>
  (policy[hook] as (...args: readonly unknown[]) => unknown)(...questions[hook]);

void t.test('a wrong answer: rfc9293 answers that question, the report says what was wrong', (t) => {
  for (const [hook, answer, message] of wrong) {
    const { policy, reports } = guard({ [hook]: () => answer });
    t.equal(ask(policy, hook), ask(rfc9293, hook), `${hook}: ${String(message)}`);
    t.match(reports, [{ hook, kind: 'answered', count: 1 }]);
    t.match(reports[0]!.message, message);
    t.match(
      reports[0]!.message,
      RegExp(`^policy mine\\.ts: ${hook} gave a wrong answer: .*; rfc9293 answered this (segment|question)$`),
    );
  }
  for (const hook of hookNames)
    t.ok(
      wrong.some(([name]) => name === hook),
      `${hook} has a row`,
    );
  t.end();
});

void t.test('right answers at the edges pass', (t) => {
  const right: readonly (readonly [HookName, unknown])[] = [
    ['lifetime', 0],
    ['lifetime', 24 * 86_400_000],
    ['segmentArrives', act.accept('tw-syn-accepted', act.REVERTIBLE)],
    ['segmentArrives', act.reset('closed-rst', act.REMOVE | act.REFRESH | act.LIMITED)],
    ['isnOnReopen', -(2 ** 31)],
    ['isnOnReopen', 2 ** 31 - 1],
    ['capacity', Infinity],
    ['capacity', 0],
    ['synArrives', act.pass],
    ['lastAck', 2],
    ['onPressure', 1],
  ];
  for (const [hook, answer] of right) {
    const { policy, reports } = guard({ [hook]: () => answer });
    t.equal(ask(policy, hook), answer, `${hook} ${String(answer)}`);
    t.same(reports, []);
  }
  t.end();
});

void t.test('ACCEPT is for a bare SYN, whatever else is set', (t) => {
  const { policy, failures } = guard({ segmentArrives: () => act.accept('tw-syn-accepted') });
  let refused = 0;
  for (const flag of ['hasAck', 'hasRst']) {
    policy.segmentArrives(record as never, { ...syn, [flag]: true } as never, context as never);
    t.equal(failures[0]?.count, ++refused, `SYN with ${flag}`);
  }
  policy.segmentArrives(record as never, { ...syn, hasSyn: false } as never, context as never);
  t.equal(failures[0]?.count, ++refused, 'no SYN');
  policy.segmentArrives(record as never, { ...syn, hasFin: true } as never, context as never);
  t.equal(failures[0]?.count, refused, 'SYN with FIN is the business of the listener');
  t.end();
});

void t.test('ACCEPT is for a SYN, TIME-WAIT for the FIN of an orphan', (t) => {
  const { policy, reports } = guard({ segmentArrives: () => act.accept('tw-syn-accepted') });
  const c = timeWait(policy);
  c.inject('. 2:2(0) ack 2 win 1');
  t.equal(c.reason, 'tw-ack', 'the strict answer');
  t.equal(c.state, 'TIME-WAIT');
  t.match(reports[0]?.message, /accepts a segment that is no SYN/);
  c.inject('S 100:100(0) win 65535 <mss 1460>');
  t.equal(c.reason, 'tw-syn-accepted');
  t.equal(c.state, 'SYN-RECEIVED');
  t.end();
});

void t.test('too slow: by the stopwatch that was given, 5 ms unless said otherwise', (t) => {
  let reading = 0;
  let takes = 5;
  const slow: Omit<PolicyDefinition, 'name'> = {
    segmentArrives() {
      reading += takes;
      return act.silent('tw-syn-low');
    },
  };
  const { policy, reports } = guard(slow, { stopwatch: () => reading });
  const c = timeWait(policy);
  c.inject('S 1:1(0) win 65535 <mss 1460>');
  t.equal(c.reason, 'tw-syn-low', 'exactly 5 ms');
  takes = 5.25;
  c.inject('S 1:1(0) win 65535 <mss 1460>');
  t.equal(c.reason, 'tw-syn-refused');
  t.match(reports, [{ kind: 'slow' }]);
  t.match(
    reports[0]!.message,
    /segmentArrives took 5\.3 ms, 5 ms are allowed; rfc9293 answered this segment$/,
  );
  const patient = guard(slow, { stopwatch: () => reading, limit: 6 });
  t.equal(ask(patient.policy, 'segmentArrives'), act.silent('tw-syn-low'));
  t.same(patient.reports, []);
  const unwatched = guard(slow);
  t.equal(ask(unwatched.policy, 'segmentArrives'), act.silent('tw-syn-low'), 'no stopwatch, no limit');
  t.end();
});

void t.test('one report for each kind and hook, whatever comes after', (t) => {
  const answers: (() => number)[] = [
    () => {
      throw new Error('first');
    },
    () => NaN,
    () => -5,
    () => {
      throw new Error('second');
    },
  ];
  let i = 0;
  const { policy, reports, failures } = guard({
    lifetime: () => answers[i++ % 4]!(),
    mayBind: () => 'yes' as never,
  });
  for (let n = 0; n < 4000; n++) {
    t.equal(ask(policy, 'lifetime') === ask(rfc9293, 'lifetime'), true);
    ask(policy, 'mayBind');
    if (n === 3) t.equal(reports.length, 3);
  }
  t.equal(reports.length, 3);
  t.same(
    failures.map(({ hook, kind, count }) => [hook, kind, count]),
    [
      ['lifetime', 'threw', 2000],
      ['mayBind', 'answered', 4000],
      ['lifetime', 'answered', 2000],
    ],
  );
  t.match(failures[0]!.message, /first/, 'the line is that of the first');
  t.end();
});

void t.test('built-in hooks are not wrapped, alone or lent', (t) => {
  const report = (): void => void t.fail('no report');
  for (const policy of policies) t.equal(guardPolicy(policy, { report }).policy, policy, policy.name);
  const mixed = withRules('linux', { mayReopen: 'bsd' });
  t.equal(guardPolicy(mixed, { report }).policy, mixed);
  let read = 0;
  const own = definePolicy({ name: 'own', base: 'linux', lifetime: () => 5 });
  const { policy } = guardPolicy(own, { report, stopwatch: () => read++ });
  ask(policy, 'lifetime');
  t.equal(read, 2, 'a hook of its own is watched');
  ask(policy, 'mayBind');
  ask(policy, 'segmentArrives');
  t.equal(read, 2, "Linux's are not");
  t.equal(guardPolicy(policy, { report }).policy, policy, 'once is enough');
  t.end();
});

void t.test('lent hooks are reported under the name of their owner', (t) => {
  const reports: PolicyFailure[] = [];
  const own = definePolicy({ name: 'own', base: policyNamed('bsd'), mayBind: () => 1 as never });
  setLabel(own, 'own.js');
  const on = definePolicy({ name: 'on-top', base: withRules('linux', { mayBind: own }) });
  const { policy } = guardPolicy(on, { report: (failure) => reports.push(failure) });
  t.equal(ask(policy, 'mayBind'), ask(rfc9293, 'mayBind'));
  t.match(reports, [{ policy: 'own.js', hook: 'mayBind' }]);
  t.equal(policy.name, 'on-top');
  t.end();
});

void t.test('a policy that nobody defined: an object with all members', (t) => {
  const handmade = { ...definePolicy({ name: 'x' }), name: 'handmade', lifetime: () => -1 };
  const reports: PolicyFailure[] = [];
  const { policy } = guardPolicy(handmade, { report: (failure) => reports.push(failure) });
  t.equal(ask(policy, 'lifetime'), ask(rfc9293, 'lifetime'));
  t.match(reports, [{ policy: 'handmade', hook: 'lifetime' }]);
  t.end();
});
