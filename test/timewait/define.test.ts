/** Policies of the user's own: shapes, bases, lent rules, verdicts, reasons. */
import t from 'tap';
import {
  OWN_REASONS,
  addReason,
  findReason,
  isReason,
  reasonComment,
  reasonCount,
  reasonText,
} from '../../src/reasons.js';
import {
  act,
  definePolicy,
  policyNamed,
  reason,
  serial,
  withRules,
  type Policy,
  type PolicyDefinition,
} from '../../src/index.js';
import { Reason } from '../../src/reasons.js';
import { hookNames, ruleNames } from '../../src/timewait/members.js';
import { policyMistake } from '../../src/timewait/define.js';
import { policies } from '../../src/timewait/policies/registry.js';
import {
  ACCEPT,
  CHALLENGE,
  DELETE,
  KEEP,
  REPLY_ACK,
  REPLY_NONE,
  REPLY_RST,
  RESTART,
  fateOf,
  reasonOf,
  replyOf,
} from '../../src/timewait/policy.js';
import { Conversation } from '../support/conversation.js';

/** Our side closed first: the record's SND.NXT and RCV.NXT are both 2. */
function timeWait(policy: Policy, knobs: Readonly<Record<string, number>> = {}): Conversation {
  const c = new Conversation({ knobs });
  c.stack.usePolicy(policy);
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  c.rest();
  return c;
}

/** ms that the only record has left. */
function leftOf(c: Conversation): number | undefined {
  return c.stack.sockets().find(({ timer }) => timer === 'timewait')?.timerLeft;
}

/** How long the record of a policy lasts, ms. */
function lifeOf(policy: Policy, knobs: Readonly<Record<string, number>> = {}): number | undefined {
  const c = timeWait(policy, knobs);
  t.equal(c.state, 'TIME-WAIT');
  return leftOf(c);
}

void t.test('what is not given is that of the base: rfc9293, one by name, one by object', (t) => {
  const strict = definePolicy({ name: 'own' });
  t.equal(lifeOf(strict), 240_000);
  t.equal(strict.title, 'as rfc9293');
  const linux = definePolicy({ name: 'own', base: 'linux' });
  t.equal(lifeOf(linux), 60_000);
  t.equal(linux.orphansAsRecords, true, 'fields too');
  t.same(linux.knobs, policyNamed('linux').knobs);
  t.same(linux.aliases, [], 'but it goes by its own name only');
  const short = definePolicy({ name: 'short', base: linux, lifetime: () => 1234 });
  t.equal(lifeOf(short), 1234);
  t.match(short.title, /as own, but for lifetime/);
  const c = timeWait(short);
  c.inject('S 100:100(0) win 65535 <mss 1460>');
  t.equal(c.reason, 'tw-syn-accepted-linux', 'Linux two bases away');
  t.end();
});

void t.test('knobs: added to those of the base', (t) => {
  const own = definePolicy({ name: 'own', base: 'reuse', knobs: { 'net.ipv4.tcp_rfc1337': 1 } });
  const c = timeWait(own);
  t.equal(c.stack.knob('net.ipv4.tcp_rfc1337'), 1);
  t.equal(c.stack.knob('net.ipv4.tcp_tw_reuse'), 1);
  c.inject('R 2:2(0) win 0');
  t.equal(c.reason, 'tw-rst-ignored');
  const wrong = definePolicy({ name: 'own', knobs: { 'net.ipv4.tcp_mls': 1 } });
  t.throws(() => c.stack.usePolicy(wrong), /unknown knob 'net.ipv4.tcp_mls', nearest: .*tcp_msl/);
  t.throws(
    () => c.stack.usePolicy(definePolicy({ name: 'own', knobs: { 'net.ipv4.tcp_rfc1337': 2 } })),
    /tcp_rfc1337' must be an integer from 0 to 1/,
  );
  t.equal(c.stack.knob('net.ipv4.tcp_rfc1337'), 1, 'and nothing has changed');
  t.equal(c.stack.policyName, 'own');
  t.end();
});

