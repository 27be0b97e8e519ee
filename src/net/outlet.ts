/**
 * The writing half of a socket: hands the chunks of one stream write to the engine
 * in slices, as far as its send buffer has room, and calls back when there is room
 * for the next write.
 */
import type { ConnectionHandle, Errno } from '../stack/api.js';
import type { Driver } from './driver.js';
import { codedError, errnoException } from './errors.js';

/** The engine takes a whole slice or none of it: bounds what it holds beyond its limit. */
const SLICE = 65536;

type WriteCallback = (error?: Error | null) => void;

export class Outlet {
  /** Bytes handed to the engine. */
  bytes = 0;
  /** Of those, bytes of the write that has not been called back: the stream counts them too. */
  counted = 0;
  private readonly driver: Driver;
  private connection: ConnectionHandle | null = null;
  private chunks: readonly Uint8Array[] = [];
  /** Position in `chunks`: which one, and the byte in it. */
  private chunk = 0;
  private at = 0;
  private callback: WriteCallback | null = null;
  /** The engine said wait. */
  private full = false;
  private error: Errno | null = null;

  constructor(driver: Driver) {
    this.driver = driver;
  }

  /** There is a connection now. */
  open(connection: ConnectionHandle): void {
    this.connection = connection;
    this.full = false;
  }

  /** What was written before there was one goes out. */
  flush(): void {
    if (this.callback !== null && !this.full) this.run();
  }

  /**
   * Fast Open: of what was written already, as much as the SYN takes goes with it. Another attempt, to
   * another address, begins anew.
   */
  early(connection: ConnectionHandle, room: number): void {
    this.rewind();
    const first = this.callback === null ? undefined : this.chunks[0];
    if (first === undefined || room === 0) return;
    const bytes = first.subarray(0, room);
    if (typeof this.driver.stack.send(connection, bytes) === 'string') return;
    this.advance(bytes.length);
    if (this.at === first.length) this.next();
  }

  private rewind(): void {
    this.bytes -= this.counted;
    this.counted = 0;
    this.chunk = 0;
    this.at = 0;
  }

  private advance(count: number): void {
    this.bytes += count;
    this.counted += count;
    this.at += count;
  }

  private next(): void {
    this.chunk++;
    this.at = 0;
  }

  reset(): void {
    this.bytes = 0;
    this.counted = 0;
    this.connection = null;
    this.full = false;
    this.error = null;
  }

  /** One write of the stream; there is never a second one before the callback. `connecting`: keep it until `open`. */
  write(chunks: readonly Uint8Array[], callback: WriteCallback, connecting: boolean): void {
    this.chunks = chunks;
    this.chunk = 0;
    this.at = 0;
    this.callback = callback;
    if (this.connection !== null) this.run();
    else if (!connecting) this.done(this.closedError());
  }

  /** The send buffer has room again. */
  resume(): void {
    this.full = false;
    if (this.callback !== null) this.run();
  }

  /** The connection is gone: a write under way fails with what ended it, later ones with EPIPE. */
  detach(error: Errno | null): void {
    this.connection = null;
    this.error = error;
    if (this.callback === null) return;
    this.done(error === null ? (this.finished ? null : this.closedError()) : errnoException(error, 'write'));
  }

  /** The socket was destroyed. A write whose bytes the engine has all is a success, as with the kernel. */
  destroy(connecting: boolean): void {
    this.connection = null;
    if (this.callback === null) return;
    if (connecting) {
      this.done(
        codedError(
          'ERR_SOCKET_CLOSED_BEFORE_CONNECTION',
          'Socket closed before the connection was established',
        ),
      );
    } else {
      this.done(
        this.finished
          ? null
          : codedError('ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed'),
      );
    }
  }

  private get finished(): boolean {
    return this.chunk >= this.chunks.length;
  }

  private closedError(): Error {
    return this.error === null
      ? codedError('ERR_SOCKET_CLOSED', 'Socket is closed')
      : errnoException('EPIPE', 'write');
  }

  private run(): void {
    const { connection } = this;
    if (connection === null) return;
    while (!this.full && !this.finished) {
      const chunk = this.chunks[this.chunk]!;
      const slice =
        chunk.length - this.at <= SLICE && this.at === 0 ? chunk : chunk.subarray(this.at, this.at + SLICE);
      if (slice.length > 0) {
        const answer = this.driver.stack.send(connection, slice);
        if (typeof answer === 'string') {
          this.done(errnoException(answer, 'write'));
          return;
        }
        this.full = !answer;
      }
      this.advance(slice.length);
      if (this.at === chunk.length) this.next();
    }
    this.driver.wake();
    if (!this.full && this.finished) this.done(null);
  }

  private done(error: Error | null): void {
    const { callback } = this;
    this.callback = null;
    this.chunks = [];
    this.chunk = 0;
    this.counted = 0;
    callback?.(error);
  }
}
