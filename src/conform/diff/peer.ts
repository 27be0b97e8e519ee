/**
 * The other end of one tuple: makes segments out of events, reads what the end under test sends,
 * and keeps the few numbers that events are relative to.
 */
import { after } from '../../seqnum.js';
import type { Address } from '../../wire/address.js';
import type { SegmentBuilder } from '../../wire/builder.js';
import { icmpError } from '../../wire/icmp.js';
import { formatFlags } from '../../wire/notation.js';
import { ACK, FIN, PSH, RST, SYN, type Segment } from '../../wire/segment.js';
import { icmpNumbers } from '../icmp.js';
import type { DiffCase, IcmpEvent, SegmentEvent } from './case.js';
import { flagLetters, signed } from './words.js';

/** The peer's ISN and what acknowledgments count from before the end under test has said anything. */
const FIRST = 0x1000_0000;
const NOTHING_YET = 0x2000_0000;
const FAR = 100_000;
const STAMP = 1_000_000;
const OLDER = 50_000;
const MSS = 1400;
/** Linux makes the ISN of a reopened tuple out of SND.NXT. */
const LINUX_REOPEN = 65_537;

export interface Ends {
  readonly local: Address;
  readonly remote: Address;
  readonly localPort: number;
  readonly remotePort: number;
}

const ICMP: Readonly<Record<IcmpEvent['name'], readonly [type: string, code4: string, code6: string]>> = {
  host: ['unreachable', 'host_unreachable', 'address_unreachable'],
  port: ['unreachable', 'port_unreachable', 'port_unreachable'],
  admin: ['unreachable', 'admin_prohibited', 'admin_prohibited'],
  time: ['time_exceeded', '', ''],
};

export class Peer {
  /** Lines of a packet script: what this peer sent and saw. */
  readonly script: string[] = [];
  private rcvNxt = FIRST;
  private edge = FIRST + 65_535;
  private first = FIRST;
  private iss = NOTHING_YET;
  private sndUna = NOTHING_YET;
  private sndNxt = NOTHING_YET;
  private heard = false;
  private stamp = STAMP;
  private echo = 0;
  private last: Uint8Array | null = null;
  private lastSeq = NOTHING_YET;
  private asked: number | null = null;
  private synAsked = false;

  constructor(
    private readonly ends: Ends,
    private readonly one: DiffCase,
    /** Segments carry a SACK option, which our SYN did not offer: nobody reads it, but headers are longer. */
    private readonly padded = false,
  ) {}

  /** The event as an IP packet. */
  segment(event: SegmentEvent, builder: SegmentBuilder): Uint8Array {
    const { flags, length } = event;
    this.prepare(builder);
    builder.flags = flags | (length > 0 ? PSH : 0);
    builder.seq = (this.anchor(event) + event.seqOffset) | 0;
    const acked = event.ack === 'next' ? this.sndNxt : this.sndUna;
    builder.ack = (flags & ACK) !== 0 ? (acked + event.ackOffset) | 0 : 0;
    builder.wnd = event.window;
    if ((flags & SYN) !== 0) builder.mss = MSS;
    if (this.one.timestamps && event.stamp !== 'none') {
      if (event.stamp === 'newer') this.stamp++;
      builder.hasTimestamp = true;
      builder.tsVal = this.stamp - (event.stamp === 'older' ? OLDER : 0);
      builder.tsEcr = (flags & ACK) !== 0 ? this.echo : 0;
    }
    if (this.padded && (flags & SYN) === 0) builder.sackCount = 1;
    if ((flags & ACK) === 0) this.asked = builder.seq;
    const bytes = this.write(builder, length);
    if ((flags & SYN) !== 0 && (flags & RST) === 0) {
      this.first = builder.seq;
      this.synAsked = true;
    }
    // Whether it counts is the other end's to decide; later events are relative to what a sane peer believes.
    if (
      (flags & ACK) !== 0 &&
      (flags & RST) === 0 &&
      after(builder.ack, this.sndUna) &&
      !after(builder.ack, this.sndNxt)
    )
      this.sndUna = builder.ack;
    this.note('<', flags, builder.seq, builder.ack, length, {
      window: event.window,
      stamp: builder.hasTimestamp ? builder.tsVal : null,
      mss: (flags & SYN) !== 0,
    });
    return bytes;
  }

  /** null before the end under test has sent anything. */
  icmp(event: IcmpEvent): Uint8Array | null {
    if (this.last === null) return null;
    const [type, code4, code6] = ICMP[event.name];
    const code = this.one.version === 4 ? code4 : code6;
    const numbers = icmpNumbers(type, code, this.one.version)!;
    const { words } = this.ends.remote;
    const octets = [...words].flatMap((word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255));
    const source = Uint8Array.from(this.one.version === 4 ? octets.slice(12) : octets);
    this.script.push(
      `< icmp ${type}${code === '' ? '' : ` ${code}`} [${(this.lastSeq - this.iss) >>> 0}:${(this.lastSeq - this.iss) >>> 0}(0)]`,
    );
    return icmpError(this.last, { ...numbers, source });
  }