void t.test('a hook of a base asks the base; a hook of the definition may ask the whole policy', (t) => {
  const own = definePolicy({
    name: 'own',
    base: 'recycle',
    // 3.5*RTO only for hosts remembered; the base asks itself
    remembersHost: () => false,
    synArrives(segment, context) {
      return this.segmentArrives === own.segmentArrives && this.name === 'own'
        ? act.pass
        : this.synArrives(segment, context);
    },
  });
  const { synArrives } = own;
  t.equal(synArrives({} as never, {} as never), act.pass);
  const c = new Conversation({ stamped: true });
  c.stack.usePolicy(own);
  c.established();
  c.close();
  c.inject('. 1:1(0) ack 2 win 65535');
  c.inject('F. 1:1(0) ack 2 win 65535');
  t.ok(leftOf(c)! < 60_000, 'as short as recycle makes it');
  t.end();
});

void t.test('wordOnEntry or wordAfter alone keep a word', (t) => {
  const own = definePolicy({
    name: 'counting',
    wordOnEntry: () => 7,
    wordAfter: (record) => record.word + 1,
    segmentArrives: (record) => act.silent('tw-ack', record.word >= 9 ? act.REMOVE : 0),
  });
  const c = timeWait(own);
  for (const state of ['TIME-WAIT', 'TIME-WAIT', 'CLOSED']) {
    c.inject('. 2:2(0) ack 2 win 1');
    t.equal(c.state, state);
  }
  t.equal(definePolicy({ name: 'x', wordOnEntry: () => 1, keepsWord: false }).keepsWord, false);
  t.end();
});

const wrong: readonly (readonly [what: unknown, message: RegExp])[] = [
  [null, /definePolicy takes an object, got null/],
  ['linux', /definePolicy takes an object, got "linux"/],
  [{}, /the name is missing/],
  [{ base: 'linux' }, /the name is missing/],
  [{ name: 5 }, /policy 5: name: 5 is no name/],
  [{ name: 'two words' }, /name: "two words" is no name/],
  [{ name: '-x' }, /is no name/],
  [{ name: 'x'.repeat(65) }, /is no name/],
  [{ name: 'linux' }, /policy "linux": a built-in policy has this name/],
  [{ name: 'bsd' }, /a built-in policy has this name/],
  [{ name: 'x', lifetim: () => 5 }, /policy "x": unknown member 'lifetim', nearest: lifetime/],
  [{ name: 'x', segmentarrives: () => 5 }, /nearest: segmentArrives/],
  [{ name: 'x', bsae: 'linux' }, /unknown member 'bsae', nearest: base/],
  [{ name: 'x', lifetime: 5000 }, /policy "x": lifetime: 5000 is no function/],
  [{ name: 'x', base: 'linus' }, /policy "x": base: unknown policy "linus", nearest: linux/],
  [{ name: 'x', base: 5 }, /base: 5 is no policy/],
  [{ name: 'x', base: { name: 'y' } }, /base: no policy: aliases is missing/],
  [{ name: 'x', portScope: 'host' }, /portScope: "host" is neither 'tuple' nor 'port'/],
  [{ name: 'x', hostLimit: 0 }, /hostLimit: 0 is no integer from 1 to 65536/],
  [{ name: 'x', hostLimit: 1.5 }, /hostLimit/],
  [{ name: 'x', orphansAsRecords: 1 }, /orphansAsRecords: 1 is neither true nor false/],
  [{ name: 'x', knobs: { a: '1' } }, /knobs: an object is no object of numbers by knob/],
  [{ name: 'x', title: 'a\nb' }, /title: "a\\nb" is not one line/],
  [{ name: 'x', notes: 'one' }, /notes: "one" is no list/],
];

