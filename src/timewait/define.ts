/**
 * Policies of the user's own: a base with some members replaced. A hook taken from a base is
 * called on that base, so it answers exactly as it does there.
 */
import { nearest } from '../nearest.js';
import {
  fieldNames,
  hookNames,
  isHook,
  isObject,
  memberMistake,
  ruleNames,
  show,
  type FieldName,
  type HookName,
  type RuleName,
} from './members.js';
import { BasePolicy } from './policies/base.js';
import { findPolicy, policies } from './policies/registry.js';
import type { Policy } from './policy.js';

/** What `definePolicy` takes: all but the name has a default, that of the base for every rule. */
export interface PolicyDefinition extends Partial<Policy> {
  /** For lists and summaries; not that of a built-in policy. */
  readonly name: string;
  /** Whose rules hold where none is given: a policy or the name of one. Default rfc9293. */
  readonly base?: string | Policy;
}

/** Rules by name, each with the policy that lends it. */
export type LentRules = { readonly [R in RuleName]?: string | Policy };

const MEMBERS: readonly string[] = ['base', ...hookNames, ...fieldNames];

/** Whose a hook is, where it is not the policy's own. */
const lenders = new WeakMap<Policy, ReadonlyMap<HookName, Policy>>();
const labels = new WeakMap<Policy, string>();

/** The policy that answers when this one is asked: itself, or the one that it took the hook from. */
export function ownerOf(policy: Policy, hook: HookName): Policy {
  const lender = lenders.get(policy)?.get(hook);
  return lender === undefined ? policy : ownerOf(lender, hook);
}

/**
 * Does it keep the memory per host, so that what one connection leaves there concerns all others of that host?
 * A hook of a user's own is taken to do so.
 */
export function keepsHosts(policy: Policy): boolean {
  const owner = ownerOf(policy, 'remembersHost');
  return owner.remembersHost !== BasePolicy.prototype.remembersHost;
}

export function isBuiltIn(policy: Policy): boolean {
  return policies.includes(policy);
}

/** What reports call it: the file it came from, else its name. */
export function labelOf(policy: Policy): string {
  return labels.get(policy) ?? policy.name;
}

export function setLabel(policy: Policy, label: string): void {
  labels.set(policy, label);
}

/** A built-in policy by name or alias; a RangeError names the nearest. */
export function policyNamed(name: string): Policy {
  const found = typeof name === 'string' ? findPolicy(name) : null;
  if (found !== null) return found;
  const names = policies.flatMap((policy) => [policy.name, ...policy.aliases]);
  throw new RangeError(`unknown policy ${show(name)}, nearest: ${nearest(String(name), names).join(', ')}`);
}

/** null, or the first thing that keeps `value` from being a complete policy. */
export function policyMistake(value: unknown): string | null {
  if (!isObject(value)) return `${show(value)} is no policy`;
  const members = value as Readonly<Record<string, unknown>>;
  for (const name of [...fieldNames, ...hookNames]) {
    if (!(name in members)) return `no policy: ${name} is missing (definePolicy takes it from a base)`;
    const mistake = memberMistake(name, members[name]);
    if (mistake !== null) return `${name}: ${mistake}`;
  }
  return null;
}

/**
 * A policy of your own. What is not given is taken from the base. Throws a TypeError that names
 * the member: unknown (and the nearest), of the wrong kind, or the name missing.
 */
export function definePolicy(definition: PolicyDefinition & ThisType<Policy>): Policy {
  if (!isObject(definition)) throw new TypeError(`definePolicy takes an object, got ${show(definition)}`);
  const given = definition as unknown as Readonly<Record<string, unknown>>;
  if (given['name'] === undefined) throw new TypeError('definePolicy: the name is missing');
  const fail = (what: string): never => {
    throw new TypeError(`policy ${show(given['name'])}: ${what}`);
  };
  for (const member of Object.keys(given)) {
    if (!MEMBERS.includes(member))
      fail(`unknown member '${member}', nearest: ${nearest(member, MEMBERS).join(', ')}`);
  }
  const own = [...fieldNames, ...hookNames].filter((member) => given[member] !== undefined);
  for (const member of own) {
    const mistake = memberMistake(member, given[member]);
    if (mistake !== null) fail(`${member}: ${mistake}`);
  }
  if (findPolicy(definition.name) !== null)
    fail('a built-in policy has this name; choose another (base says what to start from)');
  const base = baseOf(definition.base, fail);
  const ownHooks = own.filter(isHook);
  const policy: Policy = {
    ...fields(base),
    ...borrow(base),
    title: titleOf(base, own),
    source: 'a policy of your own',
    aliases: [],
    unverified: [],
    notes: [],
    ...fieldsOf(definition, own),
    knobs: { ...base.knobs, ...definition.knobs },
    keepsWord: definition.keepsWord ?? (base.keepsWord || ownHooks.some((hook) => hook.startsWith('word'))),
  };
  for (const hook of ownHooks) {
    // `this` is the whole policy: a hook may ask another
    const method = given[hook] as (...args: unknown[]) => unknown;
    Object.assign(policy, { [hook]: method.bind(policy) });
  }
  lenders.set(
    policy,
    new Map(hookNames.filter((hook) => !ownHooks.includes(hook)).map((hook) => [hook, base])),
  );
  return policy;
}

