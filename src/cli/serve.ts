/** `timewait serve`: the services on a TUN device of the present network namespace, until interrupted. */
import { bringUp, which } from '../lab/namespace.js';
import { TunLink, tunAvailable } from '../link/tun.js';
import type { Network } from '../net/network.js';
import { choosePolicy } from './choose-policy.js';
import { serveControl } from './control.js';
import { RunError, UsageError, lineOf } from './fail.js';
import type { StackFlags } from './options.js';
import { KERNEL_SIDE, STACK_SIDE, summarize } from './run.js';
import { startServices } from './services.js';
import { setUp } from './setup.js';

export interface DeviceFlags {
  device: string;
  address?: string[];
  kernelAddress?: string[];
}

export interface ServeFlags extends StackFlags, DeviceFlags {
  control?: string;
  remember?: boolean;
}

/** A TUN device that is up, with the kernel's side addressed. */
export function openDevice(flags: DeviceFlags): TunLink {
  if (which('ip') === null) {
    throw new RunError('ip(8) is not installed: apt-get install iproute2 (dnf install iproute)');
  }
  const tun = tunAvailable();
  if (!tun.ok) throw new RunError(`${tun.reason}: ${tun.cure}`);
  let link: TunLink;
  try {
    link = TunLink.open({ name: flags.device });
  } catch (error) {
    throw explain(flags.device, error as NodeJS.ErrnoException);
  }
  try {
    bringUp(link.name, flags.kernelAddress ?? KERNEL_SIDE);
  } catch (error) {
    link.close();
    throw new RunError(lineOf(error));
  }
  return link;
}

function explain(device: string, error: NodeJS.ErrnoException): Error {
  const argument = `--device ${device}`;
  if (error instanceof RangeError || error instanceof TypeError) {
    return new UsageError(`${argument}: ${lineOf(error)}`);
  }
  switch (error.code) {
    case 'EPERM':
      return new RunError(
        `${argument}: a device in this network namespace needs root (CAP_NET_ADMIN): use sudo, or \`timewait run\`, which needs neither`,
      );
    case 'EBUSY':
      return new RunError(`${argument}: another process has it: choose another name`);
    case 'EINVAL':
      return new UsageError(
        `${argument}: not the name of a TUN device: up to 15 bytes, no '/', not that of another device`,
      );
    default:
      return new RunError(`${argument}: ${lineOf(error)}`);
  }
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
  const link = openDevice(flags);
  const { network, close } = setUp(link, flags.address ?? STACK_SIDE, flags, policy);
  const failed = failureOf(network);
  network.driver.hold();
  try {
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
  }
  // Clients of the control socket may still be there.
  process.exit(0);
}
