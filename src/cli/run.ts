/** `timewait run`: our stack on a TUN device in namespaces of its own, and a command on the kernel's side. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { TunLink } from '../link/tun.js';
import {
  bringUp,
  endOnSignals,
  environmentLack,
  insideNamespace,
  onSentSignals,
  reenter,
} from '../lab/namespace.js';
import type { Network } from '../net/network.js';
import { reasonText } from '../reasons.js';
import { formatSummary, type RunSummary } from '../view/summary.js';
import { choosePolicy } from './choose-policy.js';
import { RunError, lineOf } from './fail.js';
import type { StackFlags } from './options.js';
import { startServices, type ServiceCounts } from './services.js';
import { setUp } from './setup.js';

export const DEVICE = 'tw0';
export const KERNEL_SIDE = ['10.77.0.1/24', 'fd77::1/64'];
export const STACK_SIDE = ['10.77.0.2/24', 'fd77::2/64'];

/** Exit status of the command. */
export async function run(
  command: readonly string[],
  flags: StackFlags,
  args: readonly string[],
): Promise<number> {
  if (!insideNamespace()) {
    const lack = environmentLack();
    if (lack !== null) throw new RunError(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  endOnSignals();
  const policy = await choosePolicy(flags);
  const link = TunLink.open({ name: DEVICE });
  bringUp(link.name, KERNEL_SIDE);
  const { network, close } = setUp(link, STACK_SIDE, flags, policy);
  network.driver.hold();
  try {
    const services = await startServices(network, flags);
    const started = process.hrtime.bigint();
    const status = await runCommand(command);
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    await quiet(network);
    process.stdout.write(`${summarize(network, services, command, status, seconds, flags).text}\n`);
    return status;
  } finally {
    close();
  }
}

function runCommand(command: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit' });
    onSentSignals((signal) => void child.kill(signal));
    child.on('error', (error: NodeJS.ErrnoException) => {
      const what = error.code === 'ENOENT' ? 'command not found' : lineOf(error);
      reject(new RunError(`${command[0]}: ${what}`));
    });
    child.on('exit', (code, signal) =>
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]),
    );
  });
}

/** Closings that are under way get a moment, so that the summary shows where they end: until nothing changed for a while. */
async function quiet(network: Network): Promise<void> {
  let before = '';
  for (let i = 0; i < 20; i++) {
    const counts = JSON.stringify(network.stack.stateCounts());
    if (counts === before) return;
    before = counts;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the run did, as data and as the text that the flags ask for. */
export function summarize(
  network: Network,
  services: ServiceCounts,
  command: readonly string[],
  status: number,
  seconds: number,
  flags: StackFlags,
): { summary: RunSummary; text: string } {
  const { stack } = network;
  const counts = stack.stateCounts();
  const c = stack.counters;
  const summary: RunSummary = {
    policy: stack.policyName,
    command,
    status,
    seconds,
    connections: { accepted: services.connections, opened: c.get('TcpActiveOpens'), errors: services.errors },
    bytes: { in: services.bytesIn, out: services.bytesOut },
    timeWait: { stack: counts['TIME-WAIT'] ?? 0, kernel: kernelTimeWait() },
    states: Object.fromEntries(
      Object.entries(counts).filter(([state, count]) => count > 0 && state !== 'LISTEN'),
    ),
    segments: { in: c.get('TcpInSegs'), out: c.get('TcpOutSegs'), retransmitted: c.get('TcpRetransSegs') },
    decisions: decisionsOf(stack.reasonCounts),
    pcap: flags.pcap ?? null,
  };
  return { summary, text: flags.json === true ? JSON.stringify(summary) : formatSummary(summary) };
}

/** Reasons that were given, the most frequent first; the plain path is none. */
export function decisionsOf(counts: Float64Array): RunSummary['decisions'] {
  const rows = [];
  for (let reason = 1; reason < counts.length; reason++) {
    const count = counts[reason]!;
    if (count === 0) continue;
    const { id, text, source } = reasonText(reason);
    rows.push({ reason: id, count, text, source });
  }
  return rows.sort((a, b) => b.count - a.count);
}

/** Sockets of this namespace's kernel in TIME-WAIT (state 06 of /proc/net/tcp). */
export function kernelTimeWait(): number {
  let count = 0;
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    try {
      for (const line of readFileSync(file, 'latin1').split('\n'))
        if (/^\s*\d+: \S+ \S+ 06 /.test(line)) count++;
    } catch {
      continue;
    }
  }
  return count;
}
