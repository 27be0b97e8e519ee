/** Links on interfaces that are there: Ethernet through AF_PACKET or libpcap, and raw sockets. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ResetGuard } from '../lab/reset-guard.js';
import type { EthernetLink, EthernetOptions } from '../link/ethernet-link.js';
import { interfaceFacts, type InterfaceFacts } from '../link/interface.js';
import { native } from '../link/native.js';
import { DUPLICATE, type OwnPrefix } from '../link/own-addresses.js';
import { openPacketLink } from '../link/packet.js';
import { openPcapLink } from '../link/pcap.js';
import { RAW_MARK, RawLink } from '../link/raw.js';
import { Prng } from '../link/prng.js';
import type { Network } from '../net/network.js';
import { RealClock } from '../net/real-clock.js';
import { parsePrefix } from '../wire/address.js';
import { formatMac, type Mac } from '../wire/ethernet.js';
import { RunError, lineOf } from './fail.js';
import type { LinkFlags } from './link-options.js';
import { nothingElse, type OpenLink } from './open-link.js';
import type { ServiceOptions } from './options.js';

/** A link on an Ethernet interface, with addresses and a MAC of our own. */
export function onEthernet(device: string, addresses: readonly string[], flags: LinkFlags): OpenLink {
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
    return { ...nothingElse, link, ready: () => ready(link) };
  } catch (error) {
    throw explainSocket(argument, error as NodeJS.ErrnoException);
  }
}

/** Beside the kernel's own TCP, which is kept from resetting what it knows nothing of. */
export function onRawSockets(
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
    ...nothingElse,
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
