/**
 * epoll over sockets of our stack. As in Linux, a socket's news wakes the watches whose events it
 * concerns; an edge-triggered watch is looked at once for each time it was woken, any other as long
 * as something is ready.
 */
import type { Value } from './script.js';
import { POLLERR, POLLHUP, type StackSocket } from './stack-socket.js';
import { number } from './values.js';

const EPOLLET = 2 ** 31;
const EPOLLONESHOT = 2 ** 30;
const MASK = 2 ** 16 - 1;

export class Watch {
  /** Woken since it was looked at last; a new watch is looked at once. */
  ready = true;
  events = 0;
  data: Value;

  constructor(
    readonly socket: StackSocket,
    events: number,
    data: Value,
  ) {
    this.events = events;
    this.data = data;
  }

  /** News of this kind; 0 concerns everybody. */
  wake(kind: number): void {
    if (kind === 0 || (kind & this.wanted) !== 0) this.ready = true;
  }

  get wanted(): number {
    return (this.events & MASK) | POLLERR | POLLHUP;
  }
}

export class Epoll {
  private readonly watched = new Map<number, Watch>();

  /** '' or the errno. */
  control(operation: number, fd: number, socket: StackSocket, events: number, data: Value): string {
    const [add, remove] = [1, 2];
    const watch = this.watched.get(fd);
    if (operation === add && watch !== undefined) return 'EEXIST';
    if (operation !== add && watch === undefined) return 'ENOENT';
    if (operation === remove) {
      this.forget(fd);
      return '';
    }
    if (watch !== undefined) {
      watch.events = events;
      watch.data = data;
      watch.ready = true;
      return '';
    }
    const fresh = new Watch(socket, events, data);
    this.watched.set(fd, fresh);
    socket.watches.add(fresh);
    return '';
  }

  forget(fd: number): void {
    const watch = this.watched.get(fd);
    if (watch === undefined) return;
    watch.socket.watches.delete(watch);
    this.watched.delete(fd);
  }

  close(): void {
    for (const fd of [...this.watched.keys()]) this.forget(fd);
  }

  /** What is ready, `most` at most. */
  wait(most: number): Value[] {
    const items: Value[] = [];
    for (const watch of this.watched.values()) {
      if (items.length === most) break;
      const edge = watch.events >= EPOLLET;
      if (watch.events === 0 || (edge && !watch.ready)) continue;
      const mask = watch.socket.pollMask & watch.wanted;
      watch.ready = false;
      if (mask === 0) continue;
      if ((watch.events & EPOLLONESHOT) !== 0) watch.events = 0;
      const fields: [string, Value][] = [
        ['events', number(mask)],
        ['fd', watch.data],
      ];
      items.push({ kind: 'record', fields: new Map(fields) });
    }
    return items;
  }
}
