/** `timewait run`: our stack on a TUN device in namespaces of its own, and a command on the kernel's side. */
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { endOnSignals, environmentLack, insideNamespace, onSentSignals, reenter } from '../lab/namespace.js';
import type { Network } from '../net/network.js';
import { reasonText } from '../reasons.js';
import { formatSummary, type RunSummary } from '../view/summary.js';
import { choosePolicy } from './choose-policy.js';
import { RunError, lineOf } from './fail.js';
import type { LinkFlags } from './link-options.js';
import { STACK_SIDE, openPrivateLink } from './links.js';
import type { StackFlags } from './options.js';
import { startServices, type ServiceCounts } from './services.js';
import { setUp } from './setup.js';

/** Exit status of the command. */
export async function run(
  command: readonly string[],
  flags: StackFlags & LinkFlags,
  args: readonly string[],
): Promise<number> {
  if (!insideNamespace()) {
    const lack = environmentLack(flags.link.kind === 'tun');
    if (lack !== null) throw new RunError(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  endOnSignals();
  const policy = await choosePolicy(flags);
  const opened = await openPrivateLink(flags);
  const { network, close } = setUp(opened.link, STACK_SIDE, flags, policy);
  network.driver.hold();
  try {
    await opened.ready(network);
    const services = await startServices(network, flags);
    const started = process.hrtime.bigint();
    const status = await runCommand([...opened.prefix, ...command]);
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    await quiet(network);
    const kernel = kernelTimeWait(opened.prefix);
    process.stdout.write(`${summarize(network, services, command, status, seconds, flags, kernel).text}\n`);
    return status;
  } finally {
    close();
    opened.close();
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
  kernel = kernelTimeWait(),
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
    timeWait: { stack: counts['TIME-WAIT'] ?? 0, kernel },
    states: Object.fromEntries(
      Object.entries(counts).filter(([state, count]) => count > 0 && state !== 'LISTEN'),
    ),
    segments: { in: c.get('TcpInSegs'), out: c.get('TcpOutSegs'), retransmitted: c.get('TcpRetransSegs') },
    losses: lossesOf(network),
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
