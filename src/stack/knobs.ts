/**
 * The settings of a stack, under the names that each system's people know. One row a
 * knob: what it does here, its unit, range and default. Numbers only; switches are 0/1.
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
  // TIME-WAIT
  [
    'net.ipv4.tcp_msl',
    'ms',
    1,
    600_000,
    120_000,
    'maximum segment lifetime of the rfc9293 policy; TIME-WAIT lasts twice this (RFC 9293 3.4.3)',
  ],
  [
    'net.inet.tcp.msl',
    'ms',
    1,
    600_000,
    30_000,
    'maximum segment lifetime of the bsd policy; TIME-WAIT lasts twice this (FreeBSD)',
  ],
  [
    'net.inet.tcp.nolocaltimewait',
    '',
    0,
    1,
    1,
    '1: no TIME-WAIT for peers on an address of our own (FreeBSD 14)',
  ],
  [
    'net.inet.tcp.tolerate_missing_ts',
    '',
    0,
    1,
    0,
    '1: the bsd policy also answers segments that lack the negotiated timestamp, 0: it drops them (FreeBSD 13)',
  ],
  [
    'net.ipv4.tcp_tw_timeout',
    'ms',
    1,
    600_000,
    60_000,
    'how long TIME-WAIT lasts in the Linux policies (fixed at 60 s in mainline, a sysctl on Alibaba kernels)',
  ],
  [
    'net.ipv4.tcp_tw_reuse',
    '',
    0,
    2,
    2,
    'our own connect() may reopen a tuple in TIME-WAIT when timestamps were used: 0 never, 1 always, 2 on loopback only',
  ],
  [
    'net.ipv4.tcp_tw_reuse_delay',
    'ms',
    0,
    60_000,
    1000,
    'age a record must have before tcp_tw_reuse applies',
  ],
  [
    'net.ipv4.tcp_tw_recycle',
    '',
    0,
    1,
    0,
    '1: TIME-WAIT of 3.5*RTO and a timestamp memory per host, which refuses clients behind one NAT (Linux up to 4.11)',
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
    "TIME-WAIT records kept; what happens above it is the policy's choice",
  ],
  [
    'net.ipv4.tcp_fin_timeout',
    'ms',
    1,
    DAY,
    60_000,
    "how long an orphan waits in FIN-WAIT-2 for the peer's FIN; it does NOT shorten TIME-WAIT",
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
    1,
    1,
    '1: a keyed offset per connection on our timestamps (RFC 7323 5.4), 0: the bare clock (Linux tcp_timestamps=2)',
  ],
  ['net.ipv4.tcp_window_scaling', '', 0, 1, 1, 'offer and accept window scaling (RFC 7323)'],
  ['net.ipv4.tcp_sack', '', 0, 1, 1, 'offer and accept selective acknowledgments (RFC 2018)'],
  ['net.ipv4.ip_default_ttl', 'hops', 1, 255, 64, 'TTL and hop limit of what is sent (MUST-49)'],
  // Opening
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
    'ms',
    1,
    20 * DAY,
    7_200_000,
    'quiet time before the first keep-alive probe (MUST-28)',
  ],
  ['net.ipv4.tcp_keepalive_intvl', 'ms', 1, DAY, 75_000, 'time between keep-alive probes'],
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

const byName = new Map(knobs.map((knob) => [knob.name, knob]));

/** Names that mean two knobs at once, or are spelled otherwise by a system's people. */
const aliases: Readonly<Record<string, string>> = {
  'net.ipv4.somaxconn': 'net.core.somaxconn',
  somaxconn: 'net.core.somaxconn',
};

/** One assignment, or the message for the user. */
export type Setting = { readonly name: string; readonly value: number }[] | { readonly error: string };

/**
 * 'NAME=VALUE' as the command line takes it. `net.ipv4.ip_local_port_range=MIN MAX` sets
 * both ends; names may leave out `net.ipv4.`.
 */
export function parseKnobSetting(text: string): Setting {
  const equals = text.indexOf('=');
  if (equals < 1) return { error: `'${text}' is not KNOB=VALUE` };
  const name = text.slice(0, equals).trim();
  const value = text.slice(equals + 1).trim();
  if (name === 'net.ipv4.ip_local_port_range' || name === 'ip_local_port_range') {
    const ends = value.split(/[\s,-]+/).map(Number);
    if (ends.length !== 2 || !ends.every(Number.isInteger) || ends[0]! > ends[1]!) {
      return { error: `'${name}' takes two ports, 'MIN MAX', got '${value}'` };
    }
    const low = { name: 'net.ipv4.ip_local_port_range.min', value: ends[0]! };
    const high = { name: 'net.ipv4.ip_local_port_range.max', value: ends[1]! };
    const message =
      outOfRange(byName.get(low.name)!, low.value) ?? outOfRange(byName.get(high.name)!, high.value);
    return message === null ? [low, high] : { error: message };
  }
  const known = resolve(name);
  if (known === null) return { error: unknown(name) };
  if (value === '' || !Number.isFinite(Number(value)))
    return { error: `'${known.name}' takes a number, got '${value}'` };
  const message = outOfRange(known, Number(value));
  return message === null ? [{ name: known.name, value: Number(value) }] : { error: message };
}

function resolve(name: string): Knob | null {
  return byName.get(aliases[name] ?? name) ?? byName.get(`net.ipv4.${name}`) ?? null;
}

function unknown(name: string): string {
  return `unknown knob '${name}', nearest: ${nearest(
    name,
    knobs.map((knob) => knob.name),
  ).join(', ')}`;
}

function outOfRange(knob: Knob, value: number): string | null {
  const inside = Number.isInteger(value) && value >= knob.min && value <= knob.max;
  const unit = knob.unit === '' ? '' : ` ${knob.unit}`;
  return inside
    ? null
    : `'${knob.name}' must be an integer from ${knob.min} to ${knob.max}${unit}, got ${value}`;
}

/** Values of one stack: defaults, under them what the policy presets, over both what the user set. */
export class Knobs {
  private readonly values = new Map<string, number>();
  private readonly byUser = new Set<string>();

  constructor() {
    for (const knob of knobs) this.values.set(knob.name, knob.default);
  }

  /** A name nobody registered is a programmer's mistake. */
  get(name: string): number {
    const value = this.values.get(name);
    if (value === undefined) throw new RangeError(unknown(name));
    return value;
  }

  /** null, or the message: unknown name with the nearest ones, or the range. */
  set(name: string, value: number): string | null {
    const knob = resolve(name);
    if (knob === null) return unknown(name);
    const message = outOfRange(knob, value);
    if (message !== null) return message;
    this.values.set(knob.name, value);
    this.byUser.add(knob.name);
    return null;
  }

  /** A policy's own defaults; what the user set stays, what an earlier policy set is undone. */
  preset(values: Readonly<Record<string, number>>): void {
    for (const knob of knobs) {
      if (!this.byUser.has(knob.name)) this.values.set(knob.name, values[knob.name] ?? knob.default);
    }
  }
}

/** The names closest to `name` by edit distance: at most three. */
export function nearest(name: string, names: readonly string[]): string[] {
  return names
    .map((candidate) => ({
      candidate,
      distance: editDistance(name, candidate) - (candidate.includes(name) ? name.length : 0),
    }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
