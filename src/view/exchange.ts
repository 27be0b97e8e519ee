/**
 * From the packets of a capture to exchanges: all segments of one tuple, in order,
 * seen from one of its ends, cut into the connections that used the tuple one after
 * the other.
 */
import { formatWords } from '../wire/address.js';
import { mendCaptured } from '../wire/captured.js';
import { IpHeader } from '../wire/ip.js';
import { ipOffset, knowsLinkType, linkDirection } from '../wire/link-layer.js';
import { describeSegment, type SegmentText } from '../wire/notation.js';
import type { CapturedPacket } from '../wire/pcapng.js';
import { ACK, LOAD_BAD_OPTION, LOAD_OK, RST, SYN, Segment } from '../wire/segment.js';

export interface End {
  /** Text, no brackets. */
  readonly address: string;
  readonly port: number;
}

/** One segment on the wire, or (`segment` null) something that happened without one. */
export interface Seen {
  /** Number of its packet in the file, from 1, as Wireshark counts; 0 when there is no file. */
  readonly frame: number;
  /** ms since 1970. */
  readonly at: number;
  /** It went to the local end. */
  readonly inbound: boolean;
  /** Numbers as on the wire. */
  readonly segment: SegmentText | null;
  /** The packet's comments, a line each; '' for none. */
  readonly comment: string;
}

export interface Exchange {
  /** Which section of the file, from 0: a file may hold several recordings. */
  readonly section: number;
  readonly family: 4 | 6;
  readonly local: End;
  readonly remote: End;
  readonly seen: readonly Seen[];
  /** At least one; the first begins at 0. */
  readonly stretches: readonly Stretch[];
}

/** The segments of one connection: from the SYN that opened it to the SYN that opened the next one. */
export interface Stretch {
  /** Place in `seen` of its first segment. */
  readonly start: number;
  /** A SYN,ACK was seen: numbers below are initial sequence numbers, else those before the first segments. */
  readonly opened: boolean;
  readonly localIss: number;
  readonly remoteIss: number;
}

export function formatEnd({ address, port }: End): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** LOCAL-REMOTE, as `--tuple` takes it. */
export function formatTuple(local: End, remote: End): string {
  return `${formatEnd(local)}-${formatEnd(remote)}`;
}

/** A tuple while it is gathered; `a` sent its first segment. */
interface Gathered {
  readonly section: number;
  readonly family: 4 | 6;
  readonly a: End;
  readonly b: End;
  readonly seen: { frame: number; at: number; fromA: boolean; segment: SegmentText; comment: string }[];
  /** Packets whose direction was recorded, by who would be the local end then. */
  localA: number;
  localB: number;
}

export interface GatherOptions {
  /** Only tuples for which this is true are kept. */
  readonly wanted?: (a: End, b: End) => boolean;
  /** Is this the local end? Else the recorded direction decides, else who was connected to. */
  readonly side?: (end: End) => boolean;
}

/** Takes packets one by one. Memory: about half a KiB for a segment that is kept. */
export class Gatherer {
  /** Packets of all kinds; segments of TCP over IPv4 or IPv6. */
  packets = 0;
  segments = 0;
  /** When the first packet was recorded, ms since 1970; NaN without any. */
  start = NaN;
  /** Link types that nothing could be read from. */
  readonly unknownLinks = new Set<number>();
  private readonly tuples = new Map<string, Gathered>();
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();

  constructor(private readonly options: GatherOptions = {}) {}

  take(packet: CapturedPacket, original: number, section: number): void {
    this.packets++;
    const at = packet.seconds * 1000 + packet.nanoseconds / 1e6;
    if (Number.isNaN(this.start) || at < this.start) this.start = at;
    if (!knowsLinkType(packet.linkType)) {
      this.unknownLinks.add(packet.linkType);
      return;
    }
    const offset = ipOffset(packet.linkType, packet.bytes);
    if (offset < 0 || !this.load(packet.bytes.subarray(offset), original - offset)) return;
    this.segments++;
    const tuple = this.tupleOf(section);
    if (tuple === null) return;
    const s = this.segment;
    const fromA =
      s.srcPort === tuple.a.port && formatWords(s.src0, s.src1, s.src2, s.src3) === tuple.a.address;
    const inbound = packet.inbound ?? linkDirection(packet.linkType, packet.bytes);
    if (inbound !== null) {
      if (inbound === fromA) tuple.localB++;
      else tuple.localA++;
    }
    tuple.seen.push({
      frame: this.packets,
      at,
      fromA,
      segment: describeSegment(s),
      comment: packet.comment,
    });
  }

  /** Headers of a segment. */
  private load(bytes: Uint8Array, original: number): boolean {
    const { ip, segment } = this;
    const packet = mendCaptured(bytes, original);
    if (packet === null || ip.load(packet, 0, packet.length) !== LOAD_OK) return false;
    if (ip.protocol !== 6 || ip.fragment) return false;
    const loaded = segment.load(ip, false);
    return loaded === LOAD_OK || loaded === LOAD_BAD_OPTION;
  }

