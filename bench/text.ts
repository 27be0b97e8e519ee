/** Bytes that text allocates on its way through the engine; no clock is read. */
import { SEND_LENT, type ConnectionHandle } from '../src/stack/api.js';
import { Stack } from '../src/stack/stack.js';
import { SegmentBuilder } from '../src/wire/builder.js';
import { CHECKSUM_OFFLOADED } from '../src/wire/ring.js';
import { ACK, SYN } from '../src/wire/segment.js';
import { must } from './engine.js';
import { allocated } from './measure.js';

/** Bytes per operation. */
export interface TextAllocations {
  /** A full segment in, its text done with in the packet, its ACK out. */
  readonly received: number;
  /** The same, its text copied into the receive queue before. */
  readonly kept: number;
  /** 64 KB written, gathered from the program's memory, acknowledged. */
  readonly lent: number;
  /** The same, copied into the send queue and gathered from there. */
  readonly copied: number;
}

const MSS = 1448;
const WRITE = 65_536;
const OPERATIONS = 50_000;

/** An engine and a peer that says what it is told to. */
class Conversation {
  readonly stack = new Stack({
    seed: new Uint8Array(32).fill(1),
    addresses: ['10.0.0.2/8'],
    mtu: 1500,
    now: 0,
    offload: true,
    gather: true,
  });
  readonly end: ConnectionHandle;
  private readonly builder = new SegmentBuilder();
  private readonly packet = new Uint8Array(1600);
  private seq = 0;
  private acked = 0;

  constructor() {
    this.builder.offload = true;
    this.stack.setPolicy('linux');
    const listener = must(this.stack.listen({ port: 80, backlog: 1 }));
    this.say(SYN, 0);
    this.stack.output(0);
    const { tx } = this.stack;
    this.acked = (new DataView(tx.bytes.buffer).getInt32(tx.offsetOf(0) + 24) + 1) | 0;
    tx.clear();
    this.seq = 1;
    this.say(ACK, 0);
    this.end = must(this.stack.accept(listener));
    this.turn();
  }

  say(flags: number, text: number): void {
    const b = this.builder;
    b.reset();
    b.version = 4;
    b.src2 = 0xffff;
    b.src3 = 0x0a000001;
    b.dst2 = 0xffff;
    b.dst3 = 0x0a000002;
    b.srcPort = 4000;
    b.dstPort = 80;
    b.seq = this.seq;
    b.ack = this.acked;
    b.flags = flags;
    b.wnd = 65_535;
    if ((flags & SYN) !== 0) {
      b.mss = 1460;
      b.windowScale = 8;
    }
    const length = b.finish(this.packet, 0, b.writeHeaders(this.packet, 0), text);
    this.stack.receive(this.packet, 0, length, 0, CHECKSUM_OFFLOADED);
    this.seq = (this.seq + text) | 0;
  }

  /** All that was sent. */
  acknowledge(): void {
    this.acked = (this.end as ConnectionHandle & { readonly sndNxt: number }).sndNxt;
    this.say(ACK, 0);
  }

  /** What is owed goes out, events are taken. */
  turn(): number {
    const { stack } = this;
    let packets = 0;
    while (stack.output(0) > 0) {
      packets += stack.tx.count;
      stack.tx.clear();
    }
    for (let raised = stack.poll(); raised !== null; raised = stack.poll())
      if (raised.kind === 'connection') raised.takeEvents();
    return packets;
  }
}

function receives(inPlace: boolean): number {
  const conversation = new Conversation();
  const { stack, end } = conversation;
  return allocated(OPERATIONS, (operations) => {
    for (let i = 0; i < operations; i++) {
      stack.borrow();
      conversation.say(ACK, MSS);
      if (!inPlace) stack.settle();
      if (end.readable !== MSS) throw new Error('no text');
      stack.consume(end, MSS);
      stack.settle();
      conversation.turn();
    }
  });
}

function sends(flags: number): number {
  const conversation = new Conversation();
  const { stack, end } = conversation;
  const page = new Uint8Array(WRITE);
  return allocated(OPERATIONS / 10, (operations) => {
    for (let i = 0; i < operations; i++) {
      stack.send(end, page, flags);
      while (end.queued > 0) {
        if (conversation.turn() === 0) throw new Error(`${end.queued} bytes are not sent`);
        conversation.acknowledge();
      }
    }
  });
}

/** In the child. */
export function measureText(): TextAllocations {
  return { received: receives(true), kept: receives(false), lent: sends(SEND_LENT), copied: sends(0) };
}
