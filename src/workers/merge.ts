/** What several engines say, as if one had said it. */
import type { SocketRow } from '../stack/api.js';

/** Rows of several engines as those of one, at most `limit`: records last. */
export function mergeSockets(lists: readonly (readonly SocketRow[])[], limit: number): SocketRow[] {
  const isRecord = (row: SocketRow): boolean => row.state === 'TIME-WAIT';
  const rows = lists.flatMap((list) => list.filter((row) => !isRecord(row)));
  for (const list of lists) {
    for (const row of list) {
      if (rows.length >= limit) return rows.slice(0, limit);
      if (isRecord(row)) rows.push(row);
    }
  }
  return rows.slice(0, limit);
}

/** Sums by name. */
export function addUp(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const each of all)
    for (const [name, value] of Object.entries(each)) sums[name] = (sums[name] ?? 0) + value;
  return sums;
}
