/** The policies by name. */
import type { Policy } from '../policy.js';
import { bsd44 } from './bsd-4.4.js';
import { faberClient, faberNegotiate } from './faber.js';
import { freebsd, freebsd13 } from './freebsd.js';
import { illumos, solaris7 } from './illumos.js';
import { alibaba, linux } from './linux.js';
import { linuxRecycle } from './recycle.js';
import { macos } from './macos.js';
import { netbsd } from './netbsd.js';
import { none } from './none.js';
import { openbsd } from './openbsd.js';
import { reuse } from './reuse.js';
import { rfc1122 } from './rfc1122.js';
import { rfc1337 } from './rfc1337.js';
import { rfc6191 } from './rfc6191.js';
import { rfc9293 } from './rfc9293.js';
import { gvisor, lwip, smoltcp, vpp } from './small-stacks.js';
import { windows, windows2003, windowsNt4 } from './windows.js';

export const policies: readonly Policy[] = [
  rfc9293,
  rfc1122,
  rfc1337,
  rfc6191,
  freebsd,
  freebsd13,
  netbsd,
  openbsd,
  macos,
  bsd44,
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
  faberClient,
  faberNegotiate,
  none,
];

/** null when no policy has this name, nor goes by it. */
export function findPolicy(name: string): Policy | null {
  return policies.find((policy) => policy.name === name || policy.aliases.includes(name)) ?? null;
}
