/** What connections share until they have something of their own: nobody may write to it. */
import t, { type Test } from 'tap';
import { NewReno } from '../../src/tcp/congestion/reno.js';
import { NOT_TWICE, Twice } from '../../src/tcp/twice.js';
import { NO_REPAIRS, Repairs } from '../../src/tcp/repairs.js';
import { NOT_STARTED, Tcb } from '../../src/tcp/tcb.js';
import { NO_CHOICE, UserOptions, choose } from '../../src/tcp/user-options.js';
import { Conversation } from '../support/conversation.js';
import { report } from '../support/icmp.js';

function untouched(t: Test): void {
  t.same({ ...NOT_TWICE }, { ...new Twice() });
  t.same({ ...NO_REPAIRS }, { ...new Repairs() });
  t.same({ ...NO_CHOICE }, { ...new UserOptions() });
  t.same({ ...NOT_STARTED }, { ...new NewReno() });
}

void t.test('a choice belongs to one connection, and leaves its others as they were', (t) => {
  const [one, other] = [new Tcb(), new Tcb()];
  choose(one, { noDelay: true });
  choose(one, { linger: 5 });
  t.match(one.options, { noDelay: true, linger: 5, keepCount: 0 });
  t.same({ ...other.options }, { ...new UserOptions() });
  untouched(t);
  t.end();
});

void t.test('SYNs and text resent, options and a report of a smaller path before the handshake', (t) => {
  for (const policy of ['rfc9293', 'linux']) {
    const c = new Conversation({ policy });
    c.connect({ maxSegment: 1200, windowClamp: 30_000 });
    c.stack.setOption(c.user!, 'congestion', 0);
    c.stack.setOption(c.user!, 'noDelay', 1);
    c.rest();
    t.equal(report(c, false, 3, 4, 0, 576), 'icmp-pmtu');
    t.equal(c.stack.tcpInfo(c.user!).pmtu, 576);
    for (let i = 0; i < 3; i++) c.advance(4000);
    c.rest();
    const info = c.stack.tcpInfo(c.user!);
    t.ok(info.timeouts > 0 && info.totalRetrans > 0, policy);
    untouched(t);
    const second = new Conversation({ policy });
    second.established('<mss 1000,sackOK>');
    second.send(5000);
    second.rest();
    second.advance(10_000);
    t.ok(second.stack.tcpInfo(second.user!).totalRetrans > 0);
    untouched(t);
  }
  t.end();
});
