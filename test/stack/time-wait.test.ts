/** The four policies on the wire: one stack under a virtual clock against a hand-made peer. */
import t from 'tap';
import { Reason } from '../../src/reasons.js';
import { Conversation, type ConversationOptions } from '../support/conversation.js';

const STAMPED = '<mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>';
const PLAIN = '<mss 1460>';

/** The user and then the peer close; the record's SND.NXT and RCV.NXT are 2. */
function close(c: Conversation, stamp = ''): void {
  c.close();
  c.inject(`. 1:1(0) ack 2 win 65535${stamp}`);
  c.inject(`F. 1:1(0) ack 2 win 65535${stamp}`);
  c.rest();
}

/** A server that closed first. */
function timeWait(policy: string, options: ConversationOptions = {}, stamped = false): Conversation {
  const c = new Conversation({ policy, ...options });
  c.established(stamped ? STAMPED : PLAIN);
  close(c, stamped ? ' <TS val 100 ecr 0>' : '');
  return c;
}

/** A client that closed first, from port 4000; the peer's last TSval is 100. */
function ownTimeWait(policy: string, stamped: boolean): Conversation {
  const c = new Conversation({ policy });
  const stamp = stamped ? ' <TS val 100 ecr 0>' : '';
  c.connect();
  c.inject(`S. 0:0(0) ack 1 win 65535 ${stamped ? '<mss 1460,sackOK,TS val 100 ecr 0>' : PLAIN}`);
  close(c, stamp);
  return c;
}

/** SEG.SEQ of our SYN,ACK counted from our first ISS; -1 when that is not what came. */
function synAck(c: Conversation): number {
  const found = /^S\. (\d+):/.exec(c.take());
  return found === null ? -1 : Number(found[1]);
}

const FIN_AGAIN = 'F. 1:1(0) ack 2 win 100';
const both = [false, true];

void t.test('the exact end: 240 s, 60 s, 60 s, 3.5*RTO', (t) => {
  for (const v6 of both) {
    for (const policy of ['rfc9293', 'bsd', 'reuse', 'recycle']) {
      for (const stamped of both) {
        const c = new Conversation({ policy, v6 });
        c.established(stamped ? STAMPED : PLAIN);
        const { rto } = c.stack.tcpInfo(c.user!);
        close(c, stamped ? ' <TS val 100 ecr 0>' : '');
        const short = Math.ceil(3.5 * 4 * Math.ceil(rto / 4));
        const long = policy === 'rfc9293' ? 240_000 : 60_000;
        const life = policy === 'recycle' && stamped ? short : long;
        t.equal(c.state, 'TIME-WAIT', `${policy}${v6 ? ' IPv6' : ''}${stamped ? ' stamped' : ''}`);
        c.advance(life - 1);
        t.equal(c.state, 'TIME-WAIT', `${life - 1} ms`);
        c.advance(1);
        t.equal(c.state, 'CLOSED', `${life} ms`);
        t.equal(c.stack.timeWait.count + c.stack.timers + c.stack.connections, 0, 'nothing is left');
        t.equal(c.stack.reasonCounts[Reason['tw-expired']], 1);
      }
    }
  }
  t.end();
});

void t.test('the peer repeats its FIN: ACK, and the whole time again', (t) => {
  for (const [policy, life] of [
    ['rfc9293', 240_000],
    ['bsd', 60_000],
    ['reuse', 60_000],
  ] as const) {
    const c = timeWait(policy);
    c.advance(life - 1);
    c.inject(FIN_AGAIN);
    t.equal(c.mismatch('. 2:2(0) ack 2'), '', policy);
    t.equal(c.reason, 'tw-fin-again');
    c.advance(life - 1);
    t.equal(c.state, 'TIME-WAIT');
    c.advance(1);
    t.equal(c.state, 'CLOSED');
  }
  const recycle = timeWait('recycle', {}, true);
  recycle.advance(100);
  recycle.inject('F. 1:1(0) ack 2 win 100 <TS val 101 ecr 0>');
  recycle.advance(59_999);
  t.equal(recycle.state, 'TIME-WAIT', 'recycle: the short time is lost');
  recycle.advance(1);
  t.equal(recycle.state, 'CLOSED');
  t.end();
});

