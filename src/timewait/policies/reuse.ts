/** Today's Linux with tcp_tw_reuse = 1: our own connect() reopens a record after a second, when timestamps were on. */
import { LINUX_PRESETS, LinuxPolicy } from './linux-rules.js';

class Reuse extends LinuxPolicy {
  readonly name = 'reuse';
  readonly title =
    'Linux with tcp_tw_reuse=1: 60 s, our own connect() reopens after 1 s if timestamps were on';
  readonly source = 'Linux 6.x net/ipv4/tcp_minisocks.c, tcp_ipv4.c tcp_twsk_unique';
  override readonly knobs = { ...LINUX_PRESETS, 'net.ipv4.tcp_tw_reuse': 1 };
}

export const reuse = new Reuse();
