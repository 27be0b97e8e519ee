/**
 * What one host saw: its packets with the engine's reasons, as a list for ladders or a
 * pcapng file. Memory: `limit` packets, the later ones are counted only.
 */
import { reasonComment } from '../reasons.js';
import { PcapngWriter, type CapturedPacket } from '../wire/pcapng.js';

const LINKTYPE_RAW = 101;
/** Captures of the simulator begin here: 1 January 2026, so that files repeat byte for byte. */
const EPOCH_SECONDS = 1_767_225_600;

export class Trace {
  readonly packets: CapturedPacket[] = [];
  /** Packets beyond the limit. */
  missed = 0;

  constructor(
    /** The virtual time that is second 0 of the trace, ms. */
    private readonly start: number,
    private readonly limit = 10_000,
  ) {}

  packet(now: number, bytes: Uint8Array, inbound: boolean, reason: number): void {
    if (this.packets.length >= this.limit) {
      this.missed++;
      return;
    }
    const micros = Math.round((now - this.start) * 1000);
    this.packets.push({
      bytes: bytes.slice(),
      linkType: LINKTYPE_RAW,
      seconds: EPOCH_SECONDS + Math.floor(micros / 1e6),
      nanoseconds: (micros % 1e6) * 1000,
      inbound,
      comment: reasonComment(reason),
    });
  }

  /** The whole file; `name` is the interface's. */
  pcapng(name: string): Uint8Array {
    const writer = new PcapngWriter(name);
    const blocks = [writer.header()];
    for (const { bytes, seconds, nanoseconds, inbound, comment } of this.packets)
      blocks.push(writer.packet(bytes, 0, bytes.length, seconds, nanoseconds, inbound === true, comment));
    const file = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of blocks) {
      file.set(block, at);
      at += block.length;
    }
    return file;
  }
}
