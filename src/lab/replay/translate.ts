/**
 * The recorded peer acknowledges numbers and echoes timestamps of the recorded end; ours has others. One
 * translation per flow: by connection for sequence numbers, by time for timestamps.
 */
import { adjust, patchWord } from '../../wire/checksum.js';
import { IpHeader, word } from '../../wire/ip.js';
import { completeChecksum } from '../../wire/partial.js';
import { ACK, LOAD_BAD_OPTION, LOAD_OK, RST, SYN, Segment } from '../../wire/segment.js';
import { stampOf } from './compare.js';
import type { Flow, Recorded } from './recording.js';

/** Where header fields stand. */
const ACK_PLACE = 8;
const CHECKSUM_PLACE = 16;
/** Option kinds. */
const EOL = 0;
const NOP = 1;
const SACK = 5;
const TIMESTAMP = 8;
/** Our timestamps remembered; the oldest are forgotten. */
const MOST_STAMPS = 4096;

interface Stamped {
  readonly time: number;
  readonly value: number;
}

export class Translation {
  /** Our ISS of each connection of the flow, by its number; undefined before our SYN. */
  private readonly ours: (number | undefined)[] = [];
  /** When the recorded end had this timestamp first. */
  private readonly recorded = new Map<number, number>();
  /** Timestamps we sent, in order. */
  private stamps: Stamped[] = [];
  private readonly ip = new IpHeader();
  private readonly segment = new Segment();

  constructor(private readonly flow: Flow) {
    for (const { inbound, segment, time } of flow.seen) {
      const stamp = segment === null || inbound ? null : stampOf(segment);
      if (stamp !== null && !this.recorded.has(stamp)) this.recorded.set(stamp, time);
    }
  }

  /** A segment of ours leaves while the recording is at `index`. */
  sent(segment: Segment, time: number, index: number): void {
    const { flags, seq } = segment;
    if ((flags & SYN) !== 0 && (flags & RST) === 0) this.ours[this.connectionAt(index)] = seq;
    if (!segment.hasTimestamp || (flags & RST) !== 0) return;
    const value = segment.tsVal >>> 0;
    if (this.stamps.at(-1)?.value === value) return;
    this.stamps.push({ time, value });
    if (this.stamps.length > MOST_STAMPS) this.stamps = this.stamps.slice(MOST_STAMPS >> 1);
  }

  /** Our number, counted from the ISS of its connection. */
  relativeOurs(seq: number): number {
    const i = newest(seq, this.ours.length, (n) => this.ours[n]);
    return i < 0 ? seq : (seq - this.ours[i]!) >>> 0;
  }

  /** The same of the recorded end. */
  relativeRecorded(seq: number): number {
    const { stretches } = this.flow;
    const i = newest(seq, stretches.length, (n) => stretches[n]!.localIss);
    return i < 0 ? seq : (seq - stretches[i]!.localIss) >>> 0;
  }

  /** A copy of an arriving packet, in our numbers. A wrong checksum stays wrong, unless the capture cut the packet. */
  toOurs(packet: Recorded): Uint8Array {
    const bytes = packet.bytes.slice();
    const { ip } = this;
    ip.load(bytes, 0, bytes.length);
    if (packet.segment === null) this.error(bytes);
    else if (packet.cut) {
      this.acknowledgment(bytes);
      completeChecksum(ip);
    } else adjust(bytes, ip.payloadOffset + CHECKSUM_PLACE, this.acknowledgment(bytes));
    return bytes;
  }

  /** SEG.ACK, SACK blocks and TSecr; the change to the checksum. */
  private acknowledgment(bytes: Uint8Array): number {
    const { segment: s, ip } = this;
    const loaded = s.load(ip, false);
    if ((loaded !== LOAD_OK && loaded !== LOAD_BAD_OPTION) || (s.flags & ACK) === 0) return 0;
    const base = ip.payloadOffset;
    const shift = this.shiftOf(s.ack);
    let change = patchWord(bytes, base + ACK_PLACE, (s.ack + shift) >>> 0, base);
    for (let at = s.optionsOffset; at < s.payloadOffset;) {
      const kind = bytes[at]!;
      if (kind === EOL) break;
      const length = kind === NOP ? 1 : (bytes[at + 1] ?? 0);
      if (length === 0 || (kind !== NOP && length < 2) || at + length > s.payloadOffset) break;
      if (kind === SACK)
        for (let edge = at + 2; edge + 4 <= at + length; edge += 4)
          change += patchWord(bytes, edge, (word(bytes, edge) + shift) >>> 0, base);
      if (kind === TIMESTAMP && length === 10)
        change += patchWord(bytes, at + 6, this.echoOf(word(bytes, at + 6) >>> 0), base);
      at += length;
    }
    return change;
  }

  /** The sequence number in the segment that an ICMP error quotes. */
  private error(bytes: Uint8Array): void {
    const { ip } = this;
    const quoted = ip.payloadOffset + 8;
    const place = quoted + (ip.version === 4 ? (bytes[quoted]! & 15) * 4 : 40) + 4;
    if (place + 4 > ip.payloadOffset + ip.payloadLength) return;
    const seq = word(bytes, place);
    const change = patchWord(bytes, place, (seq + this.shiftOf(seq)) >>> 0, ip.payloadOffset);
    adjust(bytes, ip.payloadOffset + 2, change);
  }

  /** What makes ours of a recorded number: by the newest connection that it can be of. */
  private shiftOf(recorded: number): number {
    const { stretches } = this.flow;
    const i = newest(recorded, stretches.length, (n) =>
      this.ours[n] === undefined ? undefined : stretches[n]!.localIss,
    );
    return i < 0 ? 0 : this.ours[i]! - stretches[i]!.localIss;
  }

  private connectionAt(index: number): number {
    return Math.max(
      0,
      this.flow.stretches.findLastIndex(({ start }) => start <= index),
    );
  }

  /** Our timestamp at the time when the recorded end had this one; itself when it never had. */
  private echoOf(value: number): number {
    const time = this.recorded.get(value);
    if (time === undefined || this.stamps.length === 0) return value;
    return (this.stamps.findLast((stamp) => stamp.time <= time) ?? this.stamps[0]!).value;
  }
}

/** The last of `count` connections whose ISS is known and not above `seq`; -1: none. */
function newest(seq: number, count: number, issOf: (n: number) => number | undefined): number {
  for (let n = count - 1; n >= 0; n--) {
    const iss = issOf(n);
    if (iss !== undefined && ((seq - iss) | 0) >= 0) return n;
  }
  return -1;
}
