/** Segmentation left to the link: the same bytes arrive, whatever the wire does to packets large and small. */
import t from 'tap';
import { SEND_LENT, type ConnectionHandle } from '../../src/stack/api.js';
import { Stack } from '../../src/stack/stack.js';
import { Prng } from '../../src/link/prng.js';
import { Cutter } from '../../src/wire/cut.js';
import { LOAD_OK, Segment } from '../../src/wire/segment.js';
import { CHECKSUM_OFFLOADED, SEGMENT_SIZE } from '../../src/wire/ring.js';

const MTU = 1500;
const TOTAL = 3_000_000;
const byteAt = (i: number): number => (i * 7 + (i >> 8)) & 255;

interface Fate {
  readonly seed: number;
  /** Share of packets lost, doubled, cut on the way; in 1/65536. */
  readonly loss: number;
  readonly twice: number;
  readonly cut: number;
}

function stack(address: string, offload: boolean, profile: string, seed: number): Stack {
  const made = new Stack({
    addresses: [`${address}/24`],
    mtu: MTU,
    now: 0,
    offload,
    gather: offload,
    seed: new Uint8Array(32).fill(seed),
  });
  made.setPolicy(profile);
  return made;
}

/** Two engines and a wire between them; virtual time. */
class Wire {
  now = 0;
  /** Largest text of a packet that passed, and packets. */
  largest = 0;
  packets = 0;
  /** Packets whose text lay in the send queue. */
  gathered = 0;
  private readonly prng: Prng;
  private readonly cutter = new Cutter();
  private readonly segment = new Segment();

  constructor(
    readonly ends: readonly [Stack, Stack],
    private readonly fate: Fate,
  ) {
    this.prng = new Prng(fate.seed, 1);
  }

  /** A millisecond: timers, what is to be said, and its way. */
  turn(): void {
    this.now++;
    for (const [from, to] of [this.ends, [this.ends[1], this.ends[0]]] as const) {
      from.advance(this.now);
      while (from.output(this.now) > 0) this.carry(from, to);
    }
  }

  private carry(from: Stack, to: Stack): void {
    const { tx } = from;
    this.gathered += tx.referring;
    tx.own();
    for (let i = 0; i < tx.count; i++) {
      const slot = tx.slotOf(i);
      const entry = tx.offloads[slot]!;
      const [offset, length] = [tx.offsetOf(i), tx.lengthOf(i)];
      this.packets++;
      if (this.prng.below(65_536) < this.fate.loss) continue;
      const times = this.prng.below(65_536) < this.fate.twice ? 2 : 1;
      const whole = this.prng.below(65_536) >= this.fate.cut;
      for (let n = 0; n < times; n++) {
        if (whole && entry !== 0) {
          this.largest = Math.max(this.largest, length);
          to.receive(tx.bytes, offset, length, this.now, entry);
        } else this.inPieces(to, tx.bytes, offset, length, entry);
      }
    }
    tx.clear();
  }

  private inPieces(to: Stack, bytes: Uint8Array, offset: number, length: number, entry: number): void {
    const { cutter, segment } = this;
    cutter.begin(bytes, offset, length, entry);
    for (let piece = cutter.next(); piece > 0; piece = cutter.next()) {
      if (piece > MTU) throw new Error(`a packet of ${piece} bytes`);
      if (segment.loadPacket(cutter.bytes, 0, piece) !== LOAD_OK) throw new Error('not a sound packet');
      // What is lost of a large packet may be any of its segments.
      if (this.prng.below(65_536) >= this.fate.loss) to.receive(cutter.bytes, 0, piece, this.now);
    }
  }
}

/** Opens from the first end to the second, sends TOTAL bytes and the FIN; what arrived. */
function transfer(wire: Wire): { received: number; wrong: number } {
  const [client, server] = wire.ends;
  const listener = server.listen({ port: 80, backlog: 1 });
  if (typeof listener === 'string') throw new Error(listener);
  const sender = client.connect({ address: '10.0.0.2', port: 80 });
  if (typeof sender === 'string') throw new Error(sender);
  let receiver: ConnectionHandle | null = null;
  let [sent, received, wrong, writes] = [0, 0, 0, 0];
  // Copied and lent in turns
  const lends = (): boolean => (writes++ & 1) === 1;
  while (wire.now < 400_000 && !(receiver?.peerClosed === true && receiver.readable === 0)) {
    wire.turn();
    client.poll();
    server.poll();
    if (sender.stateName === 'ESTABLISHED' && sent < TOTAL && client.mayWrite(sender)) {
      const piece = new Uint8Array(Math.min(50_000, TOTAL - sent)).map((_, i) => byteAt(sent + i));
      const taken = client.write(sender, piece, lends() ? SEND_LENT : 0);
      if (typeof taken === 'string') throw new Error(taken);
      sent += taken;
      if (sent === TOTAL) client.shutdown(sender);
    }
    receiver ??= server.accept(listener);
    if (receiver === null) continue;
    for (let bytes = server.read(receiver); bytes !== null; bytes = server.read(receiver))
      for (const byte of bytes) if (byte !== byteAt(received++)) wrong++;
  }
  return { received, wrong };
}

const clean: Fate = { seed: 1, loss: 0, twice: 0, cut: 0 };
const faulty: Fate = { seed: 2, loss: 900, twice: 900, cut: 20_000 };

for (const profile of ['rfc9293', 'linux', 'freebsd'])
  for (const [what, fate] of Object.entries({ clean, faulty }))
    for (const offloads of [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      const name = offloads.map((each) => (each ? 'offloaded' : 'plain')).join(' to ');
      t.test(`${profile}, ${what} wire, ${name}: the bytes that were sent`, async (t) => {
        const ends = [
          stack('10.0.0.1', offloads[0], profile, 3),
          stack('10.0.0.2', offloads[1], profile, 4),
        ] as const;
        const wire = new Wire(ends, fate);
        const { received, wrong } = transfer(wire);
        t.equal(received, TOTAL);
        t.equal(wrong, 0);
        const [client, server] = ends.map((end) => end.counters);
        if (fate === clean) {
          t.equal(client!.get('TcpOutSegs'), server!.get('TcpInSegs'), 'segments are counted, not packets');
          t.equal(client!.get('TcpRetransSegs'), 0);
        }
        t.equal(server!.get('TcpInErrs'), 0);
        if (offloads[0]) t.ok(wire.largest > 20_000, `segments bundled: ${wire.largest}`);
        else t.ok(wire.largest <= MTU);
        t.equal(wire.gathered > 20, offloads[0], `${wire.gathered} packets referred to the send queue`);
      });
    }

t.test('without an entry that vouches for it, a packet with an unfinished checksum is refused', async (t) => {
  const [client, server] = [stack('10.0.0.1', true, 'rfc9293', 3), stack('10.0.0.2', true, 'rfc9293', 4)];
  server.listen({ port: 80, backlog: 1 });
  client.connect({ address: '10.0.0.2', port: 80 });
  client.output(1);
  const { tx } = client;
  t.equal(tx.offloads[tx.slotOf(0)], CHECKSUM_OFFLOADED);
  t.equal(tx.offloads[tx.slotOf(0)]! & SEGMENT_SIZE, 0);
  server.receive(tx.bytes, tx.offsetOf(0), tx.lengthOf(0), 1);
  t.equal(server.counters.get('TcpInCsumErrors'), 1);
  server.receive(tx.bytes, tx.offsetOf(0), tx.lengthOf(0), 1, CHECKSUM_OFFLOADED);
  t.equal(server.output(1), 1, 'SYN,ACK');
});
