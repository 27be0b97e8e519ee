/** A finding as a packet script: the judge's answers are what it expects. */
import type { Finding } from './search.js';
import { caseText } from './words.js';

/** The text of a .pkt file: it passes on the judge, and fails on the subject where they part. */
export function scriptOf({ one, signature, judge }: Finding): string {
  const lines = [`// ${signature}`, `// ${caseText(one)}`];
  if (one.version === 6) lines.push('--ip_version=ipv6');
  lines.push('--tolerance_usecs=100000', '0 `sysctl -q net.ipv4.tcp_invalid_ratelimit=0`');
  let stamp = '+0';
  for (const line of judge.script) {
    if (line.startsWith('step ')) {
      stamp = '+.02';
      continue;
    }
    lines.push(`${stamp} ${line}`);
    stamp = '+0';
  }
  return `${lines.join('\n')}\n`;
}
