/**
 * Between the numbers of a script and those on the wire: sequence numbers count from 0 both
 * ways, timestamps of the other end are known by the value that the script gave them.
 */
import { SYN, type Segment } from '../wire/segment.js';
import type { OptionText, SegmentText } from '../wire/notation.js';
import { describeExactly } from '../wire/notation-packet.js';
import { RST } from '../wire/segment.js';

const U32 = 2 ** 32;
const wrap = (value: number): number => ((value % U32) + U32) % U32;

/** Timestamps remembered; the oldest are forgotten. */
const MOST_STAMPS = 4096;

export class Numbering {
  /** The number of the peer's last SYN in the script. */
  private peerSyn: number | null = null;
  /**
   * Behind a SYN with a number N other than 0 some scripts count on from N, some from 0. The
   * first number behind the SYN tells; null until then.
   */
  private fromZero: boolean | null = null;
  /** Numbers of the end under test are the script's plus this; null until its SYN was seen. */
  private ours: number | null = null;
  /** A SYN from either side may have begun the count anew. */
  private reopened = false;
  /** Timestamps on the wire by the script's. */
  private readonly stamps = new Map<number, number>();
  private stampBase: number | null = null;

  /** `peerIss`: on the wire the numbers of a peer's SYN are the script's plus this. */
  constructor(private readonly peerIss = 0) {}

  /** What is added to the peer's number `script` of a segment that is no SYN. */
  private theirs(script: number | null): number {
    if (script !== null && this.peerSyn !== null) this.fromZero ??= script < this.peerSyn / 2;
    return this.peerIss + (this.fromZero === true ? this.peerSyn! : 0);
  }

  /** connect() was called: the peer's numbers may begin anew, too. */
  connects(): void {
    this.reopen();
    this.peerSyn = null;
    this.fromZero = null;
  }

  /** A SYN arrived, or connect() was called: the next SYN of the end under test may have a new ISN. */
  reopen(): void {
    this.reopened = true;
  }

  /** The segments to come are of a connection that nothing is known of. */
  forget(): void {
    this.ours = null;
    this.stampBase = null;
    this.stamps.clear();
    this.peerSyn = null;
    this.fromZero = null;
  }

  /** What goes to the end under test. */
  toWire(text: SegmentText): SegmentText {
    const syn = (text.flags & SYN) !== 0;
    if (syn) this.reopen();
    if (syn && (this.peerSyn === null || this.fromZero === true)) this.peerSyn = text.seq;
    const theirs = syn ? this.peerIss : this.theirs(text.seq);
    const ours = this.ours ?? 0;
    return {
      ...text,
      seq: text.absolute ? text.seq : wrap(text.seq + theirs),
      ...(text.ack === undefined ? {} : { ack: wrap(text.ack + ours) }),
      ...(text.options === undefined
        ? {}
        : { options: text.options.map((option) => this.optionToWire(option, ours)) }),
    };
  }

  private optionToWire(option: OptionText, ours: number): OptionText {
    if (option.kind === 'sack')
      return {
        kind: 'sack',
        blocks: option.blocks.map(([left, right]) => [wrap(left + ours), wrap(right + ours)]),
      };
    if (option.kind !== 'TS') return option;
    const known = this.stamps.get(option.ecr);
    if (known !== undefined) return { ...option, ecr: known };
    return option.ecr === 0 || this.stampBase === null
      ? option
      : { ...option, ecr: wrap(option.ecr + this.stampBase) };
  }

  /** A sequence number of the end under test, on the wire. */
  ourWire(seq: number): number {
    return wrap(seq + (this.ours ?? 0));
  }

  /**
   * What the end under test sent, in the script's numbers. `expected` (null for nothing) says
   * how a first SYN is numbered.
   */
  fromWire(segment: Segment, expected: SegmentText | null): SegmentText {
    const seq = segment.seq >>> 0;
    if ((segment.flags & SYN) !== 0) {
      const wanted = expected === null || expected.anySeq ? 0 : expected.seq;
      const first = this.ours === null;
      // `S 0:0(0)` of a new incarnation: its ISN is not foretold. Any other number is compared.
      if (first || (this.reopened && wanted === 0)) {
        if (!first && this.ours !== seq) this.stampBase = null;
        this.ours = wrap(seq - wanted);
        this.reopened = false;
      }
    }
    const absolute = expected?.absolute === true;
    const acked = expected === null || expected.anyAck ? null : (expected.ack ?? null);
    const theirs = (segment.flags & SYN) !== 0 ? this.peerIss : this.theirs(acked);
    const text = describeExactly(segment, { seq: absolute ? 0 : (this.ours ?? 0), ack: theirs });
    const options = text.options!.map((option) =>
      option.kind === 'TS' && this.stampBase !== null
        ? { ...option, val: wrap(option.val - this.stampBase) }
        : option,
    );
    // A RST without a connection behind it has number 0 on the wire, whatever was counted before.
    const bare = (segment.flags & RST) !== 0 && seq === 0;
    return { ...text, options, ...(bare ? { seq: 0 } : {}), ...(absolute ? { absolute } : {}) };
  }

  /** `script` is what the script calls the timestamp that `segment` carries. */
  learn(segment: Segment, script: number): void {
    if (!segment.hasTimestamp) return;
    const wire = segment.tsVal >>> 0;
    // The zero of a RST is no reading of a clock.
    if ((segment.flags & RST) !== 0 && wire === 0) return;
    this.stampBase ??= wrap(wire - script);
    if (this.stamps.size >= MOST_STAMPS) this.stamps.delete(this.stamps.keys().next().value!);
    this.stamps.set(script, wire);
  }

  /** Is the clock of the end under test known? */
  get stamped(): boolean {
    return this.stampBase !== null;
  }
}
