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
  findListener(w0: number, w1: number, w2: number, w3: number, port: number, version: number): object | null;
}

export class HookContext implements PolicyContext {
  private segment: Segment | null = null;

  constructor(private readonly core: HookSource) {}

  /** Facts for the hooks that judge `segment`. */
  about(segment: Segment | null): this {
    this.segment = segment;
    return this;
  }

  get now(): number {
    return this.core.ctx.now;
  }

  knob(name: string): number {
    return this.core.knobs.get(name);
  }

  hasListener(): boolean {
    const s = this.segment;
    if (s === null) return false;
    return this.core.findListener(s.dst0, s.dst1, s.dst2, s.dst3, s.dstPort, s.version) !== null;
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
