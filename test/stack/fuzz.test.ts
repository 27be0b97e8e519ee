/**
 * Random and mutated packets into the engine: no exception, nothing grows, nothing
 * stays. 300,000 of them here; TIMEWAIT_FUZZ=10000000 is the long run (about half a
 * minute), which prints the heap before and after.
 */
import t from 'tap';
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import { EV_CLOSED, EV_CONNECTED } from '../../src/stack/api.js';
import { Prng } from '../../src/link/prng.js';
import { policies } from '../../src/stack/catalogue.js';
import { Stack } from '../../src/stack/stack.js';
import { parseAddress, type Address } from '../../src/wire/address.js';
import { IpHeader } from '../../src/wire/ip.js';
import type { OptionText } from '../../src/wire/notation.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { Segment } from '../../src/wire/segment.js';

const PACKETS = Number(process.env['TIMEWAIT_FUZZ'] ?? 300_000);
const CONNECTIONS = 2000;
const RECORDS = 1000;
const MEMORY = 1 << 22;
const POLICIES = policies.map(({ name }) => name);
/** SYN, ACK and data more often than the rest; the last entry is anything. */
const FLAGS = [2, 2, 0x10, 0x10, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12, 0x03, 0x01, 0, 0x30, 0xff];

class Fuzz {
  now = 0x7ffffff0 | 0;
  readonly stack = new Stack({
    seed: new Uint8Array(32).fill(9),
    addresses: ['10.0.0.2/24', 'fd00::2/64'],
    mtu: 1500,
    now: this.now,
  });
  readonly listener: ListenerHandle;
  private readonly random: Prng;
  private readonly held: ConnectionHandle[] = [];
  /** What the stack acknowledged and sent last, by version and port: mutations start near the truth. */
  private readonly heard = new Map<number, { ack: number; next: number }>();
  private readonly ends: readonly { src: Address; dst: Address }[];
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();

  constructor(seed: number) {
    this.random = new Prng(seed);
    this.stack.setKnob('net.ipv4.tcp_max_connections', CONNECTIONS);
    this.stack.setKnob('timewait_max_records', RECORDS);
    this.stack.setKnob('net.ipv4.tcp_mem', MEMORY);
    this.listener = this.stack.listen({ port: 80, backlog: 100, reuseAddress: true }) as ListenerHandle;
    this.ends = [
      { src: parseAddress('10.0.0.1')!, dst: parseAddress('10.0.0.2')! },
      { src: parseAddress('fd00::1')!, dst: parseAddress('fd00::2')! },
    ];
  }

  private below(n: number): number {
    return this.random.below(n);
  }

  packet(): Uint8Array {
    if (this.below(10) === 0) {
      const noise = Uint8Array.from({ length: this.below(120) }, () => this.below(256));
      if (noise.length > 0 && this.below(2) === 0) noise[0] = this.below(2) === 0 ? 0x45 : 0x60;
      return noise;
    }
    let packet = this.plausible();
    if (this.below(6) === 0)
      for (let i = 0; i <= this.below(3); i++) packet[this.below(packet.length)] = this.below(256);
    if (this.below(20) === 0) packet = packet.subarray(0, this.below(packet.length + 1));
    return packet;
  }

  private plausible(): Uint8Array {
    const family = this.below(4) === 0 ? 1 : 0;
    const srcPort = 1000 + this.below(200);
    const known = this.heard.get(family * 65_536 + srcPort);
    const near = (base: number | undefined): number => {
      if (base === undefined || this.below(4) === 0) return this.random.next() >>> 0;
      return (base + (this.below(3) === 0 ? this.below(4000) - 2000 : 0)) >>> 0;
    };
    const flags = FLAGS[this.below(FLAGS.length + 1)] ?? this.below(256);
    const length = this.below(3) === 0 ? this.below(1400) : 0;
    const text = {
      flags,
      seq: near(known?.ack),
      ack: near(known?.next),
      length,
      win: this.below(3) === 0 ? this.below(3) : 65_535,
      urg: this.below(100),
      options: this.options(flags, known?.next ?? 0),
    };
    return buildPacket(text, {
      ...this.ends[family]!,
      srcPort,
      dstPort: this.below(20) === 0 ? this.below(65_536) : 80,
    });
  }

  private options(flags: number, next: number): OptionText[] {
    const options: OptionText[] = [];
    if (this.below(2) === 0)
      options.push({ kind: 'TS', val: (this.now + this.below(1500) - 500) >>> 0, ecr: this.below(1000) });
    if ((flags & 2) !== 0) {
      if (this.below(2) === 0)
        options.push({ kind: 'mss', value: this.below(3) === 0 ? this.below(65_536) : 1460 });
      if (this.below(2) === 0) options.push({ kind: 'wscale', value: this.below(20) });
      if (this.below(2) === 0) options.push({ kind: 'sackOK' });
    } else if (this.below(5) === 0) {
      const left = (next + this.below(3000)) >>> 0;
      options.push({ kind: 'sack', blocks: [[left, (left + this.below(6000)) >>> 0]] });
    }
    return options;
  }

