/** `--link` and what belongs to it, on the commands that open one. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { OwnPrefix } from '../link/own-addresses.js';
import { parseAddress } from '../wire/address.js';
import { parseMac, type Mac } from '../wire/ethernet.js';

const kinds = ['tun', 'packet', 'pcap', 'raw'] as const;
export type LinkKind = (typeof kinds)[number];

export interface LinkChoice {
  readonly kind: LinkKind;
  /** Interface, '' when none was named. */
  readonly device: string;
}

export interface LinkFlags {
  link: LinkChoice;
  mac?: Mac;
  vlan?: number;
  gateway?: OwnPrefix[];
  trustChecksums?: boolean;
  /** --no-offload */
  offload?: boolean;
  /** --no-detect */
  detect?: boolean;
}

/** Of commands that make a device in the present namespace. */
export interface DeviceFlags {
  device?: string;
  address?: string[];
  kernelAddress?: string[];
}

const ETHERNET: readonly LinkKind[] = ['packet', 'pcap'];

/** One line on standard error for each option that means nothing on this link. */
export function warnOfIdle(flags: LinkFlags & Partial<DeviceFlags>): void {
  const { kind } = flags.link;
  const given: readonly (readonly [option: string, given: boolean, where: readonly LinkKind[]])[] = [
    ['--mac', flags.mac !== undefined, ETHERNET],
    ['--vlan', flags.vlan !== undefined, ETHERNET],
    ['--gateway', flags.gateway !== undefined, ETHERNET],
    ['--no-detect', flags.detect === false, ETHERNET],
    ['--trust-checksums', flags.trustChecksums === true, ['packet', 'pcap', 'raw']],
    ['--no-offload', flags.offload === false, ['tun']],
    ['--device', flags.device !== undefined, ['tun']],
    ['--kernel-address', flags.kernelAddress !== undefined, ['tun']],
  ];
  for (const [option, isGiven, where] of given)
    if (isGiven && !where.includes(kind))
      process.stderr.write(
        `timewait: warning: ${option} means nothing on --link ${kind}, only on ${where.join(', ')}\n`,
      );
}

function linkChoice(text: string): LinkChoice {
  const [, kind, device = ''] = /^([^:]*)(?::(.*))?$/s.exec(text)!;
  const found = kinds.find((each) => each === kind);
  if (found === undefined || (device === '' && text.includes(':')))
    throw new InvalidArgumentError(`links are ${kinds.join(', ')}; with an interface as packet:eth0.`);
  if (Buffer.byteLength(device) > 15 || /[\s/]/.test(device))
    throw new InvalidArgumentError("an interface's name has up to 15 bytes, no blank and no '/'.");
  return { kind: found, device };
}

function macAddress(text: string): Mac {
  const mac = parseMac(text);
  if (mac === null || (mac.high & 0x100) !== 0)
    throw new InvalidArgumentError('a MAC address of one host, as 02:00:00:12:34:56.');
  return mac;
}

function vlanId(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 4094)
    throw new InvalidArgumentError('a VLAN is an integer from 1 to 4094.');
  return value;
}

function gateway(text: string, before: OwnPrefix[] | undefined): OwnPrefix[] {
  const address = parseAddress(text);
  if (address === null) throw new InvalidArgumentError('an address, as 10.77.0.1 or fd77::1.');
  const { words, family } = address;
  if (before?.some((each) => each.family === family) === true)
    throw new InvalidArgumentError('one gateway of each family.');
  return [...(before ?? []), { words, family, prefix: family === 4 ? 32 : 128 }];
}

export function withLinkOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--link <link>',
        `way onto the wire: ${kinds.join(', ')}, with an interface as packet:eth0 (docs/links.md)`,
      )
        .argParser(linkChoice)
        .default({ kind: 'tun', device: '' } satisfies LinkChoice, 'tun'),
    )
    .option(
      '--mac <address>',
      'our MAC address on Ethernet, default made from interface and addresses',
      macAddress,
    )
    .option('--vlan <number>', 'VLAN that our questions for neighbours go to', vlanId)
    .option('--gateway <address>', 'next hop for what is not on the link (repeatable)', gateway)
    .option('--trust-checksums', 'take packets whose checksums were left to hardware that is not there')
    .option('--no-offload', 'tun: packet by packet, every checksum our own')
    .option('--no-detect', 'use addresses on Ethernet without asking whether somebody has them');
}
