/** Live connections by local port, for bind: a list through the connections themselves, so that none has anything of its own here. */
import type { Tcb } from '../tcp/tcb.js';

export class PortUsers {
  private readonly firsts = new Map<number, Tcb>();

  has(port: number): boolean {
    return this.firsts.has(port);
  }

  /** The youngest of a port; `behindOnPort` leads to the others. */
  first(port: number): Tcb | null {
    return this.firsts.get(port) ?? null;
  }

  add(tcb: Tcb): void {
    const behind = this.first(tcb.localPort);
    tcb.behindOnPort = behind;
    if (behind !== null) behind.beforeOnPort = tcb;
    this.firsts.set(tcb.localPort, tcb);
  }

  remove(tcb: Tcb): void {
    const { beforeOnPort: before, behindOnPort: behind } = tcb;
    if (behind !== null) behind.beforeOnPort = before;
    if (before !== null) before.behindOnPort = behind;
    else if (behind !== null) this.firsts.set(tcb.localPort, behind);
    else this.firsts.delete(tcb.localPort);
    tcb.beforeOnPort = tcb.behindOnPort = null;
  }
}