  /** The user does something, time passes. */
  live(): void {
    const { stack } = this;
    this.now = (this.now + this.below(4) * this.below(4) * this.below(500)) | 0;
    stack.advance(this.now);
    this.events();
    if (this.held.length > 500 || (this.held.length > 0 && this.below(20) === 0)) {
      const [gone] = this.held.splice(this.below(this.held.length), 1);
      if (this.below(3) === 0) stack.abort(gone!);
      else stack.close(gone!);
    }
    if (this.held.length > 0 && this.below(3) === 0) {
      const one = this.held[this.below(this.held.length)]!;
      stack.send(one, new Uint8Array(this.below(3000)));
      if (this.below(10) === 0) stack.shutdown(one);
    }
    if (this.below(500) === 0) stack.setPolicy(POLICIES[this.below(POLICIES.length)]!);
    if (this.below(200) === 0)
      stack.connect({ address: '10.0.0.1', port: 1000 + this.below(200), localPort: 80, reuseAddress: true });
  }

  private events(): void {
    const { stack } = this;
    for (let each = stack.poll(); each !== null; each = stack.poll()) {
      if (each.kind === 'listener') {
        for (let one = stack.accept(each); one !== null; one = stack.accept(each)) this.held.push(one);
        continue;
      }
      const events = each.takeEvents();
      if (this.below(2) === 0) while (stack.read(each) !== null);
      if ((events & EV_CLOSED) !== 0) stack.close(each);
      // One of ours that came about: somebody holds it now
      else if ((events & EV_CONNECTED) !== 0) this.held.push(each);
    }
  }

  /** Takes what the stack says off the ring; every segment must be well formed. */
  listen(): boolean {
    const { tx } = this.stack;
    let good = true;
    this.stack.output(this.now);
    for (let i = 0; i < tx.count; i++) {
      const { ip, segment } = this;
      if (ip.load(tx.bytes, tx.offsetOf(i), tx.lengthOf(i)) !== 0) good = false;
      else if (ip.protocol === 6) {
        if (segment.load(ip, true) !== 0) good = false;
        const family = ip.version === 4 ? 0 : 1;
        this.heard.set(family * 65_536 + segment.dstPort, {
          ack: segment.ack >>> 0,
          next: segment.end >>> 0,
        });
      }
    }
    tx.clear();
    return good;
  }

  get bounded(): boolean {
    const { stack } = this;
    // One segment may go above the memory bound for each connection with an empty queue.
    return (
      stack.connections <= CONNECTIONS &&
      stack.timeWait.count <= RECORDS &&
      stack.queuedBytes <= MEMORY + CONNECTIONS * 1500
    );
  }

  /** The user lets everything go and time passes. */
  drain(): void {
    for (const one of this.held) this.stack.close(one);
    this.held.length = 0;
    for (let i = 0; i < 4000; i++) {
      this.now = (this.now + 100_000) | 0;
      this.stack.advance(this.now);
      this.events();
      for (const one of this.held.splice(0)) this.stack.close(one);
      this.listen();
    }
  }
}

/** After a collection where `node --expose-gc` allows one. */
function heapUsed(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}

t.setTimeout(600_000);
t.test(`${PACKETS} random and mutated packets`, { timeout: 600_000 }, (t) => {
  const fuzz = new Fuzz(4242);
  const heap = heapUsed();
  let malformed = 0;
  let unbounded = 0;
  for (let i = 0; i < PACKETS; i++) {
    const packet = fuzz.packet();
    fuzz.stack.receive(packet, 0, packet.length, fuzz.now);
    if (i % 8 === 0) fuzz.live();
    if (!fuzz.listen()) malformed++;
    if (!fuzz.bounded) unbounded++;
  }
  t.equal(malformed, 0, 'every answer is a good packet');
  t.equal(unbounded, 0, 'connections, records and queues stay within their bounds');
  const { counters } = fuzz.stack;
  t.ok(counters.get('TcpPassiveOpens') > PACKETS / 10_000, 'handshakes came about');
  t.ok(
    counters.get('TcpExtTCPOFOQueue') > 0 && counters.get('TcpEstabResets') > 0,
    'and what happens after them',
  );
  fuzz.drain();
  const { stack } = fuzz;
  t.same(
    [stack.connections, stack.timeWait.count, stack.timers, stack.queuedBytes, stack.orphans],
    [0, 0, 0, 0, 0],
    'nothing stays',
  );
  const grown = (heapUsed() - heap) / 1e6;
  t.comment(`heap ${(heap / 1e6).toFixed(1)} MB before, ${grown.toFixed(1)} MB more after`);
  t.end();
});
