/** Requirements of RFC 9293, 7323 and 5961 that no other file has in its titles: reports to the user, ICMP, IP's options, scaled windows. */
import t from 'tap';
import { EV_SOFT_ERROR } from '../../src/stack/api.js';
import { reasonText } from '../../src/reasons.js';
import { fold, sum } from '../../src/wire/checksum.js';
import { icmpError } from '../../src/wire/icmp.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { Conversation } from '../support/conversation.js';
import { reach } from '../support/states.js';

/** An ICMP error about a segment of ours at `at`, sent from `localPort` to `peerPort`; the reason it got. */
function report(
  c: Conversation,
  v6: boolean,
  at: number,
  error: { type: number; code: number; rest?: number },
  ports: { local: number; peer: number; iss: number } = {
    local: c.ourPort,
    peer: c.peerPort,
    iss: c.ourIss!,
  },
): string {
  const quoted = buildPacket(
    { flags: 0x10, seq: (ports.iss + at) >>> 0, ack: 0, length: 0, win: 0, options: [] },
    { src: c.us, dst: c.peer, srcPort: ports.local, dstPort: ports.peer },
  );
  const source = v6
    ? Uint8Array.of(0xfd, ...new Array<number>(14).fill(0), 254)
    : Uint8Array.of(10, 0, 0, 254);
  const packet = icmpError(quoted, { rest: 0, ...error, source });
  const reason = c.stack.receive(packet, 0, packet.length, c.now);
  c.collect();
  return reasonText(reason).id;
}

const told = (c: Conversation): boolean => (c.user!.takeEvents() & EV_SOFT_ERROR) !== 0;

/** Milliseconds until the state is CLOSED, at most `limit`. */
function lifetime(c: Conversation, limit: number): number {
  const start = c.now;
  while (c.state !== 'CLOSED' && c.now - start < limit) c.advance(100);
  return c.now - start;
}

void t.test(
  'MUST-20, SHLD-9: at R1 the path is doubted and the user told, at R2 the connection ends',
  (t) => {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_retries2': 6 } });
    c.established();
    c.send(10);
    t.equal(report(c, false, 1, { type: 3, code: 4, rest: 1200 }), 'icmp-pmtu');
    t.equal(c.info.pmtu, 1200);
    c.inject('. 1:1(0) ack 11 win 65535');
    told(c);
    c.send(10);
    const retries = (): number => c.stack.counters.get('TcpExtTCPTimeouts');
    while (retries() < 2) c.advance(1);
    t.notOk(told(c), 'two retransmissions');
    while (retries() < 3) c.advance(1);
    t.ok(told(c), 'the third');
    t.equal(c.user!.softError, 'ETIMEDOUT');
    t.equal(c.state, 'ESTABLISHED');
    // The advice to IP: what it remembered of the path is forgotten
    const next = new Conversation();
    t.equal(next.stack.knob('net.ipv4.tcp_retries2'), 15);
    const other = c.stack.connect({ address: c.peer.toString(), port: 6000 });
    if (typeof other === 'string') throw new Error(other);
    t.equal(c.stack.tcpInfo(other).pmtu, 1500);
    c.stack.abort(other);
    while (c.user!.error === null && retries() < 20) c.advance(1);
    t.equal(c.user!.error, 'ETIMEDOUT');
    t.equal(retries(), 6, 'R2');
    t.end();
  },
);

void t.test(
  'MUST-21, R1122-17: R2 of one connection: a time, longer than any count of retransmissions, or none',
  (t) => {
    const hour = 3_600_000;
    for (const [limit, least, most] of [
      [20_000, 20_000, 20_100],
      [2 * hour, 2 * hour, 2 * hour + 100],
      [-1, 24 * hour, 24 * hour],
    ] as const) {
      const c = new Conversation();
      c.established();
      c.stack.setOption(c.user!, 'userTimeout', limit);
      c.send(10);
      const ended = lifetime(c, 24 * hour);
      t.ok(ended >= least && ended <= most, `${limit}: after ${ended} ms`);
      if (limit > 0) t.equal(c.user!.error, 'ETIMEDOUT');
    }
    const c = new Conversation();
    c.established();
    c.send(10);
    t.ok(lifetime(c, 24 * hour) < hour, 'the others go by the count');
    t.end();
  },
);

void t.test(
  'SHLD-20, SHLD-9: reports of soft errors can be switched off; the failure itself is told',
  (t) => {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_retries2': 5 } });
    c.established();
    c.stack.setOption(c.user!, 'errorReports', 0);
    c.send(10);
    t.equal(report(c, false, 1, { type: 3, code: 1 }), 'icmp-soft');
    t.notOk(told(c), 'host unreachable');
    while (c.stack.counters.get('TcpExtTCPTimeouts') < 5) {
      c.advance(1);
      t.notOk(told(c));
    }
    lifetime(c, 600_000);
    t.equal(c.user!.error, 'EHOSTUNREACH', 'what the path said last');
    const works = new Conversation();
    works.established();
    works.stack.setOption(works.user!, 'errorReports', 0);
    works.send(10);
    report(works, false, 1, { type: 3, code: 1 });
    works.inject('P. 1:6(5) ack 11 win 65535');
    t.equal(works.read().length, 5, 'the transfer goes on');
    t.end();
  },
);

