/**
 * The search for an ephemeral port: connect() to one destination while a share of the
 * ports of the default range (28,232) is taken by TIME-WAIT records of the very same
 * destination, or of another one.
 */
import { RECORD } from '../src/stack/core.js';
import { connect } from '../src/stack/active.js';
import { Core } from '../src/stack/core.js';
import { rfc9293 } from '../src/timewait/policies/rfc9293.js';
import { parsePrefix } from '../src/wire/address.js';
import { median } from './measure.js';
import { blank } from './population.js';

const LOW = 32_768;
const PORTS = 28_232;
const TARGET = '10.0.0.9';
const OTHER = '10.0.0.8';
const REMOTE_PORT = 80;
export const OCCUPANCIES = [0, 0.5, 0.9, 0.99, 0.999, 1];

export interface PortsRun {
  /** Share of the range that is taken. */
  readonly occupancy: number;
  /** connect() calls a second: the records belong to the same destination, or to another. */
  readonly same: number;
  readonly other: number;
}

/** A core with a record of `remote` on the given share of the ports, spread evenly. */
function occupied(share: number, remote: string): Core {
  const texts = ['10.0.0.2/8'];
  const addresses = texts.map((text) => parsePrefix(text)!);
  const seed = new Uint8Array(32).fill(3);
  const core = new Core({ seed, addresses: texts, mtu: 1500, now: 0, txSlots: 16 }, addresses, rfc9293);
  core.refresh();
  const entry = blank();
  entry.local3 = 0x0a000002;
  entry.remote3 = remote === TARGET ? 0x0a000009 : 0x0a000008;
  entry.remotePort = REMOTE_PORT;
  for (let i = 0; i < PORTS; i++) {
    if (Math.floor((i + 1) * share) === Math.floor(i * share)) continue;
    // 12,343 and 28,232 have no common divisor: every port once, free ones spread
    entry.localPort = LOW + ((i * 12_343) % PORTS);
    const { local0, local1, local2, local3, remote0, remote1, remote2, remote3 } = entry;
    entry.hash = core.flows.hashOf(
      local0,
      local1,
      local2,
      local3,
      remote0,
      remote1,
      remote2,
      remote3,
      entry.localPort,
      REMOTE_PORT,
    );
    const index = core.records.add(entry);
    core.records.arm(index, 60_000);
    core.flows.insert(entry.hash, RECORD | index);
  }
  return core;
}

/** connect() calls a second; each connection is taken out again, so that the occupancy stays. */
function rate(core: Core, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    const tcb = connect(core, { address: TARGET, port: REMOTE_PORT });
    if (typeof tcb === 'string') continue;
    core.detach(tcb, -1);
    core.ctx.ready.length = 0;
    core.ctx.raised.length = 0;
  }
  return (calls * 1000) / (performance.now() - start);
}

/** In the child. */
export function measurePorts(): PortsRun[] {
  return OCCUPANCIES.map((occupancy) => {
    const figure = (remote: string): number => {
      const core = occupied(occupancy, remote);
      const calls = occupancy === 1 && remote === TARGET ? 20 : 2000;
      rate(core, calls);
      return median(Array.from({ length: 5 }, () => rate(core, calls)));
    };
    return { occupancy, same: figure(TARGET), other: figure(OTHER) };
  });
}
