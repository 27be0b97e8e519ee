/** Policies for those outside the engine: by name, of the user's own, put together, guarded. */
export { warnings } from '../timewait/contradictions.js';
export { act, reason, type ReasonGiven } from '../timewait/act.js';
export {
  definePolicy,
  isBuiltIn,
  keepsHosts,
  labelOf,
  policyMistake,
  policyNamed,
  setLabel,
  withRules,
  type LentRules,
  type PolicyDefinition,
} from '../timewait/define.js';
export {
  guardPolicy,
  type FailureKind,
  type Guarded,
  type GuardOptions,
  type PolicyFailure,
} from '../timewait/guard.js';
export { ruleNames, type HookName, type RuleName } from '../timewait/members.js';
export {
  HOLDER_CLOSER,
  HOLDER_PEER,
  HOLDER_US,
  LAST_ACK_CLOSED,
  LAST_ACK_TAKE_OVER,
  LAST_ACK_TIME_WAIT,
  PRESSURE_EVICT_OLDEST,
  PRESSURE_SKIP,
} from '../timewait/policy.js';
export type {
  BindRequest,
  CloseFacts,
  HostStamp,
  Policy,
  PolicyContext,
  RecordFacts,
  ReopenRequest,
  SegmentFacts,
} from '../timewait/policy.js';
