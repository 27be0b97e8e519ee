/**
 * The running kernel as a side of the differential, in the present network namespace, which must
 * be a private one: real sockets, a TUN device, and settings under which no limit hides a reply.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { native } from '../link/native.js';
import { TunLink } from '../link/tun.js';
import { formatWords } from '../wire/address.js';
import { PacketRing } from '../wire/ring.js';
import { comparedCounters } from './diff/counters.js';
import {
  INITIAL_WINDOW,
  LOCAL,
  MTU,
  RECEIVE_BUFFER,
  REMOTE,
  RTO_MIN,
  keyOf,
  type Side,
} from './diff/play.js';
import type { Caller } from './diff/program.js';
import { KernelCalls } from './kernel-calls.js';
import type { TargetSetup } from './target.js';

const SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ['net.ipv4.tcp_invalid_ratelimit', '0'],
  ['net.ipv4.tcp_challenge_ack_limit', '2147483647'],
  ['net.ipv4.tcp_early_retrans', '0'],
  ['net.ipv4.tcp_no_metrics_save', '1'],
  // The one that every namespace may choose, and whose window depends on no clock
  ['net.ipv4.tcp_congestion_control', 'reno'],
  ['net.ipv4.tcp_syncookies', '0'],
  ['net.ipv4.tcp_max_syn_backlog', '65536'],
  ['net.core.somaxconn', '4096'],
  ['net.ipv4.ip_local_port_range', '62500 65000'],
  ['net.ipv4.tcp_rmem', `4096 ${RECEIVE_BUFFER} ${RECEIVE_BUFFER}`],
  ['net.ipv4.conf.all.rp_filter', '0'],
  ['net.ipv6.conf.all.accept_dad', '0'],
];

/** As the kernel numbers them in /proc/net/tcp. */
const STATES = [
  '',
  'ESTABLISHED',
  'SYN-SENT',
  'SYN-RECEIVED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'TIME-WAIT',
  'CLOSED',
  'CLOSE-WAIT',
  'LAST-ACK',
  'LISTEN',
  'CLOSING',
  'SYN-RECEIVED',
] as const;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export class KernelSide implements Side {
  readonly name = 'kernel';
  private readonly link: TunLink;
  private readonly incoming = new PacketRing(4096, 2048);
  private readonly outgoing = new PacketRing(1024, 2048);

  /** Throws Error when the device or a route cannot be made. */
  constructor() {
    for (const [name, value] of SETTINGS) set(name, value);
    this.link = TunLink.open({ name: 'diff%d' });
    const { name } = this.link;
    ip('link', 'set', 'dev', 'lo', 'up');
    ip('link', 'set', 'dev', name, 'mtu', String(MTU), 'txqueuelen', '16384', 'up');
    ip('address', 'add', `${LOCAL[4]}/32`, 'dev', name);
    ip('-6', 'address', 'add', `${LOCAL[6]}/128`, 'dev', name, 'nodad');
    for (const version of [4, 6] as const) {
      const metrics = ['quickack', '1', 'rto_min', `${RTO_MIN}ms`, 'initrwnd', String(INITIAL_WINDOW)];
      ip(`-${version}`, 'route', 'add', REMOTE[version], 'dev', name, ...metrics);
    }
  }

  caller(setup: TargetSetup): Caller {
    const loaded = native();
    if (!loaded.ok) throw new Error(`${loaded.reason}: ${loaded.cure}`);
    const calls = new KernelCalls(loaded.addon, setup, new Set());
    return (request) => calls.call(request);
  }

  inject(packets: readonly Uint8Array[]): void {
    const { outgoing } = this;
    const flush = (): void => {
      while (outgoing.count > 0 && this.link.transmit(outgoing) > 0);
      outgoing.clear();
    };
    for (const packet of packets) {
      if (outgoing.free === 0) flush();
      outgoing.bytes.set(packet, outgoing.tailOffset());
      outgoing.push(packet.length, 0);
    }
    flush();
  }

  now(): number {
    return performance.now();
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  sent(): readonly Uint8Array[] {
    const { incoming } = this;
    const packets: Uint8Array[] = [];
    while (this.link.receive(incoming) > 0) {
      for (let i = 0; i < incoming.count; i++) {
        const at = incoming.offsetOf(i);
        packets.push(incoming.bytes.slice(at, at + incoming.lengthOf(i)));
      }
      incoming.clear();
    }
    return packets;
  }

  states(): ReadonlyMap<string, string> {
    const states = new Map<string, string>();
    for (const file of ['tcp', 'tcp6'])
      for (const line of readFileSync(`/proc/self/net/${file}`, 'latin1').split('\n').slice(1))
        readRow(line, states);
    return states;
  }

  counters(): ReadonlyMap<string, number> {
    const values = new Map<string, number>();
    for (const file of ['netstat', 'snmp']) {
      const lines = readFileSync(`/proc/self/net/${file}`, 'latin1').trim().split('\n');
      for (let i = 0; i + 1 < lines.length; i += 2) {
        const [group, ...names] = lines[i]!.split(' ');
        const numbers = lines[i + 1]!.split(' ').slice(1).map(Number);
        names.forEach((name, k) => values.set(`${group!.slice(0, -1)}${name}`, numbers[k]!));
      }
    }
    return new Map(comparedCounters.map((name) => [name, values.get(name) ?? 0]));
  }

  close(): void {
    this.link.close();
  }
}

/** A setting that this kernel does not have, or that belongs to the whole machine, stays as it is. */
function set(name: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, value);
  } catch {
    return;
  }
}

/** One row of /proc/net/tcp or tcp6: `sl local remote state ...`, numbers in hexadecimal. */
function readRow(line: string, states: Map<string, string>): void {
  const [, local, remote, state] = line.trim().split(/\s+/);
  if (local === undefined || remote === undefined || state === undefined) return;
  const name = STATES[parseInt(state, 16)] ?? state;
  if (name === 'LISTEN' || name === 'CLOSED') return;
  const [address, port] = remote.split(':');
  const key = keyOf(parseInt(local.split(':')[1]!, 16), addressOf(address!), parseInt(port!, 16));
  states.set(key, name);
}

/** Words as the machine, which is little-endian, prints them. */
function addressOf(hex: string): string {
  const words = (hex.match(/.{8}/g) ?? []).map((word) => {
    const bytes = word.match(/../g)!.map((byte) => parseInt(byte, 16));
    return (bytes[3]! << 24) | (bytes[2]! << 16) | (bytes[1]! << 8) | bytes[0]!;
  });
  return words.length === 1
    ? formatWords(0, 0, 0xffff, words[0]!)
    : formatWords(words[0]!, words[1]!, words[2]!, words[3]!);
}
