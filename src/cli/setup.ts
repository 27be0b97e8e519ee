/** Stack, link and wrappers as the flags of a command ask for them. */
import type { Link } from '../link/link.js';
import type { FileSink } from '../link/sink.js';
import { createNetwork, type Network, type NetworkOptions } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import type { FailureKind, Policy } from '../stack/policies.js';
import type { Clock } from '../time/clock.js';
import type { Seat } from '../workers/seat.js';
import { RunError, UsageError, lineOf } from './fail.js';
import type { StackFlags } from './options.js';

export interface Setup {
  readonly network: Network;
  /** Ends the network and closes the capture file. */
  close(): void;
}

/** capture(faults(link)), a stack on `addresses`, policy and knobs applied. `seat`: that of a worker among several. */
export async function setUp(
  link: Link,
  addresses: readonly string[],
  flags: StackFlags,
  policy: string | Policy,
  seat?: Seat,
): Promise<Setup> {
  const clock = seat?.clock ?? new RealClock();
  const { outer, sink } = await wrapped(link, clock, flags);
  const network = makeNetwork({
    stack: { addresses: [...addresses], ...seat?.stack },
    link: outer,
    clock,
    policy,
    ...(flags.hookLimit === undefined ? {} : { hookLimit: flags.hookLimit }),
  });
  const warn = (line: string): void => void process.stderr.write(`timewait: ${line}\n`);
  network.on('policyError', ({ message }) => warn(message));
  for (const { name, value } of flags.set) {
    const message = network.stack.setKnob(name, value);
    if (message !== null) throw new UsageError(`--set: ${message}`);
  }
  // All workers would say the same.
  const warnings = (seat?.index ?? 0) === 0 ? network.stack.warnings() : [];
  for (const line of warnings) process.stderr.write(`timewait: warning: ${line}\n`);
  return {
    network,
    close() {
      for (const { policy: label, hook, kind, count } of network.timeWait.failures)
        if (count > 1) warn(`policy ${label}: ${hook} ${AGAIN[kind]} ${count} times in all`);
      network.close();
      sink?.close();
    },
  };
}

const AGAIN: { readonly [K in FailureKind]: string } = {
  threw: 'threw',
  answered: 'gave a wrong answer',
  slow: 'was too slow',
};

/** A policy may preset what no knob is. */
function makeNetwork(options: NetworkOptions & { policy: string | Policy }): Network {
  try {
    return createNetwork(options);
  } catch (error) {
    if (typeof options.policy === 'string' || !(error instanceof RangeError)) throw error;
    throw new UsageError(`--policy ${options.policy.name}: ${lineOf(error)}`);
  }
}

/** What a run without such flags does not need is not loaded: each module is most of a millisecond of its start. */
async function wrapped(
  link: Link,
  clock: Clock,
  { faults, pcap }: StackFlags,
): Promise<{ outer: Link; sink: FileSink | null }> {
  let outer = link;
  if (faults !== undefined) {
    const { FaultsLink } = await import('../link/faults.js');
    outer = new FaultsLink(outer, clock, faults);
  }
  if (pcap === undefined) return { outer, sink: null };
  const [{ CaptureLink }, { FileSink }, { PcapngWriter }] = await Promise.all([
    import('../link/capture.js'),
    import('../link/sink.js'),
    import('../wire/pcapng.js'),
  ]);
  const sink = openSink(FileSink, pcap);
  return { outer: new CaptureLink(outer, sink, clock, new PcapngWriter(link.name)), sink };
}

function openSink(Sink: typeof FileSink, path: string): FileSink {
  try {
    return new Sink(path);
  } catch (error) {
    throw new RunError(`--pcap ${path}: ${lineOf(error)}`);
  }
}
