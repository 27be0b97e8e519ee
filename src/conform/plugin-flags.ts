/** What `--so_flags` says to the server: `name=value`, separated by commas. */
import { knobs, parseKnobSetting, policies } from '../stack/catalogue.js';
import { nearest } from '../stack/knobs.js';
import { parsePrefix } from '../wire/address.js';

export interface PluginSettings {
  readonly profile: string;
  readonly knobs: readonly { readonly name: string; readonly value: number }[];
  /** Addresses of the stack with prefix length, besides those that scripts bind and packets go to. */
  readonly addresses: readonly string[];
  readonly mtu: number;
  /** How long an expected packet is waited for, microseconds of the script. */
  readonly wait: number;
  /** The sysctls of the tool's namespace become knobs. */
  readonly sysctls: boolean;
}

export const defaultSettings: PluginSettings = {
  profile: 'linux',
  knobs: [],
  // Where the tool's own ends are by default
  addresses: ['192.168.0.1/16', 'fd3d:fa7b:d17d::1/48'],
  mtu: 1500,
  // RTO_MAX and some
  wait: 130e6,
  sysctls: true,
};

/** The settings with what the flags say, or one line about what is wrong. */
export function parseFlags(text: string, base: PluginSettings): PluginSettings | string {
  let settings = base;
  for (const flag of text.split(',').filter((part) => part !== '')) {
    const equals = flag.indexOf('=');
    const name = equals < 0 ? flag : flag.slice(0, equals);
    const value = equals < 0 ? '' : flag.slice(equals + 1);
    const next = applyFlag(name, value, settings);
    if (typeof next === 'string') return next;
    settings = next;
  }
  return settings;
}

function applyFlag(name: string, value: string, settings: PluginSettings): PluginSettings | string {
  const whole = (least: number, most: number): number =>
    /^\d+$/.test(value) && Number(value) >= least && Number(value) <= most ? Number(value) : NaN;
  switch (name) {
    case 'socket':
      return settings;
    case 'profile': {
      const names = policies.flatMap((policy) => [policy.name, ...policy.aliases]);
      if (names.includes(value)) return { ...settings, profile: value };
      return `profile=${value}: unknown policy, nearest: ${nearest(value, names).join(', ')}`;
    }
    case 'set': {
      const parsed = parseKnobSetting(value);
      return 'error' in parsed ? parsed.error : { ...settings, knobs: [...settings.knobs, ...parsed] };
    }
    case 'local':
      if (!value.includes('/') || parsePrefix(value) === null)
        return `local=${value}: an address with its prefix length, as 192.168.0.1/16`;
      return { ...settings, addresses: [...settings.addresses, value] };
    case 'mtu': {
      const mtu = whole(576, 65_535);
      return Number.isNaN(mtu) ? `mtu=${value}: an integer from 576 to 65535` : { ...settings, mtu };
    }
    case 'wait': {
      const seconds = whole(1, 86_400);
      return Number.isNaN(seconds)
        ? `wait=${value}: seconds, an integer from 1 to 86400`
        : { ...settings, wait: 1e6 * seconds };
    }
    case 'sysctl':
      if (value !== 'follow' && value !== 'ignore') return `sysctl=${value}: follow or ignore`;
      return { ...settings, sysctls: value === 'follow' };
    default:
      return `unknown flag '${name}': socket, profile, set, local, mtu, wait or sysctl`;
  }
}

/** Sysctls of Linux that are knobs here. tcp_mem counts pages there and bytes here. */
export function followedSysctls(): string[] {
  const names = knobs.map(({ name }) => name).filter((name) => name.startsWith('net.ipv4.tcp_'));
  const more = ['net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem', 'net.ipv4.tcp_fastopen_key'];
  return [...new Set([...names, ...more])].filter((name) => !name.startsWith('net.ipv4.tcp_mem'));
}
