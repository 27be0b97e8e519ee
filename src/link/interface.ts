/** What the kernel knows about a network interface, asked through the addon: the names are those of netdevice(7). */
import type { Mac } from '../wire/ethernet.js';
import { half, word } from '../wire/ip.js';
import type { NativeAddon } from './native.js';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GDRVINFO = 3;
/** struct ethtool_drvinfo: driver and bus, 32 bytes each. */
const DRIVER_INFO = { size: 196, driver: 4, bus: 100 } as const;
const IFF_UP = 1;
const ARPHRD_ETHER = 1;
/** struct ifreq, and where its union begins. */
const IFREQ = 40;
const UNION = 16;
/** struct ethtool_value: ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO. */
const OFFLOADS = [0x17, 0x1f, 0x24] as const;

export interface InterfaceFacts {
  readonly mtu: number;
  readonly mac: Mac;
  readonly up: boolean;
  readonly ethernet: boolean;
}

type Ioctl = (request: number, pointer?: Uint8Array) => Buffer | null;

/** Calls `requests` with ioctl on a socket of its own, about one interface: the answer, or null when the kernel refuses. */
function about(addon: NativeAddon, name: string, requests: (ioctl: Ioctl) => void): void {
  const fd = addon.syscall('socket', AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return;
  requests((request, pointer) => {
    const argument = Buffer.alloc(IFREQ);
    argument.write(name, 0, UNION - 1, 'latin1');
    if (pointer !== undefined) argument.writeBigUInt64LE(addon.address(pointer), UNION);
    return addon.syscall('ioctl', fd, request, argument) < 0 ? null : argument;
  });
  addon.syscall('close', fd);
}

/** null when there is no such interface in this network namespace. */
export function interfaceFacts(addon: NativeAddon, name: string): InterfaceFacts | null {
  let facts: InterfaceFacts | null = null;
  about(addon, name, (ioctl) => {
    const [flags, mtu, hardware] = [ioctl(SIOCGIFFLAGS), ioctl(SIOCGIFMTU), ioctl(SIOCGIFHWADDR)];
    if (flags === null || mtu === null || hardware === null) return;
    facts = {
      mtu: mtu.readInt32LE(UNION),
      mac: { high: half(hardware, UNION + 2), low: word(hardware, UNION + 4) },
      up: (flags.readInt16LE(UNION) & IFF_UP) !== 0,
      ethernet: hardware.readUInt16LE(UNION) === ARPHRD_ETHER,
    };
  });
  return facts;
}

/** There is a TUN device of that name in this network namespace, whoever has it. */
export function isTunDevice(addon: NativeAddon, name: string): boolean {
  const info = Buffer.alloc(DRIVER_INFO.size);
  info.writeUInt32LE(ETHTOOL_GDRVINFO, 0);
  about(addon, name, (ioctl) => void ioctl(SIOCETHTOOL, info));
  // A TAP device has the same driver.
  return [DRIVER_INFO.driver, DRIVER_INFO.bus].every((at) => info.toString('latin1', at, at + 4) === 'tun\0');
}

/** `ethtool -K NAME tx off tso off gso off`: what leaves is packets of the MTU with finished checksums. */
export function switchOffloadsOff(addon: NativeAddon, name: string): void {
  about(addon, name, (ioctl) => {
    for (const command of OFFLOADS) {
      const value = Buffer.alloc(8);
      value.writeUInt32LE(command, 0);
      // Some cannot be switched (EOPNOTSUPP): then they are not in the way either.
      ioctl(SIOCETHTOOL, value);
    }
  });
}
