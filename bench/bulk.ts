/**
 * Bulk transfer over a long, lossy wire: the real kernel and our stack as senders over one
 * userspace link emulator, the faults link (src/link/faults.ts).
 *
 *     kernel --tun--> bridge --> faults link --tun--> kernel
 *     our stack ---------------> faults link --tun--> kernel
 *     kernel --tun--> faults link ----------------> our stack
 *
 * Every contender has a wire of its own with the same seed, so the n-th packet of a direction
 * meets the same fate whoever sent it, and all of a round run at the same time, so that a slow
 * minute hits all. Beside them the same transfer between two of our stacks in the virtual
 * internet. No device has offloads: a packet is a segment everywhere.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Machine } from '../src/lab/machine.js';
import { FaultsLink, type FaultCounts } from '../src/link/faults.js';
import type { Link } from '../src/link/link.js';
import type { CounterName } from '../src/mib.js';
import { createNetwork, type Network } from '../src/net/network.js';
import { RealClock } from '../src/net/real-clock.js';
import { Internet } from '../src/sim/internet.js';
import { PacketRing } from '../src/wire/ring.js';
import { Bridge } from './bridge.js';

export interface BulkOptions {
  /** Share of packets lost, each direction. */
  readonly loss: number;
  /** ms there and back. */
  readonly rtt: number;
  readonly seconds: number;
  /** Connections at the same time: one alone is a matter of luck. */
  readonly flows: number;
}

export interface BulkRun {
  /** Mbit/s a connection that reached the receiving program, from the SYN on. */
  readonly goodput: number;
  /** Of the sender. */
  readonly retransmitted: number;
  readonly timeouts: number;
  readonly probes: number;
  /** By the wire, both directions: lost at random, and because its queue was full. */
  readonly lost: number;
  readonly overflowed: number;
}

export const BULK_CONTENDERS = [
  'kernel to kernel',
  'ours to kernel',
  'kernel to ours',
  'ours to ours, virtual',
];

const SENDER = '10.88.0.1';
const RECEIVER = '10.88.0.2';
const PORT = 5001;
/** Packets under way per direction; more are lost and show as `overflowed`. */
const QUEUE = 4096;
const CHUNK = Buffer.alloc(65_536);

/** Both have Linux's own defaults for 6.18, whatever the machine was set to. */
const KERNEL = {
  'net.ipv4.tcp_rmem': '4096 131072 6291456',
  'net.ipv4.tcp_wmem': '4096 16384 4194304',
  // Nothing but the transfer is to draw the wire's random numbers.
  'net.ipv6.conf.all.disable_ipv6': '1',
} as const;
const OURS = {
  'net.ipv4.tcp_rmem': 131_072,
  'net.ipv4.tcp_rmem.max': 6_291_456,
  'net.ipv4.tcp_wmem': 16_384,
  'net.ipv4.tcp_wmem.max': 4_194_304,
} as const;

/** One transfer under way. */
interface Transfer {
  /** Bytes that the receiving program has. */
  received(): Promise<number>;
  /** Counters of the sender. */
  counters(): Promise<(name: CounterName) => number>;
  readonly wire: FaultsLink;
  close(): void;
}

const clock = new RealClock();

/** A round: every contender of the real clock at once, then the virtual one. */
export async function measureBulk(options: BulkOptions, round: number): Promise<Record<string, BulkRun>> {
  const starts = [kernelToKernel, oursToKernel, kernelToOurs];
  const runs = await Promise.all(starts.map((start, i) => play(start, options, round, i)));
  return Object.fromEntries(
    [...runs, virtually(options, round)].map((run, i) => [BULK_CONTENDERS[i]!, run] as const),
  );
}

type Start = (options: BulkOptions, seed: number, name: string) => Promise<Transfer>;

async function play(start: Start, options: BulkOptions, round: number, place: number): Promise<BulkRun> {
  const transfer = await start(options, round + 1, `twb${place}`);
  try {
    await sleep(1000 * options.seconds);
    const [bytes, counter] = await Promise.all([transfer.received(), transfer.counters()]);
    const lanes = Object.values(transfer.wire.counts);
    const sum = (what: keyof FaultCounts): number => lanes.reduce((total, counts) => total + counts[what], 0);
    return summary(options, bytes, counter, sum('lost'), sum('overflowed'));
  } finally {
    transfer.close();
  }
}

function summary(
  { seconds, flows }: BulkOptions,
  bytes: number,
  counter: (name: CounterName) => number,
  lost: number,
  overflowed: number,
): BulkRun {
  return {
    goodput: (8 * bytes) / seconds / flows / 1e6,
    retransmitted: counter('TcpRetransSegs'),
    timeouts: counter('TcpExtTCPTimeouts'),
    probes: counter('TcpExtTCPLossProbes'),
    lost,
    overflowed,
  };
}

