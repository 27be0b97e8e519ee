/** Linux up to 4.11 with tcp_tw_recycle: what differs from the Linux rules of linux-rules.test.ts. */
import t from 'tap';
import { findPolicy } from '../../src/timewait/policies/registry.js';
import { Conversation } from '../support/conversation.js';
import { HALF, NOW, bases, context, record, segment, show, type Surroundings } from './facts.js';

const recycle = findPolicy('recycle')!;
const [base] = bases;
const stamped = { hasTimestamp: true, rto: 200 };

void t.test('lifetime: 3.5*RTO once the host is remembered, 60 s after any restart', (t) => {
  const lasts = (facts: object, restarted = false, knobs = {}): number =>
    recycle.lifetime(record(base!, facts), context(recycle, { knobs }), restarted);
  t.equal(lasts(stamped), 700);
  t.equal(lasts({ ...stamped, rto: 3000 }), 10_500);
  t.equal(lasts(stamped, true), 60_000);
  t.equal(lasts({ rto: 200 }), 60_000, 'no timestamps, nothing to remember');
  t.equal(lasts(stamped, false, { 'net.ipv4.tcp_tw_recycle': 0 }), 60_000);
  t.equal(lasts({ ...stamped, finWait2: true }, false, { 'net.ipv4.tcp_fin_timeout': 5 }), 5000);
  t.equal(lasts({ ...stamped, finWait2: true, rto: 2000 }, false, { 'net.ipv4.tcp_fin_timeout': 5 }), 7000);
  t.end();
});

void t.test('who is remembered', (t) => {
  const remembered = (facts: object, knobs = {}): boolean =>
    recycle.remembersHost(record(base!, facts), context(recycle, { knobs }));
  t.ok(remembered(stamped));
  t.notOk(remembered({}));
  t.notOk(remembered({ ...stamped, finWait2: true }), 'only on entering TIME-WAIT');
  t.notOk(remembered(stamped, { 'net.ipv4.tcp_tw_recycle': 0 }));
  t.end();
});

/** The verdict on a SYN whose tsval is `ts` after the host's last stamp, `age` ms after it was stored. */
function syn(ts: number | undefined, age: number, knobs = {}, known = true): Set<string> {
  const verdicts = new Set<string>();
  for (const one of bases) {
    const host = { known, tsRecent: one.ts, tsRecentAt: (NOW - age) | 0 };
    const over: Surroundings = { host, knobs };
    const shape = { flags: 'S', at: 1, ...(ts === undefined ? {} : { ts }) };
    verdicts.add(show(recycle.synArrives(segment(one, shape), context(recycle, over))));
  }
  return verdicts;
}

const PASSES = new Set(['- keep plain']);
const OLDER = new Set(['- delete recycle-host-stamp']);
const MISSING = new Set(['- delete recycle-host-no-stamp']);

void t.test('a SYN with an older timestamp than its host last showed is dropped for 60 s', (t) => {
  for (const age of [0, 1, 30_000, 59_999]) {
    t.same(syn(5, age), PASSES, 'newer');
    t.same(syn(0, age), PASSES, 'equal');
    t.same(syn(-1, age), PASSES, 'one tick back is forgiven');
    t.same(syn(-2, age), OLDER, 'two are not');
    t.same(syn(-1_000_000, age), OLDER);
    t.same(syn(-HALF + 1, age), OLDER);
    t.same(syn(HALF, age), PASSES, '2^31 apart');
    t.same(syn(HALF - 1, age), PASSES);
  }
  for (const age of [60_000, 60_001, 3_600_000]) t.same(syn(-2, age), PASSES, `${age} ms later`);
  t.same(syn(-2, 10, {}, false), PASSES, 'a host nobody remembers');
  t.same(syn(-2, 10, { 'net.ipv4.tcp_tw_recycle': 0 }), PASSES, 'switched off');
  t.end();
});

void t.test('a SYN without timestamp: dropped by 4.9, passed by 3.13', (t) => {
  t.same(syn(undefined, 59_999), MISSING);
  t.same(syn(undefined, 60_000), PASSES);
  t.same(syn(undefined, 0, { 'net.ipv4.tcp_tw_recycle_strict': 0 }), PASSES);
  t.same(syn(-2, 0, { 'net.ipv4.tcp_tw_recycle_strict': 0 }), OLDER, 'the other test stays');
  t.same(syn(undefined, 0, {}, false), PASSES);
  t.same(syn(undefined, 0, { 'net.ipv4.tcp_tw_recycle': 0 }), PASSES);
  t.end();
});

void t.test('our own connect() takes the stamp of a host closed within 60 s along', (t) => {
  for (const age of [0, 60_000, 60_001]) {
    const host = { known: true, tsRecent: 7, tsRecentAt: (NOW - age) | 0 };
    t.equal(recycle.preloadsStamp(host, context(recycle)), age <= 60_000, `${age} ms`);
    t.notOk(recycle.preloadsStamp(host, context(recycle, { knobs: { 'net.ipv4.tcp_tw_recycle': 0 } })));
  }
  t.end();
});

void t.test('that stamp is the TSecr of the SYN, whatever the ports', (t) => {
  const reopened = (policy: string, wait: number): string => {
    const c = new Conversation({ policy });
    c.connect();
    c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 100 ecr 0>');
    c.close();
    c.inject('. 1:1(0) ack 2 win 65535 <TS val 100 ecr 0>');
    c.inject('F. 1:1(0) ack 2 win 65535 <TS val 123 ecr 0>');
    c.rest();
    c.advance(wait);
    c.ourIss = null;
    const opened = c.stack.connect({ address: c.peer.toString(), port: 7, localPort: 4001 });
    if (typeof opened === 'string') return opened;
    c.collect();
    return / ecr (\d+)/.exec(c.take())![1]!;
  };
  t.equal(reopened('linux-recycle', 10), '123');
  t.equal(reopened('recycle', 60_000), '123');
  t.equal(reopened('linux-recycle', 60_001), '0', 'older than a minute');
  t.equal(reopened('linux', 10), '0', 'nobody remembers');
  t.end();
});
