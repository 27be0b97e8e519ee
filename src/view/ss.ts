/** What `ss` prints (iproute2), from the rows of our stack. */
import type { Endpoint, SocketRow } from '../stack/api.js';

/** RFC names to those of ss; the others are the same. */
const shortNames: Readonly<Record<string, string>> = {
  'SYN-RECEIVED': 'SYN-RECV',
  ESTABLISHED: 'ESTAB',
  CLOSED: 'UNCONN',
};

/** States that plain `ss` leaves out: what listens, is closed, or is kept without a socket. */
const hidden = new Set(['LISTEN', 'CLOSED', 'TIME-WAIT', 'SYN-RECEIVED']);

export interface SsOptions {
  /** -a: all states; -l: listeners only; neither: connections. */
  readonly all?: boolean;
  readonly listening?: boolean;
  /** -o: timers. */
  readonly timers?: boolean;
  /** -4, -6. Default: both. */
  readonly family?: 4 | 6;
  /** Columns of the terminal: the table is spread over them, as ss does. Default: as narrow as it can be. */
  readonly width?: number;
}

/** The rows that the options ask for, in their order. */
export function selectSockets(rows: readonly SocketRow[], options: SsOptions): SocketRow[] {
  return rows.filter((row) => {
    if (options.family !== undefined && row.local.family !== options.family) return false;
    if (options.all === true) return true;
    return options.listening === true ? row.state === 'LISTEN' : !hidden.has(row.state);
  });
}

/** Address and colon: `10.77.0.2:`, `[fd77::2]:`; the wildcard of the family where there is no peer. */
function host(end: Endpoint | null, family: 4 | 6): string {
  const address = end === null ? (family === 4 ? '0.0.0.0' : '::') : end.address;
  return address.includes(':') ? `[${address}]:` : `${address}:`;
}

/** As ss writes times: 119min, 1min30sec, 59sec, 9.120ms (seconds before the point), 250ms, 005ms; nothing for 0. */
export function ssTime(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.floor(ms / 1000) % 60;
  if (minutes > 9) return `${minutes}min`;
  if (minutes > 0) return `${minutes}min${seconds > 0 ? `${seconds}sec` : ''}`;
  const rest = ms % 1000;
  if (seconds > 9 || (seconds > 0 && rest === 0)) return `${seconds}sec`;
  const fraction = rest > 0 ? `${String(rest).padStart(3, '0')}ms` : '';
  return seconds > 0 ? `${seconds}.${fraction}` : fraction;
}

function timer(row: SocketRow): string {
  return row.timer === '' ? '' : ` timer:(${row.timer},${ssTime(row.timerLeft)},${row.retransmits})`;
}

interface Column {
  readonly title: string;
  /** Addresses end at their colon, where ports begin. */
  readonly right?: boolean;
  /** Between this column and the one before. */
  readonly gap: string;
}

/** Ports begin right behind their colon, and what `-o` adds begins with its own space. */
const columns: readonly Column[] = [
  { title: 'State', gap: '' },
  { title: 'Recv-Q', gap: ' ' },
  { title: 'Send-Q', gap: ' ' },
  { title: 'Local Address:', right: true, gap: ' ' },
  { title: 'Port', gap: '' },
  { title: 'Peer Address:', right: true, gap: ' ' },
  { title: 'Port', gap: '' },
  { title: 'Process', gap: '' },
];

export function formatSockets(rows: readonly SocketRow[], options: SsOptions): string {
  const titles = columns.map((column) => column.title);
  const cells = rows.map((row) => [
    shortNames[row.state] ?? row.state,
    String(row.recvQ),
    String(row.sendQ),
    host(row.local, row.local.family),
    String(row.local.port),
    host(row.remote, row.local.family),
    row.remote === null ? '*' : String(row.remote.port),
    options.timers === true ? timer(row) : '',
  ]);
  const widths = spread(widest([titles, ...cells]), options.width);
  return [titles, ...cells].map((row) => lineOf(row, widths)).join('\n');
}

/** Content and gap of each column. */
function widest(lines: readonly (readonly string[])[]): number[] {
  const widths = columns.map(() => 0);
  for (const line of lines) line.forEach((cell, i) => (widths[i] = Math.max(widths[i]!, cell.length)));
  return widths.map((width, i) => width + columns[i]!.gap.length);
}

/** What a terminal has to spare goes to all columns alike. */
function spread(widths: readonly number[], total: number | undefined): readonly number[] {
  const spare = (total ?? 0) - widths.reduce((sum, width) => sum + width, 0);
  if (spare <= 0) return widths;
  const each = Math.floor(spare / widths.length);
  const more = widths.length - (spare % widths.length);
  return widths.map((width, i) => width + each + (i >= more ? 1 : 0));
}

function lineOf(row: readonly string[], widths: readonly number[]): string {
  let line = '';
  columns.forEach(({ right, gap }, i) => {
    const room = widths[i]! - gap.length;
    line += gap + (right === true ? row[i]!.padStart(room) : row[i]!.padEnd(room));
  });
  return line;
}

/** Counts of a stack, for `ss -s`. */
export interface SocketCounts {
  /** Per RFC state name. */
  readonly counts: Readonly<Record<string, number>>;
  /** Connections whose user has let go. */
  readonly orphans: number;
  /** Sockets with a connection or a listener behind them: what is more than a TIME-WAIT record. */
  readonly live: { readonly v4: number; readonly v6: number };
}

/** `ss -s`: the totals in its layout, then a line per state. */
export function formatSocketSummary({ counts, orphans, live }: SocketCounts): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const inUse = live.v4 + live.v6;
  // As for the kernel, what only a record is left of counts as closed and as timewait: FIN-WAIT-2 of orphans too.
  const records = total - inUse;
  const established = counts['ESTABLISHED'] ?? 0;
  const transport = (name: string, v4: number, v6: number): string =>
    `${name}\t  ${String(v4 + v6).padEnd(9)} ${String(v4).padEnd(9)} ${String(v6).padEnd(9)}`;
  const lines = [
    `Total: ${inUse}`,
    `TCP:   ${total} (estab ${established}, closed ${records}, orphaned ${orphans}, timewait ${records})`,
    '',
    'Transport Total     IP        IPv6',
    transport('TCP', live.v4, live.v6),
    transport('INET', live.v4, live.v6),
    '',
  ];
  for (const [state, count] of Object.entries(counts))
    if (count > 0) lines.push(`${(shortNames[state] ?? state).padEnd(10)} ${count}`);
  return lines.join('\n').trimEnd();
}
