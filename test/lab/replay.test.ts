/** Recordings written by hand, one end played by our stack: its calls, its numbers, what it answers otherwise. */
import t from 'tap';
import { Recorder } from '../../src/lab/replay/recording.js';
import type { PlayOptions } from '../../src/lab/replay/play.js';
import { answerText, replay, type ReplayedFlow } from '../../src/lab/replay/replay.js';
import { formatReplay } from '../../src/view/replay.js';
import { icmpError } from '../../src/wire/icmp.js';
import type { CapturedPacket } from '../../src/wire/pcapng.js';
import { captured, packetsOf } from '../support/capture.js';

const SERVER = '10.0.0.2';
const CLIENT = '10.0.0.1';

interface Given extends Partial<PlayOptions> {
  readonly at?: string;
  /** Bytes that the capture kept of each packet. */
  readonly snap?: number;
}

function replayed(packets: readonly CapturedPacket[], given: Given = {}): ReplayedFlow[] {
  const { at = SERVER, snap = 65_535, ...rest } = given;
  const recorder = new Recorder(new Set([at]));
  for (const packet of packets)
    recorder.take({ ...packet, bytes: packet.bytes.subarray(0, snap) }, packet.bytes.length, 0);
  const options = { policy: 'linux', knobs: [], local: [at], tolerance: 10, tail: 10, ...rest };
  return recorder.recordings().flatMap((recording) => replay(recording, options));
}

/** Where the two part: `recorded SEGMENT`, `ours SEGMENT`, `late SEGMENT`, `call MESSAGE`. */
function apart([flow]: readonly ReplayedFlow[]): string[] {
  return flow!.lines.flatMap((line) => {
    if (line.kind === 'refused') return [`call ${line.message}`];
    if (line.kind === 'arrived' || !line.differs) return [];
    const which = line.ours === null ? 'recorded' : line.recorded === null ? 'ours' : 'late';
    return [`${which} ${answerText((line.recorded ?? line.ours)!)}`];
  });
}

const stamp = (val: number, ecr: number): string => ` <nop,nop,TS val ${val} ecr ${ecr}>`;

/** A server near the wrap answers a request, closes first, and is called again from the same port. */
const request = [
  '0 > S 100:100(0) win 65535 <mss 1460,sackOK,TS val 500 ecr 0,nop,wscale 7>',
  '0.1 < S. 4294967290:4294967290(0) ack 101 win 65160 <mss 1460,sackOK,TS val 9000 ecr 500,nop,wscale 7>',
  `10 > . 101:101(0) ack 4294967291 win 512${stamp(510, 9000)}`,
  `10.5 > P. 101:201(100) ack 4294967291 win 512${stamp(511, 9000)}`,
  `10.6 < . 4294967291:4294967291(0) ack 201 win 509${stamp(9010, 511)}`,
  `15 < P. 4294967291:45(50) ack 201 win 509${stamp(9015, 511)}`,
  `25 > . 201:201(0) ack 45 win 512${stamp(525, 9015)}`,
  `500 < F. 45:45(0) ack 201 win 509${stamp(9500, 525)}`,
  `510 > F. 201:201(0) ack 46 win 512${stamp(1010, 9500)}`,
  `510.1 < . 46:46(0) ack 202 win 509${stamp(9510, 1010)}`,
];
const again = [
  '5000 > S 50:50(0) win 65535 <mss 1460,sackOK,TS val 5500 ecr 0,nop,wscale 7>',
  '5000.1 < S. 77:77(0) ack 51 win 65160 <mss 1460,sackOK,TS val 14000 ecr 5500,nop,wscale 7>',
  `5010 > . 51:51(0) ack 78 win 512${stamp(5510, 14000)}`,
];

t.test('a server answers as recorded: calls, numbers and echoed timestamps are translated', async (t) => {
  const flows = replayed(packetsOf([...request, ...again]));
  t.same(apart(flows), []);
  t.equal(flows.length, 1);
  t.equal(flows[0]!.same, 6);
  t.match(
    formatReplay(flows[0]!, { all: false }),
    /10\.0\.0\.2:80-10\.0\.0\.1:4000: 6 answers, all as recorded/,
  );
});

t.test(
  'another policy: the SYN that linux takes for a new connection is refused, and the report says why',
  async (t) => {
    const flows = replayed(packetsOf([...request, ...again]), { policy: 'rfc9293' });
    const [ours, recorded, reset] = apart(flows);
    t.match(ours, /^ours \. 52:52\(0\) ack 202 /, 'an ACK of the old connection');
    t.match(recorded, /^recorded S\. 0:0\(0\) ack 51 /);
    t.equal(reset, undefined);
    const text = formatReplay(flows[0]!, { all: false });
    t.match(text, /recorded only/);
    t.match(text, /tw-syn-[a-z-]+: answered/);
  },
);

t.test('packets that the capture cut short count whole', async (t) => {
  t.same(apart(replayed(packetsOf([...request, ...again]), { snap: 60 })), []);
});

t.test('a damaged packet stays damaged: its loss shows', async (t) => {
  const packets = packetsOf(request);
  const bytes = packets[3]!.bytes.slice();
  bytes[bytes.length - 1]! ^= 0x40;
  packets[3] = { ...packets[3]!, bytes };
  const flows = replayed(packets);
  t.match(apart(flows)[0], /^recorded \. 1:1\(0\) ack 201 /);
  t.match(formatReplay(flows[0]!, { all: true }), /checksum/i);
});

