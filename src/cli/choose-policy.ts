/** The policy that --policy and --hook ask for. */
import { withRules, type Policy, type RuleName } from '../stack/policies.js';
import { UsageError } from './fail.js';
import type { PolicyFlags } from './options.js';
import { isPolicyPath } from './policy-path.js';

/** A name stays a name. Throws a UsageError that names the option. */
export async function choosePolicy(flags: PolicyFlags): Promise<string | Policy> {
  const files = new Map<string, Policy>();
  const load = async (option: string, policy: string): Promise<string | Policy> => {
    if (!isPolicyPath(policy)) return policy;
    const known = files.get(policy);
    if (known !== undefined) return known;
    try {
      // The compiler comes only with a file
      const { loadPolicyFile } = await import('./policy-file.js');
      const loaded = await loadPolicyFile(policy);
      files.set(policy, loaded);
      return loaded;
    } catch (error) {
      if (error instanceof UsageError) throw new UsageError(`${option}${error.message}`, error.details);
      throw error;
    }
  };
  const policy = await load('--policy ', flags.policy);
  if (flags.hook.length === 0) return policy;
  const rules: { [R in RuleName]?: string | Policy } = {};
  for (const [rule, from] of flags.hook) rules[rule] = await load(`--hook ${rule}=`, from);
  return withRules(policy, rules);
}
