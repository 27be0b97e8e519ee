/** Plain tables for terminals: columns as wide as their widest cell, numbers to the right. */

export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** Visible width: escape sequences of colours take none. */
export function width(text: string): number {
  return text.replace(ESCAPES, '').length;
}

export function pad(text: string, to: number, right = false): string {
  const space = ' '.repeat(Math.max(0, to - width(text)));
  return right ? space + text : text + space;
}

export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, i) =>
    rows.reduce((widest, row) => Math.max(widest, width(row[i] ?? '')), width(column.title)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => pad(cell, widths[i]!, columns[i]!.right))
      .join('  ')
      .trimEnd();
  const head = line(columns.map((column) => column.title));
  const rule = widths.map((w) => '-'.repeat(w)).join('  ');
  return [head, rule, ...rows.map((row) => line(row))].join('\n');
}
