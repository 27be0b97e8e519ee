import t from 'tap';
import { SEND_MORE, SEND_RECORD, STAMP_ACKED, STAMP_SENT } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

const bytes = (count: number): Uint8Array => new Uint8Array(count).fill(120);

/** Established with segments of 1000 bytes; the handshake took `rtt` ms. */
function linux(knobs: Record<string, number> = {}, window = 65_535, rtt = 10): Conversation {
  const c = new Conversation({ policy: 'linux', knobs });
  c.listen();
  c.inject(`S 0:0(0) win ${window} <mss 1000>`);
  c.take();
  c.advance(rtt);
  c.inject(`. 1:1(0) ack 1 win ${window}`);
  c.accept();
  return c;
}

function write(c: Conversation, count: number, flags = 0): number {
  const taken = c.stack.write(c.user!, bytes(count), flags);
  c.collect();
  return taken as number;
}

t.test(
  'linux: MUST-61 and R9293-69: the end of each write is pushed, and the last segment of each burst',
  (t) => {
    const c = linux();
    write(c, 500);
    t.equal(c.mismatch('P. 1:501(500) ack 1'), '');
    c.advance(10);
    c.inject('. 1:1(0) ack 501 win 65535');
    write(c, 4500);
    // Near peers get two segments a burst at this rate
    t.same(
      c.rest().map((segment) => segment.split(' ', 2).join(' ')),
      [
        '. 501:1501(1000)',
        'P. 1501:2501(1000)',
        '. 2501:3501(1000)',
        'P. 3501:4501(1000)',
        'P. 4501:5001(500)',
      ],
    );
    t.end();
  },
);

t.test(
  'SHLD-7, MUST-17: Nagle holds a small segment while anything is in flight, under linux only a small one (Minshall)',
  (t) => {
    const rfc = new Conversation();
    rfc.established('<mss 1000>');
    write(rfc, 1000);
    write(rfc, 10);
    t.same(rfc.rest().length, 1, 'RFC: data is in flight');
    const c = linux();
    write(c, 1000);
    write(c, 10);
    t.same(c.rest().length, 2, 'only a full segment was in flight');
    write(c, 10);
    t.same(c.rest(), [], 'a small one is');
    c.stack.setOption(c.user!, 'noDelay', 1);
    c.collect();
    t.equal(c.mismatch('P. 1011:1021(10) ack 1'), '', 'TCP_NODELAY lets go what was held');
    t.end();
  },
);

t.test(
  'TCP_CORK and MSG_MORE hold what fills no segment: until the cork goes, an ACK comes, or the override',
  (t) => {
    const c = linux();
    c.stack.setOption(c.user!, 'cork', 1);
    write(c, 40);
    write(c, 1000);
    t.equal(c.mismatch('. 1:1001(1000) ack 1'), '', 'a full segment goes');
    c.inject('. 1:1(0) ack 1001 win 65535');
    t.same(c.rest(), []);
    c.stack.setOption(c.user!, 'cork', 0);
    c.collect();
    t.equal(c.mismatch('P. 1001:1041(40) ack 1'), '');
    c.inject('. 1:1(0) ack 1041 win 65535');
    write(c, 30, SEND_MORE);
    t.same(c.rest(), []);
    c.advance(190);
    t.same(c.rest(), []);
    c.advance(30);
    t.equal(c.mismatch('P. 1041:1071(30) ack 1'), '', 'SHLD-29: the override of 0.1 .. 1 s');
    write(c, 5, SEND_MORE);
    t.same(c.rest(), []);
    c.inject('. 1:1(0) ack 1071 win 65535');
    t.equal(c.mismatch('. 1071:1076(5) ack 1'), '', 'not pushed: its writer said that more follows');
    t.end();
  },
);

for (const policy of ['linux', 'rfc9293']) {
  t.test(`${policy}: nothing is joined behind a record (MSG_EOR), nor when it is resent`, (t) => {
    const c = new Conversation({ policy });
    c.established('<mss 1000>');
    c.stack.setOption(c.user!, 'noDelay', 1);
    for (let i = 0; i < 3; i++) c.stack.write(c.user!, bytes(200), SEND_RECORD);
    c.collect();
    t.equal(c.mismatch('P. 1:201(200) ack 1'), '');
    t.equal(c.mismatch('P. 201:401(200) ack 1'), '');
    t.equal(c.mismatch('P. 401:601(200) ack 1'), '');
    c.advance(1200);
    t.match(c.take(), /^P\. 1:201\(200\)/);
    t.end();
  });
}

