/** How the common HTTP and TLS programs come to use the sockets of a network. */
import { Agent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP, type Server as NetServer, type Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Network } from './network.js';
import type { Server } from './server.js';
import type { ConnectOptions } from './socket-options.js';
import type { Socket } from './socket.js';

/** The fields of a request's options that open a connection. */
type AgentTarget = ConnectOptions & ConnectionOptions & { servername?: string };

/** For code typed against node:net; the shape is the same. */
export function asNetSocket(socket: Socket): NetSocket {
  return socket as unknown as NetSocket;
}

/** `http.request({ agent: httpAgent(network) })`; `keepAlive: true` pools connections. */
export function httpAgent(network: Network, options?: AgentOptions): Agent {
  return Object.assign(new Agent(options), {
    createConnection: (target: AgentTarget): NetSocket => asNetSocket(network.connect(plain(target))),
  });
}

/** The same for https. */
export function httpsAgent(network: Network, options?: AgentOptions): HttpsAgent {
  return Object.assign(new HttpsAgent(options), {
    createConnection: (target: AgentTarget): TLSSocket => tlsOver(network, target),
  });
}

/** A request's options without its `path`, which for a socket would name a local one. */
function plain(target: AgentTarget): ConnectOptions {
  return { ...target, path: undefined } as ConnectOptions;
}

/** `tls.connect` over a connection of this network. Event 'secureConnect' when it is ready. */
export function tlsOver(network: Network, target: AgentTarget): TLSSocket {
  // Half-open, so that what TLS still has to say goes out after the peer's end; TLS ends it then.
  const socket = network.connect({ ...plain(target), allowHalfOpen: true });
  const host = target.host ?? 'localhost';
  // A server name is a name: RFC 6066 3 forbids addresses.
  const servername = target.servername ?? (isIP(host) === 0 ? host : '');
  const secure = tlsConnect({ ...target, socket: asNetSocket(socket), servername });
  // TLS over a foreign stream learns of its end, not of its error.
  socket.once('error', (error) => secure.destroy(error));
  return secure;
}

/** What undici passes to a connector (`new Agent({ connect: undiciConnector(network) })`). */
export interface UndiciTarget {
  hostname: string;
  host?: string;
  protocol: string;
  port: string;
  servername?: string;
  localAddress?: string | null;
}

export type UndiciCallback = (error: Error | null, socket: Duplex | null) => void;

/** A connector for undici. The callback comes with 'connect', so never while undici is still inside the call. */
export function undiciConnector(
  network: Network,
  tls: ConnectionOptions = {},
): (target: UndiciTarget, callback: UndiciCallback) => void {
  return (target, callback) => {
    const secure = target.protocol === 'https:';
    const port = Number(target.port) || (secure ? 443 : 80);
    const host = target.hostname.replace(/^\[(.*)\]$/, '$1');
    const from = target.localAddress ? { localAddress: target.localAddress } : {};
    const options = {
      ...tls,
      ...from,
      host,
      port,
      ...(target.servername ? { servername: target.servername } : {}),
    } as AgentTarget;
    const socket = secure
      ? tlsOver(network, options)
      : network.connect({ ...from, host, port, noDelay: true });
    const onError = (error: Error): void => {
      callback(error, null);
    };
    socket.once('error', onError);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.removeListener('error', onError);
      callback(null, socket);
    });
  };
}

/**
 * Gives a server of Node's (http, https, tls) the connections of this network:
 * `serve(network, http.createServer(handler)).listen(80)`. Half-open, because such a
 * server decides itself when its side ends.
 *
 * Node's server is told when ours listens and closes: only then does an http.Server
 * keep the list of its connections, with which it enforces its time limits and
 * closes idle ones.
 */
export function serve(network: Network, server: NetServer): Server {
  const listener = network.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    server.emit('connection', asNetSocket(socket));
  });
  listener.on('listening', () => server.emit('listening'));
  const close = listener.close.bind(listener);
  listener.close = (callback) => {
    close(callback);
    server.close();
    return listener;
  };
  return listener;
}