void t.test('wrong shapes: told at once, by member', (t) => {
  for (const [definition, message] of wrong)
    t.throws(() => definePolicy(definition as PolicyDefinition), message, String(message));
  t.throws(() => policyNamed('linus'), /unknown policy "linus", nearest: linux/);
  t.equal(policyNamed('xnu').name, 'macos', 'an alias');
  t.end();
});

void t.test('a complete policy is one, whoever made it', (t) => {
  for (const policy of policies) t.equal(policyMistake(policy), null, policy.name);
  for (const policy of policies)
    t.equal(policyMistake(definePolicy({ name: 'own', base: policy })), null, `as ${policy.name}`);
  for (const hook of hookNames) {
    t.match(policyMistake({ ...definePolicy({ name: 'own' }), [hook]: 1 }), `${hook}: 1 is no function`);
    t.equal(ruleNames.includes(hook), true, `${hook} can be lent`);
  }
  t.end();
});

void t.test('single rules of other policies', (t) => {
  const mixed = withRules('linux', { segmentArrives: 'bsd', lifetime: 'rfc9293' });
  t.equal(mixed.name, 'linux+segmentArrives=freebsd+lifetime=rfc9293');
  const c = timeWait(mixed);
  t.equal(leftOf(c), 240_000);
  c.inject('S 1:1(0) win 65535 <mss 1460>');
  t.equal(c.reason, 'tw-syn-low', 'silent, as FreeBSD');
  t.equal(mixed.orphansAsRecords, true, 'the rest is Linux');
  t.same(c.stack.warnings(), []);
  t.equal(withRules('linux', {}), policyNamed('linux'), 'nothing lent: itself');
  t.equal(withRules('rfc9293', { portScope: 'bsd-4.4' }).portScope, 'port', 'a field');
  t.throws(
    () => withRules('linux', { mayReopn: 'bsd' } as never),
    /unknown hook 'mayReopn', nearest: mayReopen/,
  );
  t.throws(() => withRules('linux', { name: 'bsd' } as never), /unknown hook 'name'/, 'a name is no rule');
  t.throws(() => withRules('linux', { mayReopen: 'bds' }), /unknown policy "bds", nearest: bsd/);
  t.throws(() => withRules('linux', { mayReopen: {} as Policy }), TypeError);
  t.end();
});

void t.test('a rule brings the knobs that it needs, and no others', (t) => {
  const strict = policyNamed('rfc9293');
  const lent = withRules(strict, { mayReopen: 'reuse' });
  const c = new Conversation();
  c.stack.usePolicy(lent);
  t.equal(c.stack.knob('net.ipv4.tcp_tw_reuse'), 1, 'reuse is on where its rule was asked for');
  t.equal(c.stack.setKnob('net.ipv4.tcp_tw_reuse', 0), null);
  t.same(c.stack.warnings(), [], 'and the knob is one that this policy reads');
  const foreign = Object.keys(lent.knobs).filter((knob) => !policyNamed('reuse').uses.includes(knob));
  t.same(foreign, Object.keys(strict.knobs), 'nothing of ports, ISNs or timestamps');
  const msl = 'net.ipv4.tcp_msl';
  const lender = definePolicy({ name: 'lender', knobs: { [msl]: 5000 } });
  t.ok(strict.uses.includes(msl) && lender.uses.includes(msl));
  t.notOk(msl in withRules(strict, { mayBind: lender }).knobs, 'what the base reads stays its own');
  const silent = definePolicy({ name: 'silent', base: 'none' });
  t.equal(withRules(silent, { lifetime: lender }).knobs[msl], 5000);
  t.end();
});

void t.test('the word goes with who judges segments', (t) => {
  const counting = definePolicy({
    name: 'counting',
    wordOnEntry: () => 40,
    segmentArrives: (record) => act.silent('tw-ack', record.word === 40 ? act.REMOVE : 0),
  });
  const c = timeWait(withRules('linux', { segmentArrives: counting }));
  c.inject('. 2:2(0) ack 2 win 1');
  t.equal(c.state, 'CLOSED');
  t.end();
});

