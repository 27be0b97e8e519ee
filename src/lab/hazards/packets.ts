/** Packets by hand for hazards: old duplicates from a trace, and segments nobody sent. */
import type { Trace } from '../../sim/trace.js';
import { parseAddress } from '../../wire/address.js';
import { IpHeader } from '../../wire/ip.js';
import { buildPacket } from '../../wire/notation-packet.js';
import { ACK, FIN, Segment } from '../../wire/segment.js';
import { CLIENT, FIXED, SERVER, SERVICE } from './stage.js';

const ip = new IpHeader();
const segment = new Segment();

/** Packets a host sent whose segment passes the test, copied. `segment` is valid during the call only. */
export function sentPackets(trace: Trace, test: (segment: Segment) => boolean): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const { bytes, inbound } of trace.packets) {
    if (inbound === true || ip.load(bytes, 0, bytes.length) !== 0 || segment.load(ip, false) !== 0) continue;
    if (test(segment)) found.push(bytes.slice());
  }
  return found;
}

/** Where the connection of a trace ended: the sender's SND.NXT (its FIN counted) and what it had acknowledged. Unsigned. */
export function endOf(trace: Trace): { readonly sndNxt: number; readonly rcvNxt: number } {
  let sndNxt = 0;
  let rcvNxt = 0;
  sentPackets(trace, (s) => {
    if ((s.flags & FIN) !== 0) sndNxt = s.end >>> 0;
    if ((s.flags & ACK) !== 0) rcvNxt = s.ack >>> 0;
    return false;
  });
  return { sndNxt, rcvNxt };
}

/** A segment from the fixed client to the service. Numbers are taken modulo 2^32. */
export function fromClient(flags: number, seq: number, ack = 0): Uint8Array {
  const ends = {
    src: parseAddress(CLIENT)!,
    dst: parseAddress(SERVER)!,
    srcPort: FIXED,
    dstPort: SERVICE,
  };
  const text = { flags, seq: seq % 2 ** 32, length: 0, win: 65_535 };
  return buildPacket((flags & ACK) !== 0 ? { ...text, ack: ack % 2 ** 32 } : text, ends);
}
