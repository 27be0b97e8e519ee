/** Path MTU: RFC 1191, RFC 8201, RFC 6691 and RFC 5927 7.2, requirement by requirement; black holes (RFC 4821). */
import t, { type Test } from 'tap';
import { Internet } from '../../src/sim/internet.js';
import { Router, type Narrow } from '../../src/sim/router.js';
import type { SimSocket } from '../../src/sim/socket.js';
import { Conversation, type ConversationOptions } from '../support/conversation.js';
import { report } from '../support/icmp.js';

const lengthOf = (text: string): number => Number(/\((\d+)\)/.exec(text)![1]);

function open(options: ConversationOptions = {}, syn = '<mss 9000,sackOK>'): Conversation {
  const c = new Conversation({ ...options, knobs: { 'net.ipv4.tcp_timestamps': 0, ...options.knobs } });
  c.established(syn);
  return c;
}

/** "Fragmentation needed" or "packet too big" about the byte at `at` of a full-sized packet of ours. */
function tooBig(c: Conversation, mtu: number, at = 1, v6 = false): string {
  return report(c, v6, v6 ? 2 : 3, v6 ? 0 : 4, at, mtu, v6 ? 1440 : 1460);
}

/** Everything said, each flight acknowledged whole, until nothing more comes. */
function acknowledged(c: Conversation): string[] {
  const all: string[] = [];
  for (let said = c.rest(); said.length > 0; said = c.rest()) {
    all.push(...said);
    const ends = said.map((text) => Number(/:(\d+)\(/.exec(text)![1]));
    c.inject(`. 1:1(0) ack ${Math.max(...ends)} win 65535`);
  }
  return all;
}

const pmtu = (c: Conversation): number => c.stack.tcpInfo(c.user!).pmtu;

void t.test('R1191-1: later packets fit, what was lost is resent', (t) => {
  const c = open();
  c.send(20_000);
  c.rest();
  t.equal(tooBig(c, 1400), 'icmp-pmtu');
  const again = c.take();
  t.match(again, /^\. 1:1361\(1360\)/);
  c.inject('. 1:1(0) ack 1361 win 65535');
  const more = c.rest();
  t.ok(more.length > 0);
  t.ok(more.every((text) => lengthOf(text) <= 1360));
  t.end();
});

void t.test('R1191-2, R8201-1: paths that cannot be are not believed', (t) => {
  for (const mtu of [1, 40, 67]) {
    const c = open();
    c.send(3000);
    t.equal(tooBig(c, mtu), 'icmp-pmtu-ignored', `IPv4 ${mtu}`);
    t.equal(pmtu(c), 1500);
  }
  const least = open({ knobs: { 'net.ipv4.route.min_pmtu': 68 } });
  least.send(3000);
  t.equal(tooBig(least, 68), 'icmp-pmtu');
  t.equal(pmtu(least), 68);
  const usual = open();
  usual.send(3000);
  tooBig(usual, 68);
  t.equal(pmtu(usual), 552, 'the floor that is kept by default');
  for (const mtu of [0, 600, 1279]) {
    const c = open({ v6: true });
    c.send(3000);
    t.equal(tooBig(c, mtu, 1, true), 'icmp-pmtu-ignored', `IPv6 ${mtu}`);
    t.equal(pmtu(c), 1500);
  }
  t.end();
});

void t.test('R1191-3, R8201-3, R5927-7: a report never raises the estimate', (t) => {
  for (const v6 of [false, true]) {
    const c = open({ v6 });
    c.send(3000);
    tooBig(c, 1400, 1, v6);
    for (const mtu of [1400, 1450, 1500, 9000]) {
      t.equal(tooBig(c, mtu, 1, v6), 'icmp-pmtu-ignored', `${mtu}`);
      t.equal(pmtu(c), 1400);
    }
  }
  t.end();
});

void t.test("R1191-4, R8201-3: nothing larger for ten minutes; then the link's MTU is tried again", (t) => {
  for (const v6 of [false, true]) {
    const c = open({ v6 });
    const header = v6 ? 60 : 40;
    c.send(3000);
    c.rest();
    tooBig(c, 1400, 1, v6);
    const largest = (): number => {
      c.send(5000);
      return Math.max(...acknowledged(c).map(lengthOf));
    };
    for (let minutes = 0; minutes < 10; minutes++) {
      t.equal(largest(), 1400 - header, `after ${minutes} minutes`);
      c.advance(60_000);
    }
    c.advance(1);
    t.equal(largest(), 1500 - header);
    // A new connection neither
    const fresh = c.stack.connect({ address: c.peer.toString(), port: 9 });
    if (typeof fresh === 'string') throw new Error(fresh);
    t.equal(c.stack.tcpInfo(fresh).pmtu, 1500, 'forgotten for the host, too');
  }
  t.end();
});

void t.test('R1191-5: without a next-hop MTU down the plateaus', (t) => {
  const c = open({ knobs: { 'net.ipv4.route.min_pmtu': 68 } });
  c.send(20_000);
  c.rest();
  const seen: number[] = [];
  for (let i = 0; i < 5; i++) {
    report(c, false, 3, 4, 1, 0, pmtu(c) - 40);
    seen.push(pmtu(c));
  }
  t.same(seen, [1492, 1006, 508, 296, 68]);
  const linux = open({ policy: 'linux' });
  linux.send(3000);
  tooBig(linux, 0);
  t.equal(pmtu(linux), 552, 'Linux: its floor');
  t.end();
});

void t.test('R1191-6: ten packets, ten reports: the data is resent once', (t) => {
  const c = open();
  c.send(14_600);
  c.rest();
  for (let i = 0; i < 10; i++) tooBig(c, 1400, 1 + 1460 * i);
  c.inject('. 1:1(0) ack 1361 win 65535');
  c.rest();
  t.equal(c.stack.tcpInfo(c.user!).totalRetrans, 11, '14600 bytes in segments of 1360, once');
  t.end();
});

void t.test('R1191-7, R8201-4: no sign of congestion, but one segment until an ACK comes', (t) => {
  for (const v6 of [false, true]) {
    const c = open({ v6 });
    c.send(40_000);
    c.rest();
    const before = c.stack.tcpInfo(c.user!);
    tooBig(c, 1400, 1, v6);
    t.equal(c.rest().length, 1);
    const after = c.stack.tcpInfo(c.user!);
    t.equal(Math.round(after.sndCwnd / after.sndMss), Math.round(before.sndCwnd / before.sndMss));
    t.equal(after.sndSsthresh, before.sndSsthresh);
    c.inject(`. 1:1(0) ack ${1 + (v6 ? 1340 : 1360)} win 65535`);
    t.ok(c.rest().length > 5, 'the window again');
  }
  const linux = open({ policy: 'linux' });
  linux.send(40_000);
  linux.rest();
  tooBig(linux, 1400);
  t.ok(linux.rest().length > 5, 'Linux does not wait');
  t.end();
});

void t.test("R1191-8: the peer's MSS bounds segments whatever the path", (t) => {
  const c = open({}, '<mss 600>');
  c.send(3000);
  t.ok(c.rest().every((text) => lengthOf(text) <= 600));
  t.end();
});

void t.test('R8201-2, R5927-1: what quotes nothing in flight is no report', (t) => {
  for (const v6 of [false, true]) {
    const c = open({ v6 });
    c.send(1000);
    for (const at of [0, 1001, -5000, 100_000]) {
      t.equal(tooBig(c, 1300, at, v6), 'icmp-out-of-window', `${at}`);
      t.equal(pmtu(c), 1500);
    }
    t.equal(tooBig(c, 1300, 1000, v6), 'icmp-pmtu');
  }
  t.end();
});

void t.test(
  'R5927-8, R5927-9, R5927-10: larger packets were acknowledged: believed at a timeout, if data does not get through',
  (t) => {
    const proven = (options: ConversationOptions = {}): Conversation => {
      const c = open(options);
      c.send(2920);
      c.rest();
      c.inject('. 1:1(0) ack 2921 win 65535');
      c.send(2920);
      c.rest();
      return c;
    };
    const first = open();
    first.send(2920);
    t.equal(tooBig(first, 1400), 'icmp-pmtu', 'nothing was acknowledged yet');
    const c = proven();
    t.equal(tooBig(c, 576, 2921), 'icmp-pmtu-pending');
    t.equal(pmtu(c), 1500);
    t.same(c.rest(), []);
    c.advance(1000);
    t.equal(pmtu(c), 576);
    t.match(c.rest().at(-1), /^\. 2921:3457\(536\)/);
    t.equal(c.stack.tcpInfo(c.user!).sndSsthresh > 1e8, true, 'R8201-4');
    const got = proven();
    tooBig(got, 576, 2921);
    got.inject('. 1:1(0) ack 5841 win 65535');
    got.send(1460);
    got.rest();
    got.advance(2000);
    t.equal(pmtu(got), 1500, 'it got through');
    const linux = proven({ policy: 'linux' });
    t.equal(tooBig(linux, 576, 2921), 'icmp-pmtu', 'Linux believes at once');
    t.end();
  },
);

void t.test(
  'R6691-1, R6691-2: the MSS option is the MTU less fixed headers, whatever options may be sent',
  (t) => {
    for (const [v6, mss] of [
      [false, 1460],
      [true, 1440],
    ] as const) {
      for (const timestamps of [0, 1]) {
        const c = new Conversation({ v6, knobs: { 'net.ipv4.tcp_timestamps': timestamps } });
        c.connect();
        t.match(c.take(), new RegExp(`<mss ${mss}[,>]`));
      }
    }
    t.end();
  },
);

void t.test('R6691-3: options of each segment come off its payload', (t) => {
  const c = new Conversation({ stamped: true });
  c.established('<mss 1460,sackOK,TS val 100 ecr 0>');
  c.send(1448);
  t.match(c.take(), /^P\. 1:1449\(1448\)/);
  c.inject('. 1:1(0) ack 1449 win 65535');
  c.inject('. 101:201(100) ack 1449 win 65535');
  c.rest();
  c.send(3000);
  const said = c.rest();
  t.ok(
    said.every((text) => lengthOf(text) + 40 + 12 + (text.includes('sack') ? 12 : 0) <= 1500),
    said.join('\n'),
  );
  t.end();
});

void t.test('R1122-16: with discovery off, 576 bytes beyond the subnet and DF clear', (t) => {
  const df = (c: Conversation): boolean => {
    const { tx } = c.stack;
    c.stack.output(c.now | 0);
    const set = (tx.bytes[tx.offsetOf(0) + 6]! & 0x40) !== 0;
    return set;
  };
  const far = { peer: '192.0.2.7' };
  for (const [off, options, largest, flag] of [
    [1, far, 536, false],
    [1, {}, 1460, false],
    [0, far, 1460, true],
  ] as const) {
    const c = open({ ...options, knobs: { 'net.ipv4.ip_no_pmtu_disc': off } });
    c.stack.send(c.user!, new Uint8Array(3000));
    t.equal(df(c), flag);
    c.collect();
    t.equal(Math.max(...c.rest().map(lengthOf)), largest);
    if (off === 1) t.equal(tooBig(c, 560), 'icmp-pmtu-ignored');
  }
  t.end();
});

/** 400 kB from one host to another by a router whose last wire lets 1300 bytes pass; how much arrived within 120 s. */
function throughNarrow(
  t: Test,
  narrow: Narrow,
  knobs: Record<string, number>,
): {
  received: number;
  counters: (name: 'TcpExtTCPMTUPSuccess' | 'TcpExtTCPMTUPFail') => number;
  pmtu: number;
  mss: number;
  tooBig: number;
} {
  const net = new Internet({ seed: 3 });
  const client = net.host('client', { addresses: ['10.0.1.1/24'], policy: 'linux', knobs });
  const server = net.host('server', { addresses: ['10.0.2.1/24'], policy: 'linux' });
  const router = new Router('router');
  net.wire(client, router, { delay: 10 });
  net.wire(router, server, { delay: 10 });
  router.route('10.0.1.0/24', 0).route('10.0.2.0/24', 1, narrow);
  let received = 0;
  server.listen({ port: 80 }, (socket) => {
    socket.onData = (data) => {
      for (let i = 0; i < data.length; i += 61) if (data[i] !== (received + i) % 251) t.fail('wrong bytes');
      received += data.length;
    };
  });
  const socket = client.connect({ address: '10.0.2.1', port: 80 }) as SimSocket;
  const all = Uint8Array.from({ length: 400_000 }, (_, i) => i % 251);
  socket.onConnect = () => socket.write(all);
  net.runUntil(() => received === all.length, 120_000);
  const { pmtu, sndMss } = client.stack.tcpInfo(socket.connection);
  return {
    received,
    counters: (name) => client.stack.counters.get(name),
    pmtu,
    mss: sndMss,
    tooBig: router.counts.tooBig,
  };
}

void t.test('a router that reports: the transfer completes at its MTU', (t) => {
  const { received, pmtu, tooBig } = throughNarrow(t, { mtu: 1300 }, {});
  t.equal(received, 400_000);
  t.equal(pmtu, 1300);
  t.ok(tooBig <= 12, 'only the first flight was lost');
  t.end();
});

void t.test(
  'a black hole: stalls with tcp_mtu_probing 0, completes with 1 at the size that passes, found by probing',
  (t) => {
    const stuck = throughNarrow(t, { mtu: 1300, silent: true }, { 'net.ipv4.tcp_mtu_probing': 0 });
    t.equal(stuck.received, 0);
    for (const probing of [1, 2]) {
      const found = throughNarrow(t, { mtu: 1300, silent: true }, { 'net.ipv4.tcp_mtu_probing': probing });
      t.equal(found.received, 400_000, `knob ${probing}`);
      t.ok(found.mss > 1230 && found.mss <= 1248, `${found.mss}: within the threshold of 1300 bytes`);
      t.ok(found.counters('TcpExtTCPMTUPSuccess') > 0);
      t.ok(found.counters('TcpExtTCPMTUPFail') > 0);
    }
    const tight = throughNarrow(t, { mtu: 600, silent: true }, { 'net.ipv4.tcp_mtu_probing': 1 });
    t.equal(tight.received, 400_000, 'below the base: halved at each further timeout');
    t.end();
  },
);

void t.test(
  'RFC 4821 7.6.2: a lost probe is resent in small segments and does not shrink the window',
  (t) => {
    const c = open(
      {
        knobs: { 'net.ipv4.tcp_mtu_probing': 2, 'net.ipv4.tcp_base_mss': 512, 'net.ipv4.tcp_init_cwnd': 20 },
      },
      '<mss 1460,sackOK>',
    );
    c.send(6000);
    const first = c.rest();
    t.equal(lengthOf(first[0]!), 986, 'half way between 552 and 1500, less headers');
    t.ok(first.slice(1).every((text) => lengthOf(text) <= 512));
    const before = c.stack.tcpInfo(c.user!);
    for (let n = 1; n <= 3; n++) c.inject(`. 1:1(0) ack 1 win 65535 <sack 987:${987 + 512 * n}>`);
    c.advance(50);
    const again = c.rest();
    t.match(again.slice(0, 2), [/^\. 1:513\(512\)/, /^\. 513:987\(474\)/]);
    const after = c.stack.tcpInfo(c.user!);
    t.equal(after.sndSsthresh, before.sndSsthresh);
    t.equal(after.sndCwnd, before.sndCwnd);
    t.equal(c.stack.counters.get('TcpExtTCPMTUPFail'), 1);
    c.inject(`. 1:1(0) ack ${/:(\d+)\(/.exec(first.at(-1)!)![1]} win 65535`);
    acknowledged(c);
    c.send(6000);
    t.equal(lengthOf(c.rest()[0]!), ((552 + 1025) >> 1) - 40, 'the next probe is smaller');
    t.end();
  },
);
