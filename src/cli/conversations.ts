/** The small services of `run` and `serve`, connection by connection, straight on the engine: streams would cost more than TCP does. */
import type { Closeable, ConnectionUser, Driver, ListenerUser } from '../net/driver.js';
import { listenException } from '../net/errors.js';
import type { ConnectionHandle, ListenerHandle } from '../stack/api.js';
import { EV_CLOSED, SEND_LENT } from '../stack/api.js';

/** What the services did. */
export interface ServiceCounts {
  connections: number;
  bytesIn: number;
  bytesOut: number;
  errors: Record<string, number>;
}

/** What is made for each connection. */
export type MakeConversation = (service: Service, connection: ConnectionHandle) => Conversation;

/** One port. */
export class Service implements ListenerUser, Closeable {
  /** Connections that are open, so that the end of the stack ends them. */
  readonly open = new Set<Conversation>();
  private listener: ListenerHandle | null = null;

  constructor(
    readonly driver: Driver,
    readonly counts: ServiceCounts,
    private readonly make: MakeConversation,
  ) {}

  /** On all addresses. Throws what a Server would tell. */
  listen(port: number): void {
    this.driver.sync();
    const listener = this.driver.stack.listen({ port, backlog: 4096, reuseAddress: true });
    if (typeof listener === 'string') throw listenException(listener, '::', port);
    this.listener = listener;
    listener.user = this;
    this.driver.add(this);
  }

  onConnections(listener: ListenerHandle): void {
    const { stack } = this.driver;
    for (let c = stack.accept(listener); c !== null; c = stack.accept(listener)) {
      const conversation = this.make(this, c);
      c.user = conversation;
      this.counts.connections++;
      this.open.add(conversation);
      conversation.move();
    }
  }

  onDriverGone(): void {
    if (this.listener !== null) this.driver.stack.closeListener(this.listener);
    for (const conversation of this.open) conversation.abort();
    this.open.clear();
    this.driver.delete(this);
  }
}

export abstract class Conversation implements ConnectionUser {
  /** Our FIN is under way. */
  private ended = false;

  constructor(
    private readonly service: Service,
    protected readonly connection: ConnectionHandle,
  ) {}

  /** Does what can be done now. */
  protected abstract serve(): void;

  move(): void {
    this.serve();
    const { connection } = this;
    // The peer's end ends ours, behind what is still to be sent
    if (connection.peerClosed && connection.readable === 0) this.close();
  }

  onEvents(connection: ConnectionHandle, events: number): void {
    if ((events & EV_CLOSED) === 0) {
      this.move();
      return;
    }
    this.discard();
    const { errors } = this.service.counts;
    const { error } = connection;
    if (error !== null) errors[error] = (errors[error] ?? 0) + 1;
    this.close();
  }

  abort(): void {
    this.connection.user = null;
    this.service.driver.stack.abort(this.connection);
  }

  private close(): void {
    if (!this.service.open.delete(this)) return;
    this.connection.user = null;
    this.service.driver.stack.close(this.connection);
  }

  /** Sends our FIN, goes on reading. */
  protected end(): void {
    if (this.ended) return;
    this.ended = true;
    this.service.driver.stack.shutdown(this.connection);
  }

  /** How many bytes there were, seen by nobody. */
  protected discard(): number {
    const count = this.connection.readable;
    if (count > 0) this.consume(count);
    return count;
  }

  /** Valid until it is consumed. */
  protected peek(): Uint8Array | null {
    return this.service.driver.stack.peek(this.connection);
  }

  protected consume(count: number): void {
    this.service.counts.bytesIn += count;
    this.service.driver.stack.consume(this.connection, count);
  }

  /** False: `serve` is called again when it is worth it. */
  protected maySend(): boolean {
    return this.service.driver.stack.mayWrite(this.connection);
  }

  /** False: no more for now. */
  protected send(bytes: Uint8Array, flags = 0): boolean {
    const answer = this.service.driver.stack.send(this.connection, bytes, flags);
    if (typeof answer === 'string') return false;
    this.service.counts.bytesOut += bytes.length;
    return answer;
  }
}

/** RFC 863: takes what comes. */
export class Discard extends Conversation {
  protected override serve(): void {
    this.discard();
  }
}

/** Ends with the first bytes. */
export class DiscardOnce extends Conversation {
  protected override serve(): void {
    if (this.discard() > 0) this.end();
  }
}

/** RFC 862: sends back what comes, and reads no faster than that goes. */
export class Echo extends Conversation {
  protected override serve(): void {
    while (this.maySend()) {
      const bytes = this.peek();
      if (bytes === null) return;
      this.send(bytes);
      this.consume(bytes.length);
    }
  }
}

/** Sends the first bytes back and ends. */
export class EchoOnce extends Conversation {
  private answered = false;

  protected override serve(): void {
    if (!this.answered) {
      const bytes = this.peek();
      if (bytes === null) return;
      this.answered = true;
      this.send(bytes);
      this.consume(bytes.length);
      this.end();
    }
    this.discard();
  }
}

/** 72 printable characters and CR LF, as RFC 864 shows them. */
const LINE = 74;
let lines: Uint8Array | null = null;

/** The first `count` of 896 lines, made when they are first asked for. They never change. */
function linesOf(count: number): Uint8Array {
  lines ??= new Uint8Array(896 * LINE).map((_, i) => [13, 10][(i % LINE) - 72] ?? 33 + (i % LINE));
  return lines.subarray(0, count * LINE);
}

/** RFC 864: sends for as long as the peer listens. */
export class Chargen extends Conversation {
  protected override serve(): void {
    this.discard();
    const text = linesOf(896);
    while (this.maySend() && this.send(text, SEND_LENT));
  }
}

/** Sends a page and ends. */
export class ChargenOnce extends Conversation {
  private sent = false;

  protected override serve(): void {
    if (!this.sent) this.send(linesOf(64), SEND_LENT);
    this.sent = true;
    this.end();
    this.discard();
  }
}
