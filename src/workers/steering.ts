/**
 * Which worker owns a packet. A flow belongs to one engine for good: the owner is a keyed hash of the
 * connection's four-tuple and nothing else, so that no state is needed and no worker need be asked.
 *
 *   TCP                     by the tuple, or by the remote address alone
 *   ICMP errors             by the tuple of the packet they quote: they tell something to its connection
 *   all else                worker 0: echo, fragments, what cannot be read
 */
import { TupleHash } from '../stack/siphash.js';
import { IcmpMessage } from '../wire/icmp.js';
import { IpHeader, half, word } from '../wire/ip.js';
import { LOAD_OK } from '../wire/segment.js';

const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;
const MAPPED = 0xffff;

/** What a flow's owner depends on. By `host`, all flows of one remote address have the same owner. */
export type SteerBy = 'tuple' | 'host';

export class Steering {
  private readonly hash: TupleHash;
  private readonly ip = new IpHeader();
  private readonly icmp = new IcmpMessage();

  /** `key`: 16 secret bytes, so that nobody can aim at one worker. */
  constructor(
    readonly key: Uint8Array,
    readonly workers: number,
    readonly by: SteerBy,
  ) {
    this.hash = new TupleHash(key);
  }

  ownerOfTuple(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    localPort: number,
    remotePort: number,
  ): number {
    const hash =
      this.by === 'tuple'
        ? this.hash.of(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort)
        : this.hash.of(r0, r1, r2, r3, r0, r1, r2, r3, 0, 0);
    return (hash >>> 0) % this.workers;
  }

  /** TCP whose ports are where the kernel's program (program.ts) looks for them: it knows the owner. */
  isPlain(b: Uint8Array, offset: number, length: number): boolean {
    if (length < 24) return false;
    const version = b[offset]! >> 4;
    if (version === 4) return b[offset + 9] === TCP && (half(b, offset + 6) & 0x3fff) === 0;
    return version === 6 && b[offset + 6] === TCP;
  }

  /** Of the packet of `length` bytes at `offset`. Reads nothing outside it, whatever it is. */
  ownerOf(b: Uint8Array, offset: number, length: number): number {
    if (length < 24) return 0;
    const first = b[offset]!;
    // The plain packet, without a look at what the engine will check anyway.
    if (first >> 4 === 4 && this.isPlain(b, offset, length)) {
      const header = (first & 15) * 4;
      if (header < 20 || length < header + 4) return 0;
      const ports = offset + header;
      const source = word(b, offset + 12);
      const target = word(b, offset + 16);
      return this.ownerOfTuple(
        0,
        0,
        MAPPED,
        target,
        0,
        0,
        MAPPED,
        source,
        half(b, ports + 2),
        half(b, ports),
      );
    }
    return this.ownerOfOther(b, offset, length);
  }

  private ownerOfOther(b: Uint8Array, offset: number, length: number): number {
    const { ip, icmp } = this;
    if (ip.load(b, offset, length) !== LOAD_OK || ip.fragment) return 0;
    if (ip.protocol === TCP && ip.payloadLength >= 4) {
      const at = ip.payloadOffset;
      return this.ownerOfTuple(
        ip.dst0,
        ip.dst1,
        ip.dst2,
        ip.dst3,
        ip.src0,
        ip.src1,
        ip.src2,
        ip.src3,
        half(b, at + 2),
        half(b, at),
      );
    }
    if (ip.protocol !== (ip.version === 6 ? ICMPV6 : ICMP) || icmp.load(ip) !== LOAD_OK) return 0;
    if (!icmp.quotedOk || icmp.quotedProtocol !== TCP) return 0;
    // The quoted packet is one of ours: its source is our end.
    return this.ownerOfTuple(
      icmp.src0,
      icmp.src1,
      icmp.src2,
      icmp.src3,
      icmp.dst0,
      icmp.dst1,
      icmp.dst2,
      icmp.dst3,
      icmp.srcPort,
      icmp.dstPort,
    );
  }
}
