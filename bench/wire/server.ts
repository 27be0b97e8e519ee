/**
 * A server of the wire benchmarks: sink, source and answers (ports.ts).
 *
 *   server.js engine DEVICE ADDRESS [plain]    our engine, without streams
 *   server.js stream DEVICE ADDRESS [plain]    our node:net
 *   server.js node                             Node's node:net, on the kernel
 */
import * as nodeNet from 'node:net';
import { TunLink } from '../../src/link/tun.js';
import { createNetwork, type Network } from '../../src/net/network.js';
import { ANSWER, SINK, SOURCE, ready } from './ports.js';
import { serveEngine } from './engine.js';

const [kind = 'engine', device = 'tw0', address = '10.77.0.2/16', plain] = process.argv.slice(2);

interface Stream {
  on(event: 'data', listener: (bytes: Uint8Array) => void): unknown;
  on(event: 'drain' | 'end' | 'error', listener: () => void): unknown;
  once(event: 'data', listener: (bytes: Uint8Array) => void): unknown;
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array): unknown;
  resume(): unknown;
  readonly destroyed: boolean;
}

interface Net {
  createServer(onConnection: (stream: Stream) => void): {
    listen(options: { port: number; backlog: number }, done: () => void): unknown;
  };
}

const page = new Uint8Array(65_536).fill(120);
const answer = Uint8Array.of(121);

function serveStreams(net: Net): void {
  let missing = 3;
  const listen = (port: number, onConnection: (stream: Stream) => void): void => {
    const server = net.createServer((stream) => {
      stream.on('error', () => undefined);
      onConnection(stream);
    });
    server.listen({ port, backlog: 4096 }, () => {
      if (--missing === 0) ready(device);
    });
  };
  listen(SINK, (stream) => {
    stream.on('data', () => undefined);
  });
  listen(SOURCE, (stream) => {
    const fill = (): void => {
      while (!stream.destroyed && stream.write(page));
    };
    stream.resume();
    stream.on('drain', fill);
    fill();
  });
  listen(ANSWER, (stream) => {
    stream.once('data', () => stream.end(answer));
  });
}

function network(): Network {
  const link = TunLink.open({ name: device, offload: plain !== 'plain' });
  return createNetwork({
    stack: { addresses: [address] },
    link,
    policy: 'linux',
    knobs: { 'net.ipv4.tcp_max_tw_buckets': 4_000_000, timewait_max_records: 4_000_000 },
  });
}

if (kind === 'node') serveStreams(nodeNet as unknown as Net);
else if (kind === 'stream') serveStreams(network() as unknown as Net);
else {
  serveEngine(network().driver);
  ready(device);
}
