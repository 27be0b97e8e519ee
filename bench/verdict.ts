/**
 * What a policy's verdict costs: a segment of the mix for a random one of a million
 * records, through the look-up and the hook, less the look-up alone; and what it leaves
 * on the heap.
 */
import { Core } from '../src/stack/core.js';
import { listen } from '../src/stack/active.js';
import { RECORD } from '../src/stack/core.js';
import { policies } from '../src/timewait/policies/registry.js';
import type { Policy } from '../src/timewait/policy.js';
import { parsePrefix } from '../src/wire/address.js';
import { Segment } from '../src/wire/segment.js';
import { BATCH, allocated } from './measure.js';
import { ADDRESSES, LIFETIME, SHAPE_COUNT, START, aim, blank, fill, shape, shuffled } from './population.js';

/** One policy, measured once. */
export interface VerdictRun {
  /** ns of a look-up, without a verdict. */
  readonly lookUp: number;
  /** ns that the verdict adds, on random ones of all records: memory decides. */
  readonly cold: number;
  /** The same on few records that stay in the cache: the code decides. */
  readonly hot: number;
  /** ns of a look-up among those few. */
  readonly hotLookUp: number;
  /** Bytes allocated by one look-up with verdict. */
  readonly bytes: number;
}

/** Records that stay in the cache. */
const FEW = 1000;
/** Verdicts whose garbage is counted. */
const COUNTED = 2_000_000;
/** Timed stretches per number; the fastest counts, as whatever else the machine does only adds. */
const ROUNDS = 40;
/** Operations of a stretch. */
const STRETCH = 20 * BATCH;

/** A stack's core with `count` records and listeners on half of the ports. */
export class Loaded {
  readonly core: Core;
  readonly segment = new Segment();
  private readonly order: Int32Array;
  /** Where in the order the next stretch begins: one after another, none finds its records in the cache. */
  private at = 0;

  constructor(
    readonly count: number,
    policy: Policy,
  ) {
    const addresses = ADDRESSES.map((text) => parsePrefix(text)!);
    const seed = new Uint8Array(32).fill(7);
    this.core = new Core({ seed, addresses: ADDRESSES, mtu: 1500, now: START | 0 }, addresses, policy);
    this.core.refresh();
    for (const port of [80, 443]) listen(this.core, { port });
    const { flows, records } = this.core;
    const entry = blank();
    for (let n = 0; n < count; n++) {
      fill(entry, n, count);
      entry.hash = flows.hashOf(
        entry.local0,
        entry.local1,
        entry.local2,
        entry.local3,
        entry.remote0,
        entry.remote1,
        entry.remote2,
        entry.remote3,
        entry.localPort,
        entry.remotePort,
      );
      const index = records.add(entry);
      records.arm(index, (entry.enteredAt + LIFETIME) | 0);
      flows.insert(entry.hash, RECORD | index);
    }
    this.core.setTime((START + LIFETIME) | 0);
    this.order = shuffled(count);
  }

  use(policy: Policy): void {
    this.core.policy = policy;
    this.core.knobs.preset(policy.knobs);
    this.core.refresh();
  }

  /** Handle of the tuple that `segment` is for; -1 when there is none. */
  find(): number {
    const { segment: s } = this;
    return this.core.flows.find(
      s.dst0,
      s.dst1,
      s.dst2,
      s.dst3,
      s.src0,
      s.src1,
      s.src2,
      s.src3,
      s.dstPort,
      s.srcPort,
    );
  }

  /** Index in the order where a stretch over `among` records begins. */
  private begin(operations: number, among: number): number {
    const at = this.at % among;
    this.at = (at + operations) % among;
    return at;
  }

  /**
   * Look-ups on the first `among` of the shuffled records; with `judging` the policy judges each
   * segment too, and nothing is carried out, so that every record stays. One loop for both: compiled
   * once, so that what differs is the verdict, not what the compiler made of two loops.
   */
  run(operations: number, among: number, judging: boolean): number {
    const { core, segment } = this;
    let sum = 0;
    for (let i = 0, at = this.begin(operations, among), k = 0; i < operations; i++) {
      const n = this.order[at]!;
      aim(segment, n);
      shape(segment, n, k);
      const handle = this.find();
      sum = (sum + (judging ? core.judge(core.record.at(handle & ~RECORD), segment) : handle)) | 0;
      if (++at === among) at = 0;
      if (++k === SHAPE_COUNT) k = 0;
    }
    return sum;
  }
}

/** Not to be optimized away. */
export let sink = 0;

/** ns per operation of the fastest stretch, look-ups and verdicts in turn. */
function compare(loaded: Loaded, among: number): { lookUp: number; verdict: number } {
  let lookUp = Infinity;
  let verdict = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    sink ^= loaded.run(STRETCH, among, false);
    const middle = performance.now();
    sink ^= loaded.run(STRETCH, among, true);
    const end = performance.now();
    lookUp = Math.min(lookUp, middle - start);
    verdict = Math.min(verdict, end - middle);
  }
  return { lookUp: (lookUp * 1e6) / STRETCH, verdict: (verdict * 1e6) / STRETCH };
}

/** Until the compiler has seen both ways through the loop and has replaced it on the stack and on entry. */
function warm(loaded: Loaded): void {
  for (let round = 0; round < 10; round++)
    sink ^= loaded.run(STRETCH, FEW, false) ^ loaded.run(STRETCH, FEW, true);
}

function measure(loaded: Loaded, policy: Policy): VerdictRun {
  loaded.use(policy);
  // Compiled before it is timed.
  warm(loaded);
  const hot = compare(loaded, FEW);
  const cold = compare(loaded, loaded.count);
  const bytes = allocated(COUNTED, (operations) => {
    sink ^= loaded.run(operations, FEW, true);
  });
  return {
    lookUp: cold.lookUp,
    cold: cold.verdict - cold.lookUp,
    hot: hot.verdict - hot.lookUp,
    hotLookUp: hot.lookUp,
    bytes,
  };
}

/** In the child: one policy in a process that has never run another. */
export function measureAlone(name: string, count: number): VerdictRun {
  const policy = policies.find((known) => known.name === name);
  if (policy === undefined) throw new Error(`no policy '${name}'`);
  return measure(new Loaded(count, policy), policy);
}

/** In the child: every policy in a process in which all of them have run. */
export function measureTogether(count: number): Record<string, VerdictRun> {
  const loaded = new Loaded(count, policies[0]!);
  for (let round = 0; round < 3; round++) {
    for (const policy of policies) {
      loaded.use(policy);
      warm(loaded);
    }
  }
  return Object.fromEntries(policies.map((policy) => [policy.name, measure(loaded, policy)]));
}
