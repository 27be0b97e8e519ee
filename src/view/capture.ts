/** From captured packets to the rungs of a ladder: one tuple, numbers relative to its first segments. */
import { IpHeader } from '../wire/ip.js';
import { formatSegment } from '../wire/notation.js';
import type { CapturedPacket } from '../wire/pcapng.js';
import { ACK, SYN, Segment } from '../wire/segment.js';
import type { Rung } from './ladder.js';

/** The packets between our port and the peer's, in order. Inbound goes from left to right. */
export function rungsOf(packets: readonly CapturedPacket[], ourPort: number, peerPort: number): Rung[] {
  const ip = new IpHeader();
  const segment = new Segment();
  const rungs: Rung[] = [];
  let ours: number | null = null;
  let peers: number | null = null;
  let start: number | null = null;
  for (const packet of packets) {
    if (
      ip.load(packet.bytes, 0, packet.bytes.length) !== 0 ||
      ip.protocol !== 6 ||
      segment.load(ip, false) !== 0
    )
      continue;
    const inbound = packet.inbound === true;
    const [local, remote] = inbound ? [segment.dstPort, segment.srcPort] : [segment.srcPort, segment.dstPort];
    if (local !== ourPort || remote !== peerPort) continue;
    if ((segment.flags & SYN) !== 0) {
      if (inbound) peers ??= segment.seq;
      else ours ??= segment.seq;
    }
    const at = packet.seconds * 1000 + packet.nanoseconds / 1e6;
    start ??= at;
    const bases = inbound
      ? { seq: peers ?? 0, ack: ours ?? 0 }
      : { seq: ours ?? 0, ack: (segment.flags & ACK) !== 0 ? (peers ?? 0) : 0 };
    rungs.push({
      time: at - start,
      rightward: inbound,
      segment: formatSegment(segment, bases),
      comment: packet.comment,
    });
  }
  return rungs;
}
