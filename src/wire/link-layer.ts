/**
 * What stands before the IP header in a captured packet, by LINKTYPE_ number
 * (https://www.tcpdump.org/linktypes.html).
 */
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, VLAN_TAGS } from './ethernet.js';
import { half } from './ip.js';

const NULL = 0;
const ETHERNET = 1;
/** LINKTYPE_RAW, and the numbers that DLT_RAW has on disks of other systems. */
const RAW: ReadonlySet<number> = new Set([101, 12, 14]);
const LOOP = 108;
const LINUX_SLL = 113;
const IPV4 = 228;
const IPV6 = 229;
const LINUX_SLL2 = 276;

const MOST_TAGS = 4;

/** sll_pkttype: sent to us, sent by us. */
const PACKET_HOST = 0;
const PACKET_OUTGOING = 4;

/** Can packets of this link type be read? */
export function knowsLinkType(linkType: number): boolean {
  return [NULL, ETHERNET, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2].includes(linkType) || RAW.has(linkType);
}

/** Where the IP header begins; -1 when there is none, or the link type is unknown. */
export function ipOffset(linkType: number, bytes: Uint8Array): number {
  const { length } = bytes;
  if (RAW.has(linkType) || linkType === IPV4 || linkType === IPV6) return length > 0 ? 0 : -1;
  switch (linkType) {
    case NULL:
    case LOOP:
      // The family's number differs from system to system; the version in the header does not.
      return length > 4 && [4, 6].includes(bytes[4]! >> 4) ? 4 : -1;
    case ETHERNET:
      return behindTags(bytes, 12);
    case LINUX_SLL:
      return behindTags(bytes, 14);
    case LINUX_SLL2:
      return length > 20 && isIp(half(bytes, 0)) ? 20 : -1;
    default:
      return -1;
  }
}

/** The place behind the EtherType at `at` and any VLAN tags. */
function behindTags(bytes: Uint8Array, at: number): number {
  for (let tags = 0, p = at; tags <= MOST_TAGS && p + 2 < bytes.length; tags++, p += 4) {
    const type = half(bytes, p);
    if (isIp(type)) return p + 2;
    if (!VLAN_TAGS.has(type)) return -1;
  }
  return -1;
}

function isIp(type: number): boolean {
  return type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6;
}

/** What the link header says about the direction; null when it does not. */
export function linkDirection(linkType: number, bytes: Uint8Array): boolean | null {
  const type =
    linkType === LINUX_SLL && bytes.length > 16
      ? half(bytes, 0)
      : linkType === LINUX_SLL2 && bytes.length > 20
        ? bytes[10]!
        : -1;
  if (type === PACKET_HOST) return true;
  return type === PACKET_OUTGOING ? false : null;
}