void t.test('act: reply, fate and reason', (t) => {
  const why = 'tw-ack';
  const rows: readonly (readonly [number, reply: number, fate: number])[] = [
    [act.silent(why), REPLY_NONE, KEEP],
    [act.ack(why), REPLY_ACK, KEEP],
    [act.ack(why, act.RESTART | act.LIMITED), REPLY_ACK, RESTART],
    [act.challenge(why), REPLY_ACK, KEEP],
    [act.reset(why), REPLY_RST, KEEP],
    [act.reset(why, act.REMOVE), REPLY_RST, DELETE],
    [act.restart(why), REPLY_NONE, RESTART],
    [act.remove(why), REPLY_NONE, DELETE],
    [act.accept(why), REPLY_NONE, ACCEPT],
    [act.refuse(why), REPLY_NONE, KEEP],
    [act.drop(why), REPLY_NONE, DELETE],
  ];
  for (const [verdict, reply, fate] of rows) {
    t.equal(replyOf(verdict), reply);
    t.equal(fateOf(verdict), fate);
    t.equal(reasonOf(verdict), Reason['tw-ack']);
  }
  t.ok((act.challenge(why) & CHALLENGE) !== 0);
  t.equal(act.pass, 0);
  t.equal(reasonOf(act.ack(Reason['tw-syn-low'])), Reason['tw-syn-low'], 'a number does as well');
  t.throws(() => act.ack('tw-sin-low'), /unknown reason 'tw-sin-low', nearest: tw-syn-low/);
  t.ok(serial.after(1, -1) && !serial.after(-1, 1));
  t.end();
});

void t.test('a reason of its own shows where the others do', (t) => {
  const own = reason('define-test', 'dropped: a rule of the test', 'define.test.ts');
  t.equal(own, reasonCount);
  const c = timeWait(definePolicy({ name: 'own', segmentArrives: () => act.silent(own) }));
  c.stack.trace(true);
  c.inject('. 2:2(0) ack 2 win 1');
  t.equal(c.reason, 'define-test');
  t.equal(c.stack.reasonCounts[own], 1);
  t.match(c.stack.takeDecisions(), [{ reason: 'define-test', state: 'TIME-WAIT' }]);
  t.equal(reasonComment(own), 'define-test: dropped: a rule of the test [define.test.ts]');
  t.equal(act.silent('define-test'), act.silent(own), 'by its id as well');
  t.end();
});

void t.test(
  'reasons: bounded, one meaning each, one line, and reasonText has a text for every number',
  (t) => {
    const first = addReason('twice', 'the same row', 'test');
    t.equal(addReason('twice', 'the same row', 'test'), first);
    t.throws(() => addReason('twice', 'another', 'test'), /reason 'twice' exists: 'the same row' \[test\]/);
    t.throws(() => addReason('tw-enter', 'x', 'test'), /reason 'tw-enter' exists/);
    for (const id of ['', 'Upper', 'a b', '-a', 'a-', 'a--b', 'x'.repeat(41), 5 as never])
      t.throws(() => addReason(id, 'x', 'test'), /lower-case words joined by '-'/, String(id));
    for (const text of ['', 'a\nb', 'x'.repeat(201), 5 as never]) {
      t.throws(() => addReason('fine', text, 'test'), /its text must be one line/);
      t.throws(() => addReason('fine', 'x', text), /its source must be one line/);
    }
    t.equal(findReason('fine'), null);
    const before = first + 1;
    t.notOk(isReason(before));
    for (let i = before; i < reasonCount + OWN_REASONS; i++)
      t.equal(addReason(`filler-${i}`, 'x', 'test'), i);
    t.throws(() => addReason('one-more', 'x', 'test'), RegExp(`${OWN_REASONS} reasons were added`));
    for (const number of [-1, 1e9, reasonCount + OWN_REASONS, NaN]) {
      t.match(reasonText(number), { id: 'unknown', text: `no reason has the number ${number}` });
    }
    t.end();
  },
);
