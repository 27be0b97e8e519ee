/** Requirements of RFC 7323, 5961, 1337 and 6191 that no other file has in its titles. */
import t from 'tap';
import { Conversation, type ConversationOptions } from '../support/conversation.js';

const FULL = '<mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>';
const stamp = (line: string): { val: number; ecr: number } => {
  const found = /TS val (\d+) ecr (\d+)/.exec(line);
  if (found === null) throw new Error(`no timestamps: ${line}`);
  return { val: Number(found[1]), ecr: Number(found[2]) };
};

/** Established with timestamps (the peer's last one is 100), nothing left to take. */
function stamped(options: ConversationOptions = {}): Conversation {
  const c = new Conversation(options);
  c.established(FULL);
  c.rest();
  return c;
}

void t.test(
  'R7323-8, R7323-9, R7323-12: our shift fits our buffer, both shifts scale, none is above 14',
  (t) => {
    for (const [buffer, least] of [
      [2 ** 20, 5],
      [2 ** 30, 14],
      [60_000, 0],
    ] as const) {
      const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': buffer } });
      c.listen();
      c.inject('S 0:0(0) win 65535 <mss 1460,nop,wscale 3>');
      const shift = Number(/wscale (\d+)/.exec(c.take())![1]);
      t.ok(shift >= least && shift <= 14, `${buffer} bytes: ${shift}`);
      c.inject('. 1:1(0) ack 1 win 100');
      c.accept();
      const info = c.stack.tcpInfo(c.user!);
      t.equal(info.sndWnd, 800, 'a window of 100 shifted by 3');
      t.equal(info.rcvWscale, shift);
    }
    const bare = new Conversation();
    bare.established('<mss 1460>');
    t.same([bare.stack.tcpInfo(bare.user!).sndWscale, bare.stack.tcpInfo(bare.user!).rcvWscale], [0, 0]);
    t.end();
  },
);

void t.test('R7323-15, R7323-18: a window that shrinks by rounding stops nothing', (t) => {
  const c = new Conversation();
  c.established('<mss 1000,nop,wscale 10>');
  c.inject('. 1:1(0) ack 1 win 4');
  c.send(20_000);
  let acked = 1;
  for (let i = 0; i < 200 && acked < 20_001; i++) {
    for (const line of c.rest()) acked = Math.max(acked, Number(/:(\d+)\(/.exec(line)![1]));
    c.inject(`. 1:1(0) ack ${acked} win ${i % 2 === 0 ? 3 : 4}`);
    c.advance(300);
  }
  t.equal(acked, 20_001, 'all of it got through');
  t.end();
});

void t.test('R7323-16, R7323-17: what was once offered is taken, whatever is offered later', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 65_536 } });
  c.established('<mss 1460,nop,wscale 7>');
  c.inject('. 1:2(1) ack 1 win 100');
  c.advance(100);
  const edges = c.rest().map((line) => {
    const [, ack, win] = /ack (\d+) win (\d+)/.exec(line)!;
    return Number(ack) + (Number(win) << c.stack.tcpInfo(c.user!).rcvWscale);
  });
  const edge = Math.max(...edges);
  for (let at = 2, n = 3; n > 0; n--, at += 7) {
    c.inject(`. ${at}:${at + 7}(7) ack 1 win 100`);
    c.advance(100);
    for (const line of c.rest()) {
      const [, ack, win] = /ack (\d+) win (\d+)/.exec(line)!;
      const now = Number(ack) + (Number(win) << c.stack.tcpInfo(c.user!).rcvWscale);
      t.ok(now >= edge - 64, 'the edge goes back by less than a unit of the window field');
    }
  }
  c.inject(`. ${edge - 10}:${edge}(10) ack 1 win 100`);
  t.equal(c.reason, 'out-of-order', 'the last bytes of the window are kept');
  t.end();
});

void t.test(
  'R7323-21, R7323-23, R7323-27, R7323-32: timestamps are where they belong, and the clock goes with time',
  (t) => {
    const c = new Conversation();
    c.listen();
    c.inject('S 0:0(0) win 65535 <mss 1460,TS val 287454020 ecr 0>');
    t.equal(stamp(c.take()).ecr, 287_454_020);
    const d = stamped();
    d.send(10);
    const first = stamp(d.take());
    t.equal(first.ecr, 100);
    d.advance(10);
    d.inject('. 1:1(0) ack 11 win 100 <TS val 110 ecr 0>');
    d.advance(9990);
    d.send(10);
    const later = stamp(d.take());
    t.equal((later.val - first.val) >>> 0, 10_000, 'ten seconds in ms');
    t.equal(later.ecr, 110);
    d.stack.abort(d.user!);
    d.collect();
    t.match(d.rest().at(-1)!, /^R\. .*TS val/, 'also on a RST');
    t.end();
  },
);

void t.test('R7323-24: TSecr of a segment without ACK is no measurement', (t) => {
  const c = new Conversation();
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460,TS val 5 ecr 4294967295>');
  c.rest();
  c.inject('. 1:1(0) ack 1 win 100 <TS val 5 ecr 0>');
  c.accept();
  const { srtt, rto } = c.stack.tcpInfo(c.user!);
  t.ok(srtt <= 1 && rto <= 1000, `srtt ${srtt}, rto ${rto}`);
  t.end();
});

