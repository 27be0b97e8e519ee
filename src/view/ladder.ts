/**
 * An exchange as a ladder: time, arrow, segment in notation, and under it the reason
 * when the engine gave one.
 *
 *        ms  peer                                                   timewait
 *         0   |-- S 0:0(0) win 64240 <mss 1460,...> ----------------->|
 *
 * Where packets come from a file, their numbers stand before the arrows.
 */
import { noColours, type Palette } from './colour.js';
import { wrap } from './wrap.js';

export interface Rung {
  /** ms since the first rung. */
  readonly time: number;
  /** From the left end to the right. */
  readonly rightward: boolean;
  /** The segment in notation; '' for something that happened without one. */
  readonly segment: string;
  /** The engine's reason in words, '' for none; several lines for several. */
  readonly comment: string;
  /** A line of its own before this rung. */
  readonly heading?: string;
  /** Number of the packet in its file. */
  readonly frame?: number;
}

export interface LadderOptions {
  readonly left: string;
  readonly right: string;
  /** Columns of the arrows. */
  readonly width?: number;
  readonly palette?: Palette;
  /** Silence of at least so many ms is shown as a line; default: never. */
  readonly gap?: number;
  /** Comments are broken into lines of so many columns; default: never. */
  readonly columns?: number;
  /** Is a line of a comment good or bad news? Else it is dim. */
  readonly toneOf?: (line: string) => 'good' | 'bad' | undefined;
}

export function formatLadder(rungs: readonly Rung[], options: LadderOptions): string {
  const palette = options.palette ?? noColours;
  const longest = rungs.reduce((most, { segment }) => Math.max(most, segment.length), 0);
  const width = Math.max(options.width ?? 0, longest + 8, options.left.length + options.right.length + 2);
  const gap = width - options.left.length - options.right.length + 2;
  const digits = rungs.reduce((most, { frame }) => Math.max(most, String(frame ?? '').length), 0);
  const number = (frame: number | undefined): string =>
    digits === 0 ? '' : `${String(frame ?? '').padStart(digits + 1)}  `;
  const margin = ' '.repeat(11 + (digits === 0 ? 0 : digits + 3));
  const room = Math.max(20, (options.columns ?? Infinity) - margin.length - 6);
  const head = digits === 0 ? '' : `${'#'.padStart(digits + 1)}  `;
  const lines = [
    `${'ms'.padStart(9)}  ${head}${palette.strong(options.left)}${' '.repeat(gap)}${palette.strong(options.right)}`,
  ];
  let before = 0;
  for (const rung of rungs) {
    if (options.gap !== undefined && rung.time - before >= options.gap)
      lines.push(`${margin}${palette.dim(`:   ${formatSpan(rung.time - before)} later`)}`);
    before = rung.time;
    if (rung.heading !== undefined) lines.push(`${margin}${palette.strong(`= ${rung.heading}`)}`);
    const stamp = rung.time.toFixed(Math.abs(rung.time) < 100 ? 1 : 0).padStart(9);
    const mark = `${palette.dim(stamp)}  ${palette.dim(number(rung.frame))}`;
    const fill = '-'.repeat(Math.max(0, width - rung.segment.length - 5));
    if (rung.segment !== '') {
      const arrow = rung.rightward ? `|-- ${rung.segment} ${fill}>|` : `|<- ${rung.segment} ${fill}-|`;
      lines.push(`${mark}${arrow}`);
    }
    let first = true;
    for (const comment of rung.comment === '' ? [] : rung.comment.split('\n')) {
      const tint = palette[options.toneOf?.(comment) ?? 'dim'];
      for (const line of wrap(comment, room, '  ')) {
        lines.push(`${first && rung.segment === '' ? mark : margin}${palette.dim('|   ')}${tint(line)}`);
        first = false;
      }
    }
  }
  return lines.join('\n');
}

/** ms for people: `350 ms`, `1.06 s`, `4 min 0 s`, `2 h 5 min`. */
export function formatSpan(ms: number): string {
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
