/** Bytes that each step of a segment for a TIME-WAIT record allocates, by policy; no clock is read. */
import { RECORD } from '../src/stack/core.js';
import { recordArrives } from '../src/stack/time-wait.js';
import { policies } from '../src/timewait/policies/registry.js';
import { KEEP, RESTART, fateOf, type Policy } from '../src/timewait/policy.js';
import { allocated } from './measure.js';
import { SHAPE_COUNT, aim, shape } from './population.js';
import { Loaded } from './verdict.js';

/** Bytes per operation. */
export interface Allocations {
  readonly lookUp: number;
  /** Look-up and segmentArrives. */
  readonly verdict: number;
  /** synArrives, for SYNs of known and unknown hosts. */
  readonly syn: number;
  readonly lifetime: number;
  readonly mayReopen: number;
  /** Look-up, verdict, and what it asks for: timer, timestamp, reply into the transmit ring. */
  readonly carriedOut: number;
  /** Answers counted meanwhile: the above is more than a look-up. */
  readonly replies: number;
}

const RECORDS = 2000;
const FEW = 1000;
const OPERATIONS = 100_000;
/** The compiler allocates now and then, code that makes garbage always: the smallest of these counts. */
const TRIES = 4;
/** Bytes per operation that need no further try. */
const NOTHING = 0.1;

function least(run: (operations: number) => void): number {
  let smallest = Infinity;
  for (let i = 0; i < TRIES && smallest > NOTHING; i++)
    smallest = Math.min(smallest, allocated(OPERATIONS, run));
  return smallest;
}

const bound = { boundPort: true, timestamps: true };
const searched = { boundPort: false, timestamps: true };

function measure(policy: Policy): Allocations {
  const loaded = new Loaded(RECORDS, policy);
  loaded.use(policy);
  const { core, segment } = loaded;
  for (let n = 0; n < FEW; n += 2) {
    aim(segment, n);
    const { src0, src1, src2, src3 } = segment;
    core.hosts.remember(src0, src1, src2, src3, 1, core.ctx.now, core.ctx.now);
  }
  const lookUp = least((operations) => loaded.run(operations, FEW, false));
  const verdict = least((operations) => loaded.run(operations, FEW, true));
  const syn = least((operations) => {
    for (let i = 0; i < operations; i++) {
      aim(segment, i % FEW);
      // The SYNs among the shapes
      shape(segment, i % FEW, 4 + (i & 3));
      core.policy.synArrives(segment, core.hooks.about(segment));
    }
  });
  const lifetime = least((operations) => {
    for (let i = 0; i < operations; i++)
      core.policy.lifetime(core.record.at(i % FEW), core.hooks.about(null), (i & 1) === 0);
  });
  const mayReopen = least((operations) => {
    for (let i = 0; i < operations; i++)
      core.policy.mayReopen(
        core.record.at(i % FEW),
        (i & 1) === 0 ? bound : searched,
        core.hooks.about(null),
      );
  });
  let replies = 0;
  const carriedOut = least((operations) => {
    for (let i = 0; i < operations; i++) {
      aim(segment, i % FEW);
      shape(segment, i % FEW, i % SHAPE_COUNT);
      const index = loaded.find() & ~RECORD;
      const fate = fateOf(core.judge(core.record.at(index), segment));
      // Those that cost the record are judged only.
      if (fate === KEEP || fate === RESTART) recordArrives(core, index, segment);
      replies += core.tx.count;
      core.tx.clear();
    }
  });
  if (core.records.count !== RECORDS)
    throw new Error(`${policy.name}: records went while they were measured`);
  return { lookUp, verdict, syn, lifetime, mayReopen, carriedOut, replies };
}

/** In the child: every policy of the registry. */
export function measureAllocation(): Record<string, Allocations> {
  // All of them once before: what is compiled and grown for good is not theirs.
  const warm = new Loaded(RECORDS, policies[0]!);
  for (const policy of policies) {
    warm.use(policy);
    warm.run(SHAPE_COUNT * FEW, FEW, true);
  }
  return Object.fromEntries(policies.map((policy) => [policy.name, measure(policy)]));
}