void t.test('R7323-29, R7323-51: missing or old timestamps cost the segment, never the connection', (t) => {
  const c = stamped();
  for (let i = 0; i < 100; i++)
    c.inject(['. 1:11(10) ack 1 win 100', '. 1:1(0) ack 1 win 100', 'F. 1:1(0) ack 1 win 100'][i % 3]!);
  t.equal(c.state, 'ESTABLISHED');
  t.equal(c.read().length, 0);
  c.rest();
  c.inject('. 1:11(10) ack 1 win 100 <TS val 99 ecr 0>');
  t.equal(c.reason, 'paws', 'in order and next expected, but old');
  t.match(c.take(), /^\. .* ack 1 /, 'answered');
  c.inject('. 1:11(10) ack 1 win 100 <TS val 101 ecr 0>');
  t.equal(c.read().length, 10);
  t.end();
});

void t.test('R7323-36, R7323-37, R7323-40, R7323-46: which timestamp an ACK echoes around a hole', (t) => {
  const c = stamped();
  c.inject('. 1:101(100) ack 1 win 100 <TS val 101 ecr 0>');
  c.advance(100);
  c.rest();
  c.inject('. 201:301(100) ack 1 win 100 <TS val 103 ecr 0>');
  t.equal(stamp(c.take()).ecr, 101, 'the last one that advanced RCV.NXT');
  c.inject('. 301:401(100) ack 1 win 100 <TS val 104 ecr 0>');
  t.equal(stamp(c.take()).ecr, 101);
  c.inject('. 101:201(100) ack 1 win 100 <TS val 102 ecr 0>');
  const filled = c.rest().at(-1)!;
  t.match(filled, / ack 401 /, 'what waited is not judged again');
  t.equal(stamp(filled).ecr, 102, 'that of the segment that filled the hole');
  let last = 102;
  for (const val of [102, 105, 105, 104, 106]) {
    const at = 401 + (val - 100) * 10;
    c.inject(`. ${at}:${at + 1}(1) ack 1 win 100 <TS val ${val} ecr 0>`);
    for (const line of c.rest()) {
      t.ok(stamp(line).ecr >= last, `after ${val}: ${stamp(line).ecr}`);
      last = stamp(line).ecr;
    }
  }
  t.equal(c.read().length, 400);
  t.end();
});

void t.test(
  'R7323-47, R7323-48, R7323-49, R7323-53: a tick is a ms; offsets differ and do not tell the uptime',
  (t) => {
    const clock = (peerPort: number): number => {
      const c = new Conversation();
      c.listen();
      c.peerPort = peerPort;
      c.inject('S 0:0(0) win 65535 <mss 1460,TS val 5 ecr 0>');
      return stamp(c.take()).val;
    };
    const values = Array.from({ length: 50 }, (_, i) => clock(5000 + i));
    t.equal(new Set(values).size, 50);
    t.ok(
      values.some((value) => value > 2 ** 31) && values.some((value) => value < 2 ** 31),
      'all over the range',
    );
    t.equal(clock(5000), values[0], 'the same tuple at the same time');
    const c = stamped();
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      c.send(1);
      seen.push(stamp(c.take()).val);
      c.inject(`. 1:1(0) ack ${i + 2} win 100 <TS val ${101 + i} ecr 0>`);
      c.advance(1);
    }
    t.same(
      seen.slice(1).map((value, i) => value - seen[i]!),
      [1, 1, 1, 1],
    );
    t.end();
  },
);

void t.test(
  'R5961-5, R5961-12: a RST inside the window is challenged, the exact one that follows ends it; the limit is tunable',
  (t) => {
    const c = new Conversation();
    c.established();
    c.rest();
    c.inject('R 101:101(0) win 0');
    t.match(c.take(), /^\. 1:1\(0\) ack 1 /);
    c.inject('R 1:1(0) win 0');
    t.equal(c.state, 'CLOSED');
    const limits = { 'net.ipv4.tcp_challenge_ack_limit': 3, 'net.ipv4.tcp_challenge_ack_period': 10_000 };
    const l = new Conversation({ knobs: limits });
    l.established();
    l.rest();
    for (let i = 0; i < 5; i++) l.inject(`R ${101 + i}:${101 + i}(0) win 0`);
    t.equal(l.rest().length, 3, 'three in ten seconds');
    l.advance(10_000);
    l.inject('R 101:101(0) win 0');
    t.equal(l.rest().length, 1, 'then again');
    t.end();
  },
);

