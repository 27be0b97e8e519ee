/**
 * Frames of any length that wait for the engine: copies in one block of memory, first in, first
 * out. A full queue refuses; it never grows.
 */
export class FrameQueue {
  readonly bytes: Uint8Array;
  count = 0;
  private readonly starts: Int32Array;
  private readonly lengths: Int32Array;
  private first = 0;
  /** Where the next frame goes, unless it must begin anew at 0. */
  private end = 0;

  /** `size` bytes in at most `most` frames, a power of two. */
  constructor(
    size: number,
    private readonly most: number,
  ) {
    this.bytes = new Uint8Array(size);
    this.starts = new Int32Array(most);
    this.lengths = new Int32Array(most);
  }

  /** Copies the frame; false when there is no room. */
  push(frame: Uint8Array, length: number): boolean {
    const at = this.place(length);
    if (at < 0) return false;
    this.bytes.set(length === frame.length ? frame : frame.subarray(0, length), at);
    const slot = (this.first + this.count) & (this.most - 1);
    this.starts[slot] = at;
    this.lengths[slot] = length;
    this.end = at + length;
    this.count++;
    return true;
  }

  /** Place and length of the oldest. */
  get start(): number {
    return this.starts[this.first]!;
  }

  get length(): number {
    return this.lengths[this.first]!;
  }

  drop(): void {
    this.first = (this.first + 1) & (this.most - 1);
    this.count--;
  }

  /** Bytes between the oldest frame and the newest, what is left free at the end of the block included. */
  get used(): number {
    if (this.count === 0) return 0;
    return this.end > this.start ? this.end - this.start : this.bytes.length - this.start + this.end;
  }

  /** Room for `length` contiguous bytes; -1 when there is none. */
  private place(length: number): number {
    if (this.count === this.most) return -1;
    if (this.count === 0) return length <= this.bytes.length ? 0 : -1;
    const { start, end } = this;
    if (end > start) {
      if (end + length <= this.bytes.length) return end;
      return length <= start ? 0 : -1;
    }
    return end + length <= start ? end : -1;
  }
}
