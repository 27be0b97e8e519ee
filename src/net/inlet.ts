/**
 * The reading half of a socket: moves bytes from the engine into the stream, or
 * into the user's own buffer (`onread`), while somebody wants them.
 */
import type { ConnectionHandle, Errno } from '../stack/api.js';
import type { Driver } from './driver.js';
import { errnoException } from './errors.js';

/** Most bytes taken from the engine at once. */
const LARGEST_READ = 65536;

/** node:net's `onread`: one buffer, or a function giving one for each read. */
export interface OnReadOptions {
  buffer: Uint8Array | (() => Uint8Array);
  /** `bytes` of `buffer` are filled; false pauses until `resume()`. */
  callback(bytes: number, buffer: Uint8Array): boolean;
}

/** The stream that the bytes are for. */
interface Sink {
  readonly destroyed: boolean;
  push(chunk: Buffer | null): boolean;
  read(size: number): unknown;
  destroy(error?: Error): unknown;
}

/** Bytes up to which a copy costs less than a view on them. */
const FEW = 64;

function asBuffer(bytes: Uint8Array): Buffer {
  if (bytes.length <= FEW) return Buffer.from(bytes);
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

export class Inlet {
  /** Bytes handed to the stream or to `onread`. A double from the start (tcb.ts). */
  bytes = -0;
  private readonly sink: Sink;
  private readonly driver: Driver;
  private readonly onread: OnReadOptions | null;
  private connection: ConnectionHandle | null = null;
  /** The stream asked for bytes and has not been given enough since. */
  private wanted = false;
  /** onread's callback, or pause(), said stop. */
  private held = false;
  private pumping = false;
  private ended = false;
  /** Bytes that did not fit into the user's buffer yet. */
  private rest: Uint8Array | null = null;
  /** Bytes taken over from a connection that is gone, oldest first. */
  private late: Uint8Array[] = [];
  private lateAt = 0;
  /** What follows the late bytes: the end (null), an error, or nothing yet (undefined). */
  private verdict: Errno | null | undefined = undefined;

  constructor(sink: Sink, driver: Driver, onread: OnReadOptions | null) {
    this.sink = sink;
    this.driver = driver;
    this.onread = onread !== null && typeof onread.callback === 'function' ? onread : null;
  }

  /** The connection is gone, what came of it is not all delivered yet. */
  get pending(): boolean {
    return this.connection === null && this.verdict !== undefined && !this.ended;
  }

  open(connection: ConnectionHandle): void {
    this.connection = connection;
  }

  reset(): void {
    this.bytes = 0;
    this.connection = null;
    this.wanted = false;
    this.held = false;
    this.ended = false;
    this.late = [];
    this.lateAt = 0;
    this.rest = null;
    this.verdict = undefined;
  }

  /** `connection` is about to be released: takes its bytes over, `error` or the end comes behind them. null: nobody reads any more. */
  detach(connection: ConnectionHandle | null, error: Errno | null): void {
    this.connection = null;
    if (connection === null) {
      this.late = [];
      return;
    }
    for (let bytes = this.next(connection); bytes !== null; bytes = this.next(connection))
      this.late.push(bytes);
    this.verdict = error;
  }

  /** The stream asks for bytes. */
  want(): void {
    this.wanted = true;
    this.pump();
  }

  /** pause(): only the user's own buffer needs telling, the stream stops by itself. */
  hold(): void {
    if (this.onread !== null) this.held = true;
  }

  unhold(): void {
    if (!this.held) return;
    this.held = false;
    this.pump();
  }

  /** Moves what can be moved. */
  pump(): void {
    if (this.pumping || this.ended) return;
    this.pumping = true;
    let moved = false;
    try {
      while (this.wanted && !this.held && !this.sink.destroyed) {
        if (this.onread !== null && this.rest === null && this.connection !== null) {
          if (!this.fillFrom(this.connection, this.onread)) break;
          moved = true;
          continue;
        }
        const bytes = this.take();
        if (bytes === null) break;
        moved = true;
        this.deliver(bytes);
      }
    } finally {
      this.pumping = false;
      // The window has opened.
      if (moved && this.connection !== null) this.driver.wake();
    }
    if (!this.sink.destroyed) this.finish();
  }

  /** Behind the last byte comes the end, or the error. */
  private finish(): void {
    if (this.rest !== null) return;
    if (this.connection !== null) {
      if (!this.connection.peerClosed || this.connection.readable > 0) return;
    } else if (this.verdict === undefined || this.lateAt < this.late.length) return;
    this.ended = true;
    if (this.connection === null && this.verdict) {
      this.sink.destroy(errnoException(this.verdict, 'read'));
      return;
    }
    this.sink.push(null);
    // An empty stream ends even if nobody reads it, so that idle sockets close.
    this.sink.read(0);
  }

  private deliver(bytes: Uint8Array): void {
    if (this.onread !== null) {
      this.fill(this.onread, bytes);
      return;
    }
    this.bytes += bytes.length;
    // A 'data' listener may call read(), which asks again while push() still runs: that must not be forgotten.
    this.wanted = false;
    let more = true;
    try {
      more = this.sink.push(asBuffer(bytes));
    } finally {
      // A listener that throws has had its data all the same.
      if (more) this.wanted = true;
    }
  }

  /** Fills the user's buffer from where the bytes are. False: there are none. */
  private fillFrom(connection: ConnectionHandle, onread: OnReadOptions): boolean {
    const { stack } = this.driver;
    if (connection.readable === 0) return false;
    const target = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
    const bytes = stack.peek(connection, target.length);
    if (bytes === null) return false;
    const { length } = bytes;
    target.set(bytes);
    stack.consume(connection, length);
    this.bytes += length;
    if (onread.callback.call(this.sink, length, target) === false) this.held = true;
    return true;
  }

  /** Fills the user's buffer once; what did not fit waits in `rest`. */
  private fill(onread: OnReadOptions, bytes: Uint8Array): void {
    const target = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
    const piece = bytes.subarray(0, target.length);
    target.set(piece);
    if (piece.length < bytes.length) this.rest = bytes.subarray(piece.length);
    this.bytes += piece.length;
    if (onread.callback.call(this.sink, piece.length, target) === false) this.held = true;
  }

  private take(): Uint8Array | null {
    if (this.rest !== null) {
      const bytes = this.rest;
      this.rest = null;
      return bytes;
    }
    if (this.connection !== null) return this.next(this.connection);
    const bytes = this.late[this.lateAt];
    if (bytes === undefined) return null;
    this.lateAt++;
    return bytes;
  }

  private next(connection: ConnectionHandle): Uint8Array | null {
    return this.driver.stack.read(connection, LARGEST_READ);
  }
}
