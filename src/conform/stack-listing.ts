/** What `sockstat`, `ss`, `nstat` and /proc/net/tcp would print about our stack, line by line. */
import { counterNames } from '../mib.js';
import type { Endpoint, SocketRow, StackApi } from '../stack/api.js';
import type { Listing } from './pipeline.js';
import { stateNumbers } from './tcp-info.js';

/** FreeBSD's words (tcpstates in tcp_fsm.h) and those of ss, where they are not the RFC's with '_'. */
const bsdStates: Readonly<Record<string, string>> = { 'SYN-RECEIVED': 'SYN_RCVD' };
const ssStates: Readonly<Record<string, string>> = { 'SYN-RECEIVED': 'SYN-RECV', ESTABLISHED: 'ESTAB' };

export function bsdState(state: string): string {
  return bsdStates[state] ?? state.replaceAll('-', '_').replace(/_(\d)/, '_$1');
}

/** Sockets that the script holds a descriptor of: sockstat names their program, others have '?'. */
export type Held = (row: SocketRow) => boolean;

export class StackListing {
  /** nstat prints what came since it was asked last. */
  private before: Float64Array;

  constructor(
    private readonly stack: StackApi,
    private readonly rows: () => readonly SocketRow[],
    private readonly held: Held,
  ) {
    this.before = stack.counters.values.slice();
  }

  lines(listing: Listing): readonly string[] {
    const rows = this.rows().filter((row) => fits(row, listing));
    switch (listing.program) {
      case 'nstat':
        return this.counters();
      case 'sockstat':
        return rows.map((row) => {
          const owner = this.held(row) ? 'root packetdril 1 3' : '? ? ? ?';
          return `${owner} tcp${row.local.family} ${written(row.local)} ${written(row.remote)} ${bsdState(row.state)}`;
        });
      case 'ss':
        return rows.map(
          (row) =>
            `${ssStates[row.state] ?? row.state} ${row.recvQ} ${row.sendQ} ${written(row.local)} ${written(row.remote)}`,
        );
      case 'proc':
        return rows
          .filter(({ local }) => listing.files.includes(local.family === 4 ? 'tcp' : 'tcp6'))
          .map(
            (row, i) =>
              `${String(i).padStart(4)}: ${proc(row.local)} ${proc(row.remote)} ${hex(stateNumbers[row.state] ?? 7, 2)} `,
          );
    }
  }

  private counters(): string[] {
    const { values } = this.stack.counters;
    const lines = counterNames.flatMap((name, i) => {
      const gained = values[i]! - this.before[i]!;
      return gained === 0 ? [] : [`${name} ${gained} 0.0`];
    });
    this.before = values.slice();
    return lines;
  }
}

function fits({ local, remote }: SocketRow, { version, port }: Listing): boolean {
  return (
    (version === 0 || local.family === version) &&
    (port === 0 || local.port === port || remote?.port === port)
  );
}

function written(end: Endpoint | null): string {
  if (end === null) return '*:*';
  return end.family === 6 ? `[${end.address}]:${end.port}` : `${end.address}:${end.port}`;
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

/** Addresses are not spelled as there: nobody greps for them. */
function proc(end: Endpoint | null): string {
  return `${end?.address ?? '0'}:${hex(end?.port ?? 0, 4)}`;
}
