/**
 * The writing half of a socket: hands the chunks of one stream write to the engine
 * in slices, as far as its send buffer has room, and calls back when there is room
 * for the next write.
 *
 * Once it was called back, the program may use its buffers for something else. Short writes
 * are copied and called back at once. A long one is lent to the engine, which sends from the
 * program's memory, and called back when all of it was acknowledged, or sent: what is still under way
 * then is copied, so that the next write need not wait for a round trip. On a short path little
 * is; on a long one as much as if all were copied at the beginning.
 *
 * A write of some length waits for the end of the program's pass first: what is written meanwhile
 * comes as one write behind it, long enough to be lent, and it is known whether the end follows.
 */
import type { ConnectionHandle, Errno } from '../stack/api.js';
import { SEND_LENT } from '../stack/api.js';
import type { Driver, TurnUser } from './driver.js';
import { codedError, errnoException } from './errors.js';

/** The engine takes a whole slice or none of it: bounds what it holds beyond its limit. */
const SLICE = 65536;
/** Bytes of a write that waits for what the program does next; of one that is lent. */
const WAITS = 16_384;
const LENT = 131_072;

type WriteCallback = (error?: Error | null) => void;

/** The stream that is written to. */
interface Source {
  /** end() was called. */
  readonly writableEnded: boolean;
}

export class Outlet implements TurnUser {
  /** Bytes handed to the engine. A double from the start (tcb.ts). */
  bytes = -0;
  /** Of those, bytes of the write that has not been called back: the stream counts them too. */
  counted = 0;
  private readonly source: Source;
  private readonly driver: Driver;
  private connection: ConnectionHandle | null = null;
  private chunks: readonly Uint8Array[] = [];
  /** Position in `chunks`: which one, and the byte in it. */
  private chunk = 0;
  private at = 0;
  private callback: WriteCallback | null = null;
  /** The engine said wait. */
  private full = false;
  /** The write waits for the end of the program's pass. */
  private waiting = false;
  private lending = false;
  private error: Errno | null = null;

  /** `grows`: how much may be written ahead is ours to say. */
  constructor(
    source: Source,
    driver: Driver,
    private readonly grows: boolean,
  ) {
    this.source = source;
    this.driver = driver;
  }

  /** There is a connection now. */
  open(connection: ConnectionHandle): void {
    this.connection = connection;
    this.full = false;
  }

  /** What was written before there was one goes out. */
  flush(): void {
    if (this.callback !== null && !this.full && !this.waiting) this.run();
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
    if (this.connection === null) {
      if (!connecting) this.done(this.closedError());
    } else if (this.length < WAITS) this.run();
    else {
      this.waiting = true;
      process.nextTick(passed, this);
    }
  }

  /** The program's pass is over. */
  pass(): void {
    if (!this.waiting) return;
    this.waiting = false;
    this.lending = !this.source.writableEnded && this.length >= LENT;
    if (this.callback === null) return;
    if (this.grows && this.connection !== null) this.writeAhead(this.connection.sndLimit);
    this.run();
  }

  /** Called by the driver at the end of a turn: lent bytes may have gone. False: they have not. */
  turned(): boolean {
    return !this.lending || this.settle();
  }

  /** The user lets the connection go: the engine has what it will have, in memory of its own. */
  letGo(): void {
    if (this.waiting) {
      this.waiting = false;
      if (this.callback !== null) this.run();
    }
    if (this.lending && this.connection !== null) this.driver.stack.own(this.connection);
    this.lending = false;
  }

  /** What is lent fills no send buffer besides: the stream may hold as much as that could. */
  private writeAhead(bytes: number): void {
    const state = (this.source as unknown as { _writableState: { highWaterMark: number } })._writableState;
    if (bytes > state.highWaterMark) state.highWaterMark = bytes;
  }

  private get length(): number {
    let length = 0;
    for (const chunk of this.chunks) length += chunk.length;
    return length;
  }

  /** The send buffer has room again. */
  resume(): void {
    this.full = false;
    if (this.callback !== null && !this.waiting) this.run();
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
        const answer = this.driver.stack.send(connection, slice, this.lending ? SEND_LENT : 0);
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
    if (this.lending) this.driver.atTurnsEnd(this);
    else if (!this.full && this.finished) this.done(null);
  }

  /** Calls the write back if nothing of it is in the program's memory any more, or need be. */
  private settle(): boolean {
    const { connection } = this;
    if (connection === null) return true;
    if (!this.finished || this.full || connection.unsent > 0) return false;
    if (connection.queued > 0) this.driver.stack.own(connection);
    this.done(null);
    return true;
  }

  private done(error: Error | null): void {
    const { callback } = this;
    this.callback = null;
    this.chunks = [];
    this.chunk = 0;
    this.counted = 0;
    this.waiting = false;
    this.lending = false;
    callback?.(error);
  }
}

function passed(outlet: Outlet): void {
  outlet.pass();
}
