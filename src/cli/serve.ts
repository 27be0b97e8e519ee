/** `timewait serve`: the services on a TUN device of the present network namespace, until interrupted. */
import { lineOf, RunError } from './fail.js';
import type { StackFlags } from './options.js';
import { serveControl } from './control.js';
import { KERNEL_SIDE, STACK_SIDE, summarize } from './run.js';
import { startServices } from './services.js';
import { setUp } from './setup.js';
import { TunLink } from '../link/tun.js';
import { bringUp, which } from '../lab/namespace.js';

export interface DeviceFlags {
  device: string;
  address?: string[];
  kernelAddress?: string[];
}

export interface ServeFlags extends StackFlags, DeviceFlags {
  control?: string;
}

/** A TUN device that is up, with the kernel's side addressed. */
export function openDevice(flags: DeviceFlags): TunLink {
  if (which('ip') === null) throw new RunError('ip(8) is not installed: apt-get install iproute2');
  let link: TunLink;
  try {
    link = TunLink.open({ name: flags.device });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const cure =
      code === 'EPERM'
        ? 'making a device needs root (CAP_NET_ADMIN); `timewait run` needs neither'
        : code === 'EBUSY'
          ? 'another process has it, choose another with --device'
          : 'see `timewait run --help`';
    throw new RunError(`--device ${flags.device}: ${lineOf(error)}: ${cure}`);
  }
  try {
    bringUp(link.name, flags.kernelAddress ?? KERNEL_SIDE);
  } catch (error) {
    link.close();
    throw new RunError(lineOf(error));
  }
  return link;
}

export async function serve(flags: ServeFlags): Promise<number> {
  const link = openDevice(flags);
  const { network, close } = setUp(link, flags.address ?? STACK_SIDE, flags);
  network.driver.hold();
  try {
    const services = await startServices(network, flags);
    const control = flags.control === undefined ? null : await serveControl(network, flags.control);
    const started = process.hrtime.bigint();
    const addresses = (flags.address ?? STACK_SIDE).join(', ');
    process.stderr.write(`timewait: ${addresses} on ${link.name}, policy ${network.stack.policyName}\n`);
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
    control?.close();
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    process.stdout.write(`${summarize(network, services, ['timewait', 'serve'], 0, seconds, flags).text}\n`);
  } finally {
    close();
  }
  // Clients of the control socket may still be there.
  process.exit(0);
}
