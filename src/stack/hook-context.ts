/** What a policy's hooks may ask of the stack (timewait/policy.ts `PolicyContext`): one object, reloaded per call. */
import type { HostStamp, PolicyContext } from '../timewait/policy.js';
import type { Segment } from '../wire/segment.js';

/** What of the stack the hooks can see. */
export interface HookSource {
  readonly ctx: { readonly now: number };
  readonly knobs: { get(name: string): number };
  readonly hosts: {
    readonly unknown: HostStamp;
    lookup(w0: number, w1: number, w2: number, w3: number): HostStamp;
  };
  readonly random: { next(): number };
  readonly connections: number;
  listenerFor(segment: Segment): object | null;
}

export class HookContext implements PolicyContext {
  private segment: Segment | null = null;

  constructor(private readonly core: HookSource) {}

  /** Facts for the hooks that judge `segment`. */
  about(segment: Segment | null): this {
    // There is one Segment: storing it again would cost more than the question
    if (this.segment !== segment) this.segment = segment;
    return this;
  }

  get now(): number {
    return this.core.ctx.now;
  }

  knob(name: string): number {
    return this.core.knobs.get(name);
  }

  hasListener(): boolean {
    return this.segment !== null && this.core.listenerFor(this.segment) !== null;
  }

  get host(): HostStamp {
    const s = this.segment;
    if (s === null) return this.core.hosts.unknown;
    return this.core.hosts.lookup(s.src0, s.src1, s.src2, s.src3);
  }

  random(): number {
    return this.core.random.next();
  }

  get connections(): number {
    return this.core.connections;
  }
}
