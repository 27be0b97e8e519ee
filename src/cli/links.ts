/** Opens what `--link` names: in the present network namespace, or in private ones with the kernel at the other end. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { bringUp, which } from '../lab/namespace.js';
import { ResetGuard } from '../lab/reset-guard.js';
import { Wire } from '../lab/veth.js';
import type { EthernetLink, EthernetOptions } from '../link/ethernet-link.js';
import { interfaceFacts, type InterfaceFacts } from '../link/interface.js';
import type { Link } from '../link/link.js';
import { native } from '../link/native.js';
import { DUPLICATE, type OwnPrefix } from '../link/own-addresses.js';
import { openPacketLink } from '../link/packet.js';
import { openPcapLink } from '../link/pcap.js';
import { RAW_MARK, RawLink } from '../link/raw.js';
import { Prng } from '../link/prng.js';
import { TunLink, tunAvailable } from '../link/tun.js';
import type { Network } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import { parsePrefix } from '../wire/address.js';
import { formatMac, type Mac } from '../wire/ethernet.js';
import { RunError, UsageError, lineOf } from './fail.js';
import type { LinkFlags } from './link-options.js';
import type { ServiceOptions } from './options.js';

export const KERNEL_SIDE = ['10.77.0.1/24', 'fd77::1/64'];
export const STACK_SIDE = ['10.77.0.2/24', 'fd77::2/64'];
/** Our device in private namespaces, and the kernel's end of a veth pair. */
const DEVICE = 'tw0';
const PEER = 'tw1';

export interface DeviceFlags {
  device: string;
  address?: string[];
  kernelAddress?: string[];
}

export interface OpenLink {
  readonly link: Link;
  /** What to put before a command so that it runs at the kernel's end. */
  readonly prefix: readonly string[];
  /** Resolves once our addresses may be used by the network on this link. Rejects when another host has one, or the system refuses. */
  ready(network: Network): Promise<void>;
  /** Takes back what was made besides the link. */
  close(): void;
}

const nothing = { prefix: [], ready: () => Promise.resolve(), close: () => undefined };

/** In the present namespace. */
export function openLink(flags: DeviceFlags & LinkFlags & ServiceOptions): OpenLink {
  const { kind, device } = flags.link;
  const addresses = flags.address ?? STACK_SIDE;
  if (kind === 'tun') return { ...nothing, link: openTun({ ...flags, device: device || flags.device }) };
  if (kind === 'raw') return onRawSockets(device, addresses, flags);
  if (device === '')
    throw new UsageError(`--link ${kind}: name the interface, as ${kind}:eth0; \`ip link\` lists them`);
  return onEthernet(device, addresses, flags);
}

