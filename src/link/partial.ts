/** What a link does about partial checksums: it finishes them where it was told to trust the interface, and says so where not. */
import { LOAD_OK } from '../wire/codes.js';
import { IpHeader } from '../wire/ip.js';
import { completeChecksum, isPartial } from '../wire/partial.js';

export interface PartialOptions {
  /** Take packets with partial checksums as good. Default false. */
  readonly trustChecksums?: boolean;
  /** Told once, in a line, when there are such packets and they are not trusted. */
  readonly onHint?: (line: string) => void;
}

export class PartialChecksums {
  /** Packets that had one and were not trusted: the stack refuses them. */
  refused = 0;
  private readonly ip = new IpHeader();
  private readonly trust: boolean;
  private readonly onHint: ((line: string) => void) | undefined;

  constructor(
    private readonly device: string,
    options: PartialOptions,
  ) {
    this.trust = options.trustChecksums ?? false;
    this.onHint = options.onHint;
  }

  /** Looks at a received packet. One that is not trusted stays as it is: the stack refuses it, with its reason. */
  look(bytes: Uint8Array, offset: number, length: number): void {
    const { ip } = this;
    if (ip.load(bytes, offset, length) !== LOAD_OK || !isPartial(ip)) return;
    if (this.trust) completeChecksum(ip);
    else if (++this.refused === 1) this.onHint?.(this.hint());
  }

  private hint(): string {
    const { device } = this;
    return (
      `${device}: checksums are left to hardware that is not there: ` +
      `\`ethtool -K IFACE tx off\` at the sending end (of a veth pair: the other one), ` +
      `\`ethtool -K ${device} gro off\` here, or --trust-checksums`
    );
  }
}
