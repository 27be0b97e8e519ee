/** Knobs that are asked for each connection, read once when one of them changes. Those of one connection's rules are in tcp/context.ts. */
import type { Knobs } from './knobs.js';

export class Settings {
  maxConnections = 0;
  maxOrphans = 0;
  maxRecords = 0;
  /** Half-open connections of one listener. */
  maxHalfOpen = 0;
  /** 0 never, 1 when the queue is full, 2 always; how many a second. */
  synCookies = 0;
  cookieRate = 0;
  /** Linux's bits of net.ipv4.tcp_fastopen. */
  fastOpen = 0;
  /** first-numbers.ts */
  isn = 0;
  stampOffset = 0;

  refresh(knobs: Knobs): void {
    this.maxConnections = knobs.get('net.ipv4.tcp_max_connections');
    this.maxOrphans = knobs.get('net.ipv4.tcp_max_orphans');
    this.maxRecords = knobs.get('timewait_max_records');
    this.maxHalfOpen = knobs.get('net.ipv4.tcp_max_syn_backlog');
    this.synCookies = knobs.get('net.ipv4.tcp_syncookies');
    this.cookieRate = knobs.get('tcp_syn_cookie_rate');
    this.fastOpen = knobs.get('net.ipv4.tcp_fastopen');
    this.isn = knobs.get('net.ipv4.tcp_isn');
    this.stampOffset = knobs.get('net.ipv4.tcp_timestamp_offset');
  }
}
