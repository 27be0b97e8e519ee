/** A program's end of a connection in the virtual internet: callbacks instead of events and promises. */
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_PEER_CLOSED,
  EV_READABLE,
  EV_WRITABLE,
  type ConnectionHandle,
  type Errno,
} from '../stack/api.js';
import type { Stack } from '../stack/stack.js';

/** The host as its sockets see it. */
interface Machine {
  readonly stack: Stack;
  /** Something was done with the stack. */
  touch(): void;
}

export class SimSocket {
  onConnect: (() => void) | null = null;
  onData: ((bytes: Uint8Array) => void) | null = null;
  /** The peer's FIN; all data came before. */
  onEnd: (() => void) | null = null;
  onWritable: (() => void) | null = null;
  /** The connection is over for the program: errno, or null when it ended as it should. */
  onClose: ((error: Errno | null) => void) | null = null;
  connected = false;
  ended = false;
  closed = false;
  error: Errno | null = null;
  bytesRead = 0;
  /** Reads are left to the program: data stays in the receive queue until `resume`. */
  private paused = false;

  constructor(
    private readonly host: Machine,
    readonly connection: ConnectionHandle,
  ) {
    connection.user = this;
    this.connected = connection.stateName === 'ESTABLISHED' || connection.stateName === 'CLOSE-WAIT';
  }

  /** True while more may follow; see `StackApi.send`. */
  write(bytes: Uint8Array): boolean | Errno {
    const sent = this.host.stack.send(this.connection, bytes);
    this.host.touch();
    return sent;
  }

  /** FIN after what is queued; data can still come. */
  end(): void {
    this.host.stack.shutdown(this.connection);
    this.host.touch();
  }

  /** Lets go as close(2): nobody reads any more. */
  close(): void {
    this.host.stack.close(this.connection);
    this.over(null);
  }

  /** RST. */
  abort(): void {
    this.host.stack.abort(this.connection);
    this.over(null);
  }

  set(option: 'noDelay' | 'keepAlive' | 'linger' | 'userTimeout', value: number): void {
    this.host.stack.setOption(this.connection, option, value);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.read();
    this.host.touch();
  }

  /** The host calls this when the engine has events for the connection. */
  events(): void {
    const events = this.connection.takeEvents();
    if ((events & EV_CONNECTED) !== 0 && !this.connected) {
      this.connected = true;
      this.onConnect?.();
    }
    if ((events & (EV_READABLE | EV_PEER_CLOSED)) !== 0 && !this.paused) this.read();
    if ((events & EV_WRITABLE) !== 0) this.onWritable?.();
    if ((events & EV_CLOSED) !== 0 && !this.closed) {
      const { error } = this.connection;
      if (!this.paused) this.read();
      this.over(error);
    }
  }

  private read(): void {
    const { stack } = this.host;
    for (;;) {
      const bytes = this.closed ? null : stack.read(this.connection);
      if (bytes === null) break;
      this.bytesRead += bytes.length;
      this.onData?.(bytes);
    }
    if (this.connection.peerClosed && this.connection.readable === 0 && !this.ended && !this.closed) {
      this.ended = true;
      this.onEnd?.();
    }
  }

  private over(error: Errno | null): void {
    this.host.touch();
    if (this.closed) return;
    this.closed = true;
    this.error = error;
    this.onClose?.(error);
  }
}
