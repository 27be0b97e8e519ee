/** Plain tables for terminals: columns as wide as their widest cell, numbers to the right. */
import { wrap } from './wrap.js';

export interface Column {
  readonly title: string;
  readonly right?: boolean;
  /** Plain text that is broken into lines where the table would be too wide. */
  readonly wraps?: boolean;
}

/** Columns that a broken cell keeps at least, and between cells. */
const NARROWEST = 20;
const GAP = '  ';

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** Visible width: escape sequences of colours take none. */
export function width(text: string): number {
  return text.replace(ESCAPES, '').length;
}

export function pad(text: string, to: number, right = false): string {
  const space = ' '.repeat(Math.max(0, to - width(text)));
  return right ? space + text : text + space;
}

/** `most`: columns of the terminal; default: as wide as it needs. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  most = Infinity,
): string {
  const widest = columns.map((column, i) =>
    rows.reduce((so, row) => Math.max(so, width(row[i] ?? '')), width(column.title)),
  );
  const widths = fitted(columns, widest, most);
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => pad(cell, widths[i]!, columns[i]!.right))
      .join(GAP)
      .trimEnd();
  const lines = (row: readonly string[]): string[] => {
    const cells = columns.map(({ wraps }, i) =>
      wraps === true ? wrap(row[i] ?? '', widths[i]!) : [row[i] ?? ''],
    );
    const height = Math.max(...cells.map((parts) => parts.length));
    return Array.from({ length: height }, (_, k) => line(cells.map((parts) => parts[k] ?? '')));
  };
  const head = line(columns.map((column) => column.title));
  const rule = widths.map((w) => '-'.repeat(w)).join(GAP);
  return [head, rule, ...rows.flatMap(lines)].join('\n');
}

/** The widths with which the table fits: cells that may be broken share what the others leave, and none gets more than it needs. */
function fitted(columns: readonly Column[], widest: readonly number[], most: number): number[] {
  const widths = [...widest];
  let room = most - GAP.length * (columns.length - 1);
  const open = new Set(columns.keys());
  for (const [i, { wraps }] of columns.entries()) if (wraps !== true) take(i);
  for (let i = enough(); i !== undefined; i = enough()) take(i);
  for (const i of open) widths[i] = Math.max(NARROWEST, Math.floor(room / open.size));
  return widths;

  function take(i: number): void {
    open.delete(i);
    room -= widest[i]!;
  }

  function enough(): number | undefined {
    return [...open].find((i) => widest[i]! <= Math.max(NARROWEST, room / open.size));
  }
}
