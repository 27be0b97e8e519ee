/** What the sender of the linux dialect computes: CUBIC beside RFC 9438 in floating point, HyStart, the RTO, windows that lie idle. */
import t from 'tap';
import { Counters } from '../../src/mib.js';
import type { PathFacts } from '../../src/tcp/congestion/control.js';
import { LinuxCubic } from '../../src/tcp/congestion/cubic-linux.js';
import { RttEstimator } from '../../src/tcp/rto.js';
import { Conversation } from '../support/conversation.js';

const MSS = 1000;
const RTT = 100;

/** RFC 9438 4 word by word, windows in segments, times in seconds; but alpha stays what it is, as tcp_cubic.c has it (R9438-6 makes it 1 from cwnd_prior on). */
class Oracle {
  private readonly k: number;
  private estimate: number;

  constructor(
    readonly wMax: number,
    public window: number,
  ) {
    this.k = Math.cbrt((wMax - window) / 0.4);
    this.estimate = window;
  }

  acked(time: number): void {
    const curve = (at: number): number => 0.4 * (at - this.k) ** 3 + this.wMax;
    this.estimate += (3 * 0.3) / 1.7 / this.window;
    if (curve(time) < this.estimate) this.window = Math.max(this.window, this.estimate);
    else {
      const target = Math.min(1.5 * this.window, Math.max(this.window, curve(time + RTT / 1000)));
      this.window += (target - this.window) / this.window;
    }
  }
}

const facts = (now: number, rtt = RTT): PathFacts => ({
  mss: MSS,
  now,
  srtt: RTT,
  rtt,
  una: 0,
  nxt: 0,
  paced: false,
});

/** A connection in congestion avoidance that lost something at `peak` segments. */
function reduced(peak: number): LinuxCubic {
  const cubic = new LinuxCubic();
  cubic.start(peak * MSS);
  cubic.ssthresh = peak * MSS;
  cubic.measured(facts(0), new Counters());
  cubic.reduce(peak * MSS, facts(0));
  cubic.cwnd = cubic.ssthresh;
  return cubic;
}

for (const [peak, why] of [
  [14, "Reno's region"],
  [60, 'both'],
  [400, 'the curve, concave and then convex'],
] as const) {
  void t.test(`R9438-1 .. R9438-5 in integers: from ${peak} segments on, ${why}`, (t) => {
    const cubic = reduced(peak);
    t.equal(cubic.ssthresh / MSS, Math.floor((peak * 717) / 1024), 'beta in 1024ths, whole segments');
    const oracle = new Oracle(peak, cubic.cwnd / MSS);
    let worst = 0;
    for (let now = 0; now < 12_000; now += RTT) {
      const segments = cubic.cwnd / MSS;
      for (let i = 0; i < segments; i++) cubic.acked(MSS, facts(now + Math.floor((i * RTT) / segments)));
      const expected = Math.floor(oracle.window);
      for (let i = 0; i < expected; i++) oracle.acked((now + (i * RTT) / expected) / 1000);
      const off = Math.abs(cubic.cwnd / MSS - oracle.window);
      worst = Math.max(worst, off / Math.max(25, oracle.window));
    }
    t.ok(worst < 0.06, `${(100 * worst).toFixed(1)} % apart at most`);
    t.ok(cubic.cwnd > peak * MSS, 'and it has left the old maximum behind');
    t.end();
  });
}

void t.test('R9438-9: fast convergence: a second loss on the way up lowers the plateau', (t) => {
  const plateau = (again: number): number => {
    const cubic = reduced(400);
    cubic.reduce(again * MSS, facts(0));
    cubic.cwnd = 200 * MSS;
    // Where the curve is flat
    let flat = 0;
    let least = Infinity;
    for (let now = 0; now < 15_000; now += RTT) {
      const before = cubic.cwnd;
      for (let i = 0; i < before / MSS; i++) cubic.acked(MSS, facts(now));
      const grown = cubic.cwnd - before;
      if (now > 0 && grown < least) [least, flat] = [grown, before / MSS];
    }
    return flat;
  };
  const below = (300 * (1024 + 717)) / 2048;
  t.ok(Math.abs(plateau(300) - below) < 8, `near ${below}`);
  t.ok(Math.abs(plateau(400) - 400) < 8, 'not from the old maximum itself');
  t.end();
});

void t.test('a timeout forgets the path, undo brings the window back', (t) => {
  const cubic = reduced(100);
  cubic.timeout(70 * MSS, facts(10), false);
  t.equal(cubic.cwnd, MSS);
  t.equal(cubic.ssthresh, 49 * MSS, '70 segments by 717/1024');
  cubic.undo();
  t.equal(cubic.cwnd, 70 * MSS);
  t.equal(cubic.ssthresh, 70 * MSS);
  t.end();
});

/** Slow start, one ACK a segment; `delay` of the n-th ACK of a round. Segments at which it ended, Infinity never. */
function hystart(
  delay: (round: number, n: number) => number,
  gap: number,
  paced = false,
): { at: number; counters: Counters } {
  const cubic = new LinuxCubic();
  const counters = new Counters();
  cubic.start(10 * MSS);
  let una = 0;
  for (let round = 0; round < 5; round++) {
    const segments = cubic.cwnd / MSS;
    const nxt = una + 2 * segments;
    for (let n = 0; n < segments; n++) {
      const now = round * 1000 + n * gap;
      una++;
      cubic.measured(
        { ...facts(now, delay(round, n)), una, nxt: n === 0 ? una + segments - 1 : nxt, paced },
        counters,
      );
      if (cubic.ssthresh === cubic.cwnd) return { at: cubic.cwnd / MSS, counters };
      cubic.acked(MSS, facts(now));
    }
  }
  return { at: Infinity, counters };
}

