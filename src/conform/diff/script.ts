/** A finding as a packet script: the judge's answers are what it expects. */
import type { Finding } from './search.js';
import { caseText } from './words.js';

/** Names of states in assertions, where they are not those of RFC 9293 with underscores. */
const STATES: Readonly<Record<string, string>> = {
  CLOSED: 'TCP_CLOSE',
  'SYN-RECEIVED': 'TCP_SYN_RECV',
  'FIN-WAIT-1': 'TCP_FIN_WAIT1',
  'FIN-WAIT-2': 'TCP_FIN_WAIT2',
};

/** The text of a .pkt file: it passes on the judge, and fails on the subject where they part. */
export function scriptOf({ one, signature, difference, judge }: Finding): string {
  const lines = [`// ${signature}`, `// ${caseText(one)}`];
  if (one.version === 6) lines.push('--ip_version=ipv6');
  lines.push('--tolerance_usecs=100000', '0 `sysctl -q net.ipv4.tcp_invalid_ratelimit=0`');
  let stamp = '+0';
  for (const line of judge.script) {
    if (line.startsWith('step ')) {
      stamp = '+.02';
      continue;
    }
    // Within the step
    lines.push(line.startsWith('>') ? `+0~+.019 ${line}` : `${stamp} ${line}`);
    stamp = '+0';
  }
  // An assertion at the end is where nothing unexpected may have been sent
  const state = difference.kind === 'state' && judge.holdsSocket;
  lines.push(`+.02 %{ assert ${state ? `tcpi_state == ${constantOf(difference.judge)}` : 'True'} }%`);
  return `${lines.join('\n')}\n`;
}

const constantOf = (state: string): string => STATES[state] ?? `TCP_${state.replaceAll('-', '_')}`;
