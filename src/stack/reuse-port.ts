/** SO_REUSEPORT groups (listeners.ts) as they change: who is in one, and what becomes of a member's connections. */
import { Mib } from '../mib.js';
import type { Tcb } from '../tcp/tcb.js';
import type { Core } from './core.js';
import type { Listener } from './listener.js';
import { place } from './listeners.js';
import { enqueue } from './passive.js';

/** The others of a listener's group: same address, family and port, both with SO_REUSEPORT. */
export function groupOf(core: Core, listener: Listener): Listener[] {
  if (!listener.reusePort) return [];
  return (core.listeners.get(listener.port) ?? []).filter(
    (other) => other !== listener && other.reusePort && other.sameName(listener),
  );
}

/**
 * Knob net.ipv4.tcp_migrate_req: a connection that a closed listener has not handed out goes to another
 * of its group. False: there is none, or the knob says no.
 */
export function migrate(core: Core, from: Listener, tcb: Tcb): boolean {
  if (core.knobs.get('net.ipv4.tcp_migrate_req') === 0) return false;
  const group = groupOf(core, from);
  const heir = group[place(tcb.hash, group.length)];
  if (heir === undefined) return false;
  tcb.owner = heir;
  if (tcb.halfOpen) {
    from.halfOpen--;
    heir.halfOpen++;
  } else {
    if (tcb.earlyFrom !== null) {
      tcb.earlyFrom = heir;
      heir.pending++;
    }
    enqueue(core, heir, tcb);
  }
  core.count(Mib.TcpExtTCPMigrateReqSuccess);
  return true;
}