void t.test(
  'HyStart: rising delay ends slow start from 16 segments on, after eight samples of a round',
  (t) => {
    t.equal(hystart(() => 100, 3).at, Infinity, 'an even path');
    t.equal(
      hystart((round) => (round === 0 ? 100 : 111), 3).at,
      Infinity,
      '12 ms are an eighth: 11 are none',
    );
    const { at, counters } = hystart((round) => (round === 0 ? 100 : 113), 3);
    t.equal(at, 28, 'at the ninth ACK of the second round');
    t.equal(counters.get('TcpExtTCPHystartDelayDetect'), 1);
    t.equal(counters.get('TcpExtTCPHystartDelayCwnd'), 28);
    t.equal(
      hystart((round, n) => (round === 0 || n === 4 ? 100 : 113), 3).at > 28,
      true,
      'the smallest of them counts',
    );
    t.equal(hystart((round) => (round === 0 ? 16 : 19), 3).at, Infinity, 'at least 4 ms');
    t.end();
  },
);

void t.test(
  'HyStart: a train of ACKs half the shortest delay long fills the path; paced, a whole delay',
  (t) => {
    const { at, counters } = hystart(() => 20, 1);
    t.ok(at > 20 && at < 40, `${at} segments`);
    t.equal(counters.get('TcpExtTCPHystartTrainDetect'), 1);
    t.ok(hystart(() => 20, 1, true).at > at, 'paced segments come as a train by themselves');
    t.equal(hystart(() => 20, 3).at, Infinity, 'with gaps it is no train');
    t.end();
  },
);

void t.test(
  'R6298-4, R6298-5 as Linux: the 200 ms bound the variance, which falls once a round trip',
  (t) => {
    const rtt = new RttEstimator();
    rtt.reset(1000, 200, 120_000, true);
    rtt.sample(10, 1, 10);
    t.equal(rtt.rto, 10 + 200);
    for (let una = 2; una < 100; una++) rtt.sample(10, una, una + 10);
    t.equal(rtt.rto, 210, 'never below SRTT and 200 ms');
    rtt.sample(500, 100, 110);
    const risen = rtt.rto;
    t.ok(risen > 550, `${risen} ms: up at once`);
    rtt.sample(10, 101, 110);
    const { rttvar4 } = rtt;
    for (let una = 102; una < 105; una++) rtt.sample(10, una, 112);
    t.ok(rtt.rttvar4 >= rttvar4, 'not within the round trip');
    for (let round = 0; round < 60; round++) rtt.sample(10, 200 + 10 * round, 205 + 10 * round);
    t.ok(rtt.rttvar4 - 200 < 4, 'a quarter less each, down to the bound');
    rtt.reset(1000, 200, 120_000, true);
    rtt.sample(300, 1, 10);
    t.equal(rtt.rto, 300 + 600, 'the first sample: twice as much beside it');
    const before = rtt.rttvar4;
    rtt.sample(50, 2, 10);
    t.equal(rtt.rttvar4, before + ((250 - 150) >> 3), 'of a shorter round trip an eighth counts');
    t.end();
  },
);

/** Established over 100 ms under linux, with a window of 40 segments, all acknowledged. */
function warm(knobs: Readonly<Record<string, number>> = {}): Conversation {
  const c = new Conversation({ policy: 'linux', knobs });
  c.established('<mss 1000,sackOK>', 100);
  let at = 1;
  for (const segments of [10, 20]) {
    c.send(1000 * segments);
    c.advance(100);
    for (let i = 0; i < segments; i++) c.inject(`. 1:1(0) ack ${(at += 1000)} win 65535`);
  }
  c.rest();
  return c;
}

void t.test(
  'RFC 2861, R5681-30: half the window is lost in each RTO of silence, down to the first window',
  (t) => {
    for (const [knob, rtos, window] of [
      [1, 0.9, 40],
      [1, 1.1, 20],
      [1, 2.1, 10],
      [1, 9, 10],
      [0, 9, 40],
    ] as const) {
      const c = warm({ 'net.ipv4.tcp_slow_start_after_idle': knob });
      const { sndCwnd, rto } = c.stack.tcpInfo(c.user!);
      t.equal(sndCwnd, 40_000);
      // The last segment left a round trip ago.
      c.advance(Math.floor(rto * rtos) - 100);
      c.send(50_000);
      const info = c.stack.tcpInfo(c.user!);
      t.equal(info.sndCwnd, 1000 * window, `${rtos} RTO, knob ${knob}`);
    }
    t.end();
  },
);

void t.test('RFC 2861: what of the window was not used for an RTO is halved away', (t) => {
  const c = warm();
  let at = 30_001;
  // 12 segments a round trip, which is below half of 40
  for (let round = 0; round < 6; round++) {
    c.send(12_000);
    c.advance(100);
    c.inject(`. 1:1(0) ack ${(at += 12_000)} win 65535`);
  }
  t.equal(c.stack.tcpInfo(c.user!).sndCwnd, (40_000 + 12_000) / 2);
  t.end();
});