void t.test('RST at RCV.NXT assassinates, tcp_rfc1337 = 1 and bsd ignore it', (t) => {
  for (const policy of ['rfc9293', 'bsd', 'reuse', 'recycle']) {
    for (const rfc1337 of [0, 1]) {
      const c = timeWait(policy, { knobs: { 'net.ipv4.tcp_rfc1337': rfc1337 } });
      c.inject('R 2:2(0) win 0');
      t.same(c.rest(), []);
      const dies = rfc1337 === 0 && policy !== 'bsd';
      t.equal(c.state, dies ? 'CLOSED' : 'TIME-WAIT', `${policy}, tcp_rfc1337 = ${rfc1337}`);
      t.equal(c.reason, dies ? 'tw-rst-kill' : 'tw-rst-ignored');
    }
  }
  t.end();
});

void t.test('RFC 1337 figure 1: an old duplicate, the ACK it draws, the RST that comes back', (t) => {
  for (const rfc1337 of [0, 1]) {
    const c = timeWait('rfc9293', { peerIss: 300, knobs: { 'net.ipv4.tcp_rfc1337': rfc1337 } });
    c.advance(30_000);
    c.inject('. 4294967250:4294967253(3) ack 4294967200 win 100');
    const answer = /ack (\d+)/.exec(c.take())![1]!;
    c.inject(`R ${answer}:${answer}(0) win 0`);
    t.equal(c.state, rfc1337 === 0 ? 'CLOSED' : 'TIME-WAIT');
  }
  t.end();
});

void t.test('rfc9293: a SYN is refused until the last ms of 2*MSL, then taken', (t) => {
  for (const stamped of both) {
    const c = timeWait('rfc9293', {}, stamped);
    for (const at of [3, 2, 1, 100_000, 2 ** 31]) {
      const stamp = stamped ? ' <mss 1460,sackOK,TS val 900 ecr 0>' : '';
      c.inject(`S ${at}:${at}(0) win 100${stamp}`);
      t.equal(c.mismatch('. 2:2(0) ack 2'), '', `SYN at ${at}`);
      t.equal(c.state, 'TIME-WAIT');
    }
    c.advance(239_999);
    c.inject('S 50:50(0) win 100');
    t.match(c.take(), /^\. 2:2\(0\) ack 2 /);
    c.advance(1);
    c.inject('S 50:50(0) win 100');
    t.not(synAck(c), -1, 'a new connection');
    t.equal(c.state, 'SYN-RECEIVED');
  }
  t.end();
});

void t.test('rfc9293 with a shortened MSL', (t) => {
  const c = timeWait('rfc9293', { knobs: { 'net.ipv4.tcp_msl': 1500 } });
  c.advance(2999);
  c.inject('S 9:9(0) win 100');
  t.equal(c.mismatch('. 2:2(0) ack 2'), '');
  c.advance(1);
  c.inject('S 9:9(0) win 100');
  t.not(synAck(c), -1);
  t.end();
});

void t.test('bsd: a higher SYN is a new connection with a fresh ISN, a lower one gets silence', (t) => {
  for (const v6 of both) {
    const c = timeWait('bsd', { v6 });
    for (const at of [2, 1, 0, 2 ** 31 + 2]) {
      c.inject(`S ${at}:${at}(0) win 100`);
      t.same(c.rest(), [], `SYN at ${at}`);
      t.equal(c.reason, 'tw-syn-low');
      t.equal(c.state, 'TIME-WAIT');
    }
    c.advance(10_000);
    c.inject('S 3:3(0) win 100 <mss 1460>');
    t.equal(c.reason, 'tw-syn-accepted');
    // RFC 6528: 250 a ms since the first SYN
    t.equal(synAck(c), 10_000 * 250);
    t.equal(c.state, 'SYN-RECEIVED');
    t.equal(c.stack.timeWait.count, 0);
    t.equal(c.stack.counters.get('TimewaitReopened'), 1);
  }
  t.end();
});

void t.test('bsd: the listener is gone, the SYN is reset', (t) => {
  const c = timeWait('bsd');
  c.stack.closeListener(c.listener!);
  c.inject('S 3:3(0) win 100');
  t.match(c.take(), /^R\. /);
  t.equal(c.state, 'CLOSED');
  t.end();
});

