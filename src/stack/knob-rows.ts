/**
 * Every knob: the settings of a stack under the names that each system's people know,
 * in that system's unit. Numbers only; switches are 0/1.
 */

export interface Knob {
  readonly name: string;
  /** '' for plain numbers and switches. */
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly default: number;
  /** One line: what it really does. */
  readonly text: string;
}

type Row = readonly [name: string, unit: string, min: number, max: number, preset: number, text: string];

const DAY = 86_400_000;

const rows: readonly Row[] = [
  // TIME-WAIT, by system
  [
    'net.ipv4.tcp_msl',
    'ms',
    1,
    600_000,
    120_000,
    'maximum segment lifetime of the policies named after an RFC; TIME-WAIT lasts twice this (RFC 9293 3.4.3)',
  ],
  [
    'net.inet.tcp.msl',
    'ms',
    1,
    600_000,
    30_000,
    'BSD: maximum segment lifetime; TIME-WAIT lasts twice this (30000 on the BSDs, 15000 on macOS)',
  ],
  [
    'net.inet.tcp.nolocaltimewait',
    '',
    0,
    1,
    1,
    'FreeBSD, 1: no TIME-WAIT for peers on an address of our own (default 0 up to 13, 1 since 14)',
  ],
  [
    'net.inet.tcp.maxtcptw',
    'records',
    0,
    16_777_216,
    0,
    'FreeBSD up to 13: TIME-WAIT records kept, the oldest gives way; 0: no limit of its own (14)',
  ],
  [
    'net.inet.tcp.tolerate_missing_ts',
    '',
    0,
    1,
    0,
    'FreeBSD 13, 1: segments that lack the negotiated timestamp are answered, 0: dropped',
  ],
  [
    'net.inet.tcp.mslt.enable',
    '',
    0,
    1,
    1,
    'NetBSD, 1: the lifetime depends on how near the peer is (1 s loopback, 5 s own subnet, else remote), 0: always 2*msl',
  ],
  ['net.inet.tcp.mslt.loopback', 's', 1, 600, 1, 'NetBSD: maximum segment lifetime to ourselves'],
  ['net.inet.tcp.mslt.local', 's', 1, 600, 5, 'NetBSD: maximum segment lifetime within our subnets'],
  ['net.inet.tcp.mslt.remote', 's', 1, 600, 30, 'NetBSD: maximum segment lifetime to everybody else'],
  ['net.inet.tcp.vtw.enable', '', 0, 1, 0, 'NetBSD, 1: vestigial TIME-WAIT with its own answers'],
  [
    'net.ipv4.tcp_tw_timeout',
    's',
    1,
    600,
    60,
    'Alibaba Cloud Linux: how long TIME-WAIT lasts; mainline Linux has no such knob and keeps 60 s',
  ],
  [
    'net.ipv4.tcp_tw_reuse',
    '',
    0,
    2,
    2,
    'our own connect() may reopen a tuple in TIME-WAIT when timestamps were used: 0 never, 1 always, 2 on loopback only; it never helps a server',
  ],
  [
    'net.ipv4.tcp_tw_reuse_delay',
    'ms',
    0,
    60_000,
    1000,
    'age a record must have before tcp_tw_reuse applies (Linux 6.14)',
  ],
  [
    'net.ipv4.tcp_tw_recycle',
    '',
    0,
    1,
    0,
    '1: TIME-WAIT of 3.5*RTO and a timestamp memory per host for 60 s, which refuses clients behind one NAT (Linux up to 4.11)',
  ],
  [
    'net.ipv4.tcp_tw_recycle_strict',
    '',
    0,
    1,
    1,
    '1: recycle also drops a SYN without timestamp from a remembered host (4.9), 0: lets it pass (3.13)',
  ],
  [
    'net.ipv4.tcp_rfc1337',
    '',
    0,
    1,
    0,
    '1: RST is ignored in TIME-WAIT, so old duplicates cannot assassinate it (RFC 1337 F1)',
  ],
  [
    'net.ipv4.tcp_max_tw_buckets',
    'records',
    0,
    16_777_216,
    262_144,
    'Linux: TIME-WAIT records kept; above it the new connection gets none (no log line, TCPTimeWaitOverflow counts)',
  ],
  [
    'timewait_max_records',
    'records',
    0,
    16_777_216,
    1_048_576,
    "our own bound of the table under every policy, about 90 bytes each; what happens at it is the policy's choice",
  ],
  [
    'net.ipv4.tcp_fin_timeout',
    's',
    1,
    86_400,
    60,
    "how long an orphan waits in FIN-WAIT-2 for the peer's FIN; it does NOT shorten TIME-WAIT, whatever tuning guides say (Linux above 60 waits 2*(T-60))",
  ],
  [
    'TcpTimedWaitDelay',
    's',
    0,
    300,
    120,
    'Windows: how long TIME-WAIT lasts (240 on NT4 and 2000, 120 on 2003 by its table; the same page also says 4 minutes)',
  ],
  [
    'StrictTimeWaitSeqCheck',
    '',
    0,
    1,
    0,
    'Windows 2003, 1: a SYN at or below RCV.NXT is dropped silently, 0: accepted (meaning read from its name, default unknown: UNVERIFIED)',
  ],
  [
    'MaxFreeTcbs',
    'connections',
    1,
    16_777_216,
    1000,
    'Windows NT4 to 2003: above this many connections and records together the oldest TIME-WAIT gives way (NT4 1000, SP3 2000; Windows 2000 Professional 250 to 1000, Server 500 to 2000 by memory)',
  ],
  [
    'tcp_time_wait_interval',
    'ms',
    1000,
    600_000,
    60_000,
    'Solaris, illumos, HP-UX: how long TIME-WAIT lasts (240000 up to Solaris 8); the collector adds up to 5 s',
  ],
  [
    'TCP_MSL',
    'ms',
    1,
    600_000,
    60_000,
    'lwIP: maximum segment lifetime; TIME-WAIT lasts twice this, up to the next tick of 500 ms',
  ],
  [
    'MEMP_NUM_TCP_PCB',
    'connections',
    1,
    16_777_216,
    5,
    'lwIP: connections and TIME-WAIT records together (5 in its default configuration); the oldest record gives way',
  ],
  ['TCPTimeWaitTimeout', 'ms', 0, 600_000, 60_000, 'gVisor: how long TIME-WAIT lasts'],
  ['CLOSE_DELAY', 'ms', 1, 600_000, 10_000, 'smoltcp: how long TIME-WAIT lasts (a constant of its source)'],
  [
    'timewait-time',
    's',
    1,
    86_400,
    10,
    'VPP: how long TIME-WAIT lasts (startup.conf, tcp { timewait-time }, whole seconds)',
  ],
  [
    'net.ipv4.tcp_invalid_ratelimit',
    'ms',
    0,
    60_000,
    500,
    'one answer in this time to empty segments outside the window, per connection or record',
  ],
  [
    'net.ipv4.tcp_challenge_ack_limit',
    'ACKs',
    0,
    1_000_000,
    10,
    'challenge ACKs per connection in each period (RFC 5961 7)',
  ],
  ['net.ipv4.tcp_challenge_ack_period', 'ms', 1, 600_000, 5000, 'the period of tcp_challenge_ack_limit'],
  // Options
  ['net.ipv4.tcp_timestamps', '', 0, 1, 1, 'offer and accept timestamps (RFC 7323)'],
  [
    'net.ipv4.tcp_timestamp_offset',
    '',
    0,
    3,
    1,
    'offset on our timestamps: 0 none (Linux tcp_timestamps=2), 1 keyed by the tuple (RFC 7323 5.4), 2 keyed by the pair of hosts (Linux 4.11), 3 random per connection (OpenBSD, Linux 4.10)',
  ],
  [
    'net.ipv4.tcp_reset_timestamps',
    '',
    0,
    1,
    1,
    '1: a RST that answers a segment with timestamps carries them, TSval 0 (RFC 7323 5.2); 0: never (Linux, whose own TIME-WAIT would take such a RST for an old one)',
  ],
  ['net.ipv4.tcp_window_scaling', '', 0, 1, 1, 'offer and accept window scaling (RFC 7323)'],
  ['net.ipv4.tcp_sack', '', 0, 1, 1, 'offer and accept selective acknowledgments (RFC 2018)'],
  ['net.ipv4.ip_default_ttl', 'hops', 1, 255, 64, 'TTL and hop limit of what is sent (MUST-49)'],
  // Opening
  [
    'net.ipv4.tcp_isn',
    '',
    0,
    4,
    0,
    'initial sequence numbers: 0 RFC 6528 (4 us clock), 1 the same with 64 ns (Linux), 2 random (OpenBSD), 3 one counter for all (4.4BSD), 4 without a clock: every incarnation of a tuple starts alike (broken, for hazards)',
  ],
  [
    'net.ipv4.ip_local_port_range.min',
    'port',
    1,
    65_535,
    32_768,
    'first ephemeral port (a range that ends before it starts has no ports: connect() fails with EADDRNOTAVAIL)',
  ],
  ['net.ipv4.ip_local_port_range.max', 'port', 1, 65_535, 60_999, 'last ephemeral port'],
  [
    'net.ipv4.tcp_syn_retries',
    'times',
    0,
    127,
    7,
    'SYNs resent before connect() fails; 7 is 255 s (MUST-23 asks for 180 s, Linux has 6)',
  ],
  [
    'net.ipv4.tcp_synack_retries',
    'times',
    0,
    127,
    5,
    'SYN,ACKs resent before a half-open connection is given up',
  ],
  [
    'net.ipv4.tcp_max_syn_backlog',
    'connections',
    1,
    1_000_000,
    4096,
    'half-open connections per listener (the backlog bounds them as well)',
  ],
  ['net.core.somaxconn', 'connections', 1, 1_000_000, 4096, 'upper bound of any backlog'],
  // Limits
  [
    'net.ipv4.tcp_max_connections',
    'connections',
    1,
    16_777_216,
    1_048_576,
    'connections at the same time, half-open ones included',
  ],
  [
    'net.ipv4.tcp_max_orphans',
    'connections',
    0,
    16_777_216,
    65_536,
    'connections without a user; above it close() ends with RST',
  ],
  ['net.ipv4.tcp_mem', 'bytes', 4096, 2 ** 40, 2 ** 30, 'bytes in the queues of all connections together'],
  ['net.ipv4.tcp_wmem', 'bytes', 4096, 2 ** 30, 2 ** 20, 'bytes a connection may hold unacknowledged'],
  [
    'net.ipv4.tcp_rmem',
    'bytes',
    2048,
    2 ** 30,
    2 ** 20,
    'bytes a connection may hold unread: the largest window it offers',
  ],
  [
    'net.ipv4.tcp_max_reassembly',
    'ranges',
    1,
    65_536,
    1024,
    'disjoint ranges a connection keeps ahead of a hole',
  ],
  ['net.ipv4.icmp_ratelimit', 'replies/s', 0, 1_000_000, 1000, 'echo replies in one second'],
  // Timers
  [
    'net.ipv4.tcp_rto_init',
    'ms',
    1,
    DAY,
    1000,
    'retransmission timeout before the first measurement (RFC 6298 2.1)',
  ],
  [
    'net.ipv4.tcp_rto_min',
    'ms',
    1,
    60_000,
    200,
    'smallest retransmission timeout; RFC 6298 says 1000, deployed stacks use 200',
  ],
  [
    'net.ipv4.tcp_rto_max',
    'ms',
    1000,
    DAY,
    120_000,
    'largest retransmission timeout (RFC 6298 2.5: at least 60 s)',
  ],
  [
    'net.ipv4.tcp_retries2',
    'times',
    1,
    255,
    15,
    'retransmissions before a connection is given up: R2 (MUST-20)',
  ],
  ['net.ipv4.tcp_orphan_retries', 'times', 0, 255, 0, 'the same for a connection without a user; 0 means 8'],
  ['net.ipv4.tcp_delack', 'ms', 0, 499, 40, 'longest delay of an ACK (MUST-40: below 500), 0: none'],
  [
    'net.ipv4.tcp_user_timeout',
    'ms',
    0,
    30 * DAY - 1,
    0,
    'give up when nothing was acknowledged for this long, 0: retries decide (RFC 5482)',
  ],
  [
    'net.ipv4.tcp_keepalive_time',
    's',
    1,
    32_767,
    7200,
    'quiet time before the first keep-alive probe (MUST-28)',
  ],
  ['net.ipv4.tcp_keepalive_intvl', 's', 1, 32_767, 75, 'time between keep-alive probes'],
  [
    'net.ipv4.tcp_keepalive_probes',
    'times',
    1,
    127,
    9,
    'unanswered keep-alive probes that end a connection (MUST-29)',
  ],
];

