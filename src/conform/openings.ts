/**
 * Which calls begin a connection: from then on a script speaks of that one, and what earlier
 * connections still send is passed over, as packetdrill does.
 */
import { constants } from './constants.js';
import type { CallEvent } from './script.js';
import { int } from './call-outcome.js';

const MSG_FASTOPEN = constants.get('MSG_FASTOPEN')!;

/** How a call ends that waited for a connection which came to nothing; any other error means that no SYN was sent. */
const ENDED = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);

export class Openings {
  /** Descriptors whose socket has begun one. */
  private readonly begun = new Set<number>();

  /** The call begins a connection: connect(), or a write with MSG_FASTOPEN, on a socket that had none. */
  begins({ name, args, result, errno }: CallEvent): boolean {
    if (name === 'socket') this.begun.delete(int(result));
    const flags = name === 'sendto' ? args[3] : name === 'sendmsg' ? args[2] : undefined;
    if (name !== 'connect' && (int(flags) & MSG_FASTOPEN) === 0) return false;
    const fd = int(args[0]);
    if (this.begun.has(fd)) return false;
    if (errno === '' || errno === 'EINPROGRESS') this.begun.add(fd);
    else if (!ENDED.has(errno)) return false;
    return true;
  }
}
