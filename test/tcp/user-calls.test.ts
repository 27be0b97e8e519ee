/** The user's calls, state by state: RFC 9293 3.10.2 SEND, 3.10.3 RECEIVE, 3.10.4 CLOSE, 3.10.5 ABORT. */
import t from 'tap';
import { EV_CLOSED, EV_PEER_CLOSED, EV_READABLE } from '../../src/stack/api.js';
import { Conversation, startNearWrap } from '../support/conversation.js';
import { reach, type Setup } from '../support/states.js';

/** [requirement, state reached by, what is sent ('' for nothing), state afterwards] */
type Row = readonly [title: string, setup: Setup, sent: string, state: string];

function calls(name: string, call: (c: Conversation) => void, rows: readonly Row[]): void {
  void t.test(name, (t) => {
    for (const v6 of [false, true]) {
      for (const [title, setup, sent, state] of rows) {
        const client = setup === reach.synSent || setup === reach.crossed;
        const c = new Conversation({ v6, start: startNearWrap(client, v6) });
        setup(c);
        c.rest();
        const label = `${title} in ${c.state}`;
        call(c);
        c.collect();
        t.equal(sent === '' ? c.take() : c.mismatch(sent), '', label);
        t.same(c.rest(), [], `${label}: nothing more`);
        t.equal(c.state, state, `${label}: state`);
      }
    }
    t.end();
  });
}

calls('CLOSE (half-close)', (c) => c.shutdown(), [
  ['R9293-46 waits', reach.synSent, '', 'SYN-SENT'],
  ['R9293-47 waits', reach.crossed, '', 'SYN-RECEIVED'],
  ['R9293-43', reach.established, 'F. 1:1(0) ack 1', 'FIN-WAIT-1'],
  ['R9293-44', reach.finWait1, '', 'FIN-WAIT-1'],
  ['R9293-44', reach.finWait2, '', 'FIN-WAIT-2'],
  ['R9293-45', reach.closeWait, 'F. 1:1(0) ack 2', 'LAST-ACK'],
  ['R9293-44', reach.closing, '', 'CLOSING'],
  ['R9293-44', reach.lastAck, '', 'LAST-ACK'],
  ['R9293-44', reach.timeWait, '', 'TIME-WAIT'],
]);

calls('CLOSE (nobody reads any more)', (c) => c.close(), [
  ['R9293-46', reach.synSent, '', 'CLOSED'],
  ['R9293-47 waits', reach.crossed, '', 'SYN-RECEIVED'],
  ['R9293-43', reach.established, 'F. 1:1(0) ack 1', 'FIN-WAIT-1'],
  ['R9293-44', reach.finWait1, '', 'FIN-WAIT-1'],
  ['R9293-44', reach.finWait2, '', 'FIN-WAIT-2'],
  ['R9293-45', reach.closeWait, 'F. 1:1(0) ack 2', 'LAST-ACK'],
  ['R9293-44', reach.closing, '', 'CLOSING'],
  ['R9293-44', reach.lastAck, '', 'LAST-ACK'],
  ['R9293-44', reach.timeWait, '', 'TIME-WAIT'],
]);

calls('ABORT', (c) => c.stack.abort(c.user!), [
  ['no RST', reach.synSent, '', 'CLOSED'],
  ['R9293-48', reach.crossed, 'R. 1:1(0) ack 1', 'CLOSED'],
  ['R9293-48', reach.established, 'R. 1:1(0) ack 1', 'CLOSED'],
  ['R9293-48', reach.finWait1, 'R. 2:2(0) ack 1', 'CLOSED'],
  ['R9293-48', reach.finWait2, 'R. 2:2(0) ack 1', 'CLOSED'],
  ['R9293-48', reach.closeWait, 'R. 1:1(0) ack 2', 'CLOSED'],
  ['R9293-49', reach.closing, '', 'CLOSED'],
  ['R9293-49', reach.lastAck, '', 'CLOSED'],
  // The user has nothing to do with the record any more: MUST-13.
  ['the record stays', reach.timeWait, '', 'TIME-WAIT'],
]);

void t.test('R9293-50: SEND before the handshake is over waits for it, after CLOSE it is refused', (t) => {
  for (const setup of [reach.synSent, reach.crossed]) {
    const c = new Conversation();
    setup(c);
    c.rest();
    t.equal(c.stack.send(c.user!, new Uint8Array(9)), true);
    c.collect();
    t.same(c.rest(), [], c.state);
    c.inject('S. 0:0(0) ack 1 win 100');
    t.match(c.take(), /^P\. 1:10\(9\) ack 1/);
  }
  for (const setup of [reach.established, reach.closeWait]) {
    const c = new Conversation();
    setup(c);
    c.rest();
    t.equal(c.stack.send(c.user!, new Uint8Array(9)), true, 'R9293-42');
    c.collect();
    t.match(c.take(), /^P\. 1:10\(9\)/);
  }
  for (const setup of [reach.finWait1, reach.finWait2, reach.closing, reach.lastAck, reach.timeWait]) {
    const c = new Conversation();
    setup(c);
    t.equal(c.stack.send(c.user!, new Uint8Array(9)), 'EPIPE', c.state);
  }
  const gone = new Conversation();
  gone.established();
  gone.close();
  t.equal(gone.stack.send(gone.user!, new Uint8Array(9)), 'ENOTCONN', 'the handle is void');
  t.equal(gone.stack.read(gone.user!), null);
  t.equal(gone.stack.shutdown(gone.user!), 'ENOTCONN');
  gone.rest();
  gone.close();
  gone.stack.abort(gone.user!);
  gone.collect();
  t.same(gone.rest(), [], 'letting go twice does nothing');
  t.end();
});

