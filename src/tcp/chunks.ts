/**
 * Memory of the queues that is used again: blocks of received text and of text to be sent. A new
 * array of 64 KB is zeroed and its pages are first touched, which costs more than copying the text
 * into it (measured: a quarter of bulk receive).
 *
 * Memory: at most `MOST` bytes wait here.
 */

const SMALLEST = 65_536;
const MOST = 16 << 20;

export class Chunks {
  /** New memory; what is in it does not matter. */
  allocate: (size: number) => Uint8Array = (size) => new Uint8Array(size);
  private readonly waiting = new Map<number, Uint8Array[]>();
  private bytes = 0;

  take(size: number): Uint8Array {
    const chunk = size < SMALLEST ? undefined : this.waiting.get(size)?.pop();
    if (chunk === undefined) return this.allocate(size);
    this.bytes -= size;
    return chunk;
  }

  /** Nobody has a view on it any more. */
  give(chunk: Uint8Array): void {
    const size = chunk.length;
    if (size < SMALLEST || this.bytes + size > MOST) return;
    const list = this.waiting.get(size);
    if (list === undefined) this.waiting.set(size, [chunk]);
    else list.push(chunk);
    this.bytes += size;
  }
}

/** For queues of connections that no stack has prepared. */
export const noChunks = new Chunks();
