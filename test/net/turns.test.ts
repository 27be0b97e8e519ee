/** Turns of the driver against a device whose packets cost what the test says, under clocks that the test moves. */
import t from 'tap';
import type { Link } from '../../src/link/link.js';
import { Driver } from '../../src/net/driver.js';
import { IdleTimer } from '../../src/net/idle.js';
import { Stack } from '../../src/stack/stack.js';
import { ManualClock } from '../../src/time/clock.js';
import type { PacketRing } from '../../src/wire/ring.js';
import { SERVER, connected, virtualPair } from './helpers.js';

/** Always has packets: nobody's, which are dropped as soon as they are seen. */
class Device implements Link {
  readonly name = 'device';
  readonly mtu = 1500;
  /** ms that a packet costs. */
  cost = 0;
  waiting = Infinity;
  /** Packets of each batch since `batches` was last emptied. */
  batches: number[] = [];
  /** ms, what has been spent. */
  spent = 0;

  receive(ring: PacketRing): number {
    const count = Math.min(ring.free, this.waiting);
    for (let i = 0; i < count; i++) ring.push(20, 0);
    this.waiting -= count;
    if (count > 0) this.batches.push(count);
    return count;
  }
  settle(ring: PacketRing): void {
    this.spent += ring.count * this.cost;
  }
  transmit(ring: PacketRing): number {
    const { count } = ring;
    ring.clear();
    return count;
  }
  onReadable(): void {}
  ref(): void {}
  unref(): void {}
  close(): void {}
}

function driven(): { driver: Driver; stack: Stack; device: Device; clock: ManualClock; turn(): number[] } {
  const device = new Device();
  const clock = new ManualClock(1_000_000);
  const stack = new Stack({
    addresses: [`${SERVER}/24`],
    seed: new Uint8Array(32),
    mtu: device.mtu,
    now: clock.now(),
  });
  const driver = new Driver(stack, device, clock, { manual: true, stopwatch: () => device.spent });
  // The clock goes with what is spent, in whole ms
  let gone = 0;
  const turn = (): number[] => {
    device.batches = [];
    clock.advance(Math.floor(device.spent) - gone);
    gone = Math.floor(device.spent);
    driver.turn();
    return device.batches;
  };
  return { driver, stack, device, clock, turn };
}

t.test('a turn is eight batches while packets cost nothing, and ends with the last packet', async (t) => {
  const { device, turn } = driven();
  t.strictSame(turn(), Array(8).fill(128));
  device.waiting = 300;
  t.strictSame(turn(), [128, 128, 44]);
  t.strictSame(turn(), []);
});

t.test('batches shrink while packets are dear, and grow again when they are cheap', async (t) => {
  const { device, turn } = driven();
  device.cost = 0.1;
  t.strictSame(turn(), [128], '12.8 ms: the turn is over');
  t.strictSame(turn(), [64]);
  t.strictSame(turn(), [32]);
  t.strictSame(turn(), [16, 16], '1.6 ms, and 3.2: never fewer than 16');
  device.cost = 0.02;
  t.strictSame(
    turn(),
    [16, 16, 16, 16, 16, 16, 16],
    '0.32 ms each leaves them as they are, until 2 ms are over',
  );
  device.cost = 0.001;
  t.strictSame(turn(), [16, 32, 64, 128, 128, 128, 128, 128]);
});

t.test('however many packets come, timers are late by a turn at most', async (t) => {
  for (const cost of [0.01, 0.05, 0.2]) {
    const { driver, device, turn } = driven();
    device.cost = cost;
    for (let i = 0; i < 8; i++) turn();
    const began = device.spent;
    let late = NaN;
    driver.idle.set(new IdleTimer(() => (late = device.spent - began - 5)), 5, driver.now());
    while (Number.isNaN(late)) turn();
    // 2 ms, a batch of the smallest size, and what the clock does not show
    const longest = 2 + Math.max(1, 16 * cost) + 1;
    t.ok(late <= longest, `${cost} ms a packet: ${late.toFixed(2)} ms late`);
    t.ok(turn().length > 0, 'packets go on');
  }
});

t.test('at most 1024 TIME-WAIT records go in a turn, and their turns follow at once', async (t) => {
  const { driver, stack, device, clock } = driven();
  device.waiting = 0;
  const end = (port: number): { address: string; port: number; family: 4 } => ({
    address: SERVER,
    port,
    family: 4,
  });
  for (let i = 0; i < 3000; i++)
    stack.enterTimeWait({
      local: end(80),
      remote: { ...end(10_000 + i), address: '10.77.0.9' },
      ...{ sndNxt: i, rcvNxt: i, rcvWnd: 1000, rcvWscale: 0, timestamps: null, rto: 200 },
      ...{ active: false, localPeer: false },
    });
  t.ok(driver.nextDeadline(clock.now()) > 60_000);
  clock.advance(300_000);
  let turns = 0;
  while (driver.nextDeadline(clock.now()) === 0) {
    driver.turn();
    turns++;
  }
  t.equal(turns, Math.ceil(3000 / 1024));
  t.equal(driver.nextDeadline(clock.now()), -1);
});

t.test('connections with much to send take turns: none sends more than 64 segments at a time', async (t) => {
  const ports: number[] = [];
  const networks = virtualPair({
    server: { knobs: { 'net.ipv4.tcp_rmem': 4 << 20 } },
    wrap: (link) =>
      Object.assign(Object.create(link) as Link, {
        transmit(ring: PacketRing): number {
          for (let i = 0; i < ring.count; i++) {
            const at = ring.offsetOf(i);
            if (ring.lengthOf(i) > 1000) ports.push((ring.bytes[at + 20]! << 8) | ring.bytes[at + 21]!);
          }
          return link.transmit(ring);
        },
      }),
  });
  const { time } = networks;
  const flows = [await time.until(connected(networks)), await time.until(connected(networks))];
  for (const { near, far } of flows) {
    far.resume();
    near.write(Buffer.alloc(3_000_000));
  }
  await time.sleep(1000);
  const runs: number[] = [];
  ports.forEach((port, i) => (port === ports[i - 1] ? runs[runs.length - 1]!++ : runs.push(1)));
  const half = ports.length / 2;
  const first = ports.slice(0, half).filter((port) => port === ports[0]).length;
  t.ok(ports.length > 4000);
  t.ok(Math.max(...runs) <= 64, `runs of up to ${Math.max(...runs)}`);
  t.ok(first < 0.6 * half, `${first} of the first ${half} segments are one connection's`);
  networks.close();
});
