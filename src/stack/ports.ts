/**
 * Ephemeral ports: RFC 6056 3.3.4 (double-hash), with Linux's preference for the
 * parity of the range's low end.
 */
import type { KeyedRandom } from './random.js';

/** Slots of the perturbation table; ten already help (RFC 6056 3.3.4). */
const TABLE = 256;

export class PortPicker {
  private readonly table = new Int32Array(TABLE);

  constructor(private readonly random: KeyedRandom) {
    for (let i = 0; i < TABLE; i++) this.table[i] = random.next();
  }

  /**
   * A port of [low, high] for which `isFree` holds, or -1. `offset` is the keyed hash
   * of addresses and remote port. First the ports of low's parity, then the others,
   * each from a place that depends on the destination and moves with every success.
   */
  pick(low: number, high: number, offset: number, isFree: (port: number) => boolean): number {
    const slot = offset & (TABLE - 1);
    const span = high - low + 1;
    for (let parity = 0; parity < 2; parity++) {
      const count = (span - parity + 1) >> 1;
      if (count <= 0) continue;
      const start = ((offset >>> 8) + (this.table[slot]! >>> 0)) % count;
      for (let i = 0; i < count; i++) {
        const port = low + parity + 2 * ((start + i) % count);
        if (!isFree(port)) continue;
        this.table[slot] = (this.table[slot]! + i + 1 + this.random.below(8)) | 0;
        return port;
      }
    }
    return -1;
  }
}
