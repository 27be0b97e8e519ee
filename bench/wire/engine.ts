/** Sink, source and answers straight on the engine: what it costs without streams. */
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import {
  EV_CLOSED,
  EV_CONNECTED,
  EV_PEER_CLOSED,
  EV_READABLE,
  EV_WRITABLE,
  SEND_LENT,
} from '../../src/stack/api.js';
import type { ConnectionUser, Driver, ListenerUser } from '../../src/net/driver.js';
import { ANSWER, SINK, SOURCE } from './ports.js';

const page = new Uint8Array(65_536).fill(120);
const answer = Uint8Array.of(121);

class Service implements ConnectionUser, ListenerUser {
  constructor(
    private readonly driver: Driver,
    private readonly port: number,
  ) {}

  onConnections(listener: ListenerHandle): void {
    const { stack } = this.driver;
    for (let c = stack.accept(listener); c !== null; c = stack.accept(listener)) {
      c.user = this;
      if (this.port === SOURCE) this.fill(c);
    }
  }

  onEvents(connection: ConnectionHandle, events: number): void {
    const { stack } = this.driver;
    if ((events & EV_CLOSED) !== 0) {
      connection.user = null;
      stack.close(connection);
      return;
    }
    if (this.port === SOURCE && (events & (EV_WRITABLE | EV_CONNECTED)) !== 0) this.fill(connection);
    if ((events & EV_READABLE) !== 0) {
      let any = false;
      for (let bytes = stack.peek(connection); bytes !== null; bytes = stack.peek(connection)) {
        any = true;
        stack.consume(connection, bytes.length);
      }
      if (any && this.port === ANSWER) {
        stack.send(connection, answer);
        stack.close(connection);
        return;
      }
    }
    if ((events & EV_PEER_CLOSED) !== 0) stack.close(connection);
  }

  private fill(connection: ConnectionHandle): void {
    // The page never changes
    while (this.driver.stack.send(connection, page, SEND_LENT) === true);
  }
}

export function serveEngine(driver: Driver): void {
  driver.hold();
  for (const port of [SINK, SOURCE, ANSWER]) {
    const listener = driver.stack.listen({ port, backlog: 4096, reuseAddress: true });
    if (typeof listener === 'string') throw new Error(listener);
    listener.user = new Service(driver, port);
  }
}
