/** What the leading `--name=value` lines of a script say about the two ends. */
import { parseAddress, type Address } from '../wire/address.js';
import type { OwnEnds } from './result.js';
import type { Script } from './script.js';
import type { TargetSetup } from './target.js';

export interface ScriptSetup {
  readonly target: TargetSetup;
  /** Microseconds by which times may differ where time is real, and percent of the time since the event before. */
  readonly tolerance: number;
  readonly tolerancePercent: number;
  /** Length of a tick of the timestamps, microseconds; 0: they are not compared. */
  readonly tick: number;
  /** Every segment is expected as it was sent: none are taken together. */
  readonly strictSegments: boolean;
  readonly notes: readonly string[];
}

/** The addresses of the two ends, unless the script has its own. */
const ENDS = {
  4: { local: '192.168.0.1', remote: '192.0.2.1', prefix: 16 },
  6: { local: 'fd3d:7c5::1', remote: '2001:db8::1', prefix: 64 },
} as const;
/** Real time has this tolerance unless the script says another, microseconds. */
const TOLERANCE = 4000;
/** Scripts were written for this share of the time between two events, percent. */
const TOLERANCE_PERCENT = 12.5;

const NUMBERS: readonly (readonly [name: string, least: number, most: number])[] = [
  ['mtu', 68, 65_535],
  ['bind_port', 1, 65_535],
  ['connect_port', 1, 65_535],
  ['tolerance_usecs', 0, 60_000_000],
  ['tolerance_percent', 0, 100],
  ['tcp_ts_tick_usecs', 0, 1_000_000],
];

/** Options about the machinery of other runners, or said again in scripts. */
const IGNORED = new Set([
  'speed',
  'tcp_ts_ecr_scaled',
  'non_fatal',
  'dry_run',
  'verbose',
  'send_omit_free',
  'netmask_ip',
  'gateway_ip',
  'init_scripts',
  'wire_client',
  'wire_server',
  'wire_client_dev',
  'wire_server_dev',
  'wire_server_ip',
  'wire_server_port',
  'use_expect',
  'udp_encapsulation',
  'tcp_md5_secret',
  'debug',
  'code',
  'code_command',
  'code_sockopt',
  'persistent_tun_dev',
  'so_filename',
  'so_flags',
  'mss',
]);

/** `version` instead of the script's, `ends` instead of the usual ones. The message when an option is wrong. */
export function setupOf(script: Script, version?: 4 | 6, ends?: OwnEnds): ScriptSetup | string {
  const { options } = script;
  const notes: string[] = [];
  const numbers = new Map<string, number>();
  for (const [name, least, most] of NUMBERS) {
    const text = options.get(name);
    if (text === undefined) continue;
    const value = Number(text);
    const form = name === 'tolerance_percent' ? /^\d+(\.\d+)?$/ : /^\d+$/;
    if (!form.test(text) || value < least || value > most)
      return `--${name} takes ${name === 'tolerance_percent' ? 'a number' : 'an integer'} from ${least} to ${most}, got '${text}'`;
    numbers.set(name, value);
  }
  for (const name of options.keys()) {
    const known =
      numbers.has(name) || ['ip_version', 'local_ip', 'remote_ip', 'strict_segments'].includes(name);
    if (!known) notes.push(`--${name} has no effect here${IGNORED.has(name) ? '' : ': unknown option'}`);
  }
  const written = options.get('ip_version') ?? 'ipv4';
  if (!['ipv4', 'ipv6', 'ipv4-mapped-ipv6'].includes(written))
    return `--ip_version is ipv4, ipv6 or ipv4-mapped-ipv6, got '${written}'`;
  const family = version ?? (written === 'ipv6' ? 6 : 4);
  const local = addressOf(options.get('local_ip'), family, ENDS[family].local);
  const remote = addressOf(options.get('remote_ip'), family, ends?.remote[family] ?? ENDS[family].remote);
  if (local === null || remote === null)
    return `--local_ip and --remote_ip are IPv${family} addresses here, got '${options.get('local_ip') ?? ''}' and '${options.get('remote_ip') ?? ''}'`;
  return {
    target: {
      local,
      remote,
      prefix: ENDS[family].prefix,
      mtu: numbers.get('mtu') ?? 1500,
      bindPort: numbers.get('bind_port') ?? ends?.bindPort ?? 8080,
      connectPort: numbers.get('connect_port') ?? 8080,
    },
    tolerance: numbers.get('tolerance_usecs') ?? TOLERANCE,
    tolerancePercent: numbers.get('tolerance_percent') ?? TOLERANCE_PERCENT,
    tick: numbers.get('tcp_ts_tick_usecs') ?? 0,
    strictSegments: options.has('strict_segments'),
    notes,
  };
}

/** The other IP version was chosen for this run: then the script's own addresses do not count. */
function addressOf(text: string | undefined, family: 4 | 6, otherwise: string): Address | null {
  const address = parseAddress(text ?? otherwise);
  if (address === null) return null;
  return address.family === family ? address : parseAddress(otherwise);
}
