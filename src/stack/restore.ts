/** A TIME-WAIT record without a connection before it: what a lab or a capture knows of one that has ended elsewhere. */
import { HOLDER_CLOSER } from '../timewait/policy.js';
import { OFFSET_NONE, OFFSET_OTHER } from '../timewait/layout.js';
import { parseAddress } from '../wire/address.js';
import type { TimeWaitEntry } from './api.js';
import { RECORD, type Core } from './core.js';
import { addRecord, expireOverdue } from './time-wait.js';

/**
 * As though the connection had come into TIME-WAIT now, by the policy's rules; an older
 * record of the tuple gives way. false: no record was made, because the policy keeps none
 * of it, the table is full, or a live connection has the tuple. RangeError: an address
 * that is none.
 */
export function restoreRecord(core: Core, entry: TimeWaitEntry): boolean {
  const local = parseAddress(entry.local.address);
  const remote = parseAddress(entry.remote.address);
  if (local === null || remote === null) throw new RangeError('not an address');
  expireOverdue(core);
  const [l0, l1, l2, l3] = local.words as unknown as [number, number, number, number];
  const [r0, r1, r2, r3] = remote.words as unknown as [number, number, number, number];
  const { port: localPort } = entry.local;
  const { port: remotePort } = entry.remote;
  const hash = core.flows.hashOf(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
  const handle = core.flows.find(l0, l1, l2, l3, r0, r1, r2, r3, localPort, remotePort);
  if (handle >= 0) {
    if ((handle & RECORD) === 0) return false;
    core.flows.remove(hash, handle);
    core.records.remove(handle & ~RECORD);
  }
  const stamps = entry.timestamps;
  const index = addRecord(core, {
    local0: l0,
    local1: l1,
    local2: l2,
    local3: l3,
    remote0: r0,
    remote1: r1,
    remote2: r2,
    remote3: r3,
    localPort,
    remotePort,
    hash,
    sndNxt: entry.sndNxt,
    rcvNxt: entry.rcvNxt,
    rcvWnd: entry.rcvWnd,
    rcvWscale: entry.rcvWscale,
    hasTimestamp: stamps !== null,
    tsRecent: stamps?.recent ?? 0,
    tsRecentAt: stamps?.recentAt ?? 0,
    tsOffset: stamps?.offset ?? 0,
    offsetKind: (stamps?.offset ?? 0) === 0 ? OFFSET_NONE : OFFSET_OTHER,
    enteredAt: core.ctx.now,
    rto: entry.rto,
    finWait2: false,
    userClosed: true,
    reuseAddress: false,
    reusePort: false,
    boundPort: !entry.active,
    localPeer: entry.localPeer,
    nearPeer: core.isNear(r0, r1, r2, r3),
    active: entry.active,
    holder: HOLDER_CLOSER,
    word: 0,
  });
  if (index < 0) return false;
  core.flows.insert(hash, RECORD | index);
  return true;
}