function baseOf(base: unknown, fail: (what: string) => never): Policy {
  if (base === undefined) return policyNamed('rfc9293');
  if (typeof base === 'string') {
    try {
      return policyNamed(base);
    } catch (error) {
      return fail(`base: ${(error as RangeError).message}`);
    }
  }
  const mistake = policyMistake(base);
  return mistake === null ? (base as Policy) : fail(`base: ${mistake}`);
}

function titleOf(base: Policy, own: readonly string[]): string {
  const rules = own.filter((member) => (ruleNames as readonly string[]).includes(member));
  return rules.length === 0 ? `as ${base.name}` : `as ${base.name}, but for ${rules.join(', ')}`;
}

/**
 * `base` with single rules of other policies: `withRules('linux', { mayReopen: 'bsd' })`. Knobs
 * that a lender reads and presets, and that the base does not know, are preset as the lender
 * does. Throws a TypeError or RangeError: no such rule or policy, and the nearest.
 */
export function withRules(base: string | Policy, rules: LentRules): Policy {
  const start = asPolicy(base);
  const lent = Object.entries(rules).map(([rule, from]): [RuleName, Policy] => {
    if (!(ruleNames as readonly string[]).includes(rule))
      throw new TypeError(`unknown hook '${rule}', nearest: ${nearest(rule, ruleNames).join(', ')}`);
    return [rule as RuleName, asPolicy(from)];
  });
  if (lent.length === 0) return start;
  const whose = new Map<HookName, Policy>(hookNames.map((hook) => [hook, start]));
  const values: Record<string, unknown> = { ...fields(start), ...borrow(start) };
  const knobs: Record<string, number> = {};
  for (const [rule, from] of lent) {
    // The word is the business of who judges segments
    const together: RuleName[] =
      rule === 'segmentArrives' ? [rule, 'keepsWord', 'wordOnEntry', 'wordAfter'] : [rule];
    for (const member of together) {
      if (isHook(member)) whose.set(member, from);
      values[member] = isHook(member) ? borrow(from)[member] : from[member];
    }
    for (const knob of from.uses) {
      if (Object.hasOwn(from.knobs, knob) && !start.uses.includes(knob)) knobs[knob] = from.knobs[knob]!;
    }
  }
  const policy = {
    ...values,
    name: [start.name, ...lent.map(([rule, from]) => `${rule}=${from.name}`)].join('+'),
    title: `${start.name} with ${lent.map(([rule, from]) => `${rule} of ${from.name}`).join(', ')}`,
    aliases: [],
    knobs: { ...knobs, ...start.knobs },
    uses: [...new Set([start, ...lent.map(([, from]) => from)].flatMap(({ uses }) => uses))],
  } as unknown as Policy;
  lenders.set(policy, whose);
  return policy;
}

function asPolicy(policy: string | Policy): Policy {
  if (typeof policy === 'string') return policyNamed(policy);
  const mistake = policyMistake(policy);
  if (mistake !== null) throw new TypeError(mistake);
  return policy;
}

/** The fields of a policy. */
export function fields(policy: Policy): Pick<Policy, FieldName> {
  return fieldsOf(policy, fieldNames) as Pick<Policy, FieldName>;
}

function fieldsOf(
  policy: Partial<Policy>,
  names: readonly (keyof Policy)[],
): Partial<Pick<Policy, FieldName>> {
  return Object.fromEntries(names.filter((name) => !isHook(name)).map((name) => [name, policy[name]]));
}

/** The hooks of a policy, each bound to it. */
export function borrow(policy: Policy): Pick<Policy, HookName> {
  return Object.fromEntries(
    hookNames.map((hook) => [hook, (policy[hook] as (...args: unknown[]) => unknown).bind(policy)]),
  ) as unknown as Pick<Policy, HookName>;
}