export const knobs: readonly Knob[] = rows.map(([name, unit, min, max, preset, text]) => ({
  name,
  unit,
  min,
  max,
  default: preset,
  text,
}));

/** Another name of a knob, as one system spells it. */
export interface KnobAlias {
  readonly alias: string;
  readonly name: string;
  /** A value given under the alias is multiplied by this. */
  readonly factor: number;
  readonly text: string;
}

const aliasRows: readonly (readonly [alias: string, name: string, factor: number, text: string])[] = [
  ['net.ipv4.somaxconn', 'net.core.somaxconn', 1, 'a common misspelling'],
  ['somaxconn', 'net.core.somaxconn', 1, 'listen(2)'],
  ['TCP_TIMEWAIT_LEN', 'net.ipv4.tcp_tw_timeout', 1, 'Linux, a constant of the source: s, not a sysctl'],
  ['TcpFinWait2Delay', 'net.ipv4.tcp_fin_timeout', 1, 'Windows: s in FIN-WAIT-2 only'],
  ['net.inet.tcp.finwait2_timeout', 'net.ipv4.tcp_fin_timeout', 0.001, 'FreeBSD: ms in FIN-WAIT-2 only'],
  ['tcp_fin_wait_2_flush_interval', 'net.ipv4.tcp_fin_timeout', 0.001, 'Solaris: ms in FIN-WAIT-2 only'],
  ['finwait2-time', 'net.ipv4.tcp_fin_timeout', 1, 'VPP: s in FIN-WAIT-2 only'],
  ['TCP_FIN_WAIT_TIMEOUT', 'net.ipv4.tcp_fin_timeout', 0.001, 'lwIP: ms in FIN-WAIT-2 only'],
  [
    'tcp_close_wait_interval',
    'tcp_time_wait_interval',
    1,
    'Solaris before 7: the same under a misleading name',
  ],
  ['TCPTimeWaitReuse', 'net.ipv4.tcp_tw_reuse', 1, 'gVisor'],
  ['MaxUserPort', 'net.ipv4.ip_local_port_range.max', 1, 'Windows up to 2003: last ephemeral port'],
  ['net.inet.ip.portrange.first', 'net.ipv4.ip_local_port_range.min', 1, 'BSD, macOS: first ephemeral port'],
  ['net.inet.ip.portrange.last', 'net.ipv4.ip_local_port_range.max', 1, 'BSD, macOS: last ephemeral port'],
  ['net.inet.ip.anonportmin', 'net.ipv4.ip_local_port_range.min', 1, 'NetBSD: first ephemeral port'],
  ['net.inet.ip.anonportmax', 'net.ipv4.ip_local_port_range.max', 1, 'NetBSD: last ephemeral port'],
  ['tcp_smallest_anon_port', 'net.ipv4.ip_local_port_range.min', 1, 'Solaris: first ephemeral port'],
  ['tcp_largest_anon_port', 'net.ipv4.ip_local_port_range.max', 1, 'Solaris: last ephemeral port'],
  [
    'net.inet.tcp.rfc1323',
    'net.ipv4.tcp_timestamps',
    1,
    'BSD: timestamps (and window scaling, which has a knob of its own here)',
  ],
  ['Tcp1323Opts', 'net.ipv4.tcp_timestamps', 1, 'Windows: bit 1 is timestamps; 0 or 1 here'],
  ['KeepAliveTime', 'net.ipv4.tcp_keepalive_time', 0.001, 'Windows: ms before the first keep-alive probe'],
  [
    'net.inet.tcp.keepidle',
    'net.ipv4.tcp_keepalive_time',
    0.001,
    'BSD, macOS: ms before the first keep-alive probe',
  ],
  [
    'net.inet.tcp.keepintvl',
    'net.ipv4.tcp_keepalive_intvl',
    0.001,
    'BSD, macOS: ms between keep-alive probes',
  ],
];

export const knobAliases: readonly KnobAlias[] = aliasRows.map(([alias, name, factor, text]) => ({
  alias,
  name,
  factor,
  text,
}));
