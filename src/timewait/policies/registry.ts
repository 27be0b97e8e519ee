/** The policies by name. */
import type { Policy } from '../policy.js';
import { bsd } from './bsd.js';
import { illumos, solaris7 } from './illumos.js';
import { alibaba, linux } from './linux.js';
import { linuxRecycle } from './recycle.js';
import { reuse } from './reuse.js';
import { rfc9293 } from './rfc9293.js';
import { gvisor, lwip, smoltcp, vpp } from './small-stacks.js';
import { windows, windows2003, windowsNt4 } from './windows.js';

export const policies: readonly Policy[] = [
  rfc9293,
  bsd,
  reuse,
  linuxRecycle,
  linux,
  alibaba,
  windowsNt4,
  windows2003,
  windows,
  solaris7,
  illumos,
  lwip,
  gvisor,
  smoltcp,
  vpp,
];

/** null when no policy has this name, nor goes by it. */
export function findPolicy(name: string): Policy | null {
  return policies.find((policy) => policy.name === name || policy.aliases.includes(name)) ?? null;
}
