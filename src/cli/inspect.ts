/** `timewait ss` and `timewait nstat`: a running stack, seen through its control socket. */
import type { SocketRow } from '../stack/api.js';
import { formatCounters, selectCounters } from '../view/nstat.js';
import {
  formatSocketSummary,
  formatSockets,
  selectSockets,
  type SocketCounts,
  type SsOptions,
} from '../view/ss.js';
import { ask } from './control.js';
import { terminalWidth } from './terminal.js';

export interface SsFlags {
  tcp?: boolean;
  all?: boolean;
  listening?: boolean;
  numeric?: boolean;
  options?: boolean;
  summary?: boolean;
  ipv4?: boolean;
  ipv6?: boolean;
  control: string;
  json?: boolean;
}

export async function ss(flags: SsFlags): Promise<number> {
  if (flags.summary === true) {
    const { counts, orphans, live } = await ask<SocketCounts>(flags.control, { command: 'counts' });
    const summary = { counts, orphans, live };
    print(flags.json === true ? JSON.stringify(summary) : formatSocketSummary(summary));
    return 0;
  }
  const options = optionsOf(flags);
  const { sockets, omitted } = await ask<{ sockets: SocketRow[]; omitted: number }>(flags.control, {
    command: 'ss',
    records: options.all === true,
  });
  const rows = selectSockets(sockets, options);
  print(flags.json === true ? JSON.stringify({ sockets: rows, omitted }) : formatSockets(rows, options));
  if (omitted > 0) process.stderr.write(`timewait: ${omitted} TIME-WAIT records more\n`);
  return 0;
}

function optionsOf(flags: SsFlags): SsOptions {
  // Both at once are neither.
  const one = flags.ipv4 !== flags.ipv6;
  const width = terminalWidth();
  return {
    all: flags.all === true,
    listening: flags.listening === true,
    timers: flags.options === true,
    ...(one ? { family: flags.ipv4 === true ? 4 : 6 } : {}),
    ...(width === undefined ? {} : { width }),
  };
}

export interface NstatFlags {
  ignore?: boolean;
  noupdate?: boolean;
  zeros?: boolean;
  control: string;
  json?: boolean;
}

export async function nstat(patterns: readonly string[], flags: NstatFlags): Promise<number> {
  const { counters } = await ask<{ counters: Record<string, number> }>(flags.control, {
    command: 'nstat',
    absolute: flags.ignore === true,
    keep: flags.noupdate === true,
  });
  const chosen = selectCounters(counters, { zero: flags.zeros === true, patterns });
  print(flags.json === true ? JSON.stringify({ kernel: chosen }) : formatCounters(chosen));
  return 0;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
