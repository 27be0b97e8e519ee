/** Stack, link and wrappers as the flags of a command ask for them. */
import { CaptureLink } from '../link/capture.js';
import { FaultsLink } from '../link/faults.js';
import type { Link } from '../link/link.js';
import { FileSink } from '../link/sink.js';
import { createNetwork, type Network } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import { PcapngWriter } from '../wire/pcapng.js';
import { RunError, UsageError, lineOf } from './fail.js';
import type { StackFlags } from './options.js';

export interface Setup {
  readonly network: Network;
  /** Ends the network and closes the capture file. */
  close(): void;
}

/** capture(faults(link)), a stack on `addresses`, policy and knobs applied. */
export function setUp(link: Link, addresses: readonly string[], flags: StackFlags): Setup {
  const clock = new RealClock();
  let outer: Link = link;
  if (flags.faults !== undefined) outer = new FaultsLink(outer, clock, flags.faults);
  let sink: FileSink | null = null;
  if (flags.pcap !== undefined) {
    sink = openSink(flags.pcap);
    outer = new CaptureLink(outer, sink, clock, new PcapngWriter(link.name));
  }
  const network = createNetwork({
    stack: { addresses: [...addresses] },
    link: outer,
    clock,
    policy: flags.policy,
  });
  for (const { name, value } of flags.set) {
    const message = network.stack.setKnob(name, value);
    if (message !== null) throw new UsageError(`--set: ${message}`);
  }
  for (const line of network.stack.warnings()) process.stderr.write(`timewait: warning: ${line}\n`);
  return {
    network,
    close() {
      network.close();
      sink?.close();
    },
  };
}

function openSink(path: string): FileSink {
  try {
    return new FileSink(path);
  } catch (error) {
    throw new RunError(`--pcap ${path}: ${lineOf(error)}`);
  }
}
