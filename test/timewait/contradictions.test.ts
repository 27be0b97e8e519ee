/** Warnings for settings that contradict each other or the policy that rules. */
import t from 'tap';
import { knobs } from '../../src/stack/knobs.js';
import { warnings } from '../../src/timewait/contradictions.js';
import { findPolicy, policies } from '../../src/timewait/policies/registry.js';
import { Conversation } from '../support/conversation.js';

/** Warnings under `name` when the user set these. */
function warned(name: string, set: Readonly<Record<string, number>> = {}): string[] {
  const policy = findPolicy(name)!;
  const knob = (knobName: string): number =>
    set[knobName] ?? policy.knobs[knobName] ?? knobs.find((row) => row.name === knobName)!.default;
  return warnings(policy, knob, new Set(Object.keys(set)));
}

void t.test('nothing set, nothing to say', (t) => {
  for (const { name } of policies) t.same(warned(name), [], name);
  t.end();
});

void t.test('a knob that the policy does not read, and who would', (t) => {
  const [line, ...more] = warned('linux', { 'net.ipv4.tcp_tw_timeout': 5 });
  t.same(more, []);
  t.equal(line, 'net.ipv4.tcp_tw_timeout has no effect under linux; policies that read it: alibaba');
  t.match(
    warned('linux', { 'net.inet.tcp.msl': 1000 })[0],
    /no effect under linux; policies that read it: .*bsd/,
  );
  t.match(
    warned('rfc9293', { 'net.ipv4.tcp_tw_recycle': 1 })[0],
    /no effect under rfc9293.*: linux-recycle$/,
  );
  t.same(warned('alibaba', { 'net.ipv4.tcp_tw_timeout': 5 }), []);
  t.same(
    warned('linux', { 'net.ipv4.tcp_timestamps': 1, 'net.ipv4.tcp_rto_min': 300 }),
    [],
    'not about TIME-WAIT',
  );
  t.same(warned('rfc9293', { 'net.ipv4.tcp_invalid_ratelimit': 0 }), [], 'the stack reads it');
  t.end();
});

void t.test('recycle and reuse need timestamps', (t) => {
  const off = { 'net.ipv4.tcp_timestamps': 0 };
  t.match(warned('recycle', off), [/tcp_tw_recycle=1 without .*TIME-WAIT lasts 60 s/]);
  t.match(warned('reuse', off), [/tcp_tw_reuse=1 without .*EADDRNOTAVAIL/]);
  t.match(warned('linux', { ...off, 'net.ipv4.tcp_tw_reuse': 2 }), [/tcp_tw_reuse=2 without/]);
  t.same(warned('linux', off), [], 'the default asks for nothing');
  t.same(warned('linux', { ...off, 'net.ipv4.tcp_tw_reuse': 0 }), []);
  t.same(warned('gvisor', { ...off, 'net.ipv4.tcp_tw_reuse': 1 }), [], 'gVisor does without');
  t.equal(warned('recycle', { ...off, 'net.ipv4.tcp_tw_reuse': 1 }).length, 2);
  t.end();
});

void t.test('tcp_fin_timeout is not what the guides say', (t) => {
  t.match(warned('linux', { 'net.ipv4.tcp_fin_timeout': 15 }), [/does not change TIME-WAIT/]);
  t.match(warned('linux', { 'net.ipv4.tcp_fin_timeout': 70 }), [/above 60 s Linux waits 20 s instead/]);
  t.notMatch(warned('linux', { 'net.ipv4.tcp_fin_timeout': 60 })[0], /above/);
  t.notMatch(warned('rfc9293', { 'net.ipv4.tcp_fin_timeout': 70 })[0], /above/);
  t.match(warned('alibaba', { 'net.ipv4.tcp_tw_timeout': 5, 'net.ipv4.tcp_fin_timeout': 8 }), [
    /above 5 s Linux waits 6 s/,
  ]);
  t.end();
});

void t.test('limits that leave nothing', (t) => {
  t.match(warned('linux', { 'net.ipv4.tcp_max_tw_buckets': 0 }), [/no TIME-WAIT is kept/]);
  t.match(warned('rfc9293', { 'net.ipv4.tcp_max_tw_buckets': 0 }), [/no effect under rfc9293/]);
  t.match(warned('rfc9293', { timewait_max_records: 0 }), [/no TIME-WAIT is kept/]);
  t.match(warned('windows-2003', { TcpTimedWaitDelay: 29 }), [
    /TcpTimedWaitDelay=29 is below the 30 s.*UNVERIFIED/,
  ]);
  t.same(warned('windows-2003', { TcpTimedWaitDelay: 30 }), []);
  t.match(warned('linux', { TcpTimedWaitDelay: 29 }), [/no effect under linux.*windows-2003/]);
  t.match(warned('windows-2003', { 'net.ipv4.ip_local_port_range.max': 1000 }), [
    /is 1000, below the first, 1025/,
  ]);
  t.same(warned('windows-2003', { 'net.ipv4.ip_local_port_range.max': 1025 }), []);
  t.end();
});

void t.test(
  'the stack knows its own: what is set under an alias counts, what a policy presets does not',
  (t) => {
    const c = new Conversation({ policy: 'windows-2003' });
    c.stack.setKnob('net.ipv4.tcp_invalid_ratelimit', 500);
    t.same(c.stack.warnings(), []);
    t.equal(c.stack.setKnob('MaxUserPort', 900), null);
    t.match(c.stack.warnings(), [/below the first, 1025/]);
    c.stack.setPolicy('linux');
    t.match(c.stack.warnings(), [/below the first, 32768/]);
    t.end();
  },
);
