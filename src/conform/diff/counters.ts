/** The counters that both sides keep with one meaning, under the names of nstat. */
import { counterNames, type CounterName } from '../../mib.js';

/** Decided by how an implementation stores or delays, not by the protocol (docs/diff.md). */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'TcpExtTW',
  'TcpExtDelayedACKs',
  'TcpExtTCPPureAcks',
  'TcpExtTCPHPHits',
  'TcpExtTCPOFOMerge',
]);

export const comparedCounters: readonly CounterName[] = counterNames.filter(
  (name) => name.startsWith('Tcp') && !LEFT_OUT.has(name),
);
