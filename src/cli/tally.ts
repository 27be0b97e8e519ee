/** What stacks and services did, counted: of one, or of all workers together. */
import { spawnSync } from 'node:child_process';
import type { Network } from '../net/network.js';
import { reasonText } from '../reasons.js';
import { formatSummary, type RunSummary } from '../view/summary.js';
import { addUp } from '../workers/merge.js';
import type { ServiceCounts } from './services.js';
import { terminalWidth } from './terminal.js';

/** The part of a summary that is the stack's. */
export interface Tally extends Omit<
  RunSummary,
  'command' | 'status' | 'seconds' | 'timeWait' | 'pcap' | 'workers'
> {
  /** TIME-WAIT records. */
  readonly records: number;
}

export function tallyOf(network: Network, services: ServiceCounts): Tally {
  const { stack } = network;
  const counts = stack.stateCounts();
  const c = stack.counters;
  return {
    policy: stack.policyName,
    connections: { accepted: services.connections, opened: c.get('TcpActiveOpens'), errors: services.errors },
    bytes: { in: services.bytesIn, out: services.bytesOut },
    records: counts['TIME-WAIT'] ?? 0,
    states: Object.fromEntries(
      Object.entries(counts).filter(([state, count]) => count > 0 && state !== 'LISTEN'),
    ),
    segments: { in: c.get('TcpInSegs'), out: c.get('TcpOutSegs'), retransmitted: c.get('TcpRetransSegs') },
    losses: lossesOf(network),
    decisions: decisionsOf(stack.reasonCounts),
  };
}

export function mergeTallies(all: readonly Tally[]): Tally {
  const sum = (of: (tally: Tally) => number): number => all.reduce((total, each) => total + of(each), 0);
  const decisions = new Map<string, RunSummary['decisions'][number]>();
  for (const row of all.flatMap((each) => each.decisions)) {
    const count = (decisions.get(row.reason)?.count ?? 0) + row.count;
    decisions.set(row.reason, { ...row, count });
  }
  return {
    policy: all[0]!.policy,
    connections: {
      accepted: sum(({ connections }) => connections.accepted),
      opened: sum(({ connections }) => connections.opened),
      errors: addUp(all.map(({ connections }) => connections.errors)),
    },
    bytes: { in: sum(({ bytes }) => bytes.in), out: sum(({ bytes }) => bytes.out) },
    records: sum(({ records }) => records),
    states: addUp(all.map(({ states }) => states)),
    segments: {
      in: sum(({ segments }) => segments.in),
      out: sum(({ segments }) => segments.out),
      retransmitted: sum(({ segments }) => segments.retransmitted),
    },
    losses: addUp(all.map(({ losses }) => losses)),
    decisions: [...decisions.values()].sort((a, b) => b.count - a.count),
  };
}

/** A tally with what else a summary says, as the flags ask for it: one line of JSON, or text. */
export function formatTally(
  { records, ...tally }: Tally,
  rest: Pick<RunSummary, 'command' | 'status' | 'seconds' | 'pcap'> &
    Partial<Pick<RunSummary, 'workers'>> & { readonly kernel: number },
  json: boolean,
): string {
  const { kernel, ...others } = rest;
  const summary: RunSummary = { ...tally, ...others, timeWait: { stack: records, kernel } };
  return json ? JSON.stringify(summary) : formatSummary(summary, terminalWidth());
}

/** Reasons that were given, the most frequent first; the plain path is none. */
function decisionsOf(counts: Float64Array): RunSummary['decisions'] {
  const rows = [];
  for (let reason = 1; reason < counts.length; reason++) {
    const count = counts[reason]!;
    if (count === 0) continue;
    const { id, text, source } = reasonText(reason);
    rows.push({ reason: id, count, text, source });
  }
  return rows.sort((a, b) => b.count - a.count);
}

/** Packets that the link lost, by what became of them. */
function lossesOf(network: Network): RunSummary['losses'] {
  const losses = Object.entries(network.driver.link.losses?.() ?? {});
  return Object.fromEntries(losses.filter(([, count]) => count > 0));
}

/** Sockets of the kernel at the other end in TIME-WAIT (state 06 of /proc/net/tcp). `prefix`: to get there. */
export function kernelTimeWait(prefix: readonly string[] = []): number {
  const [program, ...args] = [...prefix, 'cat', '/proc/net/tcp', '/proc/net/tcp6'];
  const { stdout } = spawnSync(program!, args, { encoding: 'latin1', maxBuffer: 1 << 28 });
  return stdout.match(/^\s*\d+: \S+ \S+ 06 /gm)?.length ?? 0;
}
