/** What `ss` prints (iproute2), from the rows of our stack. */
import type { Endpoint, SocketRow } from '../stack/api.js';

/** RFC names to those of ss. */
const shortNames: Readonly<Record<string, string>> = {
  'SYN-RECEIVED': 'SYN-RECV',
  ESTABLISHED: 'ESTAB',
  CLOSED: 'UNCONN',
};

/** States that plain `ss` leaves out: listening, closed, and what has no user any more but a timer. */
const hidden = new Set(['LISTEN', 'CLOSED', 'TIME-WAIT', 'SYN-RECEIVED']);

export interface SsOptions {
  /** -a: all states; -l: listeners only; neither: connections. */
  readonly all?: boolean;
  readonly listening?: boolean;
  /** -o: timers. */
  readonly timers?: boolean;
  /** -4, -6. */
  readonly family?: 4 | 6;
}

/** The rows that the options ask for, in their order. */
export function selectSockets(rows: readonly SocketRow[], options: SsOptions): SocketRow[] {
  return rows.filter((row) => {
    if (options.family !== undefined && row.local.family !== options.family) return false;
    if (options.all === true) return true;
    return options.listening === true ? row.state === 'LISTEN' : !hidden.has(row.state);
  });
}

function host(end: Endpoint | null, other: Endpoint): string {
  const address = end === null ? (other.family === 4 ? '0.0.0.0' : '::') : end.address;
  return address.includes(':') ? `[${address}]` : address;
}

/** ss writes times as 59sec, 1min30sec, 250ms. */
export function ssTime(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds >= 60) {
    const rest = seconds % 60;
    return `${Math.floor(seconds / 60)}min${rest > 0 ? `${rest}sec` : ''}`;
  }
  const tenths = Math.floor((ms % 1000) / 10);
  return seconds >= 10 || tenths === 0 ? `${seconds}sec` : `${seconds}.${String(tenths).padStart(2, '0')}sec`;
}

function timer(row: SocketRow): string {
  return row.timer === '' ? '' : `timer:(${row.timer},${ssTime(row.timerLeft)},${row.retransmits})`;
}

export function formatSockets(rows: readonly SocketRow[], options: SsOptions): string {
  const cells = rows.map((row) => [
    shortNames[row.state] ?? row.state,
    String(row.recvQ),
    String(row.sendQ),
    host(row.local, row.local),
    String(row.local.port),
    host(row.remote, row.local),
    row.remote === null ? '*' : String(row.remote.port),
    options.timers === true ? timer(row) : '',
  ]);
  const titles = ['State', 'Recv-Q', 'Send-Q', 'Local Address', 'Port', 'Peer Address', 'Port', 'Process'];
  const widths = titles.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  // Addresses end at their colon, ports begin there.
  const line = (row: readonly string[]): string => {
    const c = row.map((cell, i) =>
      i === 3 || i === 5 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
    );
    return `${c[0]} ${c[1]} ${c[2]} ${c[3]}:${c[4]} ${c[5]}:${c[6]} ${c[7]}`;
  };
  return [titles, ...cells].map(line).join('\n');
}

/** `ss -s`: totals, then our counts per state. */
export function formatSocketSummary(counts: Readonly<Record<string, number>>, orphans: number): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const at = (state: string): number => counts[state] ?? 0;
  const lines = [
    `Total: ${total}`,
    `TCP:   ${total} (estab ${at('ESTABLISHED')}, closed ${at('CLOSED') + at('TIME-WAIT')}, orphaned ${orphans}, timewait ${at('TIME-WAIT')})`,
    '',
  ];
  const states = Object.entries(counts).filter(([, count]) => count > 0);
  for (const [state, count] of states) lines.push(`${(shortNames[state] ?? state).padEnd(12)} ${count}`);
  return lines.join('\n').trimEnd();
}
