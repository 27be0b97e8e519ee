/** The log of decisions and state changes: bounded, the oldest are lost first, empty while off. */
import { reasonText } from '../reasons.js';
import { stateNames } from '../tcp/state.js';
import type { Tcb } from '../tcp/tcb.js';
import { formatWords } from '../wire/address.js';
import { formatSegment } from '../wire/notation.js';
import type { Segment } from '../wire/segment.js';
import type { Decision, Endpoint, StateChange } from './api.js';

/** Entries kept of each kind until they are taken. */
const LOG_LIMIT = 4096;

export class DecisionLog {
  on = false;
  private decisions: Decision[] = [];
  private changes: StateChange[] = [];

  decision(time: number, segment: Segment, reason: number, state: string): void {
    const family = segment.version === 4 ? 4 : 6;
    const local: Endpoint = {
      address: formatWords(segment.dst0, segment.dst1, segment.dst2, segment.dst3),
      port: segment.dstPort,
      family,
    };
    const remote: Endpoint = {
      address: formatWords(segment.src0, segment.src1, segment.src2, segment.src3),
      port: segment.srcPort,
      family,
    };
    this.push({ time, local, remote, reason: reasonText(reason).id, state, segment: formatSegment(segment) });
  }

  /** A decision that no segment caused: a timer, a user call, an expiry. */
  bare(time: number, local: Endpoint, remote: Endpoint, reason: number, state: string): void {
    if (this.on) this.push({ time, local, remote, reason: reasonText(reason).id, state, segment: '' });
  }

  /** Records the states a connection went through since its history was `before`. */
  states(time: number, connection: Tcb, before: number): void {
    if (!this.on || connection.history === before) return;
    let steps = 1;
    while (steps < 7 && connection.history >>> (4 * steps) !== (before & (0xffffffff >>> (4 * steps))))
      steps++;
    for (let i = steps; i > 0; i--) {
      const from = stateNames[(connection.history >>> (4 * i)) & 15]!;
      const to = stateNames[(connection.history >>> (4 * (i - 1))) & 15]!;
      if (this.changes.length >= LOG_LIMIT) this.changes.shift();
      this.changes.push({ time, connection, from, to });
    }
  }

  takeDecisions(): Decision[] {
    const taken = this.decisions;
    this.decisions = [];
    return taken;
  }

  takeChanges(): StateChange[] {
    const taken = this.changes;
    this.changes = [];
    return taken;
  }

  private push(decision: Decision): void {
    if (this.decisions.length >= LOG_LIMIT) this.decisions.shift();
    this.decisions.push(decision);
  }
}
