/**
 * What the program at the recorded end must have done, as its segments tell: a SYN is a connect(), new text
 * a write, a FIN a close() or a shutdown(), a RST with an ACK an abort. A program that reads is assumed to
 * read at once.
 */
import { after, diff } from '../../seqnum.js';
import { ACK, FIN, PSH, RST, SYN } from '../../wire/segment.js';
import type { Flow, Recorded, Recording } from './recording.js';

export type Call =
  | { readonly kind: 'connect' }
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  | { readonly kind: 'shutdown' }
  | { readonly kind: 'close' }
  | { readonly kind: 'abort' };

/** Calls by the number of the recorded answer that shows them, which they come just before. */
export type Calls = ReadonlyMap<number, readonly Call[]>;

/** Ports that took connections. */
export function listeningPorts(recording: Recording): Set<number> {
  const ports = new Set<number>();
  for (const { local, seen } of recording.flows) {
    const answer = seen.findIndex(({ inbound, segment }) => !inbound && isSyn(segment?.flags, true));
    if (answer < 0) continue;
    // A simultaneous open has a SYN of its own before it
    const own = seen
      .slice(0, answer)
      .some(
        ({ inbound, segment }) =>
          !inbound && isSyn(segment?.flags, false) && segment!.seq === seen[answer]!.segment!.seq,
      );
    if (!own) ports.add(local.port);
  }
  return ports;
}

function isSyn(flags: number | undefined, answer: boolean): boolean {
  return flags !== undefined && (flags & (SYN | ACK | RST)) === (answer ? SYN | ACK : SYN);
}

export function callsOf(flow: Flow): Calls {
  return new Program(flow).calls();
}

class Program {
  private readonly found = new Map<number, Call[]>();
  /** ISS of the connection on hand, and the end of what it has sent; null before its SYN. */
  private iss: number | null = null;
  private end = 0;
  private finished = false;
  /** The write that goes on with the next text, as pieces. */
  private pieces: { readonly at: number; readonly parts: Uint8Array[] } | null = null;

  constructor(private readonly flow: Flow) {}

  calls(): Calls {
    this.flow.seen.forEach((packet, index) => {
      if (packet.inbound) {
        // What the program writes behind what it was told is another write
        if ((packet.segment?.length ?? 0) > 0) this.written();
      } else this.sent(packet, index);
    });
    this.written();
    return this.found;
  }

  private sent(packet: Recorded, index: number): void {
    const { flags, seq, length } = packet.segment!;
    if ((flags & RST) !== 0) {
      this.reset(flags, index);
      return;
    }
    let first = seq;
    if ((flags & SYN) !== 0) {
      first = seq + 1;
      if (this.iss !== seq) this.opens(seq, (flags & ACK) === 0, index);
    }
    if (this.iss === null || this.finished) return;
    const fresh = diff(first + length, this.end);
    if (length > 0 && fresh > 0) this.writes(packet, Math.min(fresh, length), index);
    if ((flags & (PSH | FIN)) !== 0) this.written();
    if ((flags & FIN) !== 0) {
      this.finished = true;
      this.add(index, { kind: this.listensOn(index) ? 'shutdown' : 'close' });
    }
  }

  private opens(iss: number, active: boolean, index: number): void {
    this.written();
    this.iss = iss;
    this.end = iss + 1;
    this.finished = false;
    if (active) this.add(index, { kind: 'connect' });
  }

  private writes(packet: Recorded, fresh: number, index: number): void {
    const from = packet.textAt + packet.segment!.length - fresh;
    this.pieces ??= { at: index, parts: [] };
    this.pieces.parts.push(packet.bytes.subarray(from, from + fresh));
    this.end = (this.end + fresh) | 0;
  }

  /** The write on hand is whole. */
  private written(): void {
    const { pieces } = this;
    this.pieces = null;
    if (pieces === null) return;
    const bytes = new Uint8Array(pieces.parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of pieces.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.add(pieces.at, { kind: 'write', bytes });
  }

  /**
   * A RST that acknowledges is the program's doing unless it has closed, or nothing was open; one that does
   * not answers a segment.
   */
  private reset(flags: number, index: number): void {
    this.written();
    if ((flags & ACK) !== 0 && this.iss !== null && !this.finished) this.add(index, { kind: 'abort' });
    this.iss = null;
  }

  /** Text that comes behind our FIN at `index` is acknowledged: somebody still reads. */
  private listensOn(index: number): boolean {
    const { seen } = this.flow;
    let newest: number | null = null;
    for (let i = index + 1; i < seen.length; i++) {
      const { inbound, segment } = seen[i]!;
      if (segment === null) continue;
      if ((segment.flags & SYN) !== 0) return false;
      if (inbound && segment.length > 0) newest = segment.seq + segment.length;
      if (inbound || newest === null) continue;
      if ((segment.flags & RST) !== 0) return false;
      if (segment.ack !== undefined && !after(newest, segment.ack)) return true;
    }
    return false;
  }

  private add(index: number, call: Call): void {
    const calls = this.found.get(index);
    if (calls === undefined) this.found.set(index, [call]);
    else calls.push(call);
  }
}
