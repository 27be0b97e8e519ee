/** TIME-WAIT records put into a stack from outside. */
import t from 'tap';
import type { TimeWaitEntry } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

function entry(c: Conversation, changes: Partial<TimeWaitEntry> = {}): TimeWaitEntry {
  const family = c.us.family;
  return {
    local: { address: c.us.toString(), port: c.ourPort, family },
    remote: { address: c.peer.toString(), port: c.peerPort, family },
    sndNxt: 500,
    rcvNxt: (c.peerIss + 10) | 0,
    rcvWnd: 1000,
    rcvWscale: 0,
    timestamps: null,
    rto: 200,
    active: false,
    localPeer: false,
    ...changes,
  };
}

t.test('a restored record answers as one that a connection left', async (t) => {
  for (const v6 of [false, true]) {
    const c = new Conversation({ v6 });
    t.equal(c.stack.enterTimeWait(entry(c)), true);
    t.equal(c.state, 'TIME-WAIT');
    c.inject('F. 9:9(0) ack 500 win 100');
    t.equal(c.reason, 'tw-fin-again');
    t.match(c.take(), /^\. 500:500\(0\) ack 10 win 1000$/);
    c.advance(239_999);
    t.equal(c.state, 'TIME-WAIT');
    c.advance(2);
    t.equal(c.state, 'CLOSED');
  }
});

t.test('an older record gives way, a live connection does not', async (t) => {
  const c = new Conversation();
  t.equal(c.stack.enterTimeWait(entry(c)), true);
  t.equal(c.stack.enterTimeWait(entry(c, { rcvNxt: (c.peerIss + 20) | 0 })), true);
  t.equal(c.stack.timeWait.count, 1);
  c.inject('R 20:20(0) win 0');
  t.equal(c.reason, 'tw-rst-kill', 'the newer RCV.NXT');
  c.established();
  t.equal(c.stack.enterTimeWait(entry(c)), false);
  t.equal(c.state, 'ESTABLISHED');
});

t.test('the policy has its say', async (t) => {
  const c = new Conversation({ policy: 'none' });
  t.equal(c.stack.enterTimeWait(entry(c)), false);
  t.equal(c.stack.timeWait.count, 0);
  const full = new Conversation({ policy: 'linux', knobs: { 'net.ipv4.tcp_max_tw_buckets': 0 } });
  t.equal(full.stack.enterTimeWait(entry(full)), false);
  t.throws(
    () => c.stack.enterTimeWait(entry(c, { local: { address: 'x', port: 1, family: 4 } })),
    RangeError,
  );
});