void t.test('MUST-54: an ICMP error goes to the connection it quotes and to no other', (t) => {
  for (const v6 of [false, true]) {
    const c = new Conversation({ v6 });
    c.listen();
    const ends = [5000, 5001].map((peer) => {
      c.peerPort = peer;
      c.ourIss = null;
      c.inject('S 0:0(0) win 65535 <mss 1460>');
      c.inject('. 1:1(0) ack 1 win 65535');
      c.accept();
      c.send(10);
      return { user: c.user!, ports: { local: c.ourPort, peer, iss: c.ourIss! } };
    });
    const [a, b] = ends as [(typeof ends)[0], (typeof ends)[0]];
    const unreachable = v6 ? { type: 1, code: 3 } : { type: 3, code: 1 };
    t.equal(report(c, v6, 1, unreachable, a.ports), 'icmp-soft');
    t.same([a.user.softError, b.user.softError], ['EHOSTUNREACH', null]);
    for (const ports of [
      { ...b.ports, peer: 5002 },
      { ...b.ports, local: 81 },
    ])
      t.equal(report(c, v6, 1, unreachable, ports), 'icmp-unmatched');
    t.equal(b.user.softError, null, 'what matches nothing harms nobody');
    t.same([a.user.stateName, b.user.stateName], ['ESTABLISHED', 'ESTABLISHED']);
  }
  const c = new Conversation();
  const open = (localPort: number): [ReturnType<typeof c.stack.connect>, number] => {
    c.ourIss = null;
    const opened = c.stack.connect({ address: c.peer.toString(), port: 5000, localPort });
    c.collect();
    return [opened, c.ourIss!];
  };
  const [one, iss] = open(4000);
  const [two] = open(4001);
  if (typeof one === 'string' || typeof two === 'string') throw new Error('not opened');
  t.equal(report(c, false, 0, { type: 3, code: 3 }, { local: 4000, peer: 5000, iss }), 'icmp-hard');
  t.same([one.error, two.error], ['ECONNREFUSED', null], 'port unreachable for the first SYN');
  t.equal(two.stateName, 'SYN-SENT');
  t.end();
});

void t.test('MUST-53: a packet with a source route is dropped, other IP options are skipped', (t) => {
  const withOptions = (c: Conversation, options: readonly number[]): Uint8Array => {
    const plain = buildPacket(
      { flags: 0x02, seq: c.peerIss, length: 0, win: 65_535 },
      { src: c.peer, dst: c.us, srcPort: c.peerPort, dstPort: c.ourPort },
    );
    const packet = Uint8Array.of(...plain.subarray(0, 20), ...options, ...plain.subarray(20));
    const view = new DataView(packet.buffer);
    view.setUint8(0, 0x40 | ((20 + options.length) >> 2));
    view.setUint16(2, packet.length);
    view.setUint16(10, 0);
    view.setUint16(10, fold(sum(packet, 0, 20 + options.length, 0)));
    return packet;
  };
  for (const [name, options, taken] of [
    ['loose', [131, 11, 12, 10, 0, 0, 7, 10, 0, 0, 8, 0], false],
    ['strict', [137, 7, 8, 10, 0, 0, 7, 0], false],
    ['behind another', [1, 222, 4, 0, 0, 1, 1, 1, 131, 7, 8, 10, 0, 0, 7, 0], false],
    ['record route', [7, 7, 4, 0, 0, 0, 0, 0], true],
    ['unknown', [222, 4, 131, 137], true],
    ['behind the end', [0, 131, 7, 8], true],
    ['length 0', [222, 0, 131, 7], true],
  ] as const) {
    const c = new Conversation();
    c.listen();
    const packet = withOptions(c, options);
    const reason = c.stack.receive(packet, 0, packet.length, c.now | 0);
    c.collect();
    t.equal(reasonText(reason).id === 'ip-source-route', !taken, name);
    t.equal(c.rest().length, taken ? 1 : 0, name);
  }
  t.end();
});

