/**
 * Settings that contradict each other, or the policy that rules: what will happen then, as
 * that system would behave. Nothing is refused. Pure.
 */
import { policies } from './policies/registry.js';
import type { Policy } from './policy.js';

type Read = (name: string) => number;

/** Knobs that the rest of the stack reads whatever the policy. */
const EVERYWHERE: ReadonlySet<string> = new Set([
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_invalid_ratelimit',
  'net.ipv4.tcp_timestamps',
]);

/** Every knob that some policy reads, and the names of those policies. */
const readers = new Map<string, string[]>();
for (const policy of policies) {
  for (const knob of policy.uses) {
    const names = readers.get(knob);
    if (names === undefined) readers.set(knob, [policy.name]);
    else names.push(policy.name);
  }
}

/** One line each: what is set, and what it does under this policy. `setByUser` holds names of knobs. */
export function warnings(policy: Policy, knob: Read, setByUser: ReadonlySet<string>): string[] {
  return [
    ...unread(policy, setByUser),
    ...withoutTimestamps(policy, knob, setByUser),
    ...finTimeout(policy, knob, setByUser),
    ...limits(policy, knob, setByUser),
    ...ports(knob, setByUser),
  ];
}

/** Set by hand, and the policy does not look at it. */
function unread(policy: Policy, setByUser: ReadonlySet<string>): string[] {
  return [...setByUser]
    .filter((name) => !EVERYWHERE.has(name) && !policy.uses.includes(name) && readers.has(name))
    .map(
      (name) =>
        `${name} has no effect under ${policy.name}; policies that read it: ${readers.get(name)!.join(', ')}`,
    );
}

function withoutTimestamps(policy: Policy, knob: Read, setByUser: ReadonlySet<string>): string[] {
  if (knob('net.ipv4.tcp_timestamps') !== 0) return [];
  const lines: string[] = [];
  const reads = (name: string): boolean => policy.uses.includes(name);
  if (reads('net.ipv4.tcp_tw_recycle') && knob('net.ipv4.tcp_tw_recycle') !== 0) {
    lines.push(
      'net.ipv4.tcp_tw_recycle=1 without net.ipv4.tcp_timestamps: no host is remembered, TIME-WAIT lasts 60 s, nothing is recycled',
    );
  }
  // gVisor's reuse does not ask for timestamps
  const reuse =
    reads('net.ipv4.tcp_tw_reuse') && policy.name !== 'gvisor' ? knob('net.ipv4.tcp_tw_reuse') : 0;
  if (reuse === 1 || (reuse === 2 && setByUser.has('net.ipv4.tcp_tw_reuse'))) {
    lines.push(
      `net.ipv4.tcp_tw_reuse=${reuse} without net.ipv4.tcp_timestamps: connect() reopens nothing, and fails with EADDRNOTAVAIL when the ports are used up`,
    );
  }
  return lines;
}

/** A popular knob with an effect of its own. */
function finTimeout(policy: Policy, knob: Read, setByUser: ReadonlySet<string>): string[] {
  if (!setByUser.has('net.ipv4.tcp_fin_timeout')) return [];
  const seconds = knob('net.ipv4.tcp_fin_timeout');
  const note = `net.ipv4.tcp_fin_timeout=${seconds} does not change TIME-WAIT, only how long an orphan waits in FIN-WAIT-2`;
  const length = lengthOfOrphans(policy, knob);
  if (length === 0 || seconds <= length) return [note];
  return [`${note}; above ${length} s Linux waits ${2 * (seconds - length)} s instead`];
}

/** The length of TIME-WAIT, s, where Linux compares an orphan's time with it; 0 elsewhere. */
function lengthOfOrphans(policy: Policy, knob: Read): number {
  if (!policy.orphansAsRecords) return 0;
  return policy.uses.includes('net.ipv4.tcp_tw_timeout') ? knob('net.ipv4.tcp_tw_timeout') : 60;
}

function limits(policy: Policy, knob: Read, setByUser: ReadonlySet<string>): string[] {
  const lines: string[] = [];
  for (const limit of ['net.ipv4.tcp_max_tw_buckets', 'timewait_max_records']) {
    const read = limit === 'timewait_max_records' || policy.uses.includes(limit);
    if (read && knob(limit) === 0) {
      lines.push(
        `${limit}=0: no TIME-WAIT is kept, the peer's repeated FIN is reset and old duplicates meet the next connection`,
      );
    }
  }
  const delay = policy.uses.includes('TcpTimedWaitDelay') ? knob('TcpTimedWaitDelay') : 30;
  if (delay < 30 && setByUser.has('TcpTimedWaitDelay')) {
    lines.push(
      `TcpTimedWaitDelay=${delay} is below the 30 s that Windows is said to enforce (UNVERIFIED); here it counts as given`,
    );
  }
  return lines;
}

function ports(knob: Read, setByUser: ReadonlySet<string>): string[] {
  const low = knob('net.ipv4.ip_local_port_range.min');
  const high = knob('net.ipv4.ip_local_port_range.max');
  const byHand =
    setByUser.has('net.ipv4.ip_local_port_range.min') || setByUser.has('net.ipv4.ip_local_port_range.max');
  if (low <= high || !byHand) return [];
  return [
    `the last ephemeral port (net.ipv4.ip_local_port_range.max, MaxUserPort) is ${high}, below the first, ${low}: connect() without a port fails with EADDRNOTAVAIL`,
  ];
}
