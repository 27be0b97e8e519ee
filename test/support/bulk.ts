/** A bulk transfer between two hosts of the virtual internet, measured in virtual time. */
import { Internet } from '../../src/sim/internet.js';
import type { Host } from '../../src/sim/host.js';
import type { Wire, WireOptions } from '../../src/sim/wire.js';
import type { SimSocket } from '../../src/sim/socket.js';
import type { TcpInfo } from '../../src/stack/api.js';

export interface BulkOptions {
  readonly seed?: number;
  readonly wire: WireOptions;
  /** ms of virtual time. */
  readonly time: number;
  readonly policy?: string;
  readonly knobs?: Readonly<Record<string, number>>;
  /** Ends the run before its time when this many bytes have arrived. */
  readonly bytes?: number;
  /** Called with the parts before anything runs. */
  readonly setUp?: (net: Internet, wire: Wire, client: Host, server: Host) => void;
}

export interface BulkResult {
  /** Mbit/s of payload at the receiver. */
  readonly rate: number;
  readonly received: number;
  /** ms from the first call to the end. */
  readonly time: number;
  readonly client: Host;
  readonly server: Host;
  readonly wire: Wire;
  readonly info: TcpInfo;
}

/** The client sends as fast as it may. */
export function bulk(options: BulkOptions): BulkResult {
  const net = new Internet({ seed: options.seed ?? 1 });
  const made = { policy: options.policy ?? 'linux', knobs: options.knobs ?? {} };
  const client = net.host('client', { addresses: ['10.0.0.1/24'], ...made });
  const server = net.host('server', { addresses: ['10.0.0.2/24'], ...made });
  const wire = net.wire(client, server, options.wire);
  options.setUp?.(net, wire, client, server);
  let received = 0;
  let wrong = 0;
  server.listen({ port: 80 }, (socket) => {
    socket.onData = (data) => {
      for (let i = 0; i < data.length; i += 97) if (data[i] !== (received + i) % 251) wrong++;
      received += data.length;
    };
  });
  const start = net.now;
  const socket = client.connect({ address: '10.0.0.2', port: 80 }) as SimSocket;
  const piece = Uint8Array.from({ length: 251 * 64 }, (_, i) => i % 251);
  let written = 0;
  const most = options.bytes ?? Infinity;
  const pump = (): void => {
    while (written < most) {
      const part = most - written < piece.length ? piece.subarray(0, most - written) : piece;
      written += part.length;
      if (socket.write(part) !== true) return;
    }
  };
  socket.onConnect = pump;
  socket.onWritable = pump;
  net.runUntil(() => received >= most, options.time);
  if (wrong > 0) throw new Error(`${wrong} bytes arrived wrong`);
  const time = net.now - start;
  return {
    rate: (8 * received) / time / 1000,
    received,
    time,
    client,
    server,
    wire,
    info: client.stack.tcpInfo(socket.connection),
  };
}
