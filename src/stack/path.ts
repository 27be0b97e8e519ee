/** Path MTUs: per remote host, only where lower than the link's, for a time (RFC 1191 6.3). */
import { afterEq } from '../seqnum.js';
import { PATH_LIMIT, type Core } from './core.js';

function key(w0: number, w1: number, w2: number, w3: number): string {
  return `${w0},${w1},${w2},${w3}`;
}

/** R1122-16: what passes everywhere, as far as is known without asking. */
const EVERYWHERE = 576;

export function pathMtu(core: Core, w0: number, w1: number, w2: number, w3: number): number {
  if (!core.ctx.config.pathDiscovery) {
    const v4 = w0 === 0 && w1 === 0 && w2 === 0xffff;
    return v4 && !core.isNear(w0, w1, w2, w3) ? Math.min(EVERYWHERE, core.mtu) : core.mtu;
  }
  if (core.paths.size === 0) return core.mtu;
  const k = key(w0, w1, w2, w3);
  const path = core.paths.get(k);
  if (path === undefined) return core.mtu;
  if (!afterEq(core.ctx.now, path.until)) return path.mtu;
  core.paths.delete(k);
  return core.mtu;
}

/** MUST-20: retransmissions stay without an answer, so nothing is known of the path any more. */
export function doubtPaths(core: Core): void {
  const { doubted } = core.ctx;
  for (const { remote0, remote1, remote2, remote3 } of doubted)
    core.paths.delete(key(remote0, remote1, remote2, remote3));
  doubted.length = 0;
}

/** Remembers a lower MTU; the oldest entry goes when the list is full. */
export function rememberPath(core: Core, w0: number, w1: number, w2: number, w3: number, mtu: number): void {
  const k = key(w0, w1, w2, w3);
  core.paths.delete(k);
  if (core.paths.size >= PATH_LIMIT) {
    const oldest = core.paths.keys().next().value;
    if (oldest !== undefined) core.paths.delete(oldest);
  }
  core.paths.set(k, { mtu, until: (core.ctx.now + core.ctx.config.mtuExpires) | 0 });
}
