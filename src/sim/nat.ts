/**
 * A source NAT (RFC 2663's NAPT, iptables MASQUERADE): hosts behind it share one
 * address per IP version. TCP, echo and ICMP errors. Like a real one it touches
 * addresses, ports and checksums, not sequence numbers, and timestamps only when asked.
 *
 * Inside hosts are told apart by number, the port of the NAT they are plugged into, so
 * two of them may have the same private address.
 */
import type { Address } from '../wire/address.js';
import type { Flow, Tuple } from './flows.js';
import { Translator, addressOf, familyOf, type PortChoice, type TranslatorOptions } from './translator.js';

export interface NatOptions extends TranslatorOptions {
  /** What the outside sees: one address, or one of each version. */
  readonly outside: Address | string | readonly (Address | string)[];
  readonly choice: PortChoice;
  /**
   * By inside number: ticks (ms, on Linux) added to the host's timestamps on the way out and taken
   * off their echo on the way in, as if the host had been switched on earlier by so much. Without
   * effect when timestamps are rewritten or stripped. Default 0.
   */
  readonly clockShifts?: readonly number[];
}

export class Nat extends Translator {
  private readonly outside4: Address | null;
  private readonly outside6: Address | null;
  private readonly clockShifts: readonly number[];

  /** Throws RangeError with one line for options out of range. */
  constructor(options: NatOptions) {
    super(options, options.choice);
    const { outside } = options;
    const given = Array.isArray(outside)
      ? (outside as readonly (Address | string)[])
      : [outside as Address | string];
    const addresses = given.map((each) => addressOf('outside', each));
    const of = (family: 4 | 6): Address | null => addresses.find((each) => each.family === family) ?? null;
    this.outside4 = of(4);
    this.outside6 = of(6);
    if (
      addresses.length === 0 ||
      addresses.length !== (this.outside4 === null ? 0 : 1) + (this.outside6 === null ? 0 : 1)
    )
      throw new RangeError('outside: one address of each IP version at most, and at least one');
    this.clockShifts = options.clockShifts ?? [];
  }

  /**
   * A packet of inside host `insideId` (0 and up) on its way out, rewritten in place. False: it
   * was left as it is and must not go out; the counters say why.
   */
  outbound(insideId: number, bytes: Uint8Array, offset: number, length: number, now: number): boolean {
    return this.forward(insideId, bytes, offset, length, now) !== null;
  }

  /** A packet that came in for the outside address, rewritten in place: whom to, -1 when nobody; then it was left as it is. */
  inbound(bytes: Uint8Array, offset: number, length: number, now: number): number {
    const flow = this.backward(bytes, offset, length, now);
    return flow === null ? -1 : flow.original.realm;
  }

  protected answer(flow: Flow, reply: Tuple): boolean {
    const outside = familyOf(flow.original) === 4 ? this.outside4 : this.outside6;
    if (outside === null) return false;
    const w = outside.words;
    reply.setDestination(w[0]!, w[1]!, w[2]!, w[3]!, 0);
    return true;
  }

  protected override shiftOf(side: number): number {
    return this.clockShifts[side] ?? 0;
  }
}
