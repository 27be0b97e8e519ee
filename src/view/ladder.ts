/**
 * An exchange as a ladder: time, arrow, segment in notation, and under it the reason
 * when the engine gave one.
 *
 *        ms  peer                                                   timewait
 *         0   |-- S 0:0(0) win 64240 <mss 1460,...> ----------------->|
 */
import { noColours, type Palette } from './colour.js';

export interface Rung {
  /** ms since the first rung. */
  readonly time: number;
  /** From the left end to the right. */
  readonly rightward: boolean;
  /** The segment in notation. */
  readonly segment: string;
  /** The engine's reason in words, '' for none. */
  readonly comment: string;
}

export interface LadderOptions {
  readonly left: string;
  readonly right: string;
  /** Columns of the arrows. */
  readonly width?: number;
  readonly palette?: Palette;
}

export function formatLadder(rungs: readonly Rung[], options: LadderOptions): string {
  const palette = options.palette ?? noColours;
  const longest = Math.max(0, ...rungs.map((rung) => rung.segment.length));
  const width = Math.max(options.width ?? 0, longest + 8, options.left.length + options.right.length + 2);
  const gap = width - options.left.length - options.right.length + 2;
  const lines = [
    `${'ms'.padStart(9)}  ${palette.strong(options.left)}${' '.repeat(gap)}${palette.strong(options.right)}`,
  ];
  for (const rung of rungs) {
    const stamp = rung.time.toFixed(rung.time < 100 ? 1 : 0).padStart(9);
    const fill = '-'.repeat(width - rung.segment.length - 5);
    const arrow = rung.rightward ? `|-- ${rung.segment} ${fill}>|` : `|<- ${rung.segment} ${fill}-|`;
    lines.push(`${palette.dim(stamp)}  ${arrow}`);
    if (rung.comment !== '') lines.push(`${' '.repeat(11)}${palette.dim(`|   ${rung.comment}`)}`);
  }
  return lines.join('\n');
}