t.test('linux: a write takes what the send buffer holds, each buffer with its bookkeeping', (t) => {
  const c = linux({ 'net.ipv4.tcp_wmem': 50_000 }, 32_768);
  // Buffers of 16,000 bytes and 832 of bookkeeping; what is sent makes room within the last
  t.equal(write(c, 59_000), 58_000);
  t.equal(c.stack.tcpInfo(c.user!).sndMemory > 50_000, true);
  t.equal(write(c, 1000), 0);
  c.user!.takeEvents();
  t.notOk(c.stack.mayWrite(c.user!));
  const low = linux({}, 32_768);
  low.stack.setOption(low.user!, 'notsentLowat', 4000);
  t.equal(write(low, 59_000), 26_000, 'TCP_NOTSENT_LOWAT');
  t.end();
});

t.test('TCP_MAXSEG bounds what our MSS option says and what is sent (MUST-16)', (t) => {
  const c = new Conversation();
  c.listen();
  c.listener!.maxSegment = 700;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  t.match(c.take(), /<mss 700>/);
  c.inject('. 1:1(0) ack 1 win 65535');
  c.accept();
  write(c, 1000);
  t.equal(c.mismatch('. 1:701(700) ack 1'), '');
  t.end();
});

t.test('linux: quick ACKs first, then within a delay that replies can use (MUST-58, SHLD-18)', (t) => {
  const c = linux();
  for (let i = 0; i < 3; i++) {
    c.inject(`P. ${1 + 10 * i}:${11 + 10 * i}(10) ack 1 win 65535`);
    t.equal(c.mismatch(`. 1:1(0) ack ${11 + 10 * i}`), '', 'at once');
    c.read();
  }
  write(c, 5);
  c.take();
  c.inject('P. 31:41(10) ack 6 win 65535');
  t.same(c.rest(), [], 'a reply is likely: it carries the ACK');
  write(c, 5);
  t.equal(c.mismatch('P. 6:11(5) ack 41'), '');
  c.inject('P. 41:51(10) ack 11 win 65535');
  c.advance(39);
  t.same(c.rest(), []);
  c.advance(1);
  t.equal(c.mismatch('. 11:11(0) ack 51'), '', '40 ms without one');
  t.end();
});

t.test('linux: the probe of a closed window carries nothing (MUST-36 has one octet)', (t) => {
  const c = linux();
  c.inject('. 1:1(0) ack 1 win 0');
  write(c, 100);
  c.advance(1000);
  t.equal(c.mismatch('. 0:0(0) ack 1'), '');
  t.end();
});

t.test('TCP_INFO: how long the window held the sender up, what was sent', (t) => {
  const c = linux();
  c.inject('. 1:1(0) ack 1 win 0');
  write(c, 100);
  c.advance(150);
  c.inject('. 1:1(0) ack 1 win 65535');
  c.advance(20);
  c.inject('. 1:1(0) ack 101 win 65535');
  const info = c.stack.tcpInfo(c.user!);
  t.same([info.windowLimited, info.busy, info.bytesSent, info.delivered], [150, 170, 100, 2]);
  t.end();
});

t.test('stamps of writes: sent, acknowledged, numbered by byte', (t) => {
  const c = linux();
  c.stack.setOption(c.user!, 'stamps', STAMP_SENT | STAMP_ACKED);
  write(c, 300);
  c.advance(15);
  c.inject('. 1:1(0) ack 301 win 65535');
  const seen = [c.stack.takeStamp(c.user!), c.stack.takeStamp(c.user!), c.stack.takeStamp(c.user!)];
  t.same(seen, [{ kind: STAMP_SENT, key: 299, time: 15 }, { kind: STAMP_ACKED, key: 299, time: 0 }, null]);
  t.end();
});
