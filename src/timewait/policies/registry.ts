/** The policies by name. */
import type { Policy } from '../policy.js';
import { bsd } from './bsd.js';
import { recycle } from './recycle.js';
import { reuse } from './reuse.js';
import { rfc9293 } from './rfc9293.js';

export const policies: readonly Policy[] = [rfc9293, bsd, reuse, recycle];

/** null when no policy has this name, nor goes by it. */
export function findPolicy(name: string): Policy | null {
  return policies.find((policy) => policy.name === name || policy.aliases.includes(name)) ?? null;
}
