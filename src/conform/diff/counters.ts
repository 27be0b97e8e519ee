/** The counters that both sides keep with one meaning, under the names of nstat. */
import { counterNames, type CounterName } from '../../mib.js';

/** Counted by another rule than the kernel's, or by what a machine decides (docs/diff.md). */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'TcpEstabResets',
  'TcpOutSegs',
  'TcpInErrs',
  'TcpExtTW',
  'TcpExtPAWSTimewait',
  'TcpExtBeyondWindow',
  'TcpExtDelayedACKs',
  'TcpExtListenDrops',
  'TcpExtTCPPureAcks',
  'TcpExtTCPHPHits',
  'TcpExtTCPOFOQueue',
  'TcpExtTCPOFOMerge',
  'TcpExtTCPAbortOnData',
  'TcpExtTCPOrigDataSent',
  'TcpExtTCPSynRetrans',
]);

export const comparedCounters: readonly CounterName[] = counterNames.filter(
  (name) => name.startsWith('Tcp') && !LEFT_OUT.has(name),
);
