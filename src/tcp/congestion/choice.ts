/** Which algorithm a connection uses: knob net.ipv4.tcp_congestion_control, or its own choice (TCP_CONGESTION). */
import type { CongestionControl } from './control.js';
import type { Dialect } from '../dialect.js';
import { Cubic } from './cubic.js';
import { LinuxCubic } from './cubic-linux.js';
import { NewReno } from './reno.js';

export const RENO = 0;
export const CUBIC = 1;

/** By number, as Linux calls them. */
export const congestionNames: readonly string[] = ['reno', 'cubic'];

/** The number of a name, FreeBSD's too; -1: there is none of that name. */
export function congestionNumber(name: string): number {
  return congestionNames.indexOf(name === 'newreno' ? 'reno' : name);
}

export function congestionControl(choice: number, dialect: Dialect): CongestionControl {
  if (choice !== CUBIC) return new NewReno();
  return dialect.countsSegments ? new LinuxCubic() : new Cubic();
}
