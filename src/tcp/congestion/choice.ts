/** Which algorithm a connection uses: knob net.ipv4.tcp_congestion_control. */
import type { CongestionControl } from './control.js';
import type { Dialect } from '../dialect.js';
import { Cubic } from './cubic.js';
import { LinuxCubic } from './cubic-linux.js';
import { NewReno } from './reno.js';

export const RENO = 0;
export const CUBIC = 1;

export function congestionControl(choice: number, dialect: Dialect): CongestionControl {
  if (choice !== CUBIC) return new NewReno();
  return dialect.countsSegments ? new LinuxCubic() : new Cubic();
}
