/**
 * One data segment through a receiving engine, and nothing else: packets lie in a ring as a link leaves them there, the
 * text is read where it is, the ACK goes into the engine's ring. A peer that is no engine makes the packets: between the
 * stretches that count it moves their sequence numbers and timestamps on, checksums with them.
 */
import type { ConnectionHandle } from '../src/stack/api.js';
import { FlowTable } from '../src/stack/flow-table.js';
import { Stack } from '../src/stack/stack.js';
import { SegmentBuilder } from '../src/wire/builder.js';
import { adjust, fold, giveMemory, patchWord, pseudoHeader, sum, takeMemory } from '../src/wire/checksum.js';
import { CHECKSUM_OFFLOADED, PacketRing } from '../src/wire/ring.js';
import { ACK, PSH, SYN } from '../src/wire/segment.js';
import { word } from '../src/wire/ip.js';
import { allocated, median } from './measure.js';

const LOCAL = 0x0a000002;
const REMOTE = 0x0a000001;
const PORT = 4000;
/** Text of a full segment with timestamps. */
const TEXT = 1448;
/** Packets of a stretch, as many as one read from a device brings; stretches in a millisecond of the engine's time. */
const STRETCH = 64;
const STRETCHES_A_MS = 16;
const SLOT = 2048;
/** Stretches measured; the first half makes the compiler do its work. */
const STRETCHES = 6000;
/** Where the headers' fields are, from the TCP header on, with timestamps behind two NOPs. */
const SEQ = 4;
const CHECK = 16;
const TS_VAL = 24;

export interface SegmentOptions {
  /** Segments that come together and get one ACK. */
  readonly batch: number;
  /** Somebody vouches for the checksum, as a TUN device with IFF_VNET_HDR does. */
  readonly vouched?: boolean;
  /** Connections that the segments of a stretch belong to, by turns. */
  readonly connections?: number;
  /** The text is copied into the receive queue before it is read. */
  readonly kept?: boolean;
  /** The timestamps lie where no prediction looks for them. */
  readonly unusual?: boolean;
  /** Knob tcp_ack_batch. */
  readonly together?: number;
}

/** An engine, its established connections and the packets of their peers. */
class Streams {
  readonly stack: Stack;
  /** The connection of each packet of a stretch. */
  private readonly ends: ConnectionHandle[] = [];
  private readonly ring: PacketRing;
  private readonly offload: number;
  private readonly connections: number;
  private length = 0;
  private now = 0;
  private stretches = 0;
  private readonly stampAt: number;
  acks = 0;
  bytes = 0;

  constructor(private readonly options: SegmentOptions) {
    const { vouched = false, connections = 1, unusual = false, together = 1 } = options;
    this.stack = new Stack({
      seed: new Uint8Array(32).fill(1),
      addresses: ['10.0.0.2/8'],
      mtu: 1500,
      now: 0,
      offload: vouched,
    });
    this.stack.setPolicy('linux');
    this.stack.setKnob('tcp_ack_batch', together);
    this.offload = vouched ? CHECKSUM_OFFLOADED : 0;
    this.connections = connections;
    this.stampAt = TS_VAL - (unusual ? 2 : 0);
    this.ring = new PacketRing(STRETCH, SLOT, false, true);
    const listener = this.stack.listen({ port: 80, backlog: connections });
    if (typeof listener === 'string') throw new Error(listener);
    const { bytes } = this.ring;
    const builder = new SegmentBuilder();
    const peers: { end: ConnectionHandle; ack: number; echo: number }[] = [];
    for (let i = 0; i < connections; i++) {
      this.write(builder, 0, i, SYN, 0, 0, 0, 0);
      this.stack.receive(bytes, 0, this.length, 0);
      this.stack.output(0);
      const { tx } = this.stack;
      const ack = (word(tx.bytes, tx.offsetOf(0) + 24) + 1) | 0;
      // <mss 1460,sackOK,TS val ecr>: the stamp lies behind the first six octets of options
      const echo = word(tx.bytes, tx.offsetOf(0) + 48);
      tx.clear();
      this.write(builder, 0, i, ACK, 1, ack, echo, 0);
      this.stack.receive(bytes, 0, this.length, 0);
      const end = this.stack.accept(listener);
      if (end === null) throw new Error('no connection');
      this.finish();
      peers.push({ end, ack, echo });
    }
    // Each slot has its packet of the stretch before the first
    for (let slot = 0; slot < STRETCH; slot++) {
      const { end, ack, echo } = peers[slot % connections]!;
      this.ends.push(end);
      const seq = 1 + (Math.floor(slot / connections) - STRETCH / connections) * TEXT;
      this.write(builder, slot, slot % connections, ACK | PSH, seq, ack, echo, TEXT);
      if (unusual) moveStamp(bytes, slot * SLOT);
    }
    this.acks = 0;
  }