void t.test('reuse: higher sequence number or newer timestamp; ISN = SND.NXT + 65537', (t) => {
  const ISN = 2 + 65_537;
  for (const v6 of both) {
    const high = timeWait('reuse', { v6 });
    high.inject('S 3:3(0) win 100 <mss 1460>');
    t.equal(synAck(high), ISN, 'one above RCV.NXT');
    const newer = timeWait('reuse', { v6 }, true);
    newer.inject('S 1:1(0) win 100 <mss 1460,sackOK,TS val 101 ecr 0>');
    t.equal(synAck(newer), ISN, 'below, but newer');
    const equal = timeWait('reuse', { v6 }, true);
    equal.inject('S 2:2(0) win 100 <mss 1460,sackOK,TS val 100 ecr 0>');
    t.match(equal.take(), /^\. 2:2\(0\) ack 2 .*ecr 100/, 'neither: ACK, timer as it was');
    equal.advance(59_999);
    t.equal(equal.state, 'TIME-WAIT');
    equal.advance(1);
    t.equal(equal.state, 'CLOSED');
    const older = timeWait('reuse', { v6 }, true);
    older.advance(30_000);
    older.inject('S 9:9(0) win 100 <mss 1460,sackOK,TS val 99 ecr 0>');
    t.match(older.take(), /^\. 2:2\(0\) ack 2 /);
    t.equal(older.reason, 'tw-paws-linux');
    t.equal(older.stack.counters.get('TcpExtPAWSTimewait'), 1);
    older.advance(59_999);
    t.equal(older.state, 'TIME-WAIT', 'older: restarted');
    older.advance(1);
    t.equal(older.state, 'CLOSED');
  }
  t.end();
});

void t.test('reuse: a low SYN heals itself: ACK, RST, and the SYN again', (t) => {
  const c = timeWait('reuse');
  c.inject('S 1:1(0) win 100 <mss 1460>');
  t.equal(c.mismatch('. 2:2(0) ack 2'), '');
  c.inject('R 2:2(0) win 0');
  t.equal(c.state, 'CLOSED');
  c.advance(1000);
  c.inject('S 1:1(0) win 100 <mss 1460>');
  t.not(synAck(c), -1);
  t.end();
});

void t.test('reuse: SYN with FIN deletes the record without a word; without a listener it is kept', (t) => {
  const fin = timeWait('reuse');
  fin.inject('SF 3:3(0) win 100');
  t.same(fin.rest(), []);
  t.equal(fin.state, 'CLOSED');
  const unheard = timeWait('reuse');
  unheard.stack.closeListener(unheard.listener!);
  unheard.inject('S 3:3(0) win 100');
  t.equal(unheard.mismatch('. 2:2(0) ack 2'), '');
  t.equal(unheard.state, 'TIME-WAIT');
  t.end();
});

void t.test('the rate limit: five probes 120 ms apart', (t) => {
  const answers = (probe: string): number => {
    const c = timeWait('reuse', { knobs: { 'net.ipv4.tcp_invalid_ratelimit': 500 } });
    for (let i = 0; i < 5; i++) {
      c.inject(probe);
      c.advance(120);
    }
    return c.rest().length;
  };
  t.equal(answers(FIN_AGAIN), 5);
  t.equal(answers('P. 1:2(1) ack 2 win 100'), 5);
  t.equal(answers('S 1:1(0) win 100'), 1);
  t.equal(answers('. 1:1(0) ack 2 win 100'), 1);
  t.end();
});

void t.test('our own connect(): refused, refused, after a second, after 3.5*RTO', (t) => {
  const again = (c: Conversation, localPort = 4000): string => {
    const opened = c.stack.connect({
      address: c.peer.toString(),
      port: c.peerPort,
      localPort,
      reuseAddress: true,
    });
    c.collect();
    return typeof opened === 'string' ? opened : 'opened';
  };
  const strict = ownTimeWait('rfc9293', true);
  t.equal(again(strict), 'EADDRNOTAVAIL');
  strict.advance(239_999);
  t.equal(again(strict), 'EADDRNOTAVAIL');
  strict.advance(1);
  t.equal(again(strict), 'opened');
  const bsd = ownTimeWait('bsd', true);
  t.equal(again(bsd), 'EADDRINUSE');
  bsd.advance(60_000);
  t.equal(again(bsd), 'opened');
  t.end();
});

