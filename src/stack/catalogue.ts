/** Lists for people: the policies and knobs that exist. */
import type { Policy } from '../timewait/policy.js';
import { policies as all } from '../timewait/policies/registry.js';

export interface PolicyRow {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  /** Knob values it presets. */
  readonly knobs: Readonly<Record<string, number>>;
  /** Other names it answers to. */
  readonly aliases: readonly string[];
  /** Knobs about TIME-WAIT that it reads. */
  readonly uses: readonly string[];
  /** What no source confirms. */
  readonly unverified: readonly string[];
  readonly notes: readonly string[];
}

/** What is said about a policy. */
export function policyRow(policy: Policy): PolicyRow {
  const { name, title, source, knobs, aliases, uses, unverified, notes } = policy;
  return { name, title, source, knobs, aliases, uses, unverified, notes };
}

export const policies: readonly PolicyRow[] = all.map(policyRow);

export { knobAliases, knobs, parseKnobSetting, type Knob } from './knobs.js';