  /** A RST that ends whatever is left of the tuple, as far as the peer knows. */
  farewell(builder: SegmentBuilder): Uint8Array {
    this.prepare(builder);
    builder.flags = RST;
    builder.seq = this.rcvNxt;
    builder.ack = 0;
    builder.wnd = 0;
    return this.write(builder, 0);
  }

  /** What the end under test sent, in words; the numbers are taken over. */
  hear(segment: Segment, packet: Uint8Array): string {
    const { flags, seq, ack } = segment;
    const length = segment.payloadLength;
    let birth = '';
    if ((flags & SYN) !== 0 && (seq !== this.iss || !this.heard)) birth = this.born(seq);
    const rst = (flags & RST) !== 0;
    // A RST without a connection behind it has number 0.
    const shown = rst && seq === 0 ? 'zero' : String((seq - this.iss) | 0);
    const parts = [`${flagLetters(flags)} ${shown}`];
    if ((flags & ACK) !== 0) parts.push(`ack ${this.ackText(flags, ack)}`);
    if (length > 0) parts.push(`len ${length}`);
    if (segment.hasTimestamp) parts.push('TS');
    if (!rst && segment.wnd === 0) parts.push('closed');
    this.note('>', flags, seq, ack, length, { window: -1, stamp: null, mss: false });
    if (!rst) {
      const end = (seq + length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0)) | 0;
      if (after(end, this.sndNxt)) this.sndNxt = end;
      if (segment.hasTimestamp) this.echo = segment.tsVal;
      if ((flags & ACK) !== 0) {
        this.rcvNxt = ack;
        this.edge = (ack + segment.wnd) | 0;
      }
      this.last = packet;
      this.lastSeq = seq;
    }
    return parts.join(' ') + birth;
  }

  /**
   * Beside RCV.NXT as last heard; of a SYN,ACK beside the SYN it answers, of a RST beside the
   * segment: those may stand at the edge of the window, which is not the same everywhere.
   */
  private ackText(flags: number, ack: number): string {
    if (this.synAsked && ack === ((this.first + 1) | 0)) return 'SYN+1';
    if ((flags & SYN) !== 0) return `SYN${signed((ack - this.first) | 0)}`;
    if ((flags & RST) !== 0 && this.asked !== null) return `SEG${signed((ack - this.asked) | 0)}`;
    return `next${signed((ack - this.rcvNxt) | 0)}`;
  }

  /** A step begins: SEG.SEQ of the segment without ACK that is sent in it, when it is one. */
  begin(): void {
    this.asked = null;
    this.synAsked = false;
  }

  /** A SYN with an ISN not seen before: how it follows from the connection that was. */
  private born(seq: number): string {
    const step = (seq - this.sndNxt) | 0;
    const text = !this.heard ? '' : step === LINUX_REOPEN ? ' isn SND.NXT+65537' : ' isn fresh';
    this.heard = true;
    this.iss = seq;
    this.sndUna = seq;
    this.sndNxt = (seq + 1) | 0;
    return text;
  }

  private anchor(event: SegmentEvent): number {
    switch (event.seq) {
      case 'next':
        return this.rcvNxt;
      case 'edge':
        return this.edge;
      case 'first':
        return this.first;
      case 'far':
        return this.rcvNxt + FAR;
    }
  }

  private prepare(builder: SegmentBuilder): void {
    const { local, remote, localPort, remotePort } = this.ends;
    builder.reset();
    builder.version = this.one.version;
    [builder.src0, builder.src1, builder.src2, builder.src3] = remote.words as unknown as [
      number,
      number,
      number,
      number,
    ];
    [builder.dst0, builder.dst1, builder.dst2, builder.dst3] = local.words as unknown as [
      number,
      number,
      number,
      number,
    ];
    builder.srcPort = remotePort;
    builder.dstPort = localPort;
  }

  private write(builder: SegmentBuilder, length: number): Uint8Array {
    const bytes = new Uint8Array(builder.headerLength() + length);
    const header = builder.writeHeaders(bytes, 0);
    builder.finish(bytes, 0, header, length);
    return bytes;
  }

  private note(
    direction: '<' | '>',
    flags: number,
    seq: number,
    ack: number,
    length: number,
    options: { window: number; stamp: number | null; mss: boolean },
  ): void {
    const [mine, other] = direction === '<' ? [FIRST, this.iss] : [this.iss, FIRST];
    const rst = (flags & RST) !== 0 && seq === 0;
    const start = rst ? 0 : (seq - mine) >>> 0;
    const parts = [`${direction} ${formatFlags(flags)} ${start}:${(start + length) % 2 ** 32}(${length})`];
    if ((flags & ACK) !== 0) parts.push(`ack ${(ack - other) >>> 0}`);
    if (options.window >= 0) parts.push(`win ${options.window}`);
    const list: string[] = [];
    if (options.mss) list.push(`mss ${MSS}`);
    // What is echoed differs from run to run; 0 is never wrong.
    if (options.stamp !== null) {
      if (list.length === 0) list.push('nop', 'nop');
      list.push(`TS val ${options.stamp} ecr 0`);
    }
    if (direction === '>') parts.push('<...>');
    else if (list.length > 0) parts.push(`<${list.join(',')}>`);
    this.script.push(parts.join(' '));
  }
}