void t.test(
  'reuse: the port search takes the record after tcp_tw_reuse_delay, when timestamps were on',
  (t) => {
    const search = (c: Conversation): string => {
      c.stack.setKnob('net.ipv4.ip_local_port_range.min', 4000);
      c.stack.setKnob('net.ipv4.ip_local_port_range.max', 4000);
      const opened = c.stack.connect({ address: c.peer.toString(), port: c.peerPort });
      c.collect();
      return typeof opened === 'string' ? opened : 'opened';
    };
    const c = ownTimeWait('reuse', true);
    t.equal(search(c), 'EADDRNOTAVAIL');
    c.advance(1000);
    t.equal(search(c), 'EADDRNOTAVAIL');
    c.advance(1);
    t.equal(search(c), 'opened');
    const syn = c.take();
    t.match(syn, /^S 65539:65539\(0\) /, 'SND.NXT + 65537');
    t.match(syn, / ecr 100/, 'the remembered TS.Recent');
    t.equal(c.stack.counters.get('TcpExtTWRecycled'), 1);
    const bare = ownTimeWait('reuse', false);
    bare.advance(59_999);
    t.equal(search(bare), 'EADDRNOTAVAIL');
    bare.advance(1);
    t.equal(search(bare), 'opened');
    const off = ownTimeWait('reuse', true);
    off.stack.setKnob('net.ipv4.tcp_tw_reuse', 0);
    off.advance(59_999);
    t.equal(search(off), 'EADDRNOTAVAIL');
    t.end();
  },
);

void t.test('orphans in FIN-WAIT-2 are records on Linux: tcp_fin_timeout, then a late FIN is reset', (t) => {
  for (const v6 of both) {
    const waiting = (): Conversation => {
      const c = new Conversation({ policy: 'reuse', v6, knobs: { 'net.ipv4.tcp_fin_timeout': 5 } });
      c.established();
      c.close();
      c.inject('. 1:1(0) ack 2 win 65535');
      c.rest();
      t.equal(c.state, 'FIN-WAIT-2');
      t.equal(c.stack.connections, 0, 'a record, not a connection');
      return c;
    };
    const late = waiting();
    late.advance(4999);
    t.equal(late.state, 'FIN-WAIT-2');
    late.advance(1);
    t.equal(late.state, 'CLOSED');
    late.inject('F. 1:1(0) ack 2 win 100');
    t.equal(late.mismatch('R 2:2(0)'), '');
    const intime = waiting();
    intime.advance(4999);
    intime.inject('F. 1:1(0) ack 2 win 100');
    t.equal(intime.mismatch('. 2:2(0) ack 2'), '');
    t.equal(intime.state, 'TIME-WAIT');
    intime.advance(59_999);
    t.equal(intime.state, 'TIME-WAIT', '60 s from the FIN');
    intime.advance(1);
    t.equal(intime.state, 'CLOSED');
    const data = waiting();
    data.inject('P. 1:6(5) ack 2 win 100');
    t.equal(data.mismatch('R 2:2(0)'), '', 'data for nobody');
    t.equal(data.state, 'CLOSED');
  }
  t.end();
});

/** `count` connections from ports 5000.., each closed by us; the ports of those left. */
function floods(
  policy: string,
  most: number,
  count: number,
  knob = 'timewait_max_records',
): { c: Conversation; left: number[] } {
  const c = new Conversation({ policy, knobs: { [knob]: most } });
  c.listen();
  for (let i = 0; i < count; i++) {
    c.peerPort = 5000 + i;
    c.ourIss = null;
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    c.inject('. 1:1(0) ack 1 win 65535');
    c.accept();
    close(c);
    c.advance(10);
  }
  const rows = c.stack.sockets().filter((row) => row.state === 'TIME-WAIT');
  return { c, left: rows.map((row) => row.remote!.port).sort((a, b) => a - b) };
}

