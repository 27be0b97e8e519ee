/**
 * Where captured packets go: a file, or memory.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

export interface PacketSink {
  /** Takes one whole block; the bytes may be overwritten after the call. */
  write(block: Uint8Array): void;
  /** Idempotent. */
  close(): void;
}

/** Collects the blocks, for tests. */
export class MemorySink implements PacketSink {
  readonly blocks: Uint8Array[] = [];
  closed = false;

  write(block: Uint8Array): void {
    this.blocks.push(block.slice());
  }

  close(): void {
    this.closed = true;
  }

  /** Everything written, as one array. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of this.blocks) {
      all.set(block, at);
      at += block.length;
    }
    return all;
  }
}

/**
 * A file, written in large pieces. The constructor throws what open(2) says; later
 * errors (a full disk) are kept in `error`, end the writing and throw nothing, for
 * a capture must not end the connections it watches.
 */
export class FileSink implements PacketSink {
  /** The first error of writing, null while all is well. */
  error: Error | null = null;
  private readonly buffer: Uint8Array;
  private used = 0;
  private fd: number;

  /** `bufferSize`: bytes gathered before a write, default 64 KiB. */
  constructor(
    readonly path: string,
    bufferSize = 65_536,
  ) {
    this.buffer = new Uint8Array(bufferSize);
    this.fd = openSync(path, 'w');
  }

  write(block: Uint8Array): void {
    if (this.used + block.length > this.buffer.length) this.flush();
    if (block.length > this.buffer.length) {
      this.put(block, block.length);
      return;
    }
    this.buffer.set(block, this.used);
    this.used += block.length;
  }

  /** Writes what was gathered, so that a reader sees all packets so far. */
  flush(): void {
    this.put(this.buffer, this.used);
    this.used = 0;
  }

  close(): void {
    if (this.fd < 0) return;
    this.flush();
    closeSync(this.fd);
    this.fd = -1;
  }

  private put(bytes: Uint8Array, length: number): void {
    if (this.fd < 0 || this.error !== null) return;
    try {
      for (let at = 0; at < length;) at += writeSync(this.fd, bytes, at, length - at);
    } catch (error) {
      this.error = error as Error;
    }
  }
}