void t.test('R9293-51, R9293-52: what was received can be read after a FIN, and after a RST', (t) => {
  for (const [end, error] of [
    ['F. 6:6(0) ack 1 win 100', null],
    ['R 6:6(0) win 0', 'ECONNRESET'],
  ] as const) {
    const c = new Conversation();
    c.established();
    c.inject('P. 1:6(5) ack 1 win 100');
    c.inject(end);
    const events = c.user!.takeEvents();
    t.ok((events & EV_READABLE) !== 0);
    t.equal((events & EV_PEER_CLOSED) !== 0, error === null);
    t.equal((events & EV_CLOSED) !== 0, error !== null);
    t.equal(c.user!.readable, 5);
    t.equal(c.read(), 'aaaaa');
    t.equal(c.stack.read(c.user!), null);
    t.equal(c.user!.error, error, 'MUST-12: the user is told which');
  }
  t.end();
});

void t.test('MUST-12: what a RST means, by state', (t) => {
  for (const [setup, at, error] of [
    [reach.established, 1, 'ECONNRESET'],
    [reach.finWait1, 1, 'ECONNRESET'],
    [reach.finWait2, 1, 'ECONNRESET'],
    [reach.closeWait, 2, 'EPIPE'],
    [reach.closing, 2, null],
    [reach.lastAck, 2, null],
  ] as const) {
    const c = new Conversation();
    setup(c);
    const { state } = c;
    c.user!.takeEvents();
    c.inject(`R ${at}:${at}(0) win 0`);
    t.equal(c.user!.error, error, state);
    t.ok((c.user!.takeEvents() & EV_CLOSED) !== 0);
    t.equal(c.stack.connections + c.stack.timers, 0);
  }
  t.end();
});

void t.test('R9293-43: CLOSE lets everything queued be sent first', (t) => {
  const c = new Conversation();
  c.established('<mss 1000>');
  c.inject('. 1:1(0) ack 1 win 1500');
  c.send(2500);
  c.shutdown();
  t.equal(c.mismatch('. 1:1001(1000) ack 1'), '');
  t.same(c.rest(), [], '500 octets of window are no full segment');
  c.inject('. 1:1(0) ack 1001 win 5000');
  t.equal(c.mismatch('. 1001:2001(1000) ack 1'), '');
  t.equal(c.mismatch('FP. 2001:2501(500) ack 1'), '', 'R9293-69: and the FIN pushes the rest');
  c.inject('. 1:1(0) ack 2501 win 5000');
  t.equal(c.state, 'FIN-WAIT-1', 'the FIN is not acknowledged');
  c.inject('. 1:1(0) ack 2502 win 5000');
  t.equal(c.state, 'FIN-WAIT-2');
  t.end();
});

void t.test('R9293-42: data both ways over half-closed connections', (t) => {
  const c = new Conversation();
  reach.finWait2(c);
  c.rest();
  for (let i = 0; i < 5; i++) c.inject(`P. ${1 + 100 * i}:${101 + 100 * i}(100) ack 2 win 100`);
  t.equal(c.read().length, 500);
  c.inject('F. 501:501(0) ack 2 win 100');
  t.equal(c.state, 'TIME-WAIT');
  const other = new Conversation();
  reach.closeWait(other);
  other.rest();
  other.send(100);
  t.match(other.take(), /^P\. 1:101\(100\) ack 2/);
  other.inject('. 2:2(0) ack 101 win 100');
  other.shutdown();
  t.match(other.take(), /^F\. 101:101\(0\) ack 2/);
  other.inject('. 2:2(0) ack 102 win 100');
  t.equal(other.state, 'CLOSED', 'R9293-38: no TIME-WAIT');
  t.end();
});

void t.test('keep-alive that was asked for before the handshake runs after it', (t) => {
  const c = new Conversation();
  c.connect();
  c.stack.setOption(c.user!, 'keepAlive', 1000);
  c.advance(3500);
  c.inject('S. 0:0(0) ack 1 win 100');
  c.rest();
  c.advance(2500);
  t.match(c.rest().join('|'), /^\. 0:0\(0\) ack 1/, 'a probe');
  c.stack.setOption(c.user!, 'keepAlive', 0);
  c.advance(10_000_000);
  t.same(c.rest(), [], 'MUST-24: switched off again');
  t.equal(c.state, 'ESTABLISHED');
  t.end();
});
