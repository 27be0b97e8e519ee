/** The engine server of the wire benchmarks as the program of a worker. */
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { createNetwork } from '../../src/net/network.js';
import type { Seat, WorkerProgram } from '../../src/workers/seat.js';
import { serveEngine } from './engine.js';

export interface EngineData {
  readonly addresses: readonly string[];
}

export default function worker({ link, clock, stack }: Seat, data: unknown): WorkerProgram {
  const { addresses } = data as EngineData;
  const network = createNetwork({
    stack: { addresses, ...stack },
    link,
    clock,
    policy: 'linux',
    knobs: { 'net.ipv4.tcp_max_tw_buckets': 4_000_000, timewait_max_records: 4_000_000 },
  });
  serveEngine(network.driver);
  // The thread's number, as in /proc/self/task.
  return { network, answer: () => basename(readlinkSync('/proc/thread-self')) };
}
