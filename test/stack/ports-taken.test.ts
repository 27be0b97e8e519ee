/** connect() among TIME-WAIT records: only the tuple counts, however many records a port has. */
import t from 'tap';
import { connect } from '../../src/stack/active.js';
import { Core, RECORD } from '../../src/stack/core.js';
import type { Tcb } from '../../src/tcp/tcb.js';
import { bsd44 } from '../../src/timewait/policies/bsd-4.4.js';
import { rfc9293 } from '../../src/timewait/policies/rfc9293.js';
import type { Policy } from '../../src/timewait/policy.js';
import { parsePrefix } from '../../src/wire/address.js';
import { blank } from '../../bench/population.js';

const LOW = 40_000;
const RANGE = 8;

function makeCore(policy: Policy): Core {
  const addresses = [parsePrefix('10.0.0.2/8')!];
  const seed = new Uint8Array(32).fill(9);
  const core = new Core({ seed, addresses: ['10.0.0.2/8'], mtu: 1500, now: 0 }, addresses, policy);
  core.knobs.set('net.ipv4.ip_local_port_range.min', LOW);
  core.knobs.set('net.ipv4.ip_local_port_range.max', LOW + RANGE - 1);
  core.refresh();
  return core;
}

/** A record of ours with 10.0.1.`host`, port 80. */
function addRecord(core: Core, localPort: number, host: number): void {
  const local3 = 0x0a000002;
  const remote3 = 0x0a000100 + host;
  const hash = core.flows.hashOf(0, 0, 0xffff, local3, 0, 0, 0xffff, remote3, localPort, 80);
  const index = core.records.add({ ...blank(), local3, remote3, localPort, remotePort: 80, hash });
  core.records.arm(index, 60_000);
  core.flows.insert(hash, RECORD | index);
}

const dial = (core: Core, host: number): Tcb | string =>
  connect(core, { address: `10.0.1.${host}`, port: 80 });

/** The ports that connect() finds for one host until there is none. */
function portsFor(core: Core, host: number): number[] {
  const ports: number[] = [];
  for (let tcb = dial(core, host); typeof tcb !== 'string'; tcb = dial(core, host)) ports.push(tcb.localPort);
  return ports.sort((a, b) => a - b);
}

const all = Array.from({ length: RANGE }, (_, i) => LOW + i);

t.test('ports with 0 to 12 records: those without the tuple are found, each once', async (t) => {
  for (let hosts = 0; hosts <= 12; hosts++) {
    const core = makeCore(rfc9293);
    // Host h left records on all ports but two of its own.
    const free = (host: number): number[] => all.filter((port) => ((port - LOW) ^ host) % 4 === 1);
    for (let host = 0; host < hosts; host++)
      for (const port of all) if (!free(host).includes(port)) addRecord(core, port, host);
    for (let host = 0; host < hosts; host++)
      t.same(portsFor(core, host), free(host), `host ${host} of ${hosts}`);
    t.same(portsFor(core, 99), all, `a host with no record, beside ${hosts} that have some`);
  }
});

t.test('4.4BSD: a port with any record is skipped', async (t) => {
  const core = makeCore(bsd44);
  for (const port of [LOW, LOW + 3, LOW + 4]) addRecord(core, port, 1);
  t.same(portsFor(core, 2), [LOW + 1, LOW + 2, LOW + 5, LOW + 6, LOW + 7]);
  t.same(portsFor(core, 1), [], 'and one with a live connection, too');
});
