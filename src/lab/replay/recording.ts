/**
 * A recorded conversation from one of its ends: what went to the local address, what it answered, by
 * connection. Memory: the packets of the file.
 */
import { formatTuple, stretchesOf, type End, type Seen, type Stretch } from '../../view/exchange.js';
import { formatWords } from '../../wire/address.js';
import { mendCaptured } from '../../wire/captured.js';
import { completeChecksum, isPartial } from '../../wire/partial.js';
import { IcmpMessage } from '../../wire/icmp.js';
import { IpHeader } from '../../wire/ip.js';
import { ipOffset } from '../../wire/link-layer.js';
import { describeSegment, type SegmentText } from '../../wire/notation.js';
import type { CapturedPacket } from '../../wire/pcapng.js';
import { LOAD_BAD_OPTION, LOAD_OK, SYN, Segment } from '../../wire/segment.js';

const TCP = 6;
const ICMP = 1;
const ICMP6 = 58;

/** One packet of a flow. `segment` is null for an ICMP error about it. */
export interface Recorded extends Seen {
  /** ms since the first packet of the section. */
  readonly time: number;
  /** The whole IP packet. */
  readonly bytes: Uint8Array;
  /** Where its text begins; unused without a segment. */
  readonly textAt: number;
  /** The capture has only a part of it: its text is zeros, its checksum says nothing. */
  readonly cut: boolean;
}

/** All packets of one tuple. */
export interface Flow {
  readonly key: string;
  readonly local: End;
  readonly remote: End;
  readonly family: 4 | 6;
  readonly seen: Recorded[];
  /** Its connections, one after the other; filled in by `Recorder.recordings`. */
  stretches: readonly Stretch[];
}

/** What one section of a file has: a capture of its own, as far as anybody knows of another machine. */
export interface Recording {
  readonly flows: readonly Flow[];
  /** In the order of the file. */
  readonly packets: readonly { readonly flow: Flow; readonly index: number }[];
  /** The local addresses' MTU as their SYNs tell it; 1500 when none does. */
  readonly mtu: number;
}

class Section implements Recording {
  readonly byTuple = new Map<string, Flow>();
  readonly packets: { flow: Flow; index: number }[] = [];
  start = NaN;
  largest = 0;

  get flows(): Flow[] {
    return [...this.byTuple.values()];
  }

  get mtu(): number {
    return this.largest === 0 ? 1500 : this.largest;
  }
}

export class Recorder {
  /** Packets that neither go to nor come from a local address, or are no TCP. */
  others = 0;
  /** Addresses that the file has, with their packets, for a message when nothing was local. */
  readonly addresses = new Map<string, number>();
  private readonly sections = new Map<number, Section>();
  private section = new Section();
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();
  private readonly icmp = new IcmpMessage();
  private total = 0;

  /** `local`: addresses in their usual text. `wanted`: tuples to keep, default all. */
  constructor(
    private readonly local: ReadonlySet<string>,
    private readonly wanted: (a: End, b: End) => boolean = () => true,
  ) {}

  take(packet: CapturedPacket, original: number, section: number): void {
    this.total++;
    let found = this.sections.get(section);
    if (found === undefined) this.sections.set(section, (found = new Section()));
    this.section = found;
    const offset = ipOffset(packet.linkType, packet.bytes);
    const whole = offset < 0 ? null : mendCaptured(packet.bytes.subarray(offset), original - offset);
    if (whole === null || !this.keep(packet, whole, original > packet.bytes.length)) this.others++;
  }

  /** The sections that have something. */
  recordings(): Recording[] {
    const found = [...this.sections.values()].filter(({ packets }) => packets.length > 0);
    for (const { flows } of found) for (const flow of flows) flow.stretches = stretchesOf(flow.seen);
    return found;
  }

  private keep(packet: CapturedPacket, mended: Uint8Array, cut: boolean): boolean {
    const { ip } = this;
    if (ip.load(mended, 0, mended.length) !== LOAD_OK || ip.fragment) return false;
    // The file's memory is not ours, and checksums are written
    const bytes = mended.slice(0, ip.totalLength);
    ip.load(bytes, 0, bytes.length);
    if (ip.protocol === TCP) return this.keepSegment(packet, bytes, cut);
    return ip.protocol === (ip.version === 4 ? ICMP : ICMP6) && this.keepError(packet, bytes, cut);
  }

  private keepSegment(packet: CapturedPacket, bytes: Uint8Array, cut: boolean): boolean {
    const { ip, segment: s } = this;
    const loaded = s.load(ip, false);
    if (loaded !== LOAD_OK && loaded !== LOAD_BAD_OPTION) return false;
    const from = { address: formatWords(s.src0, s.src1, s.src2, s.src3), port: s.srcPort };
    const to = { address: formatWords(s.dst0, s.dst1, s.dst2, s.dst3), port: s.dstPort };
    for (const { address } of [from, to]) this.addresses.set(address, (this.addresses.get(address) ?? 0) + 1);
    const inbound = this.local.has(to.address);
    if ((!inbound && !this.local.has(from.address)) || !this.wanted(from, to)) return false;
    if (!inbound && (s.flags & SYN) !== 0 && s.mss > 0)
      this.section.largest = Math.max(this.section.largest, s.mss + (s.version === 4 ? 40 : 60));
    if (isPartial(ip)) completeChecksum(ip);
    const [local, remote] = inbound ? [to, from] : [from, to];
    this.push(local, remote, packet, { inbound, bytes, cut, textAt: s.payloadOffset }, describeSegment(s));
    return true;
  }

  /** An ICMP error about a segment that a local address sent. */
  private keepError(packet: CapturedPacket, bytes: Uint8Array, cut: boolean): boolean {
    const { ip, icmp } = this;
    if (icmp.load(ip) !== LOAD_OK || !icmp.quotedOk || icmp.quotedProtocol !== TCP) return false;
    const { src0, src1, src2, src3, dst0, dst1, dst2, dst3, srcPort, dstPort } = icmp;
    const local = { address: formatWords(src0, src1, src2, src3), port: srcPort };
    if (!this.local.has(local.address)) return false;
    const remote = { address: formatWords(dst0, dst1, dst2, dst3), port: dstPort };
    if (!this.wanted(local, remote)) return false;
    this.push(local, remote, packet, { inbound: true, bytes, cut, textAt: 0 }, null);
    return true;
  }

  private push(
    local: End,
    remote: End,
    { seconds, nanoseconds, comment }: CapturedPacket,
    what: Pick<Recorded, 'inbound' | 'bytes' | 'cut' | 'textAt'>,
    segment: SegmentText | null,
  ): void {
    const { section } = this;
    const key = formatTuple(local, remote);
    let flow = section.byTuple.get(key);
    if (flow === undefined) {
      const family = local.address.includes(':') ? 6 : 4;
      flow = { key, local, remote, family, seen: [], stretches: [] };
      section.byTuple.set(key, flow);
    }
    const at = seconds * 1000 + nanoseconds / 1e6;
    if (section.packets.length === 0) section.start = at;
    // A clock that was set back does not turn the replay's
    const before = section.packets.at(-1);
    const last = before === undefined ? 0 : before.flow.seen[before.index]!.time;
    const time = Math.max(last, Math.round((at - section.start) * 1000) / 1000);
    section.packets.push({ flow, index: flow.seen.length });
    flow.seen.push({ frame: this.total, at, time, comment, segment, ...what });
  }
}