t.test('the other end: connect, write, close', async (t) => {
  const flows = replayed(packetsOf(request), { at: CLIENT });
  t.same(apart(flows), []);
  t.equal(flows[0]!.same, 5);
});

t.test('a program that answers at once does so before the stack acknowledges', async (t) => {
  const lines = request
    .filter((line) => !line.startsWith('10.6'))
    .map((line) => line.replace(/^15 /, '10.7 '));
  t.same(apart(replayed(packetsOf(lines))), []);
});

t.test('an answer without an ACK before it carries the ACK, as long as the tolerance reaches', async (t) => {
  const lines = request
    .filter((line) => !line.startsWith('10.6'))
    .map((line) => line.replace(/^15 /, '20.5 '));
  t.same(apart(replayed(packetsOf(lines))), []);
  const [alone] = apart(replayed(packetsOf(lines), { tolerance: 9 }));
  t.match(alone, /^ours \. 1:1\(0\) ack 201 /);
});

t.test('a FIN whose sender still reads is a shutdown, else a close', async (t) => {
  const half = [
    '0 > S 100:100(0) win 65535 <mss 1460>',
    '0.1 < S. 0:0(0) ack 101 win 65535 <mss 1460>',
    '10 > . 101:101(0) ack 1 win 65535',
    '20 < F. 1:1(0) ack 101 win 65535',
    '30 > . 101:101(0) ack 2 win 65535',
    '40 > P. 101:111(10) ack 2 win 65535',
  ];
  const reads = [...half, '40.1 < . 2:2(0) ack 111 win 65535'];
  t.same(apart(replayed(packetsOf(reads))), []);
  const gone = [...half, '40.1 < R 2:2(0) win 0'];
  t.same(apart(replayed(packetsOf(gone))), []);
});

t.test('a RST with an ACK is the program, one without answers a segment', async (t) => {
  const opened = request.slice(0, 3);
  const aborted = [...opened, `20 < R. 4294967291:4294967291(0) ack 101 win 509${stamp(9020, 510)}`];
  t.same(apart(replayed(packetsOf(aborted))), []);
  const closedPort = ['0 > S 100:100(0) win 1000 <mss 1460>', '0 < R. 0:0(0) ack 101 win 0'];
  t.same(apart(replayed(packetsOf(closedPort))), [], 'nobody listens');
});

t.test('an answer that an interface was to cut into segments is cut', async (t) => {
  const big = [
    ...request.slice(0, 3),
    `20 < P. 4294967291:2895(2900) ack 101 win 509${stamp(9020, 510)}`,
    `30 > . 101:101(0) ack 2895 win 512${stamp(530, 9020)}`,
  ];
  t.same(apart(replayed(packetsOf(big))), []);
});

t.test('an ICMP error is about the segment that we sent, whatever its number was', async (t) => {
  const [syn] = packetsOf(['0 > S 7000:7000(0) win 65535 <mss 1460,sackOK,TS val 500 ecr 0,nop,wscale 7>']);
  const error = captured(5, false, '. 0:0(0) ack 0 win 0');
  const bytes = icmpError(syn!.bytes, { type: 3, code: 3, source: Uint8Array.of(10, 0, 0, 2) });
  const late = captured(4000, false, 'R. 0:0(0) ack 7001 win 0');
  const flows = replayed([syn!, { ...error, bytes }, late], { at: CLIENT });
  t.same(apart(flows), [], 'no SYN is sent again');
  const silent = apart(replayed([syn!, late], { at: CLIENT }));
  t.match(silent[0], /^ours S 0:0\(0\)/, 'without the error it is');
});

t.test('an answer at another time differs, unless the tolerance says otherwise', async (t) => {
  const lines = request.map((line) => line.replace(/^10\.6 /, '14.6 '));
  t.same(apart(replayed(packetsOf(lines))), []);
  t.match(apart(replayed(packetsOf(lines), { tolerance: 1 }))[0], /^late \. 1:1\(0\) ack 201 /);
});

t.test('a call that cannot be made is said', async (t) => {
  // The recorded end reopens at once from a port that rfc9293 keeps in TIME-WAIT
  const client = [
    '0 > S 100:100(0) win 1000 <mss 1460,sackOK,nop,wscale 7>',
    '1 < S. 5:5(0) ack 101 win 1000 <mss 1460>',
    '1.1 > . 101:101(0) ack 6 win 1000',
    '2 > F. 101:101(0) ack 6 win 1000',
    '3 < F. 6:6(0) ack 102 win 1000',
    '3.1 > . 102:102(0) ack 7 win 1000',
    '50 > S 90000:90000(0) win 1000 <mss 1460,sackOK,nop,wscale 7>',
  ];
  const knobs = [{ name: 'net.ipv4.tcp_timestamps', value: 0 }];
  const parted = apart(replayed(packetsOf(client), { at: CLIENT, policy: 'rfc9293', knobs }));
  t.match(parted, [/^call connect\(\): EADDR/, /^recorded S 89900:/]);
});

t.test('options of the SYN that only one side has: the knob is named', async (t) => {
  const bare = ['0 > S 1:1(0) win 100 <mss 1460,sackOK>', '0 < S. 9:9(0) ack 2 win 100 <mss 1460>'];
  const [flow] = replayed(packetsOf(bare));
  t.match(flow!.hints, [/no sackOK.*--set net\.ipv4\.tcp_sack=0/]);
  const [alike] = replayed(packetsOf(bare), { knobs: [{ name: 'net.ipv4.tcp_sack', value: 0 }] });
  t.same(alike!.hints, []);
  t.same(apart([alike!]), []);
});
