/**
 * Linux up to 4.11 with tcp_tw_recycle = 1: records live 3.5*RTO, and for a minute the
 * host's last timestamp stands in for them; a machine behind the same NAT address whose
 * clock is behind is dropped without a word.
 */
import * as reasons from '../../reasons.js';
import type { Segment } from '../../wire/segment.js';
import * as contract from '../policy.js';
import type { HostStamp, PolicyContext, RecordFacts } from '../policy.js';
import * as linuxRules from './linux-rules.js';
import { LinuxPolicy } from './linux-rules.js';

const { Reason } = reasons;
const { DELETE, KEEP, verdict } = contract;
const { LINUX_KNOBS, LINUX_PRESETS, PAWS_MSL } = linuxRules;

/** TCP_PAWS_WINDOW: this many ticks backwards are forgiven. */
const PAWS_WINDOW = 1;

class LinuxRecycle extends LinuxPolicy {
  readonly name = 'linux-recycle';
  override readonly aliases = ['recycle'];
  readonly title =
    'Linux up to 4.11 with tcp_tw_recycle=1: 3.5*RTO, then a timestamp memory per host for 60 s';
  readonly source = 'Linux 3.13, 4.9 net/ipv4/tcp_minisocks.c, tcp_metrics.c; removed by 4396e46187ca';
  protected override readonly rstRestarts = true;
  override readonly uses = [...LINUX_KNOBS, 'net.ipv4.tcp_tw_recycle', 'net.ipv4.tcp_tw_recycle_strict'];
  override readonly knobs = {
    ...LINUX_PRESETS,
    'net.ipv4.tcp_tw_recycle': 1,
    'net.ipv4.tcp_tw_reuse': 0,
    // Random offsets came with 4.10, and made recycle drop half of its clients
    'net.ipv4.tcp_timestamp_offset': 0,
  };
  override readonly unverified = [
    'The release in which SYNs without timestamp began to be dropped is about 3.17 (tcp_tw_recycle_strict 0 before, 1 after).',
    'Before 3.17 the host had to be reached by a direct route whose address equals the source; here it always is.',
    'No kernel of this age was run; the rules are read from the sources of 3.13 and 4.9.',
  ];
  override readonly notes = [
    'The window is 60 s per remote host, not one RTO, and it is the older timestamps that are dropped.',
    'The memory is kept per remote address; 4.x keyed it by the pair of addresses.',
  ];

  /** tcp_time_wait: 3.5*RTO when the host could be remembered; any restart puts the full time back. */
  override lifetime(record: RecordFacts, context: PolicyContext, restarted: boolean): number {
    if (!restarted && this.remembersHost(record, context)) return Math.ceil(3.5 * record.rto);
    return super.lifetime(record, context, restarted);
  }

  override remembersHost(record: RecordFacts, context: PolicyContext): boolean {
    return context.knob('net.ipv4.tcp_tw_recycle') !== 0 && record.hasTimestamp && !record.finWait2;
  }

  /** tcp_peer_is_proven, called for a SYN that no record answers. */
  override synArrives(segment: Segment, context: PolicyContext): number {
    if (context.knob('net.ipv4.tcp_tw_recycle') === 0) return verdict(KEEP, Reason.plain);
    const { host } = context;
    if (!host.known || (context.now - host.tsRecentAt) >>> 0 >= PAWS_MSL) return verdict(KEEP, Reason.plain);
    if (!segment.hasTimestamp) {
      return context.knob('net.ipv4.tcp_tw_recycle_strict') !== 0
        ? verdict(DELETE, Reason['recycle-host-no-stamp'])
        : verdict(KEEP, Reason.plain);
    }
    return ((host.tsRecent - segment.tsVal) | 0) > PAWS_WINDOW
      ? verdict(DELETE, Reason['recycle-host-stamp'])
      : verdict(KEEP, Reason.plain);
  }

  /** tcp_fetch_timewait_stamp in tcp_v4_connect: the SYN carries the remembered stamp as TSecr. */
  override preloadsStamp(host: HostStamp, context: PolicyContext): boolean {
    return context.knob('net.ipv4.tcp_tw_recycle') !== 0 && (context.now - host.tsRecentAt) >>> 0 <= PAWS_MSL;
  }

  /** Up to 6.13 the clock must have begun two new seconds since the last timestamped segment: 1 to 2 s. */
  protected override oldEnough(record: RecordFacts, context: PolicyContext): boolean {
    const age = (context.now - record.tsRecentAt) >>> 0;
    return Math.floor((((record.tsRecentAt >>> 0) % 1000) + age) / 1000) > 1;
  }
}

export const linuxRecycle = new LinuxRecycle();
