/**
 * Stands between the stack and a policy that somebody wrote last night: a hook that throws,
 * answers nonsense or is too slow costs one report, and the strict policy (rfc9293; linux for
 * orphans kept as records) answers in its place, this time only. Hooks of built-in policies are passed on as they are.
 *
 * A call that never returns cannot be interrupted. Memory: one line per hook and kind of failure.
 */
import { borrow, fields, isBuiltIn, labelOf, ownerOf } from './define.js';
import { answerMistake, hookNames, isObject, show, type HookName } from './members.js';
import { linux } from './policies/linux.js';
import { rfc9293 } from './policies/rfc9293.js';
import type { Policy, RecordFacts } from './policy.js';

/** What went wrong with a hook: it threw, answered what is no answer, or took too long. */
export type FailureKind = 'threw' | 'answered' | 'slow';

export interface PolicyFailure {
  /** The policy's file, else its name. */
  readonly policy: string;
  readonly hook: HookName;
  readonly kind: FailureKind;
  /** One line about the first of its kind, who answered instead included. */
  readonly message: string;
  /** How often by now. */
  readonly count: number;
}

export interface GuardOptions {
  /** The first failure of each kind and hook; the others are only counted. */
  readonly report: (failure: PolicyFailure) => void;
  /** A reading in ms with fractions. Without it no hook is too slow. */
  readonly stopwatch?: () => number;
  /** ms that one call may take; default 5. */
  readonly limit?: number;
}

export interface Guarded {
  readonly policy: Policy;
  /** Counts go on. */
  readonly failures: readonly PolicyFailure[];
}

type Hook = (a: unknown, b: unknown, c: unknown, d: unknown) => unknown;
type Counted = { -readonly [K in keyof PolicyFailure]: PolicyFailure[K] };

/** Policies that came out of `guardPolicy`. */
const guarded = new WeakSet<Policy>();

/** `policy` itself when all of its hooks are built in, or guarded already. */
export function guardPolicy(policy: Policy, options: GuardOptions): Guarded {
  const failures: Counted[] = [];
  const unsafe = hookNames.filter((hook) => {
    const owner = ownerOf(policy, hook);
    return !isBuiltIn(owner) && !guarded.has(owner);
  });
  if (unsafe.length === 0) return { policy, failures };
  const safe = { ...fields(policy), ...borrow(policy) };
  for (const hook of unsafe) {
    const label = labelOf(ownerOf(policy, hook));
    const fail = (kind: FailureKind, what: () => string, standIn: Policy): void => {
      const known = failures.find((failure) => failure.hook === hook && failure.kind === kind);
      if (known !== undefined) {
        known.count++;
        return;
      }
      const message = `policy ${label}: ${hook} ${what()}; ${standIn.name} answered ${subjectOf(hook)}`;
      const failure = { policy: label, hook, kind, message, count: 1 };
      failures.push(failure);
      options.report(failure);
    };
    Object.assign(safe, { [hook]: guardHook(policy, hook, options, label, fail) });
  }
  guarded.add(safe);
  return { policy: safe, failures };
}

/** No closure and no list per call: four arguments are the most a hook has. */
function guardHook(
  policy: Policy,
  hook: HookName,
  options: GuardOptions,
  label: string,
  fail: (kind: FailureKind, what: () => string, standIn: Policy) => void,
): Hook {
  const asked = (policy[hook] as Hook).bind(policy);
  const { stopwatch = () => 0, limit = 5 } = options;
  return (a, b, c, d) => {
    const started = stopwatch();
    let kind: FailureKind;
    let what: () => string;
    try {
      const answer = asked(a, b, c, d);
      const taken = stopwatch() - started;
      const mistake = answerMistake(hook, answer, a, b);
      if (mistake === null && taken <= limit) return answer;
      kind = mistake === null ? 'slow' : 'answered';
      what = () =>
        mistake === null
          ? `took ${taken.toFixed(1)} ms, ${limit} ms are allowed`
          : `gave a wrong answer: ${mistake}`;
    } catch (error) {
      kind = 'threw';
      what = () => `threw ${describe(error, label)}`;
    }
    const standIn = standInFor(hook, a);
    fail(kind, what, standIn);
    return (standIn[hook] as Hook).call(standIn, a, b, c, d);
  };
}

/** The strict policy; for orphans kept as records, which it knows nothing of, the system that keeps them. */
function standInFor(hook: HookName, first: unknown): Policy {
  const orphan = isObject(first) && (first as Partial<RecordFacts>).finWait2 === true;
  return orphan && (hook === 'segmentArrives' || hook === 'lifetime') ? linux : rfc9293;
}

function subjectOf(hook: HookName): string {
  return hook === 'segmentArrives' || hook === 'synArrives' ? 'this segment' : 'this question';
}

/** `TypeError: what (mine.ts:7)` in one line, whatever was thrown. */
function describe(error: unknown, label: string): string {
  try {
    if (!(error instanceof Error)) return show(error);
    const text = `${error.name}: ${error.message}`.replace(/[\p{C}\s]+/gu, ' ').slice(0, 200);
    const place = placeOf(String(error.stack), label);
    return place === '' ? text : `${text} (${place})`;
  } catch {
    return 'an error that cannot be read';
  }
}

/** The highest line of the stack in the policy's own file, else the highest at all. */
function placeOf(stack: string, label: string): string {
  const places = stack
    .split('\n')
    .map((line) => /([^\s/\\()]+:\d+):\d+\)?$/.exec(line)?.[1])
    .filter((place) => place !== undefined);
  return places.find((place) => place.startsWith(`${label}:`)) ?? places[0] ?? '';
}