function emulate(link: Link, { loss, rtt }: BulkOptions, seed: number): FaultsLink {
  return new FaultsLink(link, clock, { seed, loss, delay: Math.round(rtt / 2), limit: QUEUE });
}

async function machine(name: string, address: string): Promise<Machine> {
  const made = await Machine.start(name, [`${address}/24`]);
  try {
    for (const [key, value] of Object.entries(KERNEL)) await made.set(key, value);
    await made.set('net.ipv4.tcp_congestion_control', 'cubic').catch(() => {
      throw new Error(
        'this kernel does not let a new namespace choose cubic: sysctl -w net.ipv4.tcp_allowed_congestion_control="reno cubic" (modprobe tcp_cubic)',
      );
    });
    drain(made.link);
  } catch (error) {
    made.close();
    throw error;
  }
  return made;
}

/** What a kernel says when a device comes up is no part of the transfer. */
function drain(link: Link): void {
  const ring = new PacketRing(64, link.mtu);
  while (link.receive(ring) > 0) ring.clear();
}

const tallied = async (kernel: Machine): Promise<(name: CounterName) => number> => {
  const { counters } = await kernel.tally();
  return (name) => counters[name] ?? 0;
};

async function kernelToKernel(options: BulkOptions, seed: number, name: string): Promise<Transfer> {
  const [sender, receiver] = await Promise.all([machine(`${name}s`, SENDER), machine(`${name}r`, RECEIVER)]);
  const wire = emulate(receiver.link, options, seed);
  const bridge = new Bridge([sender.link, wire], clock);
  await receiver.receive(RECEIVER, PORT);
  for (let i = 0; i < options.flows; i++) void sender.send(RECEIVER, PORT);
  return {
    wire,
    received: async () => (await receiver.tally()).received,
    counters: () => tallied(sender),
    close() {
      bridge.close();
      sender.close();
      receiver.close();
    },
  };
}

function network(link: Link, address: string): Network {
  return createNetwork({
    stack: { addresses: [`${address}/24`] },
    link,
    clock,
    policy: 'linux',
    knobs: OURS,
  });
}

async function oursToKernel(options: BulkOptions, seed: number, name: string): Promise<Transfer> {
  const receiver = await machine(`${name}r`, RECEIVER);
  const wire = emulate(receiver.link, options, seed);
  const ours = network(wire, SENDER);
  await receiver.receive(RECEIVER, PORT);
  let failure: Error | null = null;
  for (let i = 0; i < options.flows; i++) {
    const socket = ours.connect(PORT, RECEIVER);
    const fill = (): void => {
      while (socket.write(CHUNK));
    };
    socket.on('connect', fill).on('drain', fill);
    socket.on('error', (error) => (failure = error));
  }
  return {
    wire,
    received: async () => {
      if (failure !== null) throw failure;
      return (await receiver.tally()).received;
    },
    counters: () => Promise.resolve((name_) => ours.stack.counters.get(name_)),
    close() {
      ours.close();
      receiver.close();
    },
  };
}

async function kernelToOurs(options: BulkOptions, seed: number, name: string): Promise<Transfer> {
  const sender = await machine(`${name}s`, SENDER);
  const wire = emulate(sender.link, options, seed);
  const ours = network(wire, RECEIVER);
  let received = 0;
  const server = ours.createServer((socket) => {
    socket.on('data', (bytes: Buffer) => (received += bytes.length));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(PORT, RECEIVER, () => resolve()));
  for (let i = 0; i < options.flows; i++) void sender.send(RECEIVER, PORT);
  return {
    wire,
    received: () => Promise.resolve(received),
    counters: () => tallied(sender),
    close() {
      ours.close();
      sender.close();
    },
  };
}

/** The same between two of our stacks in the virtual internet. */
export function virtually(options: BulkOptions, round: number): BulkRun {
  const internet = new Internet({ seed: round + 1 });
  const sender = internet.host('sender', { addresses: [SENDER], knobs: OURS });
  const receiver = internet.host('receiver', { addresses: [RECEIVER], knobs: OURS });
  const wire = internet.wire(sender, receiver, { delay: options.rtt / 2, loss: options.loss, queue: QUEUE });
  let bytes = 0;
  receiver.listen({ port: PORT }, (socket) => {
    socket.onData = (data) => (bytes += data.length);
  });
  for (let i = 0; i < options.flows; i++) {
    const socket = sender.connect({ address: RECEIVER, port: PORT });
    if (typeof socket === 'string') throw new Error(socket);
    const fill = (): void => {
      while (socket.write(CHUNK) === true);
    };
    socket.onConnect = fill;
    socket.onWritable = fill;
  }
  internet.run(1000 * options.seconds);
  return summary(options, bytes, (name) => sender.counter(name), wire.counts.lost, wire.counts.overflowed);
}