void t.test(
  'R9293-65: after an abort the same tuple starts above what was sent, and takes nothing old',
  (t) => {
    const c = new Conversation();
    c.connect();
    c.inject('S. 0:0(0) ack 1 win 65535 <mss 1000>');
    c.send(5000);
    c.stack.abort(c.user!);
    c.collect();
    c.rest();
    t.equal(c.state, 'CLOSED');
    const first = c.ourIss!;
    c.advance(100);
    c.ourIss = null;
    c.connect();
    t.ok((c.ourIss! - (first + 5001)) >>> 0 < 2 ** 31, 'above SND.NXT');
    c.rest();
    c.inject('. 1:101(100) ack 5001 win 65535');
    t.match(c.rest().join(), /^R 5001:5001/, 'an old segment with an old ACK is refused');
    t.equal(c.state, 'SYN-SENT');
    c.inject('S. 5000:5000(0) ack 1 win 65535 <mss 1000>');
    c.rest();
    c.inject('. 1:101(100) ack 1 win 65535');
    t.equal(c.read().length, 0, 'nor is old data taken');
    t.end();
  },
);

void t.test('R7323-5: a SYN with Window Scale is answered with it, one without is not', (t) => {
  for (const shift of [0, 2, 14, null]) {
    const c = new Conversation();
    c.listen();
    c.inject(`S 0:0(0) win 65535 <mss 1460${shift === null ? '' : `,nop,wscale ${shift}`}>`);
    t.equal(/wscale \d+/.test(c.take()), shift !== null, `${shift}`);
  }
  t.end();
});

void t.test('R7323-14: with windows scaled by 14 cwnd still goes by segments', (t) => {
  const c = new Conversation({ knobs: { 'net.ipv4.tcp_rmem': 2 ** 30 } });
  c.established('<mss 1000,nop,wscale 14>');
  t.same([c.info.sndWscale, c.info.rcvWscale], [14, 14]);
  c.inject('. 1:1(0) ack 1 win 60000');
  c.send(1_000_000);
  for (let round = 0; round < 4; round++) {
    for (const { seq, length } of c.segments()) {
      const { sndCwnd } = c.info;
      c.inject(`. 1:1(0) ack ${seq + length} win 60000`);
      t.equal(c.info.sndCwnd - sndCwnd, 1000);
    }
  }
  t.end();
});

void t.test(
  'R7323-19: a retransmission goes out whole although rounding took the window a little back',
  (t) => {
    const c = new Conversation();
    c.established('<mss 1000,nop,wscale 7>');
    c.inject('. 1:1(0) ack 1 win 16');
    c.send(5000);
    t.same(
      c.segments().map(({ seq, length }) => [seq, length]),
      [
        [1, 1000],
        [1001, 1000],
      ],
      '2048 bytes of window',
    );
    c.inject('. 1:1(0) ack 1001 win 7');
    t.equal(c.info.sndWnd, 896, 'the right edge is 104 below that of what is in flight');
    c.rest();
    c.advance(c.info.rto);
    t.same(
      c.segments().map(({ seq, length }) => [seq, length]),
      [[1001, 1000]],
    );
    t.end();
  },
);

void t.test('R7323-34: many ACKs in a round trip weigh no more than one sample would', (t) => {
  for (const options of ['<mss 988,TS val 100 ecr 0>', '<mss 1000>']) {
    const c = new Conversation({ knobs: { 'net.ipv4.tcp_init_cwnd': 20, 'net.ipv4.tcp_rto_min': 2000 } });
    c.established(options);
    const flight = (rtt: number): void => {
      c.send(20 * 976);
      c.advance(rtt);
      for (const { seq, length, options: sent } of c.segments()) {
        const stamp = sent!.find((option) => option.kind === 'TS');
        const echo = stamp === undefined ? '' : ` <TS val 101 ecr ${stamp.val}>`;
        c.inject(`. 1:1(0) ack ${seq + length} win 65535${echo}`);
      }
    };
    for (let i = 0; i < 30; i++) flight(100);
    const { srtt } = c.info;
    t.ok(srtt >= 97 && srtt <= 100, `${srtt}`);
    flight(1000);
    const moved = c.info.srtt - srtt;
    t.ok(moved <= 115, `20 ACKs of an outlier of 900 ms more move SRTT by an eighth of it, ${moved} ms`);
  }
  t.end();
});

void t.test(
  "R5961-13: the limit of challenge ACKs is each connection's own and tells nothing of another",
  (t) => {
    const c = new Conversation();
    reach.established(c);
    for (let i = 0; i < 30; i++) c.inject(`R ${100 + i}:${100 + i}(0) win 0`);
    t.equal(c.rest().length, 10, 'ten, and no more, on the first');
    c.peerPort = 5001;
    c.ourIss = null;
    c.inject('S 0:0(0) win 65535 <mss 1460>');
    c.inject('. 1:1(0) ack 1 win 65535');
    c.rest();
    for (let i = 0; i < 30; i++) c.inject(`R ${100 + i}:${100 + i}(0) win 0`);
    t.equal(c.rest().length, 10, 'ten on the second, as if there were no first');
    t.end();
  },
);
