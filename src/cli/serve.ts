/** `timewait serve`: the services on a link of the present network namespace, until interrupted. */
import type { Network } from '../net/network.js';
import { choosePolicy } from './choose-policy.js';
import { serveControl } from './control.js';
import { RunError, UsageError, lineOf } from './fail.js';
import type { StackFlags } from './options.js';
import type { LinkFlags } from './link-options.js';
import { STACK_SIDE, openLink, type DeviceFlags } from './links.js';
import { summarize } from './run.js';
import { startServices } from './services.js';
import { setUp } from './setup.js';

export interface ServeFlags extends StackFlags, DeviceFlags, LinkFlags {
  control?: string;
  remember?: boolean;
}

/** Rejects when the link fails for good: somebody deleted the device. */
export function failureOf(network: Network): Promise<never> {
  return new Promise((_resolve, reject) => {
    network.once('error', (error: Error) => reject(new RunError(`the device failed: ${lineOf(error)}`)));
  });
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

export async function serve(flags: ServeFlags): Promise<number> {
  if (flags.remember === true && flags.control === undefined)
    throw new UsageError('--remember is for `explain`, which asks through --control <socket>');
  const policy = await choosePolicy(flags);
  const opened = await openLink(flags);
  const { link } = opened;
  const { network, close } = setUp(link, flags.address ?? STACK_SIDE, flags, policy);
  const failed = failureOf(network);
  network.driver.hold();
  try {
    await Promise.race([opened.ready(network), failed]);
    const services = await startServices(network, flags);
    const control =
      flags.control === undefined ? null : await serveControl(network, flags.control, flags.remember);
    const started = process.hrtime.bigint();
    const stopped = interrupted();
    const addresses = (flags.address ?? STACK_SIDE).join(', ');
    process.stderr.write(`timewait: ${addresses} on ${link.name}, policy ${network.stack.policyName}\n`);
    try {
      await Promise.race([stopped, failed]);
    } finally {
      control?.close();
    }
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    process.stdout.write(`${summarize(network, services, ['timewait', 'serve'], 0, seconds, flags).text}\n`);
  } finally {
    close();
    opened.close();
  }
  // Clients of the control socket may still be there.
  process.exit(0);
}
