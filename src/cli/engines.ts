/** What `run` and `serve` start: link, stack and services, in this thread or in several workers. */
import type { Network } from '../net/network.js';
import type { RunSummary } from '../view/summary.js';
import { choosePolicy } from './choose-policy.js';
import type { Controlled } from './control.js';
import { RunError, lineOf } from './fail.js';
import { inlineMore } from './inlining.js';
import { warnOfIdle, type LinkFlags } from './link-options.js';
import type { OpenLink } from './open-link.js';
import type { StackFlags } from './options.js';
import { startServices } from './services.js';
import { setUp } from './setup.js';
import type { Tally } from './tally.js';

export interface EngineFlags extends StackFlags, LinkFlags {
  workers?: number;
  remember?: boolean;
}

export interface Engines {
  /** The device, and the policy that rules. */
  readonly device: string;
  readonly policy: string;
  /** Where the packets are written; several files with a comma between. */
  readonly pcap: string | null;
  /** What to put before a command so that it runs at the kernel's end. */
  readonly prefix: readonly string[];
  /** Rejects when the link or a worker fails for good. */
  readonly failed: Promise<never>;
  /** What a control socket is to lead to; asked once. */
  control(): Promise<Controlled>;
  tally(): Promise<Tally>;
  /** What each worker did, when there are several. */
  shares(): Promise<RunSummary['workers']>;
  close(): Promise<void>;
}

/** Rejects when the link fails for good: somebody deleted the device. */
export function failureOf(network: Network): Promise<never> {
  return new Promise((_resolve, reject) => {
    network.once('error', (error: Error) => reject(new RunError(`the device failed: ${lineOf(error)}`)));
  });
}

/** In this thread. Resolves when the services listen. */
export async function startEngine(
  flags: EngineFlags,
  addresses: readonly string[],
  open: () => OpenLink | Promise<OpenLink>,
): Promise<Engines> {
  warnOfIdle(flags);
  const policy = await choosePolicy(flags);
  const opened = await open();
  const { network, close } = await setUp(opened.link, addresses, flags, policy);
  const end = (): Promise<void> => {
    close();
    opened.close();
    return Promise.resolve();
  };
  const failed = failureOf(network);
  network.driver.hold();
  try {
    await Promise.race([opened.ready(network), failed]);
    const services = await startServices(network, flags);
    inlineMore();
    return {
      device: opened.link.name,
      policy: network.stack.policyName,
      pcap: flags.pcap ?? null,
      prefix: opened.prefix,
      failed,
      async control() {
        const { ControlSession } = await import('./control-session.js');
        return new ControlSession(network, flags.remember);
      },
      async tally() {
        const { tallyOf } = await import('./tally.js');
        return tallyOf(network, services);
      },
      shares: () => Promise.resolve(undefined),
      close: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
