/** The small services of `run` and `serve`. */
import type { Network } from '../net/network.js';
import type { Socket } from '../net/socket.js';
import {
  Chargen,
  ChargenOnce,
  Discard,
  DiscardOnce,
  Echo,
  EchoOnce,
  Service,
  type Conversation,
  type ServiceCounts,
} from './conversations.js';
import type { Listens } from './http-service.js';
import type { ServiceOptions } from './options.js';

export type { ServiceCounts } from './conversations.js';

/** Starts what was asked for on all addresses of the network. */
export async function startServices(network: Network, options: ServiceOptions): Promise<ServiceCounts> {
  const counts: ServiceCounts = { connections: 0, bytesIn: 0, bytesOut: 0, errors: {} };
  const closeFirst = options.closeFirst === true;
  const serve = (
    port: number | undefined,
    Kind: new (...args: ConstructorParameters<typeof Conversation>) => Conversation,
  ): void => {
    if (port === undefined) return;
    new Service(network.driver, counts, (service, connection) => new Kind(service, connection)).listen(port);
  };
  serve(options.echo, closeFirst ? EchoOnce : Echo);
  serve(options.discard, closeFirst ? DiscardOnce : Discard);
  serve(options.chargen, closeFirst ? ChargenOnce : Chargen);
  if (options.http !== undefined) {
    const { httpService } = await import('./http-service.js');
    const service = httpService(network, closeFirst, (socket) => watch(socket, counts));
    await listening(service, options.http);
  }
  return counts;
}

function listening(server: Listens, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, backlog: 4096, reuseAddress: true }, () => resolve());
  });
}

function watch(socket: Socket, counts: ServiceCounts): void {
  counts.connections++;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const code = error.code ?? 'error';
    counts.errors[code] = (counts.errors[code] ?? 0) + 1;
  });
  socket.once('close', () => {
    counts.bytesIn += socket.bytesRead;
    counts.bytesOut += socket.bytesWritten;
  });
}