void t.test('a full table: Linux and rfc9293 skip the newest, bsd evicts the oldest', (t) => {
  for (const [policy, knob] of [
    ['linux', 'net.ipv4.tcp_max_tw_buckets'],
    ['reuse', 'timewait_max_records'],
    ['rfc9293', 'timewait_max_records'],
  ] as const) {
    const { c, left } = floods(policy, 2, 4, knob);
    t.same(left, [5000, 5001], policy);
    t.equal(c.stack.counters.get('TcpExtTCPTimeWaitOverflow'), 2);
    c.inject(FIN_AGAIN);
    t.equal(c.mismatch('R 2:2(0)'), '', 'a late FIN of the skipped one is reset');
  }
  const { c, left } = floods('bsd', 2, 4);
  t.same(left, [5002, 5003]);
  t.equal(c.stack.counters.get('TimewaitEvicted'), 2);
  t.equal(floods('rfc9293', 2, 4, 'net.ipv4.tcp_max_tw_buckets').left.length, 4, 'a limit of Linux only');
  const none = floods('linux', 0, 1, 'net.ipv4.tcp_max_tw_buckets');
  t.same(none.left, []);
  t.equal(none.c.stack.counters.get('TcpExtTCPTimeWaitOverflow'), 1);
  t.end();
});

void t.test('recycle: the neighbour behind the same NAT with the slower clock gets silence for 60 s', (t) => {
  for (const v6 of both) {
    const c = timeWait('recycle', { v6 }, true);
    c.advance(1000);
    t.equal(c.state, 'CLOSED', 'the record itself is gone');
    c.peerPort = 6000;
    const dropped = (stamp: string, reason: string): void => {
      c.inject(`S 0:0(0) win 100 ${stamp}`);
      t.same(c.rest(), []);
      t.equal(c.reason, reason, stamp);
      t.equal(c.state, 'CLOSED');
    };
    dropped('<mss 1460,sackOK,TS val 98 ecr 0>', 'recycle-host-stamp');
    dropped('<mss 1460,sackOK,TS val 4294967000 ecr 0>', 'recycle-host-stamp');
    dropped('<mss 1460>', 'recycle-host-no-stamp');
    t.equal(c.stack.counters.get('TcpExtPAWSPassive'), 3);
    c.stack.setKnob('net.ipv4.tcp_tw_recycle_strict', 0);
    c.peerPort = 6001;
    c.inject('S 0:0(0) win 100 <mss 1460>');
    t.not(synAck(c), -1, '3.13 lets a SYN without timestamp pass');
    c.peerPort = 6002;
    c.inject('S 0:0(0) win 100 <mss 1460,sackOK,TS val 99 ecr 0>');
    t.not(synAck(c), -1, 'one tick back is forgiven');
    c.peerPort = 6003;
    c.advance(58_999);
    c.rest(); // the SYN,ACKs of 6001 and 6002, again and again
    dropped('<mss 1460,sackOK,TS val 98 ecr 0>', 'recycle-host-stamp');
    c.advance(1);
    c.rest();
    c.inject('S 0:0(0) win 100 <mss 1460,sackOK,TS val 98 ecr 0>');
    t.not(synAck(c), -1, '60 s after the stamp');
  }
  t.end();
});

void t.test('recycle: other hosts are not touched, and other policies remember nobody', (t) => {
  const c = timeWait('recycle', {}, true);
  c.stack.setPolicy('reuse');
  c.advance(1000);
  c.peerPort = 6000;
  c.inject('S 0:0(0) win 100 <mss 1460,sackOK,TS val 98 ecr 0>');
  t.not(synAck(c), -1, 'the memory is there, nobody asks it');
  const quiet = timeWait('reuse', {}, true);
  quiet.stack.setPolicy('recycle');
  quiet.advance(60_000);
  quiet.peerPort = 6000;
  quiet.inject('S 0:0(0) win 100 <mss 1460,sackOK,TS val 98 ecr 0>');
  t.not(synAck(quiet), -1, 'what was never stored refuses nobody');
  t.end();
});

void t.test('a policy chosen later rules records that exist; their timers stay', (t) => {
  const c = timeWait('bsd');
  t.equal(c.stack.setPolicy('reuse'), null);
  c.inject('S 2:2(0) win 100');
  t.equal(c.mismatch('. 2:2(0) ack 2'), '');
  t.equal(c.stack.setPolicy('rfc9293'), null);
  c.inject('S 3:3(0) win 100');
  t.equal(c.mismatch('. 2:2(0) ack 2'), '');
  c.inject(FIN_AGAIN);
  c.rest();
  c.advance(60_000);
  t.equal(c.state, 'TIME-WAIT', 'the restart was rfc9293');
  t.match(c.stack.setPolicy('rfc9294'), /unknown policy 'rfc9294'.*rfc9293/);
  t.equal(c.stack.policyName, 'rfc9293');
  t.end();
});
