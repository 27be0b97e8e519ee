/** `timewait ss` and `timewait nstat`: a running stack, seen through its control socket. */
import type { SocketRow } from '../stack/api.js';
import { formatCounters, selectCounters } from '../view/nstat.js';
import { formatSocketSummary, formatSockets, selectSockets, type SsOptions } from '../view/ss.js';
import { ask } from './control.js';

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
  type Answer = { sockets: SocketRow[]; counts: Record<string, number>; orphans: number };
  const { sockets, counts, orphans } = await ask<Answer>(flags.control, { command: 'ss' });
  const family: 4 | 6 | undefined = flags.ipv4 === true ? 4 : flags.ipv6 === true ? 6 : undefined;
  const options: SsOptions = {
    all: flags.all === true,
    listening: flags.listening === true,
    timers: flags.options === true,
    ...(family === undefined ? {} : { family }),
  };
  if (flags.summary === true) {
    print(flags.json === true ? JSON.stringify({ counts, orphans }) : formatSocketSummary(counts, orphans));
    return 0;
  }
  const rows = selectSockets(sockets, options);
  print(flags.json === true ? JSON.stringify({ sockets: rows }) : formatSockets(rows, options));
  return 0;
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
