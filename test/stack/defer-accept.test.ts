/** TCP_DEFER_ACCEPT besides what the scripts of test/conform show: limits, dialects, the accept queue. */
import t from 'tap';
import { secondsOf, roundsOf, type ListenerHandle } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

const SYN = 'S 0:0(0) win 65535 <mss 1460>';
const BARE = '. 1:1(0) ack 1 win 65535';

function waiting(c: Conversation): number {
  return c.listener!.waiting;
}

void t.test('whole seconds become rounds of the doubling timeout, and rounds whole seconds', (t) => {
  const seconds = [-1, 0, 1, 2, 3, 4, 7, 8, 127, 128, 247, 248, 1e6];
  const rounds = [0, 0, 1, 2, 2, 3, 3, 4, 7, 8, 8, 9, 255];
  t.same(
    seconds.map((s) => roundsOf(s, 1000, 120_000)),
    rounds,
  );
  t.same(
    rounds.slice(2).map((r) => secondsOf(r, 1000, 120_000)),
    [1, 3, 3, 7, 7, 15, 127, 247, 247, 367, 127 + 248 * 120],
  );
  t.equal(secondsOf(0, 1000, 120_000), 0);
  t.end();
});

void t.test('the same under every dialect', (t) => {
  for (const dialect of [0, 1, 2]) {
    const c = new Conversation({ knobs: { timewait_dialect: dialect } });
    c.listen(10, { deferAccept: 5 });
    c.inject(SYN);
    c.take();
    c.inject(BARE);
    t.equal(c.reason, 'listen-defer-accept');
    t.equal(c.state, 'SYN-RECEIVED');
    c.advance(2000);
    t.same(c.rest(), [], 'no SYN,ACK meanwhile');
    c.inject('P. 1:6(5) ack 1 win 65535');
    t.equal(c.state, 'ESTABLISHED');
    c.accept();
    t.equal(c.read(), 'aaaaa');
    t.equal(c.stack.counters.get('TcpExtTCPDeferAcceptDrop'), 1);
  }
  t.end();
});

void t.test('a peer that says nothing more is given up when both limits have passed', (t) => {
  for (const [seconds, retries, end] of [
    // Rounds 3: 1 + 2 + 4 s; limit 1 alone would end it after 1 + 2
    [5, 1, 1 + 2 + 4 + 8],
    // Limit 4 outlives 1 round
    [1, 4, 1 + 2 + 4 + 8 + 16],
  ] as const) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_synack_retries': retries } });
    c.listen(10, { deferAccept: seconds });
    c.inject(SYN);
    c.inject(BARE);
    c.advance(1000 * end - 1);
    t.equal(c.state, 'SYN-RECEIVED');
    c.advance(1);
    t.equal(c.state, 'CLOSED');
    t.equal(waiting(c), 0);
  }
  t.end();
});

void t.test('without any ACK the limit of retransmissions stands', (t) => {
  const c = new Conversation();
  c.listen(10, { deferAccept: 100, synRetries: 1 });
  c.inject(SYN);
  c.advance(3000);
  t.equal(c.state, 'CLOSED');
  t.equal(c.rest().length, 2);
  t.end();
});

void t.test('the option may change while the listener listens: for SYNs from then on', (t) => {
  const c = new Conversation();
  c.listen();
  c.stack.setListenOption(c.listener!, 'deferAccept', 1);
  c.inject(SYN);
  c.inject(BARE);
  t.equal(waiting(c), 0);
  c.stack.setListenOption(c.listener as ListenerHandle, 'deferAccept', 0);
  c.peerPort++;
  c.ourIss = null;
  c.inject(SYN);
  c.inject(BARE);
  t.equal(waiting(c), 1);
  t.end();
});
