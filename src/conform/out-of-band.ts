/**
 * Urgent data as sockets have it: the last urgent octet leaves the stream, is had by MSG_OOB,
 * and reads stop at the mark it leaves behind; with SO_OOBINLINE it stays. Linux tcp_recvmsg,
 * tcp_recv_urg.
 */
import type { ConnectionHandle, StackApi } from '../stack/api.js';

export class OutOfBand {
  /** Octets of the stream read so far. */
  private read = 0;
  /** Where in the stream the octet lies, -1 without a mark. */
  private mark = -1;
  private taken = false;
  /** The octet, once a read went past it. */
  private kept = -1;

  constructor(private readonly stack: StackApi) {}

  /** The pointer advanced: an octet that nobody asked for becomes part of the stream. */
  announced(connection: ConnectionHandle): void {
    this.mark = this.read + connection.urgentLeft - 1;
    this.taken = false;
  }

  /** `count` octets left the receive queue. */
  passed(count: number): void {
    this.read += count;
  }

  /** Octets to the mark, as far as there is one ahead. */
  get ahead(): number {
    return this.mark < this.read ? Infinity : this.mark - this.read;
  }

  /** SIOCATMARK */
  get atMark(): boolean {
    return this.mark === this.read;
  }

  /** The octet has come and was not taken: POLLPRI. */
  waits(connection: ConnectionHandle): boolean {
    return this.mark >= 0 && !this.taken && this.octet(connection) >= 0;
  }

  /** recv(MSG_OOB): the octet, or errno. */
  take(connection: ConnectionHandle, peek: boolean): number | 'EINVAL' | 'EAGAIN' {
    if (this.mark < 0 || this.taken) return 'EINVAL';
    const octet = this.octet(connection);
    if (octet < 0) return 'EAGAIN';
    if (!peek) this.taken = true;
    return octet;
  }

  /** As it passes by, or still in the queue. */
  private octet(connection: ConnectionHandle): number {
    return this.mark < this.read ? this.kept : this.stack.urgentOctet(connection);
  }

  /** A read went past the mark. */
  skipped(octet: number): void {
    this.kept = octet;
  }
}
