/**
 * Of each local port how many records it has, and the exclusive or of their numbers: where
 * there is one, its number.
 *
 * Memory: 2 KiB for each group of 256 ports in which a record has been since the table was
 * last empty, at most 512 KiB.
 */
const GROUP = 256;

export class PortCounts {
  private readonly groups: (Int32Array | null)[] = new Array<Int32Array | null>(65536 / GROUP).fill(null);
  /** One for use; all zero. */
  private spare: Int32Array | null = new Int32Array(2 * GROUP);
  private made = 1;

  get memoryBytes(): number {
    return this.made * 8 * GROUP;
  }

  count(port: number): number {
    const group = this.groups[port >>> 8];
    return group === null || group === undefined ? 0 : group[2 * (port & 255)]!;
  }

  /** The record's number; the port has one. */
  sole(port: number): number {
    return this.groups[port >>> 8]![2 * (port & 255) + 1]!;
  }

  /** One record more (1) or less (-1). */
  add(port: number, record: number, by: 1 | -1): void {
    const group = this.groups[port >>> 8] ?? this.open(port >>> 8);
    group[2 * (port & 255)]! += by;
    group[2 * (port & 255) + 1]! ^= record;
  }

  /** No port has a record, so all counts are zero. */
  clear(): void {
    for (let number = 0; number < this.groups.length; number++) {
      const group = this.groups[number];
      if (group === null || group === undefined) continue;
      this.spare = group;
      this.groups[number] = null;
    }
    this.made = 1;
  }

  private open(number: number): Int32Array {
    let group = this.spare;
    this.spare = null;
    if (group === null) {
      group = new Int32Array(2 * GROUP);
      this.made++;
    }
    this.groups[number] = group;
    return group;
  }
}
