/** The counters that both sides keep with one meaning, under the names of nstat. */
import type { CounterName } from '../../mib.js';

export const comparedCounters = [
  'TcpExtTW',
  'TcpExtTWRecycled',
  'TcpExtPAWSEstab',
  'TcpExtPAWSTimewait',
  'TcpExtTCPChallengeACK',
  'TcpExtTCPSYNChallenge',
  'TcpExtTCPAbortOnData',
  'TcpExtTCPAbortOnClose',
] as const satisfies readonly CounterName[];
