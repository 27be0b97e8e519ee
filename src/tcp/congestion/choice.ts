/** Which algorithm a connection uses: knob net.ipv4.tcp_congestion_control. */
import type { CongestionControl } from './control.js';
import { Cubic } from './cubic.js';
import { NewReno } from './reno.js';

export const RENO = 0;
export const CUBIC = 1;

export function congestionControl(choice: number): CongestionControl {
  return choice === CUBIC ? new Cubic() : new NewReno();
}
