/** What somebody who watches a connection on the wire can tell of its two ends: numbers, windows, who closed, who holds TIME-WAIT. */
import { after } from '../seqnum.js';
import type { SegmentText } from '../wire/notation.js';
import { ACK, FIN, RST, SYN } from '../wire/segment.js';

/** One end, from what it sent. Sequence numbers are int32. */
export interface ObservedEnd {
  /** It has sent something. */
  readonly heard: boolean;
  /** SND.NXT: behind the last octet it sent. */
  readonly nxt: number;
  /** The highest acknowledgment it sent: its RCV.NXT. */
  readonly acked: number;
  /** Behind its FIN; null before it sent one. */
  readonly finEnd: number | null;
  /** Its FIN went out before it knew the peer's: this end waits in TIME-WAIT. */
  readonly active: boolean;
  /** Its last window, unscaled, and the shift it announced in its SYN; -1: none, -2: its SYN was not seen. */
  readonly wnd: number;
  readonly shift: number;
  /** Its SYN, and its last segment, carried a timestamp; null: no such segment was seen. */
  readonly stampedSyn: boolean | null;
  readonly stamped: boolean;
  /** Its last timestamp in order, and when it was seen (ms). */
  readonly tsVal: number;
  readonly tsAt: number;
}

class Observing implements ObservedEnd {
  heard = false;
  nxt = 0;
  acked = 0;
  ackedAtAll = false;
  finEnd: number | null = null;
  active = false;
  wnd = 0;
  shift = -2;
  stampedSyn: boolean | null = null;
  stamped = false;
  tsVal = 0;
  tsAt = 0;
}

export type Side = 'local' | 'remote';

export class Observed {
  readonly local: ObservedEnd = new Observing();
  readonly remote: ObservedEnd = new Observing();
  /** A SYN was answered by a SYN,ACK. */
  opened = false;
  /** Who sent the RST that ended the connection. */
  resetBy: Side | null = null;
  /** When each end came into TIME-WAIT, ms; null: it did not. */
  readonly timeWaitAt: Record<Side, number | null> = { local: null, remote: null };
  private synAt: number | null = null;
  /** From the SYN to the ACK of its SYN,ACK, ms: a round trip, wherever it is watched; null: not seen. */
  roundTrip: number | null = null;

  /** `inbound`: the remote end sent it. */
  take(segment: SegmentText, inbound: boolean, at: number): void {
    const me = (inbound ? this.remote : this.local) as Observing;
    const peer = (inbound ? this.local : this.remote) as Observing;
    const { flags } = segment;
    if ((flags & RST) !== 0) {
      if (!this.closed && this.resetBy === null) this.resetBy = inbound ? 'remote' : 'local';
      return;
    }
    if ((flags & SYN) !== 0 && !this.handshake(me, segment, at)) return;
    const end =
      (segment.seq + segment.length + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0)) | 0;
    const fresh = !me.heard || !after(me.nxt, segment.seq | 0);
    if (!me.heard || after(end, me.nxt)) me.nxt = end;
    me.heard = true;
    this.options(me, segment, at, fresh);
    if ((flags & ACK) !== 0 && segment.ack !== undefined) {
      const ack = segment.ack | 0;
      if (!me.ackedAtAll || after(ack, me.acked)) me.acked = ack;
      me.ackedAtAll = true;
      me.wnd = segment.win ?? me.wnd;
    }
    if ((flags & FIN) !== 0 && me.finEnd === null) {
      me.finEnd = end;
      me.active = peer.finEnd === null || after(peer.finEnd, me.acked);
    }
    if (this.roundTrip === null && this.opened && this.synAt !== null && (flags & SYN) === 0)
      this.roundTrip = at - this.synAt;
    this.enter(at);
  }

  /** false: a SYN that does not belong to this connection. */
  private handshake(me: Observing, segment: SegmentText, at: number): boolean {
    if (me.heard && ((segment.seq + 1) | 0) !== me.nxt) return false;
    me.shift = segment.options?.find((option) => option.kind === 'wscale')?.value ?? -1;
    me.stampedSyn = segment.options?.some((option) => option.kind === 'TS') === true;
    if ((segment.flags & ACK) !== 0) this.opened = true;
    else this.synAt = at;
    return true;
  }

  private options(me: Observing, segment: SegmentText, at: number, fresh: boolean): void {
    const stamp = segment.options?.find((option) => option.kind === 'TS');
    me.stamped = stamp !== undefined;
    if (stamp === undefined || !fresh) return;
    me.tsVal = stamp.val | 0;
    me.tsAt = at;
  }

  /** RFC 9293 3.6: both FINs are acknowledged; whoever sent its own first (or did not know better) waits. */
  private enter(at: number): void {
    if (!this.closed) return;
    if (this.local.active) this.timeWaitAt.local ??= at;
    if (this.remote.active) this.timeWaitAt.remote ??= at;
  }

  /** Both FINs are acknowledged. */
  get closed(): boolean {
    const { local, remote } = this;
    if (local.finEnd === null || remote.finEnd === null) return false;
    return !after(local.finEnd, remote.acked) && !after(remote.finEnd, local.acked);
  }

  /** Timestamps were agreed on; without the SYNs, both ends use them. */
  get timestamps(): boolean {
    const { local, remote } = this;
    if (local.stampedSyn !== null && remote.stampedSyn !== null) return local.stampedSyn && remote.stampedSyn;
    return local.stamped && remote.stamped;
  }

  /** The window that an end announced last, bytes. */
  window(side: Side): number {
    const scaled = this.local.shift >= 0 && this.remote.shift >= 0;
    const { wnd, shift } = this[side];
    return wnd * 2 ** (scaled ? Math.min(14, shift) : 0);
  }
}
