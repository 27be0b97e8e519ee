/**
 * What leaves the table as objects: a record's two ends for lists and traces, and the whole
 * record, which `add` takes back.
 */
import { formatWords } from '../wire/address.js';
import type { RecordEntry } from './layout.js';
import type { TimeWaitTable } from './table.js';

interface End {
  address: string;
  port: number;
  family: 4 | 6;
}

/** Both ends as text. */
export function endpoints(table: TimeWaitTable, i: number): { readonly local: End; readonly remote: End } {
  const family = table.isV6(i) ? 6 : 4;
  const ports = table.portsOf(i);
  return {
    local: { address: formatWords(...localWords(table, i)), port: ports >>> 16, family },
    remote: { address: formatWords(...remoteWords(table, i)), port: ports & 0xffff, family },
  };
}

type Words = [number, number, number, number];

const localWords = (table: TimeWaitTable, i: number): Words => [...table.localOf(i)] as Words;

const remoteWords = (table: TimeWaitTable, i: number): Words =>
  [0, 1, 2, 3].map((word) => table.remoteWord(i, word)) as Words;

/** A copy of the record that `add` can take back. */
export function save(table: TimeWaitTable, i: number): RecordEntry {
  const record = table.cursor().at(i);
  const ports = table.portsOf(i);
  const [local0, local1, local2, local3] = localWords(table, i);
  const [remote0, remote1, remote2, remote3] = remoteWords(table, i);
  const { sndNxt, rcvNxt, rcvWnd, rcvWscale, hasTimestamp, tsRecent, tsRecentAt, tsOffset, offsetKind } =
    record;
  const { enteredAt, rto, finWait2, userClosed, reuseAddress, reusePort, boundPort, localPeer } = record;
  return {
    ...{ local0, local1, local2, local3, remote0, remote1, remote2, remote3 },
    localPort: ports >>> 16,
    remotePort: ports & 0xffff,
    hash: table.hashOf(i),
    ...{ sndNxt, rcvNxt, rcvWnd, rcvWscale, hasTimestamp, tsRecent, tsRecentAt, tsOffset, offsetKind },
    ...{ enteredAt, rto, finWait2, userClosed, reuseAddress, reusePort, boundPort, localPeer },
    nearPeer: record.nearPeer,
    active: record.active,
    holder: record.holder,
    word: record.word,
  };
}