  /** The tuple of the segment on hand; null when nobody wants it. */
  private tupleOf(section: number): Gathered | null {
    const s = this.segment;
    const from = `${s.src0},${s.src1},${s.src2},${s.src3},${s.srcPort}`;
    const to = `${s.dst0},${s.dst1},${s.dst2},${s.dst3},${s.dstPort}`;
    const key = from < to ? `${section} ${from} ${to}` : `${section} ${to} ${from}`;
    const known = this.tuples.get(key);
    if (known !== undefined) return known;
    const a = { address: formatWords(s.src0, s.src1, s.src2, s.src3), port: s.srcPort };
    const b = { address: formatWords(s.dst0, s.dst1, s.dst2, s.dst3), port: s.dstPort };
    if (this.options.wanted !== undefined && !this.options.wanted(a, b)) {
      this.missed.set(key, [a, b]);
      return null;
    }
    const tuple: Gathered = {
      section,
      family: s.version === 6 ? 6 : 4,
      a,
      b,
      seen: [],
      localA: 0,
      localB: 0,
    };
    this.tuples.set(key, tuple);
    return tuple;
  }

  private readonly missed = new Map<string, readonly [End, End]>();

  /** Tuples that were there and not wanted. */
  others(): (readonly [End, End])[] {
    return [...this.missed.values()];
  }

  exchanges(): Exchange[] {
    return [...this.tuples.values()].map((tuple) => exchangeOf(tuple, this.options.side));
  }
}

function exchangeOf(tuple: Gathered, side: ((end: End) => boolean) | undefined): Exchange {
  const localIsA = isLocalA(tuple, side);
  const seen = tuple.seen.map(({ frame, at, fromA, segment, comment }): Seen => ({
    frame,
    at,
    inbound: fromA !== localIsA,
    segment,
    comment,
  }));
  return {
    section: tuple.section,
    family: tuple.family,
    local: localIsA ? tuple.a : tuple.b,
    remote: localIsA ? tuple.b : tuple.a,
    seen,
    stretches: stretchesOf(seen),
  };
}

function isLocalA(tuple: Gathered, side: ((end: End) => boolean) | undefined): boolean {
  const { a, b } = tuple;
  if (side !== undefined && side(a) !== side(b)) return side(a);
  if (tuple.localA !== tuple.localB) return tuple.localA > tuple.localB;
  // Who was connected to: it answers with SYN,ACK, or the first SYN goes to it.
  const answer = tuple.seen.find(({ segment }) => (segment.flags & (SYN | ACK)) === (SYN | ACK));
  if (answer !== undefined) return answer.fromA;
  const syn = tuple.seen.find(({ segment }) => (segment.flags & SYN) !== 0);
  if (syn !== undefined) return !syn.fromA;
  // Services have the lower ports.
  return a.port < b.port;
}

/** The same exchange from its other end. */
export function turned(exchange: Exchange): Exchange {
  const { section, family, local, remote } = exchange;
  const seen = exchange.seen.map((one) => ({ ...one, inbound: !one.inbound }));
  return { section, family, local: remote, remote: local, seen, stretches: stretchesOf(seen) };
}

const wrap = (n: number): number => n >>> 0;

/** What one end alone knows: no handshake to count from, so that numbers are those on the wire. */
export function exchangeOfLog(local: End, remote: End, seen: readonly Seen[]): Exchange {
  const family = local.address.includes(':') ? 6 : 4;
  const stretches = [{ start: 0, opened: false, localIss: 0, remoteIss: 0 }];
  return { section: 0, family, local, remote, seen, stretches };
}

/** Cuts the segments of a tuple into connections: each begins with the SYN that its SYN,ACK answers. */
export function stretchesOf(seen: readonly Seen[]): Stretch[] {
  const found: Stretch[] = [];
  seen.forEach(({ segment, inbound }, i) => {
    if (segment === null || (segment.flags & (SYN | ACK)) !== (SYN | ACK) || (segment.flags & RST) !== 0)
      return;
    const other = wrap((segment.ack ?? 0) - 1);
    const [localIss, remoteIss] = inbound ? [other, segment.seq] : [segment.seq, other];
    const last = found.at(-1);
    // Sent again, or the second of a simultaneous open.
    if (last !== undefined && last.localIss === localIss && last.remoteIss === remoteIss) return;
    let start = i;
    for (let k = i - 1; k > (last?.start ?? -1); k--) {
      const before = seen[k]!;
      const isSyn = before.segment !== null && (before.segment.flags & (SYN | ACK)) === SYN;
      if (!isSyn || before.inbound === inbound || before.segment.seq !== other) continue;
      start = k;
      break;
    }
    found.push({ start, opened: true, localIss, remoteIss });
  });
  if (found[0]?.start === 0) return found;
  const before = seen.slice(0, found[0]?.start ?? seen.length);
  const first = {
    start: 0,
    opened: false,
    localIss: baseOf(before, false),
    remoteIss: baseOf(before, true),
  };
  return [first, ...found];
}

/** What the numbers of one direction are counted from when its handshake was not seen. */
function baseOf(seen: readonly Seen[], inbound: boolean): number {
  const own = seen.find((s) => s.segment !== null && s.inbound === inbound && (s.segment.flags & RST) === 0);
  if (own?.segment) return wrap(own.segment.seq - ((own.segment.flags & SYN) !== 0 ? 0 : 1));
  const answer = seen.find((s) => s.segment?.ack !== undefined && s.inbound !== inbound);
  return answer?.segment ? wrap((answer.segment.ack ?? 1) - 1) : 0;
}

/** The stretch that the segment at `index` belongs to, by number. */
export function stretchAt(exchange: Exchange, index: number): number {
  const { stretches } = exchange;
  let low = 0;
  let high = stretches.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (stretches[middle]!.start <= index) low = middle;
    else high = middle;
  }
  return low;
}
