/** Linux as it ships, and the fork whose TIME-WAIT has a length to set. */
import type { PolicyContext } from '../policy.js';
import { LINUX_PRESETS, LinuxPolicy, MODERN_KNOBS } from './linux-rules.js';

class Linux extends LinuxPolicy {
  readonly name = 'linux';
  readonly title =
    'Linux 6.x as it ships: 60 s, a higher SYN or newer timestamp reopens, our connect() only on loopback or a bound port';
  readonly source =
    'Linux 6.18 net/ipv4/tcp_minisocks.c, tcp_ipv4.c tcp_twsk_unique, observed on a live kernel';
  override readonly knobs = {
    ...LINUX_PRESETS,
    'net.ipv4.tcp_comp_sack_nr': 44,
    // Since 6.5
    'net.ipv4.tcp_syn_linear_timeouts': 4,
    // Since 6.17
    'net.ipv4.tcp_rmem.max': 33_554_432,
  };
  override readonly unverified = [
    'tcp_tw_reuse 0 and 2 off loopback, and RST exempt from PAWS after 60 s, are read from the source, not measured.',
  ];
  override readonly notes = [
    'tcp_fin_timeout changes only orphans in FIN-WAIT-2: up to 60 s it is their time, above it they live 2*(T-60) s.',
    'tcp_max_tw_buckets is half the established hash of the machine; 131072 stands for a hash of 262144.',
  ];
}

class Alibaba extends LinuxPolicy {
  readonly name = 'alibaba';
  readonly title = 'Alibaba Cloud Linux: as linux, but TIME-WAIT lasts net.ipv4.tcp_tw_timeout, 1 to 600 s';
  readonly source =
    'Alibaba Cloud Linux 2 and 3 documentation of net.ipv4.tcp_tw_timeout; Linux for the rest';
  override readonly knobs = LINUX_PRESETS;
  override readonly uses = [...MODERN_KNOBS, 'net.ipv4.tcp_tw_timeout'];
  override readonly unverified = [
    'That tcp_tw_timeout replaces the 60 s everywhere, in the comparison for FIN-WAIT-2 orphans too, is not run on a live host.',
    'Its kernels (4.19, 5.10) are older than tcp_tw_reuse_delay: their own connect() counts whole seconds.',
  ];
  override readonly notes = ['The vendor warns that a short time lets old data into a new connection.'];

  protected override timeWaitLength(context: PolicyContext): number {
    return 1000 * context.knob('net.ipv4.tcp_tw_timeout');
  }
}

export const linux = new Linux();
export const alibaba = new Alibaba();