void t.test(
  'R5961-8, R5961-10, R5961-14: an old acknowledgment brings its text as long as it lies within the largest window',
  (t) => {
    const c = new Conversation();
    c.established();
    c.inject('. 1:1(0) ack 1 win 50000');
    c.send(60_000);
    for (let acked = 1461; acked < 60_001; acked += 1460) c.inject(`. 1:1(0) ack ${acked} win 50000`);
    c.inject('. 1:1(0) ack 60001 win 100');
    c.rest();
    t.equal(c.user!.queued, 0);
    // The handshake offered 65535: the largest ever
    c.inject('. 1:2(1) ack 60000 win 100');
    t.equal(c.read().length, 1, 'one below');
    c.inject('. 2:3(1) ack 1 win 100');
    t.equal(c.read().length, 1, '60000 below, within 65535');
    const d = new Conversation();
    d.listen();
    d.inject('S 0:0(0) win 10000 <mss 1460>');
    d.rest();
    d.inject('. 1:1(0) ack 1 win 10000');
    d.accept();
    d.send(20_000);
    for (let acked = 1461; acked < 20_001; acked += 1460) d.inject(`. 1:1(0) ack ${acked} win 10000`);
    d.inject('. 1:1(0) ack 20001 win 10000');
    d.inject('. 1:2(1) ack 10001 win 100');
    t.equal(d.read().length, 1, 'SND.UNA - MAX.SND.WND itself');
    d.inject('. 2:3(1) ack 10000 win 100');
    t.equal(d.read().length, 0, 'one less');
    t.end();
  },
);

/** We closed first: RCV.NXT and SND.NXT are 2; the peer's last timestamp is 100. */
function timeWait(policy: string, withStamps: boolean, knobs: Record<string, number> = {}): Conversation {
  const c = new Conversation({ policy, knobs });
  const extra = withStamps ? ' <TS val 100 ecr 0>' : '';
  c.established(withStamps ? FULL : '<mss 1460>');
  c.close();
  c.inject(`. 1:1(0) ack 2 win 100${extra}`);
  c.inject(`F. 1:1(0) ack 2 win 100${extra}`);
  c.rest();
  if (c.state !== 'TIME-WAIT') throw new Error(c.state);
  return c;
}

void t.test('R1337-1, R1337-2: F1: neither a RST nor what an old duplicate provokes ends TIME-WAIT', (t) => {
  for (const c of [timeWait('rfc1337', false), timeWait('rfc9293', false, { 'net.ipv4.tcp_rfc1337': 1 })]) {
    c.inject('R 2:2(0) win 0');
    t.equal(c.state, 'TIME-WAIT');
    c.inject('. 4294967041:4294967041(0) ack 1 win 100');
    t.match(c.take(), /^\. 2:2\(0\) ack 2 /, 'an old duplicate is answered');
    c.inject('R 2:2(0) win 0');
    t.equal(c.state, 'TIME-WAIT');
    c.inject('F. 1:1(0) ack 2 win 100');
    t.match(c.take(), /^\. 2:2\(0\) ack 2 /, 'and so is the FIN');
  }
  t.end();
});

void t.test('SHLD-4, R6191-1 to R6191-7: the decision table for a SYN in TIME-WAIT', (t) => {
  const outcome = (withStamps: boolean, syn: string, knobs = {}): string => {
    const c = timeWait('rfc6191', withStamps, knobs);
    c.inject(syn);
    const said = c.rest();
    if (said.length === 0) return c.state === 'TIME-WAIT' ? 'dropped' : c.state;
    return said[0]!.startsWith('S.') ? 'accepted' : said[0]!;
  };
  const at = (seq: number, ts?: number): string =>
    `S ${seq >>> 0}:${seq >>> 0}(0) win 100 <mss 1460${ts === undefined ? '' : `,TS val ${ts} ecr 0`}>`;
  t.equal(outcome(true, at(1000, 101)), 'accepted', 'R6191-1: newer');
  t.equal(outcome(true, at(-1000, 101)), 'accepted', 'R6191-1: newer, whatever SEQ');
  t.equal(outcome(true, at(2, 100)), 'accepted', 'R6191-2: equal, above the FIN');
  t.equal(outcome(true, at(-99, 100)), 'dropped', 'R6191-2: equal, below');
  t.equal(outcome(true, at(2)), 'accepted', 'R6191-3: none now, above the FIN');
  t.equal(outcome(true, at(1)), 'dropped', 'R6191-3: none now, the FIN itself');
  t.equal(outcome(true, at(1000, 99)), 'dropped', 'R6191-4: older');
  t.equal(outcome(false, at(-1000, 5)), 'accepted', 'R6191-5: none then, some now');
  t.equal(outcome(false, at(2)), 'accepted', 'R6191-6: neither, above');
  t.equal(outcome(false, at(1)), 'dropped', 'R6191-6: neither, not above');
  const off = { 'net.ipv4.tcp_timestamps': 0 };
  t.equal(outcome(false, at(-1000, 5), off), 'dropped', 'R6191-7: our SYN,ACK would have none: SEQ decides');
  t.end();
});

void t.test('R6191-8: a tuple opened again shows a clock that went on', (t) => {
  const c = new Conversation({ policy: 'none' });
  c.connect();
  const first = stamp(c.take()).val;
  c.inject('R. 0:0(0) ack 1 win 0');
  c.advance(5000);
  c.ourIss = null;
  c.connect();
  t.equal((stamp(c.take()).val - first) >>> 0, 5000);
  t.end();
});
