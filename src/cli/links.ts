/**
 * Opens what `--link` names: in the present network namespace, or in private ones with the kernel at
 * the other end. What only other links than TUN need is loaded for these.
 */
import { bringUp, which } from '../lab/namespace.js';
import { isTunDevice } from '../link/interface.js';
import { native } from '../link/native.js';
import { tunAvailable } from '../link/tun-device.js';
import { TunLink } from '../link/tun.js';
import { parsePrefix } from '../wire/address.js';
import { RunError, UsageError, lineOf } from './fail.js';
import type { DeviceFlags, LinkFlags } from './link-options.js';
import { nothingElse, type OpenLink } from './open-link.js';
import type { ServiceOptions } from './options.js';

export const KERNEL_SIDE = ['10.77.0.1/24', 'fd77::1/64'];
export const STACK_SIDE = ['10.77.0.2/24', 'fd77::2/64'];
/** Our device, and the kernel's end of a veth pair. */
export const DEVICE = 'tw0';
const PEER = 'tw1';

/** In the present namespace. */
export async function openLink(flags: DeviceFlags & LinkFlags & ServiceOptions): Promise<OpenLink> {
  const { kind, device } = flags.link;
  if (kind === 'tun') return { ...nothingElse, link: openTun(device || (flags.device ?? DEVICE), flags) };
  const addresses = flags.address ?? STACK_SIDE;
  const { onEthernet, onRawSockets } = await import('./interface-links.js');
  if (kind === 'raw') return onRawSockets(device, addresses, flags);
  if (device === '')
    throw new UsageError(`--link ${kind}: name the interface, as ${kind}:eth0; \`ip link\` lists them`);
  return onEthernet(device, addresses, flags);
}

/** An address on both sides of a TUN device would answer nobody. */
export function checkAddresses({ link, address, kernelAddress }: DeviceFlags & LinkFlags): void {
  if (link.kind !== 'tun') return;
  const host = (text: string): string => parsePrefix(text)!.address.toString();
  const theirs = (kernelAddress ?? KERNEL_SIDE).map(host);
  const both = (address ?? STACK_SIDE).find((each) => theirs.includes(host(each)));
  if (both !== undefined)
    throw new UsageError(
      `--local ${both}: the kernel's side has that address: choose another, or another --kernel-address`,
    );
}

/** In private namespaces, the other end in one of its own. */
export async function openPrivateLink(flags: LinkFlags & ServiceOptions): Promise<OpenLink> {
  const { kind } = flags.link;
  const device = flags.link.device || DEVICE;
  if (kind === 'tun') {
    needTun();
    const link = TunLink.open({ name: device, offload: flags.offload ?? true });
    bringUp(link.name, KERNEL_SIDE);
    return { ...nothingElse, link };
  }
  if (which('nsenter') === null)
    throw new RunError(
      'nsenter(1) is not installed: apt-get install util-linux (dnf install util-linux-core)',
    );
  const [{ Wire }, { onEthernet, onRawSockets }] = await Promise.all([
    import('../lab/veth.js'),
    import('./interface-links.js'),
  ]);
  if (flags.link.device !== '')
    process.stderr.write(
      `timewait: warning: --link ${kind}:${device}: run makes a device of its own of that name, serve uses the one that is there\n`,
    );
  const wire = await Wire.start({
    names: [device, PEER],
    theirs: KERNEL_SIDE,
    // A raw socket sees what is sent to addresses of its own kernel.
    ours: kind === 'raw' ? STACK_SIDE : [],
    offloads: flags.trustChecksums === true,
  });
  try {
    const opened =
      kind === 'raw'
        ? onRawSockets(device, STACK_SIDE, flags)
        : // Nobody else is on this wire.
          onEthernet(device, STACK_SIDE, { ...flags, detect: false });
    const close = (): void => {
      opened.close();
      wire.close();
    };
    return { ...opened, prefix: wire.prefix, close };
  } catch (error) {
    wire.close();
    throw error;
  }
}

/** Throws one line when there cannot be a TUN device here. */
export function needTun(): void {
  if (which('ip') === null) {
    throw new RunError('ip(8) is not installed: apt-get install iproute2 (dnf install iproute)');
  }
  const tun = tunAvailable();
  if (!tun.ok) throw new RunError(`${tun.reason}: ${tun.cure}`);
}

/** A TUN device that is up, with the kernel's side addressed. */
function openTun(name: string, flags: DeviceFlags & LinkFlags): TunLink {
  needTun();
  let link: TunLink;
  try {
    link = TunLink.open({ name, offload: flags.offload ?? true });
  } catch (error) {
    throw explainTun(name, error as NodeJS.ErrnoException);
  }
  try {
    bringUp(link.name, flags.kernelAddress ?? KERNEL_SIDE);
  } catch (error) {
    link.close();
    throw new RunError(lineOf(error));
  }
  return link;
}

export function explainTun(device: string, error: NodeJS.ErrnoException): Error {
  const argument = `--device ${device}`;
  if (error instanceof RangeError || error instanceof TypeError) {
    return new UsageError(`${argument}: ${lineOf(error)}`);
  }
  // What the kernel says of a device with queues, too, which takes no second owner without.
  switch (error.code === 'EINVAL' && isTun(device) ? 'EBUSY' : error.code) {
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

function isTun(device: string): boolean {
  const loaded = native();
  return loaded.ok && isTunDevice(loaded.addon, device);
}