  private write(
    b: SegmentBuilder,
    slot: number,
    connection: number,
    flags: number,
    seq: number,
    ack: number,
    echo: number,
    text: number,
  ): void {
    b.reset();
    b.version = 4;
    b.src2 = 0xffff;
    b.src3 = REMOTE;
    b.dst2 = 0xffff;
    b.dst3 = LOCAL;
    b.srcPort = PORT + connection;
    b.dstPort = 80;
    b.seq = seq;
    b.ack = ack;
    b.flags = flags;
    b.wnd = 65_000;
    b.mss = (flags & SYN) !== 0 ? 1460 : -1;
    b.windowScale = (flags & SYN) !== 0 ? 8 : -1;
    b.hasTimestamp = true;
    b.tsEcr = echo;
    const { bytes } = this.ring;
    const at = slot * SLOT;
    this.length = b.finish(bytes, at, b.writeHeaders(bytes, at), text);
  }

  /** The next stretch's packets. */
  prepare(): void {
    if (this.stretches++ % STRETCHES_A_MS === 0) this.stack.advance(++this.now);
    const { bytes } = this.ring;
    const on = (STRETCH / this.connections) * TEXT;
    for (let at = 20; at < STRETCH * SLOT; at += SLOT) {
      const change = patchWord(bytes, at + SEQ, (word(bytes, at + SEQ) + on) | 0, at);
      adjust(bytes, at + CHECK, change + patchWord(bytes, at + this.stampAt, this.now, at));
    }
  }

  /** What counts: a stretch in, its text read, its ACKs out. */
  run(): void {
    const { stack, ring, length, now, offload } = this;
    const { batch, kept = false } = this.options;
    for (let first = 0; first < STRETCH; first += batch) {
      if (!kept) stack.borrow();
      for (let i = first; i < first + batch; i++) stack.receive(ring.bytes, i * SLOT, length, now, offload);
      for (let i = first; i < first + batch; i++) {
        const end = this.ends[i]!;
        const { readable } = end;
        if (readable > 0) stack.consume(end, readable);
        this.bytes += readable;
      }
      if (!kept) stack.settle();
      this.finish();
    }
  }

  release(): void {
    this.ring.release();
  }

  private finish(): void {
    const { stack } = this;
    for (let raised = stack.poll(); raised !== null; raised = stack.poll())
      if (raised.kind === 'connection') raised.takeEvents();
    stack.output(this.now);
    this.acks += stack.tx.count;
    stack.tx.clear();
  }
}

/** Timestamps first, then the two NOPs; the checksum is the same, as all moved by a whole word's half. */
function moveStamp(bytes: Uint8Array, packet: number): void {
  const options = packet + 40;
  bytes.copyWithin(options, options + 2, options + 12);
  bytes[options + 10] = 1;
  bytes[options + 11] = 1;
}

/** ns a segment. */
export function segmentTime(options: SegmentOptions): number {
  const streams = new Streams(options);
  const times: number[] = [];
  for (let i = 0; i < STRETCHES; i++) {
    streams.prepare();
    const start = performance.now();
    streams.run();
    times.push(((performance.now() - start) * 1e6) / STRETCH);
  }
  streams.release();
  if (streams.bytes !== STRETCHES * STRETCH * TEXT) throw new Error(`${streams.bytes} bytes came through`);
  if (streams.acks < (STRETCHES * STRETCH) / options.batch) throw new Error(`only ${streams.acks} ACKs came`);
  return median(times.slice(STRETCHES / 2));
}

/** Bytes that a segment allocates, its packet's making included. */
export function segmentBytes(options: SegmentOptions): number {
  const streams = new Streams(options);
  const bytes = allocated(1000, (stretches) => {
    for (let i = 0; i < stretches; i++) {
      streams.prepare();
      streams.run();
    }
  });
  streams.release();
  return bytes / STRETCH;
}

/** ns of the least that a segment needs: the sum of its bytes, and its connection in the flow table. */
export function leastTime(): number {
  const bytes = takeMemory(STRETCH * SLOT).fill(7);
  const length = 20 + 12 + TEXT;
  const table = new FlowTable(new Uint8Array(16).fill(3), { sameTuple: () => true, hashOf: () => 0 });
  table.insert(table.hashOf(0, 0, 0xffff, LOCAL, 0, 0, 0xffff, REMOTE, 80, PORT), 1);
  const times: number[] = [];
  let found = 0;
  for (let i = 0; i < STRETCHES; i++) {
    const start = performance.now();
    for (let at = 0; at < STRETCH * SLOT; at += SLOT) {
      const pseudo = pseudoHeader(4, 0, 0, 0xffff, REMOTE, 0, 0, 0xffff, LOCAL, 6, length);
      found += fold(sum(bytes, at + 20, length, pseudo)) & 1;
      found += table.find(0, 0, 0xffff, LOCAL, 0, 0, 0xffff, REMOTE, 80, PORT);
    }
    times.push(((performance.now() - start) * 1e6) / STRETCH);
  }
  giveMemory(bytes);
  if (found < STRETCH * STRETCHES) throw new Error('a look-up found nothing');
  return median(times.slice(STRETCHES / 2));
}
