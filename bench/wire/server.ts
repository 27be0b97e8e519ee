/**
 * A server of the wire benchmarks: sink, source and answers (ports.ts).
 *
 *   server.js engine DEVICE ADDRESS [plain]    our engine, without streams
 *   server.js stream DEVICE ADDRESS [plain]    our node:net
 *   server.js node                             Node's node:net, on the kernel
 *
 * `with N` behind it: N TIME-WAIT records are there before. A line of input is answered by what
 * the server says of itself (parts.ts State).
 */
import * as nodeNet from 'node:net';
import type { Stack } from '../../src/stack/stack.js';
import { inlineMore } from '../../src/cli/inlining.js';
import { TunLink } from '../../src/link/tun.js';
import { createNetwork, type Network } from '../../src/net/network.js';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Spent, State } from './parts.js';
import { ANSWER, SINK, SOURCE, ready } from './ports.js';
import { serveEngine } from './engine.js';

// As `run` and `serve` do.
inlineMore();

const args = process.argv.slice(2);
const [kind = 'engine', device = 'tw0', address = '10.77.0.2/16'] = args;
const plain = args.includes('plain');
const records = args.includes('with') ? Number(args[args.indexOf('with') + 1]) : 0;

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
  const link = TunLink.open({ name: device, offload: !plain });
  const made = createNetwork({
    stack: { addresses: [address] },
    link,
    policy: 'linux',
    knobs: { 'net.ipv4.tcp_max_tw_buckets': 4_000_000, timewait_max_records: 4_000_000 },
  });
  tellState(made);
  return made;
}

/** Records of connections that clients of the benchmark never had. */
function fill(made: Network): void {
  const local = { address: address.replace(/\/.*/, ''), port: ANSWER, family: 4 as const };
  for (let i = 0; i < records; i++) {
    const remote = { address: `10.200.${(i >> 16) & 255}.1`, port: i & 65_535, family: 4 as const };
    const timestamps = { recent: i, recentAt: made.driver.now(), offset: i };
    const entry = { local, remote, sndNxt: i, rcvNxt: i, rcvWnd: 65_535, rcvWscale: 7, timestamps };
    (made.stack as Stack).enterTimeWait({ ...entry, rto: 200, active: false, localPeer: false });
  }
}

function spent(): Spent {
  const { user, system } = process.cpuUsage();
  return { cpu: (user + system) / 1e6, at: performance.now() / 1000 };
}

function tellState(made: Network): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  createInterface({ input: process.stdin }).on('line', () => {
    const asked = spent();
    collect();
    const { rss, heapUsed, external } = process.memoryUsage();
    const state: State = {
      rss,
      heap: heapUsed + external,
      asked,
      answered: spent(),
      records: (made.stack as Stack).timeWait.count,
      segments: made.stack.counters.get('TcpInSegs'),
      cookies: made.stack.counters.get('TcpExtSyncookiesSent'),
    };
    process.stdout.write(`${JSON.stringify(state)}\n`);
  });
}

if (kind === 'node') serveStreams(nodeNet as unknown as Net);
else if (kind === 'stream') serveStreams(network() as unknown as Net);
else {
  const made = network();
  serveEngine(made.driver);
  fill(made);
  ready(device);
}