/** In private namespaces, the other end in one of its own. */
export async function openPrivateLink(flags: LinkFlags & ServiceOptions): Promise<OpenLink> {
  const { kind } = flags.link;
  const device = flags.link.device || DEVICE;
  if (kind === 'tun') {
    const link = TunLink.open({ name: device, offload: flags.offload ?? true });
    bringUp(link.name, KERNEL_SIDE);
    return { ...nothing, link };
  }
  if (which('nsenter') === null)
    throw new RunError(
      'nsenter(1) is not installed: apt-get install util-linux (dnf install util-linux-core)',
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

/** A TUN device that is up, with the kernel's side addressed. */
function openTun(flags: DeviceFlags & LinkFlags): TunLink {
  if (which('ip') === null) {
    throw new RunError('ip(8) is not installed: apt-get install iproute2 (dnf install iproute)');
  }
  const tun = tunAvailable();
  if (!tun.ok) throw new RunError(`${tun.reason}: ${tun.cure}`);
  let link: TunLink;
  try {
    link = TunLink.open({ name: flags.device, offload: flags.offload ?? true });
  } catch (error) {
    throw explainTun(flags.device, error as NodeJS.ErrnoException);
  }
  try {
    bringUp(link.name, flags.kernelAddress ?? KERNEL_SIDE);
  } catch (error) {
    link.close();
    throw new RunError(lineOf(error));
  }
  return link;
}

function explainTun(device: string, error: NodeJS.ErrnoException): Error {
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

/** A link on an Ethernet interface, with addresses and a MAC of our own. */
function onEthernet(device: string, addresses: readonly string[], flags: LinkFlags): OpenLink {
  const argument = `--link ${flags.link.kind}:${device}`;
  const facts = factsOf(argument, device);
  const options: EthernetOptions = {
    mac: flags.mac ?? ownMac(device, facts.mac, addresses),
    addresses: addresses.map(ownPrefix),
    gateways: flags.gateway ?? [],
    vlan: flags.vlan ?? 0,
    detect: flags.detect ?? true,
    trustChecksums: flags.trustChecksums ?? false,
    onHint: warn,
    clock: new RealClock(),
    seed: randomInt(2 ** 31),
  };
  try {
    const open = flags.link.kind === 'pcap' ? openPcapLink : openPacketLink;
    const link = open(device, options);
    return { ...nothing, link, ready: () => ready(link) };
  } catch (error) {
    throw explainSocket(argument, error as NodeJS.ErrnoException);
  }
}

/** Beside the kernel's own TCP, which is kept from resetting what it knows nothing of. */
function onRawSockets(
  device: string,
  addresses: readonly string[],
  flags: LinkFlags & ServiceOptions,
): OpenLink {
  const argument = `--link raw${device === '' ? '' : `:${device}`}`;
  let link: RawLink;
  try {
    link = new RawLink({
      addresses: addresses.map(ownPrefix),
      device,
      mtu: device === '' ? 1500 : mtuOf(argument, device),
      trustChecksums: flags.trustChecksums ?? false,
      onHint: warn,
    });
  } catch (error) {
    if (error instanceof RunError) throw error;
    throw explainSocket(argument, error as NodeJS.ErrnoException);
  }
  let guard: ResetGuard | null = null;
  return {
    ...nothing,
    link,
    async ready(network) {
      const own = addresses.map((each) => each.replace(/\/.*/, ''));
      try {
        guard = await ResetGuard.start({ addresses: own, ports: portsOf(network, flags), mark: RAW_MARK });
      } catch (error) {
        throw new RunError(`the kernel would reset our connections: ${lineOf(error)}`);
      }
    },
    close: () => guard?.close(),
  };
}

/** What our stack listens on, and what it connects from. */
function portsOf(network: Network, { http, echo, discard, chargen }: ServiceOptions): string[] {
  const services = [http, echo, discard, chargen].filter((port) => port !== undefined);
  const [first, last] = ['min', 'max'].map((end) => network.knob(`net.ipv4.ip_local_port_range.${end}`));
  const outside = services.filter((port) => port < first! || port > last!);
  return [...outside.map(String), `${first}-${last}`];
}

function mtuOf(argument: string, device: string): number {
  const loaded = native();
  if (!loaded.ok) return 1500;
  const facts = interfaceFacts(loaded.addon, device);
  if (facts === null) throw new RunError(`${argument}: no such interface: \`ip link\` lists them`);
  return facts.mtu;
}

function warn(line: string): void {
  process.stderr.write(`timewait: ${line}\n`);
}

/** The interface, which is there, up and an Ethernet. */
function factsOf(argument: string, device: string): InterfaceFacts {
  const loaded = native();
  if (!loaded.ok) throw new RunError(`${loaded.reason}: ${loaded.cure}`);
  const facts = interfaceFacts(loaded.addon, device);
  if (facts === null) throw new RunError(`${argument}: no such interface: \`ip link\` lists them`);
  if (!facts.ethernet) throw new RunError(`${argument}: not an Ethernet interface: use tun or raw`);
  if (!facts.up) throw new RunError(`${argument}: the interface is down: ip link set ${device} up`);
  return facts;
}

function ownPrefix(text: string): OwnPrefix {
  const { address, prefix } = parsePrefix(text)!;
  return { words: address.words, family: address.family, prefix };
}

/** Locally administered, and the same each time, so that neighbours need not learn a new one. */
function ownMac(device: string, theirs: Mac, addresses: readonly string[]): Mac {
  let seed = theirs.low;
  for (const char of [device, ...addresses].join(' '))
    seed = Math.imul(seed ^ char.charCodeAt(0), 0x01000193);
  const random = new Prng(seed, theirs.high);
  return { high: 0x0200 | (random.next() & 0xff), low: random.next() };
}

function explainSocket(argument: string, error: NodeJS.ErrnoException): Error {
  // The packages have no codes.
  const refused = /EPERM|EACCES|Operation not permitted|permission/i;
  if (refused.test(`${error.code} ${error.message}`)) {
    return new RunError(
      `${argument}: needs root (CAP_NET_RAW) in this network namespace: use sudo, or \`timewait run\`, which needs neither`,
    );
  }
  return new RunError(`${argument}: ${lineOf(error)}`);
}

async function ready(link: EthernetLink): Promise<void> {
  const { neighbours } = link;
  while (!neighbours.settled) await sleep(10);
  const taken = neighbours.own.find((own) => own.state === DUPLICATE);
  if (taken === undefined) return;
  const other = formatMac(taken.otherHigh, taken.otherLow);
  throw new RunError(`${taken.text} on ${link.name} belongs to ${other}: choose another address`);
}
